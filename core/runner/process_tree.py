"""Whole trees of processes: found from their root, stopped, and killed until none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

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
    text = _ps("-o", "lstart=", "-p", str(pid)).strip()
    return int(datetime.strptime(text, "%a %b %d %H:%M:%S %Y").timestamp()) if text else None


def kill_tree(root: int, *, spare_root: bool = False, seconds: float = 10.0) -> bool:
    """Stop a process and everything below it, then kill it all; returns whether all of it is gone.

    Stopping goes from the root down, so that nothing found can start more while the walk goes on, and so that the pids
    found stay theirs: a stopped parent reaps nothing. With `spare_root` only what is below the root ends.
    Blocks for a few milliseconds; at most `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = _stop_tree(root, spare_root, deadline)
        for pid in reversed(found):
            _signal(pid, signal.SIGKILL)
        while alive := [pid for pid in found if _state(pid) not in GONE]:
            if time.monotonic() > deadline:
                return False
            for pid in alive:
                _signal(pid, signal.SIGKILL)
            time.sleep(PAUSE_SECONDS)
        if not found or not spare_root:
            return True


def _stop_tree(root: int, spare_root: bool, deadline: float) -> list[int]:
    """Stop everything from the root down until a whole walk finds nothing new; returns the pids, parents first."""
    found = [root]
    known = {root}
    if not spare_root:
        _signal(root, signal.SIGSTOP)
    while True:
        grown = False
        children = _child_lister()
        for pid in found:
            for child in children(pid):
                if child not in known:
                    known.add(child)
                    found.append(child)
                    _signal(child, signal.SIGSTOP)
                    grown = True
        stopped = all(_state(pid) in STOPPED for pid in found[1 if spare_root else 0 :])
        if (stopped and not grown) or time.monotonic() > deadline:
            return [pid for pid in found[1 if spare_root else 0 :] if _state(pid) not in GONE]
        if not grown:
            time.sleep(PAUSE_SECONDS)


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    return _child_lister()(pid)


def _child_lister() -> Callable[[int], list[int]]:
    """What finds children now: the kernel's own list where it keeps one, else a look at every process."""
    if _HAS_CHILDREN:
        return _listed_children
    table: dict[int, list[int]] = {}
    for pid, parent in _all_processes():
        table.setdefault(parent, []).append(pid)
    return lambda pid: table.get(pid, [])


def _listed_children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return children
    for thread in threads:
        try:
            text = Path(f"/proc/{pid}/task/{thread}/children").read_bytes()
        except OSError:
            continue
        children += map(int, text.split())
    return children


def _all_processes() -> list[tuple[int, int]]:
    if _HAS_PROC:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [(pid, int(fields[1])) for pid in pids if (fields := _stat(pid))]
    pairs = [line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines()]
    return [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2]


def _state(pid: int) -> str:
    """The letter of a process's state; X where there is no such process."""
    if _HAS_PROC:
        fields = _stat(pid)
        return fields[0] if fields else "X"
    return _ps("-o", "state=", "-p", str(pid)).strip()[:1] or "X"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second may hold anything, parentheses too."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _ps(*arguments: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False, env=environment).stdout


def _signal(pid: int, number: int) -> None:
    """Signal a process; one that is gone or that belongs to someone else is left to the caller's next look."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
