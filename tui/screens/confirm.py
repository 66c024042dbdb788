"""The sheet that asks before something that is hard to take back."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.widgets.paragraph import Paragraph
from tui.widgets.text_list import TextList


class ConfirmSheet(Sheet[bool]):
    """Yes or no; no by Esc. Enter alone does nothing, so that a double press decides nothing.

    `lines` say what it is about, one thing a line.
    """

    view = "confirm"
    guarded = True

    def __init__(self, question: str, text: str, *, yes: str = "yes", lines: list[Spans] | None = None) -> None:
        super().__init__(question)
        self._lines = lines
        self._text = text
        self._yes = yes

    def compose_body(self) -> Iterable[Widget]:
        yield Paragraph(f"{self._text}\ny: {self._yes}")
        if self._lines:
            yield TextList(self._lines, classes="tall")

    @action("confirm.yes", "yes", keys="y", help="Do it", footer=1)
    def agree(self) -> None:
        self.dismiss(True)

    @action("confirm.no", "no", keys="n,escape,q", help="Leave it as it is", footer=2)
    def refuse(self) -> None:
        self.dismiss(False)
