"""Workflows in code: the node API and engine under the names of the Grapheteria package."""

from __future__ import annotations

import importlib
from typing import Any

from core.grapheteria.engine import WorkflowEngine
from core.grapheteria.paths import id_to_path, path_to_id
from core.grapheteria.storage import FileSystemStorage, StorageBackend
from core.sdk.edge import Edge
from core.sdk.execution import ExecutionState, NodeStatus, WorkflowStatus
from core.sdk.node import Node

__all__ = [
    "Edge",
    "ExecutionState",
    "FileSystemStorage",
    "Node",
    "NodeStatus",
    "SQLiteStorage",
    "StorageBackend",
    "WorkflowEngine",
    "WorkflowStatus",
    "id_to_path",
    "path_to_id",
]


def __getattr__(name: str) -> Any:
    # A run process imports this package for its nodes and must get by without a database driver.
    if name == "SQLiteStorage":
        return importlib.import_module("core.grapheteria.sqlite_storage").SQLiteStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
