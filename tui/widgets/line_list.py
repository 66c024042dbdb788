"""A list of lines with a cursor: the base of every table, tree and log on the screens.

Lines are drawn when they come into view, so a list costs what is visible and not what it holds.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import MOVING, Acting, action
from tui.spans import Inking, Span, Spans


class LineList(Acting, Inking, ScrollView, can_focus=True):
    """Lines with a cursor. Subclasses say how many lines there are and what stands in one."""

    view = MOVING

    DEFAULT_CSS = """
    LineList { height: 1fr; scrollbar-size: 1 1; overflow-x: hidden; }
    """

    cursor: reactive[int] = reactive(0, repaint=False)
    """Number of the line that is selected, from 0."""

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, lines: LineList, cursor: int) -> None:
            super().__init__()
            self.lines = lines
            self.cursor = cursor

        @property
        def control(self) -> LineList:
            return self.lines

    class Chosen(Message):
        """Enter or a click on the line that was selected already."""

        def __init__(self, lines: LineList, cursor: int) -> None:
            super().__init__()
            self.lines = lines
            self.cursor = cursor

        @property
        def control(self) -> LineList:
            return self.lines

    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def line_spans(self, line: int, width: int) -> Spans:
        """What stands in a line, without the mark of the cursor; `width` is what can be seen."""
        raise NotImplementedError

    def mark(self, line: int) -> Span:
        """The cell before a line: it shows the cursor."""
        if line != self.cursor or not self.line_count():
            return (" ", "")
        return ("▌", "accent" if self.has_focus else "dim")

    def selectable(self, line: int) -> bool:
        """False for lines that the cursor passes over."""
        return True

    def lines_width(self) -> int:
        """Cells of the longest line; 0 where lines are as wide as the widget."""
        return 0

    # Drawing ---------------------------------------------------------------------------------------------------

    def lines_changed(self) -> None:
        """Say that lines came, went or changed: everything visible is drawn again."""
        count = self.line_count()
        self.virtual_size = Size(self.lines_width(), count)
        if self.cursor >= count:
            self.cursor = max(0, count - 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        line = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if line >= self.line_count():
            return Strip.blank(width, self.rich_style)
        under = "cursor" if line == self.cursor and self.has_focus else ""
        base = self.rich_style + self.ink(under) if under else self.rich_style
        spans = [self.mark(line), *self.line_spans(line, width - 1)]
        left = self.scroll_offset.x
        strip = self.strip(spans, under=under)
        window = strip.crop_extend(left, left + width, base)
        return self._with_hidden_marked(strip, window, base) if self.lines_width() else window

    def _with_hidden_marked(self, strip: Strip, window: Strip, base: Style) -> Strip:
        """The part of a line that can be seen, with a sign in its edge cell on each side where text goes on.

        Nobody should take the part that fits for the whole, least of all of code that asks to be run.
        """
        left, width = self.scroll_offset.x, window.cell_length
        style = base + self.ink("key")
        if left and strip.crop(0, left + 1).text[1:].strip():
            window = Strip.join([Strip([Segment("‹", style)]), window.crop(1)])
        if strip.cell_length > left + width and strip.crop(left + width - 1).text.strip():
            window = Strip.join([window.crop(0, width - 1), Strip([Segment("›", style)])])
        return window

    def redraw_line(self, line: int) -> None:
        """Draw one line again."""
        self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.redraw_line(self.cursor)

    # The cursor ------------------------------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.line_count() - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        self.redraw_line(old)
        self.redraw_line(new)
        self.show_line(new)
        self.post_message(self.Moved(self, new))

    def show_line(self, line: int) -> None:
        """Scroll as little as it takes to see a line."""
        height = self.scrollable_content_region.height or self.size.height
        top = self.scroll_offset.y
        if line < 0:
            return
        if line < top:
            self.scroll_to(y=line, animate=False, force=True)
        elif height and line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False, force=True)

    def move_to(self, line: int) -> None:
        """Put the cursor on a line, or on the nearest one that it can stand on."""
        count = self.line_count()
        if not count:
            return
        step = 1 if line >= self.cursor else -1
        target = max(0, min(line, count - 1))
        ahead = range(target, count if step > 0 else -1, step)
        behind = range(target, -1 if step > 0 else count, -step)
        self.cursor = next((at for at in (*ahead, *behind) if self.selectable(at)), self.cursor)
        self.show_line(self.cursor)

    def _page_height(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    @action("move.down", "down", keys="j,down", help="One line down")
    def move_down(self) -> None:
        self.move_to(self.cursor + 1)

    @action("move.up", "up", keys="k,up", help="One line up")
    def move_up(self) -> None:
        self.move_to(self.cursor - 1)

    @action("move.first", "first", keys="g g,home", help="To the first line")
    def move_first(self) -> None:
        self.move_to(0)

    @action("move.last", "last", keys="G,end", help="To the last line")
    def move_last(self) -> None:
        self.move_to(self.line_count() - 1)

    @action("move.half-page-down", "half a page down", keys="ctrl+d", help="Half a page down")
    def move_half_page_down(self) -> None:
        self.move_to(self.cursor + max(1, self._page_height() // 2))

    @action("move.half-page-up", "half a page up", keys="ctrl+u", help="Half a page up")
    def move_half_page_up(self) -> None:
        self.move_to(self.cursor - max(1, self._page_height() // 2))

    @action("move.page-down", "page down", keys="pagedown", help="A page down")
    def move_page_down(self) -> None:
        self.move_to(self.cursor + self._page_height())

    @action("move.page-up", "page up", keys="pageup", help="A page up")
    def move_page_up(self) -> None:
        self.move_to(self.cursor - self._page_height())

    @action("move.left", "left", keys="h,left", help="To the left, or close a branch")
    def move_left(self) -> None:
        self.scroll_to(x=self.scroll_offset.x - 8, animate=False, force=True)

    @action("move.right", "right", keys="l,right", help="To the right, or open a branch")
    def move_right(self) -> None:
        self.scroll_to(x=self.scroll_offset.x + 8, animate=False, force=True)

    @action("move.choose", "choose", keys="enter", help="Open or choose the line")
    def choose(self) -> None:
        if self.line_count():
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Select the line under the pointer; a second click chooses it."""
        line = event.y + self.scroll_offset.y
        if line >= self.line_count() or not self.selectable(line):
            return
        if line == self.cursor:
            self.choose()
        self.move_to(line)
