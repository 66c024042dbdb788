"""The state of a run: whole, for programs, or its upper parts, for people."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from core.cli.call import Client
from core.cli.output import Part, byte_size
from core.link.types import Elided, StateView

DEPTH = 6
"""Levels of the state that people see; deeper parts are named with their size."""

LIST_WIDTH = 60
"""Characters up to which a list of scalars stays on one line."""


async def read_whole_state(client: Client, run_id: str, seq: int | None = None, line: int | None = None) -> bytes:
    """The JSON text of the state after step `seq`, or after the last one, read in slices."""
    parts: list[bytes] = []
    offset = 0
    while True:
        chunk = await client.ask(lambda engine: engine.read_state_chunk(run_id, seq, offset, line))  # noqa: B023
        # The step of the first slice holds for all, for a run that goes on meanwhile.
        seq = chunk.seq
        parts.append(chunk.data)
        offset += len(chunk.data)
        if offset >= chunk.size or not chunk.data:
            return b"".join(parts)


async def read_state_lines(
    client: Client, run_id: str, seq: int | None = None, line: int | None = None
) -> list[list[Part]]:
    """The state after step `seq` for people; what is too large or too deep is named with its size."""
    return state_lines(await client.ask(lambda engine: engine.read_state(run_id, seq, None, DEPTH, line)))


def state_lines(view: StateView) -> list[list[Part]]:
    """The state as indented JSON, with a remark in the place of each part that was left out."""
    value = msgspec.json.decode(view.value)
    elided = {json.dumps(part.path): part for part in view.elided}
    lines: list[list[Part]] = []
    _Drawing(elided, lines).draw(value, [], [], "")
    return lines


class _Drawing:
    def __init__(self, elided: dict[str, Elided], lines: list[list[Part]]) -> None:
        self._elided = elided
        self._lines = lines

    def draw(self, value: Any, path: list[str | int], lead: list[Part], tail: str) -> None:
        """Add the lines of one value; `lead` stands before its first line, `tail` (a comma) after its last."""
        part = self._elided.get(json.dumps(path))
        if part is not None and not part.kind.startswith("rest"):
            self._lines.append([*lead, (_remark(part), "dim"), tail])
            return
        if part is None and (flat := _on_one_line(value)) is not None:
            self._lines.append([*lead, flat, tail])
            return
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        indent = "  " * (len(path) + 1)
        self._lines.append([*lead, opening])
        items: list[tuple[str | int, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
        for position, (key, item) in enumerate(items):
            name: list[Part] = (
                [indent] if isinstance(key, int) else [indent, (json.dumps(key, ensure_ascii=False), "bold"), ": "]
            )
            self.draw(item, [*path, key], name, "," if position + 1 < len(items) else "")
        if part is not None:
            self._lines.append([indent, (_remark(part), "dim")])
        self._lines.append(["  " * len(path), closing, tail])


def _on_one_line(value: Any) -> str | None:
    """The JSON of what has no inner lines: scalars, empty containers, short lists of scalars."""
    if value and isinstance(value, dict):
        return None
    if isinstance(value, list) and any(isinstance(item, (dict, list)) or item is None for item in value):
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if not isinstance(value, list) or len(text) <= LIST_WIDTH else None


def _remark(part: Elided) -> str:
    if part.kind.startswith("rest"):
        return f"… {part.count} more"
    what = f"text of {part.count} characters" if part.kind == "text" else f"{part.kind} of {part.count}"
    return f"… {what}, {byte_size(part.size)}"
