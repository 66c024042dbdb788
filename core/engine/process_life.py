"""The life of one run's process: started when there is room, let go when the run waits long, replaced when it dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.engine.environments.own import OwnEnvironment
from core.link.types import FINAL, WAITING, ErrorView, InFlight
from core.store.operations import UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import Process, RunActor
    from core.engine.processes import ExitStatus

STOP_GRACE_SECONDS = 2.0
IMPORT_LIMIT_SECONDS = 10.0
LINGER_SECONDS = 10.0
"""How long a process that has nothing left to do may take to end by itself."""
IDLE_DEATH_LIMIT = 3
"""How often a process may die between two steps, with no node to blame, before the run fails."""


class ProcessLife:
    """Starts, watches and ends the process of one actor; its methods run in the actor's queue, but for `on_*`."""

    def __init__(self, actor: RunActor) -> None:
        self._actor = actor
        self.epoch = actor.record.epoch
        self.process: Process | None = None
        self.expecting_exit = False
        self.environment = OwnEnvironment(actor)
        self._wanted = False
        self._importing = False
        self._idle_deaths = 0
        self._excess: ErrorView | None = None
        """What the present process used too much of, for which it was ended."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def run_id(self) -> str:
        """The run whose process this is."""
        return self._actor.record.id

    @property
    def pid(self) -> int:
        """The pid of the process; 0 where there is none, or none of its own."""
        return self.process.pid if self.process is not None else 0

    @property
    def workflow(self) -> str:
        """The workflow whose room the process takes."""
        return self._actor.record.workflow

    @property
    def priority(self) -> int:
        """Before which others the run gets room."""
        return self._actor.record.priority

    # Start --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Get the run a process as soon as there is room, or as soon as the one that is being let go has ended."""
        actor = self._actor
        if actor.status in FINAL or actor.status == "paused" or actor.world.draining:
            return
        if actor.until == "pause":
            await actor.pause()
            return
        self._wanted = True
        if self.process is None:
            self.environment.prepare(self._want_room)

    def _want_room(self) -> None:
        """What the process needs is there: it starts when there is room."""
        actor = self._actor
        if self._wanted and self.process is None and actor.status not in FINAL and not actor.closed.is_set():
            actor.world.slots.want(self)

    def room_granted(self) -> None:
        """There is room for a process."""
        self._actor.post(self._begin)

    async def _begin(self) -> None:
        """Start the process, unless it is not wanted any more."""
        actor = self._actor
        if not self._wanted or self.process is not None or actor.status in FINAL or actor.world.draining:
            if self.process is None:
                actor.world.slots.give_back(self)
            return
        self._wanted = False
        self.expecting_exit = False
        self._excess = None
        self._importing = True
        self.epoch += 1
        actor.requests.new_process()
        self.process = await actor.world.spawn(actor)
        started = actor.record.started_at or actor.world.now()
        actor.change_record(started_at=started, epoch=self.epoch)
        pid, ticks = self.process.pid, self.process.started_ticks
        known = UpdateRun(actor.record.number, pid=pid, pid_started=ticks, epoch=self.epoch, started_at=started)
        await actor.commit([*actor.status_operations("running"), known])
        crash_point("run.spawn.committed")
        actor.entered("running")
        self.set_timer(IMPORT_LIMIT_SECONDS, self._import_took_too_long)

    def imported(self) -> None:
        """The workflow's code is there."""
        if self._importing:
            self._importing = False
            self.stop_timer()

    def send(self, header: dict[str, Any]) -> None:
        """Send a frame to the process, if there is one that listens."""
        if self.process is not None:
            self.process.send({**header, "e": self.epoch})

    def sender(self, header: dict[str, Any]) -> Callable[[], None] | None:
        """What sends a frame to the process at once from any thread; None where there is no such way."""
        return self.process.sender({**header, "e": self.epoch}) if self.process is not None else None

    @property
    def engaged(self) -> bool:
        """True where the run has a process or is to get one."""
        return self.process is not None or (self._wanted and self._actor.status not in FINAL)

    @property
    def listening(self) -> bool:
        """True where the process is there and was not asked to end."""
        return self.process is not None and not self.expecting_exit

    # What the process says ----------------------------------------------------------------------------------------

    def on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        """Take a frame; those of an earlier process are dropped."""
        if header.get("e") == self.epoch:
            self._actor.post(lambda: self._actor.frames.take(header, payload))

    def on_log_records(self, records: Sequence[tuple[float, int, str, str, int, int, str]]) -> None:
        """Take log lines; after the actor has left, the numbers of the lines belong to another."""
        if not self._actor.closed.is_set():
            self._actor.log.add(records)

    def on_log_dropped(self, count: int) -> None:
        """Lines over the limit were counted and not kept."""
        if not self._actor.closed.is_set():
            self._actor.log.drop(count)

    def on_exit(self, status: ExitStatus, description: str) -> None:
        """The process has ended and everything it said was delivered."""
        self._actor.post(lambda: self._exited(status, description))

    # End ----------------------------------------------------------------------------------------------------------

    async def let_go(self) -> None:
        """Ask the process to end, if there is one."""
        self.expecting_exit = True
        if self.process is not None:
            await self.process.stop(STOP_GRACE_SECONDS)

    def expect_exit(self) -> None:
        """The process has nothing left to do and ends by itself, or is ended."""
        self.expecting_exit = True
        self.set_timer(LINGER_SECONDS, self.kill)

    async def kill(self) -> None:
        """End the process at once, with everything it started."""
        self.expecting_exit = True
        if self.process is not None:
            await self.process.kill()

    async def dismiss(self, *, at_once: bool) -> None:
        """End the process, or the wait for one: what it still says no longer counts, and its end is no failure."""
        self.stop_timer()
        self.expecting_exit = True
        self._wanted = False
        self.epoch += 1
        self._actor.requests.new_process()
        if self.process is None:
            self.environment.release()
            self._actor.world.slots.give_back(self)
        elif at_once:
            await self.process.kill()
        else:
            await self.process.stop(STOP_GRACE_SECONDS)

    def over_limit(self, failure: ErrorView) -> None:
        """End the present process, because it used more than it may."""
        epoch = self.epoch

        async def end() -> None:
            if self.epoch == epoch and self.process is not None and not self.expecting_exit:
                self._excess = failure
                await self.process.kill()

        self._actor.post(end)

    async def abandon(self) -> None:
        """End the process without waiting for what it still says: its frames no longer count."""
        self.stop_timer()
        self.environment.release()
        self.expecting_exit = True
        self._wanted = False
        self.epoch += 1
        process, self.process = self.process, None
        self._actor.world.slots.give_back(self)
        if process is not None:
            await process.kill()

    async def _exited(self, status: ExitStatus, description: str) -> None:
        """The process is gone: as asked, or by its own death, which counts as an attempt of what was in flight."""
        actor = self._actor
        self.stop_timer()
        self.process = None
        self.environment.release()
        actor.world.slots.give_back(self)
        crash_point("run.exit.seen")
        await actor.log.flush()
        if actor.status in FINAL:
            return
        if not self.expecting_exit:
            await self._died(status, description)
        elif self._wanted:
            await self.start()
        else:
            await actor.commit([UpdateRun(actor.record.number, pid=None, pid_started=None)])

    async def _died(self, status: ExitStatus, description: str) -> None:
        actor = self._actor
        if actor.status in WAITING:
            text = f"the process {description}; the visit starts again when the wait is over"
            actor.log.line(actor.world.now(), "WARNING", text, "")
            actor.in_flight.clear()
            await actor.commit([UpdateRun(actor.record.number, pid=None, pid_started=None)])
            return
        # Where nobody could tell how it ended, the engine's own machinery was at fault and not the node.
        blameless = status.code is None and status.signal is None
        flights = [] if blameless else list(actor.in_flight.values())
        failure = self._failure(description, flights, blameless)
        for flight in flights:
            actor.frames.attempt_failed(
                {
                    "node": flight.node,
                    "visit": flight.visit,
                    "attempt": flight.attempt,
                    "started_at": flight.started_at,
                    "ended_at": actor.world.now(),
                    "failure": {
                        "type": failure.type,
                        "message": failure.message,
                        "traceback": "",
                        "cause": failure.cause,
                        "next_step": failure.next_step,
                    },
                }
            )
        actor.in_flight.clear()
        if self._may_try_again(flights, blameless or status.signal == signal.SIGKILL):
            actor.log.line(actor.world.now(), "WARNING", f"the run process {description}; another one goes on", "")
            await actor.commit(actor.status_operations("queued"))
            crash_point("run.died.committed")
            actor.entered("queued")
            await self.start()
            return
        await actor.fail(failure)

    def _failure(self, description: str, flights: list[InFlight], blameless: bool) -> ErrorView:
        if self._excess is not None:
            self._excess.node = flights[0].node if flights else self._actor.position.next
            return self._excess
        cause = "Code of the node, or of a library it uses, ended the whole process."
        if "from outside" in description:
            cause = "Nothing in Rondo did: the system when memory is short, or a person."
        if blameless:
            cause = "It did not end by itself, and this has happened several times now."
        elif not flights:
            cause = "It ended while the workflow's code was imported, or between two steps."
        used_up = [flight for flight in flights if flight.attempt >= self._attempts_of(flight.node)]
        return ErrorView(
            type="RunProcessDied",
            message=f"The run process {description}.",
            cause=cause,
            next_step="Look at the last lines of its log; a crash inside a library names its line there.",
            node=(used_up or flights)[0].node if flights else self._actor.position.next,
        )

    def _may_try_again(self, flights: list[InFlight], from_outside: bool) -> bool:
        """True where no running node's attempts are used up, or no node is to blame and this is not a habit.

        A process that dies by its own fault before anything was tried has no good code to import.
        """
        actor = self._actor
        if not flights:
            self._idle_deaths += 1
            if self._excess is not None:
                return False
            worked = actor.position.seq > 0 or bool(actor.position.attempts)
            return (from_outside or worked) and self._idle_deaths < IDLE_DEATH_LIMIT
        return all(flight.attempt < self._attempts_of(flight.node) for flight in flights)

    def _attempts_of(self, node: str) -> int:
        spec = self._actor.graph.nodes.get(node)
        return spec.retry.attempts if spec is not None and spec.retry is not None else 1

    async def _import_took_too_long(self) -> None:
        actor = self._actor
        if not self._importing or self.process is None or actor.status in FINAL:
            return
        await actor.fail(
            ErrorView(
                type="NodeImportError",
                message=f"Importing the workflow's code took more than {IMPORT_LIMIT_SECONDS:.0f} s.",
                cause="Something at the top level of nodes.py, or of what it imports, does not come back.",
                next_step="Move slow work from the top level into the nodes' methods.",
            )
        )

    # Timers -------------------------------------------------------------------------------------------------------

    def wait_a_while(self, due: float | None) -> None:
        """The run waits: keep the process for a while, then let it go; at once where it is known that it waits long.

        `due` is when the run goes on by itself, None where it waits for a person.
        """
        world = self._actor.world
        seconds = world.settings.engine.keep_process_seconds
        if world.slots.crowded or (due is not None and due - world.now() > seconds):
            seconds = 0.0
        self.set_timer(seconds, self._let_go_if_waiting)

    def make_room(self) -> None:
        """Others wait for room: let the process go now where the run waits."""
        self._actor.post(self._let_go_if_waiting)

    async def _let_go_if_waiting(self) -> None:
        """Give the room back while the run waits; the visit starts again from `prepare` when the answer comes."""
        if self._actor.status in WAITING and self.listening:
            self._actor.in_flight.clear()
            await self.let_go()

    def made_progress(self) -> None:
        """A step is durable: earlier deaths no longer count."""
        self._idle_deaths = 0

    def set_timer(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        """Post something to the actor's queue after a while, instead of what was set before."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._actor.post(act))

    def stop_timer(self) -> None:
        """Forget what was set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
