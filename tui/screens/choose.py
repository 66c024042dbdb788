"""The sheet on which one of several words is chosen; what it would be like is shown while one looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual.widget import Widget

from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit, visible
from tui.widgets.line_list import LineList


class ChoicesList(LineList):
    """The words; a sign stands before the present one."""

    DEFAULT_CSS = """
    ChoicesList { height: auto; }
    """

    def __init__(self, words: Sequence[tuple[str, str]], present: str) -> None:
        super().__init__(classes="tall")
        self.words = words
        self.present = present

    def on_mount(self) -> None:
        self.lines_changed()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.words)

    def line_count(self) -> int:
        return len(self.words)

    def line_spans(self, line: int, width: int) -> Spans:
        text = self.words[line][1]
        now = text == self.present
        return [("● " if now else "  ", "accent"), (fit(visible(text), width - 2), "strong" if now else "")]


class ChooseSheet(Sheet[str]):
    """Choose a word; dismisses with it, or with None. `preview` is called with each word that is looked at."""

    view = "choose"

    def __init__(
        self,
        title: str,
        words: Sequence[tuple[str, str]],
        present: str,
        preview: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(title)
        self.list = ChoicesList(words, present)
        self._preview = preview

    def compose_body(self) -> Iterable[Widget]:
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()
        labels = [text for _, text in self.list.words]
        if self.list.present in labels:
            self.list.move_to(labels.index(self.list.present))

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        if self._preview is not None:
            self._preview(self.list.words[event.cursor][0])

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        self.dismiss(self.list.words[event.cursor][0])

    @action("choose.take", "take it", keys="enter,space", help="Take the word under the cursor", footer=1)
    def take(self) -> None:
        self.list.choose()

    @action("choose.close", "close", keys="escape,q", help="Leave it as it is", footer=2)
    def close(self) -> None:
        self.dismiss(None)
