"""A graph as plain text, for the command line."""

from __future__ import annotations

from collections.abc import Mapping

from core.drawing.geometry import Geometry
from core.drawing.labels import condition_label, plain
from core.drawing.layout import layout_graph
from core.drawing.paint import Drawing, NodeLook
from core.drawing.parts import part_of
from core.flow.graph import Graph

SIGNS = {
    "running": "●",
    "waiting_input": "◐",
    "waiting_timer": "◷",
    "waiting_run": "↳",
    "paused": "‖",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "⊘",
    "skipped": "↷",
    "queued": "○",
    "blocked": "!",
}
"""One cell for every status of a node or a run."""


def draw_text(graph: Graph, width: int | None = None, statuses: Mapping[str, str] | None = None) -> str:
    """The graph drawn with characters, without colours.

    `width` is what fits, in cells (None: anything does); a wider graph is drawn smaller, and if that doesn't fit
    either, from its start as far as it does, with a list of all edges. `statuses` are status words by node. Edges to
    nodes that don't exist are left out. Takes up to a second for 500 nodes.
    """
    if not graph.nodes:
        return "This workflow has no nodes."
    looks = {node: NodeLook(SIGNS.get(word, "?")) for node, word in (statuses or {}).items()}
    whole = layout_graph(graph, counted=bool(looks))
    if _fits(whole, width):
        return _drawn(graph, whole, looks)
    small = layout_graph(graph, zoom="chip", counted=bool(looks))
    if _fits(small, width):
        return _drawn(graph, small, looks)
    near = _beginning(graph, small.order, width, bool(looks))
    lines = [f"The whole drawing is {small.width} cells wide; here are {width}."]
    if near is not None:
        part, geometry = near
        lines.append(f"Drawn from the start on: {len(part.nodes)} of {len(graph.nodes)} nodes.")
        lines += ["", *Drawing(geometry).text_rows(looks)]
    lines += ["", "All edges:", *_edge_lines(graph)]
    return "\n".join(lines)


def _fits(geometry: Geometry, width: int | None) -> bool:
    return width is None or geometry.width <= width


def _beginning(graph: Graph, order: tuple[str, ...], width: int | None, counted: bool) -> tuple[Graph, Geometry] | None:
    """As many nodes from the start onwards as fit, at least two."""
    low, high = 1, len(order)
    found: tuple[Graph, Geometry] | None = None
    while high - low > 1:
        count = (low + high) // 2
        part = part_of(graph, set(order[:count]), order[0])
        geometry = layout_graph(part, zoom="chip", counted=counted)
        if _fits(geometry, width):
            low, found = count, (part, geometry)
        else:
            high = count
    return found


def _drawn(graph: Graph, geometry: Geometry, looks: Mapping[str, NodeLook]) -> str:
    """The drawing, and below it the conditions that it doesn't show in full."""
    lines = Drawing(geometry).text_rows(looks)
    shown = {path.index for path in geometry.edges if path.label is not None}
    short = [
        index
        for index, edge in enumerate(graph.edges)
        if edge.condition and (index not in shown or condition_label(edge.condition).endswith("…"))
    ]
    if short:
        lines += ["", "Conditions in full:", *_edge_lines(graph, set(short))]
    return "\n".join(lines)


def _edge_lines(graph: Graph, indexes: set[int] | None = None) -> list[str]:
    """`fetch → sort  if shared['n'] > 0`, one line an edge, for edges between nodes that exist."""
    lines = []
    for index, edge in enumerate(graph.edges):
        if edge.from_id not in graph.nodes or edge.to_id not in graph.nodes:
            continue
        if indexes is None or index in indexes:
            condition = f"  if {plain(edge.condition)}" if edge.condition else ""
            lines.append(f"  {plain(edge.from_id)} → {plain(edge.to_id)}{condition}")
    return lines
