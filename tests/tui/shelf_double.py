"""The part of the engine double that has whole workflows: copies, the trash, versions, and how tools stand."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from core.errors import UnknownVersion, UsageError
from core.link.chat_types import EditRow
from core.link.event_types import WorkflowChanged
from core.link.shelf_api import DuplicatedWorkflow, EmptiedTrash, RestoredWorkflow, TrashedWorkflow
from core.link.tool_types import WorkflowTool
from core.link.workflow_types import (
    FileChange,
    GraphChangeView,
    RollbackView,
    VersionDiff,
    VersionRef,
    VersionView,
    WorkflowDetail,
)


class ShelfDouble:
    """Tests script it: `versions`, `tool`."""

    def __init__(self) -> None:
        super().__init__()
        self.trash: dict[str, tuple[TrashedWorkflow, Any, Any]] = {}
        self.history: dict[str, list[VersionView]] = {}
        self.stored: dict[tuple[str, str], WorkflowDetail] = {}
        """Versions that are not as the folder is now."""
        self.tool_views: dict[str, list[WorkflowTool]] = {}
        self.rolled_back: list[tuple[str, str, str]] = []
        self._trash_numbers = itertools.count(1)

    def versions(self, name: str, *words: str, at: float, step: float = 3600.0) -> list[VersionView]:
        """Give a workflow versions that changed what these words say, the newest first; the folder is the first."""
        hashes = [f"{number:02x}{'abcdef'[number % 6] * 62}" for number in range(len(words), 0, -1)]
        self.history[name] = [
            VersionView(
                hash=hashes[place],
                first_seen_at=at - place * step,
                runs=place * 3 + 1,
                last_run_at=at - place * step,
                approved=place != 1,
                present=place == 0,
                kept=True,
                previous=hashes[place + 1] if place + 1 < len(words) else None,
                changes=[word],
            )
            for place, word in enumerate(words)
        ]
        return self.history[name]

    async def workflow_tools(self, workflow: str) -> list[WorkflowTool]:
        await self._called("workflow_tools")
        return self.tool_views.get(workflow, [])

    async def duplicate_workflow(self, command_id: str, name: str, new_name: str) -> DuplicatedWorkflow:
        await self._called("duplicate_workflow")
        if new_name in self.workflows:
            raise UsageError(f"There is a workflow {new_name!r} already.", next_step="Choose another name.")
        self.workflows[new_name] = msgspec.structs.replace(self.workflows[name], name=new_name)
        self.approvals[new_name] = msgspec.structs.replace(self.approvals[name], workflow=new_name)
        self.send(WorkflowChanged(name=new_name, version="v1", errors=0))
        return DuplicatedWorkflow(workflow=new_name, source=name, version="v1", approved=True)

    async def trash_workflow(self, command_id: str, name: str) -> TrashedWorkflow:
        await self._called("trash_workflow")
        path = f"/home/me/flows/workflows/.trash/{name}"
        one = TrashedWorkflow(
            id=f"{next(self._trash_numbers):012x}",
            workflow=name,
            trashed_at=self.now(),
            version="0123456789ab",
            path=path,
        )
        self.trash[one.id] = (one, self.workflows.pop(name), self.approvals.pop(name))
        self.send(WorkflowChanged(name=name, version=None, errors=0))
        return one

    async def list_trash(self) -> list[TrashedWorkflow]:
        await self._called("list_trash")
        return [one for one, _, _ in reversed(self.trash.values())]

    async def restore_workflow(self, command_id: str, trash_id: str) -> RestoredWorkflow:
        await self._called("restore_workflow")
        if trash_id not in self.trash:
            raise UsageError(f"The trash has nothing under {trash_id!r}.", next_step="rondo trash")
        one, detail, approval = self.trash.pop(trash_id)
        self.workflows[one.workflow], self.approvals[one.workflow] = detail, approval
        self.send(WorkflowChanged(name=one.workflow, version="v1", errors=0))
        return RestoredWorkflow(id=one.id, workflow=one.workflow, version="v1", approved=True)

    async def empty_trash(self, command_id: str, trash_ids: list[str]) -> EmptiedTrash:
        await self._called("empty_trash")
        return EmptiedTrash(removed=[one for one in trash_ids if self.trash.pop(one, None)])

    async def list_versions(self, name: str, limit: int = 50, before: str | None = None) -> list[VersionView]:
        await self._called("list_versions")
        rows = self.history.get(name, [])
        start = next((place for place, row in enumerate(rows, 1) if row.hash == before), 0) if before else 0
        return rows[start : start + limit]

    async def get_diff(self, name: str, before: str, after: str) -> VersionDiff:
        await self._called("get_diff")
        old, new = self._side(name, before), self._side(name, after)
        same = old.hash == new.hash
        text = (
            f"--- nodes.py\n+++ nodes.py\n@@ -1,2 +1,2 @@\n class A(Node):\n-    {old.hash[:4]}\n+    {new.hash[:4]}\n"
        )
        graph = [GraphChangeView(kind="added", subject="node", name="post", text="node post added (Post)")]
        return VersionDiff(
            workflow=name,
            before=old,
            after=new,
            graph=[] if same else graph,
            files=[] if same else [FileChange(path="nodes.py", status="changed", diff=text)],
        )

    def _side(self, name: str, word: str) -> VersionRef:
        rows = self.history.get(name, [])
        row = next((row for row in rows if (row.present if word == "now" else row.hash.startswith(word))), None)
        if row is None:
            raise UnknownVersion(f"{name} has no stored version {word!r}.")
        return VersionRef(word=word, hash=row.hash, kept=True, first_seen_at=row.first_seen_at)

    async def rollback(self, command_id: str, name: str, version: str, expected: str) -> RollbackView:
        await self._called("rollback")
        self.rolled_back.append((name, version, expected))
        for row in self.history[name]:
            row.present = row.hash == version
        self.edits.insert(
            0,
            EditRow(
                number=len(self.edits) + 1,
                workflow=name,
                at=self.now(),
                author="rollback",
                title=f"Back to version {version[:12]}",
                before=expected,
                after=version,
            ),
        )
        self.send(WorkflowChanged(name=name, version=version, errors=0))
        return RollbackView(
            workflow=name,
            version=version,
            previous=expected,
            backup="backups/2026",
            written=["nodes.py"],
            removed=[],
            approved=True,
        )
