"""One run, one actor: every command and every frame of the run passes one queue, so they have one order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import structlog

from core.engine.frames import Frames
from core.engine.process_life import ProcessLife
from core.engine.requests import Requests
from core.engine.runlog import RunLog
from core.errors import DatabaseProblem, RondoError, RunAtRest
from core.flow.graph import Graph
from core.link.types import FINAL, ErrorView, InFlight, RunChanged, Status, StepChanged
from core.store.operations import Operation, UpdateLine, UpdateRun, WithdrawRequests
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
    async def stop(self, grace: float) -> None: ...
    async def kill(self) -> None: ...


class World(Protocol):
    """What an actor needs of the engine around it."""

    @property
    def draining(self) -> bool:
        """True once the engine is stopping: no process is started any more."""
        ...

    def now(self) -> float: ...
    def publish(self, event: Any) -> None: ...
    async def commit(self, operations: Sequence[Operation]) -> list[Any]: ...
    async def requests_of(self, line: int) -> list[RequestRow]: ...

    def want_slot(self, actor: RunActor) -> None:
        """Ask for room for one more process; `actor.process_life.granted` is posted when there is some."""
        ...

    def release_slot(self, actor: RunActor) -> None: ...
    async def spawn(self, actor: RunActor) -> Process: ...

    def forget(self, actor: RunActor) -> None:
        """The actor has nothing more to do."""
        ...


@dataclass(slots=True)
class Position:
    """Where a line stands: `next` is the node to enter, `attempts` those of its next visit that are used up."""

    seq: int
    next: str | None
    visits: dict[str, int] = field(default_factory=dict)
    attempts: int = 0


class RunActor:
    """Drives one run: holds its status and position, and does one thing at a time."""

    def __init__(
        self, world: World, record: RunRecord, version: VersionRecord, graph: Graph, position: Position, log_last: int
    ) -> None:
        self.world = world
        self.record = record
        self.version = version
        self.graph = graph
        self.position = position
        self.status = cast(Status, record.status)
        self.until = record.until
        self.in_flight: dict[str, InFlight] = {}
        self.error: ErrorView | None = None
        self.failed_attempts: list[Operation] = []
        self.closed = asyncio.Event()
        self.log = RunLog(world, record.number, self.line, record.id, log_last, record.logs_dropped)
        self.requests = Requests(self)
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
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(None)

        self.post(guarded)
        closed = asyncio.ensure_future(self.closed.wait())
        waits: set[asyncio.Future[Any]] = {done, closed}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        if not done.done():
            raise self.at_rest_error()
        done.result()

    @property
    def idle(self) -> bool:
        """True where nothing waits in the queue."""
        return self._inbox.empty()

    async def _work(self) -> None:
        while not self.closed.is_set():
            act = await self._inbox.get()
            try:
                await act()
            except DatabaseProblem as error:
                log.error("a run stopped: the database refused its rows", run=self.record.id, error=error.message)
                await self.give_up()
            except RondoError as error:
                await self._fail_safely(error_view(error))
            except Exception as error:
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
            await self.give_up()

    async def close(self) -> None:
        """Stop at once and leave the run as it is in the store: the next engine goes on from there."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.give_up()
        await self.log.flush()

    async def give_up(self) -> None:
        """Let the process go and leave the rows as they are."""
        await self.process_life.abandon()
        self.leave()

    def leave(self) -> None:
        """Nothing more to do: the actor leaves the engine's table."""
        self.process_life.stop_timer()
        self.in_flight.clear()
        self.world.forget(self)
        self.closed.set()
        self.post(_nothing)

    # Status -------------------------------------------------------------------------------------------------------

    def status_operations(self, status: Status, **fields: Any) -> list[Operation]:
        """What commits a new status of the run and its line; fields that are None stay as they are."""
        given = {name: value for name, value in fields.items() if value is not None}
        line = {name: given[name] for name in ("ended_at", "error") if name in given}
        return [UpdateRun(self.record.number, status=status, **given), UpdateLine(self.line, status=status, **line)]

    async def commit(self, operations: Sequence[Operation]) -> list[Any]:
        """Commit operations with the failed attempts and the log lines that came before them; return the results."""
        attempts, self.failed_attempts = self.failed_attempts, []
        results = await self.world.commit([*operations, *attempts, *self.log.take()])
        self.log.announce()
        return results

    def change_record(self, **fields: Any) -> None:
        """Remember what was committed of the run's row."""
        self.record = replace(self.record, **fields)

    def entered(self, status: Status) -> None:
        """Tell the clients of a status that is durable."""
        self.status = status
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

    async def fail(self, error: ErrorView) -> None:
        """Give the run its final failed status and end its process."""
        if self.status in FINAL:
            return
        self.error = error
        now = self.world.now()
        self.log.line(now, "ERROR", f"run failed: {error.type}: {error.message}", error.node or "")
        text = json.dumps({name: getattr(error, name) for name in error.__struct_fields__}, ensure_ascii=False)
        node = error.node or self.position.next
        await self.commit(
            [
                *self.status_operations("failed", ended_at=now, node=node, error=text),
                WithdrawRequests(self.line, now),
            ]
        )
        self.entered("failed")
        await self.process_life.let_go()

    def at_rest_error(self) -> RunAtRest:
        """The refusal for a command that comes too late."""
        return RunAtRest(
            f"The run is {self.status}.",
            cause="The command needs a run that is still going.",
            next_step=f"See it: rondo show {self.short_id}",
        )


async def _nothing() -> None:
    """Wakes the queue's reader, so that it sees that the actor is closed."""


def error_view(error: RondoError, node: str | None = None) -> ErrorView:
    """An error of ours as it is kept with a run."""
    return ErrorView(
        type=error.type_name, message=error.message, cause=error.cause, next_step=error.next_step, node=node
    )
