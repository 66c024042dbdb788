"""The black box, `runs/blackbox.json`: whether the last engine ended cleanly, and what was done where it did not.

A file and not a table, so that it can be written when the database can't, and read when that is damaged.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from core.errors import RondoError
from core.identifiers import new_run_id
from core.link.engine_types import RecoveredRun, UncleanEnd
from core.link.types import ErrorView
from core.places import Workspace
from core.version import VERSION

log = structlog.get_logger()

ENDS_KEPT = 10
RUNS_NAMED = 100
"""Runs that one report names; of more it says how many there were."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Life(msgspec.Struct, kw_only=True):
    """An engine that lives, or died without saying so. `trouble` is what it last suffered from."""

    pid: int
    started_at: float
    app_version: str
    boot: str
    trouble: ErrorView | None = None


class Book(msgspec.Struct, kw_only=True):
    """What the file holds; `ends` newest first."""

    life: Life | None = None
    ends: list[UncleanEnd] = []


class BlackBox:
    """One engine's hand on the file, for as long as it holds the workspace's lock. The methods block for an fsync."""

    def __init__(self, workspace: Workspace, now: Callable[[], float] = time.time) -> None:
        self._path = workspace.runs_dir / "blackbox.json"
        self._signs = (self._path, workspace.engine_log, workspace.database, Path(f"{workspace.database}-wal"))
        self._now = now
        self._book = Book()
        self._died: Life | None = None
        self._last_sign = 0.0
        self._guard = threading.Lock()

    @property
    def ends(self) -> list[UncleanEnd]:
        """The unclean ends that are remembered, newest first."""
        return list(self._book.ends)

    def begin(self) -> None:
        """Note that an engine lives; one that is noted already died without an end."""
        with self._guard:
            self._last_sign = max((_changed_at(path) for path in self._signs), default=0.0)
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                self._book = msgspec.json.decode(self._path.read_bytes(), type=Book)
            self._died = self._book.life
            self._book.life = Life(pid=os.getpid(), started_at=self._now(), app_version=VERSION, boot=_boot())
            self._write()

    def report(self, runs: list[RecoveredRun]) -> None:
        """Keep what was found and done after an unclean end; does nothing after a clean one."""
        with self._guard:
            died, self._died = self._died, None
            if died is None:
                return
            end = UncleanEnd(
                id=new_run_id(),
                pid=died.pid,
                started_at=died.started_at,
                last_sign_at=max(self._last_sign, died.started_at),
                found_at=self._now(),
                cause=_cause(died),
                runs=runs[:RUNS_NAMED],
                run_count=len(runs),
            )
            self._book.ends = [end, *self._book.ends][:ENDS_KEPT]
            self._write()
        log.warning("the engine before this one died", pid=end.pid, cause=end.cause, runs=end.run_count)

    def trouble(self, error: RondoError | None) -> None:
        """Note what this engine suffers from, in case that it dies of it; None where it is over."""
        with self._guard:
            if self._book.life is not None:
                self._book.life.trouble = None if error is None else ErrorView(**_plain(error))
                self._write()

    def seen(self, end_id: str) -> None:
        """Note that a person has seen the report of an unclean end."""
        with self._guard:
            for end in self._book.ends:
                if end.id == end_id:
                    end.seen = True
            self._write()

    def end(self) -> None:
        """Note a clean end. Where the one before was not reported yet, it stays for the next engine to report."""
        with self._guard:
            self._book.life = self._died
            self._write()

    def _write(self) -> None:
        """Put the file in place in one go; a disk that takes nothing is not a reason to stop."""
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with partial.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self._book), indent=1))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self._path)
        except OSError as error:
            log.warning("the black box could not be written", error=str(error))
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _plain(error: RondoError) -> dict[str, str]:
    return {name: value for name, value in error.to_dict().items() if name != "details"}


def _cause(died: Life) -> str:
    """What is known of why it died."""
    if died.boot != _boot():
        return "The machine was restarted, or lost power."
    if died.trouble is not None:
        return f"It was in trouble before: {died.trouble.message} {died.trouble.cause}".strip()
    return "Its process was killed or crashed; runs/engine.log may say more."


def _boot() -> str:
    """A text that is another one after each start of the machine; empty where the system has none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
