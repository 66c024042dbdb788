"""Lines that were made before: a diff, a traceback, help."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from tui.spans import Spans, spans_text
from tui.widgets.line_list import LineList


class TextList(LineList):
    """A list of ready lines; it scrolls sideways as far as the longest of them."""

    DEFAULT_CSS = """
    TextList { height: auto; }
    """

    def __init__(self, lines: list[Spans] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.set_lines(lines or [])

    def set_lines(self, lines: list[Spans]) -> None:
        """Show other lines, from the first one on."""
        self._spans_of_lines = lines
        self._longest = max((cell_len(spans_text(line)) for line in lines), default=0) + 2
        if self.is_mounted:
            self.set_reactive(LineList.cursor, 0)
            self.scroll_to(0, 0, animate=False, force=True)
            self.lines_changed()

    def on_mount(self) -> None:
        self.lines_changed()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self._spans_of_lines))

    def line_count(self) -> int:
        return len(self._spans_of_lines)

    def lines_width(self) -> int:
        return self._longest

    def line_spans(self, line: int, width: int) -> Spans:
        return self._spans_of_lines[line]

    def text_of(self, line: int) -> str:
        """One line as plain text."""
        return spans_text(self._spans_of_lines[line])
