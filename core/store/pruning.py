"""Deleting runs: what goes at once, what goes in slices, and which large values nobody names any more.

A run is taken away in one transaction, which notes what is left to be deleted in the table `pruning`. That is done in
slices, so that the commits of runs that are going on never wait long; the next engine goes on where one was killed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.crash_points import crash_point
from core.store.operation import Operation
from core.store.reader import Reader
from core.store.run_operations import FINAL_WORDS
from core.store.step_operations import HASH_BYTES
from core.store.transaction import Transaction

SLICE_ROWS = 300
"""Rows that one operation deletes."""
SNAPSHOTS_AT_ONCE = 8
CALLS_AT_ONCE = 50
BLOB_BYTES_AT_ONCE = 4 * 1024 * 1024
PAGES_AT_ONCE = 500
SCAN_ROWS = 2_000

What = Literal["line", "run", "blob", "output"]
"""What the table `pruning` names: steps and snapshots of a line, log and calls of a run, a large value, an output."""


# Operations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PruneRun(Operation):
    """Take a run with a final status away; the result is None, or why it stays: going on, gone, or who needs it.

    That is the id of a fork that reads its history, or of the run whose subflow it is and that has not ended.
    """

    number: int

    @property
    def row_count(self) -> int:
        return 20

    def apply(self, transaction: Transaction) -> str | None:
        found = transaction.execute("SELECT id FROM runs WHERE number = ?", (self.number,)).fetchone()
        if found is None:
            return "gone"
        final = f"SELECT 1 FROM runs WHERE number = ? AND status IN ({FINAL_WORDS})"
        if transaction.execute(final, (self.number,)).fetchone() is None:
            return "going on"
        fork = transaction.execute(
            "SELECT runs.id FROM lines AS own JOIN lines AS child ON child.parent_line = own.line"
            " JOIN runs ON runs.number = child.run WHERE own.run = ? AND child.run <> own.run LIMIT 1",
            (self.number,),
        ).fetchone()
        if fork is not None:
            return str(fork[0])
        above = transaction.execute(
            "SELECT parent.id FROM runs JOIN runs AS parent ON parent.number = runs.parent_run"
            f" WHERE runs.number = ? AND parent.status NOT IN ({FINAL_WORDS})",
            (self.number,),
        ).fetchone()
        if above is not None:
            return str(above[0])
        self._delete(transaction, found[0])
        return None

    def _delete(self, transaction: Transaction, run_id: str) -> None:
        remember_last_numbers(transaction)
        lines = [row[0] for row in transaction.execute("SELECT line FROM lines WHERE run = ?", (self.number,))]
        transaction.forget_lines(lines)
        note_pruning(transaction, "line", lines)
        note_pruning(transaction, "run", [self.number])
        note_pruning(transaction, "output", [run_id])
        inputs = transaction.execute("DELETE FROM inputs WHERE run = ? RETURNING blobs", (self.number,)).fetchall()
        note_pruning(transaction, "blob", {name for row in inputs for name in split_names(row[0])})
        transaction.execute_many("DELETE FROM attempts WHERE line = ?", [(line,) for line in lines])
        for table, column, value in (
            ("requests", "run", self.number),
            ("breakpoints", "run", self.number),
            ("lines", "run", self.number),
            ("runs", "number", self.number),
            ("commands", "run", run_id),
        ):
            transaction.execute(f"DELETE FROM {table} WHERE {column} = ?", (value,))
        crash_point("prune.run.deleted")


@dataclass(frozen=True, slots=True)
class DeletePrunedRows(Operation):
    """Delete some rows of what was pruned: steps, snapshots, log, calls; the result is how many, 0 at the end."""

    @property
    def row_count(self) -> int:
        return SLICE_ROWS

    def apply(self, transaction: Transaction) -> int:
        deleted = 0
        while deleted < SLICE_ROWS:
            found = transaction.execute(
                "SELECT what, name FROM pruning WHERE what IN ('line', 'run') LIMIT 1"
            ).fetchone()
            if found is None:
                break
            what, number = found
            delete = self._delete_of_line if what == "line" else self._delete_of_run
            count, done = delete(transaction, number, SLICE_ROWS - deleted)
            if done:
                transaction.execute("DELETE FROM pruning WHERE what = ? AND name = ?", (what, number))
            deleted += count + 1
        crash_point("prune.rows.deleted")
        return deleted

    def _delete_of_line(self, transaction: Transaction, line: int, limit: int) -> tuple[int, bool]:
        rows = transaction.execute(
            "DELETE FROM steps WHERE line = ? AND seq IN"
            " (SELECT seq FROM steps WHERE line = ? ORDER BY seq LIMIT ?) RETURNING blobs",
            (line, line, limit),
        ).fetchall()
        note_pruning(transaction, "blob", {name for row in rows for name in split_names(row[0])})
        if len(rows) == limit:
            return len(rows), False
        snapshots = transaction.execute(
            "DELETE FROM snapshots WHERE line = ? AND seq IN"
            " (SELECT seq FROM snapshots WHERE line = ? ORDER BY seq LIMIT ?)",
            (line, line, SNAPSHOTS_AT_ONCE),
        ).rowcount
        return len(rows) + snapshots, snapshots < SNAPSHOTS_AT_ONCE

    def _delete_of_run(self, transaction: Transaction, run: int, limit: int) -> tuple[int, bool]:
        calls = transaction.execute(
            "DELETE FROM calls WHERE number IN (SELECT number FROM calls WHERE run = ? ORDER BY number LIMIT ?)",
            (run, min(limit, CALLS_AT_ONCE)),
        ).rowcount
        if calls == min(limit, CALLS_AT_ONCE):
            return calls, False
        count = transaction.execute(
            "DELETE FROM logs WHERE run = ? AND row IN (SELECT row FROM logs WHERE run = ? ORDER BY row LIMIT ?)",
            (run, run, limit),
        ).rowcount
        return count, count < limit


@dataclass(frozen=True, slots=True)
class TrackBlobs(Operation):
    """Begin, or end, to remember every large value that a commit names: it must not be swept away."""

    on: bool

    def apply(self, transaction: Transaction) -> None:
        transaction.track_blobs(self.on)


@dataclass(frozen=True, slots=True)
class SweepBlobs(Operation):
    """Delete large values that no row named, unless one does since they are tracked; forget the names of all."""

    unused: tuple[bytes, ...]
    used: tuple[bytes, ...] = ()

    @property
    def row_count(self) -> int:
        return len(self.unused) + len(self.used) // 10

    def apply(self, transaction: Transaction) -> None:
        names = [(name,) for name in self.unused if not transaction.has_blob_been_named(name)]
        transaction.execute_many("DELETE FROM blobs WHERE hash = ?", names)
        done = [(name,) for name in (*self.unused, *self.used)]
        transaction.execute_many("DELETE FROM pruning WHERE what = 'blob' AND name = ?", done)
        crash_point("prune.blobs.deleted")


@dataclass(frozen=True, slots=True)
class ForgetOutput(Operation):
    """The output folders of these runs are gone."""

    run_ids: tuple[str, ...]

    def apply(self, transaction: Transaction) -> None:
        names = [(name,) for name in self.run_ids]
        transaction.execute_many("DELETE FROM pruning WHERE what = 'output' AND name = ?", names)


@dataclass(frozen=True, slots=True)
class GiveBackPages(Operation):
    """Cut some free pages off the database's end; the result is how many are left."""

    @property
    def row_count(self) -> int:
        return SLICE_ROWS

    def apply(self, transaction: Transaction) -> int:
        # Each row of the answer is one page: a cursor that is not read to its end frees only the first.
        transaction.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE:d})").fetchall()
        crash_point("prune.pages.given_back")
        left: int = transaction.execute("PRAGMA freelist_count").fetchone()[0]
        return left


def note_pruning(transaction: Transaction, what: What, names: Iterable[int | str | bytes]) -> None:
    """Note what is left to be deleted."""
    rows = [(what, name) for name in names]
    transaction.execute_many("INSERT INTO pruning(what, name) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)


def remember_last_numbers(transaction: Transaction) -> None:
    """Keep the highest numbers of runs and lines ever given: their rows may go before what others know them by."""
    for key, table, column in (("last_run", "runs", "number"), ("last_line", "lines", "line")):
        transaction.execute(
            f"INSERT INTO meta(key, value) SELECT '{key}', CAST(coalesce(max({column}), 0) AS TEXT) FROM {table}"
            " WHERE 1"
            " ON CONFLICT(key) DO UPDATE SET value ="
            " CAST(max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER)) AS TEXT)"
        )


def split_names(packed: bytes) -> list[bytes]:
    """Hashes that stand one after the other."""
    return [packed[start : start + HASH_BYTES] for start in range(0, len(packed), HASH_BYTES)] if packed else []


# Reads ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunAge:
    """What decides whether a run may be pruned."""

    number: int
    id: str
    workflow: str
    status: str
    created_at: float
    ended_at: float | None


class PruningReads(Reader):
    """What pruning has to know; scans go in slices on the connection for long reads."""

    async def run_ages(self) -> list[RunAge]:
        """Every run, in the order in which they were started."""
        ages: list[RunAge] = []
        while True:
            rows = await self._scan(
                "SELECT number, id, workflow, status, created_at, ended_at FROM runs"
                " WHERE number > ? ORDER BY number LIMIT ?",
                (ages[-1].number if ages else 0, SCAN_ROWS),
            )
            ages += [RunAge(*row) for row in rows]
            if len(rows) < SCAN_ROWS:
                return ages

    async def forks(self) -> list[tuple[int, int]]:
        """(run, run that it needs) by their numbers: whose history it reads; or its subflow, and it goes on."""
        rows = await self._scan(
            "SELECT DISTINCT child.run, parent.run FROM lines AS child JOIN lines AS parent"
            " ON parent.line = child.parent_line WHERE child.parent_line IS NOT NULL AND child.run <> parent.run"
            " UNION SELECT parent.number, child.number FROM runs AS child JOIN runs AS parent"
            f" ON parent.number = child.parent_run WHERE parent.status NOT IN ({FINAL_WORDS})"
        )
        return [(row[0], row[1]) for row in rows]

    async def run_bytes(self, number: int, seen: set[bytes]) -> int:
        """About how many bytes a run takes; large values that are in `seen` don't count, others are put into it."""
        rows = await self._scan(
            "SELECT (SELECT coalesce(sum(length(delta) + length(own) + length(routing) + length(steps.blobs) + 80), 0)"
            " FROM steps JOIN lines USING (line) WHERE run = :run)"
            " + (SELECT coalesce(sum(length(state)), 0) FROM snapshots JOIN lines USING (line) WHERE run = :run)"
            " + (SELECT coalesce(sum(length(text) + 50), 0) FROM logs WHERE run = :run)"
            " + (SELECT coalesce(sum(length(request) + length(reply) + 300), 0) FROM calls WHERE run = :run)",
            {"run": number},  # type: ignore[arg-type]
        )
        packed = await self._scan(
            "SELECT blobs FROM steps JOIN lines USING (line) WHERE run = ? AND length(blobs) > 0", (number,)
        )
        names = {name for row in packed for name in split_names(row[0])} - seen
        seen |= names
        return int(rows[0][0]) + sum((await self._blob_sizes(list(names))).values())

    async def pruning(self, what: What, limit: int) -> list[int | str | bytes]:
        """Some of what is left to be deleted."""
        return [row[0] for row in await self._scan("SELECT name FROM pruning WHERE what = ? LIMIT ?", (what, limit))]

    async def anything_to_prune(self) -> bool:
        """True where a prune or an import did not come to its end."""
        return bool(await self._fetch("SELECT 1 FROM pruning LIMIT 1"))

    async def used_pages(self) -> tuple[int, int]:
        """(bytes of the database that hold something, bytes that are free in it)."""
        values = [(await self._scan(f"PRAGMA {name}"))[0][0] for name in ("page_size", "page_count", "freelist_count")]
        return values[0] * (values[1] - values[2]), values[0] * values[2]

    async def names_in_use(self, candidates: set[bytes]) -> set[bytes]:
        """Which of these large values a row names: whoever adds a table that names some adds it here.

        What is committed after the scan passed must be tracked (`TrackBlobs`).
        """
        used: set[bytes] = set()
        line, seq = -1, -1
        while True:
            rows = await self._scan(
                "SELECT line, seq, blobs FROM steps WHERE (line, seq) > (?, ?) ORDER BY line, seq LIMIT ?",
                (line, seq, SCAN_ROWS),
            )
            used |= candidates.intersection(name for row in rows for name in split_names(row[2]))
            if len(rows) < SCAN_ROWS:
                break
            line, seq = rows[-1][0], rows[-1][1]
        run = 0
        while rows := await self._scan(
            "SELECT run, blobs FROM inputs WHERE run > ? ORDER BY run LIMIT ?", (run, SCAN_ROWS)
        ):
            used |= candidates.intersection(name for row in rows for name in split_names(row[1]))
            run = rows[-1][0]
        version = ""
        while rows := await self._scan(
            "SELECT hash, files FROM versions WHERE hash > ? ORDER BY hash LIMIT 100", (version,)
        ):
            used |= await asyncio.to_thread(_named_files, [row[1] for row in rows], candidates)
            version = rows[-1][0]
        return used

    async def blob_slices(self, names: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        """Names of large values in groups whose deletion is quick."""
        sizes: dict[bytes, int] = {}
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            marks = ", ".join("?" * len(part))
            rows = await self._scan(f"SELECT hash, length(data) FROM blobs WHERE hash IN ({marks})", part)
            sizes |= {row[0]: row[1] for row in rows}
        slices: list[list[bytes]] = [[]]
        left = BLOB_BYTES_AT_ONCE
        for name in names:
            if slices[-1] and (left < sizes.get(name, 0) or len(slices[-1]) >= SLICE_ROWS):
                slices.append([])
                left = BLOB_BYTES_AT_ONCE
            slices[-1].append(name)
            left -= sizes.get(name, 0)
        return [tuple(some) for some in slices if some]

    async def bytes_on_disk(self) -> int:
        """Bytes of the database's file and its log."""
        return await asyncio.to_thread(_file_bytes, self._path)


def _named_files(texts: list[str], candidates: set[bytes]) -> set[bytes]:
    return candidates.intersection(bytes.fromhex(name) for text in texts for _, name in json.loads(text))


def _file_bytes(path: Path) -> int:
    total = 0
    for file in (path, Path(f"{path}-wal")):
        if file.exists():
            total += file.stat().st_size
    return total
