"""The store: every row of a workspace, written by one thread, read on the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from core.errors import FolderReadOnly, StoreError
from core.store.backup import copy_database, finish_copy
from core.store.breakpoint_rows import BreakpointReads
from core.store.call_reads import CallReads
from core.store.chat_reads import ChatReads
from core.store.identity import FileIdentity
from core.store.log_reads import LogReads
from core.store.opening import connect, open_database
from core.store.operation import Operation
from core.store.problems import folder_read_only, problem_from, problem_from_system, store_closed
from core.store.pruning import PruningReads
from core.store.run_reads import RunReads
from core.store.transfer import TransferReads
from core.store.write_reads import WriteReads
from core.store.writer import Writer


class Store(RunReads, TransferReads, WriteReads, LogReads, PruningReads, CallReads, ChatReads, BreakpointReads):
    """The one owner of a workspace's database; make it with `open`, read after `start_reads`, end it with `close`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path)
        self._parts_known = {}
        self._settings = _settings(connection)
        self._identity = FileIdentity(path)
        self._writer = Writer(connection, path, self._identity.check)

    @classmethod
    def open(cls, path: Path, *, check: bool = False) -> Self:
        """Open the database, making or migrating it first; blocks, so call it in a thread.

        The caller holds the workspace's lock. `check` looks at every page first: wanted after an unclean end.
        Raises the DatabaseProblem family and WorkspaceMissing; nothing that is refused is changed.
        """
        return cls(path, open_database(path, check=check))

    async def commit(self, operations: Sequence[Operation]) -> list[Any]:
        """Apply operations, all or none; return one result for each when they are durable.

        Raises what an operation raises, or the DatabaseProblem family; then nothing of the group is kept. A caller
        that is cancelled while it waits does not take the group back.
        """
        return await self._writer.submit(operations)

    def commit_soon(self, operations: Sequence[Operation]) -> asyncio.Future[list[Any]]:
        """The same without waiting: groups are committed in the order of the calls."""
        return self._writer.submit(operations)

    async def empty_log(self) -> None:
        """Move the log into the database now, so that its file gets as small as it can; no loss where that fails."""
        await self._writer.empty_log()

    async def close(self) -> None:
        """Commit what waits, end the reads, empty the log into the database and close it."""
        try:
            await self._stop_reads()
        finally:
            await self._writer.close()

    def check_identity(self) -> None:
        """Raise DatabaseReplaced where the file at the path is gone or another one. Costs two calls of stat."""
        self._identity.check()

    def folder_problem(self) -> FolderReadOnly | None:
        """What is wrong with the folder of the database; None where files can be made there."""
        return folder_read_only(self._path)

    async def facts(self) -> dict[str, str]:
        """What a person who looks for trouble wants to know of the database."""
        (counts,) = await self._scan(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM steps), (SELECT count(*) FROM logs)"
        )
        return {
            "path": str(self._path),
            **self._settings,
            "size": str(_size(self._path)),
            "log_size": str(_size(Path(f"{self._path}-wal"))),
            **{name: str(count) for name, count in zip(("runs", "steps", "logs"), counts, strict=True)},
        }

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the database to a new file; commits go on meanwhile.

        Raises StoreError where the file is there already, DiskFull, FolderReadOnly.
        """
        if not self.reading:
            raise store_closed()
        if await asyncio.to_thread(target.exists):
            raise StoreError(
                f"{target} is there already.", cause="A backup replaces nothing.", next_step="Choose another name."
            )
        await asyncio.to_thread(_backup, self._path, target)

    async def rescue(self, target: Path) -> None:
        """Write a copy of the database as the open files hold it, also where no path leads to them any more.

        The connection must have read before: one that has not would look for the files by their path. Raises the
        DatabaseProblem family.
        """
        if self._short is None:
            raise store_closed()
        part = target.with_name(f"{target.name}.part")
        try:
            copy = await asyncio.to_thread(sqlite3.connect, part, isolation_level=None, check_same_thread=False)
            try:
                await self._short.backup(copy)
            finally:
                await asyncio.to_thread(copy.close)
            await asyncio.to_thread(finish_copy, part, target)
        except sqlite3.Error as error:
            raise problem_from(error, target) from error
        except OSError as error:
            raise problem_from_system(error, target) from error


def _backup(path: Path, target: Path) -> None:
    try:
        connection = connect(path)
        try:
            connection.execute("PRAGMA query_only = ON")
            copy_database(connection, target)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise problem_from(error, target) from error
    except OSError as error:
        raise problem_from_system(error, target) from error


def _settings(connection: sqlite3.Connection) -> dict[str, str]:
    """How the writer's connection is set; another connection can't see that."""
    names = ("journal_mode", "synchronous", "user_version", "auto_vacuum", "page_size")
    found = {name: str(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names}
    return {
        "sqlite": sqlite3.sqlite_version,
        "journal_mode": found["journal_mode"],
        "synchronous": {"0": "off", "1": "normal", "2": "full", "3": "extra"}.get(found["synchronous"], "unknown"),
        "schema": found["user_version"],
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
