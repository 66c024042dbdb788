"""Where every node, line and condition of a graph goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from rich.cells import cell_len

from core.drawing.geometry import Cell, Direction, EdgePath, Geometry, Label, Region, Zoom
from core.drawing.labels import condition_label, node_name
from core.drawing.lanes import draw_lanes, label_paths
from core.drawing.layered import Piece, PlaceSpots, draw_rows
from core.drawing.placing import place_spots
from core.drawing.ranks import Descent, Wire, back_wires, components, visiting_order
from core.flow.graph import Graph

LANE_NODES = 80
"""With more nodes than this, lines back run among the rows: looking for lanes would mean more than one layout."""
LANE_ROUNDS = 3
"""How often the layout is made again to give lines back another place."""
SHELF_WIDTH = 76
"""How wide unconnected parts stand side by side at least."""
PART_GAP = 4
"""Cells between parts that stand side by side."""


def layout_graph(
    graph: Graph, *, zoom: Zoom = "box", direction: Direction = "down", counted: bool = False, apart: bool = False
) -> Geometry:
    """Lay a graph out; equal graphs give the same, kept, result, whatever their statuses.

    Edges from or to a node that doesn't exist are left out. `counted` keeps room in each box for a status sign and a
    count of visits. May take a second for 500 nodes. Where an event loop runs, call it in a thread and with `apart`:
    the graph library holds the interpreter's lock, so for a large graph it then works in a process of its own.
    """
    nodes = tuple((node, node_name(node)) for node in graph.nodes)
    wires = tuple(
        Wire(index, edge.from_id, edge.to_id, condition_label(edge.condition))
        for index, edge in enumerate(graph.edges)
        if edge.from_id in graph.nodes and edge.to_id in graph.nodes
    )
    start = graph.start if graph.start in graph.nodes else next(iter(graph.nodes), "")
    return _layout(nodes, wires, start, zoom, direction, counted, apart)


@lru_cache(maxsize=32)
def _layout(
    named: tuple[tuple[str, str], ...],
    wires: tuple[Wire, ...],
    start: str,
    zoom: Zoom,
    direction: Direction,
    counted: bool,
    apart: bool,
) -> Geometry:
    names = dict(named)
    if not names:
        return Geometry(0, 0, {}, {}, (), (), "", zoom, direction, counted)
    boxes = {node: _box(name, zoom, counted) for node, name in names.items()}
    pieces = _draw_parts(_Job(boxes, wires, start, direction, partial(place_spots, direction, apart=apart)))
    return _assemble(pieces, names, start, zoom, direction, counted)


def _box(name: str, zoom: Zoom, counted: bool) -> tuple[int, int]:
    """Width and height of a node's box: borders, a space at each side, the name, room for sign and count."""
    width = cell_len(name) + 4 + (5 if counted else 0)
    return max(width, 7) | 1, 3 if zoom == "box" else 1


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be drawn; `boxes` are widths and heights by node, in the order of the file."""

    boxes: dict[str, tuple[int, int]]
    wires: Sequence[Wire]
    start: str
    direction: Direction
    place: PlaceSpots


def _draw_parts(job: _Job) -> list[Piece]:
    """Draw every connected part, the one with the start first."""
    nodes = list(job.boxes)
    closing = back_wires(nodes, job.wires, job.start)
    back = {wire.index: wire for wire in job.wires if wire.index in closing}
    among_rows = set(back) if len(nodes) > LANE_NODES else set()
    rounds = 0
    while True:
        descents = _descents(job.wires, set(back), among_rows)
        parts = components(nodes, ((descent.upper, descent.lower) for descent in descents))
        part_of = {node: place for place, part in enumerate(parts) for node in part}
        apart = {index for index, wire in back.items() if part_of[wire.source] != part_of[wire.target]}
        if apart:
            among_rows |= apart
            continue
        pieces, missing = _draw_once(job, parts, part_of, descents, set(back) - among_rows)
        if not missing:
            return sorted(pieces, key=lambda piece: (job.start not in piece.nodes, -len(piece.nodes)))
        rounds += 1
        among_rows |= missing if rounds < LANE_ROUNDS else set(back)


def _descents(wires: Sequence[Wire], back: set[int], among_rows: set[int]) -> list[Descent]:
    """The wires that run among the rows, those that close a loop upside down."""
    descents = []
    for wire in wires:
        if wire.index in among_rows:
            descents.append(Descent(wire, wire.target, wire.source))
        elif wire.index not in back and not wire.is_loop:
            descents.append(Descent(wire, wire.source, wire.target))
    return descents


def _draw_once(
    job: _Job, parts: list[list[str]], part_of: dict[str, int], descents: list[Descent], lanes: set[int]
) -> tuple[list[Piece], set[int]]:
    """Draw the parts; returns them and the lanes that found no place."""
    own_descents: list[list[Descent]] = [[] for _ in parts]
    for descent in descents:
        own_descents[part_of[descent.upper]].append(descent)
    own_wires: list[list[Wire]] = [[] for _ in parts]
    for wire in job.wires:
        own_wires[part_of[wire.source]].append(wire)
    pieces: list[Piece] = []
    missing: set[int] = set()
    for place, part in enumerate(parts):
        loops = [wire for wire in own_wires[place] if wire.is_loop]
        piece = draw_rows(part, job.boxes, own_descents[place], loops, job.start, job.direction, job.place)
        missing |= draw_lanes(piece, [wire for wire in own_wires[place] if wire.index in lanes], loops, job.direction)
        label_paths(piece, loops)
        pieces.append(piece)
    return pieces, missing


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
