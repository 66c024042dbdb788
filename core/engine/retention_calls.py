"""The part of the EngineApi that removes runs, writes them into files and reads them from files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from core.engine.retention import Retention
from core.link.retention_types import Prune, PruneReport
from core.store.operations import RecordCommand


class RetentionCalls(ABC):
    """What an engine does with runs that are done; the engine itself makes the parts."""

    _retention: Retention

    @abstractmethod
    def _refuse_in_trouble(self) -> None: ...

    @abstractmethod
    def _command(self, command_id: str, method: str, run: str | None, arguments: dict[str, Any]) -> RecordCommand: ...

    async def prune(self, prune: Prune) -> PruneReport:
        self._refuse_in_trouble()
        arguments = {
            "workflow": prune.workflow,
            "older_than_seconds": prune.older_than_seconds,
            "keep": prune.keep,
            "max_bytes": prune.max_bytes,
        }
        return await self._retention.prune(prune, self._command(prune.command_id, "prune", None, arguments))
