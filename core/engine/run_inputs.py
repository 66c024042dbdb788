"""How a run begins in the store: step 0, and its inputs; large ones stand apart from the row that changes often."""

from __future__ import annotations

from typing import Any

from core.definition.inputs import check_inputs
from core.flow.dag_shape import first_node
from core.flow.delta import BLOB_LIMIT, StateTracker, encode_state
from core.flow.graph import Graph
from core.flow.json_text import DUMPS_ERRORS, dumps
from core.store.operations import InsertStep, LargeInputs, Ref, blob_hash


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


def first_rows(
    graph: Graph, inputs: dict[str, Any], now: float
) -> tuple[InsertStep, bytes, tuple[str, LargeInputs | None]]:
    """Step 0 of a new run, its state's JSON text, and its inputs as they are kept. May take a while.

    Raises InvalidInput.
    """
    state = check_inputs(graph, inputs)
    delta = StateTracker({}).commit_delta(state)
    first = InsertStep(
        line=Ref(0, 1),
        seq=0,
        node="",
        visit=0,
        attempt=0,
        next=first_node(graph),
        routing="",
        started_at=now,
        ended_at=now,
        changed=delta.changed,
        delta=delta.operations,
        blobs=tuple((blob_hash(data), data) for data in delta.blobs),
    )
    # What the delta was made of is plain by now: it need not be checked once more.
    return first, dumps(state), kept_inputs(inputs)
