"""The part of the EngineApi for looking into runs: breakpoints, output files, who wrote a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.engine.breakpoints import EVERY_RUN
from core.engine.output_files import list_files, read_file
from core.engine.queries import Queries
from core.engine.runs import Runs
from core.engine.travel import require_node
from core.engine.why import read_why
from core.engine.workflows import Workflows
from core.errors import UsageError
from core.flow.graph import Graph
from core.link.caller import caller
from core.link.inspect_types import BreakpointView, ChangeBreakpoint, OutputPage, OutputPart, WhyPage
from core.places import Workspace
from core.store.operations import RecordCommand
from core.store.records import RunRecord
from core.store.store import Store


class Inspecting:
    """What an engine lets one see of runs, and where they stop; the engine itself makes the parts."""

    workspace: Workspace
    _store: Store
    _queries: Queries
    _runs: Runs
    _workflows: Workflows
    _now: Callable[[], float]

    async def list_breakpoints(self, workflow: str | None = None, run_id: str | None = None) -> list[BreakpointView]:
        record = await self._queries.record(run_id) if run_id is not None else None
        if record is not None:
            return await self._breakpoint_views(record.workflow, record.number)
        return await self._breakpoint_views(workflow, None)

    async def _breakpoint_views(self, workflow: str | None, run: int | None) -> list[BreakpointView]:
        rows = self._runs.breakpoints.rows(workflow, run)
        runs = await self._store.runs_by_numbers({row.run for row in rows if row.run != EVERY_RUN})
        return [
            BreakpointView(
                workflow=row.workflow,
                node=row.node,
                set_at=row.set_at,
                run_id=runs[row.run].id if row.run != EVERY_RUN else None,
            )
            for row in rows
            if row.run == EVERY_RUN or row.run in runs
        ]

    async def change_breakpoint(self, change: ChangeBreakpoint) -> list[BreakpointView]:
        record = await self._queries.record(change.run_id) if change.run_id is not None else None
        workflow = record.workflow if record is not None else change.workflow
        if not workflow:
            raise UsageError(
                "No workflow and no run was named.",
                cause="A breakpoint is one of all runs of a workflow, or of one run.",
                next_step="Name it: rondo break WORKFLOW NODE",
            )
        run = record.number if record is not None else EVERY_RUN
        if await self._store.command(change.command_id) is None:
            arguments = f'{{"clear": {"true" if change.clear else "false"}}}'
            run_id = record.id if record is not None else None
            command = RecordCommand(
                change.command_id, self._now(), caller.get(), "change_breakpoint", run_id, arguments, None
            )
            if change.clear:
                await self._runs.breakpoints.clear(workflow, run, change.node, command)
            else:
                require_node(await self._graph_for(workflow, record), change.node)
                await self._runs.breakpoints.set(workflow, run, change.node, self._now(), command)
        return await self._breakpoint_views(workflow, run if record is not None else None)

    async def _graph_for(self, workflow: str, record: RunRecord | None) -> Graph:
        """The graph in which a node must be: the run's own, or that of the folder, or of its last good version."""
        if record is not None:
            return (await self._queries.graph_of(record.version)) or Graph(name=workflow, nodes={}, edges=(), start="")
        return await self._workflows.graph(workflow)

    async def list_output(self, run_id: str, after: str = "", limit: int = 200) -> OutputPage:
        record = await self._queries.record(run_id)
        return await asyncio.to_thread(list_files, self.workspace.output / record.id, after, limit)

    async def read_output(self, run_id: str, path: str, offset: int = 0, limit: int = 64 * 1024) -> OutputPart:
        record = await self._queries.record(run_id)
        return await asyncio.to_thread(read_file, self.workspace.output / record.id, path, offset, limit)

    async def read_why(
        self,
        run_id: str,
        path: list[str | int],
        step: int | None = None,
        line: int | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> WhyPage:
        record = await self._queries.record(run_id)
        found = await self._queries.line_of(record, line)
        return await read_why(self._store, record.id, found, path, step, before, limit)
