"""One run, one actor: every command and every frame of the run passes one queue, so they have one order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import structlog

from core.crash_points import crash_point
from core.engine.breakpoints import Breakpoints
from core.engine.environments.cache import Held, Need
from core.engine.frames import Frames
from core.engine.process_life import ProcessLife
from core.engine.requests import Requests
from core.engine.runlog import RunLog
from core.engine.secrets import RunSecrets
from core.engine.slots import Slots
from core.engine.timers import Timers
from core.errors import DatabaseDamaged, DatabaseProblem, EngineStopping, RondoError, RunAtRest
from core.flow.graph import Graph
from core.flow.settling import Settling
from core.link.event_types import RunChanged, StepChanged
from core.link.types import FINAL, ErrorView, InFlight, Status
from core.settings import Settings
from core.store.operations import InsertAttempt, Operation, UpdateLine, UpdateRun, WithdrawRequests
from core.store.records import RequestRow, RunRecord, VersionRecord

log = structlog.get_logger()

Act = Callable[[], Awaitable[None]]


class Process(Protocol):
    """What the engine needs of a run process."""

    @property
    def pid(self) -> int: ...
    @property
    def started_ticks(self) -> int: ...
    def send(self, header: dict[str, Any], payload: bytes = b"") -> None: ...

    @property
    def sends_from_any_thread(self) -> bool:
        """Whether what `sender` returns may be called on any thread, or on the event loop alone."""
        ...

    def sender(self, header: dict[str, Any]) -> Callable[[], None]:
        """What sends this frame at once."""
        ...

    @property
    def last_stack(self) -> str:
        """Where its code stood at the end, as far as the system's fault handler has said it."""
        ...

    async def stop(self, grace: float) -> None: ...
    async def kill(self) -> None: ...


class Calls(Protocol):
    """What an actor needs of the runs that are nodes of others (see `core.engine.subflows`)."""

    def begin(self, parent: str, line: int, key: str) -> None: ...
    def entered(self, child: RunRecord, status: str) -> None: ...
    def abandon(self, child: str) -> None: ...
    async def again(self, row: RequestRow, header: dict[str, Any], failed_attempts: int) -> str | None: ...
    async def final_state(self, answer: dict[str, Any]) -> bytes: ...


class Brokerage(Protocol):
    """What an actor needs of the calls of models, addresses and tools (see `core.engine.broker`)."""

    def asked(self, actor: RunActor, header: dict[str, Any], payload: bytes) -> None: ...
    def dropped(self, actor: RunActor, header: dict[str, Any]) -> None: ...
    def entered(self, record: RunRecord, status: str) -> None: ...
    async def spent(self, actor: RunActor, key: str) -> None: ...


class World(Protocol):
    """What an actor needs of the engine around it."""

    @property
    def draining(self) -> bool:
        """True once the engine is stopping: no process is started any more."""
        ...

    @property
    def slots(self) -> Slots:
        """The room for processes."""
        ...

    @property
    def timers(self) -> Timers:
        """What is answered by itself when its time comes."""
        ...

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        ...

    @property
    def subflows(self) -> Calls:
        """The runs that other runs wait for."""
        ...

    @property
    def broker(self) -> Brokerage:
        """What makes the calls of nodes."""
        ...

    @property
    def breakpoints(self) -> Breakpoints:
        """Where runs pause by themselves."""
        ...

    def now(self) -> float: ...
    def publish(self, event: Any) -> None: ...

    async def commit(self, operations: Sequence[Operation], *, patient: bool = True) -> list[Any]:
        """Make operations durable; the patient wait while the disk is full, the others raise DiskFull."""
        ...

    async def secrets_of(self, actor: RunActor) -> RunSecrets | None:
        """What the run's code has been given, or would be now; None where it is given nothing."""
        ...

    async def requests_of(self, line: int) -> list[RequestRow]: ...
    async def spawn(self, actor: RunActor) -> Process: ...

    def need_of(self, actor: RunActor) -> Need | None:
        """The packages that the run's code needs beside the engine's own; None where it needs none."""
        ...

    async def hold_environment(self, actor: RunActor, need: Need, say: Callable[[str], None]) -> Held:
        """The environment with these packages, made where it is not there; `say` hears how that goes."""
        ...

    def forget(self, actor: RunActor) -> None:
        """The actor has nothing more to do."""
        ...


@dataclass(slots=True)
class Position:
    """Where a line stands: `next` is the node to enter, `attempts` are used up by visits that are not complete.

    With `choose_from` the next node is chosen again among that node's edges before anything runs. Of a dag, `next` is
    the node that is first in turn, and `settling` says what is done, ready and skipped.
    """

    seq: int
    next: str | None
    visits: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    choose_from: str | None = None
    settling: Settling | None = None


class RunActor:
    """Drives one run: holds its status and position, and does one thing at a time."""

    def __init__(
        self,
        world: World,
        record: RunRecord,
        version: VersionRecord,
        graph: Graph,
        position: Position,
        *,
        log_last: int = 0,
        log_kept: tuple[int, int] = (0, 0),
        open_requests: Sequence[RequestRow] = (),
    ) -> None:
        self.world = world
        self.record = record
        self.version = version
        self.graph = graph
        self.position = position
        self.status = cast(Status, record.status)
        self.until = record.until
        self.pause_reason = record.pause_reason if record.until == "pause" else ""
        """Why the run is about to pause; empty where a person wants that."""
        self.initial_state: bytes | None = None
        """The state's JSON text of a run that has only begun, where it is still at hand."""
        self.secrets: RunSecrets | None = None
        """What its code has been given; None where its version declares no secrets."""
        self.in_flight: dict[str, InFlight] = {}
        self.failed_attempts: list[InsertAttempt] = []
        self.closed = asyncio.Event()
        self.log = RunLog(world, record.number, self.line, record.id, log_last, record.logs_dropped, log_kept)
        self.requests = Requests(self, open_requests)
        self.frames = Frames(self)
        self.process_life = ProcessLife(self)
        self._inbox: asyncio.Queue[Act] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @property
    def line(self) -> int:
        """The number of the run's present line."""
        return self.record.line or 0

    @property
    def short_id(self) -> str:
        """The ending of the run's id that people use."""
        return self.record.id[-8:]

    def rests_after(self, node: str) -> bool:
        """True where the run is to pause once this node's visit is complete, and those that run beside it."""
        return self.until in ("step", "pause") or self.until == f"node:{node}"

    def busy_beside(self, node: str) -> bool:
        """True where other nodes run, and don't just wait for answers."""
        return bool(self.in_flight.keys() - {node} - self.requests.waiting_nodes())

    # The queue ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start to work through the queue."""
        self._task = asyncio.create_task(self._work(), name=f"run {self.short_id}")

    def post(self, act: Act) -> None:
        """Put something to do at the end of the queue."""
        self._inbox.put_nowait(act)

    async def do(self, command: Act) -> None:
        """Run a command in the actor's order; its error reaches the caller."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def guarded() -> None:
            try:
                await command()
            except Exception as error:
                # Whoever gave the command hears what came of it, whatever that is; the actor goes on.
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(None)

        self.post(guarded)
        closed = asyncio.ensure_future(self.closed.wait())
        waits: set[asyncio.Future[Any]] = {done, closed}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
        if not done.done():
            raise stopping_error() if self.world.draining else self.at_rest_error()
        done.result()

    async def _work(self) -> None:
        """Do one thing after the other, and leave when nothing is left that could bring a next one."""
        try:
            while not self.closed.is_set():
                act = await self._inbox.get()
                await self._do_safely(act)
                # Here and nowhere else, so that nobody leaves while another command is being carried out.
                if self._inbox.empty() and not self.process_life.engaged:
                    self.leave()
        finally:
            self.leave()

    async def _do_safely(self, act: Act) -> None:
        try:
            await act()
        except DatabaseDamaged as error:
            await self._fail_safely(error_view(error))
        except DatabaseProblem as error:
            log.error("a run stopped: the database refused its rows", run=self.record.id, error=error.message)
            await self.give_up()
        except RondoError as error:
            await self._fail_safely(error_view(error))
        except Exception as error:
            # A defect of ours costs this run, and neither the engine nor the other runs.
            log.exception("a run failed inside the engine", run=self.record.id)
            await self._fail_safely(
                ErrorView(
                    type=type(error).__name__,
                    message=f"Rondo itself failed while it ran this: {error}",
                    cause="A defect in the engine; the run's committed steps are safe.",
                    next_step="Look into runs/engine.log and report it.",
                )
            )

    async def _fail_safely(self, error: ErrorView) -> None:
        try:
            await self.fail(error)
        except Exception:
            log.exception("a run could not be failed", run=self.record.id)
            # Perhaps it was what goes with the commit that can't be stored: the status matters more.
            self.failed_attempts.clear()
            self.log.take()
            try:
                await self.fail(error)
            except Exception:
                # The next engine takes it up from its last durable step.
                log.exception("a run could not be failed", run=self.record.id)
                await self.give_up()

    async def close(self) -> None:
        """Stop at once and leave the run as it is in the store: the next engine goes on from there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.give_up()

    async def give_up(self) -> None:
        """Let the process go and leave the status as it is."""
        await self.process_life.abandon()
        try:
            if self.failed_attempts:
                await self.commit([], patient=False)
        except RondoError as error:
            log.error("failed attempts were lost", run=self.record.id, error=error.message)
        await self.log.flush()
        self.leave()

    def leave(self) -> None:
        """Nothing more to do: the actor leaves the engine's table. Calling it again changes nothing."""
        self.process_life.stop_timer()
        self.process_life.environment.release()
        self.in_flight.clear()
        self.world.forget(self)
        if not self.closed.is_set():
            self.closed.set()
            self.post(_nothing)

    # Status -------------------------------------------------------------------------------------------------------

    def status_operations(self, status: Status, **fields: Any) -> list[Operation]:
        """What commits a new status of the run and its line; fields that are None stay as they are."""
        given = {name: value for name, value in fields.items() if value is not None}
        line = {name: given[name] for name in ("ended_at", "error") if name in given}
        return [UpdateRun(self.record.number, status=status, **given), UpdateLine(self.line, status=status, **line)]

    async def commit(self, operations: Sequence[Operation], *, patient: bool = True) -> list[Any]:
        """Commit operations with the failed attempts and the log lines that came before them; return the results."""
        attempts, self.failed_attempts = self.failed_attempts, []
        taken = self.log.take()
        try:
            results = await self.world.commit([*operations, *attempts, *taken.operations], patient=patient)
        except Exception:
            # Only these operations were refused; what goes with them goes with the next.
            self.failed_attempts[:0] = attempts
            self.log.put_back(taken)
            raise
        self.log.committed(taken)
        for attempt in attempts:
            self.publish_step(attempt.node, attempt.visit, attempt.attempt, "failed", attempt.ended_at)
        return results

    def change_record(self, **fields: Any) -> None:
        """Remember what was committed of the run's row."""
        self.record = replace(self.record, **fields)

    def entered(self, status: Status) -> None:
        """Tell the clients of a status that is durable."""
        self.status = status
        self.world.broker.entered(self.record, status)
        if self.record.parent_run is not None:
            self.world.subflows.entered(self.record, status)
        node = next(iter(self.in_flight), None) or self.position.next
        self.world.publish(
            RunChanged(
                run_id=self.record.id,
                workflow=self.record.workflow,
                line=self.line,
                status=status,
                step=self.position.seq,
                node=node,
            )
        )

    def publish_step(
        self,
        node: str,
        visit: int,
        attempt: int,
        status: str,
        at: float,
        seq: int | None = None,
        next_node: str | None = None,
    ) -> None:
        """Tell the clients what an attempt or a step came to."""
        self.world.publish(
            StepChanged(
                run_id=self.record.id,
                workflow=self.record.workflow,
                line=self.line,
                node=node,
                visit=visit,
                attempt=attempt,
                status=status,
                at=at,
                seq=seq,
                next_node=next_node,
            )
        )

    async def pause(self, *more: Operation, at_once: bool = False) -> None:
        """Pause the run between two steps, or, with `at_once`, give up its running visits, which run again later."""
        now = self.world.now()
        for flight in self.in_flight.values():
            text = f"attempt {flight.attempt} was given up by a pause; the visit runs again when the run goes on"
            self.log.line(now, "WARNING", text, flight.node, flight.visit, flight.attempt)
        node = next(iter(self.in_flight), self.position.next)
        paused = self.status_operations("paused", node=node, pause_reason=self.pause_reason)
        await self.commit([*paused, UpdateRun(self.record.number, until="end"), *more], patient=False)
        self.until = "end"
        self.pause_reason = ""
        self.in_flight.clear()
        self.entered("paused")
        await self.process_life.dismiss(at_once=at_once)

    async def fail(self, error: ErrorView) -> None:
        """Give the run its final failed status and end its process."""
        if self.status in FINAL:
            return
        now = self.world.now()
        said = f"run failed: {error.type}: {error.message}"
        self.log.line(now, "ERROR", said if self.secrets is None else self.secrets.text(said), error.node or "")
        text = error_document(error)
        text = text if self.secrets is None else self.secrets.text(text)
        node = error.node or self.position.next
        await self.commit(
            [
                *self.status_operations("failed", ended_at=now, node=node, error=text),
                WithdrawRequests(self.line, now),
            ]
        )
        crash_point("run.fail.committed")
        self.entered("failed")
        self.requests.withdrawn()
        await self.process_life.let_go()

    def at_rest_error(self) -> RunAtRest:
        """The refusal for a command that comes too late."""
        return RunAtRest(
            f"The run is {self.status}.",
            cause="The command needs a run that is still going.",
            next_step=f"See it: rondo show {self.short_id}",
        )


def stopping_error() -> EngineStopping:
    """The refusal for a command that comes while the engine ends."""
    return EngineStopping("The engine is stopping.", cause="It takes no more work.", next_step="Try again in a moment.")


async def _nothing() -> None:
    """Wakes the queue's reader, so that it sees that the actor is closed."""


def error_view(error: RondoError, node: str | None = None) -> ErrorView:
    """An error of ours as it is kept with a run."""
    return ErrorView(
        type=error.type_name, message=error.message, cause=error.cause, next_step=error.next_step, node=node
    )


def error_document(error: ErrorView) -> str:
    """The JSON text that is kept of an error."""
    return json.dumps({name: getattr(error, name) for name in error.__struct_fields__}, ensure_ascii=False)
