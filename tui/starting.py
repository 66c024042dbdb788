"""Starting runs: asks for consent where it is needed, for inputs where they are missing, and then shows the run."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from textual.app import App
from textual.message import Message

from core.errors import InvalidInput, RondoError
from tui.messages import EngineFailed
from tui.text import relative_time

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from core.link.tool_types import Lack
    from core.link.types import RunView, StartRun
    from core.link.workflow_types import ApprovalView, WorkflowDetail
    from tui.screens.consent import Decision


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a person is: the screen that lies under any sheet, the workflow on it, how often one went elsewhere."""

    screen: object
    workflow: str
    moves: int


class Opening(Message, bubble=False):
    """Something is to open, at the place where the run was asked for and nowhere else."""

    asked_at: Whereabouts | None = None


class RunStarted(Opening, bubble=False):
    """A run is on its way."""

    def __init__(self, run: RunView) -> None:
        super().__init__()
        self.run = run


class ConsentNeeded(Opening, bubble=False):
    """The present version may not run yet."""

    def __init__(self, approval: ApprovalView, start: StartRun) -> None:
        super().__init__()
        self.approval = approval
        self.start = start


class InputsNeeded(Opening, bubble=False):
    """A form is to be filled in; `problem` says why the engine refused what was given before, `last` is the run whose
    inputs are given, where they are those of one."""

    def __init__(
        self, detail: WorkflowDetail, given: dict[str, Any], problem: str, last: RunView | None = None
    ) -> None:
        super().__init__()
        self.detail = detail
        self.given = given
        self.problem = problem
        self.last = last


class VersionBroken(Opening, bubble=False):
    """The folder as it is can't run; `last_good` is a stored version that can, or None."""

    def __init__(self, start: StartRun, last_good: str | None) -> None:
        super().__init__()
        self.start = start
        self.last_good = last_good


class LacksFound(Message, bubble=False):
    """A run that was started will not get all that it needs."""

    def __init__(self, run: RunView, lacks: list[Lack]) -> None:
        super().__init__()
        self.run = run
        self.lacks = lacks


CHECK_SECONDS = 15.0
"""How long is looked for what a run will not get."""
REPEAT_SECONDS = 1.0
"""A press so soon after the last one is a key that is held, or a doubled press: it starts nothing."""


class StartsRuns(App[int]):
    """The part of the app that starts runs. Whoever derives from it has the engine and can show a run."""

    _beginning = ""
    """What is being started or read for that, or ""."""
    _last_press = -REPEAT_SECONDS
    """When a run was last asked for."""

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        raise NotImplementedError

    @property
    def whereabouts(self) -> Whereabouts:
        """Where the person is now."""
        raise NotImplementedError

    def go_run(self, run_id: str) -> None:
        """Show a run."""
        raise NotImplementedError

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    now: Callable[[], float]
    """The clock."""

    def start_run(self, workflow: str, inputs: dict[str, Any] | None = None) -> None:
        """Start a run of the folder as it is."""
        from core.link.types import StartRun

        if self.is_repeat():
            return
        start = StartRun(command_id=str(uuid4()), workflow=workflow, inputs=inputs or {})
        self._begin(lambda: self._check_and_start(start), f"starting {workflow}")

    def ask_for_inputs(self, workflow: str, given: dict[str, Any] | None = None) -> None:
        """Show the form for a run's inputs, with those of the last run in it."""
        if self.is_repeat():
            return
        self._begin(lambda: self._read_inputs(workflow, given, ""), f"reading {workflow}")

    def is_repeat(self) -> bool:
        """True, with a word, for a press that means nothing of its own: one run for one deliberate press."""
        now = monotonic()
        since, self._last_press = now - self._last_press, now
        if self._beginning:
            self.say(f"Not again: {self._beginning} is under way", "hint")
            return True
        if since < REPEAT_SECONDS:
            self.say("Not again so soon: press once more for another run", "hint")
            return True
        return False

    def _begin(self, call: Callable[[], Awaitable[Message]], doing: str) -> None:
        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                message = EngineFailed(error, doing)
            finally:
                self._beginning = ""
            if isinstance(message, Opening):
                message.asked_at = asked_at
            self.post_message(message)

        self._beginning = doing
        asked_at = self.whereabouts
        self.run_worker(work, group="start", name=doing)  # type: ignore[arg-type]

    async def _check_and_start(self, start: StartRun) -> Message:
        detail = await self.engine.get_workflow(start.workflow)
        if detail.version is None or any(finding.severity == "error" for finding in detail.findings):
            return VersionBroken(start, detail.last_good)
        approval = await self.engine.approval(start.workflow)
        if not approval.approved:
            return ConsentNeeded(approval, start)
        return await self._start(start)

    async def _start(self, start: StartRun) -> Message:
        try:
            return RunStarted(await self.engine.start_run(start))
        except InvalidInput as error:
            problem = "\n".join(line for line in (error.message, error.cause, error.next_step) if line)
            return await self._read_inputs(start.workflow, start.inputs, problem)

    async def _read_inputs(self, workflow: str, given: dict[str, Any] | None, problem: str) -> Message:
        detail = await self.engine.get_workflow(workflow)
        if given is not None:
            return InputsNeeded(detail, given, problem)
        last = await self._last_run_of(workflow)
        values = _inputs_of(last) if last is not None else {}
        return InputsNeeded(detail, values, problem, last if values else None)

    async def _last_run_of(self, workflow: str) -> RunView | None:
        """The last run that a person started; that of a subflow had the inputs of its node."""
        from core.link.types import RunFilter

        rows = await self.engine.list_runs(RunFilter(workflow=workflow, limit=1, top=True))
        return await self.engine.get_run(rows[0].run_id) if rows else None

    async def _approve_and_start(self, decision: Decision, approval: ApprovalView, start: StartRun) -> Message:
        if decision == "trust":
            await self.engine.trust_workspace()
        else:
            await self.engine.approve(approval.workflow, approval.version)
        return await self._start(start)

    def _comes_late(self, opening: Opening) -> bool:
        """True where one has gone on since: nothing may open under the hands of one who does other things by now."""
        here = self.whereabouts
        return opening.asked_at != here or self.screen is not here.screen

    def _asks_late(self, opening: Opening, workflow: str) -> bool:
        """True, with a word, where a question that is to be asked before a run comes late."""
        late = self._comes_late(opening)
        if late:
            self.say(f"{workflow} was not started: it has a question first, and you had gone on. r asks again", "hint")
        return late

    def _look_for_lacks(self, run: RunView) -> None:
        """Find out beside the run what it will not get: a run that could wait and ask is not held up by it."""

        async def work() -> None:
            try:
                async with timeout(CHECK_SECONDS):
                    lacks = await self.engine.check_workflow(run.workflow, run.version)
            except (RondoError, TimeoutError):
                return
            if lacks:
                self.post_message(LacksFound(run, lacks))

        self.run_worker(work, group="check", name=f"checking {run.workflow}")  # type: ignore[arg-type]

    def on_lacks_found(self, message: LacksFound) -> None:
        workflow, lacks = message.run.workflow, message.lacks
        if len(lacks) == 1:
            text = f"{workflow}: {lacks[0].message} {lacks[0].next_step}"
        else:
            names = ", ".join(f"{lack.kind} {lack.name}" for lack in lacks)
            text = f"{workflow}: {len(lacks)} things are missing: {names}. More: rondo check {workflow}"
        self.say(text, "hint")

    def on_run_started(self, message: RunStarted) -> None:
        self._look_for_lacks(message.run)
        if self._comes_late(message):
            run = message.run
            self.say(f"Run {run.short_id} of {run.workflow} started. To it: :show {run.short_id}", "good")
        else:
            self.go_run(message.run.run_id)

    def on_consent_needed(self, message: ConsentNeeded) -> None:
        if self._asks_late(message, message.approval.workflow):
            return
        from tui.screens.consent import ConsentSheet

        def decided(decision: Decision | None) -> None:
            if decision is not None:
                approval, start = message.approval, message.start
                self._begin(lambda: self._approve_and_start(decision, approval, start), f"starting {start.workflow}")

        self.push_screen(ConsentSheet(message.approval), decided)

    def on_inputs_needed(self, message: InputsNeeded) -> None:
        if self._asks_late(message, message.detail.name):
            return
        from tui.screens.inputs import InputsSheet

        def filled(values: dict[str, Any] | None) -> None:
            if values is not None:
                self._last_press = -REPEAT_SECONDS
                self.start_run(message.detail.name, values)

        last = message.last
        when = relative_time(last.created_at, self.now()) if last is not None else ""
        self.push_screen(InputsSheet(message.detail, message.given, message.problem, when), filled)

    def on_version_broken(self, message: VersionBroken) -> None:
        from msgspec.structs import replace

        from tui.screens.confirm import ConfirmSheet

        name = message.start.workflow
        last_good = message.last_good
        if self._asks_late(message, name):
            return
        if last_good is None:
            self.say(f"{name} has errors, and there is no earlier version to run.\nIts findings say where.", "hint")
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self._begin(lambda: self._start(replace(message.start, version=last_good)), f"starting {name}")

        text = f"The files as they are now have errors. The last version without any is {last_good[:8]}."
        self.push_screen(ConfirmSheet(f"Run the last good version of {name}?", text, yes="run it"), decided)


def _inputs_of(run: RunView) -> dict[str, Any]:
    """The inputs that a run was given; none where they are too large to be sent with it."""
    import msgspec

    values = msgspec.json.decode(run.inputs)
    return values if isinstance(values, dict) else {}
