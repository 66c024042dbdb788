"""The sheet with lines to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import plural
from tui.widgets.line_input import FilterLine
from tui.widgets.paragraph import Paragraph
from tui.widgets.text_list import TextList

if TYPE_CHECKING:
    from tui.app import RondoApp


class ReadSheet(Sheet[None]):
    """Lines to read. `text` is what is copied where that is another text, `remark` stands above."""

    view = "read"

    def __init__(self, title: str, lines: list[Spans], *, text: str = "", remark: str = "") -> None:
        super().__init__(title)
        self.lines = TextList(lines, classes="tall")
        self._text = text
        self._remark = remark
        self._search = FilterLine("words to look for")

    def compose_body(self) -> Iterable[Widget]:
        if self._remark:
            yield Paragraph(self._remark, "dim")
        yield self.lines
        yield self._search

    def on_mount(self) -> None:
        self.lines.focus()

    @action("read.close", "close", keys="escape,q,enter", help="Back", footer=1)
    def close(self) -> None:
        if self._search.display:
            self._search.close()
            self.set_focus(self.lines)
        else:
            self.dismiss(None)

    @action("read.copy", "copy all", keys="y", help="Copy what stands here", footer=2)
    def copy_all(self) -> None:
        count = self.lines.line_count()
        lines = (self.lines.text_of(line).rstrip() for line in range(count))
        cast("RondoApp", self.app).copy(self._text or "\n".join(lines))

    @action("read.search", "search", keys="slash", help="Look for words", footer=3)
    def search(self) -> None:
        self._search.open()

    @action("read.next-match", "next match", keys="n", help="The next line with the words", footer=4)
    def next_match(self) -> None:
        self.lines.go_match(1)

    @action("read.previous-match", "match before", keys="N", help="The line before with the words")
    def previous_match(self) -> None:
        self.lines.go_match(-1)

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        count = self.lines.search(event.text)
        self._search.show_count(plural(count, "line") if event.text else "")
        if event.text and self.lines.line_count() and event.text.lower() not in self._line_here().lower():
            self.lines.go_match(1)

    def _line_here(self) -> str:
        return self.lines.text_of(self.lines.cursor)

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.set_focus(self.lines)

    def on_line_list_chosen(self) -> None:
        self.close()
