"""The life of one run's process: started when there is room, let go when the run waits long, replaced when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.engine.death import Deaths
from core.engine.environments.own import OwnEnvironment
from core.engine.logpipe import LogRecord
from core.engine.runlog import LEVELS
from core.engine.time_limits import TimeLimits
from core.errors import SecretProblem
from core.link.types import FINAL, WAITING, ErrorView, InFlight
from core.store.operations import UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import Process, RunActor
    from core.engine.processes import ExitStatus

STOP_GRACE_SECONDS = 2.0
IMPORT_LIMIT_SECONDS = 10.0
LINGER_SECONDS = 10.0
"""How long a process that has nothing left to do may take to end by itself."""


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
        self.deaths = Deaths(actor, self)
        self.time_limits = TimeLimits(self._overdue)
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
        self.deaths.new_process()
        self.time_limits.clear()
        self._importing = True
        self.epoch += 1
        actor.requests.new_process()
        actor.frames.new_process()
        try:
            self.process = await actor.world.spawn(actor)
        except SecretProblem as problem:
            await self._rest_without(problem)
            return
        started = actor.record.started_at or actor.world.now()
        actor.change_record(started_at=started, epoch=self.epoch)
        pid, ticks = self.process.pid, self.process.started_ticks
        known = UpdateRun(actor.record.number, pid=pid, pid_started=ticks, epoch=self.epoch, started_at=started)
        await actor.commit([*actor.status_operations("running"), known])
        crash_point("run.spawn.committed")
        actor.entered("running")
        self.set_timer(IMPORT_LIMIT_SECONDS, self._import_took_too_long)

    async def _rest_without(self, problem: SecretProblem) -> None:
        """Pause the run, because it can't be given a secret now: a person sees to that, and lets it go on."""
        actor = self._actor
        self._importing = False
        text = (
            f"paused: {problem.message} {problem.cause} Next: {problem.next_step}; then: rondo resume {actor.short_id}"
        )
        actor.log.line(actor.world.now(), "ERROR", text, "")
        await actor.pause()

    def imported(self) -> None:
        """The workflow's code is there."""
        if self._importing:
            self._importing = False
            self.stop_timer()

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame to the process, if there is one that listens."""
        if self.process is not None:
            self.process.send({**header, "e": self.epoch}, payload)

    def sender(self, header: dict[str, Any]) -> Callable[[], None] | None:
        """What sends a frame to the process at once; None where there is none."""
        return self.process.sender({**header, "e": self.epoch}) if self.process is not None else None

    @property
    def sends_from_any_thread(self) -> bool:
        """Whether what `sender` returns may be called on any thread, or on the event loop alone."""
        return self.process is not None and self.process.sends_from_any_thread

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

    def on_log_records(self, records: Sequence[LogRecord]) -> None:
        """Take log lines; after the actor has left, the numbers of the lines belong to another."""
        if self._actor.closed.is_set():
            return
        if (secrets := self._actor.secrets) is not None:
            records = [(*record[:6], secrets.text(record[6])) for record in records]
        if any(record[2] == "raw" and record[1] >= LEVELS["ERROR"] for record in records):
            # A report of the fault handler, whose node is known once the frames that came before were taken: also those
            # that are being read just now, for output is looked for before each frame.
            asyncio.get_running_loop().call_soon(self._actor.post, lambda: self._add_report(records))
        else:
            self._actor.log.add(records)

    async def _add_report(self, records: Sequence[LogRecord]) -> None:
        """Give the lines of a fault handler's report to the node in flight, where there is one."""
        flights = list(self._actor.in_flight.values())
        if len(flights) == 1:
            flight = flights[0]
            records = [
                (at, level, stream, flight.node, flight.visit, flight.attempt, text)
                if stream == "raw" and level >= LEVELS["ERROR"]
                else (at, level, stream, node, visit, attempt, text)
                for at, level, stream, node, visit, attempt, text in records
            ]
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

    async def has_paused(self) -> None:
        """The process has made its one step and ends; where the run is to go on meanwhile, another one follows."""
        self.expect_exit()
        if self._actor.status == "running" and self._actor.until == "end":
            self._wanted = True

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
        self.time_limits.clear()
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
                self.deaths.reason = failure
                await self.process.kill()

        self._actor.post(end)

    async def abandon(self) -> None:
        """End the process without waiting for what it still says: its frames no longer count."""
        self.stop_timer()
        self.environment.release()
        self.expecting_exit = True
        self._wanted = False
        self.epoch += 1
        self.time_limits.clear()
        process, self.process = self.process, None
        self._actor.world.slots.give_back(self)
        if process is not None:
            await process.kill()

    async def _exited(self, status: ExitStatus, description: str) -> None:
        """The process is gone: as asked, or by its own death, which counts as an attempt of what was in flight."""
        actor = self._actor
        self.stop_timer()
        self.time_limits.clear()
        stack = self.process.last_stack if self.process is not None else ""
        if actor.secrets is not None:
            description, stack = actor.secrets.text(description), actor.secrets.text(stack)
        self.process = None
        self.environment.release()
        actor.world.slots.give_back(self)
        crash_point("run.exit.seen")
        await actor.log.flush()
        if actor.status in FINAL:
            return
        if not self.expecting_exit:
            await self.deaths.died(status, description, stack)
        elif self._wanted:
            await self.start()
        else:
            await actor.commit([UpdateRun(actor.record.number, pid=None, pid_started=None)])

    async def start_after(self, seconds: float) -> None:
        """Get the run a process after a while."""
        self._wanted = True
        if seconds > 0:
            self.set_timer(seconds, self.start)
        else:
            await self.start()

    def _overdue(self, flight: InFlight) -> None:
        """An attempt goes on after its time limit, and was cancelled in vain."""
        self._actor.post(lambda: self._end_overdue(flight))

    async def _end_overdue(self, flight: InFlight) -> None:
        """End the process for an attempt that can't be cancelled, unless it has ended meanwhile."""
        if self._actor.in_flight.get(flight.node) is not flight or self.process is None or self.expecting_exit:
            return
        if self._actor.status in FINAL:
            return
        self.deaths.blamed = flight
        self.deaths.reason = ErrorView(
            type="NodeTimeout",
            message=f"{flight.node} took longer than {flight.timeout:g} s.",
            cause="Its time limit (timeout). Its code blocked the event loop, or went on after it was cancelled, "
            "so the whole process was ended with all it had started.",
            next_step="Make it faster, or give it a larger timeout in the workflow's JSON; put code that blocks into "
            "await asyncio.to_thread(...).",
        )
        await self.process.kill()

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
        self.deaths.made_progress()

    def set_timer(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        """Post something to the actor's queue after a while, instead of what was set before."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._actor.post(act))

    def stop_timer(self) -> None:
        """Forget what was set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
