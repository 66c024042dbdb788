"""Where a line goes on: the committed next node, unless the version or the state is another than when it was chosen."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.errors import NodeGone, RunAtRest
from core.flow.graph import Graph
from core.store.records import StepRow
from core.store.store import Store

EDIT = "edit"
"""The routing reason of a step without a node: a person changed the state."""
ALONE = "alone"
"""The routing reason of the step before a node that runs alone; also the `until` of such a run."""


@dataclass(frozen=True, slots=True)
class Onward:
    """`next` is the node to enter; with `choose_from` the run process chooses it again among that node's edges."""

    next: str | None
    choose_from: str | None = None


async def find_onward(
    store: Store, graph: Graph, version: str, line: int, seq: int, *, own: int | None = None, edited: bool = False
) -> Onward:
    """How a line of this version and graph goes on after step `seq` of a line's history.

    `own` is the line that goes on: what it committed itself stands. `edited` says that the state is to be changed.
    """
    row = await step_row(store, line, seq)
    if graph.mode == "dag":
        # What is ready follows from what is done, and is worked out anew each time.
        return Onward(row.next)
    while reason_of(row) == EDIT:
        edited = True
        row = await step_row(store, line, row.seq - 1)
    if (row.line == own and not edited) or reason_of(row) in (ALONE, "goto", "on_error"):
        return Onward(row.next)
    ran_under = (await store.line_by_number(row.line)).version
    if row.seq == 0:
        return Onward(row.next if ran_under == version else graph.start)
    gone = row.next is not None and row.next not in graph.nodes
    if gone or row.node not in graph.nodes:
        # Whoever took a node out has to say where the run goes on instead: no other way is guessed.
        return Onward(row.next)
    if edited or await _edges_differ(store, graph, version, row.node, ran_under):
        return Onward(row.next, row.node)
    return Onward(row.next)


async def _edges_differ(store: Store, graph: Graph, version: str, node: str, ran_under: str) -> bool:
    if ran_under == version:
        return False
    before = await store.version(ran_under)
    return before is None or Graph.from_dict(json.loads(before.graph)).edges_from(node) != graph.edges_from(node)


def check_onward(onward: Onward, graph: Graph, seq: int, short_id: str) -> None:
    """Raise NodeGone where the next node is not in the graph, RunAtRest where nothing follows."""
    if onward.choose_from is not None:
        return
    if onward.next is None:
        raise RunAtRest(
            f"Nothing follows step {seq} of run {short_id}.",
            cause="It was the last one: no edge leads on from it.",
            next_step=f"Choose an earlier step: rondo show {short_id}",
        )
    if onward.next not in graph.nodes:
        raise NodeGone(
            f"The run goes on with node {onward.next!r}, which the workflow does not have any more.",
            cause=f"Its nodes are now: {', '.join(graph.nodes)}.",
            next_step="Bring the node back, choose an earlier step, or go on under the version of then: --same-version",
        )


async def step_row(store: Store, line: int, seq: int) -> StepRow:
    """One step of a line's history; raises UnknownStep."""
    rows = await store.steps(line, seq - 1, 1)
    if not rows or rows[0].seq != seq:
        raise await store.unknown_step(line, seq)
    return rows[0]


def reason_of(row: StepRow) -> str:
    """Why the step's next node is the next."""
    reason: str = json.loads(row.routing).get("reason", "default") if row.routing else "default"
    return reason


def alone(graph: Graph) -> Graph:
    """The graph in which each node stands alone, so that nothing else runs."""
    return Graph(
        name=graph.name,
        nodes=graph.nodes,
        edges=(),
        start=graph.start,
        description=graph.description,
        initial_state=graph.initial_state,
        inputs=graph.inputs,
    )
