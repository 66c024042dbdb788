"""Which values a state may hold: JSON values that come back from the store exactly as they went in."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import marshal
import math
import pathlib
import uuid
from typing import Any

from core.errors import StateValueError
from core.flow.json_text import CONVERTS_SILENTLY, DUMPS_ERRORS, dumps, loads

DEPTH_LIMIT = 254
"""Levels of dicts and lists, the state itself included; orjson writes no more."""
INTEGER_RANGE = range(-(2**63), 2**64)
IMMUTABLE = frozenset({str, int, float, bool, type(None)})

Path = tuple[str | int, ...]

HINTS: tuple[tuple[Any, str], ...] = (
    (enum.Enum, "store its .value"),
    (datetime.datetime, "store .isoformat() or .timestamp()"),
    ((datetime.date, datetime.time), "store .isoformat()"),
    (datetime.timedelta, "store .total_seconds()"),
    (uuid.UUID, "store str(...) of it"),
    (pathlib.PurePath, "store str(...) of it"),
    (decimal.Decimal, "store str(...) or float(...) of it"),
    (
        (bytes, bytearray, memoryview),
        "store text (.decode(), base64), or write it to self.output_dir and store the path",
    ),
    ((set, frozenset), "store sorted(...) of it, a list"),
    (tuple, "store list(...) of it"),
    (str, "store str(...) of it"),
    (int, "store int(...) of it"),
    (float, "store float(...) of it"),
    (dict, "store dict(...) of it"),
    (list, "store list(...) of it"),
)


def show_path(path: Path, root: str = "shared") -> str:
    """A path as it is written in Python: `shared['a'][3]['b']`."""
    return root + "".join(f"[{part!r}]" for part in path)


def encode_value(value: Any, path: Path, node: str = "", root: str = "shared") -> tuple[bytes, Any]:
    """The JSON text of a value that stands at `path`, and the value as a resumed run would load it.

    Raises StateValueError where the value is not JSON, by the rules of this module.
    """
    if CONVERTS_SILENTLY:
        check_value(value, path, node, root)
    level = len(path)
    wrapped = value
    for _ in path:  # So that the limit on depth counts from the top of the state.
        wrapped = [wrapped]
    try:
        text = dumps(wrapped)
    except DUMPS_ERRORS as error:
        check_value(value, path, node, root)
        raise _error(
            node, path, root, f"a {type(value).__name__} that can't be stored: {error}", "store plain data"
        ) from error
    if level:
        text = text[level:-level]
    if type(value) in IMMUTABLE:
        if type(value) is float and not math.isfinite(value):
            check_value(value, path, node, root)
        return text, value
    loaded = loads(text)
    # A walk in Python is slow; marshal tells exact types apart, so it finds out at once where none is needed.
    if not CONVERTS_SILENTLY and not _same_types(value, loaded):
        check_value(value, path, node, root)
    return text, loaded


def is_plain(value: Any) -> bool:
    """True where a value that `dumps` took is of Python's own types through and through, found out in C.

    What is left to find then: NaN, tuples and, without orjson, keys that are not text and large integers.
    """
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def _same_types(value: Any, loaded: Any) -> bool:
    try:
        return marshal.dumps(value, 2) == marshal.dumps(loaded, 2)
    except ValueError:
        return False


def check_value(value: Any, path: Path = (), node: str = "", root: str = "shared") -> None:
    """Walk through a value and raise StateValueError at the first part of it that is not JSON."""
    kind = type(value)
    if kind is str:
        if not _is_text(value):
            raise _error(node, path, root, "a text with lone surrogates", "decode it with errors='replace'")
    elif kind is bool or value is None:
        return
    elif kind is int:
        if value not in INTEGER_RANGE:
            raise _error(node, path, root, "an integer beyond 64 bits", "store str(...) of it")
    elif kind is float:
        if not math.isfinite(value):
            raise _error(node, path, root, f"a float that is {value}", "store None or a text in its place")
    elif kind is dict or kind is list or kind is tuple:
        if len(path) >= DEPTH_LIMIT:
            hint = "store it flatter, and take out what refers to itself"
            raise _error(
                node, path, root, f"a {kind.__name__} nested more than {DEPTH_LIMIT} levels deep or within itself", hint
            )
        if kind is dict:
            _check_keys(value, path, node, root)
        for key, item in value.items() if kind is dict else enumerate(value):
            check_value(item, (*path, key), node, root)
    else:
        raise _error(node, path, root, _describe(value), _hint(value))


def _check_keys(value: dict[Any, Any], path: Path, node: str, root: str) -> None:
    for key in value:
        if type(key) is not str:
            raise _error(
                node, path, root, f"a dict with the key {_short(key)} of type {_name(type(key))}", "use text as keys"
            )
        if not _is_text(key):
            raise _error(
                node, path, root, f"a dict with the key {key!a}, which has lone surrogates", "use valid text as keys"
            )


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _describe(value: object) -> str:
    kind = type(value)
    if isinstance(value, enum.Enum):
        return f"an Enum ({_name(kind)})"
    if dataclasses.is_dataclass(kind):
        return f"a dataclass ({_name(kind)})"
    for base in (str, int, float, dict, list, tuple):
        if isinstance(value, base):
            return f"{_with_article(_name(kind))}, a subclass of {base.__name__}"
    return _with_article(_name(kind))


def _with_article(name: str) -> str:
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def _hint(value: object) -> str:
    if dataclasses.is_dataclass(type(value)):
        return "store dataclasses.asdict(...) of it"
    for kinds, hint in HINTS:
        if isinstance(value, kinds):
            return hint
    if callable(getattr(value, "tolist", None)):
        return "store .tolist() of it"
    return "store plain data: text, numbers, True/False, None, lists and dicts"


def _error(node: str, path: Path, root: str, what: str, hint: str) -> StateValueError:
    place = show_path(path if len(path) <= 12 else path[:12], root) + ("…" if len(path) > 12 else "")
    who = f"Node {node!r} put" if node else "There is"
    return StateValueError(
        f"{who} {what} at {place}.",
        cause="The state holds JSON values only, so that a run can be stored and goes on elsewhere just the same.",
        next_step=hint[0].upper() + hint[1:] + ".",
        details={"node": node, "path": list(path), "type": what},
    )
