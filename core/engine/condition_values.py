"""The values that the conditions of edges saw: read from the stored state, so nothing of a condition is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from core.engine.state_parts import Path, preview
from core.flow.graph import EdgeSpec
from core.link.routing_types import SeenCondition, SeenValue

SHARED = "shared"
PLACES_AT_MOST = 20
"""Places of one condition that are told at most."""


def seen_conditions(edges: list[EdgeSpec], state: bytes) -> list[SeenCondition]:
    """Each conditional edge with the values of the places that its condition names, in a state as JSON text. Blocks."""
    value = orjson.loads(state)
    return [
        SeenCondition(
            to_id=edge.to_id,
            condition=edge.condition,
            values=[SeenValue(place=text, value=_told(value, path)) for text, path in places_in(edge.condition)],
        )
        for edge in edges
        if edge.condition.strip()
    ]


@lru_cache(maxsize=1024)
def places_in(condition: str) -> tuple[tuple[str, tuple[str | int, ...]], ...]:
    """The places of the state that a condition names by constant keys, as they are written and as paths.

    A place that is a part of another one there is left out, and so is what only running the condition would tell.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = dict(_places(tree))
    return tuple((text, path) for path, text in list(found.items())[:PLACES_AT_MOST])


def _places(tree: ast.AST) -> Iterator[tuple[tuple[str | int, ...], str]]:
    path = _path(tree)
    if path:
        yield tuple(path), ast.unparse(tree)
        return
    for child in ast.iter_child_nodes(tree):
        yield from _places(child)


def _path(tree: ast.AST) -> Path | None:
    """The path that `shared['a'][0]` or `shared.get('a')` means; [] is the whole state, None is anything else."""
    if isinstance(tree, ast.Name) and tree.id == SHARED:
        return []
    key: ast.AST | None = None
    inner: ast.AST | None = None
    if isinstance(tree, ast.Subscript):
        key, inner = tree.slice, tree.value
    elif isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and tree.func.attr == "get" and tree.args:
        key, inner = tree.args[0], tree.func.value
    if inner is None or not isinstance(key, ast.Constant) or not isinstance(key.value, str | int):
        return None
    above = _path(inner)
    return None if above is None else [*above, key.value]


def _told(state: Any, path: tuple[str | int, ...]) -> str | None:
    value = state
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    if isinstance(value, list):
        return f"list of {len(value)}"
    if isinstance(value, dict):
        return f"dict of {len(value)}"
    return preview(value)
