"""What changed in a graph, in words that a person can check."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.definition.graph_difference import diff_graphs, summary_of
from core.flow.graph import Graph

NAMES = st.sampled_from(["a", "b", "c", "d"])


def graph(nodes: list[Any], edges: list[Any] = (), **rest: Any) -> Graph:
    entries = [node if isinstance(node, dict) else {"id": node, "class": "Node"} for node in nodes]
    lines = [{"from": edge[0], "to": edge[1], "condition": edge[2] if len(edge) > 2 else ""} for edge in edges]
    return Graph.from_dict({"name": "w", "start": entries[0]["id"], "nodes": entries, "edges": lines, **rest})


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = draw(st.lists(NAMES, min_size=1, unique=True))
    nodes = [
        {"id": name, "class": draw(st.sampled_from("XY")), "config": draw(st.dictionaries(NAMES, st.integers(0, 2)))}
        for name in names
    ]
    end = st.sampled_from(names)
    edges = draw(st.lists(st.tuples(end, end, st.sampled_from(["", "True", "shared['n']"])), max_size=5))
    return graph(nodes, edges, initial_state=draw(st.dictionaries(NAMES, st.booleans())))


@given(graphs(), graphs())
def test_nothing_is_said_of_equal_graphs_and_something_of_all_others(one: Graph, other: Graph) -> None:
    assert diff_graphs(one, one) == []
    assert bool(diff_graphs(one, other)) == (one.to_dict() != other.to_dict())
    assert bool(summary_of(diff_graphs(one, other))) == bool(diff_graphs(one, other))


@given(graphs(), graphs())
def test_the_way_back_turns_added_into_removed(one: Graph, other: Graph) -> None:
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    there = sorted((change.kind, change.subject, change.name) for change in diff_graphs(one, other))
    back = sorted((turned[change.kind], change.subject, change.name) for change in diff_graphs(other, one))
    assert there == back


def test_changes_are_told_in_words() -> None:
    old = graph(
        ["a", {"id": "b", "class": "Draft", "config": {"limit": 3, "tone": "dry"}}, "c"],
        [("a", "b"), ("b", "c", "x > 1")],
    )
    new = graph(
        ["a", {"id": "b", "class": "Review", "config": {"limit": 5}}, "d"],
        [("a", "b", "ok"), ("b", "d", "y")],
        start="d",
    )
    texts = [change.text for change in diff_graphs(old, new)]
    assert texts == [
        "node b: class: Draft → Review; config.limit: 3 → 5; config.tone removed (was dry)",
        "node c removed (Node)",
        "node d added (Node)",
        "edge a → b: condition added: ok",
        "edge b → c removed (when x > 1)",
        "edge b → d added (when y)",
        "start: a → d",
    ]
    assert summary_of(diff_graphs(old, new)) == (
        "+node d, -node c, ~node b, +edge b → d, -edge b → c, ~edge a → b, ~start"
    )


def test_what_a_terminal_would_obey_is_written_out() -> None:
    old, new = graph(["a"]), graph(["a"], description="\x1b[2J")
    assert "\x1b" not in diff_graphs(old, new)[0].text
