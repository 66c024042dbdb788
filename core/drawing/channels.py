"""Rows for the horizontal parts of the wires between two layers, so that no two of them ever share a cell's run.

A segment comes in at some columns from above and leaves at others downwards. All columns at one side are different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Segment:
    """The part of a wire in one channel: `tops` and `bottoms` are the columns where it meets the layers.

    A wire that goes down has one of each; one that turns back to the layer above has two tops.
    """

    key: int
    tops: tuple[int, ...]
    bottoms: tuple[int, ...]
    track: int = 0
    parts: tuple[Segment, Segment] | None = field(default=None)
    """Where it had to be split: the upper and the lower half, which meet in a column of their own."""

    @property
    def low(self) -> int:
        return min(self.tops + self.bottoms)

    @property
    def high(self) -> int:
        return max(self.tops + self.bottoms)

    @property
    def straight(self) -> bool:
        return self.low == self.high


def assign_tracks(segments: Sequence[Segment]) -> int:
    """Set the track of every segment that isn't straight; returns how many tracks there are.

    Tracks count from 0 at the top. A segment that can't be drawn with one track gets two `parts`.
    """
    bent = [segment for segment in segments if not segment.straight]
    if not bent:
        return 0
    taken = {column for segment in segments for column in segment.tops + segment.bottoms}
    bent = _split_rings(bent, taken)
    order = _order(bent)
    placed: list[Segment] = []
    for segment in order:
        segment.track = 1 + max((other.track for other in placed if _touch(other, segment)), default=-1)
        placed.append(segment)
    return 1 + max(segment.track for segment in order)


def _touch(one: Segment, other: Segment) -> bool:
    """True where the two can't be on one track: less than one free cell between them."""
    return one.low <= other.high + 1 and other.low <= one.high + 1


def _must_be_above(segments: Sequence[Segment]) -> dict[int, set[int]]:
    """For each segment (by place) those that must be lower: they leave downwards in a column where it comes in."""
    coming: dict[int, int] = {}
    for place, segment in enumerate(segments):
        for column in segment.tops:
            coming[column] = place
    lower: dict[int, set[int]] = {place: set() for place in range(len(segments))}
    for place, segment in enumerate(segments):
        for column in segment.bottoms:
            other = coming.get(column)
            if other is None or other == place:
                continue
            if segments[other].key == segment.key:
                lower[place].add(other)  # the two halves of one wire
            else:
                lower[other].add(place)
    return lower


def _split_rings(segments: list[Segment], taken: set[int]) -> list[Segment]:
    """Split one segment of every ring of segments that would each have to be above the next."""
    while True:
        ring = _find_ring(_must_be_above(segments))
        if not ring:
            return segments
        # Only a segment with one top and one bottom can be part of a ring and be split.
        split = max((segments[place] for place in ring if segments[place].bottoms), key=lambda s: s.high - s.low)
        middle = _free_column(split, taken)
        taken.add(middle)
        upper = Segment(split.key, split.tops, (middle,))
        lower = Segment(split.key, (middle,), split.bottoms)
        split.parts = (upper, lower)
        place = segments.index(split)
        segments = [*segments[:place], upper, lower, *segments[place + 1 :]]


def _find_ring(lower: dict[int, set[int]]) -> list[int]:
    """The places of one ring, or nothing."""
    state = dict.fromkeys(lower, 0)
    for root in lower:
        if state[root]:
            continue
        state[root] = 1
        trail = [root]
        walk = [iter(sorted(lower[root]))]
        while walk:
            following = next(walk[-1], None)
            if following is None:
                walk.pop()
                state[trail.pop()] = 2
            elif state[following] == 1:
                return trail[trail.index(following) :]
            elif state[following] == 0:
                state[following] = 1
                trail.append(following)
                walk.append(iter(sorted(lower[following])))
    return []


def _free_column(segment: Segment, taken: set[int]) -> int:
    """A column that no other wire uses in this channel: between the ends if there is one, else outside."""
    middle = (segment.low + segment.high) // 2
    distance = 0
    while True:
        for column in (middle + distance, middle - distance):
            if column not in taken:
                return column
        distance += 1


def _crossings(above: Segment, below: Segment) -> int:
    """How often the two cross when the first one's track is above the second one's."""
    count = sum(above.low < column < above.high for column in below.tops)
    return count + sum(below.low < column < below.high for column in above.bottoms)


def _order(segments: list[Segment]) -> list[Segment]:
    """The segments from top to bottom: first what must be, then with few crossings."""
    lower = _must_be_above(segments)
    count = len(segments)
    pull = [0] * count  # how much a segment wants to be above those still to be placed
    wish: dict[tuple[int, int], int] = {}
    for one in range(count):
        for other in range(one + 1, count):
            first, second = segments[one], segments[other]
            if first.low > second.high or second.low > first.high:
                continue
            better = _crossings(second, first) - _crossings(first, second)
            if better:
                wish[one, other] = better
                pull[one] += better
                pull[other] -= better
    wishes: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for (one, other), better in wish.items():
        wishes[one].append((other, better))
        wishes[other].append((one, -better))
    waiting = [0] * count
    for places in lower.values():
        for place in places:
            waiting[place] += 1
    left = set(range(count))
    order: list[Segment] = []
    while left:
        ready = [place for place in left if waiting[place] == 0]
        chosen = max(ready, key=lambda place: (pull[place], -segments[place].low, -place))
        left.remove(chosen)
        for place in lower[chosen]:
            waiting[place] -= 1
        for other, better in wishes[chosen]:
            # What wanted to be above the chosen one has lost; what wanted to be below it is content.
            pull[other] += better
        order.append(segments[chosen])
    return order
