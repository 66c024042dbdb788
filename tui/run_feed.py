"""What the Run screen reads of the engine: the run, its steps, states and log, a window of each at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from textual.message import Message

from core.link.types import ChangeView, LogLine, LogPage, LogQuery, RunView, StateView, StepPage
from core.link.workflow_types import WorkflowDetail
from tui.reader import Reader
from tui.screens.base import RondoScreen
from tui.state_tree import Path
from tui.step_rows import PAGE

LOG_PAGE = 300
"""Lines of log that are read at a time."""
FLOOD = 600
"""So many rows behind, the newest ones are read instead of the next ones."""
FAR = 1 << 60
"""A row after all others."""

StepsKind = Literal["newest", "newer", "older", "first", "last", "around"]
LogKind = Literal["newer", "older", "first", "last", "around"]


class RunRead(Message, bubble=False):
    """The run as it is."""

    def __init__(self, run: RunView) -> None:
        super().__init__()
        self.run = run


class WorkflowOfRun(Message, bubble=False):
    """The workflow that the run belongs to."""

    def __init__(self, detail: WorkflowDetail) -> None:
        super().__init__()
        self.detail = detail


class StepsRead(Message, bubble=False):
    """Attempts and steps after step `after`. `step` is where the cursor is to stand for kind "around"."""

    def __init__(self, kind: StepsKind, after: int, page: StepPage, step: int = 0, line: int | None = None) -> None:
        super().__init__()
        self.step = step
        self.line = line
        self.kind = kind
        self.after = after
        self.page = page


class StateRead(Message, bubble=False):
    """The state after a step and what the step changed."""

    def __init__(self, state: StateView, changes: list[ChangeView], line: int | None = None) -> None:
        super().__init__()
        self.line = line
        self.state = state
        self.changes = changes


class PartRead(Message, bubble=False):
    """A part of a state."""

    def __init__(self, state: StateView, line: int | None = None) -> None:
        super().__init__()
        self.line = line
        self.state = state


class LogRead(Message, bubble=False):
    """Rows of the log. `row` is where the cursor is to stand, None for the end."""

    def __init__(self, kind: LogKind, page: LogPage, row: int | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.page = page
        self.row = row


class LogFound(Message, bubble=False):
    """The row that a search found, with rows around it; None for nothing. `around` says that it went past the end."""

    def __init__(self, line: LogLine | None, around: bool) -> None:
        super().__init__()
        self.line = line
        self.around = around


class RunFeed:
    """Reads one run for a screen, which gets the messages above."""

    def __init__(self, screen: RondoScreen, run_id: str) -> None:
        self._screen = screen
        self.run_id = run_id
        self.line: int | None = None
        """The line whose steps and states are read; None for the present one."""
        self.steps_after = 0
        """The step after which the newest steps are read."""
        self.steps_following = True
        """Whether steps between may be passed over to show the newest ones."""
        self.state_step = 0
        """The step whose state is wanted."""
        self.log_after = 0
        """The row after which the newest log is read."""
        self.log_last = 0
        """The newest row there is, as far as the events say."""
        self.log_dropped = 0
        """How many lines the run printed beyond what is kept."""
        self.node: str | None = None
        self.minimum_level: str | None = None
        engine = screen.rondo
        # Events come in a bounded number of batches a second: without a rest a step is seen as soon as it can be.
        self.run: Reader[RunView] = Reader(
            screen, "the run", lambda: engine.engine.get_run(self.run_id), RunRead, period=0
        )
        self.steps: Reader[Message] = Reader(screen, "the steps", self._newest_steps, lambda message: message, period=0)
        self.state: Reader[Message] = Reader(screen, "the state", self._state, lambda message: message)
        self.log: Reader[Message] = Reader(screen, "the log", self._newest_log, lambda message: message)

    def want_all(self) -> None:
        """Read everything again: connected, or events were lost."""
        self.run.want()
        self.steps.want()
        self.log.want()

    def want_workflow(self, name: str) -> None:
        """Read the run's workflow, for the places of its code."""
        engine = self._screen.engine
        self._screen.ask(lambda: engine.get_workflow(name), WorkflowOfRun, group="workflow of run")

    # Steps and states ------------------------------------------------------------------------------------------

    async def _newest_steps(self) -> Message:
        """The steps after the last one that is loaded; the very newest ones where those are far ahead."""
        engine, line = self._screen.engine, self.line
        after = self.steps_after
        page = await engine.read_steps(self.run_id, after, PAGE, line)
        if page.more and self.steps_following and page.total - after > 2 * PAGE:
            after = page.total - PAGE
            page = await engine.read_steps(self.run_id, after, PAGE, line)
        return StepsRead("newest", after, page, line=line)

    def want_steps(self, kind: StepsKind, *, first: int = 0, last: int = 0, total: int = 0, step: int = 0) -> None:
        """Read another stretch: before step `first`, after step `last`, around `step`, the first or the last one."""
        starts = {"older": first - PAGE, "newer": last, "first": 0, "around": step - PAGE // 2, "last": total - PAGE}
        after = max(0, starts[kind])
        limit = first - after if kind == "older" else PAGE
        if limit > 0:
            engine, line = self._screen.engine, self.line
            self._screen.ask(
                lambda: engine.read_steps(self.run_id, after, limit, line),
                lambda page: StepsRead(kind, after, page, step, line),
                group=f"steps {kind}",
                exclusive=False,
            )

    def want_state(self, step: int) -> None:
        """Read the state after a step, and what it changed."""
        self.state_step = step
        self.state.want()

    async def _state(self) -> Message:
        step, line = self.state_step, self.line
        engine = self._screen.engine
        state, changes = await asyncio.gather(
            engine.read_state(self.run_id, step, line=line), engine.read_changes(self.run_id, step, line)
        )
        return StateRead(state, changes, line)

    def want_part(self, step: int, path: Path) -> None:
        """Read a part of a state that was left out."""
        engine, line = self._screen.engine, self.line
        self._screen.ask(
            lambda: engine.read_state(self.run_id, step, list(path), line=line),
            lambda state: PartRead(state, line),
            group=f"part {path}",
            doing="reading a part of the state",
        )

    async def whole_state(self, step: int) -> object:
        """The whole state after a step, read piece by piece."""
        text, line = b"", self.line
        while True:
            chunk = await self._screen.engine.read_state_chunk(self.run_id, step, len(text), line)
            text += chunk.data
            if not chunk.data or len(text) >= chunk.size:
                return msgspec.json.decode(text)

    # Log -------------------------------------------------------------------------------------------------------

    def _query(
        self, *, after: int | None = None, before: int | None = None, limit: int = LOG_PAGE, search: str = ""
    ) -> LogQuery:
        return LogQuery(
            run_id=self.run_id,
            after=after,
            before=before,
            limit=limit,
            node=self.node,
            minimum_level=self.minimum_level,
            search=search or None,
        )

    async def _newest_log(self) -> Message:
        flood = self.log_last - self.log_after > FLOOD
        if flood or not self.log_after:
            return LogRead("last", await self._screen.engine.read_logs(self._query(before=FAR)))
        return LogRead("newer", await self._screen.engine.read_logs(self._query(after=self.log_after)))

    def want_log(self, kind: LogKind, row: int) -> None:
        """Read another stretch: before or after a row, around it, the first or the last one."""
        self._screen.ask(
            lambda: self._stretch(kind, row), lambda message: message, group=f"log {kind}", exclusive=False
        )

    async def _stretch(self, kind: LogKind, row: int) -> Message:
        engine = self._screen.engine
        match kind:
            case "older":
                return LogRead(kind, await engine.read_logs(self._query(before=row)))
            case "newer":
                return LogRead(kind, await engine.read_logs(self._query(after=row)))
            case "first":
                return LogRead(kind, await engine.read_logs(self._query(after=0)), 1)
            case "last":
                return LogRead(kind, await engine.read_logs(self._query(before=FAR)))
        before = await engine.read_logs(self._query(before=row, limit=LOG_PAGE // 2))
        after = await engine.read_logs(self._query(after=row - 1, limit=LOG_PAGE // 2))
        page = LogPage(lines=[*before.lines, *after.lines], last=after.last, dropped=after.dropped)
        return LogRead(kind, page, row)

    async def every_line(self, at_once: int, take: Callable[[list[LogLine]], Awaitable[None]]) -> int:
        """Hand over all lines that fit the filters, page by page; returns how many."""
        after, count = 0, 0
        while True:
            page = await self._screen.engine.read_logs(self._query(after=after, limit=at_once))
            if not page.lines:
                return count
            await take(page.lines)
            count += len(page.lines)
            after = page.lines[-1].row

    def find(self, text: str, row: int, *, backwards: bool) -> None:
        """Look for the next row after (or before) a row that contains the text; goes on at the other end."""
        self._screen.ask(
            lambda: self._find(text, row, backwards), lambda message: message, group="find", doing="searching"
        )

    async def _find(self, text: str, row: int, backwards: bool) -> Message:
        engine = self._screen.engine
        for around, start in ((False, row), (True, FAR if backwards else 0)):
            sides = {"before": start} if backwards else {"after": start}
            page = await engine.read_logs(self._query(limit=1, search=text, **sides))
            if page.lines:
                return LogFound(page.lines[0], around)
        return LogFound(None, True)
