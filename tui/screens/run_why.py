"""The why of the Run screen: from a value of the state to the steps that wrote it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.inspect_types import PartWritten, WhyPage, WriteView
from tui.actions import action
from tui.screens.base import error_text
from tui.screens.run_steps import StepActions
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.state_tree import Path, path_text
from tui.text import fit, relative_time, shorten, visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph

PAGE = 20
NEAR_END = 5
"""Lines from the end at which more are read."""
NODE_WIDTH = 18

ReadWhy = Callable[[list[str | int], int | None], Awaitable[WhyPage]]
"""Reads a page: the path, and the step before which it begins (None: at the step that is looked at)."""


class WhyRead(Message, bubble=False):
    """A page came."""

    def __init__(self, page: WhyPage) -> None:
        super().__init__()
        self.page = page


class WhyFailed(Message, bubble=False):
    """A page could not be read."""

    def __init__(self, error: RondoError) -> None:
        super().__init__()
        self.error = error


class WriteList(LineList):
    """The steps that wrote a value, the newest first."""

    def __init__(self, now: float) -> None:
        super().__init__(classes="tall")
        self.writes: list[WriteView] = []
        self._now = now
        self._path: Path = ()

    def add(self, page: WhyPage) -> None:
        """Add a page at the end."""
        if not self.writes:
            self._path = tuple(page.path)
        self.writes += page.writes
        self.styles.height = max(1, len(self.writes))
        self.lines_changed()

    @property
    def selected(self) -> WriteView | None:
        """The line under the cursor."""
        return self.writes[self.cursor] if self.cursor < len(self.writes) else None

    def line_count(self) -> int:
        return len(self.writes)

    def line_spans(self, line: int, width: int) -> Spans:
        write = self.writes[line]
        head = f"step {write.step}"
        spans: Spans = [(fit(head, 10), "dim"), (fit(write_node(write), NODE_WIDTH), "strong"), (" ", "")]
        spans += self._what(write)
        when = relative_time(write.at, self._now)
        used = sum(len(text) for text, _ in spans[:-1])
        text, ink = spans[-1]
        room = max(8, width - used - len(when) - 3)
        return [*spans[:-1], (fit(shorten(visible(text), room), room), ink), ("  ", ""), (when, "dim")]

    def _what(self, write: WriteView) -> Spans:
        """How it was written, and what."""
        how: list[str] = []
        if write.op == "append":
            how.append("added to the list")
        elif write.op == "del":
            how.append("removed")
        if write.op in ("set", "del") and write.with_path != write.path:
            how.append(f"with {path_text(tuple(write.with_path))}")
        if tuple(write.path) != self._path:
            how.append(f"as {path_text(tuple(write.path))}")
        spans: Spans = [(", ".join(how) + ": " if how and write.op != "del" else ", ".join(how), "dim")]
        if write.op == "parts":
            rest = write.part_count - len(write.parts)
            text = "  ".join(_part_text(part) for part in write.parts) + (f"  and {rest} more" if rest > 0 else "")
            return [("changed inside: ", "dim"), (text, "")]
        return [*spans, (write.value or "", "added")]


def write_node(write: WriteView) -> str:
    """Who wrote."""
    if write.node:
        return visible(write.node) + (f"#{write.visit}" if write.visit > 1 else "")
    return "(where it began)" if write.step == 0 else "(a person)"


def _part_text(part: PartWritten) -> str:
    place = "".join(f"[{name!r}]" for name in part.path)
    if part.op.startswith("append"):
        return f"{place} + {part.value}".strip()
    return f"{place} = {part.value}" if part.value is not None else f"{place} removed"


class WhySheet(Sheet[WriteView | None]):
    """Who wrote a value; dismisses with the write to go to, or with None."""

    view = "why"

    def __init__(self, path: Path, read: ReadWhy, now: float) -> None:
        super().__init__(f"why {shorten(visible(path_text(path)), 60)}")
        self._path = list(path)
        self._read = read
        self._before: int | None = None
        self._reading = False
        self._ended = False
        self.lines = WriteList(now)
        self.words = Paragraph("Looking for the steps that wrote it …", "dim")

    def compose_body(self) -> Iterable[Widget]:
        yield self.words
        yield self.lines

    def on_mount(self) -> None:
        self.lines.focus()
        self._want_more()

    def _want_more(self) -> None:
        if not self._reading and not self._ended:
            self._reading = True
            self.run_worker(self._read_page, group="why", name="why")

    async def _read_page(self) -> None:
        try:
            page = await self._read(self._path, self._before)
        except RondoError as error:
            self.post_message(WhyFailed(error))
        else:
            self.post_message(WhyRead(page))

    def on_why_read(self, message: WhyRead) -> None:
        page = message.page
        self._reading = False
        self.lines.add(page)
        self._ended = page.next_before is None
        if page.next_before is not None:
            self._before, self._path = page.next_before, page.next_path
        count = len(self.lines.writes)
        if not self._ended:
            self.words.text = f"{count} so far; looked back to step {page.next_before}"
        else:
            found = "The newest first: enter goes to the step."
            self.words.text = found if count else "No step that is kept wrote it."
        self.refresh_keys()
        if count - self.lines.cursor <= NEAR_END:
            self._want_more()

    def on_why_failed(self, message: WhyFailed) -> None:
        self._reading, self._ended = False, True
        self.words.text = error_text(message.error)

    def on_line_list_moved(self) -> None:
        if len(self.lines.writes) - self.lines.cursor <= NEAR_END:
            self._want_more()

    def on_line_list_chosen(self) -> None:
        self.go_to_step()

    @action("why.go", "to the step", keys="enter", help="Show the state after that step, at the value", footer=1)
    def go_to_step(self) -> None:
        if self.lines.selected is not None:
            self.dismiss(self.lines.selected)

    @action("why.close", "close", keys="escape,q,w", help="Back", footer=2)
    def close(self) -> None:
        self.dismiss(None)


def needs_value(screen: WhyActions) -> str:
    """Why there is nothing to ask about."""
    return "" if screen.asked_path() else "Select a value of the state first: tab goes to the state"


class WhyActions(StepActions):
    """From a value to who wrote it."""

    def asked_path(self) -> Path:
        """The place in the state that is selected."""
        path = self.state.selected_path if self.state.step >= 0 else ()
        return path[:-1] if path and path[-1] == "…" else path

    @action(
        "run.why",
        "why",
        keys="w",
        words="why",
        help="The steps that wrote the selected value",
        footer=8,
        when=needs_value,
    )
    def why(self) -> None:
        path, step, run_id, of_line = self.asked_path(), self.state.step, self.feed.run_id, self.feed.line
        line = self.state.selected_line
        # What this step removed was there before it.
        at = step - 1 if line is not None and line.kind == "removed" else step

        async def read(path: list[str | int], before: int | None) -> WhyPage:
            return await self.engine.read_why(run_id, path, at, of_line, before, PAGE)

        self.rondo.push_screen(WhySheet(path, read, self.rondo.now()), self._go_to_write)

    def _go_to_write(self, write: WriteView | None) -> None:
        if write is None:
            return
        self.state.go_path(tuple(write.path))
        self.go_to_step(write.step)
        self.set_focus(self.state)
