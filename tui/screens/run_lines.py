"""The lines of the Run screen: a rewound run has older histories, which are looked at like the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from core.link.status import look_of
from core.link.types import LineView
from tui.actions import action
from tui.screens.run_travel import TravelActions, needs_run
from tui.text import plural, relative_time

if TYPE_CHECKING:
    from core.link.types import RunView


class LinesRead(Message, bubble=False):
    """The lines of the run; `number` is the one that was asked for, None where a person is to choose."""

    def __init__(self, lines: list[LineView], number: int | None) -> None:
        super().__init__()
        self.lines = lines
        self.number = number


class LineActions(TravelActions):
    """Which line of the run is looked at. The screen knows its run."""

    run: RunView | None
    past_line: LineView | None = None
    """The older line that is looked at; None for the present one."""

    @action(
        "run.line",
        "line",
        keys="H",
        words="line",
        argument="text",
        help="Choose the line whose steps and states are shown: a rewound run has older ones; esc comes back",
        when=needs_run,
    )
    def choose_line(self, number: str = "") -> None:
        """Show the line of that number, or ask which."""
        wanted = number.strip()
        if wanted and not wanted.isdigit():
            self.say(f"A line has a number: {wanted!r} is none", "hint")
            return
        run_id, asked = self.feed.run_id, int(wanted) if wanted else None
        self.ask(
            lambda: self.engine.list_lines(run_id),
            lambda lines: LinesRead(lines, asked),
            group="lines",
            doing="reading the lines of the run",
        )

    def on_lines_read(self, message: LinesRead) -> None:
        lines = message.lines
        if message.number is not None:
            self._show_line_of_number(lines, message.number)
            return
        if len(lines) < 2:
            self.say("The run has one line: it was never rewound or tried again")
            return
        if self.app.screen is not self:
            return
        from tui.screens.choose import ChooseSheet

        words = [(str(line.number), self._line_text(line, lines)) for line in reversed(lines)]
        shown = self.past_line.number if self.past_line is not None else lines[-1].number
        present = next(text for number, text in words if number == str(shown))

        def chosen(number: str | None) -> None:
            if number is not None:
                self._show_line_of_number(lines, int(number))

        self.rondo.push_screen(ChooseSheet(f"lines of run {self.feed.run_id[-8:]}", words, present), chosen)

    def _line_text(self, line: LineView, lines: list[LineView]) -> str:
        came = ""
        if line.parent_run is not None:
            came = f"  from step {line.parent_step} of run {line.parent_run[-8:]}"
        elif line.parent_step is not None:
            parent = next((known.number for known in lines if known.line == line.parent_line), 0)
            came = f"  from step {line.parent_step} of line {parent}"
        now = "  the present one" if line is lines[-1] else ""
        when = relative_time(line.created_at, self.rondo.now())
        return f"line {line.number}  {look_of(line.status).text}  {plural(line.step, 'step')}{came}  {when}{now}"

    def _show_line_of_number(self, lines: list[LineView], number: int) -> None:
        found = next((line for line in lines if line.number == number), None)
        if found is None:
            self.say(f"The run has no line {number}; it has {plural(len(lines), 'line')}", "hint")
        elif found is lines[-1]:
            self.show_present_line()
        elif found != self.past_line:
            self.past_line = found
            self.feed.line = found.line
            self.steps.past_line = found.number
            self.show_new_line(found.step)
            self.rondo.command_log.looked(f"rondo show {self.feed.run_id[-8:]} --line {found.number}")
            self.line_changed()

    def show_present_line(self) -> bool:
        """Back to the line on which the run is; False where that is shown already."""
        if self.past_line is None:
            return False
        self.past_line = self.feed.line = None
        self.steps.past_line = None
        if self.run is not None:
            self.show_new_line(self.run.step)
            self.feed.steps.want()
        self.line_changed()
        return True

    def line_changed(self) -> None:
        """Show again what depends on the line."""
        raise NotImplementedError
