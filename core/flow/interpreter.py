"""Runs a graph node by node: one visit at a time, each recorded in the journal before the next begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from core.errors import DefinitionError, RunAtRest
from core.flow.delta import StateTracker
from core.flow.graph import EdgeSpec, Graph
from core.flow.journal import Journal, Routing, StepRecord
from core.flow.nodes import require_nodes
from core.flow.perform import Performed, Performer
from core.flow.position import NEW, Position, Trial
from core.flow.routing import choose_next
from core.flow.visit import VisitFailed
from core.sdk.node import Node
from core.sdk.tools import Tools
from core.sdk.visit import LastError


class Interpreter:
    """Runs a graph of mode "machine" from a position on; `state` is the live state and is changed in place; one of
    `as_nodes_see` shows them their tools, too.

    `run_key` names the run and `line` its line: idempotency keys are made from them. `since_snapshot` is the bytes and
    steps of deltas since the last snapshot. Raises NodeCodeMissing where a node has no instance.
    """

    def __init__(
        self,
        graph: Graph,
        nodes: Mapping[str, Node],
        journal: Journal,
        state: dict[str, Any],
        *,
        position: Position,
        run_key: str = "",
        line: int = 0,
        output_dir: Path = Path("output"),
        tools: Mapping[str, Any] | None = None,
        since_snapshot: tuple[int, int] = (0, 0),
    ) -> None:
        if graph.mode != "machine":
            raise DefinitionError(
                f"The workflow's mode is {graph.mode!r}.",
                cause="This version runs workflows of mode 'machine' only.",
                next_step='Take "mode" out of the workflow\'s JSON.',
            )
        require_nodes(graph.nodes, nodes)
        if position.next_node is not None:
            require_nodes([position.next_node], nodes)
        self.state = state
        self.position = position
        self.tracker = StateTracker(state, since_snapshot)
        self._journal = journal
        self._performer = Performer(graph, nodes, journal, (run_key, line), output_dir, Tools(tools))
        self._edges: dict[str, list[EdgeSpec]] = {node_id: [] for node_id in graph.nodes}
        for edge in graph.edges:
            self._edges.setdefault(edge.from_id, []).append(edge)

    async def run(self, until: Literal["end", "step"] = "end") -> StepRecord:
        """Make one visit, or visits until the run is complete; return the last step. Raises VisitFailed."""
        record = await self.advance()
        while until == "end" and self.position.next_node is not None:
            record = await self.advance()
        return record

    async def advance(self) -> StepRecord:
        """Make one visit, with its retries, and return when its step is durable.

        Raises VisitFailed where it failed for good. What a visit that was not completed changed in the state is undone.
        """
        position = self.position
        node_id = position.next_node
        if node_id is None:
            raise RunAtRest("The run is complete.", next_step="Start a new run.")
        number = position.visits.get(node_id, 0) + 1
        try:
            performed = await self._performer.perform(
                node_id,
                number,
                self.state,
                self.tracker,
                trial=position.trials.get(node_id, NEW),
                last_error=position.last_error,
            )
        except VisitFailed as failed:
            position.trials[node_id] = Trial(failed.attempt, failed.attempt)
            raise
        visit, failure = performed.visit, performed.failure
        routing = self._route(node_id, performed)
        record = StepRecord(
            seq=position.seq + 1,
            node=node_id,
            visit=number,
            attempt=visit.attempt,
            started_at=visit.started_at,
            ended_at=self._journal.now(),
            routing=routing,
            delta=performed.delta,
            snapshot=self.tracker.take_snapshot(),
            outcome=performed.outcome,
            failure=failure,
        )
        await self._journal.step(record)
        position.seq += 1
        position.next_node = routing.next
        position.visits[node_id] = number
        position.trials.pop(node_id, None)
        position.last_error = None if failure is None else LastError(node_id, failure.type, failure.message)
        return record

    def choose_again(self, node_id: str) -> None:
        """Choose the next node among a node's edges once more: the graph or the state is not what it was then."""
        routing = choose_next(self._edges[node_id], self.state)
        self.position.next_node = routing.next
        text = f"{node_id} -> {routing.next or 'end'}, chosen again: {_reason(routing)}"
        self._journal.log("INFO", text, node_id)

    def _route(self, node_id: str, performed: Performed) -> Routing:
        """Choose the next node and log why, where there was a choice."""
        edges, visit = self._edges[node_id], performed.visit
        if visit.chosen is not None:
            routing = Routing(visit.chosen, "goto" if performed.failure is None else "on_error")
        else:
            routing = choose_next(edges, self.state)
        if routing.reason not in ("goto", "on_error") and len(edges) < 2 and not any(edge.condition for edge in edges):
            return routing
        for edge, error in routing.errors.items():
            self._journal.log(
                "EDGE", f"{node_id} -> {edge} counts as false: {error}", node_id, visit.number, visit.attempt
            )
        text = f"{node_id} -> {routing.next or 'end'}: {_reason(routing)}"
        self._journal.log("EDGE", text, node_id, visit.number, visit.attempt)
        return routing


def _reason(routing: Routing) -> str:
    match routing.reason:
        case "goto":
            return "the node chose it"
        case "on_error":
            return "on_error of the node that failed"
        case "true":
            return "its condition is True"
        case "edge":
            return f"{routing.condition} holds"
        case "default":
            return "the default edge, no condition holds"
        case _:
            return "no edge holds"
