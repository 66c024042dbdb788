"""`rondo graph NAME`: the graph as text."""

from __future__ import annotations

import subprocess
import sys

from rich.cells import cell_len

from core.drawing.labels import condition_label, node_name
from core.drawing.text import draw_text
from core.flow.graph import EdgeSpec, Graph, NodeSpec


def graph_of(*edges: tuple[str, ...], more: tuple[str, ...] = ()) -> Graph:
    ids = dict.fromkeys([name for edge in edges for name in edge[:2]] + list(more))
    specs = tuple(EdgeSpec(edge[0], edge[1], edge[2] if len(edge) > 2 else "") for edge in edges)
    return Graph("text", {node: NodeSpec(node, "Step") for node in ids}, specs, next(iter(ids), ""))


def star(count: int) -> Graph:
    return graph_of(*(("hub", f"leaf_{number:02}", f"shared['n'] == {number}") for number in range(count)))


def test_every_node_and_condition_is_drawn_where_there_is_room() -> None:
    text = draw_text(graph_of(("fetch", "sort", "shared['n'] > 0"), ("sort", "store")))
    assert all(word in text for word in ("fetch", "sort", "store", "n > 0", "┏", "▼"))
    assert "Conditions in full" not in text


def test_statuses_are_signs_in_the_boxes() -> None:
    text = draw_text(graph_of(("a", "b"), ("b", "c")), statuses={"a": "completed", "b": "waiting_input"})
    assert "✓ a" in text
    assert "◐ b" in text


def test_a_condition_that_was_cut_is_listed_in_full() -> None:
    condition = "shared['answer']['decision'] == 'approve' and shared['score'] > 80"
    text = draw_text(graph_of(("ask", "go", condition)))
    assert f"ask → go  if {condition}" in text


def test_a_graph_too_wide_for_boxes_is_drawn_with_chips() -> None:
    graph = graph_of(*((f"left_node_{n}", f"right_node_{n}") for n in range(3)), ("left_node_0", "right_node_1"))
    wide = draw_text(graph)
    widest = max(cell_len(row) for row in wide.split("\n"))
    narrow = draw_text(graph, width=widest)
    assert narrow == wide
    edges = [(f"s{n}", f"t{n}{m}") for n in range(1) for m in range(6)]
    fan = graph_of(*edges)
    boxes = draw_text(fan)
    fitting = draw_text(fan, width=max(cell_len(row) for row in boxes.split("\n")))
    assert "╭" in fitting


def test_a_graph_wider_than_the_terminal_says_so_and_lists_all_edges() -> None:
    text = draw_text(star(20), width=80)
    rows = text.split("\n")
    assert "cells wide; here are 80" in rows[0]
    assert "of 21 nodes" in rows[1]
    assert all(cell_len(row) <= 80 for row in rows)
    assert sum(" → leaf_" in row for row in rows) == 20
    assert "┃" in text


def test_a_terminal_too_narrow_for_any_drawing_gets_the_list() -> None:
    text = draw_text(graph_of(("a_rather_long_name", "another_long_name")), width=10)
    assert "a_rather_long_name → another_long_name" in text
    assert "▼" not in text


def test_an_empty_workflow_says_that_it_is() -> None:
    assert draw_text(Graph("empty", {}, (), "")) == "This workflow has no nodes."


def test_edges_to_nowhere_are_left_out_and_the_rest_is_drawn() -> None:
    graph = Graph("broken", {"a": NodeSpec("a", "A")}, (EdgeSpec("a", "gone"), EdgeSpec("gone", "a")), "gone")
    text = draw_text(graph)
    assert "a" in text
    assert "gone" not in text


def test_control_characters_never_reach_the_terminal() -> None:
    graph = graph_of(("a\x1b[31m\nb", "c\x07", "shared['x'] ==\n '\x1b]0;title\x07' and '\u202e'"))
    text = draw_text(graph)
    assert not {character for character in text if ord(character) < 0x20 and character != "\n"}
    assert "\u202e" not in text


def test_conditions_are_shortened_for_the_canvas() -> None:
    assert condition_label("shared['digest']['score'] > 80") == "digest.score > 80"
    assert condition_label('shared["n"]  >\n 0') == "n > 0"
    assert condition_label("shared.get('passed', False)") == "passed"
    assert condition_label("shared['items'][0]['name'] == 'x'") == "items[0].name == 'x'"
    assert condition_label("other['x']") == "other.x"
    assert cell_len(condition_label("x" * 100)) == 22
    assert condition_label("字" * 20).endswith("…")
    assert cell_len(condition_label("字" * 20)) <= 22


def test_long_names_are_cut() -> None:
    assert cell_len(node_name("n" * 100)) == 28
    assert node_name("") == "?"


def test_drawing_is_imported_without_the_graph_library() -> None:
    code = "import sys, core.drawing.text, core.drawing.layout; print('graphlay' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
