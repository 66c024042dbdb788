"""Rondo's Python API. What it offers is imported on first use, so that `import core` costs nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.errors import RondoError
    from core.grapheteria import (
        ExecutionState,
        FileSystemStorage,
        NodeStatus,
        StorageBackend,
        WorkflowEngine,
        WorkflowStatus,
    )
    from core.sdk import BaseNode, Edge, Node

_HOMES = {
    "BaseNode": "core.sdk",
    "Edge": "core.sdk",
    "ExecutionState": "core.grapheteria",
    "FileSystemStorage": "core.grapheteria",
    "Node": "core.sdk",
    "NodeStatus": "core.grapheteria",
    "RondoError": "core.errors",
    "SQLiteStorage": "core.grapheteria",
    "StorageBackend": "core.grapheteria",
    "TaskOrchestrator": "core.orchestrator",
    "WorkflowEngine": "core.grapheteria",
    "WorkflowStatus": "core.grapheteria",
}

__all__ = [
    "BaseNode",
    "Edge",
    "ExecutionState",
    "FileSystemStorage",
    "Node",
    "NodeStatus",
    "RondoError",
    "SQLiteStorage",
    "StorageBackend",
    "TaskOrchestrator",
    "WorkflowEngine",
    "WorkflowStatus",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
