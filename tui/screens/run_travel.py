"""The time travel of the Run screen: pause, try again, run again, rewind or fork at the selected step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from textual.message import Message

from core.errors import EffectsNotAcknowledged
from core.link.commands import Fork, Rerun, Retry, Rewind
from core.link.types import FINAL
from tui.actions import action
from tui.run_feed import RunRead
from tui.screens.confirm import ConfirmSheet
from tui.screens.run_steps import StepActions
from tui.starting import RunStarted

if TYPE_CHECKING:
    from core.link.types import RunView

Command = Retry | Rewind | Fork


class EffectsAsked(Message, bubble=False):
    """Nodes that write may act again; `again` is the command that says that they may."""

    def __init__(self, text: str, again: Callable[[], None]) -> None:
        super().__init__()
        self.text = text
        self.again = again


def needs_running(screen: TravelActions) -> str:
    """Why the run can't be paused."""
    if screen.run is None:
        return "The run is still being read"
    if screen.run.status in FINAL or screen.run.status in ("paused", "blocked"):
        return f"The run is {screen.run.status}"
    return "The run pauses already when its step is complete" if screen.run.pausing else ""


def needs_failed(screen: TravelActions) -> str:
    """Why the run can't be tried again."""
    if screen.run is None:
        return "The run is still being read"
    return "" if screen.run.status in ("failed", "cancelled") else f"The run is {screen.run.status}"


def needs_run(screen: TravelActions) -> str:
    """Why there is nothing to go back in."""
    return "The run is still being read" if screen.run is None else ""


class TravelActions(StepActions):
    """What leads a run back or on. The screen knows its run."""

    run: RunView | None

    @action(
        "run.pause",
        "pause",
        keys="P",
        words="pause",
        help="Pause when the running step is complete",
        when=needs_running,
    )
    def pause_run(self) -> None:
        command, run_id = str(uuid4()), self.feed.run_id
        self.ask(lambda: self.engine.pause_run(command, run_id), RunRead, group="pause", doing="pausing")

    @action(
        "run.retry", "try again", keys="t", words="retry", help="Go on from the node it ended at", when=needs_failed
    )
    def retry_run(self) -> None:
        self._send_command(Retry(command_id=str(uuid4()), run_id=self.feed.run_id), "trying again")

    @action("run.rerun", "run again", keys="A", words="rerun", help="A new run with the same inputs", when=needs_run)
    def rerun(self) -> None:
        # A key that is held on a card, to apply and run, would begin a second run here.
        if self.rondo.is_repeat():
            return
        command = Rerun(command_id=str(uuid4()), run_id=self.feed.run_id)
        self.ask(lambda: self.engine.rerun(command), self._run_begun, group="travel", doing="running again")

    @action("run.rewind", "rewind here", keys="W", words="rewind", help="Go on from the selected step", when=needs_run)
    def rewind_run(self) -> None:
        step = self._step_shown
        text = f"The run goes on after step {step}, on a new line; what came after it stays readable."
        rewind = Rewind(command_id=str(uuid4()), run_id=self.feed.run_id, step=step, line=self.feed.line)
        self._confirm_command(
            f"Rewind run {self.feed.run_id[-8:]} to step {step}?", text, "rewind it", rewind, "rewinding"
        )

    @action("run.fork", "fork here", keys="F", words="fork", help="A new run from the selected step", when=needs_run)
    def fork_run(self) -> None:
        step = self._step_shown
        text = f"A new run goes on after step {step}; this one is not touched."
        fork = Fork(command_id=str(uuid4()), run_id=self.feed.run_id, step=step, line=self.feed.line)
        self._confirm_command(f"Fork run {self.feed.run_id[-8:]} at step {step}?", text, "fork it", fork, "forking")

    def _confirm_command(self, question: str, text: str, yes: str, command: Command, doing: str) -> None:
        def decided(agreed: bool | None) -> None:
            if agreed:
                self._send_command(command, doing)

        self.rondo.push_screen(ConfirmSheet(question, text, yes=yes), decided)

    def _send_command(self, command: Command, doing: str) -> None:
        """Send a command; where nodes that write may act again, ask before it is sent once more."""

        async def call() -> Message:
            try:
                return self._come_of(command, await self._carry_out(command))
            except EffectsNotAcknowledged as error:
                again = msgspec.structs.replace(command, acknowledge_effects=True)
                return EffectsAsked(f"{error.message}\n{error.cause}", lambda: self._send_command(again, doing))

        self.ask(call, lambda message: message, group="travel", doing=doing)

    def _carry_out(self, command: Command) -> Awaitable[RunView]:
        match command:
            case Retry():
                return self.engine.retry_run(command)
            case Rewind():
                return self.engine.rewind_run(command)
        return self.engine.fork_run(command)

    def _come_of(self, command: Command, run: RunView) -> Message:
        return self._run_begun(run) if isinstance(command, Fork) else RunRead(run)

    def _run_begun(self, run: RunView) -> Message:
        return RunBegun(run)

    def on_effects_asked(self, message: EffectsAsked) -> None:
        def decided(agreed: bool | None) -> None:
            if agreed:
                message.again()

        self.rondo.push_screen(ConfirmSheet("May they act again?", message.text, yes="they may"), decided)

    def on_run_begun(self, message: RunBegun) -> None:
        """Another run began here: the app shows it, as each that it starts."""
        started = RunStarted(message.run)
        started.asked_at = replace(self.rondo.whereabouts, screen=self)
        self.app.post_message(started)

    def show_new_line(self, step: int) -> None:
        """Another line is shown now: nothing that is loaded is of it."""
        self.steps.follow(True)
        self.feed.steps_after = 0
        self.feed.want_steps("last", total=step)
        self.feed.want_state(step)


class RunBegun(Message, bubble=False):
    """A new run came of this one."""

    def __init__(self, run: RunView) -> None:
        super().__init__()
        self.run = run
