"""The sheet with the trash: workflows that were put away, to be taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from core.link.shelf_api import TrashedWorkflow
from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit, relative_time, visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph


class TrashList(LineList):
    """One workflow a line, the last that was put there first."""

    DEFAULT_CSS = """
    TrashList { height: auto; }
    """

    def __init__(self, trashed: Sequence[TrashedWorkflow], now: float) -> None:
        super().__init__(classes="tall")
        self.trashed = trashed
        self._now = now

    def on_mount(self) -> None:
        self.lines_changed()

    @property
    def selected(self) -> TrashedWorkflow | None:
        """The one under the cursor."""
        return self.trashed[self.cursor] if self.cursor < len(self.trashed) else None

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self.trashed))

    def line_count(self) -> int:
        return len(self.trashed)

    def line_spans(self, line: int, width: int) -> Spans:
        one = self.trashed[line]
        return [
            (fit(visible(one.workflow), 32), "strong"),
            (fit(relative_time(one.trashed_at, self._now), 10), "dim"),
            (fit((one.version or "")[:12], 14), "dim"),
            (fit(one.id, max(0, min(14, width - 56))), "dim"),
        ]


class TrashSheet(Sheet[TrashedWorkflow | list[TrashedWorkflow]]):
    """Pick what comes back; dismisses with it, with all that is to be removed for good, or with None."""

    view = "trash"

    def __init__(self, trashed: Sequence[TrashedWorkflow], now: float) -> None:
        super().__init__("the trash")
        self.list = TrashList(trashed, now)

    def compose_body(self) -> Iterable[Widget]:
        if not self.list.trashed:
            yield Paragraph("The trash is empty: d on a workflow puts it here.", "dim")
        yield self.list

    def on_mount(self) -> None:
        self.list.display = bool(self.list.trashed)
        self.list.focus()

    @action("trash.restore", "take out", keys="enter", help="Back to where it was", footer=1)
    def restore(self) -> None:
        self.dismiss(self.list.selected)

    def on_line_list_chosen(self) -> None:
        self.restore()

    @action("trash.empty", "empty", keys="D", help="Remove all of it for good; asks with the list", footer=2)
    def empty(self) -> None:
        if self.list.trashed:
            self.dismiss(list(self.list.trashed))

    @action("trash.close", "close", keys="escape,q", help="Back", footer=3)
    def close(self) -> None:
        self.dismiss(None)
