"""All runs that are going on: started, taken up again after the engine's death, given room, committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog

from core.definition.inputs import check_inputs
from core.definition.load import LoadedWorkflow
from core.engine.actor import Position, Process, RunActor
from core.engine.events import EventBus
from core.engine.processes import kill_leftovers
from core.engine.requests import request_key
from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DiskFull,
    EngineStopping,
    RondoError,
    UnknownRun,
)
from core.flow.delta import StateTracker
from core.flow.graph import Graph
from core.link.types import EngineChanged, Event, RunChanged, StartRun
from core.places import Workspace
from core.store.operations import InsertRun, InsertStep, Operation, RecordCommand, Ref, blob_hash
from core.store.records import RequestRow, RunRecord, VersionRecord
from core.store.store import Store

PROCESS_LIMIT = 16
"""Run processes at once; further runs are queued."""
RETRY_SECONDS = 2.0

log = structlog.get_logger()


class Runs:
    """The table of actors and what they need of the engine (the `World` of an actor)."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        bus: EventBus,
        pool: Any,
        *,
        now: Callable[[], float] = time.time,
        on_trouble: Callable[[RondoError | None], None],
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._bus = bus
        self._pool = pool
        self._now = now
        self._on_trouble = on_trouble
        self._actors: dict[str, RunActor] = {}
        self._opening = asyncio.Lock()
        self._holding: set[str] = set()
        self._waiting: deque[RunActor] = deque()
        self.draining = False

    # Start and end of the engine ----------------------------------------------------------------------------------

    async def recover(self) -> int:
        """End left-over processes of an engine that died, and go on with every run that is not at rest."""
        unfinished = await self._store.runs_not_at_rest()
        waiting = await self._store.runs(status="waiting_input", limit=10_000)
        for record in [*unfinished, *waiting]:
            if record.pid is not None and record.pid_started is not None:
                await kill_leftovers(record.pid, record.pid_started)
        for record in unfinished:
            try:
                actor = await self._open(record)
                actor.post(actor.process_life.start)
            except RondoError as error:
                log.error("a run could not be taken up", run=record.id, error=error.message)
        return len(unfinished)

    async def close(self, grace: float = 5.0) -> None:
        """Bring running steps to their boundary, at most for `grace` seconds, then end every process."""
        self.draining = True
        busy = [actor for actor in self._actors.values() if actor.in_flight and actor.status == "running"]
        if busy:
            waits = [asyncio.ensure_future(actor.closed.wait()) for actor in busy]
            await asyncio.wait(waits, timeout=grace)
            for wait in waits:
                wait.cancel()
        await asyncio.gather(*(actor.close() for actor in list(self._actors.values())))

    # Starting and finding runs ------------------------------------------------------------------------------------

    async def start(
        self, run_id: str, start: StartRun, loaded: LoadedWorkflow, by: str, command: RecordCommand
    ) -> None:
        """Write the run and its initial state, then begin."""
        if self.draining:
            raise EngineStopping(
                "The engine is stopping.", cause="It takes no more work.", next_step="Try again in a moment."
            )
        assert loaded.graph is not None and loaded.version is not None
        state = check_inputs(loaded.graph, start.inputs)
        delta = StateTracker({}).commit_delta(state)
        now = self.now()
        results = await self.commit(
            [
                InsertRun(
                    id=run_id,
                    workflow=loaded.name,
                    version=loaded.version,
                    status="queued",
                    until=start.until,
                    source=by,
                    inputs=json.dumps(start.inputs, ensure_ascii=False),
                    presets=json.dumps([list(pair) for pair in start.answers], ensure_ascii=False),
                    priority=0,
                    created_at=now,
                ),
                InsertStep(
                    line=Ref(0, 1),
                    seq=0,
                    node="",
                    visit=0,
                    attempt=0,
                    next=loaded.graph.start,
                    routing="",
                    started_at=now,
                    ended_at=now,
                    changed=delta.changed,
                    delta=delta.operations,
                    blobs=tuple((blob_hash(data), data) for data in delta.blobs),
                ),
                command,
            ]
        )
        number, line = results[0]
        record = await self._store.run_by_number(number)
        version = await self._version_of(record)
        actor = RunActor(self, record, version, loaded.graph, Position(0, loaded.graph.start), 0)
        assert actor.line == line
        self._actors[run_id] = actor
        actor.begin()
        self._bus.publish(
            RunChanged(run_id=run_id, workflow=loaded.name, line=line, status="queued", step=0, node=loaded.graph.start)
        )
        actor.post(actor.process_life.start)

    def active(self, run_id: str) -> RunActor | None:
        """The actor of a run, if it has one now."""
        return self._actors.get(run_id)

    @contextlib.asynccontextmanager
    async def actor(self, record: RunRecord) -> AsyncIterator[RunActor]:
        """The actor of a run that is not final; one that was made for a command leaves again where nothing follows."""
        async with self._opening:
            actor = self._actors.get(record.id)
            if actor is None:
                actor = await self._open(record)
        try:
            yield actor
        finally:
            if not actor.process_life.engaged and actor.idle and not actor.closed.is_set():
                actor.leave()

    @property
    def busy(self) -> bool:
        """True while anything runs or is queued."""
        return any(actor.status in ("running", "queued", "waiting_timer") for actor in self._actors.values())

    async def _open(self, record: RunRecord) -> RunActor:
        fresh = await self._store.run(record.id)
        version = await self._version_of(fresh)
        line = fresh.line or 0
        last = await self._store.last_step(line)
        if last is None:
            raise DatabaseDamaged(
                f"The run {fresh.id[-8:]} has no initial state.",
                cause="A row of it is missing in the database.",
                next_step="Look at it with rondo doctor; start the workflow again.",
            )
        attempts = await self._store.attempts(line, last.seq + 1, last.seq + 1)
        used = max((row.attempt for row in attempts), default=0)
        position = Position(last.seq, last.next, await self._store.visits(line), used)
        graph = Graph.from_dict(json.loads(version.graph))
        actor = RunActor(self, fresh, version, graph, position, await self._store.last_log_row(fresh.number))
        self._actors[fresh.id] = actor
        actor.begin()
        return actor

    async def _version_of(self, record: RunRecord) -> VersionRecord:
        version = await self._store.version(record.version)
        if version is None:
            raise UnknownRun(
                f"The code of run {record.id[-8:]} is not stored.",
                cause=f"Version {record.version[:12]} of {record.workflow} is missing in the database.",
                next_step=f"Start it again: rondo run {record.workflow}",
            )
        return version

    # What actors ask for ------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now()

    def publish(self, event: Event) -> None:
        """Pass an event on to the clients."""
        self._bus.publish(event)

    async def commit(self, operations: Sequence[Operation]) -> list[Any]:
        """Commit; while the disk is full or the database held by another, say so, wait and try again."""
        troubled = False
        while True:
            try:
                results = await self._store.commit(operations)
            except (DiskFull, DatabaseBusy) as error:
                if self.draining:
                    raise
                troubled = True
                self._on_trouble(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if troubled:
                    self._on_trouble(None)
                return results

    async def requests_of(self, line: int) -> list[RequestRow]:
        """Every request of a line."""
        return await self._store.requests(line=line)

    def want_slot(self, actor: RunActor) -> None:
        """Give the actor room for a process now or when there is some; waiting runs make room first."""
        if actor.record.id in self._holding or actor in self._waiting:
            return
        if len(self._holding) < PROCESS_LIMIT:
            self._holding.add(actor.record.id)
            actor.post(actor.process_life.granted)
            return
        self._waiting.append(actor)
        for other in self._actors.values():
            if other.status == "waiting_input" and other.process_life.listening:
                other.post(other.process_life.let_go_if_waiting)
                break

    def release_slot(self, actor: RunActor) -> None:
        """Take the room back and give it to the next who waits."""
        if actor in self._waiting:
            self._waiting.remove(actor)
        self._holding.discard(actor.record.id)
        while self._waiting and len(self._holding) < PROCESS_LIMIT:
            chosen = self._waiting.popleft()
            self._holding.add(chosen.record.id)
            chosen.post(chosen.process_life.granted)

    async def spawn(self, actor: RunActor) -> Process:
        """Start the run's process from its last committed state."""
        record, position = actor.record, actor.position
        _, state = await self._store.state_at(actor.line, None)
        folder = self._workspace.workflows_dir / record.workflow
        answers = [
            {"key": request_key(row), "hash": row.hash, "answer": json.loads(row.answer or "null")}
            for row in await self.requests_of(actor.line)
            if row.status == "answered" and row.node == position.next and row.visit == _next_visit(position)
        ]
        size, steps = await self._store.deltas_since_snapshot(actor.line)
        init = {
            "t": "init",
            "e": actor.process_life.epoch,
            "run": record.id,
            "line": actor.line,
            "workflow": record.workflow,
            "version": record.version,
            "graph": actor.graph.to_dict(),
            "sources": {
                path: data.decode("utf-8", "replace")
                for path, data in actor.version.files.items()
                if path.endswith(".py")
            },
            "folder": str(folder),
            "output_dir": str(self._workspace.output / record.id),
            "workspace": str(self._workspace.root),
            "run_key": record.id,
            "seq": position.seq,
            "next": position.next,
            "visits": position.visits,
            "attempts": position.attempts,
            "answers": answers,
            "until": actor.until,
            "deltas_since_snapshot": [size, steps],
            "limits": {},
        }
        process: Process = await self._pool.spawn(init, state, actor.process_life)
        return process

    def forget(self, actor: RunActor) -> None:
        """Take an actor that is done out of the table."""
        self.release_slot(actor)
        if self._actors.get(actor.record.id) is actor:
            del self._actors[actor.record.id]


def _next_visit(position: Position) -> int:
    return position.visits.get(position.next or "", 0) + 1


def trouble_event(error: RondoError | None) -> EngineChanged:
    """What clients are told when the engine stops to take work, or goes on."""
    return EngineChanged(state="ok") if error is None else EngineChanged(state="trouble", message=error.message)
