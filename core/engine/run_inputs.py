"""The inputs of a run on their way to the store: large ones stand apart from the row that changes with each status."""

from __future__ import annotations

import json
from typing import Any

from core.flow.delta import BLOB_LIMIT, StateTracker
from core.store.operations import LargeInputs, blob_hash


def kept_inputs(inputs: dict[str, Any]) -> tuple[str, LargeInputs | None]:
    """What is kept in the run's row, and what beside it; large values are shared with the run's state. May block."""
    text = json.dumps(inputs, ensure_ascii=False)
    if len(text) <= BLOB_LIMIT:
        return text, None
    delta = StateTracker({}).commit_delta(dict(inputs))
    blobs = tuple((blob_hash(data), data) for data in delta.blobs)
    return "", LargeInputs(len(text.encode()), delta.operations, blobs)
