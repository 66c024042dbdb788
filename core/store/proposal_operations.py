"""Operations on proposals and on the journal of applied changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

from core.errors import StoreError
from core.store.operation import UNSET, Number, Operation, Unset
from core.store.records import BegunChange
from core.store.transaction import Transaction

REPORT = "Nothing of it was kept. Report it: Rondo should not have tried."


@dataclass(frozen=True, slots=True)
class InsertProposal(Operation):
    """A new proposal; the result is its number, which counts the proposals of its workflow from 1."""

    id: str
    chat: str
    workflow: str
    status: str
    base: str | None
    at: float
    content: bytes

    def apply(self, transaction: Transaction) -> int:
        row = transaction.execute(
            "INSERT INTO proposals(id, number, chat, workflow, status, base, created_at, content, crc)"
            " VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM proposals WHERE workflow = ?), ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING number",
            (
                self.id,
                self.workflow,
                self.chat,
                self.workflow,
                self.status,
                self.base,
                self.at,
                self.content,
                crc32(self.content),
            ),
        ).fetchone()
        number: int = row[0]
        return number


@dataclass(frozen=True, slots=True)
class UpdateProposal(Operation):
    """Change a proposal that is in one of the statuses `expected`; raises StoreError where it is in another."""

    id: str
    expected: tuple[str, ...]
    status: str
    decided_at: float | Unset | None = UNSET
    content: bytes | Unset = UNSET
    base: str | Unset | None = UNSET

    def apply(self, transaction: Transaction) -> None:
        values = {"status": self.status, **self.changes(("decided_at", "content", "base"))}
        if not isinstance(self.content, Unset):
            values["crc"] = crc32(self.content)
        assignments = ", ".join(f"{name} = ?" for name in values)
        marks = ", ".join("?" * len(self.expected))
        cursor = transaction.execute(
            f"UPDATE proposals SET {assignments} WHERE id = ? AND status IN ({marks})",
            (*values.values(), self.id, *self.expected),
        )
        if cursor.rowcount != 1:
            raise StoreError(
                f"The proposal {self.id} can't be made {self.status}.",
                cause="It was decided meanwhile, or is gone.",
                next_step=REPORT,
            )


@dataclass(frozen=True, slots=True)
class InsertEdit(Operation):
    """An applied change of a workflow's files; the result is its number.

    `content` holds the files that it changed, before and after. With `undoes` the edit of that number is marked.
    """

    references: ClassVar[tuple[str, ...]] = ("undoes",)

    workflow: str
    at: float
    author: str
    title: str
    before: str | None
    after: str | None
    content: bytes
    chat: str | None = None
    proposal: str | None = None
    undoes: Number | None = None

    def apply(self, transaction: Transaction) -> int:
        number = (
            transaction.execute(
                "INSERT INTO edits(workflow, at, author, title, before, after, chat, proposal, undoes, content, crc)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.workflow,
                    self.at,
                    self.author,
                    self.title,
                    self.before,
                    self.after,
                    self.chat,
                    self.proposal,
                    self.undoes,
                    self.content,
                    crc32(self.content),
                ),
            ).lastrowid
            or 0
        )
        if self.undoes is not None:
            transaction.execute("UPDATE edits SET undone_by = ? WHERE number = ?", (number, self.undoes))
        return number


@dataclass(frozen=True, slots=True)
class BeginChange(Operation):
    """A workflow's files are about to be changed by a command, into this version."""

    change: BegunChange

    def apply(self, transaction: Transaction) -> None:
        begun = self.change
        transaction.execute(
            "INSERT OR REPLACE INTO changing(workflow, version, command, method, arguments) VALUES (?, ?, ?, ?, ?)",
            (begun.workflow, begun.version, begun.command, begun.method, begun.arguments),
        )


@dataclass(frozen=True, slots=True)
class EndChange(Operation):
    """The change of a workflow's files is noted, or did not come about."""

    workflow: str

    def apply(self, transaction: Transaction) -> None:
        transaction.execute("DELETE FROM changing WHERE workflow = ?", (self.workflow,))
