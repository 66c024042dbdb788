"""All runs that are going on: started, taken up again after the engine's death, given room, committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from core.crash_points import crash_point
from core.definition.load import LoadedWorkflow
from core.engine import commands
from core.engine.actor import Brokerage, Calls, Position, Process, RunActor, stopping_error
from core.engine.breakpoints import Breakpoints, pause_reason
from core.engine.dag_rows import init_of_dag, settling_of, used_attempts
from core.engine.environments.cache import Held, Need, need_of
from core.engine.environments.making import Environments, run_variables
from core.engine.events import EventBus
from core.engine.onward import ALONE, alone, find_onward
from core.engine.process_life import ProcessLife
from core.engine.requests import request_key
from core.engine.run_inputs import first_rows
from core.engine.secrets import RunSecrets, Secrets
from core.engine.slots import Slots
from core.engine.timers import TimerKey, Timers
from core.engine.trials import last_error_of, trials_of
from core.engine.usage import MB, UsageWatch
from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseProblem,
    DiskFull,
    RondoError,
    SecretProblem,
    UnknownRun,
)
from core.flow.dag_shape import DagShape, first_node
from core.flow.graph import Graph
from core.flow.journal import SUBFLOW
from core.flow.json_text import dumps
from core.flow.settling import Settling
from core.link.event_types import Event, RunChanged
from core.link.types import FINAL, WAITING, StartRun
from core.places import Workspace
from core.runner.log_share import limits_left
from core.settings import LiveSettings, Settings
from core.store.operations import (
    InsertRun,
    Operation,
    ParentVisit,
    RecordCommand,
)
from core.store.records import AttemptRow, RequestRow, RunRecord, StepRow, VersionRecord
from core.store.store import Store
from core.tools.pins import tool_names

RETRY_SECONDS = 2.0
CLOSE_GRACE_SECONDS = 5.0
"""How long running visits may take to their end when the engine stops."""

OWN_SOCKETS = "replay: what a node reaches by itself, without self.llm, self.http and self.tool, is not covered"

INITIAL_STATE_KEPT = 64 * 1024
"""Bytes of a new run's state that are kept for its first process; a larger one is read again from the store."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _History:
    """What a process must know of what its run did before it: first of all the state's JSON text."""

    state: bytes
    dag: Mapping[str, Any] = field(default_factory=dict)
    requests: Sequence[RequestRow] = ()
    attempts: Sequence[AttemptRow] = ()
    last_step: StepRow | None = None
    since_snapshot: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Replay:
    """What the calls of a run are answered from: in words, and as rows that are committed with the run."""

    source: str
    operations: Sequence[Operation]


class Runs:
    """The table of actors and what they need of the engine (the `World` of an actor)."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        bus: EventBus,
        pool: Any,
        settings: LiveSettings,
        secrets: Secrets,
        environments: Environments | None,
        *,
        now: Callable[[], float] = time.time,
        on_trouble: Callable[[RondoError], None],
        on_relief: Callable[[], None],
    ) -> None:
        """`on_trouble` hears why nothing can be committed, `on_relief` that it can be again.

        Without `environments` every run has the packages of this very process (library mode).
        """
        self._workspace = workspace
        self._store = store
        self._bus = bus
        self._pool = pool
        self._settings = settings
        self.secrets = secrets
        self._environments = environments
        self._now = now
        self._on_trouble = on_trouble
        self._on_relief = on_relief
        self._patient = 0
        self._actors: dict[str, RunActor] = {}
        self._beginning: dict[str, asyncio.Task[None]] = {}
        self._opening = asyncio.Lock()
        self.slots = Slots(
            self._idlers,
            lambda: self.settings.engine.max_runs,
            lambda workflow: self.settings.limits_of(workflow).max_runs,
        )
        self.timers = Timers(now, self._timer_due)
        self._usage = UsageWatch(lambda: [actor.process_life for actor in self._actors.values()], lambda: self.settings)
        self.draining = False
        self.breakpoints = Breakpoints(store, self.publish)
        self.subflows: Calls
        self.broker: Brokerage
        """Both are set by the engine: they need this object to be made."""

    # Start and end of the engine ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Bring running steps to their boundary, for a few seconds at most, then end every process."""
        self.draining = True
        await self.timers.close()
        await self._usage.close()
        crash_point("engine.stop.draining")
        busy = [actor for actor in self._actors.values() if actor.in_flight and actor.status == "running"]
        if busy:
            waits = [asyncio.ensure_future(actor.closed.wait()) for actor in busy]
            await asyncio.wait(waits, timeout=CLOSE_GRACE_SECONDS)
            for wait in waits:
                wait.cancel()
        if self._beginning:
            await asyncio.wait(self._beginning.values())
        ended = await asyncio.gather(*(actor.close() for actor in list(self._actors.values())), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                log.error("a run did not end cleanly", error=str(error), exc_info=error)
        crash_point("engine.stop.runs_closed")

    # Starting and finding runs ------------------------------------------------------------------------------------

    async def start(
        self,
        run_id: str,
        start: StartRun,
        loaded: LoadedWorkflow,
        by: str,
        command: RecordCommand,
        *,
        parent: ParentVisit | None = None,
        replay: Replay | None = None,
    ) -> None:
        """Write the run and its initial state, then begin; a caller that goes away stops nothing of it."""
        await self.begin(run_id, lambda: self._start(run_id, start, loaded, by, command, parent, replay))

    async def begin(self, run_id: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what makes a run begin, or begin anew: its other commands wait, a caller that goes away stops nothing."""
        while (beginning := self._beginning.get(run_id)) is not None:
            await asyncio.wait([beginning])
        if self.draining:
            raise stopping_error()
        task = asyncio.create_task(work(), name=f"begin {run_id[-8:]}")
        self._beginning[run_id] = task
        task.add_done_callback(lambda _: self._beginning.pop(run_id))
        await asyncio.shield(task)

    async def _start(
        self,
        run_id: str,
        start: StartRun,
        loaded: LoadedWorkflow,
        by: str,
        command: RecordCommand,
        parent: ParentVisit | None,
        replay: Replay | None,
    ) -> None:
        assert loaded.graph is not None and loaded.version is not None
        now = self.now()
        first, state, (inputs, large_inputs) = await asyncio.to_thread(first_rows, loaded.graph, start.inputs, now)
        given = await self.secrets.of(loaded.name, loaded.files)
        if given is not None:
            given.refuse(b"%b%b" % (state, dumps([start.inputs, start.answers])), "what the run is to begin with")
        settling = Settling(DagShape(loaded.graph)) if loaded.graph.mode == "dag" else None
        first_node_id = first_node(loaded.graph)
        firsts = settling.in_turn() if settling is not None else [first_node_id] if first_node_id else []
        # Whoever goes step by step stops everywhere.
        stops = self.breakpoints.before(loaded.name, firsts) if start.until != "step" else []
        run = InsertRun(
            id=run_id,
            workflow=loaded.name,
            version=loaded.version,
            status="paused" if stops else "queued",
            pause_reason=pause_reason(stops) if stops else "",
            until=start.until if start.until_node is None else f"node:{start.until_node}",
            source=by,
            inputs=inputs,
            large_inputs=large_inputs,
            presets=json.dumps([list(pair) for pair in start.answers], ensure_ascii=False),
            priority=start.priority,
            created_at=now,
            parent=parent,
            replay=replay.source if replay is not None else "",
        )
        crash_point("run.start.checked")
        recorded = replay.operations if replay is not None else ()
        results = await self.commit([run, first, command, *recorded], patient=False)
        crash_point("run.start.committed")
        record = await self._store.run_by_number(results[0].run)
        version = await self._version_of(record)
        position = Position(0, first_node_id, settling=settling)
        actor = RunActor(self, record, version, loaded.graph, position)
        actor.initial_state = state if len(state) <= INITIAL_STATE_KEPT else None
        self._actors[run_id] = actor
        actor.begin()
        if replay is not None:
            actor.log.line(now, "INFO", f"replay: calls are answered from {replay.source}; nothing goes out", "")
            actor.log.line(now, "WARNING", OWN_SOCKETS, "")
        self._bus.publish(
            RunChanged(
                run_id=run_id,
                workflow=loaded.name,
                line=actor.line,
                status=actor.status,
                step=0,
                node=position.next,
            )
        )
        if stops:
            actor.log.line(now, "INFO", f"pauses at a breakpoint before {', '.join(stops)}, the first", stops[0])
            actor.post(actor.log.flush)
        else:
            actor.post(actor.process_life.start)

    def active(self, run_id: str) -> RunActor | None:
        """The actor of a run, if it has one now."""
        return self._actors.get(run_id)

    async def actor(self, record: RunRecord) -> RunActor:
        """The actor of a run; give it a command before anything else is awaited."""
        while (beginning := self._beginning.get(record.id)) is not None:
            await asyncio.wait([beginning])
        return await self.actor_now(record)

    async def actor_now(self, record: RunRecord) -> RunActor:
        """The same for whoever makes the run begin."""
        async with self._opening:
            if self.draining:
                raise stopping_error()
            return self._actors.get(record.id) or await self.open(record)

    def queue_positions(self) -> dict[str, int]:
        """The runs that wait for room, by id, with their places in the queue from 1 on."""
        queue = self.slots.queue()
        return {life.run_id: place for place, life in enumerate(queue, start=1) if isinstance(life, ProcessLife)}

    @property
    def busy(self) -> bool:
        """True while anything runs, is queued or is due by a timer."""
        return self.timers.pending or any(actor.status in ("running", "queued") for actor in self._actors.values())

    async def open(self, record: RunRecord) -> RunActor:
        """Make the actor of a run that is not final, where it stands in the store."""
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
        graph = Graph.from_dict(json.loads(version.graph))
        if fresh.until == ALONE:
            graph = alone(graph)
        position = await self._position(graph, fresh, last)
        actor = RunActor(
            self,
            fresh,
            version,
            graph,
            position,
            log_last=await self._store.last_log_row(fresh.number),
            log_kept=await self._store.log_size(fresh.number),
            open_requests=await self._store.requests(line=line, status="open"),
        )
        self._actors[fresh.id] = actor
        actor.begin()
        return actor

    async def _position(self, graph: Graph, record: RunRecord, last: StepRow) -> Position:
        """Where a line stands by its committed rows."""
        line, visits = record.line or 0, await self._store.visits(record.line or 0)
        if graph.mode == "dag":
            settling = await settling_of(self._store, graph, line)
            rows = await self._store.attempts(line, 0, last.seq + 1)
            used = used_attempts(rows, line, settling.taken)
            return Position(last.seq, settling.next(), visits, used, settling=settling)
        onward = await find_onward(self._store, graph, record.version, line, last.seq, own=line)
        rows = await self._store.attempts(line, last.seq + 1, last.seq + 1)
        attempts = {onward.next: max((row.attempt for row in rows), default=0)} if onward.next is not None else {}
        return Position(last.seq, onward.next, visits, attempts, onward.choose_from)

    async def _version_of(self, record: RunRecord) -> VersionRecord:
        version = await self._store.version(record.version)
        if version is None:
            raise UnknownRun(
                f"The code of run {record.id[-8:]} is not stored.",
                cause=f"Version {record.version[:12]} of {record.workflow} is missing in the database.",
                next_step=f"Start it again: rondo run {record.workflow}",
            )
        return version

    async def _timer_due(self, key: TimerKey) -> None:
        """Let the run of a timer go on, where it still waits for it."""
        run_id, line, request = key
        record = await self._store.run(run_id)
        if record.status not in FINAL and record.line == line:
            await commands.timer_due(await self.actor(record), request)

    # What actors ask for ------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now()

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings.now

    def publish(self, event: Event) -> None:
        """Pass an event on to the clients."""
        self._bus.publish(event)

    async def commit(self, operations: Sequence[Operation], *, patient: bool = True) -> list[Any]:
        """Commit; the patient wait while the disk is full or another has the database, and everybody is told."""
        waiting = False
        try:
            while True:
                try:
                    return await self._store.commit(operations)
                except (DiskFull, DatabaseBusy) as error:
                    if self.draining or not patient:
                        raise
                    if not waiting:
                        waiting = True
                        self._patient += 1
                    self._on_trouble(error)
                    await asyncio.sleep(RETRY_SECONDS)
                except DatabaseProblem as error:
                    self._on_trouble(error)
                    raise
        finally:
            if waiting:
                self._patient -= 1
                if not self._patient:
                    self._on_relief()

    async def secrets_of(self, actor: RunActor) -> RunSecrets | None:
        """What the run's code has been given, or would be now; None where it is given nothing."""
        if actor.secrets is None:
            with contextlib.suppress(SecretProblem):
                actor.secrets = await self.secrets.of(actor.record.workflow, actor.version.files)
        return actor.secrets

    async def requests_of(self, line: int) -> list[RequestRow]:
        """Every request of a line."""
        return await self._store.requests(line=line)

    def _idlers(self) -> Iterator[ProcessLife]:
        """Who could give room back: runs that wait while their process is still there."""
        for actor in list(self._actors.values()):
            if actor.status in WAITING and actor.process_life.listening:
                yield actor.process_life

    async def spawn(self, actor: RunActor) -> Process:
        """Start the run's process from its last committed state."""
        record, position = actor.record, actor.position
        actor.secrets = await self.secrets.of(record.workflow, actor.version.files)
        history = await self._history_of(actor)
        folder = self._workspace.workflows_dir / record.workflow
        answers = [
            {"key": request_key(row), "hash": row.hash, "answer": json.loads(row.answer or "null")}
            for row in history.requests
            # What another run came to is asked for anew: its final state is not in the row.
            if row.status == "answered" and row.kind != SUBFLOW and row.visit == position.visits.get(row.node, 0) + 1
        ]
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
            "tools": tool_names(actor.version.files.get("tools.json")),
            "folder": str(folder),
            "output_dir": str(self._workspace.output / record.id),
            "workspace": str(self._workspace.root),
            "run_key": record.id,
            "seq": position.seq,
            "next": position.next,
            "visits": position.visits,
            "trials": trials_of(history.attempts, history.requests, position.visits),
            "last_error": last_error_of(history.last_step),
            "choose_from": position.choose_from,
            "answers": answers,
            "until": "step" if actor.until in ("step", ALONE) else "end",
            "deltas_since_snapshot": list(history.since_snapshot),
            "limits": self._log_limits(actor),
            **history.dag,
        }
        crash_point("run.spawn.wanted")
        python = None
        if (found := actor.process_life.environment.found) is not None:
            python = str(found.python)
            init["environment"] = run_variables(found)
        if actor.secrets is not None:
            init["environment"] = {**init.get("environment", {}), **actor.secrets.values}
            init["secrets"] = list(actor.secrets.values)
        process: Process = await self._pool.spawn(init, history.state, actor.process_life, python=python)
        self._usage.wake()
        crash_point("run.spawn.there")
        return process

    async def _history_of(self, actor: RunActor) -> _History:
        """What a process must know of what its run did before; nothing is read for a run that has only begun."""
        state, actor.initial_state = actor.initial_state, None
        if state is not None and actor.position.seq == 0 and actor.position.settling is None:
            return _History(state)
        store, line = self._store, actor.line
        requests, attempts, last_step, since_snapshot = await asyncio.gather(
            self.requests_of(line),
            store.own_attempts(line, _first_of_interest(actor)),
            store.last_step(line),
            store.deltas_since_snapshot(line),
        )
        dag: dict[str, Any] = {}
        if actor.position.settling is not None:
            dag, state = await init_of_dag(store, line)
        else:
            _, state = await store.state_at(line, None)
        return _History(state, dag, requests, attempts, last_step, since_snapshot)

    def need_of(self, actor: RunActor) -> Need | None:
        """What the version of the run asks for, where environments are made at all."""
        if self._environments is None:
            return None
        return need_of(actor.version.files, self._workspace.workflows_dir / actor.record.workflow)

    async def hold_environment(self, actor: RunActor, need: Need, say: Callable[[str], None]) -> Held:
        """An environment in use until it is released."""
        assert self._environments is not None
        return await self._environments.hold(need, actor.record.workflow, say)

    def _log_limits(self, actor: RunActor) -> dict[str, Any]:
        """How much of the run's output is still kept: the limits are the run's, not those of one process."""
        limits = self.settings.limits_of(actor.record.workflow)
        return limits_left(limits.log_lines, int(limits.log_mb * MB), actor.log.kept_lines, actor.log.kept_size)

    def forget(self, actor: RunActor) -> None:
        """Take an actor that is done out of the table."""
        self.slots.give_back(actor.process_life)
        if self._actors.get(actor.record.id) is actor:
            del self._actors[actor.record.id]


def _first_of_interest(actor: RunActor) -> int:
    """From which step on failed attempts may be those of visits to come."""
    return actor.position.seq + 1 if actor.graph.mode == "machine" else 0
