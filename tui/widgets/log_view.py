"""The log of a run: a window on its rows, which follows the newest ones until one looks at older ones."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from core.link.types import LogLine
from tui.spans import Span, Spans
from tui.text import clock_time, fit, visible
from tui.text import wrap as wrap_text
from tui.widgets.line_list import LineList
from tui.widgets.window_list import WindowList
from tui.window import Window

LEVEL_INKS = {"DEBUG": "dim", "INFO": "dim", "EDGE": "running", "WARNING": "waiting", "ERROR": "bad", "CRITICAL": "bad"}
LEVELS = ("", "INFO", "WARNING", "ERROR")
NODE_AT_MOST = 18


class LogView(WindowList):
    """Log lines, coloured by level and never by what they contain."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self.window: Window[LogLine] = Window(lambda line: line.row)
        self.last_row = 0
        """The run's newest row, loaded or not."""
        self.wrapped = False
        self.search = ""
        self.selection_start: int | None = None
        """The row at which a visual selection began."""
        self._screen_lines: list[tuple[int, str]] = []
        """For each line on the screen: the place of its row in the window, and the part of its text."""
        self._node_width = 6
        self._longest = 0

    # Rows ------------------------------------------------------------------------------------------------------

    @property
    def has_older(self) -> bool:
        return not self.window.at_start

    @property
    def has_newer(self) -> bool:
        return not self.window.at_end

    @property
    def selected(self) -> LogLine | None:
        """The row under the cursor."""
        return self.window.rows[self._screen_lines[self.cursor][0]] if self.cursor < len(self._screen_lines) else None

    def show_rows(self, rows: Sequence[LogLine], *, at_start: bool, at_end: bool, row: int | None = None) -> None:
        """Show another stretch, with the cursor on one of its rows (None: the last)."""
        self.window.replace(rows, at_start=at_start, at_end=at_end)
        self._lay_out()
        place = self.window.index_of(row) if row is not None else None
        line = len(self._screen_lines) - 1 if place is None else self._line_of(place)
        self.set_reactive(LineList.cursor, max(0, line))
        self.lines_changed()
        if place is None:
            self.show_line(line)
        else:
            self.scroll_to(y=max(0, line - self.size.height // 2), animate=False, force=True)

    def add_newer(self, rows: Sequence[LogLine], *, at_end: bool) -> None:
        """Rows came after the window."""
        known = len(self.window)
        cut = self.window.append(rows, at_end=at_end)
        if cut or self.wrapped:
            shift = len(self._screen_lines)
            self._lay_out()
            if cut:
                self.lines_shifted(-cut if not self.wrapped else min(0, len(self._screen_lines) - shift - len(rows)))
        else:
            self._measure(self.window.rows[known:])
            self._screen_lines += [(place, "") for place in range(known, len(self.window))]
        self.rows_grew()

    def add_older(self, rows: Sequence[LogLine], *, at_start: bool) -> None:
        """Rows came before the window."""
        lines = len(self._screen_lines)
        added = self.window.prepend(rows, at_start=at_start)
        self._lay_out()
        self.lines_shifted(added if not self.wrapped else max(0, len(self._screen_lines) - lines))

    def _measure(self, rows: Sequence[LogLine]) -> None:
        for row in rows:
            self._node_width = max(self._node_width, min(NODE_AT_MOST, cell_len(self._node_text(row))))
            self._longest = max(self._longest, len(row.text))

    def _lay_out(self) -> None:
        self._longest = 0
        self._measure(self.window.rows)
        if not self.wrapped:
            self._screen_lines = [(place, "") for place in range(len(self.window))]
            return
        room = max(20, self.size.width - self._text_column() - 2)
        self._screen_lines = [
            (place, part) for place, row in enumerate(self.window.rows) for part in wrap_text(row.text, room)
        ]

    def _line_of(self, place: int) -> int:
        if not self.wrapped:
            return place
        return next((line for line, (at, _) in enumerate(self._screen_lines) if at == place), 0)

    def go_place(self, place: int) -> None:
        """Put the cursor on a row of the window."""
        self.move_to(self._line_of(place))

    def set_wrap(self, on: bool) -> None:
        """Break long lines, or let them be scrolled sideways."""
        selected = self.selected
        self.wrapped = on
        self._lay_out()
        place = self.window.index_of(selected.row) if selected is not None else None
        self.set_reactive(LineList.cursor, self._line_of(place) if place is not None else 0)
        self.lines_changed()
        self.scroll_to(x=0, animate=False, force=True)
        self.show_line(self.cursor)

    def on_resize(self) -> None:
        if self.wrapped:
            self.set_wrap(True)

    # Selecting -------------------------------------------------------------------------------------------------

    def toggle_selection(self) -> None:
        """Begin a visual selection at the cursor, or give it up."""
        selected = self.selected
        self.selection_start = selected.row if self.selection_start is None and selected is not None else None
        self.follow(False)
        self.refresh()

    @property
    def selected_rows(self) -> list[LogLine]:
        """The rows of the visual selection, or the one under the cursor."""
        selected = self.selected
        if selected is None:
            return []
        if self.selection_start is None:
            return [selected]
        low, high = sorted((self.selection_start, selected.row))
        return [row for row in self.window.rows if low <= row.row <= high]

    def watch_cursor(self, old: int, new: int) -> None:
        super().watch_cursor(old, new)
        if self.selection_start is not None:
            self.refresh()

    # Drawing ---------------------------------------------------------------------------------------------------

    def line_count(self) -> int:
        return len(self._screen_lines)

    def _text_column(self) -> int:
        return 8 + 1 + self._node_width + 1 + 7 + 1

    def lines_width(self) -> int:
        return 0 if self.wrapped else self._text_column() + self._longest + 2

    def mark(self, line: int) -> Span:
        if self.selection_start is not None and line < len(self._screen_lines):
            row = self.window.rows[self._screen_lines[line][0]].row
            cursor_row = self.selected.row if self.selected is not None else row
            low, high = sorted((self.selection_start, cursor_row))
            if low <= row <= high:
                return ("▌", "accent")
        return super().mark(line) if self.has_focus else (" ", "")

    def line_spans(self, line: int, width: int) -> Spans:
        place, part = self._screen_lines[line]
        row = self.window.rows[place]
        if self.wrapped and line and self._screen_lines[line - 1][0] == place:
            return [(" " * self._text_column(), ""), *self._text_spans(part, row)]
        ink = LEVEL_INKS.get(row.level, "dim")
        return [
            (clock_time(row.at), "dim"),
            (" ", ""),
            (fit(self._node_text(row), self._node_width), ""),
            (" ", ""),
            (fit(row.level, 7), ink),
            (" ", ""),
            *self._text_spans(part if self.wrapped else visible(row.text), row),
        ]

    def _node_text(self, row: LogLine) -> str:
        return visible(row.node) + (f"#{row.visit}" if row.visit > 1 and row.node else "")

    def _text_spans(self, text: str, row: LogLine) -> Spans:
        ink = "bad" if row.level in ("ERROR", "CRITICAL") else "dim" if row.level in ("DEBUG", "EDGE") else ""
        if not self.search:
            return [(text, ink)]
        spans: Spans = []
        low, needle = text.lower(), self.search.lower()
        start = 0
        while (found := low.find(needle, start)) >= 0 and len(low) == len(text):
            spans += [(text[start:found], ink), (text[found : found + len(needle)], "match")]
            start = found + len(needle)
        return [*spans, (text[start:], ink)]


def copied_rows(rows: Sequence[LogLine]) -> str:
    """Log rows as text, as `rondo logs` prints them; a single one without time and level."""
    if len(rows) == 1:
        return rows[0].text
    return "\n".join(f"{clock_time(row.at)} {row.node} {row.level} {row.text}".replace("  ", " ") for row in rows)
