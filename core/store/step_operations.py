"""Operations on what a line leaves behind: steps, failed attempts, snapshots, log lines and versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar, cast
from zlib import crc32

from core.errors import StoreError
from core.store.operation import Number, Operation
from core.store.transaction import Transaction

HASH_BYTES = 32
REPORT = "Nothing of it was kept. Report it: Rondo should not have tried."

LogLineRow = tuple[int, Number, float, int, str, str, int, int, str]
"""(row, line, at, level, stream, node, visit, attempt, text)"""


def blob_hash(data: bytes) -> bytes:
    """The name of a value: its 32-byte BLAKE2b."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class InsertStep(Operation):
    """A completed visit, in order: a gap or a repeat of `seq` raises StoreError.

    `blobs` are the delta's large values as (hash, data); data None means that the value is stored already. `own` are
    operations too: what a node of a dag changed itself, where the delta is another.
    `on_durable` is called on the writer's thread as soon as the step is durable, before anybody else hears of it;
    `on_delivered` on the event loop, before the future of the commit is done.
    """

    references: ClassVar[tuple[str, ...]] = ("line",)

    line: Number
    seq: int
    node: str
    visit: int
    attempt: int
    next: str | None
    routing: str
    started_at: float
    ended_at: float
    changed: int
    delta: bytes
    blobs: tuple[tuple[bytes, bytes | None], ...] = ()
    on_durable: Callable[[], None] | None = None
    own: bytes = b""
    on_delivered: Callable[[], None] | None = None

    def apply(self, transaction: Transaction) -> None:
        line = cast(int, self.line)
        expected = transaction.next_seq(line)
        if expected != self.seq:
            raise self._refusal(expected)
        for name, data in self.blobs:
            keep_blob(transaction, name, data)
        transaction.pile(
            "steps",
            [
                (
                    line,
                    self.seq,
                    self.node,
                    self.visit,
                    self.attempt,
                    self.next,
                    self.routing,
                    self.started_at,
                    self.ended_at,
                    self.changed,
                    self.delta,
                    b"".join(name for name, _ in self.blobs),
                    crc32(self.own, crc32(self.delta)),
                    self.own,
                )
            ],
        )
        transaction.has_steps_up_to(line, self.seq)

    def _refusal(self, expected: int | None) -> StoreError:
        if expected is None:
            return StoreError(f"There is no line {self.line}.", cause="It was never stored.", next_step=REPORT)
        return StoreError(
            f"Step {self.seq} can't follow step {expected - 1} of line {self.line}.",
            cause="It is there already." if self.seq < expected else f"Step {expected} is missing.",
            next_step=REPORT,
        )


def keep_blob(transaction: Transaction, name: bytes, data: bytes | None) -> None:
    """Store a value once; without data it must be there. Raises StoreError."""
    transaction.name_blobs((name,))
    if data is None:
        if transaction.execute("SELECT 1 FROM blobs WHERE hash = ?", (name,)).fetchone() is None:
            raise StoreError(
                f"The value {name.hex()[:12]} is named but not stored.",
                cause="It was to be there from an earlier step.",
                next_step=REPORT,
            )
        return
    # Values are shared by all runs, so a wrong name would spoil the state of others.
    if blob_hash(data) != name:
        raise StoreError(
            f"The value {name.hex()[:12]} has another content than its name says.",
            cause="The hash of the bytes is another.",
            next_step=REPORT,
        )
    transaction.execute("INSERT INTO blobs(hash, data) VALUES (?, ?) ON CONFLICT(hash) DO NOTHING", (name, data))


@dataclass(frozen=True, slots=True)
class InsertAttempt(Operation):
    """A failed attempt; `before_seq` is the number that its step would have got, `error` a JSON text."""

    references: ClassVar[tuple[str, ...]] = ("line",)

    line: Number
    before_seq: int
    node: str
    visit: int
    attempt: int
    started_at: float
    ended_at: float
    error: str

    def apply(self, transaction: Transaction) -> None:
        transaction.pile(
            "attempts",
            [
                (
                    self.line,
                    self.before_seq,
                    self.node,
                    self.visit,
                    self.attempt,
                    self.started_at,
                    self.ended_at,
                    self.error,
                )
            ],
        )


@dataclass(frozen=True, slots=True)
class InsertSnapshot(Operation):
    """The whole state's JSON text after step `seq`."""

    references: ClassVar[tuple[str, ...]] = ("line",)

    line: Number
    seq: int
    state: bytes

    def apply(self, transaction: Transaction) -> None:
        following = transaction.next_seq(cast(int, self.line))
        if following is None or not 0 <= self.seq < following:
            raise StoreError(
                f"A snapshot of step {self.seq} doesn't fit line {self.line}.",
                cause="The line has no such step.",
                next_step=REPORT,
            )
        transaction.pile("snapshots", [(self.line, self.seq, self.state, crc32(self.state))])


@dataclass(frozen=True, slots=True)
class InsertLogs(Operation):
    """Lines of a run's log, each (row, line, at, level, stream, node, visit, attempt, text)."""

    references: ClassVar[tuple[str, ...]] = ("run",)

    run: Number
    rows: Sequence[LogLineRow]

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def apply(self, transaction: Transaction) -> None:
        transaction.pile("logs", [(self.run, *row) for row in self.rows])


@dataclass(frozen=True, slots=True)
class PutVersion(Operation):
    """Keep a version of a workflow: its graph as JSON text and its files. Putting it again changes nothing.

    One that is put as `imported` is no longer that once it is put otherwise: it was seen in a folder here.
    """

    hash: str
    workflow: str
    graph: str
    files: Mapping[str, bytes]
    created_at: float
    imported: bool = False

    def apply(self, transaction: Transaction) -> None:
        known = transaction.execute("SELECT imported FROM versions WHERE hash = ?", (self.hash,)).fetchone()
        if known is not None:
            if known[0] and not self.imported:
                transaction.execute("UPDATE versions SET imported = 0 WHERE hash = ?", (self.hash,))
            return
        named = [(path, blob_hash(data), data) for path, data in sorted(self.files.items())]
        transaction.name_blobs(name for _, name, _ in named)
        transaction.execute_many(
            "INSERT INTO blobs(hash, data) VALUES (?, ?) ON CONFLICT(hash) DO NOTHING",
            [(name, data) for _, name, data in named],
        )
        files = json.dumps([[path, name.hex()] for path, name, _ in named], ensure_ascii=False)
        transaction.execute(
            "INSERT INTO versions(hash, workflow, graph, files, created_at, imported) VALUES (?, ?, ?, ?, ?, ?)",
            (self.hash, self.workflow, self.graph, files, self.created_at, self.imported),
        )
