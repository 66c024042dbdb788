"""Parts of a state that fit into one reply: large and deep values are left out and named."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from core.errors import UsageError
from core.link.types import ChangeView, Elided

TEXT_LIMIT = 4_096
"""Characters of a text that are sent whole."""
ITEM_LIMIT = 200
"""Items of a list and keys of a dict that are sent at most."""
SIZE_LIMIT = 128 * 1024
"""Bytes of JSON after which the rest is elided."""
PREVIEW_LIMIT = 120

Path = list[str | int]


def value_at(state: Any, path: Path) -> Any:
    """The value at a path from the top of the state; raises UsageError where there is none."""
    value = state
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError) as error:
            raise UsageError(
                f"The state has nothing at {show_path(path)}.",
                cause=f"There is no {part!r} on the way.",
                next_step="Read the part above it to see what is there.",
            ) from error
    return value


def show_path(path: Path) -> str:
    """A path as a person writes it: `shared['mails'][3]`."""
    return "shared" + "".join(f"[{part!r}]" for part in path)


def preview(value: Any) -> str:
    """The first characters of a value's JSON text."""
    if isinstance(value, str):
        value = value[: PREVIEW_LIMIT * 2]
    elif isinstance(value, list):
        value = value[:PREVIEW_LIMIT]
    text = orjson.dumps(value).decode("utf-8", "replace")
    return text if len(text) <= PREVIEW_LIMIT else text[: PREVIEW_LIMIT - 1] + "…"


class _Parts:
    def __init__(self, depth: int) -> None:
        self.elided: list[Elided] = []
        self._depth = depth
        self._left = SIZE_LIMIT

    def take(self, value: Any, path: Path, level: int) -> Any:
        if isinstance(value, str):
            if len(value) > TEXT_LIMIT or len(value) > self._left:
                return self._leave_out(value, path, "text")
            self._left -= len(value) + 3
            return value
        if not isinstance(value, (dict, list)):
            self._left -= 8
            return value
        kind = "dict" if isinstance(value, dict) else "list"
        if value and (level >= self._depth or self._left <= 0):
            return self._leave_out(value, path, kind)
        if isinstance(value, dict):
            taken: dict[str, Any] = {}
            for count, (key, item) in enumerate(value.items()):
                if count >= ITEM_LIMIT or self._left <= 0:
                    self._rest(path, "dict", len(value) - count)
                    break
                self._left -= len(key) + 4
                taken[key] = self.take(item, [*path, key], level + 1)
            return taken
        items: list[Any] = []
        for count, item in enumerate(value):
            if count >= ITEM_LIMIT or self._left <= 0:
                self._rest(path, "list", len(value) - count)
                break
            items.append(self.take(item, [*path, count], level + 1))
        return items

    def _leave_out(self, value: Any, path: Path, kind: str) -> None:
        size = len(orjson.dumps(value))
        self.elided.append(Elided(path=path, kind=kind, count=len(value), size=size, preview=preview(value)))
        self._left -= PREVIEW_LIMIT

    def _rest(self, path: Path, kind: str, count: int) -> None:
        """Name the items after the last one sent; the path is that of their container."""
        self.elided.append(Elided(path=path, kind=f"rest of {kind}", count=count, size=0))


def take_part(state: bytes, path: Path, depth: int) -> tuple[msgspec.Raw, list[Elided], int]:
    """The part at a path with everything too large or too deep left out: its JSON, what is left out, its whole size."""
    value = value_at(orjson.loads(state), path)
    parts = _Parts(depth)
    taken = parts.take(value, path, 0)
    size = len(state) if not path else len(orjson.dumps(value))
    return msgspec.Raw(orjson.dumps(taken)), parts.elided, size


def describe_changes(before: bytes, after: bytes, operations: bytes) -> list[ChangeView]:
    """What a step's delta did, path by path, with short previews of the old and the new value."""
    old, new = orjson.loads(before), orjson.loads(after)
    changes = []
    for operation in orjson.loads(operations):
        op = {"setb": "set", "appendb": "append"}.get(operation[0], operation[0])
        path = operation[1]
        changes.append(ChangeView(op=op, path=path, before=_preview_at(old, path), after=_preview_at(new, path)))
    return changes


def _preview_at(state: Any, path: Path) -> str | None:
    try:
        return preview(value_at(state, path))
    except UsageError:
        return None
