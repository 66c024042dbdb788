"""The table of runs: a window on all of them, the newest on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Literal

from textual.message import Message
from textual.strip import Strip

from core.link.status import look_of
from core.link.types import RunRow
from tui.chat_words import cost_text
from tui.run_rows import RunRows
from tui.spans import Inked, Spans
from tui.text import fit, plural, relative_time, visible, waiting_text
from tui.widgets.line_list import LineList
from tui.workflow_text import took

EDGE = 40
"""Lines from the edge of the window at which the next rows are asked for."""
PATIENCE_SECONDS = 2.0
"""How long rows that were asked for are waited for."""
RUN_WIDTH = 8
STATUS_WIDTH = 12
STEP_WIDTH = 6
WHEN_WIDTH = 8
TOOK_WIDTH = 7
COST_WIDTH = 9
NAME_AT_MOST = 28
NODE_AT_MOST = 20

Where = Literal["older", "newer", "first", "last"]


class Columns:
    """Widths of the table's columns at a width of the list."""

    def __init__(self, width: int) -> None:
        fixed = 2 + RUN_WIDTH + 2 + 2 + STATUS_WIDTH + 1 + STEP_WIDTH + 2 + WHEN_WIDTH + TOOK_WIDTH
        self.cost = COST_WIDTH if width >= 96 else 0
        left = max(0, width - fixed - self.cost)
        self.name = max(8, min(NAME_AT_MOST, left * 3 // 5))
        self.node = max(0, min(NODE_AT_MOST, left - self.name))
        self.remark = max(0, left - self.name - self.node - 2)


class RunTable(LineList):
    """One run a line. Marks stay on their runs, wherever the window goes."""

    class Wanted(Message):
        """Rows beyond the window are wanted."""

        def __init__(self, where: Where) -> None:
            super().__init__()
            self.where = where

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="runs")
        self._now = now
        self.window = RunRows()
        self.marked: dict[str, RunRow] = {}
        """The marked runs, in the order in which they were marked."""
        self.loaded = False
        self._asked: dict[Where, float] = {}

    @property
    def selected(self) -> RunRow | None:
        """The run under the cursor."""
        return self.window.rows[self.cursor] if self.cursor < len(self.window) else None

    # Rows ------------------------------------------------------------------------------------------------------

    def show_stretch(self, rows: Sequence[RunRow], *, at_start: bool, at_end: bool, last: bool = False) -> None:
        """Show another stretch, with the cursor on its first line or its last one."""
        self.loaded = True
        self.window.replace(rows, at_start=at_start, at_end=at_end)
        self.set_reactive(LineList.cursor, len(rows) - 1 if last and rows else 0)
        self._changed()
        self.show_line(self.cursor)

    def show_older(self, rows: Sequence[RunRow], *, at_end: bool) -> None:
        """The rows that follow came."""
        self._shifted(-self.window.append(rows, at_end=at_end))

    def show_newer(self, rows: Sequence[RunRow], *, at_start: bool) -> None:
        """The rows before came."""
        self._shifted(self.window.prepend(rows, at_start=at_start))

    def update_rows(self, asked: Sequence[str], found: Sequence[RunRow]) -> None:
        """Runs were read again: draw what is different, and keep the cursor on its run."""
        selected, top = self.selected, self.scroll_offset.y
        at_top = self.window.rows[top] if top and top < len(self.window) else None
        changed, moved = self.window.update(asked, found)
        for run_id in set(asked) - {row.run_id for row in found}:
            if self.window.at_start and self.window.at_end:
                continue
            self.marked.pop(run_id, None)
        for row in found:
            if row.run_id in self.marked:
                self.marked[row.run_id] = row
        if not moved:
            for place in changed:
                self.redraw_line(place)
            return
        place = self.window.place_of(selected.run_id) if selected is not None else None
        self.set_reactive(LineList.cursor, min(self.cursor if place is None else place, max(0, len(self.window) - 1)))
        self._changed()
        before = self.window.place_of(at_top.run_id) if at_top is not None else None
        if before is not None:
            # What is looked at stays where it is; at the very top, what is new is seen.
            self.scroll_to(y=before, animate=False, force=True)
        self.show_line(self.cursor)

    def _shifted(self, lines: int) -> None:
        top = self.scroll_offset.y
        self.set_reactive(LineList.cursor, max(0, min(self.cursor + lines, len(self.window) - 1)))
        self._changed()
        self.scroll_to(y=max(0, top + lines), animate=False, force=True)

    def _changed(self) -> None:
        self._asked.clear()
        self.lines_changed()
        self.post_message(self.Moved(self, self.cursor))

    def redraw_running(self) -> None:
        """Draw the lines again whose time goes on, of those that can be seen."""
        top = self.scroll_offset.y
        for place in range(top, min(len(self.window), top + self.size.height)):
            row = self.window.rows[place]
            if row.ended_at is None and row.status == "running":
                self.redraw_line(place)

    # Marks -----------------------------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the run under the cursor, or take its mark back, and go on to the next."""
        row = self.selected
        if row is None:
            return
        if self.marked.pop(row.run_id, None) is None:
            self.marked[row.run_id] = row
        self.redraw_line(self.cursor)
        self.move_down()

    def mark_all(self) -> None:
        """Mark all that is loaded; where all of it is marked, take every mark back."""
        fresh = [row for row in self.window.rows if row.run_id not in self.marked]
        if fresh:
            self.marked.update((row.run_id, row) for row in fresh)
        else:
            self.marked.clear()
        self.refresh()

    def clear_marks(self) -> bool:
        """Take every mark back; False where there is none."""
        had = bool(self.marked)
        self.marked.clear()
        self.refresh()
        return had

    # Paging ----------------------------------------------------------------------------------------------------

    def _ask_for(self, where: Where) -> None:
        """Ask for rows once until they come; a call that was lost is made again after a while."""
        now = monotonic()
        if now - self._asked.get(where, -PATIENCE_SECONDS) >= PATIENCE_SECONDS:
            self._asked[where] = now
            self.post_message(self.Wanted(where))

    def watch_cursor(self, old: int, new: int) -> None:
        super().watch_cursor(old, new)
        self._ask_at_edges(new, new)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._ask_at_edges(int(new_value), int(new_value) + self.size.height)

    def _ask_at_edges(self, first: int, last: int) -> None:
        if first < EDGE and not self.window.at_start:
            self._ask_for("newer")
        if last >= len(self.window) - EDGE and not self.window.at_end:
            self._ask_for("older")

    def move_first(self) -> None:
        """To the newest run of all, also where it lies before the window."""
        if self.window.at_start:
            super().move_first()
        else:
            self._ask_for("first")

    def move_last(self) -> None:
        """To the oldest run of all."""
        if self.window.at_end:
            super().move_last()
        else:
            self._ask_for("last")

    # Drawing ---------------------------------------------------------------------------------------------------

    def line_count(self) -> int:
        return len(self.window)

    def line_spans(self, line: int, width: int) -> Spans:
        row, now = self.window.rows[line], self._now()
        columns = Columns(width)
        look = look_of(row.status)
        where = "" if row.status == "completed" else visible(row.node or "")
        remark, ink = _remark(row, now)
        return [
            ("* " if row.run_id in self.marked else "  ", "accent"),
            (fit(row.short_id, RUN_WIDTH), "accent" if row.run_id in self.marked else "dim"),
            ("  ", ""),
            (fit(visible(row.workflow), columns.name), "strong"),
            ("  ", ""),
            (fit(look.text, STATUS_WIDTH), look.ink),
            (fit(where, columns.node), ""),
            (" ", ""),
            (fit(str(row.step), STEP_WIDTH, right=True), ""),
            ("  ", ""),
            (fit(relative_time(row.created_at, now), WHEN_WIDTH), "dim"),
            (fit(took(row.started_at, row.ended_at, now), TOOK_WIDTH, right=True), ""),
            (fit(_cost(row), columns.cost, right=True), "dim"),
            ("  " if columns.remark else "", ""),
            (fit(remark, columns.remark), ink),
        ]


def _cost(row: RunRow) -> str:
    if row.usage is None or not (row.usage.calls or row.usage.cost):
        return ""
    return cost_text(row.usage).split(" + ")[0].replace("cost unknown", "?")


def _remark(row: RunRow, now: float) -> tuple[str, str]:
    """What else there is to say of a run, and its ink."""
    if row.open_requests:
        return plural(row.open_requests, "question"), "waiting"
    if text := waiting_text(row.due_at, row.queue_position, now):
        return text, "dim"
    return (f"↳ of {row.parent_run[-8:]}", "dim") if row.parent_run is not None else ("", "")


class RunHead(Inked):
    """The titles of the table's columns."""

    DEFAULT_CSS = """
    RunHead { height: 1; width: 1fr; }
    """

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        columns = Columns(width - 1)
        text = (
            f"   {fit('RUN', RUN_WIDTH)}  {fit('WORKFLOW', columns.name)}  {fit('STATUS', STATUS_WIDTH)}"
            f"{fit('NODE', columns.node)} {fit('STEP', STEP_WIDTH, right=True)}  {fit('STARTED', WHEN_WIDTH)}"
            f"{fit('TOOK', TOOK_WIDTH, right=True)}{fit('COST', columns.cost, right=True)}"
        )
        return self.strip([(text, "dim")]).crop_extend(0, width, self.rich_style)
