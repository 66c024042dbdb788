"""Where wires touch the boxes: straight where that is possible, without crossing, never two in one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.drawing.columns import Gaps, Item, spread

STRAIGHT = 4.0
"""How much more a port counts that makes a line straight."""


@dataclass(frozen=True, slots=True)
class Hop:
    """The part of wire `key` between an item and one on the next layer."""

    key: int
    upper: Item
    lower: Item


def place_ports(channels: Sequence[Sequence[Hop]], turning: Sequence[tuple[Item, int, int]], gaps: Gaps) -> None:
    """Fill in the ports of all items.

    `turning` are wires from a box back to itself: (box, wire, how many ports below the box it needs, at the right end).
    """
    reserved: dict[int, list[tuple[int, int]]] = {}
    for item, key, count in turning:
        reserved.setdefault(id(item), []).append((key, count))
    for hops in channels:
        _place_below(hops, reserved, gaps, settled=False)
        _place_above(hops, gaps)
        _place_below(hops, reserved, gaps, settled=True)
        _place_above(hops, gaps)
    placed = {id(hop.upper) for hops in channels for hop in hops}
    for item, _, _ in turning:
        if id(item) not in placed:
            placed.add(id(item))
            _place_one_below(item, [], reserved, gaps, settled=False)


def inner(item: Item) -> tuple[int, int]:
    """The first and last column where a wire may touch an item."""
    if item.kind == "node":
        return item.column - item.before + 1, item.column + item.before - 1
    return item.column, item.column


def _place_below(hops: Sequence[Hop], reserved: dict[int, list[tuple[int, int]]], gaps: Gaps, *, settled: bool) -> None:
    by_item: dict[int, list[Hop]] = {}
    for hop in hops:
        by_item.setdefault(id(hop.upper), []).append(hop)
    for group in by_item.values():
        _place_one_below(group[0].upper, group, reserved, gaps, settled=settled)


def _place_one_below(
    item: Item, hops: list[Hop], reserved: dict[int, list[tuple[int, int]]], gaps: Gaps, *, settled: bool
) -> None:
    low, high = inner(item)
    hops = sorted(hops, key=lambda hop: (hop.lower.column, hop.key))
    wishes = [_weighed(_wish_below(hop, low, high, settled=settled), low, high) for hop in hops]
    keys = [hop.key for hop in hops]
    for key, count in reserved.get(id(item), ()):
        keys.extend([key, -1 - key][:count])
        wishes.extend([(float(high), 1.0)] * count)
    columns = spread(wishes, low, high, gaps.port_step(len(wishes)))
    item.ports_below = dict(zip(keys, columns, strict=True))


def _wish_below(hop: Hop, low: int, high: int, *, settled: bool) -> float:
    if hop.lower.kind != "node":
        return hop.lower.column
    if settled:
        return hop.lower.ports_above[hop.key]
    first, last = inner(hop.lower)
    common_low, common_high = max(low, first), min(high, last)
    if common_low > common_high:
        return hop.lower.column
    return min(max(hop.upper.column, common_low), common_high)


def _place_above(hops: Sequence[Hop], gaps: Gaps) -> None:
    by_item: dict[int, list[Hop]] = {}
    for hop in hops:
        by_item.setdefault(id(hop.lower), []).append(hop)
    for group in by_item.values():
        item = group[0].lower
        low, high = inner(item)
        ordered = sorted(group, key=lambda hop: (hop.upper.column, hop.upper.ports_below[hop.key], hop.key))
        wishes = [_wish_above(hop, low, high) for hop in ordered]
        columns = spread(wishes, low, high, gaps.port_step(len(wishes)))
        item.ports_above = {hop.key: column for hop, column in zip(ordered, columns, strict=True)}


def _weighed(wish: float, low: int, high: int) -> tuple[float, float]:
    return wish, STRAIGHT if low <= wish <= high else 1.0


def _wish_above(hop: Hop, low: int, high: int) -> tuple[float, float]:
    """Straight below where the wire comes from, if that is within the box; else between middle and corner."""
    column = hop.upper.ports_below[hop.key]
    if low <= column <= high:
        return column, STRAIGHT
    middle = hop.lower.column
    return (middle + high) / 2 if column > high else (middle + low) / 2, 1.0
