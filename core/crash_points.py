"""Named places at which a test has this process killed. Nobody else names the folder, and then they do nothing.

To have a process die at a place a test writes a number n into the file FOLDER/<name>, where FOLDER is the value of
RONDO_CRASH_POINTS: the process that comes there for the n-th time since then renames the file to <name>.hit, which
only one process can do, and ends as by `kill -9`.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "RONDO_CRASH_POINTS"

_folder = os.environ.get(VARIABLE, "")
_arrivals: dict[tuple[str, int], int] = {}
"""How often this process came to a place since it was armed at that time."""


def crash_point(name: str) -> None:
    """Die here if a test wants it."""
    if _folder:
        _come_to(name)


def passed_on() -> dict[str, str]:
    """The variable, where it is set, for a process whose environment is reduced."""
    return {VARIABLE: _folder} if _folder else {}


def _come_to(name: str) -> None:
    path = os.path.join(_folder, name)
    try:
        armed_at = os.stat(path).st_mtime_ns
        with open(path, encoding="ascii") as file:
            wanted = int(file.read())
        count = _arrivals[name, armed_at] = _arrivals.get((name, armed_at), 0) + 1
        if count < wanted:
            return
        with open(f"{path}.{os.getpid()}", "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}")
        os.rename(path, f"{path}.taken")
        os.rename(f"{path}.{os.getpid()}", f"{path}.hit")
    except (OSError, ValueError):
        # Not armed, or another process was first.
        return
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        # A signal to oneself may come a moment later where there are other threads.
        signal.pause()
