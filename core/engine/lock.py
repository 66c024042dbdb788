"""The lock that makes a process the only owner of a workspace."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Literal

import msgspec

from core.engine.runs_folder import explain
from core.errors import WorkspaceLocked

Holder = Literal["engine", "library"]


class LockNote(msgspec.Struct):
    """What the owner writes into the lock's file, for those who find it taken; the lock itself is the truth."""

    pid: int
    holder: Holder


class EngineLock:
    """`flock` on `runs/engine.lock`. The file is never removed: two could then hold locks on two files of one name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, holder: Holder) -> None:
        """Take the lock without waiting; raises WorkspaceLocked with `details` {pid, holder}, or what the disk says."""
        try:
            # Close-on-exec, so that no process started later keeps the lock when this one dies.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explain(error, self._path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note = msgspec.json.encode(LockNote(os.getpid(), holder))
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)
        except BlockingIOError as error:
            taken = _taken(descriptor, self._path)
            os.close(descriptor)
            raise taken from error
        except OSError as error:
            os.close(descriptor)
            raise explain(error, self._path) from error
        self._descriptor = descriptor

    def is_in_place(self) -> bool:
        """True while the path still leads to the file that is locked."""
        if self._descriptor is None:
            return False
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _taken(descriptor: int, path: Path) -> WorkspaceLocked:
    try:
        note = msgspec.json.decode(os.pread(descriptor, 4096, 0), type=LockNote)
    except (OSError, msgspec.MsgspecError):
        # Taken a moment ago and not written yet: only engines are that many.
        note = LockNote(0, "engine")
    who = f"process {note.pid}" if note.pid else "another process"
    if note.holder == "library":
        cause = f"A Python program ({who}) runs workflows in it by itself."
        next_step = "Wait until that program ends, or use another workspace."
    else:
        cause = f"Its engine is {who}."
        next_step = "Use that engine; where it doesn't answer, wait or end it: no step is lost."
    return WorkspaceLocked(
        f"The workspace is in use: {path} is locked.",
        cause=cause,
        next_step=next_step,
        details={"pid": note.pid, "holder": note.holder},
    )
