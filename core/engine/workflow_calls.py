"""The part of the EngineApi that is about workflows: their versions, approvals and environments."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import msgspec

from core.engine.approvals import Approvals
from core.engine.environments.service import EnvironmentService
from core.engine.versions import Versions
from core.engine.workflows import Workflows
from core.link.workflow_types import (
    ApprovalView,
    EnvironmentView,
    RollbackView,
    VersionDiff,
    VersionView,
    WorkflowDetail,
    WorkflowRow,
)
from core.store.operations import RecordCommand
from core.store.store import Store


class WorkflowCalls(ABC):
    """What an engine does with workflows; the engine itself makes the parts."""

    _approvals: Approvals
    _packages: EnvironmentService
    _store: Store
    _versions: Versions
    _workflows: Workflows

    @abstractmethod
    def _refuse_in_trouble(self) -> None: ...

    @abstractmethod
    def _command(self, command_id: str, method: str, run: str | None, arguments: dict[str, Any]) -> RecordCommand: ...

    async def trust_workspace(self) -> None:
        await asyncio.to_thread(self._approvals.trust_own)

    async def list_workflows(self) -> list[WorkflowRow]:
        return await self._workflows.list()

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail:
        return await self._workflows.detail(name, version)

    async def approval(self, name: str) -> ApprovalView:
        return await self._workflows.approval(name)

    async def approve(self, name: str, version: str) -> ApprovalView:
        return await self._workflows.approve(name, version)

    # Versions -----------------------------------------------------------------------------------------------------

    async def list_versions(self, name: str, limit: int = 50, before: str | None = None) -> list[VersionView]:
        return await self._versions.all(name, limit, before)

    async def get_diff(self, name: str, before: str, after: str) -> VersionDiff:
        return await self._versions.diff(name, before, after)

    async def rollback(self, command_id: str, name: str, version: str, expected: str) -> RollbackView:
        self._refuse_in_trouble()
        async with self._versions.writing:
            earlier = await self._store.command(command_id)
            if earlier is not None and earlier.result is not None:
                return msgspec.json.decode(earlier.result, type=RollbackView)
            command = self._command(command_id, "rollback", None, {"workflow": name, "version": version})
            return await self._versions.rollback(
                name, version, expected, lambda result: replace(command, result=result)
            )

    # Environments -------------------------------------------------------------------------------------------------

    async def list_environments(self) -> list[EnvironmentView]:
        return await self._packages.all()

    async def get_environment(self, name: str, after: int = 0) -> EnvironmentView:
        return await self._packages.get(name, after)

    async def make_environment(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        return await self._packages.make(command_id, name, again)

    async def cancel_environment(self, name: str) -> EnvironmentView:
        return await self._packages.cancel(name)

    async def prune_environments(self, days: float) -> list[EnvironmentView]:
        return await self._packages.prune(days)
