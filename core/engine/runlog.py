"""The log of one run on its way to the store: buffered, numbered, committed with the next step or soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.errors import RondoError
from core.link.event_types import LogsChanged
from core.store.operations import InsertLogs, Operation, UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import World

FLUSH_SECONDS = 0.1
BATCH_ROWS = 400

LEVELS = {"DEBUG": 10, "INFO": 20, "EDGE": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

DROPPING = "From here on lines are dropped: the run prints more than is kept. How many is counted."

ENGINE = "engine"
"""The stream of lines that are not output of the run's."""

Row = tuple[int, int, float, int, str, str, int, int, str]

log = structlog.get_logger()


def level_name(number: int) -> str:
    """The word for a level number, rounded down to the next known one."""
    return LEVEL_NAMES.get(number) or next(
        (name for level, name in reversed(LEVEL_NAMES.items()) if level <= number), "DEBUG"
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """Lines on their way to the store: how far the log goes with them, and how many lines were dropped by then."""

    rows: list[Row]
    last: int
    dropped: int
    operations: list[Operation]


class RunLog:
    """Numbers the lines of one run and commits them in batches."""

    def __init__(
        self,
        world: World,
        run: int,
        line: int,
        run_id: str,
        last: int,
        dropped: int,
        kept: tuple[int, int] = (0, 0),
    ) -> None:
        self._world = world
        self._run = run
        self._line = line
        self._run_id = run_id
        self._last = last
        self._dropped = dropped
        self.kept_lines, self.kept_size = kept
        """How much of the run's own output is kept; lines of the engine's don't count."""
        self._dropped_taken = dropped
        self._announced = (last, dropped)
        self._rows: list[Row] = []
        self._flush: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def add(self, records: Sequence[tuple[float, int, str, str, int, int, str]]) -> None:
        """Take lines of the run process: (at, level number, stream, node, visit, attempt, text)."""
        for at, level, stream, node, visit, attempt, text in records:
            self._last += 1
            if stream != ENGINE:
                self.kept_lines += 1
                self.kept_size += len(text)
            self._rows.append((self._last, self._line, at, level, stream, node, visit, attempt, text))
        self._flush_soon()

    def line(self, at: float, level: str, text: str, node: str, visit: int = 0, attempt: int = 0) -> None:
        """Add a line of the engine's own."""
        self.add([(at, LEVELS[level], ENGINE, node, visit, attempt, text)])

    def drop(self, count: int) -> None:
        """Count lines that were printed over the limit and not kept; the log itself says where that began."""
        if count and not self._dropped:
            self.line(self._world.now(), "WARNING", DROPPING, "")
        self._dropped += count
        self._flush_soon()

    def take(self) -> Taken:
        """Everything that waits, as operations for the commit it belongs to.

        `committed` is due after it, or `put_back` where it failed.
        """
        rows, self._rows = self._rows, []
        operations: list[Operation] = [
            InsertLogs(self._run, rows[start : start + BATCH_ROWS]) for start in range(0, len(rows), BATCH_ROWS)
        ]
        if self._dropped != self._dropped_taken:
            self._dropped_taken = self._dropped
            operations.append(UpdateRun(self._run, logs_dropped=self._dropped))
        return Taken(rows, self._last, self._dropped, operations)

    def committed(self, taken: Taken) -> None:
        """Tell the clients how far the log goes now; lines that came since are not there yet."""
        reached = (max(taken.last, self._announced[0]), max(taken.dropped, self._announced[1]))
        if reached != self._announced:
            self._announced = reached
            self._world.publish(LogsChanged(run_id=self._run_id, last=reached[0]))

    def put_back(self, taken: Taken) -> None:
        """What was taken was not kept: it goes with the next commit."""
        self._rows[:0] = taken.rows
        self._dropped_taken = self._announced[1]
        if taken.operations:
            self._flush_soon()

    async def flush(self) -> None:
        """Commit what waits now."""
        if self._flushing is not None:
            await self._flushing
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        await self._commit_waiting()

    def _flush_soon(self) -> None:
        if self._flush is None and self._flushing is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin_flush)

    def _begin_flush(self) -> None:
        self._flush = None
        self._flushing = asyncio.create_task(self._commit_waiting(), name="flush a log")

    async def _commit_waiting(self) -> None:
        """Commit in one go: a line must never be there before one with a smaller number."""
        taken = self.take()
        try:
            if taken.operations:
                await self._world.commit(taken.operations)
                self.committed(taken)
        except RondoError as error:
            log.error("log lines were lost", run=self._run_id, error=error.message)
        finally:
            self._flushing = None
            if self._rows:
                self._flush_soon()
