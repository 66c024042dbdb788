"""What an imported run adds to the store, in slices, and what an exported one needs of it.

The rows of an import come under numbers that no run has yet, noted in the table `pruning`: should the import not come
to its end, they are deleted like those of a pruned run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

from core.crash_points import crash_point
from core.store.line_reads import LineReads, _with_few_blobs, checked, split_names
from core.store.operation import Operation
from core.store.pruning import note_pruning, remember_last_numbers
from core.store.records import StepRow
from core.store.run_operations import NEXT_LINE, NEXT_RUN, LargeInputs
from core.store.step_operations import blob_hash, keep_blob
from core.store.transaction import Transaction

STEPS_AT_ONCE = 200


class Reserved(NamedTuple):
    """Numbers that nothing else gets: of a run and of its first line, the others follow."""

    run: int
    first_line: int


@dataclass(frozen=True, slots=True)
class ReserveRun(Operation):
    """Reserve the numbers of a run and its lines; the result is `Reserved`."""

    lines: int

    def apply(self, transaction: Transaction) -> Reserved:
        run, first = transaction.execute(f"SELECT {NEXT_RUN}, {NEXT_LINE}").fetchone()
        remember_last_numbers(transaction)
        for key, value in (("last_run", run), ("last_line", first + self.lines - 1)):
            transaction.execute("UPDATE meta SET value = ? WHERE key = ?", (str(value), key))
        note_pruning(transaction, "run", [run])
        note_pruning(transaction, "line", range(first, first + self.lines))
        return Reserved(run, first)


@dataclass(frozen=True, slots=True)
class ImportStep(Operation):
    """A step of a reserved line; the first columns are those of `StepRow`. `values` are the delta's large ones."""

    row: StepRow
    delta: bytes
    values: tuple[bytes, ...]
    own: bytes
    snapshot: bytes | None

    @property
    def row_count(self) -> int:
        return 1 + len(self.values)

    def apply(self, transaction: Transaction) -> None:
        row, names = self.row, [blob_hash(value) for value in self.values]
        for name, value in zip(names, self.values, strict=True):
            keep_blob(transaction, name, value)
        crc = crc32(self.own, crc32(self.delta))
        facts = (row.line, row.seq, row.node, row.visit, row.attempt, row.next, row.routing)
        content = (self.delta, b"".join(names), crc, self.own)
        transaction.pile("steps", [(*facts, row.started_at, row.ended_at, row.changed, *content)])
        if self.snapshot is not None:
            transaction.pile("snapshots", [(row.line, row.seq, self.snapshot, crc32(self.snapshot))])


@dataclass(frozen=True, slots=True)
class FinishImport(Operation):
    """Make the reserved run a run.

    `lines`, `attempts` and `requests` are rows in the order of the columns below.
    """

    reserved: Reserved
    id: str
    run: dict[str, Any]
    inputs: LargeInputs | None
    lines: tuple[tuple[Any, ...], ...]
    attempts: tuple[tuple[Any, ...], ...]
    requests: tuple[tuple[Any, ...], ...]

    @property
    def row_count(self) -> int:
        return 2 + len(self.lines) + len(self.attempts) + len(self.requests)

    def apply(self, transaction: Transaction) -> None:
        number, first = self.reserved
        columns = {"number": number, "id": self.id, "reversed_id": self.id[::-1], **self.run}
        marks = ", ".join("?" * len(columns))
        transaction.execute(f"INSERT INTO runs({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))
        transaction.execute_many(
            "INSERT INTO lines(line, run, parent_line, parent_seq, version, status, created_at, ended_at, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self.lines,
        )
        transaction.pile("attempts", self.attempts)
        transaction.execute_many(
            "INSERT INTO requests(line, run, node, visit, request_id, nth, kind, hash, input_type, prompt, options,"
            " status, opened_at, answered_at, answered_by, answer, problem, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self.requests,
        )
        if self.inputs is not None:
            size, operations, blobs = self.inputs
            for name, data in blobs:
                keep_blob(transaction, name, data)
            names = b"".join(name for name, _ in blobs)
            transaction.execute("INSERT INTO inputs VALUES (?, ?, ?, ?)", (number, size, operations, names))
        last = first + len(self.lines) - 1
        transaction.execute("DELETE FROM pruning WHERE what = 'run' AND name = ?", (number,))
        transaction.execute("DELETE FROM pruning WHERE what = 'line' AND name BETWEEN ? AND ?", (first, last))
        crash_point("import.finished")


class WholeStep(NamedTuple):
    """A step with all that it changed."""

    row: StepRow
    delta: bytes
    values: list[bytes]
    own: bytes


class TransferReads(LineReads):
    """Reading a line's history whole, in slices."""

    async def whole_steps(self, line: int, first: int, last: int) -> AsyncIterator[list[WholeStep]]:
        """The steps `first` to `last` of a line's history with all they changed. Raises DatabaseDamaged."""
        while first <= last:
            rows = await self.steps(line, first - 1, min(STEPS_AT_ONCE, last - first + 1))
            if not rows:
                raise await self.unknown_step(line, first)
            deltas = await self._delta_rows(line, rows[0].seq, rows[-1].seq)
            by_seq = {row.seq: row for row in rows}
            for some in _with_few_blobs(deltas):
                blobs = await self._blobs([name for row in some for name in split_names(row[3])])
                yield [
                    WholeStep(by_seq[seq], delta, [blobs[name] for name in split_names(names)], own)
                    for _, seq, delta, names, _, own in map(checked, some)
                ]
            first = rows[-1].seq + 1
