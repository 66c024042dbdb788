"""A list that shows a window on many rows and asks for others when one comes near its edges."""

from __future__ import annotations

from time import monotonic
from typing import Literal

from textual import events
from textual.message import Message
from textual.scrollbar import ScrollTo, ScrollUp

from tui.widgets.line_list import LineList

EDGE = 40
"""Lines from the edge of the window at which the next rows are asked for."""

PATIENCE_SECONDS = 2.0
"""How long rows that were asked for are waited for."""

Where = Literal["older", "newer", "first", "last"]


class WindowList(LineList):
    """Lines of a window. While `following`, the cursor stays on the newest line; moving up ends that.

    Subclasses say whether there is more before (`has_older`) and after (`has_newer`) what they hold.
    """

    class Wanted(Message):
        """Rows beyond the window are wanted."""

        def __init__(self, lines: WindowList, where: Where) -> None:
            super().__init__()
            self.lines = lines
            self.where = where

        @property
        def control(self) -> WindowList:
            return self.lines

    class FollowingChanged(Message):
        """Following began or ended."""

        def __init__(self, lines: WindowList) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._following = True
        self._asked: dict[Where, float] = {}

    def _ask_for(self, where: Where) -> None:
        """Ask for rows once until they come; a call that was lost is made again after a while."""
        now = monotonic()
        if now - self._asked.get(where, -PATIENCE_SECONDS) >= PATIENCE_SECONDS:
            self._asked[where] = now
            self.post_message(self.Wanted(self, where))

    def lines_changed(self) -> None:
        self._asked.clear()
        super().lines_changed()

    @property
    def has_older(self) -> bool:
        """True where there are rows before the window."""
        raise NotImplementedError

    @property
    def has_newer(self) -> bool:
        """True where there are rows after the window."""
        raise NotImplementedError

    @property
    def following(self) -> bool:
        """True while the newest line is kept in view."""
        return self._following

    def follow(self, on: bool) -> None:
        """Keep the newest line in view, or stop doing so."""
        if on:
            if self.has_newer:
                self._ask_for("last")
            else:
                super().move_last()
        if on != self._following:
            self._following = on
            self.post_message(self.FollowingChanged(self))

    def lines_shifted(self, lines: int) -> None:
        """Lines were put before (positive) or cut from (negative) the window: what is seen stays where it is."""
        top = self.scroll_offset.y
        self.set_reactive(LineList.cursor, max(0, min(self.cursor + lines, self.line_count() - 1)))
        self.lines_changed()
        self.scroll_to(y=max(0, top + lines), animate=False, force=True)

    def rows_grew(self) -> None:
        """Rows came at the end: show them, and stay on the newest while following."""
        self.lines_changed()
        if self._following:
            super().move_last()

    def move_to(self, line: int) -> None:
        if max(0, line) < self.cursor:
            self.follow(False)
        super().move_to(line)

    def on_resize(self) -> None:
        """The newest line stays in view when the list gets taller or smaller."""
        self.show_line(self.line_count() - 1 if self._following else self.cursor)

    def watch_cursor(self, old: int, new: int) -> None:
        super().watch_cursor(old, new)
        if new < EDGE and self.has_older:
            self._ask_for("older")
        elif new >= self.line_count() - EDGE and self.has_newer:
            self._ask_for("newer")
        if new == self.line_count() - 1 and not self.has_newer and new > old and not self._following:
            self.follow(True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        height = self.scrollable_content_region.height
        if new_value < EDGE and self.has_older:
            self._ask_for("older")
        elif new_value + height >= self.line_count() - EDGE and self.has_newer:
            self._ask_for("newer")

    # The wheel and the scroll bar move the view without the cursor: going up with them ends following too.

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if self.max_scroll_y > 0:
            self.follow(False)

    def on_scroll_up(self, message: ScrollUp) -> None:
        self.follow(False)

    def on_scroll_to(self, message: ScrollTo) -> None:
        if message.y is not None and message.y < self.scroll_y:
            self.follow(False)

    def move_first(self) -> None:
        """To the first row of all, also where it lies before the window."""
        self.follow(False)
        if self.has_older:
            self._ask_for("first")
        else:
            super().move_first()

    def move_last(self) -> None:
        """To the newest row, and follow from there."""
        self.follow(True)
