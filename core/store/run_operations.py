"""Operations on runs and their lines. A final status never changes; a run at rest goes on by a new line only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from core.errors import RunAtRest, StoreError, UnknownStep
from core.link.types import FINAL
from core.store.operation import UNSET, Number, Operation, Unset
from core.store.step_operations import keep_blob
from core.store.transaction import Transaction

FINAL_WORDS = ", ".join(f"'{status}'" for status in sorted(FINAL))

NEXT_RUN, NEXT_LINE = (
    f"(SELECT max(coalesce((SELECT max({column}) FROM {table}), 0), coalesce("
    f"(SELECT CAST(value AS INTEGER) FROM meta WHERE key = '{key}'), 0)) + 1)"
    for table, column, key in (("runs", "number", "last_run"), ("lines", "line", "last_line"))
)
"""The number of the next row: none is given twice, also where the last one was pruned."""


class LargeInputs(NamedTuple):
    """Inputs as a delta from nothing: the size of their JSON text, operations, large values as (hash, data)."""

    size: int
    operations: bytes
    blobs: tuple[tuple[bytes, bytes], ...]


class NewRun(NamedTuple):
    """The numbers of a run and of its first line."""

    run: int
    line: int


class ParentVisit(NamedTuple):
    """The visit of another run that a subflow's run belongs to; `run` is that run's number."""

    run: int
    node: str
    visit: int


NO_PARENT = (None, None, None)


@dataclass(frozen=True, slots=True)
class InsertRun(Operation):
    """A new run with its first line; the result is `NewRun`. `inputs` and `presets` are JSON texts.

    Inputs that are large, or are those of the run `inputs_of`, stand apart, and `inputs` is empty.

    With `parent_line` and `parent_seq` the run is a fork: its history begins with that line's up to that step.
    """

    references: ClassVar[tuple[str, ...]] = ("parent_line",)

    id: str
    workflow: str
    version: str
    status: str
    until: str
    source: str
    inputs: str
    presets: str
    priority: int
    created_at: float
    parent_line: Number | None = None
    parent_seq: int | None = None
    large_inputs: LargeInputs | None = None
    inputs_of: int | None = None
    parent: ParentVisit | None = None
    replay: str = ""
    pause_reason: str = ""

    def apply(self, transaction: Transaction) -> NewRun:
        try:
            run = transaction.execute(
                "INSERT INTO runs(number, id, reversed_id, workflow, version, status, until, source, inputs, presets,"
                " priority, created_at, parent_run, parent_node, parent_visit, replay, pause_reason)"
                f" VALUES ({NEXT_RUN}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.id,
                    self.id[::-1],
                    self.workflow,
                    self.version,
                    self.status,
                    self.until,
                    self.source,
                    self.inputs,
                    self.presets,
                    self.priority,
                    self.created_at,
                    *(self.parent or NO_PARENT),
                    self.replay,
                    self.pause_reason,
                ),
            ).lastrowid
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"There is a run with the id {self.id} already.",
                cause="Ids of runs are given once.",
                next_step="Start the run with another id, or without one.",
            ) from error
        self._keep_large_inputs(transaction, run or 0)
        first = InsertLine(run or 0, self.parent_line, self.parent_seq, self.version, self.status, self.created_at)
        return NewRun(run or 0, first.apply(transaction))

    def _keep_large_inputs(self, transaction: Transaction, run: int) -> None:
        if self.large_inputs is not None:
            size, operations, blobs = self.large_inputs
            for name, data in blobs:
                keep_blob(transaction, name, data)
            names = b"".join(name for name, _ in blobs)
            transaction.execute("INSERT INTO inputs VALUES (?, ?, ?, ?)", (run, size, operations, names))
        elif self.inputs_of is not None:
            transaction.execute(
                "INSERT INTO inputs SELECT ?, size, operations, blobs FROM inputs WHERE run = ?", (run, self.inputs_of)
            )


@dataclass(frozen=True, slots=True)
class InsertLine(Operation):
    """A new line of a run, which becomes its present one; the result is the line's number.

    This is how a run goes on from an earlier step, and the only way on from a final status: the run takes the new
    line's status, and its end and error are forgotten. Raises UnknownStep where the parent has no such step.
    """

    references: ClassVar[tuple[str, ...]] = ("run", "parent_line")

    run: Number
    parent_line: Number | None
    parent_seq: int | None
    version: str
    status: str
    created_at: float

    def apply(self, transaction: Transaction) -> int:
        self._check_parent(transaction)
        line = transaction.execute(
            "INSERT INTO lines(line, run, parent_line, parent_seq, version, status, created_at)"
            f" VALUES ({NEXT_LINE}, ?, ?, ?, ?, ?, ?)",
            (self.run, self.parent_line, self.parent_seq, self.version, self.status, self.created_at),
        ).lastrowid
        transaction.execute(
            "UPDATE runs SET line = ?, version = ?, status = ?, ended_at = NULL, error = NULL WHERE number = ?",
            (line, self.version, self.status, self.run),
        )
        return line or 0

    def _check_parent(self, transaction: Transaction) -> None:
        if self.parent_line is None and self.parent_seq is None:
            return
        following = None
        # The steps of a line that was pruned may still be there.
        there = "SELECT 1 FROM lines WHERE line = ?"
        if self.parent_seq is not None and transaction.execute(there, (self.parent_line,)).fetchone() is not None:
            following = transaction.next_seq(cast(int, self.parent_line))
        if following is None or self.parent_seq is None or not 0 <= self.parent_seq < following:
            raise UnknownStep(
                f"Line {self.parent_line} has no step {self.parent_seq} to go on from.",
                cause=f"Its steps go up to {(following or 0) - 1}.",
                next_step="Choose a step that the run has: rondo show RUN",
            )


@dataclass(frozen=True, slots=True)
class UpdateRun(Operation):
    """Set columns of a run. Raises RunAtRest where it sets the status of a run that has a final one."""

    columns: ClassVar[tuple[str, ...]] = (
        "status",
        "until",
        "started_at",
        "ended_at",
        "node",
        "error",
        "epoch",
        "pid",
        "pid_started",
        "logs_dropped",
        "line",
        "presets",
        "pause_reason",
    )
    references: ClassVar[tuple[str, ...]] = ("number", "line")

    number: Number
    status: str | Unset = UNSET
    until: str | Unset = UNSET
    started_at: float | Unset | None = UNSET
    ended_at: float | Unset | None = UNSET
    node: str | Unset | None = UNSET
    error: str | Unset | None = UNSET
    epoch: int | Unset = UNSET
    pid: int | Unset | None = UNSET
    pid_started: int | Unset | None = UNSET
    logs_dropped: int | Unset = UNSET
    line: Number | Unset = UNSET
    presets: str | Unset = UNSET
    pause_reason: str | Unset = UNSET

    def apply(self, transaction: Transaction) -> None:
        _update(transaction, "runs", "number", self.number, self.changes(self.columns))


@dataclass(frozen=True, slots=True)
class UpdateLine(Operation):
    """Set columns of a line. Raises RunAtRest where it sets the status of a line that has a final one."""

    columns: ClassVar[tuple[str, ...]] = ("status", "ended_at", "error")
    references: ClassVar[tuple[str, ...]] = ("line",)

    line: Number
    status: str | Unset = UNSET
    ended_at: float | Unset | None = UNSET
    error: str | Unset | None = UNSET

    def apply(self, transaction: Transaction) -> None:
        _update(transaction, "lines", "line", self.line, self.changes(self.columns))


def _update(transaction: Transaction, table: str, key: str, number: Number, values: dict[str, Any]) -> None:
    """Set columns of a row; the names come from the operations' own lists, never from outside."""
    if not values:
        return
    condition = f"{key} = ?"
    if "status" in values:
        condition += f" AND status NOT IN ({FINAL_WORDS})"
    assignments = ", ".join(f"{name} = ?" for name in values)
    cursor = transaction.execute(f"UPDATE {table} SET {assignments} WHERE {condition}", (*values.values(), number))
    if cursor.rowcount == 1:
        return
    found = transaction.execute(f"SELECT status FROM {table} WHERE {key} = ?", (number,)).fetchone()
    if found is None:
        raise StoreError(
            f"There is no row {number} in {table}.",
            cause="It was never stored.",
            next_step="Report it: Rondo should not have tried.",
        )
    raise RunAtRest(
        f"The run is {found[0]}.",
        cause=f"That is final; it can't become {values['status']}.",
        next_step="Start the workflow again, or go on from an earlier step.",
    )
