"""What a run did on its graph: statuses, visits, edges taken, and what conditions came to."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.link.types import ErrorView, InFlight, RequestView, RunView, SkippedNode, StepView
from core.link.workflow_types import EdgeView
from tui.graph_run import NodeState, RunTrail, edge_verdicts, taken_edges


def step(seq: int | None, node: str, visit: int = 1, **fields: Any) -> StepView:
    status = fields.pop("status", "completed" if seq is not None else "failed")
    return StepView(step=seq, node=node, visit=visit, attempt=1, status=status, started_at=0.0, ended_at=1.0, **fields)


def run_view(status: str, **fields: Any) -> RunView:
    view = RunView(
        run_id="r1",
        short_id="r1",
        workflow="w",
        version="v",
        status="running",
        line=1,
        step=0,
        next_node=None,
        created_at=0.0,
        started_at=None,
        ended_at=None,
        awaiting_input=None,
        open_requests=[],
        error=None,
        in_flight=[],
        log_last=0,
        logs_dropped=0,
        source="tui",
        output_dir="",
    )
    return msgspec.structs.replace(view, status=status, **fields)


def question(node: str, visit: int = 1) -> RequestView:
    return RequestView(
        key="k",
        run_id="r1",
        workflow="w",
        node=node,
        visit=visit,
        request_id="q",
        nth=0,
        kind="input",
        input_type="text",
        prompt="?",
        options=None,
        status="open",
        opened_at=0.0,
    )


def trail_of(*steps: StepView) -> RunTrail:
    trail = RunTrail("r1", 1)
    trail.add(steps)
    return trail


def test_completed_nodes_count_their_visits() -> None:
    trail = trail_of(step(1, "a"), step(2, "b"), step(3, "a", 2), step(4, "b", 2))
    states = trail.states(run_view("running", in_flight=[InFlight(node="a", visit=3, attempt=1, started_at=0)]))
    assert states == {"a": NodeState("running", 3), "b": NodeState("completed", 2)}


def test_a_question_makes_its_node_wait_even_without_a_process() -> None:
    trail = trail_of(step(1, "a"))
    states = trail.states(run_view("waiting_input", open_requests=[question("b")], next_node="b"))
    assert states["b"] == NodeState("waiting_input", 1)
    assert states["a"] == NodeState("completed", 1)


def test_a_failed_run_marks_the_node_that_failed() -> None:
    trail = trail_of(step(1, "a"), step(None, "b"), step(None, "b"))
    states = trail.states(run_view("failed", error=ErrorView(type="E", message="m", node="b"), next_node="b"))
    assert states["b"] == NodeState("failed", 1)


def test_a_paused_run_marks_the_node_that_comes_next() -> None:
    assert trail_of(step(1, "a", next_node="b")).states(run_view("paused", next_node="b"))["b"].status == "paused"


def test_a_queued_and_a_blocked_run_mark_their_first_node() -> None:
    for status in ("queued", "blocked"):
        assert trail_of().states(run_view(status, next_node="a")) == {"a": NodeState(status, 0)}


def test_a_completed_run_leaves_only_completed_nodes() -> None:
    states = trail_of(step(1, "a"), step(2, "b")).states(run_view("completed"))
    assert {state.status for state in states.values()} == {"completed"}


def test_in_a_dag_every_edge_that_holds_is_taken_and_skipped_nodes_are_marked() -> None:
    first = step(1, "a", next_node="x", reason="dag", taken=["x", "z"], edge_errors={"w: r": "KeyError: 'r'"})
    assert words(first) == ["taken", "no", "taken", "error"]
    trail = trail_of(first)
    assert taken_edges(EDGES, trail) == {0: 1, 2: 1}
    run = run_view("running", skipped=[SkippedNode(node="y", because=["a → y: q does not hold"])])
    assert trail.states(run) == {"a": NodeState("completed", 1), "y": NodeState("skipped")}


def test_a_cancelled_run_marks_where_it_was() -> None:
    trail = trail_of(step(1, "a", next_node="b"))
    assert trail.states(run_view("cancelled", next_node="b"))["b"].status == "cancelled"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 7))
def test_reading_in_pages_and_twice_gives_what_reading_at_once_gives(nodes: list[str], page: int) -> None:
    visits: dict[str, int] = {}
    steps: list[StepView] = []
    for seq, node in enumerate(nodes, start=1):
        visits[node] = visits.get(node, 0) + 1
        following = nodes[seq] if seq < len(nodes) else None
        steps.append(step(None, node, visits[node]))
        steps.append(step(seq, node, visits[node], next_node=following))
    at_once = trail_of(*steps)
    in_pages = RunTrail("r1", 1)
    for begin in range(0, len(steps), page):
        in_pages.add(steps[max(0, begin - 1) : begin + page])
    assert in_pages.states(run_view("completed")) == at_once.states(run_view("completed"))
    assert in_pages.taken == at_once.taken
    assert in_pages.seq == at_once.seq == len(nodes)


EDGES = [
    EdgeView(from_id="a", to_id="x", condition="p"),
    EdgeView(from_id="a", to_id="y", condition="q"),
    EdgeView(from_id="a", to_id="z"),
    EdgeView(from_id="a", to_id="w", condition="r"),
]


def words(view: StepView | None, edges: list[EdgeView] = EDGES) -> list[str]:
    return [word for word, _ in edge_verdicts(edges, view)]


def test_the_first_condition_that_holds_is_taken_and_later_ones_are_not_asked() -> None:
    view = step(1, "a", next_node="y", reason="edge", condition="q")
    assert words(view) == ["no", "taken", "not asked", "not asked"]


def test_the_default_edge_is_taken_when_no_condition_holds() -> None:
    assert words(step(1, "a", next_node="z", reason="default")) == ["no", "no", "taken", "no"]


def test_the_condition_true_wins_and_nothing_else_is_asked() -> None:
    edges = [EDGES[0], EdgeView(from_id="a", to_id="y", condition="True")]
    assert words(step(1, "a", next_node="y", reason="true", condition="True"), edges) == ["not asked", "taken"]


def test_a_condition_that_fails_shows_its_error() -> None:
    view = step(1, "a", next_node="y", reason="edge", condition="q", edge_errors={"x: p": "KeyError: 'p'"})
    assert edge_verdicts(EDGES, view)[0] == ("error", "KeyError: 'p'")


def test_a_choice_of_the_node_asks_no_condition() -> None:
    assert words(step(1, "a", next_node="x", reason="goto")) == ["taken", "not asked", "not asked", "not asked"]


def test_the_end_of_the_run_says_no_to_every_condition() -> None:
    assert words(step(1, "a", reason="end"), EDGES[:2]) == ["no", "no"]


def test_a_node_without_a_visit_has_no_verdicts() -> None:
    assert words(None) == ["", "", "", ""]


def test_edges_taken_are_counted_one_by_one_also_between_the_same_nodes() -> None:
    edges = [
        EdgeView(from_id="a", to_id="b", condition="p"),
        EdgeView(from_id="a", to_id="b"),
        EdgeView(from_id="b", to_id="a"),
    ]
    trail = trail_of(
        step(1, "a", next_node="b", reason="edge", condition="p"),
        step(2, "b", next_node="a", reason="default"),
        step(3, "a", 2, next_node="b", reason="default"),
        step(4, "b", 2, next_node="elsewhere", reason="goto"),
    )
    assert taken_edges(edges, trail) == {0: 1, 1: 1, 2: 1}
