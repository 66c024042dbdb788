"""What a run came to: the keys of its state and the files it left, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.link.inspect_types import OutputFile, OutputPage
from core.link.types import Elided
from tui.spans import Spans
from tui.state_tree import StateTree
from tui.text import fit, number, plural, relative_time, shorten, size, visible
from tui.widgets.line_list import LineList

NAME_AT_MOST = 36


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line; `key` leads to a place in the state, `file` to a file."""

    spans: Spans
    key: str = ""
    file: OutputFile | None = None

    @property
    def leads_on(self) -> bool:
        """False for headings."""
        return bool(self.key) or self.file is not None


class ResultList(LineList):
    """Lines about the state and the files."""

    def __init__(self) -> None:
        super().__init__(id="result")
        self._state_lines: list[ResultLine] = []
        self._file_lines: list[ResultLine] = []
        self.folder = ""
        """The output folder."""

    def show_state(self, title: str, value: Any, elided: Sequence[Elided], bytes_of_state: int) -> None:
        """Show the top of a state."""
        tree = StateTree()
        tree.set_state(value, elided, ())
        keys = [line for line in tree.lines(1_000) if line.depth == 1]
        head: Spans = [(title, "strong"), (f"  {plural(len(keys), 'key')}, {size(bytes_of_state)}", "dim")]
        width = min(NAME_AT_MOST, max((len(line.key) for line in keys), default=0))
        self._state_lines = [ResultLine(head)]
        for line in keys:
            ink = "dim" if line.sign else ""
            spans: Spans = [("  ", ""), (fit(line.key, width), ""), ("  ", ""), (line.text, ink)]
            self._state_lines.append(ResultLine(spans, key=str(line.path[0]) if line.path else ""))
        self._changed()

    def show_files(self, page: OutputPage, now: float) -> None:
        """Show the files, as many as came."""
        self.folder = page.folder
        count = f"more than {number(page.count)} files" if page.cut else plural(page.count, "file")
        head: Spans = [("files", "strong"), (f"  {count}, {size(page.size)}" if page.count else "  none", "dim")]
        width = min(NAME_AT_MOST, max((len(file.path) for file in page.files), default=0))
        lines = [ResultLine([]), ResultLine(head)]
        for file in page.files:
            what = size(file.size) if file.kind == "file" else file.kind
            spans: Spans = [
                ("  ", ""),
                (fit(visible(file.path), width), ""),
                (f"  {what:>8}  ", ""),
                (relative_time(file.modified_at, now), "dim"),
            ]
            lines.append(ResultLine(spans, file=file))
        if page.more:
            lines.append(ResultLine([("  rondo output RUN lists all of them", "dim")]))
        self._file_lines = lines
        self._changed()

    def _changed(self) -> None:
        first = not self._lines or not self._lines[min(self.cursor, len(self._lines) - 1)].leads_on
        self.lines_changed()
        if first:
            self.move_to(0)

    @property
    def _lines(self) -> list[ResultLine]:
        return [*self._state_lines, *self._file_lines]

    @property
    def selected(self) -> ResultLine | None:
        """The line under the cursor."""
        lines = self._lines
        return lines[self.cursor] if self.cursor < len(lines) else None

    def line_count(self) -> int:
        return len(self._lines)

    def selectable(self, line: int) -> bool:
        return self._lines[line].leads_on

    def line_spans(self, line: int, width: int) -> Spans:
        spans = self._lines[line].spans
        if not spans:
            return []
        *before, (text, ink) = spans
        used = sum(len(part) for part, _ in before)
        return [*before, (shorten(text, max(1, width - used)), ink)]
