"""One connected part of a graph, row by row: from where things should be to corner cells of every line.

All positions are (across, along): along is the direction in which the graph grows. The last step turns them into cells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rich.cells import cell_len

from core.drawing.channels import Segment, assign_tracks
from core.drawing.columns import Gaps, Item, settle
from core.drawing.geometry import Cell, Direction, EdgePath, Label, Region
from core.drawing.ports import Hop, place_ports
from core.drawing.ranks import Descent, Wire, row_numbers

LOOP_REACH = 3
"""Cells beside a box that the line back to itself takes."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A thing the graph library places: `across` and `along` in cells, `after` what must stay free beyond its end."""

    row: int
    across: int
    along: int
    after: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """What the graph library answers: the middle of each spot, and for each link its position on the rows between."""

    middles: list[float]
    crossings: list[dict[int, float]]


PlaceSpots = Callable[[Sequence[Spot], Sequence[tuple[int, int]]], Placement]


@dataclass(slots=True)
class Piece:
    """A connected part, drawn: positions count from wherever they do until `moved`."""

    nodes: dict[str, Region] = field(default_factory=dict)
    edges: list[EdgePath] = field(default_factory=list)
    labels: dict[int, Label] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scale:
    """How far things are apart: free cells after a box and before a box along, and the gaps across."""

    leave: int
    arrive: int
    gaps: Gaps
    direction: Direction


SCALES: dict[Direction, Scale] = {
    "down": Scale(1, 1, Gaps(boxes=3, box_line=2, lines=1, ports=1), "down"),
    "right": Scale(1, 2, Gaps(boxes=1, box_line=0, lines=0, ports=0), "right"),
}


def draw_rows(
    nodes: Sequence[str],
    boxes: Mapping[str, tuple[int, int]],
    descents: Sequence[Descent],
    loops: Sequence[Wire],
    start: str,
    direction: Direction,
    place: PlaceSpots,
) -> Piece:
    """Draw one connected part. `boxes` are widths and heights in cells, `loops` the wires from a node to itself."""
    return _Rows(nodes, boxes, descents, loops, start, SCALES[direction], place).draw()


class _Rows:
    def __init__(
        self,
        nodes: Sequence[str],
        boxes: Mapping[str, tuple[int, int]],
        descents: Sequence[Descent],
        loops: Sequence[Wire],
        start: str,
        scale: Scale,
        place: PlaceSpots,
    ) -> None:
        self.nodes = nodes
        self.descents = descents
        self.scale = scale
        self.place = place
        self.gaps = scale.gaps
        self.down = scale.direction == "down"
        self.rows = row_numbers(nodes, descents, start)
        self.side_loops: dict[str, Wire] = {}
        self.turns: list[Wire] = []
        for wire in loops:
            if wire.source in self.side_loops:
                self.turns.append(wire)
            else:
                self.side_loops[wire.source] = wire
        self.ports_above = Counter(descent.lower for descent in descents)
        self.ports_below = Counter(descent.upper for descent in descents)
        self.ports_below.update(self.side_loops.keys())
        for wire in self.turns:
            self.ports_below[wire.source] += 2
        self.sizes = {node: self._size(node, *boxes[node]) for node in nodes}
        labelled = {self.rows[d.upper] for d in descents if d.wire.label}
        self.layer_of_row = {row: row + sum(r < row for r in labelled) for row in range(max(self.rows.values()) + 1)}
        count = max(self.layer_of_row.values()) + 1
        self.layers: list[list[Item]] = [[] for _ in range(count)]
        self.items: dict[str, Item] = {}
        self.label_items: dict[int, Item] = {}
        self.chains: list[tuple[Descent, list[Item]]] = []

    def _size(self, node: str, width: int, height: int) -> tuple[int, int]:
        """Across and along of a box, wide enough for its wires; odd across, so that it has a middle."""
        across, along = (width, height) if self.down else (height, width)
        below, above = self.ports_below[node], self.ports_above[node]
        return max(across, self.gaps.room_for_ports(below), self.gaps.room_for_ports(above)) | 1, along

    def draw(self) -> Piece:
        """Place everything and return it in cells."""
        self._make_items()
        chains = [chain for _, chain in self.chains]
        settle(self.layers, chains, self.gaps)
        channels: list[list[Hop]] = [[] for _ in self.layers]
        for descent, chain in self.chains:
            for upper, lower in pairwise(chain):
                channels[upper.layer].append(Hop(descent.wire.index, upper, lower))
        turning = [(self.items[wire.source], wire.index, 2) for wire in self.turns]
        turning += [(self.items[wire.source], wire.index, 1) for wire in self.side_loops.values()]
        place_ports(channels, turning, self.gaps)
        return self._trace(channels)

    # Items ---------------------------------------------------------------------------------------------------

    def _make_items(self) -> None:
        spots: list[Spot] = []
        owners: list[Item] = []
        number: dict[str, int] = {}
        for node in self.nodes:
            across, along = self.sizes[node]
            layer = self.layer_of_row[self.rows[node]]
            reach = self._loop_reach(node)
            item = Item("node", layer, 0.0, across // 2, across // 2 + reach, along, node)
            number[node] = len(spots)
            spots.append(Spot(layer, across, along, reach))
            owners.append(item)
            self.items[node] = item
            self.layers[layer].append(item)
        links: list[tuple[int, int]] = []
        parts: list[list[int]] = []  # the links of each descent
        for descent in self.descents:
            ends = [number[descent.upper]]
            if descent.wire.label:
                layer = self.layer_of_row[self.rows[descent.upper]] + 1
                length = cell_len(descent.wire.label)
                reach = 1 + length if self.down else 0
                item = Item("label", layer, 0.0, 0, reach, 1 if self.down else length + 2)
                ends.append(len(spots))
                spots.append(Spot(layer, 1, 1, reach))
                owners.append(item)
                self.label_items[descent.wire.index] = item
                self.layers[layer].append(item)
            ends.append(number[descent.lower])
            parts.append(list(range(len(links), len(links) + len(ends) - 1)))
            links.extend(pairwise(ends))
        placement = self.place(spots, links)
        for item, middle in zip(owners, placement.middles, strict=True):
            item.goal = middle
        for descent, own_links in zip(self.descents, parts, strict=True):
            chain = [owners[links[own_links[0]][0]]]
            for link in own_links:
                for layer, across_at in sorted(placement.crossings[link].items()):
                    line = Item("line", layer, across_at)
                    self.layers[layer].append(line)
                    chain.append(line)
                chain.append(owners[links[link][1]])
            self.chains.append((descent, chain))

    def _loop_reach(self, node: str) -> int:
        loop = self.side_loops.get(node)
        if loop is None:
            return 0
        if not self.down:
            return LOOP_REACH
        return LOOP_REACH + (1 + cell_len(loop.label) if loop.label else 0)

    # Rows ----------------------------------------------------------------------------------------------------

    def _trace(self, channels: Sequence[Sequence[Hop]]) -> Piece:
        tracks, segments = self._tracks(channels)
        begins, first_track = self._measure(tracks)
        piece = Piece(rows=dict(self.rows))
        for node, item in self.items.items():
            across, along = self.sizes[node]
            piece.nodes[node] = self._region(item.column - across // 2, begins[item.layer], across, along)
        for descent, chain in self.chains:
            key = descent.wire.index
            points: list[tuple[int, int]] = []
            for upper, lower in pairwise(chain):
                top, bottom = upper.ports_below[key], lower.ports_above[key]
                if upper.kind == "node":
                    points.append((top, self._span(piece.nodes[upper.node])[1]))
                base = first_track[upper.layer]
                points.extend(_bends(segments[upper.layer][key], base, top, bottom))
                if lower.kind == "node":
                    points.append((bottom, self._span(piece.nodes[lower.node])[0] - 1))
            if descent.upper != descent.wire.source:
                points.reverse()
            piece.edges.append(self._path(descent.wire, points))
            if descent.wire.label:
                item = self.label_items[key]
                piece.labels[key] = self._label(descent.wire.label, item, begins[item.layer])
        for wire in self.turns:
            item = self.items[wire.source]
            out, back = item.ports_below[wire.index], item.ports_below[-1 - wire.index]
            row = first_track[item.layer] + segments[item.layer][wire.index].track
            beside = self._span(piece.nodes[wire.source])[1]
            piece.edges.append(self._path(wire, [(out, beside), (out, row), (back, row), (back, beside)]))
        for node, wire in self.side_loops.items():
            self._trace_side_loop(piece, node, wire)
        return piece

    def _tracks(self, channels: Sequence[Sequence[Hop]]) -> tuple[list[int], list[dict[int, Segment]]]:
        """For the channel after each layer: how many tracks it has, and the segment of each wire."""
        counts: list[int] = []
        found: list[dict[int, Segment]] = []
        for layer, hops in enumerate(channels):
            segments = {
                hop.key: Segment(hop.key, (hop.upper.ports_below[hop.key],), (hop.lower.ports_above[hop.key],))
                for hop in hops
            }
            for wire in self.turns:
                item = self.items[wire.source]
                if item.layer == layer:
                    ends = (item.ports_below[wire.index], item.ports_below[-1 - wire.index])
                    segments[wire.index] = Segment(wire.index, ends, ())
            counts.append(assign_tracks(list(segments.values())))
            found.append(segments)
        return counts, found

    def _measure(self, tracks: Sequence[int]) -> tuple[list[int], list[int]]:
        """Where each layer begins, and where the first track after it lies."""
        begins: list[int] = []
        first_track: list[int] = []
        position = 0
        looping = {self.items[node].layer for node in self.side_loops}
        for layer, items in enumerate(self.layers):
            begins.append(position)
            position += max(item.along for item in items)
            boxes = any(item.kind == "node" for item in items)
            boxes_next = layer + 1 < len(self.layers) and any(item.kind == "node" for item in self.layers[layer + 1])
            wide = not self.down or tracks[layer] or boxes_next or layer in looping
            position += self.scale.leave if boxes and wide else 0
            first_track.append(position)
            position += tracks[layer] + (self.scale.arrive if boxes_next else 0)
        return begins, first_track

    # Cells ---------------------------------------------------------------------------------------------------

    def _cell(self, across: int, along: int) -> Cell:
        return Cell(across, along) if self.down else Cell(along, across)

    def _region(self, across: int, along: int, width: int, height: int) -> Region:
        return Region(across, along, width, height) if self.down else Region(along, across, height, width)

    def _span(self, region: Region) -> tuple[int, int]:
        """Where a box begins and ends along the direction of growth."""
        return (region.y, region.bottom) if self.down else (region.x, region.right)

    def _path(self, wire: Wire, points: Sequence[tuple[int, int]]) -> EdgePath:
        return edge_path(wire, [self._cell(*point) for point in points], leaves=None)

    def _label(self, text: str, item: Item, begin: int) -> Label:
        if self.down:
            return Label(item.column + 2, begin, text)
        return Label(begin + 1, item.column, text)

    def _trace_side_loop(self, piece: Piece, node: str, wire: Wire) -> None:
        """Out below the box at its last port, and back into its side."""
        item = self.items[node]
        port = item.ports_below[wire.index]
        region = piece.nodes[node]
        beside = self._span(region)[1]
        middle = region.middle.y if self.down else region.middle.x
        edge = region.right if self.down else region.bottom
        far = edge + LOOP_REACH - 1 if self.down else edge + 1
        points = [(port, beside), (far, beside), (far, middle), (edge, middle)]
        outward = (0, 1) if self.down else (1, 0)
        piece.edges.append(edge_path(wire, [self._cell(*point) for point in points], leaves=outward))
        if wire.label and self.down:
            piece.labels[wire.index] = Label(far + 2, middle, wire.label)


def _bends(segment: Segment, base: int, top: int, bottom: int) -> list[tuple[int, int]]:
    """The corners of a wire in a channel whose first track lies at `base`."""
    if segment.straight:
        return []
    if segment.parts is None:
        return [(top, base + segment.track), (bottom, base + segment.track)]
    upper, lower = segment.parts
    middle = upper.bottoms[0]
    first, second = base + upper.track, base + lower.track
    return [(top, first), (middle, first), (middle, second), (bottom, second)]


def edge_path(wire: Wire, corners: Sequence[Cell], *, leaves: tuple[int, int] | None) -> EdgePath:
    """The path through these cells, without corners that are none."""
    points: list[Cell] = []
    for cell in corners:
        if points and cell == points[-1]:
            continue
        if len(points) > 1 and _in_line(points[-2], points[-1], cell):
            points[-1] = cell
        else:
            points.append(cell)
    first, second = points[0], points[1]
    last, before = points[-1], points[-2]
    return EdgePath(
        wire.index,
        wire.source,
        wire.target,
        tuple(points),
        leaves or (_sign(second.x - first.x), _sign(second.y - first.y)),
        (_sign(last.x - before.x), _sign(last.y - before.y)),
    )


def _in_line(one: Cell, two: Cell, three: Cell) -> bool:
    return one.x == two.x == three.x or one.y == two.y == three.y


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
