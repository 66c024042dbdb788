"""Reading conversations, proposals and the journal of applied changes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from core.errors import DatabaseDamaged
from core.store.damage import notes_damage
from core.store.problems import row_damaged
from core.store.reader import Reader, Row
from core.store.records import BegunChange, ChatRecord, EditRecord, EntryRow, ProposalRecord, columns

SELECT_ENTRIES = "SELECT number, kind, at, revision, replaced, content, crc FROM entries"
SELECT_PROPOSALS = f"SELECT {columns(ProposalRecord)}, crc FROM proposals"
SELECT_EDITS = f"SELECT {columns(EditRecord)} FROM edits"
SELECT_CHATS = (
    f"SELECT {columns(ChatRecord, 'chats')}, (SELECT coalesce(max(number), 0) FROM entries WHERE chat = chats.id),"
    " (SELECT id FROM proposals WHERE chat = chats.id AND status IN ('open', 'broken')"
    " ORDER BY created_at DESC LIMIT 1)"
    " FROM chats"
)


class ChatReads(Reader):
    """What the store knows of conversations."""

    async def chat(self, id: str) -> tuple[ChatRecord, int, str | None] | None:
        """A conversation with how many entries it has and its open proposal."""
        row = await self._fetch_one(f"{SELECT_CHATS} WHERE id = ?", (id,))
        return None if row is None else _chat(row)

    async def chats(self, workflow: str | None, limit: int) -> list[tuple[ChatRecord, int, str | None]]:
        """Conversations (of one workflow), the last changed first."""
        condition, values = ("", []) if workflow is None else ("WHERE workflow = ?", [workflow])
        rows = await self._fetch(
            f"{SELECT_CHATS} {condition} ORDER BY updated_at DESC, id DESC LIMIT ?", (*values, limit)
        )
        return [_chat(row) for row in rows]

    @notes_damage
    async def memory(self, chat: str) -> bytes | None:
        """What the assistant keeps of a chat; None before its first turn. Raises DatabaseDamaged."""
        row = await self._fetch_one("SELECT content, crc FROM memories WHERE chat = ?", (chat,))
        if row is None:
            return None
        if crc32(row[0]) != row[1]:
            raise row_damaged("memories", f"chat {chat}")
        content: bytes = row[0]
        return content

    async def chat_usages(self, chats: Iterable[str]) -> dict[str, tuple[int, int, int, int, float, int]]:
        """What conversations used: calls of models, tokens in, out and cached, cost, calls without a price."""
        rows = await self._fetch(
            "SELECT chat, count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),"
            " coalesce(sum(cost), 0.0), sum(cost IS NULL AND status = 'done')"
            " FROM calls WHERE chat IN (SELECT value FROM json_each(?)) AND kind = 'llm' GROUP BY chat",
            (json.dumps(list(chats)),),
        )
        return {row[0]: row[1:] for row in rows}

    async def last_entry(self, chat: str) -> int:
        """The number of a chat's last entry; 0 before the first."""
        row = await self._fetch_one("SELECT max(number) FROM entries WHERE chat = ?", (chat,))
        return (row[0] or 0) if row is not None else 0

    async def chat_revision(self, chat: str) -> int:
        """The revision of a chat's last change; 0 before the first."""
        row = await self._fetch_one("SELECT max(revision) FROM entries WHERE chat = ?", (chat,))
        return (row[0] or 0) if row is not None else 0

    async def entries(
        self, chat: str, *, before: int | None = None, since: int | None = None, limit: int = 1_000_000
    ) -> list[EntryRow]:
        """Entries in order: the last `limit` before a number, or the first `limit` of a higher revision than `since`.

        The content of a damaged one is None; it is noted.
        """
        if since is not None:
            rows = await self._fetch(
                f"{SELECT_ENTRIES} WHERE chat = ? AND revision > ? ORDER BY revision, number LIMIT ?",
                (chat, since, limit),
            )
            rows.sort()
        else:
            condition, values = ("", []) if before is None else ("AND number < ?", [before])
            rows = await self._fetch(
                f"{SELECT_ENTRIES} WHERE chat = ? {condition} ORDER BY number DESC LIMIT ?", (chat, *values, limit)
            )
            rows.reverse()
        return [self._entry(chat, row) for row in rows]

    async def entry(self, chat: str, number: int) -> EntryRow | None:
        """One entry."""
        row = await self._fetch_one(f"{SELECT_ENTRIES} WHERE chat = ? AND number = ?", (chat, number))
        return None if row is None else self._entry(chat, row)

    async def entries_of_kind(self, chat: str, kind: str) -> list[EntryRow]:
        """Every entry of that kind that was not replaced."""
        rows = await self._fetch(
            f"{SELECT_ENTRIES} WHERE chat = ? AND kind = ? AND replaced = 0 ORDER BY number", (chat, kind)
        )
        return [self._entry(chat, row) for row in rows]

    async def busy_chats(self) -> list[str]:
        """The chats whose turn was going on when they were last written."""
        rows = await self._scan("SELECT id FROM chats WHERE busy = 1")
        return [row[0] for row in rows]

    def _entry(self, chat: str, row: Row) -> EntryRow:
        number, kind, at, revision, replaced, content, crc = row
        if crc32(content) != crc:
            self.damages.add(row_damaged("entries", f"chat {chat}, number {number}"))
            content = None
        return EntryRow(number, kind, at, revision, bool(replaced), content)

    # Proposals ----------------------------------------------------------------------------------------------------

    @notes_damage
    async def proposal(self, id: str) -> ProposalRecord | None:
        """The proposal of that id, or of that unique ending of an id (at least 4 characters); DatabaseDamaged."""
        row = await self._fetch_one(f"{SELECT_PROPOSALS} WHERE id = ?", (id,))
        if row is None and len(id) >= 4 and id.isalnum():
            rows = await self._fetch(f"{SELECT_PROPOSALS} WHERE id LIKE ? LIMIT 2", (f"%{id}",))
            row = rows[0] if len(rows) == 1 else None
        return None if row is None else _proposal(row)

    async def proposals(self, workflow: str | None, statuses: Iterable[str]) -> list[ProposalRecord]:
        """Proposals in one of these statuses (of one workflow), the newest first; a damaged one is left out."""
        values: list[Any] = [json.dumps(list(statuses))]
        condition = ""
        if workflow is not None:
            condition = "AND workflow = ?"
            values.append(workflow)
        rows = await self._fetch(
            f"{SELECT_PROPOSALS} WHERE status IN (SELECT value FROM json_each(?)) {condition}"
            " ORDER BY created_at DESC LIMIT 100",
            values,
        )
        found = []
        for row in rows:
            try:
                found.append(_proposal(row))
            except DatabaseDamaged as error:
                self.damages.add(error)
        return found

    async def proposal_counts(self) -> dict[str, int]:
        """How many proposals wait, by workflow."""
        rows = await self._fetch("SELECT workflow, count(*) FROM proposals WHERE status = 'open' GROUP BY workflow")
        return {row[0]: row[1] for row in rows}

    # Edits --------------------------------------------------------------------------------------------------------

    async def edits(self, workflow: str, limit: int) -> list[EditRecord]:
        """The applied changes of a workflow, the newest first."""
        rows = await self._fetch(f"{SELECT_EDITS} WHERE workflow = ? ORDER BY number DESC LIMIT ?", (workflow, limit))
        return [EditRecord(*row) for row in rows]

    async def next_edit(self) -> int:
        """The number that the next applied change gets."""
        row = await self._fetch_one("SELECT coalesce(max(number), 0) + 1 FROM edits")
        number: int = row[0] if row is not None else 1
        return number

    async def edit(self, number: int) -> EditRecord | None:
        """One applied change."""
        row = await self._fetch_one(f"{SELECT_EDITS} WHERE number = ?", (number,))
        return None if row is None else EditRecord(*row)

    async def begun_changes(self) -> list[BegunChange]:
        """The changes of workflows' files that an engine began and did not note."""
        rows = await self._fetch(f"SELECT {columns(BegunChange)} FROM changing")
        return [BegunChange(*row) for row in rows]

    @notes_damage
    async def edit_content(self, number: int) -> bytes:
        """The files that a change wrote, before and after. Raises DatabaseDamaged."""
        row = await self._fetch_one("SELECT content, crc FROM edits WHERE number = ?", (number,))
        if row is None or crc32(row[0]) != row[1]:
            raise row_damaged("edits", f"number {number}")
        content: bytes = row[0]
        return content


def _chat(row: Row) -> tuple[ChatRecord, int, str | None]:
    return ChatRecord(*row[:-2]), row[-2], row[-1]


def _proposal(row: Row) -> ProposalRecord:
    record = ProposalRecord(*row[:-1])
    if crc32(record.content) != row[-1]:
        raise row_damaged("proposals", f"id {record.id}")
    return record
