"""Operations on what people and programs say: requests, answers and commands."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from core.errors import AlreadyAnswered, RepeatedCommand, RondoError, StoreError, UnknownRequest
from core.store.operation import UNSET, Number, Operation, Unset
from core.store.transaction import Transaction

RequestStatus = Literal["open", "answered", "stale", "withdrawn"]


@dataclass(frozen=True, slots=True)
class InsertRequest(Operation):
    """A new request; the result is its number. `options` and `answer` are JSON texts.

    Raises StoreError where the same question of the same visit is open or answered already.
    """

    references: ClassVar[tuple[str, ...]] = ("line", "run")

    line: Number
    run: Number
    node: str
    visit: int
    request_id: str
    nth: int
    kind: str
    hash: str
    input_type: str
    prompt: str | None
    options: str
    opened_at: float
    status: RequestStatus = "open"
    answered_at: float | None = None
    answered_by: str | None = None
    answer: str | None = None
    problem: str = ""
    due_at: float | None = None

    def apply(self, transaction: Transaction) -> int:
        try:
            cursor = transaction.execute(
                "INSERT INTO requests(line, run, node, visit, request_id, nth, kind, hash, input_type, prompt, options,"
                " opened_at, status, answered_at, answered_by, answer, problem, due_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.line,
                    self.run,
                    self.node,
                    self.visit,
                    self.request_id,
                    self.nth,
                    self.kind,
                    self.hash,
                    self.input_type,
                    self.prompt,
                    self.options,
                    self.opened_at,
                    self.status,
                    self.answered_at,
                    self.answered_by,
                    self.answer,
                    self.problem,
                    self.due_at,
                ),
            )
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise StoreError(
                f"The request {self.node}:{self.visit}:{self.request_id}:{self.nth} is there already.",
                cause="One question of one visit is asked once; mark the old one stale before it is asked anew.",
                next_step="Nothing of it was kept. Report it: Rondo should not have tried.",
            ) from error
        return cursor.lastrowid or 0


@dataclass(frozen=True, slots=True)
class MarkRequest(Operation):
    """Give a request another status, and say what was wrong with an answer.

    A request becomes answered by `AnswerRequest` only, and none is opened again: both raise StoreError.
    """

    references: ClassVar[tuple[str, ...]] = ("number",)

    number: Number
    status: RequestStatus
    problem: str | Unset = UNSET

    def apply(self, transaction: Transaction) -> None:
        values = {"status": self.status, **self.changes(("problem",))}
        assignments = ", ".join(f"{name} = ?" for name in values)
        # The first durable answer wins, so there is no way back to open and no second way to answered.
        condition = "status = ?" if self.status in ("open", "answered") else "? IS NOT NULL"
        cursor = transaction.execute(
            f"UPDATE requests SET {assignments} WHERE number = ? AND {condition}",
            (*values.values(), self.number, self.status),
        )
        if cursor.rowcount != 1:
            raise StoreError(
                f"Request {self.number} can't be made {self.status}.",
                cause="It is in another status, or was never stored.",
                next_step="Nothing of it was kept. Report it: Rondo should not have tried.",
            )


@dataclass(frozen=True, slots=True)
class AnswerRequest(Operation):
    """Answer an open request; `answer` is a JSON text, `by` says who.

    Raises AlreadyAnswered with who, when and what, or UnknownRequest where it was withdrawn or never there.
    """

    references: ClassVar[tuple[str, ...]] = ("number",)

    number: Number
    answer: str
    by: str
    at: float

    def apply(self, transaction: Transaction) -> None:
        cursor = transaction.execute(
            "UPDATE requests SET status = 'answered', answer = ?, answered_by = ?, answered_at = ?, problem = ''"
            " WHERE number = ? AND status = 'open'",
            (self.answer, self.by, self.at, self.number),
        )
        if cursor.rowcount != 1:
            raise self._refusal(transaction)

    def _refusal(self, transaction: Transaction) -> RondoError:
        row = transaction.execute(
            "SELECT request_id, status, answered_by, answered_at, answer FROM requests WHERE number = ?", (self.number,)
        ).fetchone()
        if row is None or row[1] == "withdrawn":
            return UnknownRequest(
                f"The request {row[0]} is not open any more." if row else f"There is no request {self.number}.",
                cause="The run went on or ended without it." if row else "It was never stored.",
                next_step="See what waits: rondo show RUN",
            )
        request_id, _, by, at, answer = row
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at is not None else "an unknown time"
        return AlreadyAnswered(
            f"{request_id} was answered before.",
            cause=f"Answered by {by} at {when} with {answer}; the first answer stands.",
            next_step="See the run: rondo show RUN",
            details={"answered_by": by, "answered_at": at, "answer": json.loads(answer or "null")},
        )


@dataclass(frozen=True, slots=True)
class WithdrawRequests(Operation):
    """Close every open request of a line, or of a node there, because nobody needs the answers.

    The result is their numbers.
    """

    references: ClassVar[tuple[str, ...]] = ("line",)

    line: Number
    at: float
    node: str | None = None

    def apply(self, transaction: Transaction) -> list[int]:
        rows = transaction.execute(
            "UPDATE requests SET status = 'withdrawn', answered_at = ?"
            " WHERE status = 'open' AND run = (SELECT run FROM lines WHERE line = ?) AND line = ?"
            " AND node = coalesce(?, node) RETURNING number",
            (self.at, self.line, self.line, self.node),
        ).fetchall()
        return sorted(row[0] for row in rows)


@dataclass(frozen=True, slots=True)
class RecordCommand(Operation):
    """Keep who did what, once: raises RepeatedCommand with the recorded result where the id is known."""

    id: str
    at: float
    source: str
    method: str
    run: str | None
    arguments: str
    result: str | None = None

    def apply(self, transaction: Transaction) -> None:
        cursor = transaction.execute(
            "INSERT INTO commands(id, at, source, method, run, arguments, result) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT(id) DO NOTHING",
            (self.id, self.at, self.source, self.method, self.run, self.arguments, self.result),
        )
        if cursor.rowcount != 1:
            known = transaction.execute("SELECT result FROM commands WHERE id = ?", (self.id,)).fetchone()
            raise RepeatedCommand(known[0])
