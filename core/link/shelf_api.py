"""The part of the EngineApi that is about whole workflow folders, and how a client calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class DuplicatedWorkflow(_Struct):
    """A copy that was made: `version` is None where its files have errors, `approved` that it may run."""

    workflow: str
    source: str
    version: str | None
    approved: bool


class TrashedWorkflow(_Struct):
    """A workflow in the trash: `path` is where its folder lies, `version` what it was, None where it was no version."""

    id: str
    workflow: str
    trashed_at: float
    version: str | None
    path: str


class RestoredWorkflow(_Struct):
    """A workflow that is back in its place; `approved` says that it may run, as it might before."""

    id: str
    workflow: str
    version: str | None
    approved: bool


class EmptiedTrash(_Struct):
    """The ids of what was removed from the trash for good."""

    removed: list[str]


class ShelfApi(Protocol):
    """Copies and the trash; see `core.link.api.EngineApi`: the same rules hold for errors and command ids."""

    async def duplicate_workflow(self, command_id: str, name: str, new_name: str) -> DuplicatedWorkflow:
        """Copy a workflow's folder under another name, without its past (backups, output).

        The copy may run where the workflow itself may. Raises UsageError where the name is taken.
        """
        ...

    async def trash_workflow(self, command_id: str, name: str) -> TrashedWorkflow:
        """Move a workflow's whole folder into the trash; its runs stay, those under way must come to an end first."""
        ...

    async def list_trash(self) -> list[TrashedWorkflow]:
        """What can be taken out of the trash, the newest first."""
        ...

    async def restore_workflow(self, command_id: str, trash_id: str) -> RestoredWorkflow:
        """Put a folder back from the trash to where it was. Raises UsageError where its name is taken by now."""
        ...

    async def empty_trash(self, command_id: str, trash_ids: list[str]) -> EmptiedTrash:
        """Remove these from the trash for good; what is not there any more is passed over. Runs and versions stay."""
        ...


class RemoteShelfCalls(ABC):
    """The methods of `ShelfApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def duplicate_workflow(self, command_id: str, name: str, new_name: str) -> DuplicatedWorkflow:
        return await self._call(
            DuplicatedWorkflow, "duplicate_workflow", command_id=command_id, name=name, new_name=new_name
        )

    async def trash_workflow(self, command_id: str, name: str) -> TrashedWorkflow:
        return await self._call(TrashedWorkflow, "trash_workflow", command_id=command_id, name=name)

    async def list_trash(self) -> list[TrashedWorkflow]:
        return await self._call(list[TrashedWorkflow], "list_trash")

    async def restore_workflow(self, command_id: str, trash_id: str) -> RestoredWorkflow:
        return await self._call(RestoredWorkflow, "restore_workflow", command_id=command_id, trash_id=trash_id)

    async def empty_trash(self, command_id: str, trash_ids: list[str]) -> EmptiedTrash:
        return await self._call(EmptiedTrash, "empty_trash", command_id=command_id, trash_ids=trash_ids)
