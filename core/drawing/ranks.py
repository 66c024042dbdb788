"""Which edges run against the flow, and on which row each node stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """An edge between two nodes that exist; `index` is its place in the graph's list of edges."""

    index: int
    source: str
    target: str
    label: str

    @property
    def is_loop(self) -> bool:
        return self.source == self.target


@dataclass(frozen=True, slots=True)
class Descent:
    """A wire as the rows see it: it hangs from `upper` down to `lower`, whichever way it points."""

    wire: Wire
    upper: str
    lower: str


def roots_first(nodes: Sequence[str], wires: Iterable[Wire], start: str) -> list[str]:
    """The nodes in the order in which a walk begins at them: the start, then those nothing leads to, then the rest."""
    entered = {wire.target for wire in wires if not wire.is_loop}
    others = [node for node in nodes if node != start]
    others.sort(key=lambda node: node in entered)
    return [start, *others] if start in nodes else others


def back_wires(nodes: Sequence[str], wires: Sequence[Wire], start: str) -> set[int]:
    """The indexes of the wires that close a loop, seen from the start; without them the graph has no cycle.

    Wires into the start always count, so that it can stand on the top row.
    """
    leaving: dict[str, list[Wire]] = {node: [] for node in nodes}
    for wire in wires:
        if not wire.is_loop:
            leaving[wire.source].append(wire)
    back = {wire.index for wire in wires if wire.target == start and not wire.is_loop}
    done: set[str] = set()
    open_nodes: set[str] = set()
    for root in roots_first(nodes, wires, start):
        if root in done:
            continue
        open_nodes.add(root)
        walk = [(root, iter(leaving[root]))]
        while walk:
            node, rest = walk[-1]
            following = next(rest, None)
            if following is None:
                walk.pop()
                open_nodes.discard(node)
                done.add(node)
            elif following.target in open_nodes:
                back.add(following.index)
            elif following.target not in done:
                open_nodes.add(following.target)
                walk.append((following.target, iter(leaving[following.target])))
    return back


def row_numbers(nodes: Sequence[str], descents: Sequence[Descent], start: str) -> dict[str, int]:
    """The row of each node: one below the lowest node it hangs from; descents have no cycle."""
    below: dict[str, list[str]] = {node: [] for node in nodes}
    missing = dict.fromkeys(nodes, 0)
    for descent in descents:
        below[descent.upper].append(descent.lower)
        missing[descent.lower] += 1
    tops = [node for node in nodes if missing[node] == 0]
    rows = dict.fromkeys(tops, 0)
    ready = deque(tops)
    while ready:
        node = ready.popleft()
        for lower in below[node]:
            rows[lower] = max(rows.get(lower, 0), rows[node] + 1)
            missing[lower] -= 1
            if missing[lower] == 0:
                ready.append(lower)
    above: dict[str, list[str]] = {node: [] for node in nodes}
    for descent in descents:
        above[descent.lower].append(descent.upper)
    # From the bottom up: what hangs on fewer lines than hang on it goes down, so that lines get shorter.
    for node in sorted(nodes, key=lambda node: -rows[node]):
        if node != start and len(below[node]) > len(above[node]):
            rows[node] = min(rows[lower] for lower in below[node]) - 1
    return _without_gaps(rows)


def _without_gaps(rows: dict[str, int]) -> dict[str, int]:
    """The same order of rows with none left empty."""
    number = {row: place for place, row in enumerate(sorted(set(rows.values())))}
    return {node: number[row] for node, row in rows.items()}


def components(nodes: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The parts of the graph that hang together, each in the order of `nodes`."""
    neighbours: dict[str, list[str]] = {node: [] for node in nodes}
    for one, other in pairs:
        neighbours[one].append(other)
        neighbours[other].append(one)
    part_of: dict[str, int] = {}
    count = 0
    for node in nodes:
        if node in part_of:
            continue
        part_of[node] = count
        waiting = [node]
        while waiting:
            for other in neighbours[waiting.pop()]:
                if other not in part_of:
                    part_of[other] = count
                    waiting.append(other)
        count += 1
    parts: list[list[str]] = [[] for _ in range(count)]
    for node in nodes:
        parts[part_of[node]].append(node)
    return parts


def visiting_order(rows: Mapping[str, int], columns: Mapping[str, int]) -> list[str]:
    """The nodes row by row and from left to right."""
    return sorted(rows, key=lambda node: (rows[node], columns[node], node))
