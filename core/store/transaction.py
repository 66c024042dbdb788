"""The open transaction of the writer: rows that only pile up are gathered and inserted many at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from core.crash_points import crash_point

LARGEST_INSERT = 128
"""Rows of one statement; the others are smaller powers of two, so that few statements serve every count."""

LINES_REMEMBERED = 10_000

PILES: dict[str, tuple[str, ...]] = {
    "steps": (
        "line",
        "seq",
        "node",
        "visit",
        "attempt",
        "next",
        "routing",
        "started_at",
        "ended_at",
        "changed",
        "delta",
        "blobs",
        "crc",
        "own",
    ),
    "attempts": ("line", "before_seq", "node", "visit", "attempt", "started_at", "ended_at", "error"),
    "snapshots": ("line", "seq", "state", "crc"),
    "logs": ("run", "row", "line", "at", "level", "stream", "node", "visit", "attempt", "text"),
}
"""Tables whose new rows no operation reads, and their columns. Steps are read by their last number alone."""


class Transaction:
    """What operations work on. One object serves all transactions of a writer, one after the other.

    Every statement gives the interpreter's lock away and has to win it back, which takes long while the event loop
    is busy: so the fewer statements a transaction has, the better.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._piles: dict[str, list[Sequence[Any]]] = {table: [] for table in PILES}
        self._next_seqs: dict[int, int] = {}
        self._named_blobs: set[bytes] | None = None

    def begin(self) -> None:
        """Take the write lock; raises sqlite3.Error where another program has it."""
        self._connection.execute("BEGIN IMMEDIATE")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement now."""
        return self._connection.execute(statement, parameters)

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement now for each of these rows."""
        self._connection.executemany(statement, rows)

    def pile(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows before the commit; a row that can't be inserted fails the whole transaction then."""
        self._piles[table] += rows

    def next_seq(self, line: int) -> int | None:
        """The number that the line's next step must have; None where there is no such line."""
        known = self._next_seqs.get(line)
        if known is not None:
            return known
        found: int | None = self._connection.execute(
            "SELECT coalesce((SELECT max(seq) + 1 FROM steps WHERE line = ?),"
            " (SELECT coalesce(parent_seq, -1) + 1 FROM lines WHERE line = ?))",
            (line, line),
        ).fetchone()[0]
        if found is not None:
            self.has_steps_up_to(line, found - 1)
        return found

    def has_steps_up_to(self, line: int, seq: int) -> None:
        """Remember the last step of a line."""
        if len(self._next_seqs) >= LINES_REMEMBERED:
            self._next_seqs.clear()
        self._next_seqs[line] = seq + 1

    def forget_lines(self, lines: Sequence[int]) -> None:
        """Nothing is known any more of lines that are gone."""
        for line in lines:
            self._next_seqs.pop(line, None)

    def track_blobs(self, on: bool) -> None:
        """Begin, or end, to remember which large values are named."""
        self._named_blobs = set() if on else None

    def name_blobs(self, names: Iterable[bytes]) -> None:
        """Large values that rows of this transaction name."""
        if self._named_blobs is not None:
            self._named_blobs.update(names)

    def has_blob_been_named(self, name: bytes) -> bool:
        """True where a row may have come to name it since they are tracked; so too while they are not."""
        return self._named_blobs is None or name in self._named_blobs

    def commit(self) -> None:
        """Insert what was gathered and make everything durable; raises sqlite3.Error, then `roll_back` is due."""
        for table, rows in self._piles.items():
            if rows:
                self._insert(table, rows)
                rows.clear()
        crash_point("writer.rows_inserted")
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Forget everything since `begin`."""
        for rows in self._piles.values():
            rows.clear()
        self._next_seqs.clear()
        self._connection.rollback()

    def _insert(self, table: str, rows: list[Sequence[Any]]) -> None:
        start = 0
        count = LARGEST_INSERT
        while start < len(rows):
            if len(rows) - start < count:
                count //= 2
                continue
            values = [value for row in rows[start : start + count] for value in row]
            self._connection.execute(_insert_statement(table, count), values)
            start += count


@cache
def _insert_statement(table: str, count: int) -> str:
    columns = PILES[table]
    marks = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table}({', '.join(columns)}) VALUES {', '.join([marks] * count)}"
