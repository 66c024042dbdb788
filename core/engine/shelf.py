"""The part of the EngineApi that is about whole workflow folders: copies, and the trash."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from core.assistant.json_edit import JsonText
from core.definition.json_text import JsonProblem
from core.definition.load import LoadedWorkflow
from core.definition.version import version_hash
from core.engine.approvals import Approvals
from core.engine.catalog import Catalog
from core.engine.conversations.journal import Journal, require_name
from core.engine.folder_moves import (
    FOLDER,
    TRASH,
    Card,
    copy_folder,
    in_trash,
    is_copied_by,
    is_in_trash,
    read_card,
    remove_for_good,
    settle_copy,
    take_out,
    throw_away,
)
from core.engine.packed_files import packed_files
from core.errors import UsageError
from core.link.shelf_api import DuplicatedWorkflow, EmptiedTrash, RestoredWorkflow, TrashedWorkflow
from core.places import Workspace
from core.store.operations import InsertEdit, Operation, RecordCommand
from core.store.store import Store

T = TypeVar("T")

BYTE_ORDER_MARK = "\ufeff"
UNDER_WAY = ("running", "queued")
"""Runs in these statuses may read what lies in the folder at any moment."""


class ShelfCalls(ABC):
    """What an engine does with whole folders; the engine itself makes the parts. One writer after the other."""

    workspace: Workspace
    _approvals: Approvals
    _catalog: Catalog
    _journal: Journal
    _store: Store
    _now: Callable[[], float]

    @abstractmethod
    def _refuse_in_trouble(self) -> None: ...

    @abstractmethod
    def _command(self, command_id: str, method: str, run: str | None, arguments: dict[str, Any]) -> RecordCommand: ...

    async def duplicate_workflow(self, command_id: str, name: str, new_name: str) -> DuplicatedWorkflow:
        require_name(new_name)
        command = self._command(command_id, "duplicate_workflow", None, {"workflow": name, "name": new_name})
        done = await self._shelve(command, DuplicatedWorkflow, lambda: self._duplicate(name, new_name, command_id))
        await asyncio.to_thread(settle_copy, self._catalog.folder(new_name))
        return done

    async def trash_workflow(self, command_id: str, name: str) -> TrashedWorkflow:
        command = self._command(command_id, "trash_workflow", None, {"workflow": name})
        return await self._shelve(command, TrashedWorkflow, lambda: self._trash(name, command_id))

    async def list_trash(self) -> list[TrashedWorkflow]:
        cards = await asyncio.to_thread(in_trash, self.workspace.workflows_dir)
        return [self._trashed(card) for card in cards]

    async def restore_workflow(self, command_id: str, trash_id: str) -> RestoredWorkflow:
        command = self._command(command_id, "restore_workflow", None, {"id": trash_id})
        return await self._shelve(command, RestoredWorkflow, lambda: self._restore(trash_id, command_id))

    async def empty_trash(self, command_id: str, trash_ids: list[str]) -> EmptiedTrash:
        command = self._command(command_id, "empty_trash", None, {"ids": trash_ids})
        return await self._shelve(command, EmptiedTrash, lambda: self._empty(trash_ids))

    async def _shelve(
        self, command: RecordCommand, kind: type[T], carry_out: Callable[[], Awaitable[tuple[T, list[Operation]]]]
    ) -> T:
        """Do it once, and note that it was done together with what else is to be kept of it."""
        self._refuse_in_trouble()
        async with self._journal.writing:
            earlier = await self._store.command(command.id)
            if earlier is not None and earlier.result is not None:
                return msgspec.json.decode(earlier.result, type=kind)
            result, operations = await carry_out()
            noted = replace(command, result=msgspec.json.encode(result).decode())
            await self._store.commit([noted, *operations])
            return result

    # Copies -----------------------------------------------------------------------------------------------------------

    async def _duplicate(self, name: str, new_name: str, command_id: str) -> tuple[DuplicatedWorkflow, list[Operation]]:
        source = await self._catalog.fresh(name)
        if source.version is None:
            raise UsageError(
                f"{name} can't be read whole, so it is not copied.",
                cause=next((finding.message for finding in source.errors), ""),
                next_step=f"See what is wrong: rondo validate {name}",
            )
        files = renamed_files(name, new_name, source.files)
        target = self._catalog.folder(new_name)
        if not await asyncio.to_thread(is_copied_by, target, command_id):
            folder = self._catalog.folder(name)
            await asyncio.to_thread(copy_folder, folder, target, source.files, files, command_id)
        version = version_hash(files)
        verdict = await asyncio.to_thread(self._approvals.verdict, self._catalog.folder(name), source.version)
        if verdict.approved:
            await asyncio.to_thread(self._approvals.approve, target, version)
        await self._catalog.look_again(new_name)
        edit = InsertEdit(
            workflow=new_name,
            at=self._now(),
            author="duplicate",
            title=f"A copy of {name}",
            before=None,
            after=version,
            content=await asyncio.to_thread(packed_files, new_name, {}, files),
        )
        approved = (await asyncio.to_thread(self._approvals.verdict, target, version)).approved
        return DuplicatedWorkflow(workflow=new_name, source=name, version=version, approved=approved), [edit]

    # Trash ------------------------------------------------------------------------------------------------------------

    async def _trash(self, name: str, command_id: str) -> tuple[TrashedWorkflow, list[Operation]]:
        workflows_dir = self.workspace.workflows_dir
        # Named after the command, so that the same command finds what it did before a kill.
        trash_id = hashlib.blake2b(command_id.encode(), digest_size=6).hexdigest()
        known = await asyncio.to_thread(read_card, workflows_dir, trash_id)
        if known is None or not is_in_trash(workflows_dir, trash_id):
            loaded = await self._catalog.fresh(name)
            await self._require_at_rest(name)
            await self._catalog.keep_version(loaded)
            known = Card(trash_id, name, self._now(), loaded.version)
            await asyncio.to_thread(throw_away, self._catalog.folder(name), known)
        await self._catalog.look_again(name)
        return self._trashed(known), []

    async def _require_at_rest(self, name: str) -> None:
        for status in UNDER_WAY:
            runs = await self._store.runs(name, status, limit=1)
            if runs:
                short = runs[0].id[-8:]
                raise UsageError(
                    f"{name} is in use: run {short} is {status}.",
                    cause="Its nodes may read files of the folder at any moment; nothing was moved.",
                    next_step=f"Wait for it, or cancel it first: rondo cancel {short}",
                )

    async def _restore(self, trash_id: str, command_id: str) -> tuple[RestoredWorkflow, list[Operation]]:
        workflows_dir = self.workspace.workflows_dir
        card = await asyncio.to_thread(read_card, workflows_dir, trash_id) if _is_id(trash_id) else None
        there = card is not None and is_in_trash(workflows_dir, trash_id)
        if card is None or (not there and card.restored_by != command_id):
            raise UsageError(
                f"The trash has nothing under {trash_id!r}.",
                cause="It was taken out already, or was never there.",
                next_step="See what is in it: rondo trash",
            )
        if there:
            await asyncio.to_thread(take_out, workflows_dir, card, command_id)
        await self._catalog.look_again(card.workflow)
        loaded = await self._catalog.fresh(card.workflow)
        approved = await self._may_run(loaded)
        return RestoredWorkflow(id=card.id, workflow=card.workflow, version=loaded.version, approved=approved), []

    async def _empty(self, trash_ids: list[str]) -> tuple[EmptiedTrash, list[Operation]]:
        workflows_dir = self.workspace.workflows_dir
        removed = [
            trash_id
            for trash_id in dict.fromkeys(trash_ids)
            if _is_id(trash_id) and await asyncio.to_thread(remove_for_good, workflows_dir, trash_id)
        ]
        return EmptiedTrash(removed=removed), []

    async def _may_run(self, loaded: LoadedWorkflow) -> bool:
        if loaded.version is None:
            return False
        folder = self._catalog.folder(loaded.name)
        return (await asyncio.to_thread(self._approvals.verdict, folder, loaded.version)).approved

    def _trashed(self, card: Card) -> TrashedWorkflow:
        return TrashedWorkflow(
            id=card.id,
            workflow=card.workflow,
            trashed_at=card.at,
            version=card.version,
            path=str(self.workspace.workflows_dir / TRASH / card.id / FOLDER),
        )


def renamed_files(name: str, new_name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a version under another name: the graph's file and the name in it; all other bytes stay."""
    renamed = {path: content for path, content in files.items() if path != f"{name}.json"}
    graph = files.get(f"{name}.json")
    if graph is not None:
        renamed[f"{new_name}.json"] = _renamed_graph(graph, new_name)
    return renamed


def _renamed_graph(graph: bytes, new_name: str) -> bytes:
    try:
        text = graph.decode()
        mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        document = JsonText(text.removeprefix(mark))
    except (UnicodeDecodeError, JsonProblem):
        return graph
    if not isinstance(document.value, dict) or "name" not in document.value:
        return graph
    document.value["name"] = new_name
    return (mark + document.rewritten()).encode()


def _is_id(text: str) -> bool:
    return text.isalnum() and len(text) <= 32
