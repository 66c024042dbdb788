"""The writer: one thread that commits everything that waits, of all runs, in one transaction with one fsync."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import structlog

from core.crash_points import crash_point
from core.errors import DatabaseBusy, DatabaseReplaced, RondoError
from core.store.operation import Operation
from core.store.problems import problem_from, store_closed, value_unusable
from core.store.transaction import Transaction

log = structlog.get_logger()

MAXIMUM_ROWS = 500
"""Rows of one transaction, so that nobody waits long for the rows of others."""

IDLE_SECONDS = 2.0
"""After this long without work the log is emptied into the database."""

NOBODYS_FAULT = (DatabaseBusy, DatabaseReplaced)
"""Problems of the whole database: trying the groups one by one would only repeat them."""


@dataclass(slots=True)
class Group:
    """Operations that are committed whole or not at all, and where the results go."""

    operations: Sequence[Operation]
    row_count: int
    future: asyncio.Future[list[Any]]
    results: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    empties_log: bool = False

    def apply(self, transaction: Transaction) -> None:
        """Apply the operations in the open transaction."""
        self.results = []
        for operation in self.operations:
            ready = operation.resolved(self.results) if operation.references else operation
            self.results.append(ready.apply(transaction))

    def announce(self) -> None:
        """Tell whoever doesn't wait for the event loop."""
        for operation in self.operations:
            _tell(operation.on_durable)

    def deliver(self) -> None:
        """Tell whoever waits; runs on the event loop."""
        if self.error is None:
            for operation in self.operations:
                _tell(operation.on_delivered)
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.results)


def _tell(listener: Callable[[], None] | None) -> None:
    """What a listener does wrong must not stop the writer."""
    if listener is not None:
        try:
            listener()
        except Exception:
            # It is durable: what a listener does wrong must not undo that.
            log.exception("a durable row could not be announced")


class Writer:
    """Owns the one connection that writes and checkpoints.

    `before_commit` is called before each transaction and may refuse it by raising a RondoError.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, before_commit: Callable[[], None]) -> None:
        self._connection = connection
        self._transaction = Transaction(connection)
        self._path = path
        self._before_commit = before_commit
        self._queue: SimpleQueue[Group | None] = SimpleQueue()
        self._closing = False
        self._busy_timeout: int = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        # A daemon, so that a program that dies of something else is not kept alive; what was acknowledged is durable.
        self._thread = Thread(target=self._work, name="rondo-writer", daemon=True)
        self._thread.start()

    def submit(self, operations: Sequence[Operation]) -> asyncio.Future[list[Any]]:
        """Queue a group; groups are committed in the order of the calls. Call it on a running event loop."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._closing:
            future.set_exception(store_closed())
        else:
            self._queue.put(Group(operations, sum(operation.row_count for operation in operations), future))
        return future

    async def empty_log(self) -> None:
        """Commit what waits and empty the log into the database, as far as no reader is in the way."""
        group = Group((), 0, asyncio.get_running_loop().create_future(), empties_log=True)
        if not self._closing:
            self._queue.put(group)
            await group.future

    async def close(self) -> None:
        """Commit what waits, empty the log into the database, close the connection."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # The writer's thread from here on -----------------------------------------------------------------------------

    def _work(self) -> None:
        first: Group | None = None
        dirty = False
        while True:
            if first is None:
                try:
                    first = self._queue.get(timeout=IDLE_SECONDS if dirty else None)
                except Empty:
                    dirty = not self._empty_log()
                    continue
                if first is None:
                    break
            batch, first, closing = self._take_what_waits(first)
            crash_point("writer.taken")
            self._commit(batch)
            crash_point("writer.delivered")
            dirty = True
            if closing:
                break
        self._empty_log()
        self._connection.close()

    def _take_what_waits(self, first: Group) -> tuple[list[Group], Group | None, bool]:
        """A batch of groups, the group that didn't fit any more, and whether the end of the queue was met."""
        batch = [first]
        rows = first.row_count
        while True:
            try:
                group = self._queue.get_nowait()
            except Empty:
                return batch, None, False
            if group is None:
                return batch, None, True
            rows += group.row_count
            if rows > MAXIMUM_ROWS:
                return batch, group, False
            batch.append(group)

    def _commit(self, batch: list[Group]) -> None:
        """Commit a batch in one transaction; if a row of it fails, group by group: only the bad one hears of it."""
        error = self._try(batch)
        if error is not None and len(batch) > 1 and not isinstance(error, NOBODYS_FAULT):
            for position, group in enumerate(batch):
                group.error = self._try([group])
                if isinstance(group.error, NOBODYS_FAULT):
                    for later in batch[position + 1 :]:
                        later.error = group.error
                    break
        elif error is not None:
            for group in batch:
                group.error = error
        for group in batch:
            if group.error is None:
                group.announce()
        if any(group.empties_log for group in batch):
            self._empty_log()
        _deliver(batch)

    def _try(self, groups: list[Group]) -> Exception | None:
        """Commit groups in one transaction; return why nothing of them was kept, None if they are durable."""
        try:
            self._before_commit()
            self._transaction.begin()
            crash_point("writer.begun")
            for group in groups:
                group.apply(self._transaction)
            crash_point("writer.applied")
            self._transaction.commit()
            crash_point("writer.committed")
        except Exception as error:
            # Whatever it was, nothing of the transaction may stay, and who waits for it is told.
            self._roll_back()
            return self._shown(error)
        return None

    def _roll_back(self) -> None:
        # Many errors end the transaction by themselves. Where ending it fails too, the next can't begin, and says so.
        with contextlib.suppress(sqlite3.Error):
            self._transaction.roll_back()

    def _shown(self, error: Exception) -> Exception:
        if isinstance(error, UnicodeError | OverflowError):
            problem: RondoError = value_unusable(error)
            problem.__cause__ = error
            return problem
        if isinstance(error, sqlite3.Error):
            problem = problem_from(error, self._path)
            problem.__cause__ = error
            return problem
        return error

    def _empty_log(self) -> bool:
        """Move the log into the database and cut it off; True if that could be done now.

        It is no loss if not: a reader is in the way, or the disk is full, and the rows stay in the log.
        """
        try:
            # Whoever commits next must not wait behind a reader.
            self._connection.execute("PRAGMA busy_timeout = 0")
            crash_point("writer.checkpoint.wanted")
            busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            crash_point("writer.checkpoint.done")
            return busy == 0
        except sqlite3.Error:
            return False
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout:d}")


def _deliver(batch: list[Group]) -> None:
    """Hand the results over with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Group]] = {}
    for group in batch:
        by_loop.setdefault(group.future.get_loop(), []).append(group)
    for loop, groups in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, groups)
        except RuntimeError:
            # The loop is closed: nobody waits there any more, and the rows are durable.
            continue


def _deliver_all(groups: list[Group]) -> None:
    for group in groups:
        group.deliver()
