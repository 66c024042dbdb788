"""The characters of a drawn graph: lines and conditions once for all, boxes as their nodes are just now."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from rich.cells import cell_len

from core.drawing.geometry import Geometry, Region

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
LINES = {
    UP: "│",
    DOWN: "│",
    UP | DOWN: "│",
    LEFT: "─",
    RIGHT: "─",
    LEFT | RIGHT: "─",
    DOWN | RIGHT: "╭",
    DOWN | LEFT: "╮",
    UP | RIGHT: "╰",
    UP | LEFT: "╯",
    UP | DOWN | LEFT | RIGHT: "┼",
}
HEADS = {(0, 1): "▼", (0, -1): "▲", (1, 0): "▶", (-1, 0): "◀"}
ROUND = "╭─╮│╰╯"
HEAVY = "┏━┓┃┗┛"
DOUBLE = "╔═╗║╚╝"

STOP = "◆"
"""Stands in a box's left side where runs pause before its node."""

Part = Literal["border", "sign", "name", "count", "stop"]


@dataclass(frozen=True, slots=True)
class NodeLook:
    """How a node is drawn now: `sign` is one cell or empty, `visits` above 1 are written, `stops` says that runs pause
    before it."""

    sign: str = ""
    visits: int = 0
    selected: bool = False
    stops: bool = False


class Run(NamedTuple):
    """Neighbouring cells of one row that belong to one edge: its line, or (with `is_label`) its condition."""

    x: int
    text: str
    edge: int
    is_label: bool


class NodeSpan(NamedTuple):
    """The cells of one row that a node's box covers."""

    x: int
    right: int
    node: str


class Drawing:
    """A laid out graph, row by row. Made once for a geometry; nothing in it changes with statuses."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._masks: dict[int, dict[int, int]] = {}
        self._heads: dict[tuple[int, int], str] = {}
        self._owners: dict[tuple[int, int], int] = {}
        self._labels: dict[int, list[Run]] = {}
        self._spans: dict[int, list[NodeSpan]] = {}
        self._rows: dict[int, list[Run]] = {}
        for path in geometry.edges:
            cells = path.cells()
            masks = [0] * len(cells)
            for place, (one, two) in enumerate(pairwise(cells)):
                masks[place] |= _toward(two.x - one.x, two.y - one.y)
                masks[place + 1] |= _toward(one.x - two.x, one.y - two.y)
            masks[0] |= _toward(-path.leaves[0], -path.leaves[1])
            for cell, mask in zip(cells, masks, strict=True):
                row = self._masks.setdefault(cell.y, {})
                row[cell.x] = row.get(cell.x, 0) | mask
                self._owners[cell.x, cell.y] = path.index
            self._heads[cells[-1].x, cells[-1].y] = HEADS[path.toward]
            if path.label is not None:
                run = Run(path.label.x, path.label.text, path.index, True)
                self._labels.setdefault(path.label.y, []).append(run)
        for node, region in geometry.nodes.items():
            for y in range(region.y, region.bottom):
                self._spans.setdefault(y, []).append(NodeSpan(region.x, region.right, node))
        for spans in self._spans.values():
            spans.sort()

    def runs(self, y: int) -> list[Run]:
        """What lines and conditions show on a row, from left to right."""
        kept = self._rows.get(y)
        if kept is not None:
            return kept
        runs = list(self._labels.get(y, ()))
        masks = self._masks.get(y, {})
        labelled = {x for run in runs for x in range(run.x, run.x + cell_len(run.text))}
        text = ""
        begin = -1
        edge = -1
        for x in sorted(masks):
            if x in labelled:
                continue
            owner = self._owners[x, y]
            if text and (x != begin + len(text) or owner != edge):
                runs.append(Run(begin, text, edge, False))
                text = ""
            if not text:
                begin, edge = x, owner
            text += self._heads.get((x, y)) or LINES.get(masks[x], "┼")
        if text:
            runs.append(Run(begin, text, edge, False))
        runs.sort()
        self._rows[y] = runs
        return runs

    def spans(self, y: int) -> list[NodeSpan]:
        """The boxes on a row, from left to right."""
        return self._spans.get(y, [])

    def node_at(self, x: int, y: int) -> str | None:
        """The node whose box covers a cell."""
        spans = self.spans(y)
        place = bisect_right(spans, x, key=lambda span: span.x) - 1
        return spans[place].node if place >= 0 and x < spans[place].right else None

    def edge_at(self, x: int, y: int) -> int | None:
        """The edge whose line or condition stands in a cell, by its place in the graph."""
        return next((run.edge for run in self.runs(y) if run.x <= x < run.x + cell_len(run.text)), None)

    def box_row(self, node: str, y: int, look: NodeLook) -> list[tuple[str, Part]]:
        """The part of a node's box on row `y`, as texts that together fill its width."""
        geometry = self.geometry
        region = geometry.nodes[node]
        border = DOUBLE if look.selected else HEAVY if node == geometry.start else ROUND
        if region.height > 1 and y in (region.y, region.bottom - 1):
            left, right = (border[0], border[2]) if y == region.y else (border[4], border[5])
            return [(left + border[1] * (region.width - 2) + right, "border")]
        if y != region.middle.y:
            return [(border[3] + " " * (region.width - 2) + border[3], "border")]
        return _content(geometry.names[node], region, look, border[3], geometry.counted)

    def text_rows(self, looks: Mapping[str, NodeLook]) -> list[str]:
        """The whole drawing as plain rows without trailing spaces."""
        rows = []
        plain = NodeLook()
        for y in range(self.geometry.height):
            pieces = [(run.x, run.text) for run in self.runs(y)]
            for span in self.spans(y):
                texts = self.box_row(span.node, y, looks.get(span.node, plain))
                pieces.append((span.x, "".join(text for text, _ in texts)))
            row = ""
            at = 0
            for x, text in sorted(pieces):
                row += " " * (x - at) + text
                at = x + cell_len(text)
            rows.append(row.rstrip())
        return rows


def _toward(step_x: int, step_y: int) -> int:
    if step_x:
        return RIGHT if step_x > 0 else LEFT
    return DOWN if step_y > 0 else UP


def _content(name: str, region: Region, look: NodeLook, side: str, counted: bool) -> list[tuple[str, Part]]:
    """The row with the name: sign before it and visits after it where there is room kept for them."""
    inner = region.width - 2
    count = ""
    if counted and look.visits > 1:
        count = f"{look.visits:>2}" if look.visits < 100 else "99+"
    room = inner - (3 if counted else 1) - (max(len(count) + 1, 3) if counted else 0)
    # A box can be wider than its name, for the sake of many wires: then the name stands in its middle.
    spare = max(0, room - cell_len(name))
    before = spare // 2 if spare > 2 else 0
    parts: list[tuple[str, Part]] = [(STOP, "stop") if look.stops else (side, "border")]
    if counted:
        parts += [(" " * (1 + before), "name"), (look.sign or " ", "sign"), (" ", "name")]
        used = 3 + before
    else:
        parts.append((" " * (1 + before), "name"))
        used = 1 + before
    parts.append((name, "name"))
    used += cell_len(name)
    tail = f"{count} " if count and len(count) < 3 else count
    parts.append((" " * (inner - used - len(tail)), "name"))
    if tail:
        parts.append((tail, "count"))
    parts.append((side, "border"))
    return parts
