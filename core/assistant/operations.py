"""The operations on a graph, applied to its JSON text so that what they do not touch keeps its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OPERATIONS_SCHEMA: dict[str, Any] = {}
"""JSON Schema of the list of operations, for a model's tool."""


def apply_operations(name: str, files: Mapping[str, bytes], ops: Sequence[Any]) -> dict[str, bytes]:
    """The files after all operations; raises EditRefused."""
    raise NotImplementedError
