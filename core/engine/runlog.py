"""The log of one run on its way to the store: buffered, numbered, committed with the next step or soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from core.errors import RondoError
from core.link.types import LogsChanged
from core.store.operations import InsertLogs, Operation, UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import World

FLUSH_SECONDS = 0.1
BATCH_ROWS = 400

LEVELS = {"DEBUG": 10, "INFO": 20, "EDGE": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

log = structlog.get_logger()


def level_name(number: int) -> str:
    """The word for a level number, rounded down to the next known one."""
    return LEVEL_NAMES.get(number) or next(
        (name for level, name in reversed(LEVEL_NAMES.items()) if level <= number), "DEBUG"
    )


class RunLog:
    """Numbers the lines of one run and commits them in batches."""

    def __init__(self, world: World, run: int, line: int, run_id: str, last: int, dropped: int) -> None:
        self._world = world
        self._run = run
        self._line = line
        self._run_id = run_id
        self.last = last
        self.dropped = dropped
        self._dropped_known = dropped
        self._announced = (last, dropped)
        self._rows: list[tuple[int, int, float, int, str, str, int, int, str]] = []
        self._flush: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def add(self, records: Sequence[tuple[float, int, str, str, int, int, str]]) -> None:
        """Take lines of the run process: (at, level number, stream, node, visit, attempt, text)."""
        for at, level, stream, node, visit, attempt, text in records:
            self.last += 1
            self._rows.append((self.last, self._line, at, level, stream, node, visit, attempt, text))
        self._flush_soon()

    def line(self, at: float, level: str, text: str, node: str, visit: int = 0, attempt: int = 0) -> None:
        """Add a line of the engine's own."""
        self.add([(at, LEVELS[level], "engine", node, visit, attempt, text)])

    def drop(self, count: int) -> None:
        """Count lines that were printed over the limit and not kept."""
        self.dropped += count
        self._flush_soon()

    def take(self) -> list[Operation]:
        """Everything that waits, as operations for the commit it belongs to."""
        operations: list[Operation] = []
        rows, self._rows = self._rows, []
        for start in range(0, len(rows), BATCH_ROWS):
            operations.append(InsertLogs(self._run, rows[start : start + BATCH_ROWS]))
        if self.dropped != self._dropped_known:
            self._dropped_known = self.dropped
            operations.append(UpdateRun(self._run, logs_dropped=self.dropped))
        return operations

    def announce(self) -> None:
        """Tell the clients how far the log goes, once its rows are committed."""
        if (self.last, self.dropped) != self._announced:
            self._announced = (self.last, self.dropped)
            self._world.publish(LogsChanged(run_id=self._run_id, last=self.last))

    async def flush(self) -> None:
        """Commit what waits now."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._flushing is not None:
            await self._flushing
        await self._commit_waiting()

    def _flush_soon(self) -> None:
        if self._flush is None and self._flushing is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin_flush)

    def _begin_flush(self) -> None:
        self._flush = None
        self._flushing = asyncio.create_task(self._commit_waiting(), name="flush a log")

    async def _commit_waiting(self) -> None:
        """Commit in one go: a line must never be there before one with a smaller number."""
        try:
            operations = self.take()
            if operations:
                await self._world.commit(operations)
                self.announce()
        except RondoError as error:
            log.error("log lines were lost", run=self._run_id, error=error.message)
        finally:
            self._flushing = None
            if self._rows:
                self._flush_soon()
