"""Changes that a person makes to a state, as a step of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from core.engine.state_parts import show_path
from core.errors import UsageError
from core.flow.delta import StateTracker
from core.link.commands import StateEdit
from core.store.operations import InsertStep, Number, blob_hash


def edit_step(
    state: bytes,
    edits: Sequence[StateEdit],
    *,
    line: Number,
    seq: int,
    next: str | None,
    reason: str,
    now: float,
    instead: bytes | None = None,
) -> InsertStep:
    """The step that makes these edits to a state, or to what is to be there `instead`; raises UsageError.

    It may take a while: call it in a thread.
    """
    live: dict[str, Any] = orjson.loads(state)
    tracker = StateTracker(live)
    if instead is not None:
        live.clear()
        live.update(orjson.loads(instead))
    for edit in edits:
        apply_edit(live, edit)
    delta = tracker.commit_delta(live)
    return InsertStep(
        line=line,
        seq=seq,
        node="",
        visit=0,
        attempt=0,
        next=next,
        routing=orjson.dumps({"reason": reason}).decode(),
        started_at=now,
        ended_at=now,
        changed=delta.changed,
        delta=delta.operations,
        blobs=tuple((blob_hash(data), data) for data in delta.blobs),
    )


def apply_edit(state: dict[str, Any], edit: StateEdit) -> None:
    """Put the edit's value into the state; a list may grow by one at its end. Raises UsageError."""
    if not edit.path:
        raise UsageError("The path of an edit is empty.", next_step="Name a key of the state, such as total=3.")
    holder: Any = state
    for place, part in enumerate(edit.path[:-1]):
        try:
            holder = holder[_fitting(holder, part)]
        except (KeyError, IndexError, TypeError) as error:
            raise _nowhere(edit.path, edit.path[: place + 1]) from error
    last = edit.path[-1]
    try:
        if isinstance(holder, list) and last == len(holder):
            holder.append(edit.value)
        else:
            holder[_fitting(holder, last)] = edit.value
    except (IndexError, TypeError) as error:
        raise _nowhere(edit.path, edit.path) from error


def _fitting(holder: Any, part: str | int) -> Any:
    """The part as what the holder is asked for by; raises TypeError where it can't be."""
    if isinstance(holder, dict):
        return str(part)
    if isinstance(holder, list) and isinstance(part, int) and part >= 0:
        return part
    raise TypeError


def _nowhere(path: Sequence[str | int], missing: Sequence[str | int]) -> UsageError:
    return UsageError(
        f"The state has no place {show_path(list(path))}.",
        cause=f"There is nothing to put it in at {show_path(list(missing))}.",
        next_step="Set the part above it as a whole, or see the state: rondo show RUN --step N",
    )
