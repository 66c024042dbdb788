"""Changes of one node in a dag, put so that they can be compared and joined with those of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from core.flow.delta import BLOB_LIMIT, apply_change
from core.flow.journal import Delta
from core.flow.json_text import dumps, loads

APPEND, MERGE, LAST = "append", "merge", "last"
REDUCERS = (APPEND, MERGE, LAST)
JOIN = "join"
"""The kind of a change that adds a dict's keys to what is there, at all levels."""

Path = tuple[str | int, ...]
State = dict[str, Any]
MISSING: Any = object()


class Change(NamedTuple):
    """One operation of a delta; `kind` is set, del, append or join."""

    kind: str
    path: Path
    value: Any = None


class Touch(NamedTuple):
    """A place in the state that a node changed, and how: `append`, `last`, `dict` (it must be one) or `change`."""

    path: Path
    how: str


def parse_reducers(reducers: Mapping[str, str]) -> dict[Path, str]:
    """The reducers by path; in the workflow's JSON a path is its keys with dots between them."""
    return {tuple(path.split(".")): reducer for path, reducer in reducers.items()}


def read_changes(operations: bytes, blobs: Sequence[bytes] = ()) -> list[Change]:
    """The changes of a delta, each value a fresh one."""
    changes: list[Change] = []
    for kind, path, *rest in loads(operations):
        value: Any = rest[0] if rest else None
        if kind in ("setb", "appendb", "joinb"):
            kind, value = kind[:-1], loads(blobs[value])
        changes.append(Change(kind, tuple(path), value))
    return changes


def write_changes(changes: Iterable[Change], blobs: list[bytes]) -> bytes:
    """The operations' JSON text of a delta; large values are added to `blobs` where they are not there yet."""
    operations: list[bytes] = []
    for kind, path, value in changes:
        place = dumps(path)
        if kind == "del":
            operations.append(b'["del",%b]' % place)
            continue
        text = dumps(value)
        if len(text) <= BLOB_LIMIT:
            operations.append(b'["%b",%b,%b]' % (kind.encode(), place, text))
            continue
        if text not in blobs:
            blobs.append(text)
        operations.append(b'["%bb",%b,%d]' % (kind.encode(), place, blobs.index(text)))
    return b"[%b]" % b",".join(operations)


def delta_of(changes: Sequence[Change]) -> Delta:
    """The changes as a delta."""
    blobs: list[bytes] = []
    operations = write_changes(changes, blobs)
    return Delta(operations, tuple(blobs), len(changes))


def governing(reducers: Mapping[Path, str], path: Path) -> Path | None:
    """The longest reducer path at or above a path."""
    for length in range(len(path), 0, -1):
        if path[:length] in reducers:
            return path[:length]
    return None


def in_words_of_reducers(
    changes: Sequence[Change], reducers: Mapping[Path, str], empty_before: set[Path], after: State
) -> list[Change]:
    """The changes as the reducers see them: a first list appends, a first dict joins, `last` sets the value as a whole.

    `empty_before` are the reducer paths where the node found nothing (or null); `after` is the state it left.
    """
    result: list[Change] = []
    whole: set[Path] = set()
    for change in changes:
        place = governing(reducers, change.path)
        reducer = reducers[place] if place is not None else None
        if place is None:
            result.append(change)
        elif reducer == LAST:
            if place not in whole:
                whole.add(place)
                value = look_up(after, place)
                result.append(Change("del", place) if value is MISSING else Change("set", place, value))
        elif change.path == place and change.kind == "set" and place in empty_before:
            if reducer == APPEND and isinstance(change.value, list):
                result.append(Change("append", place, change.value))
            elif reducer == MERGE and isinstance(change.value, dict):
                result.append(Change(JOIN, place, change.value))
            else:
                result.append(change)
        else:
            result.append(change)
    return result


def touches(change: Change, reducers: Mapping[Path, str]) -> list[Touch]:
    """Which places a change touches."""
    kind, path, value = change
    if kind == JOIN:
        found = [Touch(path, "dict")]
        for key, item in value.items():
            inner = Change(JOIN if isinstance(item, dict) else "set", (*path, key), item)
            found += touches(inner, reducers)
        return found
    reducer = reducers.get(path)
    if reducer == APPEND and kind == "append":
        return [Touch(path, APPEND)]
    if reducer == LAST:
        return [Touch(path, LAST)]
    if kind == "del" and isinstance(path[-1], int):
        return [Touch(path[:-1], "change")]  # What comes after it in the list moves.
    return [Touch(path, "change")]


def apply(state: State, change: Change) -> None:
    """Make one change in a state, in place; appending and joining make what is not there."""
    kind, path, value = change
    if kind == "append" and look_up(state, path) in (MISSING, None):
        apply_change(state, "set", path, value)
    elif kind == JOIN:
        join(state, path, value)
    else:
        apply_change(state, kind, path, value)


def join(state: State, path: Path, value: dict[str, Any]) -> list[Change]:
    """Add a dict's keys to the dict at a path, at all levels, in place; returns the plain changes that this took."""
    there = look_up(state, path)
    if not isinstance(there, dict):
        apply_change(state, "set", path, value)
        return [Change("set", path, value)]
    changes: list[Change] = []
    for key, item in value.items():
        if isinstance(item, dict):
            changes += join(state, (*path, key), item)
        else:
            there[key] = item
            changes.append(Change("set", (*path, key), item))
    return changes


def look_up(state: Any, path: Path) -> Any:
    """The value at a path, or MISSING."""
    for part in path:
        try:
            state = state[part]
        except (LookupError, TypeError):
            return MISSING
    return state
