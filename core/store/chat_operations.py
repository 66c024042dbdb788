"""Operations on conversations and their entries. A chat's revision rises with every change of its entries."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from zlib import crc32

from core.errors import StoreError
from core.store.call_operations import call_crc
from core.store.operation import UNSET, Operation, Unset
from core.store.transaction import Transaction

REPORT = "Nothing of it was kept. Report it: Rondo should not have tried."

FORGOTTEN = zlib.compress(b"null")
"""In the place of what was said in calls of a conversation that was deleted."""

NEXT_REVISION = "(SELECT coalesce(max(revision), 0) + 1 FROM entries WHERE chat = ?)"


@dataclass(frozen=True, slots=True)
class InsertChat(Operation):
    """A new conversation, about a workflow or about none yet."""

    id: str
    workflow: str | None
    title: str
    mode: str
    at: float

    def apply(self, transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO chats(id, workflow, title, mode, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            (self.id, self.workflow, self.title, self.mode, self.at, self.at),
        )


@dataclass(frozen=True, slots=True)
class UpdateChat(Operation):
    """Change what a chat is; `busy` says that a turn goes on.

    Raises StoreError where the chat is gone.
    """

    id: str
    at: float
    workflow: str | Unset | None = UNSET
    title: str | Unset = UNSET
    mode: str | Unset = UNSET
    busy: bool | Unset = UNSET
    tainted: bool | Unset = UNSET
    tries: bool | Unset = UNSET

    def apply(self, transaction: Transaction) -> None:
        values = {"updated_at": self.at, **self.changes(("workflow", "title", "mode", "busy", "tainted", "tries"))}
        assignments = ", ".join(f"{name} = ?" for name in values)
        cursor = transaction.execute(f"UPDATE chats SET {assignments} WHERE id = ?", (*values.values(), self.id))
        if cursor.rowcount != 1:
            raise _chat_gone(self.id)


@dataclass(frozen=True, slots=True)
class PutMemory(Operation):
    """Keep what the assistant remembers of a conversation, in place of what it kept before."""

    chat: str
    content: bytes

    def apply(self, transaction: Transaction) -> None:
        cursor = transaction.execute(
            "INSERT INTO memories(chat, content, crc) SELECT id, ?, ? FROM chats WHERE id = ?"
            " ON CONFLICT(chat) DO UPDATE SET content = excluded.content, crc = excluded.crc",
            (self.content, crc32(self.content), self.chat),
        )
        if cursor.rowcount != 1:
            raise _chat_gone(self.chat)


@dataclass(frozen=True, slots=True)
class PutEntry(Operation):
    """Write the entry of that number: one that is there is changed, the next one is added. The result is the revision.

    Raises StoreError where the chat is gone, or numbers would be left out.
    """

    chat: str
    number: int
    kind: str
    at: float
    content: bytes

    def apply(self, transaction: Transaction) -> int:
        revision: int = transaction.execute(f"SELECT {NEXT_REVISION}", (self.chat,)).fetchone()[0]
        check = crc32(self.content)
        changed = transaction.execute(
            "UPDATE entries SET kind = ?, revision = ?, content = ?, crc = ? WHERE chat = ? AND number = ?",
            (self.kind, revision, self.content, check, self.chat, self.number),
        )
        if changed.rowcount == 0:
            added = transaction.execute(
                "INSERT INTO entries(chat, number, kind, at, revision, content, crc) SELECT id, ?, ?, ?, ?, ?, ?"
                " FROM chats WHERE id = ?"
                " AND ? = (SELECT coalesce(max(number), 0) + 1 FROM entries WHERE chat = chats.id)",
                (self.number, self.kind, self.at, revision, self.content, check, self.chat, self.number),
            )
            if added.rowcount != 1:
                raise _chat_gone(self.chat)
        return revision


@dataclass(frozen=True, slots=True)
class ReplaceEntries(Operation):
    """Mark the entries from a number on as replaced, because others take their place."""

    chat: str
    first: int

    def apply(self, transaction: Transaction) -> None:
        revision = transaction.execute(f"SELECT {NEXT_REVISION}", (self.chat,)).fetchone()[0]
        transaction.execute(
            "UPDATE entries SET replaced = 1, revision = ? WHERE chat = ? AND number >= ? AND replaced = 0",
            (revision, self.chat, self.first),
        )


@dataclass(frozen=True, slots=True)
class DeleteChat(Operation):
    """Take a conversation away with all that was said in it and what it proposed; applied changes stay undoable."""

    id: str

    def apply(self, transaction: Transaction) -> None:
        transaction.execute("DELETE FROM entries WHERE chat = ?", (self.id,))
        transaction.execute("DELETE FROM memories WHERE chat = ?", (self.id,))
        transaction.execute("DELETE FROM proposals WHERE chat = ?", (self.id,))
        # What its calls cost still counts for the day; what was said in them goes.
        transaction.execute(
            "UPDATE calls SET title = '', request = ?, reply = ?, crc = ? WHERE chat = ? AND status <> 'running'",
            (FORGOTTEN, FORGOTTEN, call_crc(FORGOTTEN, FORGOTTEN), self.id),
        )
        transaction.execute("DELETE FROM chats WHERE id = ?", (self.id,))


def _chat_gone(chat: str) -> StoreError:
    return StoreError(
        f"Nothing can be added to the conversation {chat}.",
        cause="It was deleted, or an entry of it is missing.",
        next_step=REPORT,
    )
