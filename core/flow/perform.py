"""Makes one visit of a node: its attempts, its phases, and what it changed, in either mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from core.errors import GotoInDag, NodeTimeout, NoSuchNode
from core.flow.graph import Graph, NodeSpec
from core.flow.journal import COMPLETED, FALLBACK, RETRY, SKIP, SKIPPED, Delta, Failure, Journal
from core.flow.nodes import set_retry
from core.flow.position import NEW, Trial
from core.flow.visit import RunningVisit, VisitFailed
from core.sdk.node import Node
from core.sdk.tools import PRESENT, Tools
from core.sdk.visit import LastError


class Tracker(Protocol):
    """Knows what a visit changes in the state it works on (see `core.flow.delta.StateTracker`)."""

    def commit_delta(self, shared: dict[str, Any], node: str = "") -> Delta: ...
    def rollback(self, shared: dict[str, Any]) -> None: ...


class Performed(NamedTuple):
    """A visit that came to its end, and what it changed in the state.

    `failure` is set where it failed for good and `on_error` lets the run go on; then nothing has changed.
    """

    visit: RunningVisit
    delta: Delta
    failure: Failure | None = None

    @property
    def outcome(self) -> str:
        """How the step came about, as it is recorded."""
        if self.failure is not None:
            return SKIPPED
        return FALLBACK if self.visit.fallen_back else COMPLETED


class Performer:
    """Makes visits for an interpreter, one at a time or several at once."""

    def __init__(
        self,
        graph: Graph,
        nodes: Mapping[str, Node],
        journal: Journal,
        run_key: tuple[str, int],
        output_dir: Path,
        tools: Tools,
    ) -> None:
        self._graph = graph
        self._nodes = nodes
        self._journal = journal
        self._run_key = run_key
        self._output_dir = output_dir
        self._tools = tools
        self.running: dict[str, RunningVisit] = {}
        """The visits that are being made, by node."""

    async def perform(
        self,
        node_id: str,
        number: int,
        state: dict[str, Any],
        tracker: Tracker,
        *,
        trial: Trial = NEW,
        last_error: LastError | None = None,
    ) -> Performed:
        """Make the visit `number` of a node on the live state, which `tracker` watches.

        Raises VisitFailed where it failed for good and its `on_error` says so. What a visit that was not completed
        changed in the state is undone.
        """
        spec = self._graph.nodes.get(node_id) or NodeSpec(node_id, "")
        visit = RunningVisit(
            self._journal, spec, number, trial, self._run_key, self._output_dir, self._tools, last_error
        )
        visit.beside_others = self._graph.mode == "dag"
        self.running[node_id] = visit
        present = PRESENT.set(visit)
        try:
            while True:
                try:
                    return Performed(visit, await self._try(visit, spec, state, tracker))
                except VisitFailed as failed:
                    if await self._goes_on(visit, spec, failed):
                        return Performed(visit, tracker.commit_delta(state, node_id), failed.failure)
        finally:
            PRESENT.reset(present)
            del self.running[node_id]

    async def _try(self, visit: RunningVisit, spec: NodeSpec, state: dict[str, Any], tracker: Tracker) -> Delta:
        """Run the node's phases, with its attempts, and return what they changed; raises VisitFailed."""
        while True:
            node = self._nodes[spec.id].enter(visit)
            set_retry(node, spec)
            visit.require_attempt(node)
            visit.enter(node)
            visit.begin_attempt()
            try:
                await self._run_phases(node, visit, state)
                delta = tracker.commit_delta(state, spec.id)
                visit.end()
                return delta
            except BaseException as error:
                # Whatever ended the visit, none of its changes stay.
                tracker.rollback(state)
                if not _is_failure_of_node(error):
                    visit.end()
                    raise
                # The execute phase has its tries behind it; where another phase took too long, all of them go again.
                again = isinstance(error, NodeTimeout) and visit.used < node.tries_allowed
                used = visit.used
                failure = visit.fail_attempt(error, final=not again)
                if not again:
                    raise VisitFailed(spec.id, visit.number, visit.attempt, failure, error) from error
            await visit.pause(node.pause_after(used, visit.random()))

    async def _run_phases(self, node: Node, visit: RunningVisit, state: dict[str, Any]) -> None:
        await node.run_phases(state, visit.request_input)
        if visit.chosen is not None and self._graph.mode == "dag":
            raise GotoInDag(
                f"Node {visit.node_id!r} chose {visit.chosen!r} as the next node, and the workflow is of mode dag.",
                cause="In mode dag every node whose incoming edges allow it runs; no node chooses the next.",
                next_step="Put conditions on the edges, or write machine for the workflow's mode.",
            )
        if visit.chosen is not None and visit.chosen not in self._graph.nodes:
            known = ", ".join(self._graph.nodes)
            raise NoSuchNode(
                f"Node {visit.node_id!r} chose {visit.chosen!r} as the next node, and the workflow has no such node.",
                cause=f"The workflow's nodes are: {known}.",
                next_step="Correct the id in the node's code, or add the node to the workflow.",
            )

    async def _goes_on(self, visit: RunningVisit, spec: NodeSpec, failed: VisitFailed) -> bool:
        """Do what `on_error` says: True to go on without the node, False to try it again; else raises `failed`."""
        visit.chosen = None
        reaction = spec.on_error
        if reaction == "ask":
            reaction = await visit.ask_what_to_do(failed.failure)
        if reaction == RETRY:
            return False
        if reaction != SKIP and spec.error_target not in self._graph.nodes:
            raise failed
        way = "skipped" if spec.error_target is None else f"left for {spec.error_target}"
        visit.log("WARNING", f"{spec.id} is {way} after {failed.failure.type}: {failed.failure.message}")
        visit.chosen = spec.error_target
        return True


def _is_failure_of_node(error: BaseException) -> bool:
    """False where the error came from outside to stop the visit."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()  # The node's own code awaited something that was cancelled.
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)
