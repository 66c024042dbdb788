"""What the end of a run process means that was not asked to end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from core.crash_points import crash_point
from core.link.types import WAITING, ErrorView, InFlight
from core.store.operations import UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import RunActor
    from core.engine.process_life import ProcessLife
    from core.engine.processes import ExitStatus

IDLE_DEATH_LIMIT = 3
"""How often a process may die between two steps, with no node to blame, before the run fails."""


class Deaths:
    """Counts a death as an attempt of the nodes in flight, and has the run go on or fail."""

    def __init__(self, actor: RunActor, life: ProcessLife) -> None:
        self._actor = actor
        self._life = life
        self._idle = 0
        self.reason: ErrorView | None = None
        """Why the engine ended the present process: what it used too much of, or which node took too long."""
        self.blamed: InFlight | None = None
        """The attempt that it was ended for; without one it counts against all in flight."""

    def new_process(self) -> None:
        """A new process has done nothing yet."""
        self.reason = self.blamed = None

    def made_progress(self) -> None:
        """A step is durable: earlier deaths no longer count."""
        self._idle = 0

    async def died(self, status: ExitStatus, description: str, stack: str) -> None:
        """The process has ended; `stack` is where its code stood, as far as the system's fault handler has said it."""
        actor = self._actor
        if actor.status in WAITING and self.blamed is None:
            text = f"the process {description}; the visit starts again when the wait is over"
            actor.log.line(actor.world.now(), "WARNING", text, "")
            actor.in_flight.clear()
            await actor.commit([UpdateRun(actor.record.number, pid=None, pid_started=None)])
            return
        # Where nobody could tell how it ended, the engine's own machinery was at fault and not the node.
        blameless = self.reason is None and status.code is None and status.signal is None
        flights = [] if blameless else list(actor.in_flight.values())
        if self.blamed is not None:
            # What the process still said of that attempt may have come between the decision and its end.
            complete = actor.position.visits.get(self.blamed.node, 0) >= self.blamed.visit
            flights = [] if complete else [self.blamed]
            self.reason = None if complete else self.reason
        failure = self._failure(description, flights, blameless)
        failure.traceback = stack
        for flight in flights:
            if actor.in_flight.get(flight.node) is flight:
                self._count(flight, failure)
        actor.in_flight.clear()
        if not self._may_try_again(flights, blameless or status.signal == signal.SIGKILL):
            await actor.fail(failure)
            return
        actor.log.line(actor.world.now(), "WARNING", f"the run process {description}; another one goes on", "")
        await actor.commit(actor.status_operations("queued"))
        crash_point("run.died.committed")
        actor.entered("queued")
        await self._life.start_after(max((flight.pause for flight in flights), default=0.0))

    def _count(self, flight: InFlight, failure: ErrorView) -> None:
        """Note the death as a failed attempt of a node."""
        self._actor.frames.attempt_failed(
            {
                "node": flight.node,
                "visit": flight.visit,
                "attempt": flight.attempt,
                "started_at": flight.started_at,
                "ended_at": self._actor.world.now(),
                "failure": {
                    "type": failure.type,
                    "message": failure.message,
                    "traceback": failure.traceback,
                    "cause": failure.cause,
                    "next_step": failure.next_step,
                },
            }
        )

    def _failure(self, description: str, flights: list[InFlight], blameless: bool) -> ErrorView:
        flight = next((flight for flight in flights if flight.last), flights[0] if flights else None)
        node = flight.node if flight is not None else self._actor.position.next
        if self.reason is not None:
            self.reason.node = node
            return self.reason
        cause = "Code of the node, or of a library it uses, ended the whole process."
        next_step = "Look at the last lines of its log; a crash inside a library names its line there."
        if "from outside" in description:
            cause = "Nothing in Rondo did: the system when memory is short, or a person."
        if "not a frame" in description:
            cause = (
                "The node's code wrote into a file descriptor that is not its own, or a child process that it forked "
                "went on as if it were the run."
            )
            next_step = "Look for os.write, os.closerange and os.fork in the node's code and in the libraries it uses."
        elif "closed on its side" in description:
            cause = "The node's code closed a file descriptor that is not its own; without it no step can be kept."
            next_step = "Look for os.close, os.closerange and daemon modules in the node's code and in its libraries."
        elif blameless:
            cause = "It did not end by itself, and this has happened several times now."
            next_step = "Look into runs/engine.log, and run rondo doctor; then start the run again."
        elif not flights:
            cause = (
                "No node was running: the code at the top level of nodes.py, a thread, or something that a node left "
                "behind ended the process."
            )
            next_step = (
                "Look at the last lines of its log, and for os._exit, threads and tasks that outlive their node."
            )
        return ErrorView(
            type="RunProcessDied",
            message=f"The run process {description}.",
            cause=cause,
            next_step=next_step,
            node=node,
        )

    def _may_try_again(self, flights: list[InFlight], from_outside: bool) -> bool:
        """True where what is in flight has something left to try, or no node is to blame and this is not a habit.

        A process that dies by its own fault before anything was tried has no good code to import.
        """
        if flights:
            return not any(flight.last for flight in flights)
        self._idle += 1
        if self.reason is not None:
            return False
        position = self._actor.position
        worked = position.seq > 0 or bool(position.attempts)
        return (from_outside or worked) and self._idle < IDLE_DEATH_LIMIT
