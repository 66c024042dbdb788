"""A JSON text given another value, so that every part whose value stays keeps its bytes.

Order of keys, numbers as they are written, indentation and unknown fields stay; what is new is written as its
neighbours are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from core.definition.json_text import parse_json

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_WIDTH = 118
"""Longest line of a value that is written on one line."""
_LOOKED_AT = 50
"""Old items that are compared with a new one."""


@dataclass(slots=True)
class Part:
    """One value of a JSON text, from `start` to `end`; `children` are the values in it, `starts` where each begins.

    In an object a child begins with its key. `live` is the value that is handed out and may be changed in place.
    """

    value: Any
    live: Any
    start: int
    end: int = 0
    keys: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    children: list[Part] = field(default_factory=list)


class JsonText:
    """A JSON text (without byte order mark) and where its parts stand; raises JsonProblem for what is not JSON.

    `value` may be changed in place, or given anew: `rewritten` recognises the objects of a list that stayed in it.
    """

    def __init__(self, text: str) -> None:
        parse_json(text)
        self.text = text
        self._tokens = list(_TOKEN.finditer(text))
        self._position = 0
        self._root = self._part()
        self.value = self._root.live
        self._style = _Style.of(text, self._root)

    def rewritten(self, value: Any = None) -> str:
        """The text of the changed value; without one of `self.value` as it is now."""
        wanted = self.value if value is None else value
        body = self._write(self._root, wanted, "")
        return self.text[: self._root.start] + body + self.text[self._root.end :]

    # Reading -----------------------------------------------------------------------------------------------------

    def _part(self) -> Part:
        match = self._tokens[self._position]
        self._position += 1
        token = match.group()
        if token not in "{[":
            value = json.loads(token)
            return Part(value, value, match.start(), match.end())
        part = Part({}, {}, match.start()) if token == "{" else Part([], [], match.start())
        while (match := self._tokens[self._position]).group() not in ("}", "]"):
            if match.group() == ",":
                self._position += 1
                continue
            part.starts.append(match.start())
            if isinstance(part.value, dict):
                key = json.loads(match.group())
                self._position += 2
                part.keys.append(key)
                child = self._part()
                part.value[key], part.live[key] = child.value, child.live
            else:
                child = self._part()
                part.value.append(child.value)
                part.live.append(child.live)
            part.children.append(child)
        self._position += 1
        part.end = match.end()
        return part

    # Writing -----------------------------------------------------------------------------------------------------

    def _write(self, part: Part, value: Any, indent: str) -> str:
        """The text of a value in the place of a part."""
        if same(part.value, value):
            return self.text[part.start : part.end]
        if isinstance(part.value, dict) and isinstance(value, dict):
            return self._write_object(part, value, indent)
        if isinstance(part.value, list) and isinstance(value, list):
            return self._write_list(part, value, indent)
        return self._style.render(value, indent)

    def _write_object(self, part: Part, value: dict[str, Any], indent: str) -> str:
        inner = self._inner_indent(part, indent)
        pieces: list[tuple[int | None, str]] = []
        for position, (key, child) in enumerate(zip(part.keys, part.children, strict=True)):
            if key in value:
                head = self.text[part.starts[position] : child.start]
                pieces.append((position, head + self._write(child, value[key], inner)))
        place = len(pieces)
        for key in reversed(value):
            if key in part.value:
                # A new key stands before the known one that follows it in the new value.
                place = next((at for at, (origin, _) in enumerate(pieces) if part.keys[origin or 0] == key), place)
            else:
                text = f"{self._style.scalar(key)}{self._style.colon}{self._style.render(value[key], inner)}"
                pieces.insert(place, (None, text))
        return self._arrange(part, pieces, indent, "{}")

    def _write_list(self, part: Part, value: list[Any], indent: str) -> str:
        inner = self._inner_indent(part, indent)
        expand = bool(part.children) and self._is_spread(part.children[-1])
        origins = self._origins(part, value)
        pieces: list[tuple[int | None, str]] = []
        for item, origin in zip(value, origins, strict=True):
            if origin is not None:
                pieces.append((origin, self._write(part.children[origin], item, inner)))
            else:
                pieces.append((None, self._style.render(item, inner, spread=expand)))
        return self._arrange(part, pieces, indent, "[]")

    def _origins(self, part: Part, value: list[Any]) -> list[int | None]:
        """For each item of a changed list, which of the old items it is: by identity, else by being equal."""
        by_identity = {id(child.live): position for position, child in enumerate(part.children)}
        origins: list[int | None] = []
        for item in value:
            found = by_identity.pop(id(item), None) if isinstance(item, dict | list) else None
            origins.append(found)
        taken = {origin for origin in origins if origin is not None}
        free = [position for position in range(len(part.children)) if position not in taken]
        for index, item in enumerate(value):
            if origins[index] is None and free:
                near = enumerate(free[:_LOOKED_AT])
                match = next((at for at, old in near if same(part.children[old].value, item)), None)
                if match is not None:
                    origins[index] = free.pop(match)
        return origins

    def _arrange(self, part: Part, pieces: Sequence[tuple[int | None, str]], indent: str, empty: str) -> str:
        """The text of a container with these children; what lies between two that stay neighbours stays."""
        if not pieces:
            return empty
        spread = self._is_spread(part) if part.children else self._style.spreads(indent, part is self._root, pieces)
        inner = self._inner_indent(part, indent)
        newline = self._style.newline
        between = f",{newline}{inner}" if spread else self._style.comma
        opening, closing = (f"{newline}{inner}", f"{newline}{indent}") if spread else ("", "")
        if part.children:
            opening = self.text[part.start + 1 : part.starts[0]]
            closing = self.text[part.children[-1].end : part.end - 1]
        texts = [pieces[0][1]]
        for (left, _), (right, text) in pairwise(pieces):
            if left is not None and right == left + 1:
                texts.append(self.text[part.children[left].end : part.starts[right]] + text)
            else:
                texts.append(between + text)
        return f"{empty[0]}{opening}{''.join(texts)}{closing}{empty[1]}"

    def _is_spread(self, part: Part) -> bool:
        return bool(part.children) and "\n" in self.text[part.start : part.starts[0]]

    def _inner_indent(self, part: Part, indent: str) -> str:
        if self._is_spread(part):
            line = self.text.rfind("\n", 0, part.starts[0]) + 1
            return self.text[line : part.starts[0]]
        return indent + self._style.indent


@dataclass(frozen=True, slots=True)
class _Style:
    """How a document is written."""

    indent: str = "  "
    newline: str = "\n"
    colon: str = ": "
    comma: str = ", "
    on_one_line: bool = False
    all_spread: bool = False
    ascii_only: bool = False

    @classmethod
    def of(cls, text: str, root: Part) -> _Style:
        inline = spread = 0
        colon, comma, indent = ": ", "", ""
        waiting = [root]
        while waiting:
            part = waiting.pop()
            waiting += part.children
            if not part.children:
                continue
            gap = text[part.start + 1 : part.starts[0]]
            if "\n" in gap:
                spread += 1
                if part is root:
                    indent = gap.rpartition("\n")[2]
            else:
                inline += 1
                if not comma and len(part.children) > 1:
                    comma = text[part.children[0].end : part.starts[1]]
            if part.keys and part is root:
                colon = text[part.starts[0] : part.children[0].start].rpartition('"')[2]
        if colon.strip(" ") != ":":
            colon = ": "
        return cls(
            indent=indent or "  ",
            newline="\r\n" if "\r\n" in text else "\n",
            colon=colon,
            comma=comma if comma.strip(" ") == "," else ", " if colon != ":" else ",",
            on_one_line="\n" not in text.strip() and bool(root.children),
            all_spread=spread > 1 and inline == 0,
            ascii_only=text.isascii() and "\\u" in text,
        )

    def scalar(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self.ascii_only, allow_nan=False)

    def render(self, value: Any, indent: str, *, spread: bool = False) -> str:
        """A new value: on one line where it fits and its neighbours are written so."""
        if not isinstance(value, dict | list) or not value:
            return self.scalar(value)
        if not (spread or self.all_spread) or self.on_one_line:
            line = json.dumps(value, ensure_ascii=self.ascii_only, allow_nan=False, separators=(self.comma, self.colon))
            if self.on_one_line or len(indent) + len(line) <= _WIDTH:
                return line
        inner = indent + self.indent
        if isinstance(value, dict):
            texts = [f"{self.scalar(str(key))}{self.colon}{self.render(item, inner)}" for key, item in value.items()]
        else:
            texts = [self.render(item, inner) for item in value]
        body = f",{self.newline}{inner}".join(texts)
        left, right = "{}" if isinstance(value, dict) else "[]"
        return f"{left}{self.newline}{inner}{body}{self.newline}{indent}{right}"

    def spreads(self, indent: str, is_root: bool, pieces: Sequence[tuple[int | None, str]]) -> bool:
        """Whether a container that was empty puts each child on a line of its own."""
        if self.on_one_line:
            return False
        if is_root or self.all_spread or any("\n" in text or text.startswith("{") for _, text in pieces):
            return True
        return len(indent) + sum(len(text) + 2 for _, text in pieces) > _WIDTH


def same(left: Any, right: Any) -> bool:
    """True for values that are one in JSON; true is not 1, and 1 is not 1.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(item, right[key]) for key, item in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
