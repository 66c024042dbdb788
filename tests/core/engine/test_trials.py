"""What a process is told of the attempts that were made before it."""

from __future__ import annotations

import json
from typing import Any

from core.engine.trials import trials_of
from core.store.records import AttemptRow, RequestRow


def attempt(number: int, kind: str = "ValueError", node: str = "a", visit: int = 1) -> AttemptRow:
    failure = {"type": kind, "message": f"{number}", "traceback": "", "cause": "", "next_step": ""}
    return AttemptRow(1, 1, node, visit, number, float(number), number + 0.5, json.dumps(failure))


def decision(after: int, answer: str, **more: Any) -> RequestRow:
    fields: dict[str, Any] = dict.fromkeys(RequestRow.__dataclass_fields__)
    fields |= {"node": "a", "visit": 1, "request_id": "on_error", "nth": after, "kind": "error", "status": "answered"}
    return RequestRow(**{**fields, "answer": json.dumps(answer), **more})


def numbers(trials: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int, str | None]]:
    return {
        node: (trial["attempts"], trial["forgiven"], trial["failure"] and trial["failure"]["message"])
        for node, trial in trials.items()
    }


def test_attempts_are_counted_by_node_and_only_those_of_the_next_visit() -> None:
    rows = [attempt(1), attempt(2), attempt(1, node="b"), attempt(5, node="c")]
    assert numbers(trials_of(rows, [], {"c": 1})) == {"a": (2, 0, "2"), "b": (1, 0, "1")}
    assert trials_of([], [], {}) == {}


def test_what_a_command_cut_short_is_numbered_and_not_counted() -> None:
    rows = [attempt(1), attempt(2, "Cancelled"), attempt(3)]
    assert numbers(trials_of(rows, [], {})) == {"a": (3, 1, "3")}
    assert numbers(trials_of([attempt(1, "Cancelled")], [], {})) == {"a": (1, 1, None)}


def test_after_a_retry_by_a_person_what_was_before_is_forgiven() -> None:
    rows = [attempt(1), attempt(2), attempt(3)]
    assert numbers(trials_of(rows, [decision(2, "retry")], {})) == {"a": (3, 2, "3")}
    assert numbers(trials_of(rows[:2], [decision(2, "retry")], {})) == {"a": (2, 2, None)}
    for other in (decision(2, "skip"), decision(2, "retry", visit=2), decision(2, "retry", status="open")):
        assert numbers(trials_of(rows, [other], {})) == {"a": (3, 0, "3")}
