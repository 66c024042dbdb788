"""Saving the log of a run: the lines that the log shows, filters counted, into a new file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from core.errors import RondoError
from core.link.log_text import open_new, write_lines
from tui.actions import action
from tui.messages import EngineFailed
from tui.screens.run_log import LogActions
from tui.screens.sheet import Sheet
from tui.text import home_path, number, plural
from tui.widgets.line_input import LineInput
from tui.widgets.paragraph import Paragraph

SAVED_AT_ONCE = 1_000


class SaveSheet(Sheet[str | None]):
    """Asks for the name of a file; dismisses with it, or with None."""

    view = "save"

    def __init__(self, what: str, name: str) -> None:
        super().__init__("save the log")
        self._what = what
        self.line = LineInput(name)

    def compose_body(self) -> Iterable[Widget]:
        yield Paragraph(self._what, "dim")
        yield self.line

    def on_mount(self) -> None:
        self.set_focus(self.line)
        self.line.cursor_position = len(self.line.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.save()

    @action("save.write", "save", keys="enter", help="Write the file", footer=1)
    def save(self) -> None:
        if self.line.value.strip():
            self.dismiss(self.line.value.strip())

    @action("save.close", "don't save", keys="escape", help="Back", footer=2)
    def close(self) -> None:
        self.dismiss(None)


class LogSaved(Message, bubble=False):
    """So many lines are in the file; `done` says that these are all."""

    def __init__(self, path: Path, lines: int, done: bool) -> None:
        super().__init__()
        self.path = path
        self.lines = lines
        self.done = done


class SaveActions(LogActions):
    """Writing the log into a file. The screen has a feed."""

    @action(
        "logs.save", "save the log", keys="S", words="logs save", help="Write the log, as it is filtered, into a file"
    )
    def save_log(self) -> None:
        kept = [self.feed.minimum_level and f"{self.feed.minimum_level.lower()} and above", self.feed.node]
        narrowed = ", ".join(f"{part}" for part in kept if part)
        what = f"The lines of {narrowed}, " if narrowed else "All lines, "
        what += f"of {number(self.feed.log_last)} in the log, into a new file:"
        name = home_path(str(Path.cwd() / f"{self.workflow_name or 'run'}-{self.feed.run_id[-8:]}.log"))
        self.rondo.push_screen(SaveSheet(what, name), self._save_into)

    def _save_into(self, name: str | None) -> None:
        if name is not None:
            path = Path(name).expanduser()
            self.run_worker(self._write_log(path), group="save log", exclusive=True, name="saving the log")

    async def _write_log(self, path: Path) -> None:
        """Read the log page by page and write it; a file that is not whole is taken away again."""
        try:
            file = await asyncio.to_thread(open_new, path)
        except RondoError as error:
            self.post_message(EngineFailed(error, "saving the log"))
            return
        whole = False
        try:
            lines = await self.feed.every_line(SAVED_AT_ONCE, lambda page: asyncio.to_thread(write_lines, file, page))
            whole = True
            self.post_message(LogSaved(path, lines, True))
        except RondoError as error:
            self.post_message(EngineFailed(error, "saving the log"))
        finally:
            with suppress(OSError):
                file.close()
            if not whole:
                _take_away(path)

    def on_log_saved(self, message: LogSaved) -> None:
        self.say(f"Saved {plural(message.lines, 'line')} in {home_path(str(message.path))}", "good")


def _take_away(path: Path) -> None:
    """Remove a file that is not whole; also while its worker is being cancelled, so without waiting."""
    with suppress(OSError):
        path.unlink()
