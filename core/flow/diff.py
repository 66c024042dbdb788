"""The structural difference between two JSON values: what must be done to the old one to get the new one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from core.flow.json_text import dumps
from core.flow.values import Path

SINGLE_LIMIT = 64
"""Deletions in one list, and changed elements before it is asked whether most have changed."""
CHUNK = 256
"""Elements that are compared at once, in C."""


class Change(NamedTuple):
    """One operation: `kind` is set, del or append (then `value` is the list of new items, from index `start` on)."""

    kind: str
    path: Path
    value: Any = None
    start: int = 0


def difference(path: Path, old: Any, new: Any) -> list[Change]:
    """The changes that make `old` into `new`, in the order in which they apply; both stand at `path` and differ.

    Keys come out in the order of the new dict. The values in the changes are parts of `new`, not copies.
    """
    changes: list[Change] = []
    _compare(path, old, new, changes)
    return changes


def identical(old: Any, new: Any) -> bool:
    """True where two JSON values are the same, also in type and order of keys (1, 1.0 and True are not)."""
    kind = type(new)
    if type(old) is not kind or old != new:
        return False
    # The texts tell -0.0 from 0.0, and what lies deeper in a dict or list.
    return kind is str or kind is int or kind is bool or new is None or dumps(old) == dumps(new)


def reordered(old: Iterable[str], new: Iterable[str]) -> tuple[list[str], list[str]]:
    """Which keys of an old dict to delete and then which to set at its end to get the new dict's keys in their order.

    Keys that are in both and in neither list can stay where they are.
    """
    places = {key: place for place, key in enumerate(old)}
    last = -1
    fresh: list[str] = []
    for key in new:
        place = places.get(key, -1)
        if not fresh and place > last:
            last = place
            del places[key]
        else:
            fresh.append(key)
    return list(places), fresh


def _compare(path: Path, old: Any, new: Any, changes: list[Change]) -> None:
    kind = type(new)
    if type(old) is not kind:
        changes.append(Change("set", path, new))
    elif kind is dict:
        _compare_dicts(path, old, new, changes)
    elif kind is list:
        _compare_lists(path, old, new, changes)
    else:
        changes.append(Change("set", path, new))


def _compare_dicts(path: Path, old: dict[str, Any], new: dict[str, Any], changes: list[Change]) -> None:
    gone, fresh = ([], []) if list(old) == list(new) else reordered(old, new)
    changes.extend(Change("del", (*path, key)) for key in gone)
    at_end = set(fresh)
    for key, value in new.items():
        if key in at_end:
            changes.append(Change("set", (*path, key), value))
        elif not identical(old[key], value):
            _compare((*path, key), old[key], value, changes)


def _compare_lists(path: Path, old: list[Any], new: list[Any], changes: list[Change]) -> None:
    moved = _shift(old, new)
    if moved is not None:
        changes.extend(Change("del", (*path, 0)) for _ in range(moved))
        kept = len(old) - moved
        if len(new) > kept:
            changes.append(Change("append", path, new[kept:], kept))
        return
    surplus = len(old) - len(new)
    differing = _differing(old, new)
    if not new or surplus > SINGLE_LIMIT or differing is None:
        changes.append(Change("set", path, new))
        return
    for index in differing:
        _compare((*path, index), old[index], new[index], changes)
    if surplus < 0:
        changes.append(Change("append", path, new[len(old) :], len(old)))
    changes.extend(Change("del", (*path, len(old) - 1 - place)) for place in range(surplus))


def _shift(old: list[Any], new: list[Any]) -> int | None:
    """How many items were taken from the front, where that and growth at the end is all that happened.

    Growth, queues and sliding windows: found by comparisons in C, not by a walk.
    """
    if not old:
        return 0
    if not new:
        return None
    try:
        moved = old.index(new[0])
    except ValueError:
        return None
    kept = old[moved:]
    fits = moved <= SINGLE_LIMIT and len(kept) <= len(new) and identical(kept, new[: len(kept)])
    return moved if fits else None


def _differing(old: list[Any], new: list[Any]) -> list[int] | None:
    """The indexes at which two lists differ; None where most do and there are many."""
    indexes: list[int] = []
    length = min(len(old), len(new))
    for start in range(0, length, CHUNK):
        end = min(start + CHUNK, length)
        if identical(old[start:end], new[start:end]):
            continue
        indexes += [index for index in range(start, end) if not identical(old[index], new[index])]
        if len(indexes) > SINGLE_LIMIT and len(indexes) * 2 > end:
            return None
    return indexes
