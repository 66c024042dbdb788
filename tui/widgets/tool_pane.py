"""What there is to know of one app: what it is, its accounts, and what it can do."""

from __future__ import annotations

from collections.abc import Callable

from core.link.tool_types import ActionRow, ConnectionView, ToolDetail, ToolRow
from tui.spans import Spans
from tui.text import visible
from tui.tool_rows import kept_actions, tool_key
from tui.tool_text import about_lines, account_lines, account_of, action_spans, note_lines
from tui.widgets.line_list import LineList

NAME_AT_MOST = 34

Item = ActionRow | ConnectionView | None


class ToolPane(LineList):
    """The selected app. Its accounts and actions come only when one goes there: asking for them may take a service."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="tool-pane")
        self._now = now
        self._row: ToolRow | None = None
        self.detail: ToolDetail | None = None
        self.reading = False
        self.words = ""
        """What the actions are filtered by."""
        self._lines: list[tuple[Spans, Item]] = []
        self._built_width = -1

    def show(self, row: ToolRow | None, detail: ToolDetail | None, *, reading: bool = False) -> None:
        """Show an app, with all that is known of it."""
        same = row is not None and self._row is not None and tool_key(row) == tool_key(self._row)
        if same and detail is self.detail and row == self._row and reading == self.reading:
            return
        before = self.item if same else None
        self._row, self.detail, self.reading = row, detail, reading
        if not same:
            self.words = ""
        self._rebuild(before, stay=same)

    def set_words(self, words: str) -> None:
        """Keep the actions that fit."""
        self.words = words
        self._rebuild(None, stay=True)
        if words:
            self.go_to_actions()

    @property
    def item(self) -> Item:
        """What the cursor stands on: an action, an account, or neither."""
        lines = self._lines
        return lines[self.cursor][1] if self.cursor < len(lines) else None

    @property
    def action(self) -> ActionRow | None:
        """The action under the cursor."""
        return self.item if isinstance(self.item, ActionRow) else None

    @property
    def account(self) -> ConnectionView | None:
        """The account under the cursor."""
        return self.item if isinstance(self.item, ConnectionView) else None

    def go_to_actions(self) -> None:
        """Put the cursor on the first action, where there is one."""
        place = next((n for n, (_, item) in enumerate(self._lines) if isinstance(item, ActionRow)), None)
        if place is not None:
            self.move_to(place)

    # Lines -----------------------------------------------------------------------------------------------------

    def _rebuild(self, before: Item, *, stay: bool) -> None:
        self._build(self._text_width)
        cursor = self.cursor if stay else 0
        if isinstance(before, ActionRow):
            names = [item.id if isinstance(item, ActionRow) else "" for _, item in self._lines]
            cursor = names.index(before.id) if before.id in names else cursor
        self.set_reactive(LineList.cursor, max(0, min(cursor, len(self._lines) - 1)))
        if not stay:
            self.scroll_to(y=0, animate=False, force=True)
        self.lines_changed()

    @property
    def _text_width(self) -> int:
        return max(20, self.size.width - 2)

    def _build(self, width: int) -> None:
        self._built_width = width
        self._lines = []
        row, detail = self._row, self.detail
        if row is None:
            return
        self._lines += [(spans, None) for spans in about_lines(detail.row if detail is not None else row, width)]
        if detail is None:
            text, ink = account_of(row)
            count = f"{row.actions} actions" if row.actions else "what it can do"
            hint = "reading what it can do…" if self.reading else f"enter shows {count}"
            self._lines.append(([("account  ", "dim"), (text, ink)], None))
            self._lines.append(([(hint, "dim")], None))
            return
        self._lines += account_lines(detail, self._now())
        for note in detail.notes:
            self._lines += [(spans, None) for spans in note_lines(note, width)]
        actions = kept_actions(detail.actions, self.words)
        if actions:
            self._lines.append(([("", "")], None))
            longest = max(len(visible(one.name)) for one in actions)
            name_width = min(longest, NAME_AT_MOST, max(8, width // 2))
            self._lines += [(action_spans(one, name_width, width), one) for one in actions]
        elif detail.actions:
            self._lines.append(([("no action fits", "dim")], None))
        elif not detail.notes:
            self._lines.append(([("it has no actions", "dim")], None))

    def on_resize(self) -> None:
        if self._text_width != self._built_width:
            self._rebuild(self.item, stay=True)

    def line_count(self) -> int:
        return len(self._lines)

    def line_spans(self, line: int, width: int) -> Spans:
        return self._lines[line][0]

    def mark(self, line: int) -> tuple[str, str]:
        return super().mark(line) if self.has_focus else (" ", "")
