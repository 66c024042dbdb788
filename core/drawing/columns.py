"""Whole-number columns for everything on a row: nodes, conditions, and lines that only pass through.

The graph library says where things should be; here they are brought onto the grid so that what it lined up stays in
one column and nothing touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor
from typing import Literal

Kind = Literal["node", "label", "line"]
SAME_COLUMN = 0.45
"""Goals closer than this, in cells, are one column."""
MANY_PORTS = 12
"""From this many wires on one side on, ports of a box stand side by side."""


@dataclass(slots=True, eq=False)
class Item:
    """One thing on a layer. `goal` is where its line (a node: its middle) should be; `column` is where it is.

    It covers `before` cells left of that column, `after` cells right of it (a node: with what must stay free there) and
    `along` cells in the direction of growth. `ports_above` and `ports_below` are the columns where wires touch it, by
    wire index.
    """

    kind: Kind
    layer: int
    goal: float
    before: int = 0
    after: int = 0
    along: int = 0
    node: str = ""
    column: int = 0
    ports_above: dict[int, int] = field(default_factory=dict)
    ports_below: dict[int, int] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return self.column - self.before

    @property
    def last(self) -> int:
        return self.column + self.after


@dataclass(frozen=True, slots=True)
class Gaps:
    """Free cells between neighbours on a layer: two boxes, a box and a line, two lines; and between ports of a box."""

    boxes: int
    box_line: int
    lines: int
    ports: int

    def between(self, left: Item, right: Item) -> int:
        """How many cells stay free between these two at least."""
        if left.kind == "node" and right.kind == "node":
            return self.boxes
        if left.kind == "node" or right.kind == "node":
            return self.box_line
        return self.lines

    def port_step(self, count: int) -> int:
        """How far `count` ports on one side of a box are apart, from one to the next."""
        return self.ports + 1 if count <= MANY_PORTS else 1

    def room_for_ports(self, count: int) -> int:
        """The least width of a box with `count` wires on one side."""
        return (count - 1) * self.port_step(count) + 3 if count else 0


@dataclass(slots=True, eq=False)
class _Block:
    """Items of several layers that share one column."""

    items: list[Item]
    layers: set[int]
    goal: float


def settle(layers: Sequence[Sequence[Item]], chains: Sequence[Sequence[Item]], gaps: Gaps) -> None:
    """Give every item its column.

    A chain is what one wire runs through from top to bottom; neighbours in it with the same goal keep one column.
    """
    block_of: dict[int, _Block] = {}
    for layer in layers:
        for item in layer:
            block_of[id(item)] = _Block([item], {item.layer}, item.goal)
    # Lines first, then what hangs on nodes: a long straight line matters more than a node right above another.
    for wanted in ("line", "node"):
        for chain in chains:
            for upper, lower in pairwise(chain):
                if wanted == "line" and "line" not in (upper.kind, lower.kind):
                    continue
                one, other = block_of[id(upper)], block_of[id(lower)]
                if one is other or abs(one.goal - other.goal) > SAME_COLUMN or one.layers & other.layers:
                    continue
                if len(one.items) < len(other.items):
                    one, other = other, one
                one.items.extend(other.items)
                one.layers |= other.layers
                for item in other.items:
                    block_of[id(item)] = one

    place: dict[int, int] = {}
    numbered: list[_Block] = []
    for layer in layers:
        for item in layer:
            block = block_of[id(item)]
            if id(block) not in place:
                place[id(block)] = len(numbered)
                numbered.append(block)
    numbered.sort(key=lambda block: (block.goal, place[id(block)]))
    turn = {id(block): number for number, block in enumerate(numbered)}
    ordered = [sorted(layer, key=lambda item: turn[id(block_of[id(item)])]) for layer in layers]
    left_of: dict[int, Item] = {}
    for layer in ordered:
        for left, right in pairwise(layer):
            left_of[id(right)] = left
    for block in numbered:
        column = floor(block.goal + 0.5)
        for item in block.items:
            neighbour = left_of.get(id(item))
            if neighbour is not None:
                column = max(column, neighbour.last + gaps.between(neighbour, item) + item.before + 1)
        for item in block.items:
            item.column = column


def spread(wishes: Sequence[tuple[float, float]], low: int, high: int, gap: int) -> list[int]:
    """Rising whole numbers in `low..high`, at least `gap` apart, as near to the wishes as their order allows.

    A wish is (place, weight). The caller sees to it that there is room.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight and count of wishes that must stand side by side
    for place, (wish, weight) in enumerate(wishes):
        mean, count = wish - place * gap, 1
        while pools and pools[-1][0] >= mean:
            last_mean, last_weight, last_count = pools.pop()
            mean = (mean * weight + last_mean * last_weight) / (weight + last_weight)
            weight, count = weight + last_weight, count + last_count
        pools.append((mean, weight, count))
    top = high - (len(wishes) - 1) * gap
    numbers: list[int] = []
    for mean, _, count in pools:
        base = min(max(floor(mean + 0.5), low), top)
        for _ in range(count):
            numbers.append(base + len(numbers) * gap)
    return numbers
