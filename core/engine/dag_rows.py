"""A dag's position, rebuilt from the rows of its committed steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

from core.flow.dag_shape import DagShape
from core.flow.dag_state import Changes, DagState
from core.flow.graph import Graph
from core.flow.json_text import dumps
from core.flow.reducers import parse_reducers
from core.flow.settling import Settling
from core.link.types import SkippedNode
from core.store.records import AttemptRow, StepRow
from core.store.store import Store

STEPS_AT_ONCE = 1_000


async def settling_of(store: Store, graph: Graph, line: int) -> Settling:
    """What is done and skipped by a line's committed steps."""
    return settle(graph, await committed(store, line))


def settle(graph: Graph, steps: Iterable[StepRow]) -> Settling:
    """What is done and skipped by these steps; those of nodes that the graph doesn't have are passed over."""
    settling = Settling(DagShape(graph))
    for step in steps:
        if step.node in graph.nodes:
            settling.complete(step.node, _routing(step).get("taken", ()))
    return settling


async def committed(store: Store, line: int) -> list[StepRow]:
    """Every step of a line's history but step 0."""
    rows: list[StepRow] = []
    while some := await store.steps(line, len(rows), STEPS_AT_ONCE):
        rows += some
    return rows


async def init_of_dag(store: Store, line: int) -> tuple[dict[str, Any], bytes]:
    """What the init frame of a dag has beyond that of a machine, and its payload (see `core.runner.wire`)."""
    _, initial = await store.state_at(line, 0)
    payload = [initial]
    history: list[list[Any]] = []
    for step, (operations, blobs) in zip(await committed(store, line), await store.own_changes(line), strict=True):
        routing = _routing(step)
        lengths = [len(operations), list(map(len, blobs))]
        history.append([step.node, routing.get("taken", []), routing.get("refused", []), *lengths])
        payload += [operations, *blobs]
    return {"initial": len(initial), "history": history}, b"".join(payload)


async def seen_by(
    store: Store, graph: Graph, line: int, seq: int, node: str, *, with_own_changes: bool = False
) -> bytes:
    """The JSON text of the state that a node sees after step `seq`: with the changes of its ancestors alone, or with
    its own too, as its conditions see it."""
    _, initial = await store.state_at(line, 0)
    steps, changes = (await committed(store, line))[:seq], await store.own_changes(line)

    def fold() -> bytes:
        state = DagState(DagShape(graph), parse_reducers(graph.reducers), initial)
        for step, (operations, blobs) in zip(steps, changes, strict=False):
            state.replay(step.node, Changes(operations, tuple(blobs)))
        return dumps(state.seen_by(node, after=with_own_changes))

    return await asyncio.to_thread(fold)


def used_attempts(attempts: Sequence[AttemptRow], line: int, done: Iterable[str]) -> dict[str, int]:
    """The attempts that are used up, by node, of a line's own visits that are not complete."""
    complete = set(done)
    used: dict[str, int] = {}
    for row in attempts:
        if row.line == line and row.node not in complete:
            used[row.node] = max(used.get(row.node, 0), row.attempt)
    return used


def skipped_view(graph: Graph, settling: Settling) -> list[SkippedNode]:
    """The nodes that are skipped, in the order of the file, each with why."""
    return [
        SkippedNode(node=node, because=why_skipped(graph, settling, node))
        for node in graph.nodes
        if node in settling.skipped
    ]


def why_skipped(graph: Graph, settling: Settling, node: str) -> list[str]:
    """Why none of the edges to a node came true."""
    reasons: list[str] = []
    for edge in graph.edges:
        if edge.to_id != node:
            continue
        if edge.from_id in settling.skipped:
            reasons.append(f"{edge.from_id} was skipped")
        else:
            reasons.append(f"{edge.from_id} → {node}: {edge.condition} does not hold")
    return list(dict.fromkeys(reasons))


def _routing(step: StepRow) -> dict[str, Any]:
    routing: dict[str, Any] = json.loads(step.routing) if step.routing else {}
    return routing
