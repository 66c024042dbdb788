"""Edges and their conditions."""

from __future__ import annotations

from typing import Any

import pytest

from core.sdk import Edge
from core.sdk.edge import evaluate_condition
from core.sdk.execution import ExecutionState


def test_an_edge_goes_to_a_dict_and_comes_back() -> None:
    edge = Edge.from_dict({"from": "a", "to": "b", "condition": "x"})
    assert (edge.from_id, edge.to_id, edge.condition) == ("a", "b", "x")
    assert edge.to_dict() == {"from": "a", "to": "b", "condition": "x"}
    assert Edge.from_dict({"from": "a", "to": "b"}).condition == ""
    assert Edge.from_dict({"from": "a", "to": "b", "condition": None}).to_dict() == {"from": "a", "to": "b"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("shared['n'] > 1", True),
        ("  shared['n'] > 1  ", True),
        ("shared['n'] > 2", False),
        ("len(shared['l']) == 2 and all(x < shared['n'] for x in shared['l'])", True),
        ("any(shared['n'] == x for x in [2])", True),
        ("shared.get('missing')", False),
        ("shared['missing']", False),
        ("1 / 0", False),
        ("exit()", False),
        ("not python", False),
        ("True", True),
        ("False", False),
        ("[]", False),
        ("'text'", True),
        ("", True),
        ("   ", True),
    ],
)
def test_a_condition_is_an_expression_over_shared_and_an_error_counts_as_false(condition: str, holds: bool) -> None:
    shared = {"n": 2, "l": [0, 1]}
    assert Edge("a", "b", condition).should_transition(shared) is holds
    assert Edge("a", "b", condition).should_transition(ExecutionState(shared=shared)) is holds


@pytest.mark.parametrize(
    "condition",
    [
        "shared['l'].pop() == 1",
        "shared.pop('n') == 2",
        "shared.setdefault('new', 5) == 5",
        "any((lambda: shared['l'].append(3) or True)() for _ in [1])",
    ],
)
def test_a_condition_cannot_change_the_state(condition: str) -> None:
    shared: dict[str, Any] = {"n": 2, "l": [0, 1]}
    assert evaluate_condition(condition, shared) is True
    assert shared == {"n": 2, "l": [0, 1]}
