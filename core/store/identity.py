"""Is the open database still the one at its path? Asked with os.stat alone.

The files are never opened here: closing any descriptor of them would drop SQLite's locks in this process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.store.problems import database_replaced

SETTLED_NANOSECONDS = 50_000_000
"""A folder that changed less than this ago may have changed again under the same time: systems round it."""


class FileIdentity:
    """Which files were opened: the database and its log.

    SQLite goes on writing into files that were deleted, so whoever acknowledges a commit checks this first. What is
    asked each time is the folder, which changes when a name in it does. Asking the files themselves would have the
    system write their times anew with the next commit, which makes its sync a third slower (measured on Linux 6.18).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = os.path.dirname(os.path.realpath(path))
        self._unchanged: tuple[int, int, int] | None = None
        self._expected = {name: _identity(name) for name in (str(path), f"{path}-wal")}

    def check(self) -> None:
        """Raise DatabaseReplaced where a file is gone or another one."""
        folder = _state_of_folder(self._folder)
        if folder is not None and folder == self._unchanged:
            return
        for name, expected in self._expected.items():
            found = _identity(name)
            if found != expected:
                raise database_replaced(
                    self._path, f"{name} is gone" if found is None else f"{name} is another file than the one opened"
                )
        settled = folder is not None and time.time_ns() - folder[2] > SETTLED_NANOSECONDS
        self._unchanged = folder if settled else None


def _identity(name: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(name)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _state_of_folder(folder: str) -> tuple[int, int, int] | None:
    """Device, inode and the time in nanoseconds at which a name in it changed last."""
    try:
        facts = os.stat(folder)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns
