"""Calls that may have acted and were not heard of to their end: they are made again only when a person says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.engine.http_calls import may_repeat
from core.errors import CallUncertain, ToolUncertain
from core.flow.journal import FAIL, REPEAT
from core.sdk.calls import HTTP, LLM
from core.store.records import CallRecord, RequestRow

INTERRUPTED = "CallInterrupted"
"""The type of the error of calls that an engine left under way."""
BROKEN_OFF = "ToolUncertain"
"""The type of the error of calls of tools that had no whole answer."""
UNREADABLE = "ToolReplyProblem"
"""The type of the error of calls of tools whose answer can't be used: these have acted, as a rule."""
GIVEN_UP = "CallGivenUp"
"""The type of the error of calls that the code, a time limit or a pause gave up after they had gone out."""
_UNCERTAIN = frozenset({INTERRUPTED, BROKEN_OFF, UNREADABLE, GIVEN_UP})


def is_uncertain(row: CallRecord, kind: str, asked: dict[str, Any]) -> bool:
    """True for a call that may have acted, and nobody knows."""
    if row.status == "running":
        # It was given up a moment ago, and what it came to is not written down yet.
        pass
    elif row.status != "failed" or not row.error or json.loads(row.error).get("type") not in _UNCERTAIN:
        return False
    return kind != LLM and not (kind == HTTP and may_repeat(asked))


def uncertain(error: Exception) -> ToolUncertain:
    """What is said where Rondo itself failed after a call that may write was sent."""
    return ToolUncertain(
        f"Rondo itself failed while it made this call: {type(error).__name__}: {error}.",
        cause="The call may have acted. It is a defect in the engine; runs/engine.log has more.",
        next_step="Look there whether it did, before it is made again.",
    )


def repeat_question(row: CallRecord, rows: Sequence[RequestRow], node: str, visit: int) -> dict[str, Any] | None:
    """What is to be asked before a call of that visit is made again; None where a person has said so since.

    `rows` are the requests of the line. All such calls of a visit wait for one question. Raises CallUncertain where a
    person decided against it.
    """
    same = [one for one in rows if (one.node, one.visit, one.request_id) == (node, visit, REPEAT)]
    ours = [one for one in same if one.kind == REPEAT]
    over = row.ended_at or row.started_at
    answered = [one for one in ours if one.status == "answered" and (one.answered_at or 0) >= over]
    if answered:
        if json.loads(answered[-1].answer or "null") == FAIL:
            raise CallUncertain(
                f"{row.title} may have acted, and is not repeated.",
                cause="Nobody knows whether the other side acted; a person decided against a second time.",
                next_step="Look there, mend what is to be mended, then: rondo retry RUN",
            )
        return None
    opened = next((one for one in ours if one.status == "open"), None)
    error = json.loads(row.error) if row.error else {"type": GIVEN_UP, "message": "The call was given up."}
    text = f"{node} called {row.title}: {error.get('message', '')} Nobody knows whether that acted; again?"
    if error.get("type") == INTERRUPTED:
        text = f"The engine ended while {node} called {row.title}. Nobody knows whether that acted; again?"
    elif error.get("type") == UNREADABLE:
        text = f"{node} called {row.title}: {error.get('message', '')} It has acted, or may have; again?"
    return {
        "node": node,
        "visit": visit,
        "request_id": REPEAT,
        "nth": opened.nth if opened is not None else len({one.nth for one in same}),
        "prompt": opened.prompt if opened is not None else text,
        "options": [
            {"value": REPEAT, "label": "repeat: make the call again, at the risk that it acts twice"},
            {"value": FAIL, "label": "fail: the call fails with CallUncertain"},
        ],
        "input_type": "select",
        "kind": REPEAT,
    }
