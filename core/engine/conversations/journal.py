"""The journal of applied changes: every change that Rondo made to a workflow's files, exactly undoable.

An edit keeps the files before and after it. Undo takes back what the edit did in the files as they are now, and checks
by hash that they then are what it said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from core.assistant.undo import TakenBack, undo
from core.crash_points import crash_point
from core.definition.version import version_hash
from core.engine.approvals import Approvals
from core.engine.catalog import NAME, Catalog
from core.engine.conversations.views import edit_row
from core.engine.packed_files import packed_files, unpacked_files
from core.engine.rollback import PutBack, put_back
from core.engine.versions import Versions
from core.errors import ProposalProblem, RondoError, UnknownWorkflow, UsageError
from core.link.chat_types import EditRow, Undone
from core.store.operations import BeginChange, EndChange, InsertEdit, Operation, RecordCommand
from core.store.records import BegunChange, EditRecord
from core.store.store import Store

Command = Callable[[str], RecordCommand]
"""A record of the command with this result (JSON)."""

BACKWARDS = ("undo", "redo")
"""Authors of edits that only take others back, or take that back."""
LOOKED_AT = 1_000
"""So many edits of a workflow can be undone one after the other."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that is in the folder and in the journal."""

    row: EditRow
    version: str | None
    backup: Path | None
    written: list[str]
    removed: list[str]
    approved: bool
    """It may run without being asked about."""


class Journal:
    """Writes workflows' files and keeps what it did."""

    def __init__(
        self,
        catalog: Catalog,
        approvals: Approvals,
        versions: Versions,
        store: Store,
        now: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._approvals = approvals
        self._store = store
        self._now = now
        self.writing = versions.writing

    async def files(self, name: str) -> dict[str, bytes]:
        """The files of a workflow's version as they are now; none where there is no such workflow."""
        require_name(name)
        try:
            loaded = await self._catalog.fresh(name)
        except UnknownWorkflow:
            return {}
        return dict(loaded.files)

    async def apply(
        self,
        name: str,
        present: Mapping[str, bytes],
        files: Mapping[str, bytes],
        *,
        author: str,
        title: str,
        chat: str | None = None,
        proposal: str | None = None,
        undoes: int | None = None,
        before: Mapping[str, bytes] | None = None,
        command: Command,
        others: Callable[[Applied], Sequence[Operation]] = lambda applied: (),
    ) -> Applied:
        """Make the folder these files, approve them and note the edit; the caller holds `writing`.

        What was there goes into a dated folder of `backups/`. The files are approved where those before them are: a
        person has seen the change, and not what others may have put beside it. `before` is what to note as the files
        before, where that is not what is there. `command` is whose change it is, `others` are committed with the edit;
        it is called in a thread. Raises UsageError, EnvironmentProblem; then all is as it was.
        """
        version = version_hash(files)
        folder = self._catalog.folder(name)
        await self._keep_present(name)
        done = PutBack(None, [], [])
        if dict(present) != dict(files):
            begun = command("null")
            change = BegunChange(name, version, begun.id, begun.method, begun.arguments)
            await self._store.commit([BeginChange(change)])
            crash_point("edit.begun")
            try:
                done = await asyncio.to_thread(put_back, folder, present, files, version, self._now())
            except RondoError:
                await self._store.commit([EndChange(name)])
                raise
        crash_point("edit.written")
        earlier = dict(present) if before is None else dict(before)
        approved = await asyncio.to_thread(self._approve, folder, earlier, version)
        row = EditRow(
            # Edits are never removed and written under the lock alone, so the next number is known.
            number=await self._store.next_edit(),
            workflow=name,
            at=self._now(),
            author=author,
            title=title,
            before=version_hash(earlier) if earlier else None,
            after=version if files else None,
            chat_id=chat,
            proposal_id=proposal,
        )
        edit = InsertEdit(
            workflow=name,
            at=row.at,
            author=author,
            title=title,
            before=row.before,
            after=row.after,
            content=await asyncio.to_thread(packed_files, name, earlier, files),
            chat=chat,
            proposal=proposal,
            undoes=undoes,
        )
        applied = Applied(row, row.after, done.backup, done.written, done.removed, approved)
        await self._store.commit([edit, EndChange(name), *await asyncio.to_thread(others, applied)])
        crash_point("edit.noted")
        await self._catalog.look_again(name)
        await self._verify(name, files)
        return applied

    async def left_over(self) -> list[BegunChange]:
        """Changes that an engine wrote and died before it noted them; those that it did not write are forgotten."""
        left = []
        for change in await self._store.begun_changes():
            if version_hash(await self.files(change.workflow)) == change.version:
                left.append(change)
            else:
                await self._store.commit([EndChange(change.workflow)])
        return left

    # Undo ---------------------------------------------------------------------------------------------------------

    async def all(self, workflow: str, limit: int) -> list[EditRow]:
        """The applied changes of a workflow, the newest first."""
        records = await self._store.edits(workflow, LOOKED_AT)
        undone = _undone(records)
        return [edit_row(record, record.number in undone) for record in records[: max(1, min(limit, 200))]]

    async def take_back(self, workflow: str, number: int | None, command: Command) -> Undone:
        """Undo an edit: that of this number, or the last one that is not undone. Raises UndoConflict, UsageError.

        The caller holds `writing`.
        """
        records = await self._store.edits(workflow, LOOKED_AT)
        undone = _undone(records)
        can = [record for record in records if record.author not in BACKWARDS and record.number not in undone]
        if number is not None:
            can = [record for record in can if record.number == number]
        if not can:
            raise UsageError(
                f"There is nothing to undo in {workflow}." if number is None else f"Edit {number} can't be undone.",
                cause="No applied change of it is left." if number is None else "It is undone already, or not there.",
                next_step=f"See what was applied: rondo edits {workflow}",
            )
        return await self._reverse(workflow, can[0], "undo", f"Undo: {can[0].title}", command, undoes=can[0].number)

    async def do_again(self, workflow: str, command: Command) -> Undone:
        """Redo the edit that was undone last; the caller holds `writing`. Raises UndoConflict, UsageError."""
        records = await self._store.edits(workflow, LOOKED_AT)
        undone = _undone(records)
        can = [record for record in records if record.author not in BACKWARDS and record.number in undone]
        if not can:
            raise UsageError(
                f"There is nothing to redo in {workflow}.",
                cause="No change of it is undone.",
                next_step=f"See what was applied: rondo edits {workflow}",
            )
        last = max(can, key=lambda record: record.undone_by or 0)
        return await self._reverse(workflow, last, "redo", f"Redo: {last.title}", command, undoes=last.undone_by)

    async def _reverse(
        self,
        workflow: str,
        record: EditRecord,
        author: str,
        title: str,
        command: Command,
        undoes: int | None,
    ) -> Undone:
        content = await self._store.edit_content(record.number)
        before, after = await asyncio.to_thread(unpacked_files, content)
        if author == "redo":
            before, after = after, before
        present = await self.files(workflow)
        taken: TakenBack = await asyncio.to_thread(undo, workflow, before, after, present)
        views: list[Undone] = []

        def others(applied: Applied) -> Sequence[Operation]:
            views.append(
                Undone(
                    edit=applied.row,
                    version=applied.version,
                    written=list(taken.written),
                    removed=list(taken.removed),
                    kept_later_changes=taken.kept_later_changes,
                )
            )
            return [command(msgspec.json.encode(views[0]).decode())]

        await self.apply(
            workflow,
            present,
            taken.files,
            author=author,
            title=title,
            undoes=undoes,
            # Written before, by an engine that died before it could note it.
            before=after if dict(present) == dict(taken.files) else None,
            command=command,
            others=others,
        )
        return views[0]

    # Inside -------------------------------------------------------------------------------------------------------

    def _approve(self, folder: Path, before: Mapping[str, bytes], version: str) -> bool:
        """Let the new version run where the one that it was made of may; True where it may run."""
        if not before or self._approvals.verdict(folder, version_hash(before)).approved:
            self._approvals.approve(folder, version)
        return self._approvals.verdict(folder, version).approved

    async def _keep_present(self, name: str) -> None:
        """Store what is there now as a version, if it is one, so that it can also be rolled back to."""
        try:
            loaded = await self._catalog.fresh(name)
        except UnknownWorkflow:
            return
        await self._catalog.keep_version(loaded)

    async def _verify(self, name: str, files: Mapping[str, bytes]) -> None:
        """Raise ProposalProblem where the folder is not what was written: someone saved at the same moment."""
        present = await self.files(name) if files else {}
        if version_hash(present) != version_hash(files):
            raise ProposalProblem(
                f"{name} changed again while it was written.",
                cause="Someone saved files of it at the same moment; what was written is in the journal.",
                next_step=f"Look at it: rondo diff {name}, and take it back with rondo undo {name} if need be.",
            )


def require_name(name: str) -> None:
    """Raise UsageError for a name that no workflow's folder can have."""
    if not NAME.fullmatch(name) or name.startswith((".", "_")) or name != name.strip() or not name.isprintable():
        raise UsageError(
            f"{name!r} can't be the name of a workflow.",
            cause="It names a folder: no slash, no dot or underscore at the beginning, at most 200 characters.",
            next_step="Choose a name like mail_triage.",
        )


def _undone(records: Sequence[EditRecord]) -> set[int]:
    """The edits that are taken back now: by one that is not taken back itself."""
    by_number = {record.number: record for record in records}
    return {
        record.number
        for record in records
        if record.undone_by is not None
        and ((taker := by_number.get(record.undone_by)) is None or taker.undone_by is None)
    }
