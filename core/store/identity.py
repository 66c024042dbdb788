"""Is the open database still the one at its path? Asked with os.stat alone.

The files are never opened here: closing any descriptor of them would drop SQLite's locks in this process.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.store.problems import database_replaced


class FileIdentity:
    """Which files were opened: the database and its log.

    SQLite goes on writing into files that were deleted, so whoever acknowledges a commit checks this first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._expected = {name: _identity(name) for name in (str(path), f"{path}-wal")}

    def check(self) -> None:
        """Raise DatabaseReplaced where a file is gone or another one."""
        for name, expected in self._expected.items():
            found = _identity(name)
            if found != expected:
                raise database_replaced(
                    self._path, f"{name} is gone" if found is None else f"{name} is another file than the one opened"
                )


def _identity(name: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(name)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
