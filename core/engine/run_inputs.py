"""The inputs of a run on their way to the store: large ones stand apart from the row that changes with each status."""

from __future__ import annotations

from typing import Any

from core.flow.delta import BLOB_LIMIT, StateTracker, encode_state
from core.flow.json_text import DUMPS_ERRORS, dumps
from core.store.operations import LargeInputs, blob_hash


def kept_inputs(inputs: dict[str, Any]) -> tuple[str, LargeInputs | None]:
    """What is kept in the run's row, and what beside it; large values are shared with the run's state. May block.

    Raises StateValueError.
    """
    try:
        text = dumps(inputs)
    except DUMPS_ERRORS:
        encode_state(inputs)
        raise
    if len(text) <= BLOB_LIMIT:
        return text.decode(), None
    delta = StateTracker({}).commit_delta(dict(inputs))
    blobs = tuple((blob_hash(data), data) for data in delta.blobs)
    return "", LargeInputs(len(text), delta.operations, blobs)
