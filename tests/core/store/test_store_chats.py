"""Conversations, proposals and the journal of applied changes are kept as they were written."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from store_rows import NOON

from core.errors import DatabaseDamaged, StoreError
from core.store.operations import (
    DeleteChat,
    InsertChat,
    InsertEdit,
    InsertProposal,
    PutEntry,
    PutMemory,
    ReplaceEntries,
    UpdateChat,
    UpdateProposal,
)
from core.store.store import Store


def chat(id: str = "c1", workflow: str | None = "triage", at: float = NOON) -> InsertChat:
    return InsertChat(id, workflow, "A title", "propose", at)


def said(number: int, text: bytes, chat: str = "c1") -> PutEntry:
    return PutEntry(chat, number, "user", NOON, text)


def proposal(id: str = "p1", workflow: str = "triage", at: float = NOON, chat: str = "c1") -> InsertProposal:
    return InsertProposal(id, chat, workflow, "open", None, at, b"content")


async def damage(store: Store, path: Path, statement: str) -> None:
    """Change a row from outside, as nothing but a fault does."""

    def act() -> None:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()

    await asyncio.to_thread(act)


async def test_entries_are_numbered_and_every_change_raises_the_revision(store: Store) -> None:
    results = await store.commit([chat(), said(1, b"1"), said(2, b"2"), said(2, b"2 and more")])
    assert results[1:] == [1, 2, 3]
    with pytest.raises(StoreError):
        await store.commit([said(4, b"4")])
    assert [(row.number, row.revision, row.content) for row in await store.entries("c1")] == [
        (1, 1, b"1"),
        (2, 3, b"2 and more"),
    ]
    assert await store.chat_revision("c1") == 3


async def test_a_reader_gets_what_changed_since_its_revision_in_order(store: Store) -> None:
    await store.commit([chat(), said(1, b"1"), said(2, b"2"), said(3, b"3"), said(1, b"1!")])
    assert [row.number for row in await store.entries("c1", since=2)] == [1, 3]
    assert [row.number for row in await store.entries("c1", before=3, limit=1)] == [2]


async def test_what_an_edit_replaces_stays_and_says_so(store: Store) -> None:
    await store.commit([chat(), said(1, b"1"), said(2, b"2"), said(3, b"3"), ReplaceEntries("c1", 2), said(4, b"new")])
    assert [(row.number, row.replaced) for row in await store.entries("c1")] == [
        (1, False),
        (2, True),
        (3, True),
        (4, False),
    ]
    assert [row.number for row in await store.entries("c1", since=3)] == [2, 3, 4]


async def test_nothing_is_said_in_a_conversation_that_was_deleted(store: Store) -> None:
    await store.commit([chat(), said(1, b"1"), proposal()])
    await store.commit([DeleteChat("c1")])
    assert await store.chat("c1") is None
    assert await store.entries("c1") == []
    assert await store.proposal("p1") is None
    for operation in (said(2, b"2"), UpdateChat("c1", NOON, title="x")):
        with pytest.raises(StoreError):
            await store.commit([operation])


async def test_conversations_are_listed_by_their_last_change_with_the_proposal_that_waits(store: Store) -> None:
    await store.commit([chat("c1"), chat("c2", at=NOON + 1), chat("c3", None, NOON + 2), proposal()])
    await store.commit([UpdateChat("c1", NOON + 9, title="New", busy=True)])
    listed = await store.chats(None, 10)
    assert [(record.id, record.title, open) for record, _, open in listed] == [
        ("c1", "New", "p1"),
        ("c3", "A title", None),
        ("c2", "A title", None),
    ]
    assert [record.id for record, _, _ in await store.chats("triage", 1)] == ["c1"]
    assert await store.busy_chats() == ["c1"]


async def test_what_the_assistant_keeps_is_replaced_whole_and_checked(store: Store, path: Path) -> None:
    await store.commit([chat(), PutMemory("c1", b"first")])
    await store.commit([PutMemory("c1", b"second")])
    assert await store.memory("c1") == b"second"
    await damage(store, path, "UPDATE memories SET content = x'00'")
    with pytest.raises(DatabaseDamaged):
        await store.memory("c1")


async def test_a_damaged_entry_costs_only_itself_and_is_named(store: Store, path: Path) -> None:
    await store.commit([chat(), said(1, b"1"), said(2, b"2")])
    await damage(store, path, "UPDATE entries SET content = x'00' WHERE number = 1")
    assert [row.content for row in await store.entries("c1")] == [None, b"2"]
    assert "chat c1, number 1" in store.damages.list()[0].message


async def test_a_proposal_is_found_by_the_end_of_its_id_and_decided_once(store: Store) -> None:
    await store.commit([chat(), proposal("018f-aaaabbbb"), proposal("018f-aaaacccc", at=NOON + 1)])
    found = await store.proposal("aaaacccc")
    assert found is not None and found.number == 2
    assert [record.id for record in await store.proposals("triage", ["open"])] == ["018f-aaaacccc", "018f-aaaabbbb"]
    decide = UpdateProposal("018f-aaaabbbb", ("open",), "applied", decided_at=NOON)
    await store.commit([decide])
    with pytest.raises(StoreError):
        await store.commit([decide])
    assert await store.proposal_counts() == {"triage": 1}


async def test_a_damaged_proposal_is_refused_alone_and_left_out_of_lists(store: Store, path: Path) -> None:
    await store.commit([chat(), proposal("p1"), proposal("p2")])
    await damage(store, path, "UPDATE proposals SET content = x'00' WHERE id = 'p1'")
    with pytest.raises(DatabaseDamaged):
        await store.proposal("p1")
    assert [record.id for record in await store.proposals(None, ["open"])] == ["p2"]


async def test_an_edit_that_undoes_another_marks_it(store: Store, path: Path) -> None:
    first, second = await store.commit(
        [
            InsertEdit("triage", NOON, "assistant", "a change", None, "v1", b"files"),
            InsertEdit("triage", NOON, "undo", "back", "v1", None, b"files back", undoes=1),
        ]
    )
    assert [(edit.number, edit.undone_by) for edit in await store.edits("triage", 10)] == [
        (second, None),
        (first, second),
    ]
    assert await store.edit_content(first) == b"files"
    await damage(store, path, f"UPDATE edits SET content = x'00' WHERE number = {first}")
    with pytest.raises(DatabaseDamaged):
        await store.edit_content(first)
