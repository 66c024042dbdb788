"""Whole trees of processes: found from their root, stopped, and killed until none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Protocol

GONE = "ZX"
"""States of a process that runs no more: it only waits to be reaped."""
STOPPED = "TtZX"

PAUSE_SECONDS = 0.001

_HAS_PROC = os.path.exists("/proc/self/stat")
_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def start_ticks(pid: int) -> int | None:
    """When a process started: clock ticks since boot on Linux, seconds since 1970 elsewhere; None where it is gone.

    With the pid it names one process for good, since pids are used again.
    """
    if pid <= 0:
        return None
    if _HAS_PROC:
        fields = _stat(pid)
        return int(fields[19]) if fields and fields[0] not in GONE else None
    state, _, started = _ps("-o", "state=,lstart=", "-p", str(pid)).strip().partition(" ")
    if not state or state[0] in GONE:
        return None
    return int(datetime.strptime(started.strip(), "%a %b %d %H:%M:%S %Y").timestamp())


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    return _look().children(pid)


def kill_tree(root: int, *, spare_root: bool = False, seconds: float = 10.0) -> bool:
    """Stop a process and everything below it, then kill it all; returns whether all of it is gone.

    Stopping goes from the root down, so that nothing found can start more while the walk goes on, and so that the pids
    found stay theirs: a stopped parent reaps nothing. With `spare_root` only what is below the root ends.
    Blocks for a few milliseconds; at most `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = _stop_tree(root, spare_root, deadline)
        if not _kill(found, deadline):
            return False
        if not found or not spare_root:
            return True


def _stop_tree(root: int, spare_root: bool, deadline: float) -> list[int]:
    """Stop everything from the root down until a whole walk finds nothing new; returns the pids, parents first."""
    found = [root]
    known = {root}
    if not spare_root:
        _signal(root, signal.SIGSTOP)
    while True:
        look, before = _look(), len(found)
        for pid in found:
            for child in look.children(pid):
                if child not in known:
                    known.add(child)
                    found.append(child)
                    _signal(child, signal.SIGSTOP)
        targets = found[1:] if spare_root else found
        running = [pid for pid in targets if look.state(pid) not in STOPPED]
        if (not running and len(found) == before) or time.monotonic() > deadline:
            return [pid for pid in targets if look.state(pid) not in GONE]
        if len(found) == before:
            time.sleep(PAUSE_SECONDS)


def _kill(pids: list[int], deadline: float) -> bool:
    """Kill processes, children first; returns whether they are gone by the deadline."""
    while pids:
        for pid in reversed(pids):
            _signal(pid, signal.SIGKILL)
        look = _look()
        pids = [pid for pid in pids if look.state(pid) not in GONE]
        if pids and time.monotonic() > deadline:
            return False
        if pids:
            time.sleep(PAUSE_SECONDS)
    return True


def _signal(pid: int, number: int) -> None:
    """Signal a process; one that is gone or that belongs to someone else is left to the caller's next look."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


# Looking at processes --------------------------------------------------------------------------------------------


class _Look(Protocol):
    """What the system says of its processes."""

    def children(self, pid: int) -> list[int]:
        """The processes whose parent it is."""

    def state(self, pid: int) -> str:
        """The letter of its state; X where there is no such process."""


def _look() -> _Look:
    return _KernelLists() if _HAS_CHILDREN else _Table()


class _KernelLists:
    """Asks the kernel anew for each process; it keeps a list of each one's children."""

    def children(self, pid: int) -> list[int]:
        children: list[int] = []
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except (FileNotFoundError, ProcessLookupError):
            return children
        for thread in threads:
            try:
                text = Path(f"/proc/{pid}/task/{thread}/children").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children += map(int, text.split())
        return children

    def state(self, pid: int) -> str:
        fields = _stat(pid)
        return fields[0] if fields else "X"


class _Table:
    """Looks at every process once, where the kernel keeps no lists."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}
        self._children: dict[int, list[int]] = {}
        for pid, parent, state in _all_processes():
            self._states[pid] = state
            self._children.setdefault(parent, []).append(pid)

    def children(self, pid: int) -> list[int]:
        return self._children.get(pid, [])

    def state(self, pid: int) -> str:
        return self._states.get(pid, "X")


def _all_processes() -> list[tuple[int, int, str]]:
    """Pid, parent and state of every process."""
    if _HAS_PROC:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [(pid, int(fields[1]), fields[0]) for pid in pids if (fields := _stat(pid))]
    rows = [line.split() for line in _ps("-A", "-o", "pid=,ppid=,state=").splitlines()]
    return [(int(row[0]), int(row[1]), row[2][0]) for row in rows if len(row) == 3]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second may hold anything, parentheses too."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def _ps(*arguments: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False, env=environment).stdout
