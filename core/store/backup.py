"""Copies of a database that is in use, by SQLite's backup API alone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """Write a consistent copy to `target`: one file, on the disk when this returns; a file that is there is replaced.

    Raises sqlite3.Error and OSError; then `target` is as it was.
    """
    part = target.with_name(f"{target.name}.part")
    remove_database(part)
    try:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
            connection.backup(copy)
        finish_copy(part, target)
    except BaseException:
        remove_database(part)
        raise


def finish_copy(part: Path, target: Path) -> None:
    """Make a copy whole without a file beside it, and give it its name."""
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
    os.replace(part, target)
    sync_folder(target.parent)


def remove_database(path: Path) -> None:
    """Delete an unfinished database of our own making with the files beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{ending}")


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
