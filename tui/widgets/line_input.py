"""One line to type in, without a box around it and without a blinking cursor."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

from tui.spans import Inked
from tui.text import one_line


def edits_of(owner: type[Input]) -> list[tuple[str, str]]:
    """The keys that a class of inputs binds, several apart by commas, with their actions."""
    found = [binding if isinstance(binding, Binding) else Binding(*binding) for binding in owner.BINDINGS]
    return [(binding.key, binding.action) for binding in found]


EDITS = {key: action for keys, action in edits_of(Input) for key in keys.split(",")}
"""What the keys of an input do, by key."""


class LineInput(Input):
    """An input of one row. Pasted lines are joined by spaces, so that nothing of them is lost."""

    DEFAULT_CSS = """
    LineInput { height: 1; padding: 0; background: $background; width: 1fr; }
    LineInput:focus { background: $panel-lighten-1; background-tint: $background 0%; }
    LineInput:ansi:focus { background: ansi_default; text-style: underline; }
    """

    entry_keys = (("enter", "done"), ("esc", "leave"), ("^u", "clear"))
    """What the footer shows while one types here."""

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(value, compact=True, select_on_focus=False, **options)
        self.cursor_blink = False

    async def on_key(self, event: events.Key) -> None:
        """Keys that edit do so at once. Textual looks for them after the event went all the way up, and by then the
        letters that came in the same piece are typed: ctrl+u would take them too."""
        edit = EDITS.get(event.key)
        # Backspace on an empty line may mean something to what is around.
        if edit is not None and not (event.key == "backspace" and not self.value):
            event.stop()
            event.prevent_default()
            await self.run_action(edit)

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        line = one_line(event.text)
        if self.selection.is_empty:
            self.insert_text_at_cursor(line)
        else:
            self.replace(line, *self.selection)


class Note(Inked):
    """A few words in one row: a sign before an input, a count after it."""

    DEFAULT_CSS = """
    Note { height: 1; width: auto; }
    """

    spans: reactive[tuple[tuple[str, str], ...]] = reactive((), layout=True)

    def get_content_width(self, container: object, viewport: object) -> int:
        return sum(len(text) for text, _ in self.spans)

    def render_line(self, y: int) -> Strip:
        return self.strip(self.spans).crop_extend(0, self.size.width, self.rich_style)


class FilterLine(Horizontal):
    """The line that `/` opens: what is typed, and how much of the list is left. Hidden while it is not used."""

    DEFAULT_CSS = """
    FilterLine { height: 1; width: 1fr; }
    FilterLine Note { padding: 0 1; }
    """

    class Changed(Message):
        """Other text, or none any more."""

        def __init__(self, line: FilterLine, text: str) -> None:
            super().__init__()
            self.line = line
            self.text = text

        @property
        def control(self) -> FilterLine:
            return self.line

    class Done(Message):
        """Enter (`kept`), or Esc, which takes the text away."""

        def __init__(self, line: FilterLine, kept: bool) -> None:
            super().__init__()
            self.line = line
            self.kept = kept

        @property
        def control(self) -> FilterLine:
            return self.line

    def __init__(
        self,
        placeholder: str = "",
        *,
        sign: str = "/",
        id: str | None = None,
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__(id=id)
        self.display = False
        self._sign = Note(classes="sign")
        self._sign.spans = ((sign, "key"),)
        self.line = LineInput(placeholder=placeholder, suggester=suggester)
        self._count = Note(classes="count")

    def compose(self) -> ComposeResult:
        yield self._sign
        yield self.line
        yield self._count

    @property
    def text(self) -> str:
        """What is typed."""
        return self.line.value

    @property
    def typing(self) -> bool:
        """True while keys go into the line."""
        return self.line.has_focus

    def open(self) -> None:
        """Show the line and type in it."""
        self.display = True
        # At once, and not by `focus()`, which waits: the next key belongs here.
        self.screen.set_focus(self.line)

    def close(self) -> None:
        """Take the text away and hide the line."""
        self.line.value = ""
        self.display = False

    def open_with(self, text: str) -> None:
        """Show the line with a text in it, and leave the focus where it is."""
        self.line.value = text
        self.display = True

    def show_count(self, text: str, ink: str = "dim") -> None:
        """Say at the right end how much is left."""
        self._count.spans = ((text, ink),)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Done(self, True))

    def on_key(self, event: events.Key) -> None:
        """Esc leaves without the text; down goes to the list."""
        if event.key in ("escape", "down") and self.typing:
            event.stop()
            event.prevent_default()
            self.post_message(self.Done(self, event.key == "down"))
