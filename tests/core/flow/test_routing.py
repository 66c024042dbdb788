"""Which node comes next."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.flow.routing import choose_next
from core.sdk import Edge

CONDITIONS = {
    "": None,
    "   ": None,
    "True": True,
    " True ": True,
    "shared['n'] > 2": lambda n: n > 2,
    "shared['n'] % 2": lambda n: n % 2 == 1,
    "shared['n'] == 1": lambda n: n == 1,
    "shared['missing']": False,
    "1 / 0 == 1": False,
    "not python": False,
    "bool(1)": True,
}
conditions = st.sampled_from(list(CONDITIONS))
edge_lists = st.lists(st.builds(EdgeSpec, st.just("a"), st.sampled_from("abcd"), conditions), max_size=6)


def expected(edges: list[EdgeSpec], n: int) -> str | None:
    """The rules as the reference page tells them, one after the other."""
    for edge in edges:
        if edge.condition.strip() == "True":
            return edge.to_id
    for edge in edges:
        holds = CONDITIONS[edge.condition]
        if holds is True or (callable(holds) and holds(n)):
            return edge.to_id
    for edge in edges:
        if not edge.condition.strip():
            return edge.to_id
    return None


@given(edges=edge_lists, n=st.integers(0, 5))
def test_the_choice_is_the_one_of_the_rules(edges: list[EdgeSpec], n: int) -> None:
    routing = choose_next(edges, {"n": n})
    assert routing.next == expected(edges, n)
    reasons = {None: "end", "": "default"}
    if routing.condition.strip() == "True":
        assert routing.reason == "true"
    else:
        assert routing.reason == (reasons[None] if routing.next is None else reasons.get(routing.condition, "edge"))


@given(edges=edge_lists, n=st.integers(0, 5))
def test_the_choice_is_one_of_the_edges_there_are_and_nothing_only_where_no_edge_may_be_taken(
    edges: list[EdgeSpec], n: int
) -> None:
    routing = choose_next(edges, {"n": n})
    chosen = [
        edge for edge in edges if (edge.to_id, edge.condition.strip()) == (routing.next, routing.condition.strip())
    ]
    assert bool(chosen) is (routing.next is not None)
    if routing.next is None:
        assert not any(not edge.condition.strip() or edge.condition.strip() == "True" for edge in edges)


@given(edges=edge_lists, n=st.integers(0, 5), more=edge_lists)
def test_a_default_edge_never_wins_over_one_whose_condition_holds(
    edges: list[EdgeSpec], n: int, more: list[EdgeSpec]
) -> None:
    before = choose_next(edges, {"n": n})
    defaults = [EdgeSpec("a", edge.to_id) for edge in more]
    after = choose_next([*defaults, *edges], {"n": n})
    if before.reason in ("true", "edge"):
        assert (after.next, after.reason) == (before.next, before.reason)
    elif defaults:
        assert (after.next, after.reason) == (defaults[0].to_id, "default")


@given(edges=edge_lists, n=st.integers(0, 5))
def test_the_engine_of_the_original_names_chooses_alike(edges: list[EdgeSpec], n: int) -> None:
    holds = [Edge("a", edge.to_id, edge.condition).should_transition({"n": n}) for edge in edges]
    routing = choose_next(edges, {"n": n})
    if routing.reason == "edge":
        first = next(i for i, edge in enumerate(edges) if edge.condition.strip() and holds[i])
        assert (edges[first].to_id, edges[first].condition) == (routing.next, routing.condition)
    elif routing.reason in ("default", "end"):
        assert not any(held for edge, held in zip(edges, holds, strict=True) if edge.condition.strip())


class Walk(RuleBasedStateMachine):
    """A graph that grows edge by edge while a state is walked through it."""

    @initialize(start=st.sampled_from("abcd"))
    def begin(self, start: str) -> None:
        self.edges: list[EdgeSpec] = []
        self.state: dict[str, Any] = {"n": 0}
        self.here: str | None = start

    @rule(source=st.sampled_from("abcd"), to=st.sampled_from("abcd"), condition=conditions)
    def add_edge(self, source: str, to: str, condition: str) -> None:
        self.edges.append(EdgeSpec(source, to, condition))

    @rule(n=st.integers(0, 5))
    def change_the_state(self, n: int) -> None:
        self.state["n"] = n

    @rule()
    def walk(self) -> None:
        if self.here is None:
            return
        graph = Graph("g", {node: NodeSpec(node, "N") for node in "abcd"}, tuple(self.edges), "a")
        leaving = graph.edges_from(self.here)
        chosen = choose_next(leaving, self.state)
        assert chosen.next == expected([edge for edge in self.edges if edge.from_id == self.here], self.state["n"])
        self.here = chosen.next

    @invariant()
    def the_choice_changes_nothing(self) -> None:
        assert list(getattr(self, "state", {"n": 0})) == ["n"]


TestWalk = Walk.TestCase


def test_what_went_wrong_in_a_condition_is_kept_with_its_edge() -> None:
    edges = [EdgeSpec("a", "b", "shared['missing'] > 1"), EdgeSpec("a", "c", "1 +"), EdgeSpec("a", "d")]
    routing = choose_next(edges, {})
    assert (routing.next, routing.reason) == ("d", "default")
    assert routing.errors["b: shared['missing'] > 1"] == "KeyError: 'missing'"
    assert routing.errors["c: 1 +"].startswith("SyntaxError")


def test_the_condition_that_held_is_named() -> None:
    routing = choose_next([EdgeSpec("a", "b", "shared['n'] == 1")], {"n": 1})
    assert (routing.next, routing.reason, routing.condition) == ("b", "edge", "shared['n'] == 1")
