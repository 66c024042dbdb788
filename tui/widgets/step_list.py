"""The steps of a run as they happen: attempts, how they went, how long they took."""

from __future__ import annotations

from collections.abc import Callable

from core.link.status import look_of
from core.link.types import RequestView, RunView, SkippedNode, StepPage, StepView
from tui.spans import Spans
from tui.step_rows import StepRows
from tui.text import bar, duration, fit, visible
from tui.widgets.window_list import WindowList

NUMBER_WIDTH = 4
TRY_WIDTH = 4
TIME_WIDTH = 6
BAR_AT_LEAST = 4
NAME_AT_MOST = 24


class StepList(WindowList):
    """One attempt a line; a visit's first line names its node."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="steps")
        self._now = now
        self.steps = StepRows()
        self._longest_name = 6
        self.waiting: RequestView | None = None
        """The request that the run waits for: its node shows as waiting, also where it isn't in flight any more."""
        self.asking: set[tuple[str, int]] = set()
        """Node and visit of every open request."""
        self.calling: set[tuple[str, int]] = set()
        """Those of them that wait for the run of a subflow."""
        self.paused_before = ""
        """The node that a paused run goes on with."""
        self.breakpoints: frozenset[str] = frozenset()
        """Nodes before which the run pauses."""
        self.skipped: list[SkippedNode] = []
        """Nodes of a dag that will not run: they stand at the end."""
        self.past_line: int | None = None
        """The number of the older line whose steps these are; None for the line on which the run is."""

    @property
    def selected(self) -> StepView | None:
        """The attempt under the cursor."""
        return self.steps.rows[self.cursor] if self.cursor < len(self.steps.rows) else None

    @property
    def selected_step(self) -> int:
        """The step whose state belongs to the selected line."""
        return self.steps.state_step(self.cursor) if self.steps.rows else 0

    @property
    def has_older(self) -> bool:
        return self.steps.after > 0

    @property
    def has_newer(self) -> bool:
        return not self.steps.at_end

    # Rows ------------------------------------------------------------------------------------------------------

    def show_run(self, run: RunView) -> bool:
        """Take over what the run waits for and which nodes it skips; True where the rows must be read again."""
        asking = {(request.node, request.visit) for request in run.open_requests}
        known = self.waiting, self.asking, self.skipped, self.paused_before
        calls = [request for request in run.open_requests if request.kind == "subflow"]
        self.calling = {(request.node, request.visit) for request in calls}
        self.waiting = run.awaiting_input or (calls[0] if calls else None)
        self.asking, self.skipped = asking, run.skipped
        self.paused_before = run.next_node or "" if run.status == "paused" else ""
        return known != (self.waiting, self.asking, self.skipped, self.paused_before)

    def _with_skipped(self, page: StepPage) -> StepPage:
        """The page with a row for each node that is skipped, where the run's end is on it."""
        if page.more or not self.skipped or self.past_line is not None:
            return page
        rows = [
            StepView(step=None, node=one.node, visit=1, attempt=1, status="skipped", started_at=0.0, ended_at=0.0)
            for one in self.skipped
        ]
        return StepPage(steps=[*page.steps, *rows], total=page.total, more=False)

    def _with_waiting(self, page: StepPage) -> StepPage:
        """The page with a row for the node that waits; a run that waits long has no process and nothing in flight."""
        request = self.waiting
        if self.past_line is not None:
            return page
        if request is None and self.paused_before and not page.more:
            return StepPage(steps=[*page.steps, self._paused_row(page)], total=page.total, more=False)
        if request is None or page.more or any(row.status == "running" for row in page.steps):
            return page
        row = StepView(
            step=None,
            node=request.node,
            visit=request.visit,
            attempt=request.nth if request.kind == "error" else 1,
            status=_waiting_status(request),
            started_at=request.opened_at,
            ended_at=None,
        )
        return StepPage(steps=[*page.steps, row], total=page.total, more=False)

    def _paused_row(self, page: StepPage) -> StepView:
        """The visit that comes next, by the visits that are loaded."""
        node = self.paused_before
        visits = [row.visit for row in (*self.steps.rows, *page.steps) if row.node == node and row.step is not None]
        return StepView(
            step=None,
            node=node,
            visit=max(visits, default=0) + 1,
            attempt=1,
            status="paused",
            started_at=0.0,
            ended_at=None,
        )

    def show_newest(self, after: int, page: StepPage) -> None:
        """The newest rows came; where one looks at older ones they are only counted."""
        if not self.following and self.has_newer:
            self.steps.total = page.total
        else:
            self.show_newer(after, page)

    def show_newer(self, after: int, page: StepPage) -> None:
        """Rows after a step came, which lie in the window or right behind it."""
        page = self._with_skipped(self._with_waiting(page))
        cut = self.steps.extend(after, page.steps, page.total, more=page.more)
        self._measure(page)
        if cut:
            self.lines_shifted(-cut)
        self.rows_grew()

    def show_older(self, after: int, page: StepPage) -> None:
        """Rows before the window came."""
        self._measure(page)
        self.lines_shifted(self.steps.prepend(after, page.steps))

    def show_stretch(self, after: int, page: StepPage, line: int) -> None:
        """Show another stretch, with the cursor on one of its lines (-1: the last)."""
        self.steps.replace(after, page.steps, page.total, more=page.more)
        self._measure(page)
        self.lines_changed()
        self.cursor = len(page.steps) - 1 if line < 0 else line

    def _measure(self, page: StepPage) -> None:
        longest = max((len(self._node_name(row)) for row in page.steps), default=0)
        self._longest_name = min(NAME_AT_MOST, max(self._longest_name, longest))

    def go_step(self, step: int) -> bool:
        """Put the cursor on a completed step; False where it isn't loaded."""
        place = self.steps.place_of_step(step)
        if place is None:
            return False
        self.follow(False)
        self.move_to(place)
        return True

    def redraw_running(self) -> None:
        """Draw the lines again whose time goes on."""
        for place, row in enumerate(self.steps.rows[-8:], max(0, len(self.steps.rows) - 8)):
            if row.status == "running":
                self.redraw_line(place)

    # Drawing ---------------------------------------------------------------------------------------------------

    def line_count(self) -> int:
        return len(self.steps.rows)

    def line_spans(self, line: int, width: int) -> Spans:
        row = self.steps.rows[line]
        first = self.steps.begins_visit(line)
        room = width - NUMBER_WIDTH - TRY_WIDTH - TIME_WIDTH - 4
        name_width = max(6, min(self._longest_name, room - BAR_AT_LEAST))
        bar_width = max(0, room - name_width)
        number = f"{self.steps.number(line)}" if first and not (row.status == "skipped" and row.step is None) else ""
        asks = (row.node, row.visit) in self.asking
        waiting = row.status in ("waiting_input", "waiting_run") or (row.status == "running" and asks)
        called = row.status == "waiting_run" or (row.node, row.visit) in self.calling
        look = look_of(("waiting_run" if called else "waiting_input") if waiting else row.status)
        attempt = f" {row.attempt}" if self.steps.tried_before(line) else ""
        if row.ended_at is None:
            time = "now" if waiting else duration(self._now() - row.started_at)
            time = "next" if row.status == "paused" else time
            share = 0.0
        else:
            time = duration(row.ended_at - row.started_at)
            share = (row.ended_at - row.started_at) / (self.steps.longest or 1.0)
        return [
            (fit(number, NUMBER_WIDTH, right=True), "dim"),
            (" ", ""),
            (fit(self._node_name(row) if first else "", name_width), "" if row.step is not None else "strong"),
            (" ", ""),
            (fit(look.sign + attempt, TRY_WIDTH), look.ink),
            (fit(time, TIME_WIDTH, right=True), "dim" if row.ended_at is None else ""),
            (" ", ""),
            (bar(share, bar_width), look.ink if row.status == "failed" else "rule"),
        ]

    def _node_name(self, row: StepView) -> str:
        if not row.node:
            return "(edited)"
        stop = "◆ " if row.node in self.breakpoints else ""
        return stop + visible(row.node) + (f"#{row.visit}" if row.visit > 1 else "")

    def show_breakpoints(self, nodes: frozenset[str]) -> None:
        """Show before which nodes the run pauses."""
        if nodes != self.breakpoints:
            self.breakpoints = nodes
            longest = max((len(self._node_name(row)) for row in self.steps.rows), default=0)
            self._longest_name = min(NAME_AT_MOST, max(self._longest_name, longest))
            self.lines_changed()


def _waiting_status(request: RequestView) -> str:
    """A node waits for a person, or for the run of a subflow."""
    return "waiting_run" if request.kind == "subflow" else "waiting_input"
