"""Where every node, line and condition of a graph goes. The only place that knows the graph library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise

from rich.cells import cell_len

from core.drawing.geometry import Cell, Direction, EdgePath, Geometry, Label, Region, Zoom
from core.drawing.labels import condition_label, node_name
from core.drawing.lanes import draw_lanes, label_paths
from core.drawing.layered import Piece, Placement, Spot, draw_rows
from core.drawing.ranks import Descent, Wire, back_wires, components, visiting_order
from core.flow.graph import Graph

UNIT = 10.0
"""The library's units for one cell: its own distances are made for pixels."""
SPACING: dict[Direction, dict[str, float]] = {
    "down": {"layer_gap": 40, "node_gap": 40, "dummy_gap": 30, "port_gap": 20, "stub": 20, "bundle_lane_gap": 10},
    "right": {"layer_gap": 40, "node_gap": 20, "dummy_gap": 20, "port_gap": 10, "stub": 20, "bundle_lane_gap": 10},
}
THOROUGH_SPOTS = 60
"""With more nodes and conditions than this the library takes less care with crossings, and half the time."""
LANE_NODES = 80
"""With more nodes than this, lines back run among the rows: looking for lanes would mean more than one layout."""
LANE_ROUNDS = 3
"""How often the layout is made again to give lines back another place."""
SHELF_WIDTH = 76
"""How wide unconnected parts stand side by side at least."""
PART_GAP = 4
"""Cells between parts that stand side by side."""


def layout_graph(graph: Graph, *, zoom: Zoom = "box", direction: Direction = "down", counted: bool = False) -> Geometry:
    """Lay a graph out; equal graphs give the same, kept, result, whatever their statuses.

    Edges from or to a node that doesn't exist are left out. `counted` keeps room in each box for a status sign and a
    count of visits. May take a second for 500 nodes: call it in a thread where an event loop runs.
    """
    nodes = tuple((node, node_name(node)) for node in graph.nodes)
    wires = tuple(
        Wire(index, edge.from_id, edge.to_id, condition_label(edge.condition))
        for index, edge in enumerate(graph.edges)
        if edge.from_id in graph.nodes and edge.to_id in graph.nodes
    )
    start = graph.start if graph.start in graph.nodes else next(iter(graph.nodes), "")
    return _layout(nodes, wires, start, zoom, direction, counted)


@lru_cache(maxsize=32)
def _layout(
    named: tuple[tuple[str, str], ...],
    wires: tuple[Wire, ...],
    start: str,
    zoom: Zoom,
    direction: Direction,
    counted: bool,
) -> Geometry:
    names = dict(named)
    if not names:
        return Geometry(0, 0, {}, {}, (), (), "", zoom, direction, counted)
    boxes = {node: _box(name, zoom, counted) for node, name in names.items()}
    pieces = _draw_parts(names, boxes, wires, start, direction)
    return _assemble(pieces, names, start, zoom, direction, counted)


def _box(name: str, zoom: Zoom, counted: bool) -> tuple[int, int]:
    """Width and height of a node's box: borders, a space at each side, the name, room for sign and count."""
    width = cell_len(name) + 4 + (5 if counted else 0)
    return max(width, 7) | 1, 3 if zoom == "box" else 1


def _draw_parts(
    names: dict[str, str], boxes: dict[str, tuple[int, int]], wires: Sequence[Wire], start: str, direction: Direction
) -> list[Piece]:
    """Draw every connected part, the one with the start first."""
    nodes = list(names)
    closing = back_wires(nodes, wires, start)
    back = {wire.index: wire for wire in wires if wire.index in closing}
    forward = [wire for wire in wires if wire.index not in back and not wire.is_loop]
    among_rows = set(back) if len(nodes) > LANE_NODES else set()
    rounds = 0
    while True:
        descents = [Descent(wire, wire.source, wire.target) for wire in forward]
        descents += [Descent(back[index], back[index].target, back[index].source) for index in sorted(among_rows)]
        descents.sort(key=lambda descent: descent.wire.index)
        parts = components(nodes, ((descent.upper, descent.lower) for descent in descents))
        part_of = {node: place for place, part in enumerate(parts) for node in part}
        apart = {index for index, wire in back.items() if part_of[wire.source] != part_of[wire.target]}
        if apart:
            among_rows |= apart
            continue
        pieces, missing = _draw_once(parts, part_of, boxes, descents, wires, set(back) - among_rows, start, direction)
        if not missing:
            return sorted(pieces, key=lambda piece: (start not in piece.nodes, -len(piece.nodes)))
        rounds += 1
        among_rows |= missing if rounds < LANE_ROUNDS else set(back)


def _draw_once(
    parts: list[list[str]],
    part_of: dict[str, int],
    boxes: dict[str, tuple[int, int]],
    descents: list[Descent],
    wires: Sequence[Wire],
    lanes: set[int],
    start: str,
    direction: Direction,
) -> tuple[list[Piece], set[int]]:
    pieces: list[Piece] = []
    missing: set[int] = set()
    for place, part in enumerate(parts):
        own = [descent for descent in descents if part_of[descent.upper] == place]
        loops = [wire for wire in wires if wire.is_loop and part_of[wire.source] == place]
        piece = draw_rows(part, boxes, own, loops, start, direction, partial(_place_spots, SPACING[direction]))
        beside = [wire for wire in wires if wire.index in lanes and part_of[wire.source] == place]
        missing |= draw_lanes(piece, beside, loops, direction)
        label_paths(piece, loops)
        pieces.append(piece)
    return pieces, missing


def _place_spots(spacing: dict[str, float], spots: Sequence[Spot], links: Sequence[tuple[int, int]]) -> Placement:
    """Ask the graph library where spots go across the direction of growth, and where links pass the rows between."""
    if len(spots) == 1:
        return Placement([0.0], [])
    import graphlay

    request = {
        "nodes": [
            {
                "size": {"width": spot.across * UNIT, "height": max(spot.along, 1) * UNIT},
                "rank": {"fixed": spot.row},
                "margin": {"cross_pos": spot.after * UNIT + spacing["node_gap"] if spot.after else 0},
            }
            for spot in spots
        ],
        "edges": [{"source": upper, "target": lower} for upper, lower in links],
    }
    effort = "balanced" if len(spots) <= THOROUGH_SPOTS else "fast"
    options = {"direction": "topbottom", "spacing": spacing, "routing": {"lane_gap": 10}, "effort": effort}
    answer = graphlay.layout(request, options=options)
    middle_of_row: dict[int, float] = {}
    for spot, node in zip(spots, answer.nodes, strict=True):
        middle_of_row.setdefault(spot.row, node["center"]["y"])
    middles = [node["center"]["x"] / UNIT for node in answer.nodes]
    crossings = []
    for (upper, lower), edge in zip(links, answer.edges, strict=True):
        points = [(point["x"] / UNIT, point["y"]) for point in edge["points"]]
        between = range(spots[upper].row + 1, spots[lower].row)
        crossings.append({row: _at_height(points, middle_of_row[row]) for row in between})
    return Placement(middles, crossings)


def _at_height(points: Sequence[tuple[float, float]], height: float) -> float:
    """Where a line of corner points passes a height."""
    for (x, y), (next_x, next_y) in pairwise(points):
        if y <= height <= next_y:
            return x + (next_x - x) * ((height - y) / (next_y - y) if next_y > y else 0.5)
    return points[-1][0] if height > points[-1][1] else points[0][0]


def _assemble(
    pieces: list[Piece], names: dict[str, str], start: str, zoom: Zoom, direction: Direction, counted: bool
) -> Geometry:
    """Put the parts beside and below each other, the start's part at the top left."""
    nodes: dict[str, Region] = {}
    edges: list[EdgePath] = []
    order: list[str] = []
    width = height = 0
    shelf_x = shelf_y = 0
    shelf_width = max(SHELF_WIDTH, _bounds(pieces[0]).width)
    for place, piece in enumerate(pieces):
        bounds = _bounds(piece)
        if place == 1 or (shelf_x and shelf_x + bounds.width > shelf_width):
            shelf_x, shelf_y = 0, height + 1
        step_x, step_y = shelf_x - bounds.x, shelf_y - bounds.y
        for node, region in piece.nodes.items():
            nodes[node] = Region(region.x + step_x, region.y + step_y, region.width, region.height)
        edges.extend(_moved(path, piece.labels.get(path.index), step_x, step_y) for path in piece.edges)
        across = {node: nodes[node].x if direction == "down" else nodes[node].y for node in piece.nodes}
        order.extend(visiting_order(piece.rows, across))
        shelf_x += bounds.width + PART_GAP
        width = max(width, shelf_x - PART_GAP)
        height = max(height, shelf_y + bounds.height)
    edges.sort(key=lambda path: path.index)
    in_order = {node: nodes[node] for node in names}
    return Geometry(width, height, in_order, names, tuple(edges), tuple(order), start, zoom, direction, counted)


def _bounds(piece: Piece) -> Region:
    """The smallest rectangle around everything of a part."""
    rights = [region.right for region in piece.nodes.values()]
    lefts = [region.x for region in piece.nodes.values()]
    tops = [region.y for region in piece.nodes.values()]
    bottoms = [region.bottom for region in piece.nodes.values()]
    for path in piece.edges:
        for point in path.points:
            lefts.append(point.x)
            rights.append(point.x + 1)
            tops.append(point.y)
            bottoms.append(point.y + 1)
    for label in piece.labels.values():
        lefts.append(label.x)
        rights.append(label.x + cell_len(label.text))
        tops.append(label.y)
        bottoms.append(label.y + 1)
    return Region(min(lefts), min(tops), max(rights) - min(lefts), max(bottoms) - min(tops))


def _moved(path: EdgePath, label: Label | None, step_x: int, step_y: int) -> EdgePath:
    points = tuple(Cell(point.x + step_x, point.y + step_y) for point in path.points)
    moved = Label(label.x + step_x, label.y + step_y, label.text) if label is not None else None
    return replace(path, points=points, label=moved)
