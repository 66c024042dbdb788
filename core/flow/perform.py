"""Makes one visit of a node: its attempts, its phases, and what it changed, in either mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from core.errors import GotoInDag, NoSuchNode, RondoError
from core.flow.graph import Graph
from core.flow.journal import Delta, Failure, Journal
from core.flow.nodes import set_retry
from core.flow.visit import RunningVisit
from core.sdk.node import Node
from core.sdk.tools import Tools


class VisitFailed(RondoError):
    """A visit failed for good; `failure` says why, `error` is the exception itself."""

    def __init__(self, node: str, visit: int, attempt: int, failure: Failure, error: BaseException) -> None:
        super().__init__(f"{failure.type}: {failure.message}", cause=failure.cause, next_step=failure.next_step)
        self.node = node
        self.visit = visit
        self.attempt = attempt
        self.failure = failure
        self.error = error


class Tracker(Protocol):
    """Knows what a visit changes in the state it works on (see `core.flow.delta.StateTracker`)."""

    def commit_delta(self, shared: dict[str, Any], node: str = "") -> Delta: ...
    def rollback(self, shared: dict[str, Any]) -> None: ...


class Performed(NamedTuple):
    """A visit that came to its end, and what it changed in the state."""

    visit: RunningVisit
    delta: Delta


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
        self, node_id: str, number: int, attempts_used: int, state: dict[str, Any], tracker: Tracker
    ) -> Performed:
        """Make the visit `number` of a node on the live state, which `tracker` watches.

        Raises VisitFailed where it failed for good. What a visit that was not completed changed in the state is undone.
        """
        visit = RunningVisit(
            self._journal, node_id, number, attempts_used, self._run_key, self._output_dir, self._tools
        )
        visit.begin_attempt()
        self.running[node_id] = visit
        try:
            await self._run_phases(node_id, visit, state)
            return Performed(visit, tracker.commit_delta(state, node_id))
        except BaseException as error:
            tracker.rollback(state)
            if not _is_failure_of_node(error):
                raise
            failure = visit.fail_attempt(error)
            raise VisitFailed(node_id, number, visit.attempt, failure, error) from error
        finally:
            del self.running[node_id]

    async def _run_phases(self, node_id: str, visit: RunningVisit, state: dict[str, Any]) -> None:
        """Run the node's phases on a copy of it."""
        node = self._nodes[node_id].enter(visit)
        set_retry(node, self._graph.nodes.get(node_id))
        await node.run_phases(state, visit.request_input)
        if visit.chosen is not None and self._graph.mode == "dag":
            raise GotoInDag(
                f"Node {node_id!r} chose {visit.chosen!r} as the next node, and the workflow is of mode dag.",
                cause="In mode dag every node whose incoming edges allow it runs; no node chooses the next.",
                next_step="Put conditions on the edges, or write machine for the workflow's mode.",
            )
        if visit.chosen is not None and visit.chosen not in self._graph.nodes:
            known = ", ".join(self._graph.nodes)
            raise NoSuchNode(
                f"Node {node_id!r} chose {visit.chosen!r} as the next node, and the workflow has no such node.",
                cause=f"The workflow's nodes are: {known}.",
                next_step="Correct the id in the node's code, or add the node to the workflow.",
            )


def _is_failure_of_node(error: BaseException) -> bool:
    """False where the error came from outside to stop the visit."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()  # The node's own code awaited something that was cancelled.
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)
