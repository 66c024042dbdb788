"""Who wrote a value: its way back through the changes of steps, from the newest on. Pure.

A value is followed and not a place: where a list lost items before it, it stood further on earlier. What comes before
the value's own beginning is followed by its place, as long as it lies in dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.engine.state_parts import Path, preview
from core.link.inspect_types import PartWritten

PARTS_SHOWN = 5


@dataclass(slots=True)
class Written:
    """What one step did to the value; see `core.link.inspect_types.WriteView`."""

    op: str
    path: Path
    with_path: Path
    value: str | None = None
    parts: list[PartWritten] = field(default_factory=list)
    part_count: int = 0


class Trace:
    """Follows one value back; `path` is where it was before the steps that were taken in.

    `length_of` says how long a list is after the step that is taken in just now; it is asked where that can't be told
    from what was seen.
    """

    def __init__(self, path: Path, length_of: Callable[[Path], int | None]) -> None:
        self.path = list(path)
        self.began = False
        """True once the step was found in which the value came into being as an item of a list."""
        self._length_of = length_of
        self._lengths: dict[int, int | None] = {}
        """How long the list is at the first so many parts of the path."""

    def needs_length(self, operations: Sequence[Sequence[Any]]) -> bool:
        """True where the step before can only be taken in once the length of a list after it is known."""
        return any(self._grows_unmeasured(operation) for operation in operations)

    def _grows_unmeasured(self, operation: Sequence[Any]) -> bool:
        depth = len(operation[1])
        grows = operation[0] in ("append", "appendb") and depth < len(self.path)
        return grows and depth not in self._lengths and list(operation[1]) == self.path[:depth]

    def take(self, operations: Sequence[Sequence[Any]], blob: Callable[[int], Any]) -> Written | None:
        """Take in the operations of the step before; what it did to the value, or None."""
        self._measure(operations)
        written: Written | None = None
        for operation in reversed(operations):
            kind, path = operation[0], list(operation[1])
            large = kind in ("setb", "appendb")
            value: Callable[[], Any] = _loader(operation, blob) if large else _given(operation)
            found = self._take_one(kind[:-1] if large else kind, path, value)
            written = _joined(written, found)
            if self.began:
                break
        return written

    def _measure(self, operations: Sequence[Sequence[Any]]) -> None:
        """Find out how long the lists are that this step made longer, as they are after it."""
        for operation in operations:
            if self._grows_unmeasured(operation):
                depth = len(operation[1])
                self._lengths[depth] = self._length_of(self.path[:depth])

    def _take_one(self, kind: str, path: Path, value: Callable[[], Any]) -> Written | None:
        own, depth = self.path, len(path)
        if kind == "del" and isinstance(path[-1], int) and depth <= len(own) and own[: depth - 1] == path[:-1]:
            return self._item_went(path)
        if own[:depth] == path:
            return self._whole(kind, path, value)
        if path[: len(own)] == own:
            return self._part(kind, path, value)
        return None

    def _whole(self, kind: str, path: Path, value: Callable[[], Any]) -> Written | None:
        """The value itself, or what it lies in, was set, taken away, or got longer."""
        own, depth = self.path, len(path)
        if kind == "append":
            if depth == len(own):
                return self._part(kind, path, value)
            return self._items_came(depth, value())
        if kind == "del":
            self._forget(depth)
            return Written("del", list(own), list(path))
        self._forget(depth)
        inside, there = _inside(value(), own[depth:])
        return Written("set", list(own), list(path), preview(inside)) if there else None

    def _items_came(self, depth: int, items: list[Any]) -> Written | None:
        """The list at the first `depth` parts of the path got items at its end: perhaps the value with them."""
        length, index = self._lengths.get(depth), self.path[depth]
        if length is None or not isinstance(index, int):
            return None
        before = length - len(items)
        self._lengths[depth] = before
        if index < before:
            return None
        self.began = True
        inside, there = _inside(items[index - before], self.path[depth + 1 :]) if index < length else (None, False)
        return Written("append", list(self.path), self.path[: depth + 1], preview(inside) if there else None)

    def _item_went(self, path: Path) -> Written | None:
        """A list around the value lost an item: before that, what lies behind stood one place further on."""
        depth, index = len(path) - 1, path[-1]
        length = self._lengths.get(depth)
        if length is not None:
            self._lengths[depth] = length + 1
        here = self.path[depth]
        if isinstance(here, int) and isinstance(index, int) and index <= here:
            self.path[depth] = here + 1
        return None

    def _part(self, kind: str, path: Path, value: Callable[[], Any]) -> Written:
        shown = None if kind == "del" else preview(value())
        part = PartWritten(op=kind, path=path[len(self.path) :], value=shown)
        return Written("parts", list(self.path), list(self.path), parts=[part], part_count=1)

    def _forget(self, depth: int) -> None:
        """What lies below was another one before."""
        self._lengths = {known: length for known, length in self._lengths.items() if known < depth}


def _joined(later: Written | None, earlier: Written | None) -> Written | None:
    """What a step did in all, of its operations from the last to the first."""
    if later is None or earlier is None:
        return later or earlier
    if later.op == "parts" and earlier.op == "parts":
        later.part_count += 1
        later.parts = [*earlier.parts, *later.parts][:PARTS_SHOWN]
    # A value that was set in a step: what the step did to it before is of no matter.
    return later if later.op != "parts" or earlier.op == "parts" else earlier


def _loader(operation: Sequence[Any], blob: Callable[[int], Any]) -> Callable[[], Any]:
    return lambda: blob(operation[2])


def _given(operation: Sequence[Any]) -> Callable[[], Any]:
    return lambda: operation[2]


def _inside(value: Any, path: Path) -> tuple[Any, bool]:
    """What lies at a path in a value, and whether there is anything."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None, False
    return value, True
