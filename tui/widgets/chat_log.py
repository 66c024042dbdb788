"""The conversation as a list of lines: it follows what streams, and draws again only the cells that changed."""

from __future__ import annotations

from bisect import bisect_right
from itertools import takewhile
from typing import Literal

from rich.cells import cell_len
from textual.geometry import Region, Size
from textual.message import Message

from tui.chat_lines import EntryLines
from tui.conversation import Conversation
from tui.spans import Span, Spans, spans_width
from tui.widgets.line_list import LineList

NEAR_EDGE = 8
"""So many lines from an end of what is held, more is asked for."""


class ChatLog(LineList):
    """Entries of a conversation below each other.

    Text that streams in is written where it belongs and nothing moves until the view is full; then the view moves on by
    half its height at once. So a line more costs the line, and not the whole view.
    """

    DEFAULT_CSS = """
    ChatLog { height: 1fr; min-height: 2; scrollbar-gutter: stable; overflow-y: auto; }
    """

    class EdgeNear(Message):
        """The view comes near an end of what is held, and there is more."""

        def __init__(self, where: Literal["older", "newer"]) -> None:
            super().__init__()
            self.where = where

    class FollowingChanged(Message):
        """The view follows what comes, or not any more."""

    def __init__(self) -> None:
        super().__init__(id="chat-log")
        self.conversation = Conversation()
        self.following = True
        self._starts: list[int] = [0]
        self._numbers: list[int] = []
        self._laid_width = -1
        self._painted: dict[int, Spans] = {}

    # Where things are --------------------------------------------------------------------------------------------

    @property
    def _width(self) -> int:
        return max(1, self.scrollable_content_region.width - 1)

    @property
    def _room(self) -> int:
        return max(1, self.scrollable_content_region.height or self.size.height)

    def line_count(self) -> int:
        return self._starts[-1]

    def place_of(self, line: int) -> tuple[int, int]:
        """The item that a line belongs to, and which of its lines it is."""
        place = max(0, min(bisect_right(self._starts, line) - 1, len(self.conversation.items) - 1))
        return place, line - self._starts[place]

    @property
    def selected(self) -> EntryLines | None:
        """The item under the cursor."""
        items = self.conversation.items
        return items[self.place_of(self.cursor)[0]] if items and len(self._starts) == len(items) + 1 else None

    def line_spans(self, line: int, width: int) -> Spans:
        if len(self._starts) != len(self.conversation.items) + 1:
            return []
        place, number = self.place_of(line)
        spans = self.conversation.items[place].line(number, self._laid_width)
        self._painted[line] = spans
        return spans

    def mark(self, line: int) -> Span:
        return super().mark(line) if self.has_focus else (" ", "")

    # What changed ------------------------------------------------------------------------------------------------

    def show(self, conversation: Conversation) -> None:
        """Show another conversation, from its end."""
        self.conversation = conversation
        self.following = True
        self._starts = [0]
        self._painted.clear()
        self.changed(0)
        self.refresh()

    def changed(self, place: int) -> None:
        """Items from a place on changed, came or went."""
        if not self.size.width:
            return
        anchor = self._anchor(self.scroll_offset.y)
        cursor = self._anchor(self.cursor)
        width = self._width
        if width != self._laid_width:
            self._laid_width, place = width, 0
        items = self.conversation.items
        # Where items went at the front, places are others: then everything is counted again.
        place = 0 if self._numbers[:place] != [item.entry.number for item in items[:place]] else place
        del self._starts[place + 1 :]
        for item in items[place:]:
            self._starts.append(self._starts[-1] + item.count(width))
        self._numbers = [item.entry.number for item in items]
        total = self.line_count()
        self.set_reactive(LineList.cursor, max(0, min(self._line_at(cursor, self.cursor), total - 1)))
        if self.following:
            self._keep_end_in_view(total)
        else:
            self._set_height(max(total, self.virtual_size.height if self.conversation.busy else total))
            top = self._line_at(anchor, self.scroll_offset.y)
            if top != self.scroll_offset.y:
                self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.refresh_changed()

    def _anchor(self, line: int) -> tuple[int, int] | None:
        if not self._numbers or line >= self._starts[-1]:
            return None
        place = bisect_right(self._starts, line) - 1
        return self._numbers[place], line - self._starts[place]

    def _line_at(self, anchor: tuple[int, int] | None, otherwise: int) -> int:
        if anchor is None or anchor[0] not in self._numbers:
            return otherwise
        return self._starts[self._numbers.index(anchor[0])] + anchor[1]

    def _set_height(self, height: int) -> None:
        if height != self.virtual_size.height or self.virtual_size.width != self.size.width:
            self.virtual_size = Size(0, height)

    def _keep_end_in_view(self, total: int) -> None:
        room = self._room
        top = self.scroll_offset.y
        if top < total <= top + room and self.virtual_size.height >= total:
            return
        if total <= room:
            self._set_height(total)
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
            return
        spare = room // 2 if self.conversation.busy else 0
        self._set_height(total + spare)
        self.scroll_to(y=total + spare - room, animate=False, force=True, immediate=True)

    def refresh_changed(self) -> None:
        """Draw again the cells in view that are not as they were painted."""
        top, room, total = self.scroll_offset.y, self._room, self.line_count()
        before, self._painted = self._painted, {}
        for line in range(top, top + room):
            old = before.get(line)
            new = self.line_spans(line, self._laid_width) if line < total else None
            if old == new:
                continue
            same = _same_cells(old, new)
            last = max(spans_width(old or []), spans_width(new or []))
            # One cell of mark stands before the text.
            self.refresh(Region(same + 1, line - top, max(1, last - same), 1))

    def on_resize(self) -> None:
        """Lines break elsewhere."""
        self.changed(0)
        if self.following:
            self._keep_end_in_view(self.line_count())
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        self._painted.clear()
        following = round(new) + self._room >= self.line_count() and self.conversation.at_end
        if following != self.following:
            self.following = following
            self.post_message(self.FollowingChanged())
        if round(new) < NEAR_EDGE and not self.conversation.at_start:
            self.post_message(self.EdgeNear("older"))
        elif round(new) + self._room > self.line_count() - NEAR_EDGE and not self.conversation.at_end:
            self.post_message(self.EdgeNear("newer"))

    # Moving ------------------------------------------------------------------------------------------------------

    def on_focus(self) -> None:
        """The cursor comes to where one reads."""
        top = self.scroll_offset.y
        bottom = min(top + self._room, self.line_count()) - 1
        if not top <= self.cursor <= bottom:
            self.cursor = max(0, bottom)

    def follow(self) -> None:
        """To the end, and stay there."""
        self.following = True
        self._keep_end_in_view(self.line_count())
        self.set_reactive(LineList.cursor, max(0, self.line_count() - 1))
        self.refresh()
        self.post_message(self.FollowingChanged())

    def move_last(self) -> None:
        if self.conversation.at_end:
            super().move_last()
            self.follow()
        else:
            self.post_message(self.EdgeNear("newer"))

    def to_entry(self, step: int) -> None:
        """To the entry after or before the one under the cursor."""
        if self.conversation.items:
            place = max(0, min(self.place_of(self.cursor)[0] + step, len(self.conversation.items) - 1))
            self.move_to(self._starts[place])


def _same_cells(old: Spans | None, new: Spans | None) -> int:
    """How many cells from the left are alike, in text and ink."""
    same = 0
    for (old_text, old_ink), (new_text, new_ink) in zip(old or [], new or [], strict=False):
        if old_ink != new_ink:
            break
        if old_text != new_text:
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(old_text, new_text, strict=False))
            head = "".join(sign for sign, _ in alike)
            # A sign that joins with the one before it is not to be cut off from it.
            return same + (len(head) if head.isascii() else 0)
        same += cell_len(old_text)
    return same
