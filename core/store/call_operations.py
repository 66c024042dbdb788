"""Operations on calls of models, tools and addresses."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar, Literal

from core.store.operation import Number, Operation
from core.store.transaction import Transaction

CallStatus = Literal["running", "done", "failed", "replayed", "recorded"]

RUN_TREE = (
    "WITH RECURSIVE tree(number) AS (SELECT :source UNION ALL"
    " SELECT runs.number FROM runs JOIN tree ON runs.parent_run = tree.number) SELECT number FROM tree"
)
"""The numbers of a run and of all that are nested in it."""

INSERT = (
    "INSERT INTO calls(kind, status, key, nth, hash, run, line, node, visit, chat, model, role, title, started_at,"
    " ended_at, input_tokens, output_tokens, cache_read_tokens, cost, request, reply, error, crc, spent)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def call_crc(request: bytes, reply: bytes) -> int:
    """The check over what was asked and answered, as both are stored."""
    return zlib.crc32(reply, zlib.crc32(request))


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a call used, in tokens; `cost` in US dollars, None where it is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float | None = None


NOTHING_USED = CallCost()


@dataclass(frozen=True, slots=True)
class InsertCall(Operation):
    """A new call; the result is its number. `request` and `reply` are deflated JSON."""

    references: ClassVar[tuple[str, ...]] = ("run", "line")

    kind: str
    status: CallStatus
    key: str
    nth: int
    hash: str
    started_at: float
    request: bytes
    run: Number | None = None
    line: Number | None = None
    node: str = ""
    visit: int = 0
    chat: str | None = None
    model: str = ""
    role: str = ""
    title: str = ""
    ended_at: float | None = None
    used: CallCost = NOTHING_USED
    reply: bytes = b""
    error: str | None = None
    spent: int = 0

    def apply(self, transaction: Transaction) -> int:
        used = self.used
        facts = (self.kind, self.status, self.key, self.nth, self.hash, self.run, self.line, self.node, self.visit)
        names = (self.chat, self.model, self.role, self.title, self.started_at, self.ended_at)
        tokens = (used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cost)
        crc = call_crc(self.request, self.reply)
        content = (self.request, self.reply, self.error, crc, self.spent)
        return transaction.execute(INSERT, (*facts, *names, *tokens, *content)).lastrowid or 0


@dataclass(frozen=True, slots=True)
class FinishCall(Operation):
    """A running call has come to its end: `done` with a reply, or `failed` with an error document."""

    number: int
    status: CallStatus
    ended_at: float
    request: bytes
    """The request as it was stored: the check is over both."""
    reply: bytes = b""
    used: CallCost = NOTHING_USED
    model: str = ""
    error: str | None = None

    def apply(self, transaction: Transaction) -> None:
        used = self.used
        transaction.execute(
            "UPDATE calls SET status = ?, ended_at = ?, reply = ?, input_tokens = ?, output_tokens = ?,"
            " cache_read_tokens = ?, cost = ?, model = CASE ? WHEN '' THEN model ELSE ? END, error = ?, crc = ?"
            " WHERE number = ?",
            (
                self.status,
                self.ended_at,
                self.reply,
                used.input_tokens,
                used.output_tokens,
                used.cache_read_tokens,
                used.cost,
                self.model,
                self.model,
                self.error,
                call_crc(self.request, self.reply),
                self.number,
            ),
        )


@dataclass(frozen=True, slots=True)
class SpendCalls(Operation):
    """What was recorded of a run under this key is not given again: the try that had it failed."""

    run: int
    key: str

    def apply(self, transaction: Transaction) -> None:
        transaction.execute(
            "UPDATE calls SET spent = 1 WHERE key = ? AND run = ? AND status IN ('done', 'replayed')",
            (self.key, self.run),
        )


@dataclass(frozen=True, slots=True)
class SpendCall(Operation):
    """One recorded call was given to a line of a replayed run: the next call like it there gets the next."""

    number: int
    line: int

    def apply(self, transaction: Transaction) -> None:
        transaction.execute("UPDATE calls SET spent = ? WHERE number = ?", (self.line, self.number))


@dataclass(frozen=True, slots=True)
class InterruptCalls(Operation):
    """Calls that an engine left running have ended with it; the result is how many."""

    at: float
    error: str

    def apply(self, transaction: Transaction) -> int:
        return transaction.execute(
            "UPDATE calls SET status = 'failed', ended_at = ?, error = ? WHERE status = 'running'",
            (self.at, self.error),
        ).rowcount


@dataclass(frozen=True, slots=True)
class CopyRecording(Operation):
    """Give a new run what another run's calls came to, with those of its subflows, to be answered from there.

    With `inherited` it is given what that run is answered from itself: it is a subflow of that run.
    """

    references: ClassVar[tuple[str, ...]] = ("to",)

    source: int
    to: Number
    left_out: str = ""
    """Failed calls whose error has this type are no part of a recording: nobody knows what they came to."""
    inherited: bool = False

    def apply(self, transaction: Transaction) -> int:
        wanted = (
            "run = :source AND status = 'recorded'"
            if self.inherited
            else f"run IN ({RUN_TREE}) AND status IN ('done', 'replayed', 'failed')"
            " AND coalesce(json_extract(error, '$.type'), '') <> :left_out"
        )
        return transaction.execute(
            "INSERT INTO calls(kind, status, key, nth, hash, run, line, node, visit, model, role, title, started_at,"
            " ended_at, input_tokens, output_tokens, cache_read_tokens, cost, request, reply, error, crc)"
            " SELECT kind, 'recorded', '', nth, hash, :target, NULL, node, visit, model, role, title, started_at,"
            " ended_at, input_tokens, output_tokens, cache_read_tokens, cost, request, reply, error, crc FROM calls"
            f" WHERE {wanted} ORDER BY number",
            {"source": self.source, "target": self.to, "left_out": self.left_out},  # type: ignore[arg-type]
        ).rowcount
