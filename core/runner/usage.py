"""What a tree of processes uses: memory and CPU time, of all that is below a root."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.runner.process_tree import children_of

_HAS_PROC = os.path.exists("/proc/self/stat")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resident memory in bytes and CPU time in seconds, that of children which have ended included."""

    memory: int = 0
    cpu_seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.memory + other.memory, self.cpu_seconds + other.cpu_seconds)


def tree_usage(root: int, memory_limit: int = 0) -> Usage:
    """What a process and everything below it uses now; nothing where it is gone. Blocks for about a millisecond.

    Memory that several processes share counts for each of them, unless the sum is over the limit: then, on Linux, it
    is looked at more closely, so that a pool of workers forked from a large parent is not taken for a hog.
    """
    if not _HAS_PROC:
        return _table_usage(root)
    pids = _tree(root)
    total = sum((_process_usage(pid) for pid in pids), Usage())
    if memory_limit and total.memory > memory_limit:
        return Usage(sum(_share(pid) for pid in pids), total.cpu_seconds)
    return total


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        found += children_of(pid)
    return found


def _process_usage(pid: int) -> Usage:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return Usage()
    # From the third field on; the second may hold anything, parentheses too.
    fields = text[text.rindex(")") + 2 :].split()
    return Usage(int(fields[21]) * _PAGE, sum(map(int, fields[11:15])) / _TICKS)


def _share(pid: int) -> int:
    """A process's part of the memory it has, where shared pages are divided among all that share them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        # Some systems don't show it to anybody.
        return _process_usage(pid).memory
    return 0


def _table_usage(root: int) -> Usage:
    """From one look at the table of processes, where the system has no /proc."""
    command = ["ps", "-A", "-o", "pid=,ppid=,rss=,time="]
    text = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    rows = [line.split() for line in text.stdout.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows if len(row) == 4}
    total = Usage()
    for row in rows:
        if len(row) == 4 and _is_below(int(row[0]), root, parents):
            total += Usage(int(row[2]) * 1024, _clock(row[3]))
    return total


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root:
        if pid not in parents or parents[pid] == pid:
            return False
        pid = parents[pid]
    return True


def _clock(text: str) -> float:
    """Seconds of `[days-][hours:]minutes:seconds`."""
    days, _, clock = text.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)
