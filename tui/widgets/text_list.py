"""Lines that were made before: a diff, a traceback, help."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from tui.spans import Spans, marked, spans_text
from tui.widgets.line_list import LineList


class TextList(LineList):
    """A list of ready lines; it scrolls sideways as far as the longest of them."""

    DEFAULT_CSS = """
    TextList { height: auto; }
    """

    def __init__(self, lines: list[Spans] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._search = ""
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
        return marked(self._spans_of_lines[line], self._search)

    def search(self, words: str) -> int:
        """Mark the words wherever they stand, and return in how many lines they do; "" marks nothing."""
        self._search = words
        self.refresh()
        return sum(1 for line in range(self.line_count()) if self._has(line)) if words else 0

    def go_match(self, step: int) -> bool:
        """Put the cursor on the next line (or with -1 the line before) that has the words; False where none has."""
        count = self.line_count()
        around = ((self.cursor + step * ahead) % count for ahead in range(1, count + 1))
        found = next((line for line in around if self._has(line)), None) if self._search else None
        if found is not None:
            self.move_to(found)
        return found is not None

    def _has(self, line: int) -> bool:
        return self._search.lower() in self.text_of(line).lower()

    def text_of(self, line: int) -> str:
        """One line as plain text."""
        return spans_text(self._spans_of_lines[line])
