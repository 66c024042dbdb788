"""The pane beside a graph: what there is to know of the selected node, or what is wrong with the workflow."""

from __future__ import annotations

from collections.abc import Callable

from tui.graph_text import PaneLine
from tui.spans import Spans, spans_text, spans_width
from tui.widgets.line_list import LineList


class NodePane(LineList):
    """Lines about one thing; they are made again when the width changes."""

    DEFAULT_CSS = """
    NodePane { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._make: Callable[[int], list[PaneLine]] | None = None
        self._about = ""
        self._lines: list[PaneLine] = []
        self._made_width = -1

    def show(self, about: str, make: Callable[[int], list[PaneLine]] | None) -> None:
        """Show the lines that `make` returns for a width; another subject starts at its first line.

        Of the same subject only the lines are drawn again that changed.
        """
        before = self._lines
        self._make = make
        width, self._made_width = self._made_width, -1
        if about != self._about or width < 0:
            self._about = about
            self.set_reactive(LineList.cursor, 0)
            self.scroll_to(0, 0, animate=False)
            self.lines_changed()
            return
        lines = self._lines_at(width)
        if len(lines) != len(before):
            self.lines_changed()
            return
        for number, (old, new) in enumerate(zip(before, lines, strict=True)):
            if old != new:
                self.redraw_line(number)

    @property
    def line(self) -> PaneLine | None:
        """The line under the cursor, while the pane has the focus."""
        lines = self._lines_at(self.size.width - 1)
        return lines[self.cursor] if self.has_focus and self.cursor < len(lines) else None

    @property
    def line_text(self) -> str:
        """The line under the cursor as plain text."""
        return spans_text(self.line.spans).strip() if self.line is not None else ""

    def on_resize(self) -> None:
        self.lines_changed()

    def line_count(self) -> int:
        return len(self._lines_at(self.size.width - 1))

    def lines_width(self) -> int:
        return max((spans_width(line.spans) + 2 for line in self._lines), default=0)

    def line_spans(self, line: int, width: int) -> Spans:
        return self._lines_at(width)[line].spans

    def mark(self, line: int) -> tuple[str, str]:
        return super().mark(line) if self.has_focus else (" ", "")

    def _lines_at(self, width: int) -> list[PaneLine]:
        if width != self._made_width:
            self._lines = self._make(max(24, width)) if self._make is not None else []
            self._made_width = width
        return self._lines
