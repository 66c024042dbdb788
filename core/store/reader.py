"""Two read connections on the event loop: short reads use one, long scans the other, so that neither waits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import aiosqlite

from core.store.damage import Damages, notes_damage
from core.store.opening import connect
from core.store.problems import problem_from, row_damaged, rows_missing, store_closed
from core.store.step_operations import blob_hash

Row = tuple[Any, ...]

NAMES_AT_ONCE = 500
LARGE = 64 * 1024
"""Bytes from which on work is done in a thread, so that the event loop is never held for long."""


class Reader:
    """The base of all that reads. Rows are always fetched whole: a half-read cursor would keep the log growing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damages = Damages()
        self._short: aiosqlite.Connection | None = None
        self._long: aiosqlite.Connection | None = None

    async def start_reads(self) -> None:
        """Open the read connections on the running event loop. Raises the DatabaseProblem family."""
        if self._short is None:
            self._short, self._long = await asyncio.gather(_open_connection(self._path), _open_connection(self._path))

    @property
    def reading(self) -> bool:
        """True between `start_reads` and `close`."""
        return self._short is not None

    async def _stop_reads(self) -> None:
        short, self._short = self._short, None
        long, self._long = self._long, None
        for connection in (short, long):
            if connection is not None:
                await connection.close()

    async def _fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a short read."""
        return await self._fetch_on(self._short, statement, parameters)

    async def _fetch_one(self, statement: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = await self._fetch(statement, parameters)
        return rows[0] if rows else None

    async def _scan(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one slice of a long scan."""
        return await self._fetch_on(self._long, statement, parameters)

    @notes_damage
    async def _fetch_on(
        self, connection: aiosqlite.Connection | None, statement: str, parameters: Sequence[Any]
    ) -> list[Row]:
        if connection is None:
            raise store_closed()
        try:
            return list(await connection.execute_fetchall(statement, parameters))  # type: ignore[arg-type]
        except sqlite3.Error as error:
            raise problem_from(error, self._path) from error

    @notes_damage
    async def _blobs(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        """Values by their hashes, each checked. Raises DatabaseDamaged where one is missing or changed."""
        found: dict[bytes, bytes] = await self._of_blobs("data", names)
        if sum(map(len, found.values())) > LARGE:
            await asyncio.to_thread(_check_blobs, found)
        else:
            _check_blobs(found)
        return found

    async def _blob_sizes(self, names: Sequence[bytes]) -> dict[bytes, int]:
        """How many bytes values have, by their hashes."""
        return await self._of_blobs("length(data)", names)

    @notes_damage
    async def _of_blobs(self, expression: str, names: Sequence[bytes]) -> dict[bytes, Any]:
        """Something of each value. Raises DatabaseDamaged where one is missing."""
        found: dict[bytes, Any] = {}
        wanted = sorted(set(names))
        for start in range(0, len(wanted), NAMES_AT_ONCE):
            part = wanted[start : start + NAMES_AT_ONCE]
            marks = ", ".join("?" * len(part))
            rows = await self._fetch(f"SELECT hash, {expression} FROM blobs WHERE hash IN ({marks})", part)
            found |= {row[0]: row[1] for row in rows}
        for name in wanted:
            if name not in found:
                raise rows_missing("blobs", f"hash {name.hex()}")
        return found


def _check_blobs(found: dict[bytes, bytes]) -> None:
    for name, data in found.items():
        if blob_hash(data) != name:
            raise row_damaged("blobs", f"hash {name.hex()}")


async def _open_connection(path: Path) -> aiosqlite.Connection:
    connection = _make_connection(path)
    try:
        return await connection
    except sqlite3.Error as error:
        await connection.close()
        raise problem_from(error, path) from error


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads; set up here, because each statement through aiosqlite is a change of threads."""
    connection = connect(path)
    try:
        for setting in ("query_only = ON", "wal_autocheckpoint = 0", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.create_function("casefold", 1, str.casefold, deterministic=True)
        # The first read opens what stands beside the database by its path; later ones work also where it is deleted.
        connection.execute("SELECT value FROM meta LIMIT 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _make_connection(path: Path) -> aiosqlite.Connection:
    """A connection whose thread is a daemon, so that a program that ends without closing the store does end.

    A thread inherits that from the one that makes it, and aiosqlite makes its own with the connection.
    """
    made: list[aiosqlite.Connection] = []

    def make() -> None:
        made.append(aiosqlite.Connection(lambda: _connect(path), iter_chunk_size=1))

    maker = Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    return made[0]
