"""JSON as people write it: read strictly, with line and column for whatever is wrong in it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from typing import Any

Path = tuple[str | int, ...]
"""A place in a JSON document: keys and indexes from the top."""

SIZE_LIMIT = 1024 * 1024
"""Largest JSON file in bytes."""

DEPTH_LIMIT = 100
"""Deepest nesting: below what every later reader (the database, the wire, the screens) takes."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_INTEGER_RANGE = range(-(2**63), 2**64)
_MOST_DIGITS = 100
"""Python refuses to convert a few thousand digits; anything near that is too long."""


class JsonProblem(Exception):
    """The text is not JSON that can be used: `kind` is syntax, limit, duplicate or value; lines and columns from 1."""

    def __init__(self, kind: str, message: str, line: int = 1, column: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


def parse_json(text: str) -> Any:
    """The value of a strict JSON text; raises JsonProblem.

    Refused beyond plain syntax errors: NaN and Infinity, a key twice in one object, nesting below DEPTH_LIMIT, numbers
    beyond 64 bits and text that is not valid Unicode, because none of them survives being stored.
    """
    doubled = False

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        value = dict(pairs)
        doubled = doubled or len(value) != len(pairs)
        return value

    if not text.strip():
        raise JsonProblem("syntax", "The file is empty.")
    try:
        value = json.loads(text, object_pairs_hook=as_dict, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        hint = _syntax_hint(text, error.pos)
        raise JsonProblem("syntax", f"Not JSON: {error.msg}.", error.lineno, error.colno, hint) from None
    except RecursionError:
        raise JsonProblem("limit", f"Nested deeper than {DEPTH_LIMIT} levels.") from None
    except ValueError:
        raise _unreadable_number(text) from None
    if doubled:
        raise _doubled_key(text)
    _check_values(text, value)
    return value


def find_positions(text: str, wanted: Collection[Path]) -> dict[Path, tuple[int, int]]:
    """Line and column of places in a JSON text: of the key in an object, of the value in a list.

    A place that is not there gets the position of the nearest part above it. The text must be JSON.
    """
    asked = set(wanted)
    with_parents = {path[:length] for path in asked for length in range(len(path) + 1)}
    deepest = max((len(path) for path in asked), default=0)
    offsets: dict[Path, int] = {(): max(0, len(text) - len(text.lstrip()))}
    for place, offset, _ in _walk(text):
        if len(place) <= deepest and (key := tuple(place)) in with_parents:
            offsets.setdefault(key, offset)
    positions = {}
    for path in asked:
        nearest = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in offsets)
        positions[path] = _line_and_column(text, offsets[nearest])
    return positions


def _walk(text: str) -> Iterator[tuple[list[str | int], int, bool]]:
    """Every member and item of a JSON text: its path (one list, changed in place), its offset, key seen before."""
    path: list[str | int] = []
    keys: list[set[str] | None] = []  # for each open container the keys seen so far, None for a list
    key_next = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        first = token[0]
        if first in "}]":
            keys.pop()
            path.pop()
            key_next = False
        elif first == ",":
            if (seen := keys[-1]) is None:
                index = path[-1]
                path[-1] = index + 1 if isinstance(index, int) else 0
            key_next = seen is not None
        elif first == ":":
            key_next = False
        elif key_next:
            key = json.loads(token) if "\\" in token else token[1:-1]
            path[-1] = key
            seen = keys[-1]
            assert seen is not None
            yield path, match.start(), key in seen
            seen.add(key)
        else:
            if keys and keys[-1] is None:
                yield path, match.start(), False
            if first == "{":
                keys.append(set())
                path.append("")
                key_next = True
            elif first == "[":
                keys.append(None)
                path.append(0)


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _refuse_constant(word: str) -> Any:
    raise ValueError(word)


def _unreadable_number(text: str) -> JsonProblem:
    """The problem of a text with NaN or Infinity, or with more digits than Python converts."""
    for match in _TOKEN.finditer(text):
        token = match.group()
        line, column = _line_and_column(text, match.start())
        if token in ("NaN", "Infinity", "-Infinity"):
            return JsonProblem("value", f"{token} is not a JSON value.", line, column)
        if token[0] != '"' and len(token) > _MOST_DIGITS:
            return JsonProblem("value", "A whole number beyond 64 bits can't be stored.", line, column)
    raise AssertionError("a number that the parser refused is in the text")


def _doubled_key(text: str) -> JsonProblem:
    for path, offset, seen in _walk(text):
        if seen:
            line, column = _line_and_column(text, offset)
            return JsonProblem("duplicate", f"The key {path[-1]!r} stands twice in one object.", line, column)
    raise AssertionError("a key that the parser saw twice is in the text twice")


def _check_values(text: str, value: Any) -> None:
    """Raise JsonProblem for the first part that could not be stored."""
    stack: list[tuple[Any, Path]] = [(value, ())]
    while stack:
        part, path = stack.pop()
        message = _value_problem(part)
        kind = "value"
        if len(path) >= DEPTH_LIMIT and isinstance(part, dict | list):
            message, kind = f"Nested deeper than {DEPTH_LIMIT} levels.", "limit"
        if message:
            line, column = find_positions(text, [path])[path]
            raise JsonProblem(kind, message, line, column)
        if isinstance(part, dict):
            stack += [(key, (*path, key)) for key in part if _value_problem(key)]
            stack += [
                (item, (*path, key))
                for key, item in part.items()
                if isinstance(item, dict | list) or _value_problem(item)
            ]
        elif isinstance(part, list):
            stack += [
                (item, (*path, index))
                for index, item in enumerate(part)
                if isinstance(item, dict | list) or _value_problem(item)
            ]


def _value_problem(value: Any) -> str:
    """Why a single value could not be stored, or the empty text."""
    if isinstance(value, str):
        return "" if value.isascii() or _is_unicode(value) else "Text with half a surrogate pair is not valid Unicode."
    if isinstance(value, float):
        return "" if math.isfinite(value) else "The number is too large."
    if isinstance(value, int):
        return "" if value in _INTEGER_RANGE else "A whole number beyond 64 bits can't be stored."
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _syntax_hint(text: str, offset: int) -> str:
    """What people most often mean by what is not JSON, or the empty text."""
    rest = text[offset : offset + 2]
    before = text[max(0, offset - 200) : offset].rstrip()
    if rest[:1] == "'":
        return 'JSON texts stand in double quotes: "...".'
    if rest[:1] == "#" or rest in ("//", "/*"):
        return "JSON has no comments; use the key description."
    if before.endswith(",") and rest[:1] in ("}", "]", '"', ""):
        return "Is there a comma after the last entry?"
    if rest[:1] in ("}", "]") or (rest[:1] == '"' and not before.endswith(",")):
        return "Is a comma or a bracket missing just before this?"
    return ""
