"""Parts of a state that fit into one reply: large and deep values are left out and named."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from core.errors import UsageError
from core.flow.diff import difference
from core.link.types import ChangeView, Elided

TEXT_LIMIT = 4_096
"""Characters of a text that are sent whole."""
ITEM_LIMIT = 200
"""Items of a list and keys of a dict that are sent at most."""
SIZE_LIMIT = 128 * 1024
"""Bytes of JSON, those that name what is left out counted, after which the rest is elided."""
ELIDED_BYTES = 160
"""What it takes to name a part that is left out, besides its path and preview."""
PREVIEW_LIMIT = 120
CHANGES_LIMIT = 500
"""Changes of one step that are described at most."""

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
        if isinstance(value, dict):
            return self._take_dict(value, path, level)
        if isinstance(value, list):
            return self._take_list(value, path, level)
        if isinstance(value, str) and len(value) > TEXT_LIMIT:
            self._leave_out(value, path, "text")
            return None
        size = len(orjson.dumps(value)) + 1
        if isinstance(value, str) and size > self._left:
            self._leave_out(value, path, "text")
            return None
        self._left -= size
        return value

    def _take_dict(self, value: dict[str, Any], path: Path, level: int) -> dict[str, Any] | None:
        if value and (level >= self._depth or self._left <= 0):
            self._leave_out(value, path, "dict")
            return None
        taken: dict[str, Any] = {}
        self._left -= 3
        for count, (key, item) in enumerate(value.items()):
            size = _json_size(key) + 2
            if count >= ITEM_LIMIT or size > self._left:
                self._rest(path, "dict", len(value) - count)
                break
            self._left -= size
            taken[key] = self.take(item, [*path, key], level + 1)
        return taken

    def _take_list(self, value: list[Any], path: Path, level: int) -> list[Any] | None:
        if value and (level >= self._depth or self._left <= 0):
            self._leave_out(value, path, "list")
            return None
        items: list[Any] = []
        self._left -= 3
        for count, item in enumerate(value):
            if count >= ITEM_LIMIT or self._left <= 0:
                self._rest(path, "list", len(value) - count)
                break
            items.append(self.take(item, [*path, count], level + 1))
        return items

    def _leave_out(self, value: Any, path: Path, kind: str) -> None:
        shown = preview(value)
        size = len(orjson.dumps(value))
        self.elided.append(Elided(path=path, kind=kind, count=len(value), size=size, preview=shown))
        self._left -= ELIDED_BYTES + _json_size(path) + _json_size(shown)

    def _rest(self, path: Path, kind: str, count: int) -> None:
        """Name the items after the last one sent; the path is that of their container."""
        self.elided.append(Elided(path=path, kind=f"rest of {kind}", count=count, size=0))
        self._left -= ELIDED_BYTES + _json_size(path)


def _json_size(value: Any) -> int:
    return len(orjson.dumps(value))


def take_part(state: bytes, path: Path, depth: int) -> tuple[msgspec.Raw, list[Elided], int]:
    """The part at a path with everything too large or too deep left out: its JSON, what is left out, its whole size."""
    value = value_at(orjson.loads(state), path)
    parts = _Parts(depth)
    taken = parts.take(value, path, 0)
    size = len(state) if not path else len(orjson.dumps(value))
    return msgspec.Raw(orjson.dumps(taken)), parts.elided, size


def describe_changes(before: bytes, after: bytes, operations: bytes) -> list[ChangeView]:
    """What a step's delta did, path by path, with short previews of the old and the new value.

    Of many changes only the first are described, as many as fit into a reply.
    """
    old, new = orjson.loads(before), orjson.loads(after)
    changes: list[ChangeView] = []
    left = SIZE_LIMIT
    done: list[tuple[str, Path]] = [
        ({"setb": "set", "appendb": "append"}.get(operation[0], operation[0]), operation[1])
        for operation in orjson.loads(operations)[:CHANGES_LIMIT]
    ]
    set_again = {orjson.dumps(path) for op, path in done if op != "del"}
    for op, path in done:
        if op == "del" and orjson.dumps(path) in set_again:
            # Taken out and put back behind others, to keep the order of the keys.
            continue
        after_text = None if op == "del" else _preview_at(new, path)
        change = ChangeView(op=op, path=path, before=_preview_at(old, path), after=after_text)
        left -= len(msgspec.json.encode(change))
        if changes and left < 0:
            break
        changes.append(change)
    return changes


def describe_difference(before: bytes, after: bytes) -> list[ChangeView]:
    """The same for two states of any steps: what must change in the one to get the other."""
    changes = difference((), orjson.loads(before), orjson.loads(after)) if before != after else []
    return describe_changes(before, after, orjson.dumps([[change.kind, list(change.path)] for change in changes]))


def _preview_at(state: Any, path: Path) -> str | None:
    try:
        return preview(value_at(state, path))
    except UsageError:
        return None
