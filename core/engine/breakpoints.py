"""The breakpoints of a workspace: kept in memory as the store has them, asked at each step of each run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from core.errors import UsageError
from core.link.event_types import BreakpointsChanged
from core.store.operations import ClearBreakpoints, Operation, RecordCommand, SetBreakpoint
from core.store.records import BreakpointRow, RunRecord
from core.store.store import Store

EVERY_RUN = 0
"""Stands for all runs of a workflow where the number of one could be."""
BEFORE = "breakpoint before "
MOST = 500
"""Breakpoints that a workflow, or a run, may have."""


class Breakpoints:
    """Says where runs pause; changes are durable before they hold."""

    def __init__(self, store: Store, publish: Callable[[Any], None]) -> None:
        self._store = store
        self._publish = publish
        self._set: dict[tuple[str, int], dict[str, float]] = {}

    async def load(self) -> None:
        """Take over what earlier engines were told."""
        self._set.clear()
        for row in await self._store.breakpoints():
            self._set.setdefault((row.workflow, row.run), {})[row.node] = row.set_at

    def among(self, record: RunRecord, nodes: Iterable[str]) -> list[str]:
        """Those of the nodes before which this run pauses."""
        return self.before(record.workflow, nodes, record.number)

    def before(self, workflow: str, nodes: Iterable[str], run: int = EVERY_RUN) -> list[str]:
        """Those of the nodes before which a run of the workflow pauses; without a number, a run that is to be made."""
        if not self._set:
            return []
        every, own = self._set.get((workflow, EVERY_RUN), {}), self._set.get((workflow, run), {})
        return [node for node in nodes if node in every or node in own]

    def rows(self, workflow: str | None = None, run: int | None = None) -> list[BreakpointRow]:
        """All, those of a workflow with those of its runs, or those that hold for one run."""
        return [
            BreakpointRow(name, number, node, at)
            for (name, number), nodes in self._set.items()
            for node, at in nodes.items()
            if workflow in (None, name) and (run is None or number in (EVERY_RUN, run))
        ]

    async def set(self, workflow: str, run: int, node: str, at: float, command: RecordCommand) -> None:
        """Set one; raises UsageError where there are too many."""
        known = self._set.get((workflow, run), {})
        if node not in known and len(known) >= MOST:
            raise UsageError(
                f"{len(known)} breakpoints are as many as there can be.",
                cause="Each is looked at before every step.",
                next_step=f"Take some away: rondo break {workflow} NODE --clear",
            )
        await self._keep(workflow, SetBreakpoint(workflow, run, node, at), command)
        self._set.setdefault((workflow, run), {}).setdefault(node, at)
        self._publish(BreakpointsChanged(workflow=workflow))

    async def clear(self, workflow: str, run: int, node: str, command: RecordCommand) -> None:
        """Take one away, or all where no node is named."""
        await self._keep(workflow, ClearBreakpoints(workflow, run, node), command)
        nodes = self._set.pop((workflow, run), {})
        nodes.pop(node, None)
        if node and nodes:
            self._set[(workflow, run)] = nodes
        self._publish(BreakpointsChanged(workflow=workflow))

    async def _keep(self, workflow: str, change: Operation, command: RecordCommand) -> None:
        await self._store.commit([change, command])


def pause_reason(nodes: list[str], known: str = "") -> str:
    """Why a run pauses that came to these nodes; `known` is why it is about to already."""
    names = ", ".join(nodes)
    return f"{known}, {names}" if known.startswith(BEFORE) else f"{BEFORE}{names}"
