"""The workspace's workflows as they are now: loaded, linted, versioned, watched. Nothing of them is executed."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from watchfiles import Change, awatch

from core.definition.load import LoadedWorkflow, list_folders, load_folder
from core.engine.events import EventBus
from core.errors import DefinitionError, RondoError, UnknownWorkflow
from core.link.event_types import WorkflowChanged
from core.store.operations import PutVersion
from core.store.store import Store

SETTLE_MILLISECONDS = 60
"""How long after the first change of a save the watcher waits for the rest of it."""
STEP_MILLISECONDS = 20
LOOK_MILLISECONDS = 1_000
RETRY_SECONDS = 2.0
IGNORED_FOLDERS = frozenset({"backups", "output", "__pycache__"})
NAME = re.compile(r"[^/\\\x00]{1,200}")

log = structlog.get_logger()


class Catalog:
    """Every workflow folder of a workspace.

    What is held here serves lists and screens; a run reads and hashes its folder itself, through `fresh`.
    """

    def __init__(
        self, workflows_dir: Path, store: Store, bus: EventBus, *, now: Callable[[], float] = time.time
    ) -> None:
        self._folder = workflows_dir
        self._store = store
        self._bus = bus
        self._now = now
        self._loaded: dict[str, LoadedWorkflow] = {}
        self._readings = 0
        self._kept: dict[str, int] = {}
        self._stored: set[str] = set()
        self._stop = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._scanned = asyncio.Event()

    async def start(self) -> None:
        """Begin to load and to watch; the first `all` waits until everything was read once."""
        self._watcher = asyncio.create_task(self._watch(), name="watch workflows")

    async def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher

    async def all(self) -> list[LoadedWorkflow]:
        """Every workflow, by name; raises WorkspaceMissing where the folder can't be read."""
        await self._scanned.wait()
        if not self._loaded:
            await asyncio.to_thread(list_folders, self._folder)
        return [self._loaded[name] for name in sorted(self._loaded)]

    async def fresh(self, name: str) -> LoadedWorkflow:
        """The workflow as its folder is at this moment; raises UnknownWorkflow."""
        folder = self._folder / name
        if not NAME.fullmatch(name) or name.startswith(".") or not await asyncio.to_thread(folder.is_dir):
            raise await self._unknown(name)
        return await self._read(folder)

    async def look_again(self, name: str) -> None:
        """Read a workflow's folder now, and tell of what changed; also where it is none any more."""
        await self._reload(name)

    async def last_good(self, name: str) -> str | None:
        """The newest stored version of a workflow: the one to run while the folder is broken."""
        records = [record for record in await self._store.versions(name) if not record.imported]
        return max(records, key=lambda record: record.created_at).hash if records else None

    async def keep_version(self, loaded: LoadedWorkflow) -> None:
        """Store a version that has no errors, so that it stays runnable whatever happens to the folder."""
        if loaded.version is None or loaded.graph is None or loaded.version in self._stored or loaded.errors:
            return
        graph = json.dumps(loaded.graph.to_dict(), ensure_ascii=False)
        await self._store.commit([PutVersion(loaded.version, loaded.name, graph, dict(loaded.files), self._now())])
        self._stored.add(loaded.version)

    def folder(self, name: str) -> Path:
        """Where a workflow of that name lives."""
        return self._folder / name

    async def _unknown(self, name: str) -> UnknownWorkflow:
        names = [folder.name for folder in await asyncio.to_thread(list_folders, self._folder)]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        return UnknownWorkflow(
            f"There is no workflow {name!r} in this workspace.",
            cause=f"{self._folder} has no folder of that name.",
            next_step=f"{hint}See what there is: rondo list",
        )

    async def _watch(self) -> None:
        """Read everything, then whatever changes; start again when the folder comes, goes, or can't be watched."""
        polling: bool | None = None
        while not self._stop.is_set():
            try:
                await self._scan()
            except RondoError as error:
                log.warning("the workflows can't be read", folder=str(self._folder), error=error.message)
            except Exception:
                # What one folder holds must not end the watch over all.
                log.exception("the workflows can't be read", folder=str(self._folder))
            self._scanned.set()
            if not await asyncio.to_thread(self._folder.is_dir):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), RETRY_SECONDS)
                continue
            watching = False
            try:
                async for changes in awatch(
                    self._folder,
                    watch_filter=self._concerns_us,
                    debounce=SETTLE_MILLISECONDS,
                    step=STEP_MILLISECONDS,
                    stop_event=self._stop,
                    force_polling=polling,
                    recursive=True,
                    rust_timeout=LOOK_MILLISECONDS,
                    yield_on_timeout=True,
                ):
                    if not watching:
                        # What changed between the first reading and the watch was seen by neither.
                        watching = True
                        await self._scan()
                    names = {
                        Path(path).relative_to(self._folder).parts[0]
                        for _, path in changes
                        if Path(path) != self._folder
                    }
                    for name in sorted(names):
                        await self._reload(name)
                    if not self._folder.is_dir():
                        break
            except Exception:
                # Watchers fail in as many ways as there are systems; looking again and again works everywhere.
                log.warning("watching failed, polling instead", folder=str(self._folder), exc_info=True)
                polling = True

    def _concerns_us(self, change: Change, path: str) -> bool:
        """Leave out what belongs to no version, so that a run that writes files wakes nobody."""
        try:
            parts = Path(path).relative_to(self._folder).parts
        except ValueError:
            return False
        return not any(part in IGNORED_FOLDERS or part.startswith(".") for part in parts)

    async def _scan(self) -> None:
        folders = await asyncio.to_thread(list_folders, self._folder)
        for folder in folders:
            await self._read(folder)
        for name in set(self._loaded) - {folder.name for folder in folders}:
            await self._reload(name)

    async def _reload(self, name: str) -> None:
        folder = self._folder / name
        if name not in {known.name for known in await asyncio.to_thread(list_folders, self._folder)}:
            if self._loaded.pop(name, None) is not None:
                self._bus.publish(WorkflowChanged(name=name, version=None, errors=0))
            return
        await self._read(folder)

    async def _read(self, folder: Path) -> LoadedWorkflow:
        """Load a folder and keep what was found, unless a later reading has been quicker."""
        self._readings += 1
        reading = self._readings
        loaded = await asyncio.to_thread(load_folder, folder)
        if reading > self._kept.get(loaded.name, 0):
            self._kept[loaded.name] = reading
            await self._keep(loaded)
        return loaded

    async def _keep(self, loaded: LoadedWorkflow) -> None:
        before = self._loaded.get(loaded.name)
        self._loaded[loaded.name] = loaded
        if before is not None and before.version == loaded.version and before.findings == loaded.findings:
            return
        try:
            await self.keep_version(loaded)
        except Exception as error:
            # The folder is shown as it is all the same; a run of it stores it again, and is told why it can't.
            log.error("a version could not be stored", workflow=loaded.name, error=str(error))
        self._bus.publish(WorkflowChanged(name=loaded.name, version=loaded.version, errors=len(loaded.errors)))


def is_broken(loaded: LoadedWorkflow) -> bool:
    """True where a workflow can't run as it is."""
    return bool(loaded.errors) or loaded.graph is None or loaded.version is None


def broken_error(loaded: LoadedWorkflow, last_good: str | None) -> DefinitionError:
    """The refusal to run a workflow that has errors: the first of them in words, all findings as details."""
    first = loaded.errors[0]
    place = f"{first.file}:{first.line}" if first.line else first.file
    more = f", and {len(loaded.errors) - 1} more" if len(loaded.errors) > 1 else ""
    again = f", or run the last good version: rondo run {loaded.name} --version {last_good[:12]}" if last_good else ""
    return DefinitionError(
        f"{loaded.name} has errors: {first.code} {place} {first.message}{more}",
        cause="The workflow's files are not right; nothing was started.",
        next_step=f"See them all: rondo validate {loaded.name}{again}",
        details=[
            {
                name: getattr(finding, name)
                for name in ("code", "severity", "file", "line", "column", "node", "message", "hint")
            }
            for finding in loaded.findings
        ],
    )
