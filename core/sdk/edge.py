"""Edges between nodes and the conditions on them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

MUTATORS = frozenset(
    {"append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"}
    | {"__delitem__", "__setitem__"}
)


class Edge:
    """A way from one node to another; the empty condition makes it a default edge."""

    def __init__(self, from_id: str, to_id: str, condition: str = "") -> None:
        self.from_id = from_id
        self.to_id = to_id
        self.condition = condition

    def __repr__(self) -> str:
        condition = f", {self.condition!r}" if self.condition else ""
        return f"Edge({self.from_id!r}, {self.to_id!r}{condition})"

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Edge:
        """Build an edge from `{"from", "to", "condition"}`."""
        return cls(document["from"], document["to"], document.get("condition") or "")

    def to_dict(self) -> dict[str, str]:
        """The edge as `{"from", "to", "condition"}`, an empty condition left out."""
        document = {"from": self.from_id, "to": self.to_id}
        return document | {"condition": self.condition} if self.condition else document

    def should_transition(self, state: Any) -> bool:
        """True where the condition holds for an ExecutionState or the shared dict; an error counts as false."""
        shared = state if isinstance(state, Mapping) else state.shared
        try:
            return not self.condition.strip() or evaluate_condition(self.condition, shared)
        except Exception:
            # Whatever a person's condition raises counts as false.
            return False


def evaluate_condition(condition: str, shared: Mapping[str, Any]) -> bool:
    """The truth of a Python expression with `shared` in scope; whatever goes wrong in it is raised as an Exception."""
    return bool(evaluate_expression(condition, shared))


def evaluate_expression(expression: str, shared: Mapping[str, Any]) -> Any:
    """The value of a Python expression with `shared` in scope; whatever goes wrong in it is raised as an Exception."""
    code, mutates = _compiled(expression)
    if mutates:
        # What a condition changes is in no delta: a resumed run would not see it, so this one must not either.
        shared = copy.deepcopy(shared)
    try:
        return eval(code, {"shared": shared})
    except SystemExit as error:
        raise RuntimeError("the condition called exit()") from error


@lru_cache(maxsize=4096)
def _compiled(condition: str) -> tuple[CodeType, bool]:
    code = compile(condition.strip(), "<condition>", "eval")
    return code, not MUTATORS.isdisjoint(_names(code))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
