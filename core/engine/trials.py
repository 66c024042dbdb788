"""What a run's visits to come have behind them, for the process that takes them up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from core.flow.journal import ERROR, RETRY
from core.store.records import AttemptRow, RequestRow, StepRow

CANCELLED = "Cancelled"
"""The failure type of an attempt that a command cut short."""
FINAL = "final"
"""In the kept failure of an attempt: the visit failed with it for good, whatever attempts were left."""


def trials_of(
    attempts: Iterable[AttemptRow], requests: Iterable[RequestRow], visits: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """By node what its next visit has used up, as the init frame has it; `attempts` are in the order of their times.

    An attempt that a command cut short is none that failed, and after a person's "retry" all earlier ones are forgiven.
    """
    trials: dict[str, dict[str, Any]] = {}
    rounds = {
        (row.node, row.visit, row.nth)
        for row in requests
        if row.kind == ERROR and row.status == "answered" and json.loads(row.answer or "null") == RETRY
    }
    for row in attempts:
        if row.visit != visits.get(row.node, 0) + 1:
            continue
        trial = trials.setdefault(row.node, {"attempts": 0, "forgiven": 0, "failure": None, "final": False})
        failure = json.loads(row.error)
        final = failure.pop(FINAL, False)
        trial["attempts"] = max(trial["attempts"], row.attempt)
        if failure["type"] == CANCELLED:
            trial["forgiven"] += 1
        else:
            trial |= {"failure": failure, "final": final}
        if (row.node, row.visit, row.attempt) in rounds:
            trial |= {"forgiven": row.attempt, "failure": None, "final": False}
    return trials


def last_error_of(step: StepRow | None) -> list[str] | None:
    """Node, type and message of the last step's failure, where it failed and the run went on."""
    failure = json.loads(step.routing).get("failure") if step is not None and step.routing else None
    return [step.node, failure["type"], failure["message"]] if step is not None and failure else None
