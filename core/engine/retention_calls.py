"""The part of the EngineApi that removes runs, writes them into files and reads them from files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import msgspec

from core.engine.retention import Retention
from core.engine.transfer import Transfer
from core.link.caller import caller
from core.link.retention_types import ExportedRun, ImportedRun, Prune, PruneReport
from core.store.operations import RecordCommand
from core.store.store import Store


class RetentionCalls(ABC):
    """What an engine does with runs that are done; the engine itself makes the parts."""

    _retention: Retention
    _store: Store
    _transfer: Transfer

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
            "runs": prune.runs,
        }
        return await self._retention.prune(prune, self._command(prune.command_id, "prune", None, arguments))

    async def export_run(self, command_id: str, run_id: str) -> ExportedRun:
        # A file more is no harm, so a repeated call writes another one.
        return await self._transfer.export(run_id)

    async def import_run(self, command_id: str, path: str) -> ImportedRun:
        self._refuse_in_trouble()
        earlier = await self._store.command(command_id)
        if earlier is not None and earlier.result is not None:
            return msgspec.json.decode(earlier.result, type=ImportedRun)

        def command(result: ImportedRun) -> RecordCommand:
            text = msgspec.json.encode(result).decode()
            made = self._command(command_id, "import_run", result.run_id, {"path": path})
            return replace(made, result=text)

        return await self._transfer.take_in(path, caller.get(), command)
