"""The sheet with lines to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.widgets.text_list import TextList

if TYPE_CHECKING:
    from tui.app import RondoApp


class ReadSheet(Sheet[None]):
    """Lines to read."""

    view = "read"

    def __init__(self, title: str, lines: list[Spans]) -> None:
        super().__init__(title)
        self.lines = TextList(lines, classes="tall")

    def compose_body(self) -> Iterable[Widget]:
        yield self.lines

    def on_mount(self) -> None:
        self.lines.focus()

    @action("read.close", "close", keys="escape,q,enter", help="Back", footer=1)
    def close(self) -> None:
        self.dismiss(None)

    @action("read.copy", "copy all", keys="y", help="Copy what stands here", footer=2)
    def copy_all(self) -> None:
        count = self.lines.line_count()
        cast("RondoApp", self.app).copy("\n".join(self.lines.text_of(line).rstrip() for line in range(count)))

    def on_line_list_chosen(self) -> None:
        self.dismiss(None)
