"""Storages, and ids and paths of workflows."""

from __future__ import annotations

import importlib
from typing import Any

# No relative imports: this file may be loaded again as grapheteria.utils, and its classes must exist once.
from core.grapheteria.paths import id_to_path, path_to_id
from core.grapheteria.storage import FileSystemStorage, StorageBackend

__all__ = ["FileSystemStorage", "SQLiteStorage", "StorageBackend", "id_to_path", "path_to_id"]  # noqa: F822


def __getattr__(name: str) -> Any:
    # A run process imports this module for its nodes and must get by without a database driver.
    if name == "SQLiteStorage":
        return importlib.import_module("core.grapheteria.sqlite_storage").SQLiteStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
