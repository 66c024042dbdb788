"""Runs a graph node by node: one visit at a time, each recorded in the journal before the next begins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import DefinitionError, NodeCodeMissing, NoSuchNode, RondoError, RunAtRest
from core.flow.delta import StateTracker
from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.flow.journal import Failure, Journal, Routing, StepRecord
from core.flow.routing import choose_next
from core.flow.visit import RunningVisit
from core.sdk.node import Node, find_node_class, make_node
from core.sdk.tools import Tools


@dataclass(slots=True)
class Position:
    """Where a run is: the last committed step, the node to enter, completed visits by node.

    `attempts` counts the attempts of the next visit that are used up already.
    """

    seq: int = 0
    next_node: str | None = None
    visits: dict[str, int] = field(default_factory=dict)
    attempts: int = 0


class VisitFailed(RondoError):
    """A visit failed for good; `failure` says why, `error` is the exception itself."""

    def __init__(self, node: str, visit: int, attempt: int, failure: Failure, error: BaseException) -> None:
        super().__init__(f"{failure.type}: {failure.message}", cause=failure.cause, next_step=failure.next_step)
        self.node = node
        self.visit = visit
        self.attempt = attempt
        self.failure = failure
        self.error = error


class Interpreter:
    """Runs a graph of mode "machine" from a position on; `state` is the live state and is changed in place.

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
        for node_id in (*graph.nodes, *([position.next_node] if position.next_node is not None else [])):
            if node_id not in nodes:
                raise _node_missing(node_id)
        self.state = state
        self.position = position
        self.tracker = StateTracker(state, since_snapshot)
        self._graph = graph
        self._nodes = nodes
        self._journal = journal
        self._run_key = (run_key, line)
        self._output_dir = output_dir
        self._tools = Tools(tools)
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
        visit = RunningVisit(
            self._journal, node_id, number, position.attempts, self._run_key, self._output_dir, self._tools
        )
        visit.begin_attempt()
        try:
            await self._execute(node_id, visit)
            delta = self.tracker.commit_delta(self.state, node_id)
        except BaseException as error:
            self.tracker.rollback(self.state)
            if not _is_failure_of_node(error):
                raise
            failure = visit.fail_attempt(error)
            position.attempts = visit.attempt
            raise VisitFailed(node_id, number, visit.attempt, failure, error) from error
        routing = self._route(node_id, visit)
        record = StepRecord(
            seq=position.seq + 1,
            node=node_id,
            visit=number,
            attempt=visit.attempt,
            started_at=visit.started_at,
            ended_at=self._journal.now(),
            routing=routing,
            delta=delta,
            snapshot=self.tracker.take_snapshot(),
        )
        await self._journal.step(record)
        position.seq += 1
        position.next_node = routing.next
        position.visits[node_id] = number
        position.attempts = 0
        return record

    async def _execute(self, node_id: str, visit: RunningVisit) -> None:
        """Run the node's phases on a copy of it."""
        node = self._nodes[node_id].enter(visit)
        _set_retry(node, self._graph.nodes.get(node_id))
        await node.run_phases(self.state, visit.request_input)
        if visit.chosen is not None and visit.chosen not in self._graph.nodes:
            known = ", ".join(self._graph.nodes)
            raise NoSuchNode(
                f"Node {node_id!r} chose {visit.chosen!r} as the next node, and the workflow has no such node.",
                cause=f"The workflow's nodes are: {known}.",
                next_step="Correct the id in the node's code, or add the node to the workflow.",
            )

    def _route(self, node_id: str, visit: RunningVisit) -> Routing:
        """Choose the next node and log why, where there was a choice."""
        edges = self._edges[node_id]
        routing = Routing(visit.chosen, "goto") if visit.chosen is not None else choose_next(edges, self.state)
        if routing.reason != "goto" and len(edges) < 2 and not any(edge.condition for edge in edges):
            return routing
        for edge, error in routing.errors.items():
            self._journal.log(
                "EDGE", f"{node_id} -> {edge} counts as false: {error}", node_id, visit.number, visit.attempt
            )
        text = f"{node_id} -> {routing.next or 'end'}: {_reason(routing)}"
        self._journal.log("EDGE", text, node_id, visit.number, visit.attempt)
        return routing


def build_nodes(graph: Graph, namespace: Mapping[str, Any] | None = None) -> dict[str, Node]:
    """An instance for each node of a graph; classes come from `namespace` (the workflow's module) first.

    Raises NodeCodeMissing where there is no class of that name or it can't be made from id and config.
    """
    nodes: dict[str, Node] = {}
    for spec in graph.nodes.values():
        try:
            node = make_node(find_node_class(spec.class_name, namespace), spec.id, spec.config)
        except Exception as error:
            raise NodeCodeMissing(
                f"Node {spec.id!r} can't be made: {error}",
                cause=f"The workflow names the class {spec.class_name!r} for it.",
                next_step="Define that class in the workflow's nodes.py, or correct the name in its JSON.",
            ) from error
        for edge in graph.edges_from(spec.id):
            node.add_edge(edge.to_id, edge.condition)
        _set_retry(node, spec)
        nodes[spec.id] = node
    return nodes


def _set_retry(node: Node, spec: NodeSpec | None) -> None:
    if spec is not None and spec.retry is not None:
        node.max_retries = spec.retry.attempts
        node.wait = spec.retry.wait
        node.backoff = spec.retry.backoff


def _is_failure_of_node(error: BaseException) -> bool:
    """False where the error came from outside to stop the visit."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()  # The node's own code awaited something that was cancelled.
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)


def _reason(routing: Routing) -> str:
    match routing.reason:
        case "goto":
            return "the node chose it"
        case "true":
            return "its condition is True"
        case "edge":
            return f"{routing.condition} holds"
        case "default":
            return "the default edge, no condition holds"
        case _:
            return "no edge holds"


def _node_missing(node_id: str) -> NodeCodeMissing:
    return NodeCodeMissing(
        f"There is no code for the node {node_id!r}.",
        cause="The run's graph or its position names it, and no instance was made for it.",
        next_step="Add the node to the workflow, or start a new run.",
    )
