"""Following a run: its log lines and steps as they happen, until it is at rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from core.cli.call import Client, end_task
from core.cli.output import LEVEL_STYLES, Output, Part, clock_time, duration
from core.link.event_types import Event, Resync
from core.link.types import LogLine, LogPage, LogQuery, RequestView, RunView, StepView

LOG_PAGE = 1000
LOOK_AGAIN = 1.0
"""Seconds after which the rows are read without an event: events are hints."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of a log are meant."""

    node: str | None = None
    minimum_level: str | None = None
    search: str | None = None


ALL = LogFilter()
Show = Callable[[list[LogLine], list[StepView]], None]


def log_parts(line: LogLine) -> list[Part]:
    """One log line for people: time, node and visit, level, text."""
    where = line.node if line.visit <= 1 else f"{line.node}#{line.visit}"
    level = (f"{line.level:<7} ", LEVEL_STYLES.get(line.level, ""))
    return [(clock_time(line.at), "dim"), f" {where:<14} ", level, " ".join(line.text.splitlines())]


def step_name(step: StepView) -> str:
    """The node of a step, with the number of its visit from the second on; an edit of the state has no node."""
    if not step.node:
        return "(state edited)"
    return step.node if step.visit <= 1 else f"{step.node}#{step.visit}"


def step_parts(step: StepView) -> list[Part]:
    """One finished attempt for people."""
    at = step.ended_at if step.ended_at is not None else step.started_at
    took = duration(at - step.started_at)
    where = step_name(step)
    parts: list[Part] = [(clock_time(at), "dim"), " "]
    if step.status == "completed":
        again = f", attempt {step.attempt}" if step.attempt > 1 else ""
        again += ", by exec_fallback" if step.fallback else ""
        return [*parts, ("✓", "green"), f" step {step.step}: {where}  ", (f"{took}{again}", "dim")]
    if step.status == "skipped":
        after = f" after {step.error.type}" if step.error is not None else ""
        return [*parts, ("↷", "yellow"), f" step {step.step}: {where} skipped{after}  ", (took, "dim")]
    error = f"{step.error.type}: {step.error.message}" if step.error is not None else step.status
    return [
        *parts,
        ("✗", "red"),
        f" {where} attempt {step.attempt} {step.status}  ",
        (took, "dim"),
        "  ",
        one_text(error),
    ]


def one_text(text: str) -> str:
    """The first line of a message, with a sign where there is more."""
    first, *rest = text.splitlines() or [""]
    return first + (" …" if rest else "")


def print_news(output: Output) -> Show:
    """A way to show log lines and steps to people, in the order of their times."""

    def show(lines: list[LogLine], steps: list[StepView]) -> None:
        timed = [(line.at, log_parts(line)) for line in lines]
        timed += [(step.ended_at or step.started_at, step_parts(step)) for step in steps]
        timed.sort(key=lambda entry: entry[0])
        output.lines(parts for _, parts in timed)

    return show


class Follower:
    """One run, read as it goes: `show` gets each log line and each finished attempt once."""

    def __init__(
        self, client: Client, run_id: str, show: Show | None, *, steps: bool = True, wanted: LogFilter = ALL
    ) -> None:
        self._wanted = wanted
        self._client = client
        self._run_id = run_id
        self._show = show
        self._steps = steps
        self._log_row = 0
        self._last_step = 0
        self._seen_failures: set[tuple[str, int, int]] = set()
        self._changed = asyncio.Event()

    async def skip_to_now(self) -> None:
        """Leave out what happened before: only later lines and steps will be shown."""
        view = await self._client.ask(lambda engine: engine.get_run(self._run_id))
        self._log_row = view.log_last
        self._last_step = view.step
        await self._new_steps()

    def skip_to(self, step: int, log_row: int) -> None:
        """Leave out the steps up to `step` and the log lines up to `log_row`."""
        self._last_step, self._log_row = step, log_row

    async def until_rest(self) -> RunView:
        """Show what happens until the run is at rest, and return how it is then."""
        async with self.watching():
            while True:
                self._changed.clear()
                view = await self._client.ask(lambda engine: engine.get_run(self._run_id))
                await self._show_news()
                if view.rests:
                    return view
                await self._wait_for_change()

    async def until_answered(self, request: RequestView) -> None:
        """Wait until that request is open no more, whoever answered it; it may be one of a run below this one."""
        async with self.watching():
            while True:
                self._changed.clear()
                view = await self._client.ask(lambda engine: engine.get_run(request.run_id))
                if all(known.key != request.key for known in view.open_requests):
                    return
                await self._wait_for_change()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Listen to the engine's events for as long as the block lasts."""
        watcher = asyncio.create_task(self._client.watch(self._on_events))
        watcher.add_done_callback(lambda _: self._changed.set())
        try:
            yield
        finally:
            await end_task(watcher)

    def _on_events(self, events: list[Event]) -> None:
        if any(isinstance(event, Resync) or getattr(event, "run_id", None) == self._run_id for event in events):
            self._changed.set()

    async def _wait_for_change(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN):
                await self._changed.wait()

    async def _show_news(self) -> None:
        if self._show is None:
            return
        steps = await self._new_steps() if self._steps else []
        shown = False
        async for lines in log_pages(self._client, self._run_id, self._log_row, self._wanted):
            self._log_row = lines.lines[-1].row
            # Steps go in between the lines of the last page; earlier pages are a backlog that is older.
            last = self._log_row >= lines.last
            self._show(lines.lines, steps if last else [])
            shown = shown or last
        if steps and not shown:
            self._show([], steps)

    async def _new_steps(self) -> list[StepView]:
        """Finished attempts that were not seen yet. Failed ones come again until their visit is complete."""
        steps: list[StepView] = []
        async for page in step_pages(self._client, self._run_id, after=self._last_step):
            for row in page:
                attempt = (row.node, row.visit, row.attempt)
                if row.status == "running" or attempt in self._seen_failures:
                    continue
                steps.append(row)
                if row.step is None:
                    self._seen_failures.add(attempt)
                else:
                    self._last_step = row.step
                    self._seen_failures.clear()
        return steps


async def step_pages(
    client: Client, run_id: str, after: int = 0, line: int | None = None
) -> AsyncIterator[list[StepView]]:
    """The run's attempts after step `after`, page by page; those that failed come before the step they led to."""
    while True:
        step = after
        page = await client.ask(lambda engine: engine.read_steps(run_id, after=step, line=line))  # noqa: B023
        yield page.steps
        completed = [row.step for row in page.steps if row.step is not None]
        if not page.more or not completed:
            return
        after = completed[-1]


async def log_pages(client: Client, run_id: str, after: int = 0, wanted: LogFilter = ALL) -> AsyncIterator[LogPage]:
    """The run's log lines after a row, page by page, up to what is there now; empty pages are left out."""
    while True:
        query = LogQuery(
            run_id=run_id,
            after=after,
            limit=LOG_PAGE,
            node=wanted.node,
            minimum_level=wanted.minimum_level,
            search=wanted.search,
        )
        page = await client.ask(lambda engine: engine.read_logs(query))  # noqa: B023
        if not page.lines:
            return
        yield page
        after = page.lines[-1].row
        if after >= page.last:
            return
