"""Why a run failed: the error, what to do, and the way through the code to it."""

from __future__ import annotations

import re

from core.link.types import ErrorView
from tui.spans import Spans
from tui.text import visible, wrap
from tui.widgets.text_list import TextList

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')


class ErrorPane(TextList):
    """An error line by line; lines of a traceback know their file."""

    DEFAULT_CSS = """
    ErrorPane { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__(id="error")
        self._error: ErrorView | None = None
        self._places: list[tuple[str, int] | None] = []

    def show_error(self, error: ErrorView, folder: str) -> None:
        """Show an error; lines of files in `folder`, the workflow's own, stand out."""
        if error == self._error:
            return
        self._error = error
        lines: list[Spans] = []
        self._places = []
        width = max(40, self.app.size.width - 4)
        for place, text in enumerate(wrap(f"{error.type}: {error.message}", width)):
            lines.append([("✗ " if place == 0 else "  ", "bad"), (text, "strong" if place == 0 else "")])
        for head, text in (("why   ", error.cause), ("next  ", error.next_step)):
            for place, part in enumerate(wrap(text, width - 8) if text else []):
                lines.append([("  " + (head if place == 0 else "      "), "dim"), (part, "")])
        self._places = [None] * len(lines)
        own = False
        at: tuple[str, int] | None = None
        for text in error.traceback.rstrip().splitlines():
            frame = FRAME.match(text)
            if frame is not None:
                at = (frame["file"], int(frame["line"]))
                own = bool(folder) and frame["file"].startswith(folder)
            lines.append([("  " + visible(text), "" if own and text.startswith(" ") else "dim")])
            self._places.append(at)
        self.set_lines(lines)

    @property
    def error(self) -> ErrorView | None:
        """The error that is shown."""
        return self._error

    def place(self, folder: str) -> tuple[str, int] | None:
        """File and line under the cursor while the pane has the focus, else the innermost one of the workflow."""
        if self.has_focus and self.cursor < len(self._places) and self._places[self.cursor] is not None:
            return self._places[self.cursor]
        known = [place for place in self._places if place is not None]
        own = [place for place in known if folder and place[0].startswith(folder)]
        return own[-1] if own else known[-1] if known else None
