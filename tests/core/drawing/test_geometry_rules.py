"""The promises of a drawing, checked cell by cell on random graphs and independent of how it was laid out."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from core.drawing.geometry import Direction, Geometry, Zoom
from core.drawing.layout import layout_graph
from core.drawing.paint import Drawing
from core.flow.graph import EdgeSpec, Graph, NodeSpec


def graph_of(start: str, *edges: tuple[str, ...], more: tuple[str, ...] = ()) -> Graph:
    """A graph from (from, to) and (from, to, condition)."""
    ids = dict.fromkeys([start, *more])
    for edge in edges:
        ids.update(dict.fromkeys(edge[:2]))
    specs = tuple(EdgeSpec(edge[0], edge[1], edge[2] if len(edge) > 2 else "") for edge in edges)
    return Graph("drawn", {node: NodeSpec(node, node.title()) for node in ids}, specs, start)


def random_graph(size: int, seed: int) -> Graph:
    """A workflow as people draw them: mostly forward, branches with conditions, some loops back, a few oddities."""
    chance = random.Random(seed)
    names = [f"node_{number}" + "_with_a_long_name" * (chance.random() < 0.1) for number in range(size)]
    edges: list[tuple[str, ...]] = []
    for number in range(1, size):
        if chance.random() < 0.95:
            before = max(0, number - chance.choice([1, 1, 1, 2, 3, 6]))
            edges.append((names[before], names[number]))
    for _ in range(round(size * chance.choice([0, 0.3, 0.7, 1]))):
        one, other = sorted((chance.randrange(size), chance.randrange(size)))
        if chance.random() < 0.7:
            other = min(other, one + 8)
        edges.append((names[other], names[one]) if chance.random() < 0.2 else (names[one], names[other]))
    conditions = ["", "", f"shared['score'] > {seed}", "ok", "shared['decision'] == 'a very long answer indeed'"]
    edges = [(*edge, chance.choice(conditions)) for edge in edges]
    chance.shuffle(edges)
    return graph_of(names[0], *edges, more=tuple(names))


def long_chain(size: int) -> Graph:
    """A chain with a condition on every edge."""
    return graph_of("n0", *((f"n{number}", f"n{number + 1}", f"x > {number}") for number in range(size)))


def broken_rules(graph: Graph, geometry: Geometry) -> list[str]:
    """Every promise that the drawing breaks, as text."""
    problems: list[str] = []
    boxes: dict[tuple[int, int], str] = {}
    for node, region in geometry.nodes.items():
        for x in range(region.x, region.right):
            for y in range(region.y, region.bottom):
                if (x, y) in boxes:
                    problems.append(f"{node} lies over {boxes[x, y]}")
                boxes[x, y] = node
    if set(geometry.nodes) != set(graph.nodes):
        problems.append("not every node is drawn")
    start = geometry.nodes[graph.start]
    first = start.y if geometry.direction == "down" else start.x
    if first != min(region.y if geometry.direction == "down" else region.x for region in geometry.nodes.values()):
        problems.append("the start is not in the first row")
    drawable = [
        index for index, edge in enumerate(graph.edges) if edge.from_id in graph.nodes and edge.to_id in graph.nodes
    ]
    if [path.index for path in geometry.edges] != drawable:
        problems.append("not every edge is drawn once")

    upright: dict[tuple[int, int], int] = {}
    level: dict[tuple[int, int], int] = {}
    whole: dict[tuple[int, int], int] = {}
    for path in geometry.edges:
        cells = path.cells()
        own = f"edge {path.index} {path.source} -> {path.target}"
        if len(set(cells)) != len(cells):
            problems.append(f"{own} meets itself")
        begin, end = cells[0], cells[-1]
        behind = (begin.x - path.leaves[0], begin.y - path.leaves[1])
        ahead = (end.x + path.toward[0], end.y + path.toward[1])
        if boxes.get(behind) != path.source:
            problems.append(f"{own} does not begin at its source")
        if boxes.get(ahead) != path.target:
            problems.append(f"{own} does not point at its target")
        for place, cell in enumerate(cells):
            if cell in boxes:
                problems.append(f"{own} runs through {boxes[cell]}")
            last = cells[place - 1] if place else None
            following = cells[place + 1] if place + 1 < len(cells) else None
            if last is None or following is None or (last.x != following.x and last.y != following.y):
                whole_of = whole
            elif last.x == following.x:
                whole_of = upright
            else:
                whole_of = level
            if cell in whole_of:
                problems.append(f"{own} shares a run with edge {whole_of[cell]} at {cell}")
            whole_of[cell] = path.index
    for cell, index in whole.items():
        for others in (upright, level):
            if cell in others:
                problems.append(f"edges {index} and {others[cell]} meet in a corner at {cell}")

    texts: dict[tuple[int, int], int] = {}
    for path in geometry.edges:
        if path.label is None:
            continue
        own_cells = set(path.cells())
        for place in range(cell_len(path.label.text)):
            cell = (path.label.x + place, path.label.y)
            on_foreign = any(cell in lines and lines[cell] != path.index for lines in (upright, level, whole))
            if cell in boxes or cell in texts or on_foreign or (cell in own_cells and cell in whole):
                problems.append(f"the condition of edge {path.index} lies over something at {cell}")
            texts[cell] = path.index
        gap = min(
            max(
                abs(cell.y - path.label.y),
                max(path.label.x - cell.x, cell.x - path.label.x - cell_len(path.label.text) + 1, 0),
            )
            for cell in own_cells
        )
        if gap > 2:
            problems.append(f"the condition of edge {path.index} is {gap} cells away from it")
    everything = [*boxes, *upright, *level, *whole, *texts]
    if any(not (0 <= x < geometry.width and 0 <= y < geometry.height) for x, y in everything):
        problems.append("something lies outside")
    return problems


def conditions_shown(graph: Graph, geometry: Geometry) -> tuple[int, int]:
    """How many conditions have a place on the canvas, and how many there are."""
    wanted = [path for path in geometry.edges if graph.edges[path.index].condition]
    return sum(path.label is not None for path in wanted), len(wanted)


@given(
    size=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    zoom=st.sampled_from(["box", "chip"]),
    direction=st.sampled_from(["down", "down", "right"]),
    counted=st.booleans(),
)
def test_random_graphs_keep_every_promise(
    size: int, seed: int, zoom: Zoom, direction: Direction, counted: bool
) -> None:
    graph = random_graph(size, seed)
    assert broken_rules(graph, layout_graph(graph, zoom=zoom, direction=direction, counted=counted)) == []


def painted_faults(graph: Graph, geometry: Geometry) -> list[str]:
    """What a reader of the painted drawing would stumble over: arrow heads, and the row of the start."""
    drawing = Drawing(geometry)
    problems: list[str] = []
    heads = {"▲": (0, -1), "▼": (0, 1), "◀": (-1, 0), "▶": (1, 0)}
    pointed_at: Counter[str] = Counter()
    for y in range(geometry.height):
        for run in drawing.runs(y):
            conditions = [path.label for path in geometry.edges if path.index == run.edge and path.label is not None]
            if any((label.x, label.y) == (run.x, y) for label in conditions):
                continue
            for place, sign in enumerate(run.text):
                if sign not in heads:
                    continue
                step_x, step_y = heads[sign]
                target = drawing.node_at(run.x + place + step_x, y + step_y)
                if target != graph.edges[run.edge].to_id:
                    problems.append(f"the arrow head of edge {run.edge} points at {target}")
                pointed_at[f"{run.edge}"] += 1
    for path in geometry.edges:
        if pointed_at[f"{path.index}"] != 1:
            problems.append(f"edge {path.index} has {pointed_at[f'{path.index}']} arrow heads")
    first_row = next(row for row in range(geometry.height) if drawing.spans(row))
    if geometry.direction == "down" and graph.start not in {span.node for span in drawing.spans(first_row)}:
        problems.append("the start is not in the top row")
    return problems


@pytest.mark.parametrize("seeds", [range(first, first + 50) for first in range(0, 300, 50)], ids=lambda seeds: seeds[0])
def test_seeded_graphs_are_drawn_without_shared_runs_and_with_one_arrow_head_an_edge(seeds: range) -> None:
    check_seeds(seeds, 30)


@pytest.mark.long
@pytest.mark.parametrize("first", range(1_000, 3_000, 250))
def test_thousands_of_seeded_graphs_are_drawn_so_too(first: int) -> None:
    check_seeds(range(first, first + 250), 45)


def check_seeds(seeds: range, most: int) -> None:
    """Draw the graph of each seed in the size and direction that the seed gives."""
    for seed in seeds:
        graph = random_graph(2 + seed % most, seed)
        zoom: Zoom = "chip" if seed % 3 == 0 else "box"
        geometry = layout_graph(graph, zoom=zoom, direction="right" if seed % 5 == 0 else "down")
        assert broken_rules(graph, geometry) == [], f"seed {seed}"
        assert painted_faults(graph, geometry) == [], f"seed {seed}"


def test_conditions_are_on_the_canvas() -> None:
    shown: Counter[str] = Counter()
    for seed in range(60):
        graph = random_graph(2 + seed % 40, seed)
        placed, wanted = conditions_shown(graph, layout_graph(graph))
        shown.update(placed=placed, wanted=wanted)
    assert shown["wanted"] > 200
    assert shown["placed"] >= 0.95 * shown["wanted"]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [100, 200, 500])
def test_large_graphs_keep_every_promise(size: int, seed: int) -> None:
    graph = random_graph(size, seed)
    geometry = layout_graph(graph)
    assert broken_rules(graph, geometry) == []
    placed, wanted = conditions_shown(graph, geometry)
    assert placed >= 0.95 * wanted


def test_equal_graphs_are_laid_out_once_and_the_same() -> None:
    graph = random_graph(20, 7)
    again = Graph(graph.name, dict(graph.nodes), graph.edges, graph.start)
    assert layout_graph(graph) is layout_graph(again)


def test_a_large_graph_laid_out_in_a_process_of_its_own_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = long_chain(140)
    here = layout_graph(graph)
    ran: list[object] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: ran.append(words) or run(*words, **options))
    assert layout_graph(graph, apart=True) == here
    assert len(ran) == 1


def test_where_no_process_can_be_had_the_layout_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = long_chain(141)
    here = layout_graph(graph)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert layout_graph(graph, apart=True) == here


def test_edges_to_nowhere_are_left_out() -> None:
    graph = graph_of("a", ("a", "b"), ("b", "gone"))
    nodes = {node: spec for node, spec in graph.nodes.items() if node != "gone"}
    broken = Graph("drawn", nodes, (*graph.edges, EdgeSpec("missing", "a")), "a")
    geometry = layout_graph(broken)
    assert [path.index for path in geometry.edges] == [0]
    assert broken_rules(broken, geometry) == []


def test_a_start_that_does_not_exist_gives_a_drawing_all_the_same() -> None:
    graph = graph_of("a", ("a", "b"))
    geometry = layout_graph(Graph("drawn", graph.nodes, graph.edges, "nowhere"))
    assert set(geometry.nodes) == {"a", "b"}
    assert geometry.start == "a"


def test_an_empty_graph_has_an_empty_drawing() -> None:
    geometry = layout_graph(Graph("empty", {}, (), ""))
    assert (geometry.width, geometry.height, geometry.nodes) == (0, 0, {})
