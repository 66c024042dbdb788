"""Which node comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.flow.failure import describe_error
from core.flow.graph import EdgeSpec
from core.flow.journal import Routing
from core.sdk.edge import evaluate_condition

ALWAYS = "True"


def choose_next(edges: Iterable[EdgeSpec], shared: Mapping[str, Any]) -> Routing:
    """Choose among a node's edges: the text `True` first, then the first condition that holds, then the first default.

    A condition that fails to evaluate doesn't hold; what went wrong is in the result's `errors`.
    """
    edges = list(edges)
    for edge in edges:
        if edge.condition.strip() == ALWAYS:
            return Routing(edge.to_id, "true", edge.condition)
    errors: dict[str, str] = {}
    for edge in edges:
        if not edge.condition.strip():
            continue
        try:
            if evaluate_condition(edge.condition, shared):
                return Routing(edge.to_id, "edge", edge.condition, errors)
        except Exception as error:
            # A condition is a person's code: whatever it raises counts as false and is shown on its edge.
            errors[f"{edge.to_id}: {edge.condition}"] = describe_error(error)
    for edge in edges:
        if not edge.condition.strip():
            return Routing(edge.to_id, "default", "", errors)
    return Routing(None, "end", "", errors)
