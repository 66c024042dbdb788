"""Runs that leave this workspace as files, and runs that come into it from files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from core.crash_points import crash_point
from core.engine.events import EventBus
from core.engine.exporting import Exporter
from core.engine.importing import Import
from core.engine.retention import Retention
from core.engine.transfer_document import open_document
from core.errors import UsageError
from core.identifiers import new_run_id
from core.link.event_types import RunChanged
from core.link.retention_types import ExportedRun, ImportedRun
from core.places import Workspace
from core.store.operations import RecordCommand
from core.store.store import Store
from core.store.transfer import ReserveRun

LEFT_SECONDS = 3600.0
"""After this long nobody comes for an exported file any more."""


class Transfer:
    """Exports and imports runs; `retention` deletes what an import left that did not come to its end."""

    def __init__(
        self, store: Store, workspace: Workspace, retention: Retention, bus: EventBus, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._folder = workspace.runs_dir / "exported"
        self._retention = retention
        self._bus = bus
        self._now = now

    async def export(self, run_id: str) -> ExportedRun:
        """Write a run into a file of its own; whoever asked moves the file away."""
        record = await self._store.run(run_id)
        await asyncio.to_thread(_remove_left, self._folder)
        path = self._folder / f"{record.id}-{new_run_id()[-12:]}.rondo.json"
        return await Exporter(self._store, record, path, self._now()).write()

    async def take_in(self, path: str, source: str, command: Callable[[ImportedRun], RecordCommand]) -> ImportedRun:
        """Check the file whole, then write the run; `command` gives what is recorded of the result."""
        place = Path(path)
        if not place.is_absolute():
            raise UsageError(f"{path!r} is not an absolute path.", next_step="Name the file by its whole path.")
        file = await asyncio.to_thread(open_document, place)
        try:
            coming = Import(file)
            await asyncio.to_thread(coming.check)
            async with self._retention.exclusive:
                await self._retention.wait_for_clearing()
                return await self._write(coming, source, command)
        finally:
            file.close()

    async def _write(self, coming: Import, source: str, command: Callable[[ImportedRun], RecordCommand]) -> ImportedRun:
        """Write slices under reserved numbers, then all that makes it a run."""
        reserved = (await self._store.commit([ReserveRun(len(coming.lines))]))[0]
        result = coming.result(coming.run.id if await self._store.is_free(coming.run.id) else new_run_id())
        try:
            slices = coming.slices(reserved)
            while (operations := await asyncio.to_thread(next, slices, None)) is not None:
                await self._store.commit(operations)
                crash_point("import.slice.written")
            last = await asyncio.to_thread(coming.finish, reserved, result.run_id, source, self._now())
            await self._store.commit([*last, command(result)])
        except BaseException:
            self._retention.clear_soon()
            raise
        event = RunChanged(
            run_id=result.run_id,
            workflow=result.workflow,
            line=reserved.first_line + coming.run.line - 1,
            status=result.status,
            step=result.steps,
            node=coming.run.node,
        )
        self._bus.publish(event)
        return result


def _remove_left(folder: Path) -> None:
    """Remove exported files that nobody came for."""
    try:
        for path in folder.iterdir():
            if path.is_file() and path.stat().st_mtime < time.time() - LEFT_SECONDS:
                path.unlink()
    except OSError:
        return
