"""Lines that run back to an earlier node: beside the drawing, from the side of one box into the side of another.

They are drawn last, where the cells are free; what finds no place here is drawn among the rows instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len

from core.drawing.geometry import Cell, Direction, EdgePath, Label, Region
from core.drawing.layered import Piece, edge_path
from core.drawing.ranks import Wire

FARTHEST = 60
"""How many cells outside the drawing a lane is looked for."""


class Occupied:
    """What is already drawn, cell by cell."""

    def __init__(self, piece: Piece) -> None:
        self.boxes: set[Cell] = set()
        self.texts: set[Cell] = set()
        self.level: set[Cell] = set()
        self.upright: set[Cell] = set()
        self.turns: set[Cell] = set()
        for region in piece.nodes.values():
            self.boxes.update(Cell(x, y) for x in range(region.x, region.right) for y in range(region.y, region.bottom))
        for path in piece.edges:
            self.add_path(path)
        for label in piece.labels.values():
            self.add_label(label)

    def add_path(self, path: EdgePath) -> None:
        """Take the cells of a path: ends and corners whole, the rest may be crossed."""
        cells = path.cells()
        ends = set(path.points)
        for cell, following in pairwise(cells):
            if cell not in ends:
                (self.level if following.y == cell.y else self.upright).add(cell)
        self.turns |= ends

    def add_label(self, label: Label) -> None:
        """Take the cells of a text."""
        self.texts.update(text_cells(label))

    def is_free(self, cell: Cell) -> bool:
        """True where nothing at all is drawn."""
        return not (
            cell in self.boxes or cell in self.texts or cell in self.turns or cell in self.level or cell in self.upright
        )

    def crossings(self, points: list[Cell]) -> int | None:
        """How many lines a new line through these corners would cross; None if it can't be drawn."""
        count = 0
        ends = set(points)
        for one, two in pairwise(points):
            level = one.y == two.y
            for cell in _between(one, two):
                if (
                    cell in self.boxes
                    or cell in self.texts
                    or cell in self.turns
                    or cell in (self.level if level else self.upright)
                ):
                    return None
                if cell in (self.upright if level else self.level):
                    if cell in ends:
                        return None
                    count += 1
        return count

    def beside(self, one: Cell, two: Cell) -> bool:
        """True where a line between two corners would run right next to a box or to a line of its own direction."""
        upright = one.x == two.x
        lines = self.upright if upright else self.level
        for cell in _between(one, two):
            for side in (-1, 1):
                near = Cell(cell.x + side, cell.y) if upright else Cell(cell.x, cell.y + side)
                if near in self.boxes or near in self.texts or near in lines:
                    return True
        return False


def text_cells(label: Label) -> list[Cell]:
    """The cells of a label's text."""
    return [Cell(label.x + place, label.y) for place in range(cell_len(label.text))]


def _between(one: Cell, two: Cell) -> Iterator[Cell]:
    """The cells of a level or upright line, both ends included."""
    if one.y == two.y:
        step = 1 if two.x >= one.x else -1
        return (Cell(x, one.y) for x in range(one.x, two.x + step, step))
    step = 1 if two.y >= one.y else -1
    return (Cell(one.x, y) for y in range(one.y, two.y + step, step))


@dataclass(frozen=True, slots=True)
class _Lane:
    cost: int
    points: list[Cell]
    label: Label | None
    sides: tuple[tuple[str, int], tuple[str, int]]


def draw_lanes(piece: Piece, wires: Iterable[Wire], loops: Iterable[Wire], direction: Direction) -> set[int]:
    """Draw these wires as lanes of the piece; returns the indexes of those that found no place."""
    wires = sorted(wires, key=lambda wire: (abs(piece.rows[wire.source] - piece.rows[wire.target]), wire.index))
    if not wires:
        return set()
    occupied = Occupied(piece)
    used: set[tuple[str, int]] = {(wire.source, 1) for wire in loops}
    missing: set[int] = set()
    for wire in wires:
        found = [lane for side in (1, -1) if (lane := _find(piece, wire, side, used, occupied, direction)) is not None]
        if not found:
            missing.add(wire.index)
            continue
        best = min(found, key=lambda lane: lane.cost)
        outward = best.sides[0][1]
        leaves = (outward, 0) if direction == "down" else (0, outward)
        path = edge_path(wire, best.points, leaves=leaves)
        piece.edges.append(path)
        occupied.add_path(path)
        used.update(best.sides)
        if best.label is not None:
            piece.labels[wire.index] = best.label
            occupied.add_label(best.label)
    return missing


def _find(
    piece: Piece, wire: Wire, side: int, used: set[tuple[str, int]], occupied: Occupied, direction: Direction
) -> _Lane | None:
    """The nearest lane on one side: 1 is right (or below), -1 is left (or above)."""
    sides = ((wire.source, side), (wire.target, side))
    if used.intersection(sides):
        return None
    source, target = piece.nodes[wire.source], piece.nodes[wire.target]
    down = direction == "down"
    begin, end = (_side(source, side), _side(target, side)) if down else (_foot(source, side), _foot(target, side))
    outermost = max(side * (begin.x if down else begin.y), side * (end.x if down else end.y))
    reach = 2 if down else 1
    limit = _extent(piece.nodes, side, down) + FARTHEST
    second: _Lane | None = None
    for far in range(outermost + reach, limit):
        at = side * far
        corners = [Cell(at, begin.y), Cell(at, end.y)] if down else [Cell(begin.x, at), Cell(end.x, at)]
        points = [begin, *corners, end]
        crossings = occupied.crossings(points)
        if crossings is None or occupied.beside(*corners):
            continue
        cost = (far - outermost) + 6 * crossings
        if not wire.label:
            return _Lane(cost, points, None, sides)
        near, label = _lane_label(wire.label, points, side, occupied, down)
        if label is None:
            continue
        lane = _Lane(cost + (0 if near else cell_len(wire.label)), points, label, sides)
        if near:
            return lane
        if second is None:
            second = lane
        elif far > outermost + cell_len(wire.label) + 8:
            break
    return second


def _side(region: Region, side: int) -> Cell:
    return Cell(region.right if side > 0 else region.x - 1, region.middle.y)


def _foot(region: Region, side: int) -> Cell:
    return Cell(region.middle.x, region.bottom if side > 0 else region.y - 1)


def _extent(nodes: Mapping[str, Region], side: int, down: bool) -> int:
    """How far the boxes reach to one side."""
    if down:
        return max(region.right if side > 0 else -region.x for region in nodes.values())
    return max(region.bottom if side > 0 else -region.y for region in nodes.values())


def _lane_label(text: str, points: list[Cell], side: int, occupied: Occupied, down: bool) -> tuple[bool, Label | None]:
    """Where the condition of a lane fits, and whether that is beside its arrow head (best) or beside the lane."""
    length = cell_len(text)
    _, first, second, end = points
    tries: list[Label] = []
    if down:
        if abs(second.x - end.x) >= length + 1:
            left = end.x + 1 if side > 0 else second.x + 1
            tries = [Label(left, end.y - 1, text), Label(left, end.y + 1, text)]
        best = len(tries)
        low, high = sorted((first.y, second.y))
        middle = (low + high) // 2
        column = first.x + 2 if side > 0 else first.x - 1 - length
        tries += [Label(column, y, text) for y in sorted(range(low + 1, high), key=lambda y: abs(y - middle))]
    else:
        low, high = sorted((first.x, second.x))
        if high - low >= length + 2:
            left = (low + high - length) // 2 + 1
            tries = [Label(left, first.y + side, text), Label(left, first.y - side, text)]
        best = len(tries)
        tries.append(Label(low + 1, first.y + side, text))
    line = set(_between(points[0], first)) | set(_between(first, second)) | set(_between(second, end))
    for place, label in enumerate(tries):
        cells = text_cells(label)
        margin = [Cell(label.x - 1, label.y), Cell(label.x + length, label.y)]
        if all(occupied.is_free(cell) and cell not in line for cell in cells) and all(
            cell not in occupied.texts for cell in margin
        ):
            return place < best, label
    return False, None


def label_paths(piece: Piece, wires: Iterable[Wire]) -> None:
    """Find places for the conditions that have none yet, beside their lines."""
    missing = [wire for wire in wires if wire.label and wire.index not in piece.labels]
    if not missing:
        return
    occupied = Occupied(piece)
    path_of = {path.index: path for path in piece.edges}
    for wire in missing:
        for label in _beside_path(path_of[wire.index], wire.label):
            cells = [Cell(label.x - 1, label.y), *text_cells(label), Cell(label.x + cell_len(label.text), label.y)]
            if all(occupied.is_free(cell) for cell in cells[1:-1]) and not occupied.texts.intersection(cells):
                piece.labels[wire.index] = label
                occupied.add_label(label)
                break


def _beside_path(path: EdgePath, text: str) -> Iterator[Label]:
    """Places for a text next to a path, the nearest to its source first."""
    length = cell_len(text)
    for one, two in pairwise(path.points):
        if one.x == two.x:
            for cell in _between(one, two):
                yield Label(cell.x + 2, cell.y, text)
                yield Label(cell.x - 1 - length, cell.y, text)
        else:
            left = min(one.x, two.x) + 1
            yield Label(left, one.y + 1, text)
            yield Label(left, one.y - 1, text)
