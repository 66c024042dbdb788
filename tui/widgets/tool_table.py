"""The table of apps: how each is connected, since and until when, and who uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from core.link.tool_types import ToolRow
from tui.spans import Inked, Spans
from tui.text import fit, visible
from tui.tool_rows import kept, tool_key
from tui.tool_text import account_of, ends, since
from tui.widgets.line_list import LineList

PROVIDER_WIDTH = 9
ACCOUNT_WIDTH = 13
SINCE_WIDTH = 8
ENDS_WIDTH = 8
NAME_AT_MOST = 24
USERS_AT_MOST = 24


class Columns:
    """Widths of the table's columns at a width of the list."""

    def __init__(self, width: int) -> None:
        left = max(0, width - PROVIDER_WIDTH - 2 - ACCOUNT_WIDTH - 2 - SINCE_WIDTH - 1 - ENDS_WIDTH - 1)
        self.name = max(8, min(NAME_AT_MOST, left // 2))
        left = max(0, left - self.name - 2)
        self.users = max(0, min(USERS_AT_MOST, left if left < 30 else left // 3))
        self.what = max(0, left - self.users - 1)


class ToolTable(LineList):
    """One app a line."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="tools")
        self._now = now
        self.rows: list[ToolRow] = []
        self.shown: list[ToolRow] = []
        self.loaded = False
        self.mine = False
        """True while only those are shown that one has to do with."""
        self._words = ""

    @property
    def selected(self) -> ToolRow | None:
        """The app under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    def set_rows(self, rows: Sequence[ToolRow]) -> None:
        """Show these apps; the cursor stays on its app."""
        self.loaded = True
        self.rows = list(rows)
        self._apply(keep_cursor=True)

    def set_filter(self, words: str, *, mine: bool) -> None:
        """Keep what fits."""
        keep_cursor = words == self._words
        self._words, self.mine = words, mine
        self._apply(keep_cursor=keep_cursor)

    def _apply(self, *, keep_cursor: bool) -> None:
        selected = self.selected
        self.shown = kept(self.rows, self._words, mine=self.mine)
        keys = [tool_key(row) for row in self.shown]
        place = keys.index(tool_key(selected)) if selected is not None and tool_key(selected) in keys else 0
        self.set_reactive(LineList.cursor, place if keep_cursor else 0)
        self.lines_changed()
        self.show_line(self.cursor)
        self.post_message(self.Moved(self, self.cursor))

    def line_count(self) -> int:
        return len(self.shown)

    def line_spans(self, line: int, width: int) -> Spans:
        row, now = self.shown[line], self._now()
        columns = Columns(width)
        account, ink = account_of(row)
        over, over_ink = ends(row.connection, now)
        return [
            (fit(visible(row.name), columns.name), "strong"),
            ("  ", ""),
            (fit(row.provider, PROVIDER_WIDTH), "dim"),
            ("  ", ""),
            (fit(account, ACCOUNT_WIDTH), ink),
            ("  ", ""),
            (fit(since(row.connection, now), SINCE_WIDTH), "dim"),
            (" ", ""),
            (fit(over, ENDS_WIDTH), over_ink),
            (" ", ""),
            (fit(visible(", ".join(row.workflows)), columns.users), ""),
            (" ", ""),
            (fit(visible(" ".join(row.description.split())), columns.what), "dim"),
        ]


class ToolHead(Inked):
    """The titles of the table's columns."""

    DEFAULT_CSS = """
    ToolHead { height: 1; width: 1fr; }
    """

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        columns = Columns(width - 1)
        text = (
            f" {fit('NAME', columns.name)}  {fit('PROVIDER', PROVIDER_WIDTH)}  {fit('ACCOUNT', ACCOUNT_WIDTH)}"
            f"  {fit('SINCE', SINCE_WIDTH)} {fit('ENDS', ENDS_WIDTH)} {fit('USED BY', columns.users)}"
            f" {fit('WHAT', columns.what)}"
        )
        return self.strip([(text, "dim")]).crop_extend(0, width, self.rich_style)
