"""The sheet behind `@`: what was done in this session, as `rondo ...` lines to copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from tui.actions import action
from tui.command_log import CommandLog, LoggedCommand
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import clock_time, fit, visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph

if TYPE_CHECKING:
    from tui.app import RondoApp

SIGNS = {"going": ("…", "waiting"), "done": ("✓", "good"), "failed": ("✗", "bad"), "looked": ("·", "dim")}


class DoneList(LineList):
    """The commands, oldest first; the cursor begins at the last one."""

    DEFAULT_CSS = """
    DoneList { height: auto; min-height: 3; }
    """

    def __init__(self, entries: list[LoggedCommand]) -> None:
        super().__init__(classes="tall")
        self.entries = entries

    def on_mount(self) -> None:
        self.lines_changed()
        self.call_after_refresh(self.move_last)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self.entries))

    def line_count(self) -> int:
        return len(self.entries)

    def line_spans(self, line: int, width: int) -> Spans:
        entry = self.entries[line]
        sign, ink = SIGNS[entry.status]
        text = visible(entry.line)
        problem = f"  {visible(entry.problem)}" if entry.problem else ""
        room = max(0, width - 12)
        return [
            (clock_time(entry.at), "dim"),
            (f" {sign} ", ink),
            (fit(text, min(room, len(text))), "dim" if entry.status == "looked" else ""),
            (fit(problem, max(0, room - len(text))), "bad"),
        ]


class CommandsDoneSheet(Sheet[None]):
    """What was done, as commands."""

    view = "done"

    def __init__(self, log: CommandLog) -> None:
        super().__init__("what you did, as commands")
        self._log = log
        self.list = DoneList(log.entries)

    def compose_body(self) -> Iterable[Widget]:
        if not self._log.entries:
            yield Paragraph("Nothing yet. What you do here stands here as the command that does the same.", "dim")
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    @action("done.copy", "copy", keys="y,enter", help="Copy the command under the cursor", footer=1)
    def copy_one(self) -> None:
        self._copy(self._log.entries[self.list.cursor : self.list.cursor + 1])

    @action(
        "done.copy-all", "copy all", keys="Y", help="Copy every command that changed something, as a script", footer=2
    )
    def copy_all(self) -> None:
        self._copy([entry for entry in self._log.entries if entry.status == "done"])

    def _copy(self, entries: list[LoggedCommand]) -> None:
        app = cast("RondoApp", self.app)
        if entries:
            app.copy("\n".join(self._log.to_paste(entry) for entry in entries))
            self.dismiss(None)

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        self.copy_one()

    @action("done.close", "close", keys="escape,q,at", help="Back to the screen", footer=3)
    def close(self) -> None:
        self.dismiss(None)
