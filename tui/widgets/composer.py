"""Where one writes to the assistant: some lines, history, and completion of what begins with `@` or `/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea

from tui.chat_commands import Suggestion
from tui.spans import Spans
from tui.text import fit, many_lines
from tui.widgets.line_list import LineList

SHOWN_AT_MOST = 6
NEWLINE_KEYS = ("alt+enter", "shift+enter", "ctrl+j")
COMPLETION_KEYS = ("enter", "tab", "up", "down", "escape")
"""Keys that act on the list, which must then be that of the text and not of what it was some keys ago."""
OWN_KEYS = ("up", "down", "pageup", "pagedown", "tab", "escape", "enter")


def _edits() -> dict[str, str]:
    found = [binding if isinstance(binding, Binding) else Binding(*binding) for binding in TextArea.BINDINGS]
    return {key: binding.action for binding in found for key in binding.key.split(",")}


EDITS = {key: action for key, action in _edits().items() if key not in ("ctrl+c", "super+c")}
"""What the keys of a text area do, by key; ctrl+c says how to leave, as everywhere."""


class Suggestions(LineList, can_focus=False):
    """What could be meant; the cursor shows what tab takes."""

    DEFAULT_CSS = """
    Suggestions { height: auto; max-height: 6; display: none; }
    """

    def __init__(self) -> None:
        super().__init__(id="suggestions")
        self.entries: list[Suggestion] = []

    def show(self, entries: list[Suggestion]) -> None:
        """Show others, from the first one on; none of them hides the list."""
        if entries == self.entries:
            return
        self.entries = entries
        self.display = bool(entries)
        self.set_reactive(LineList.cursor, 0)
        self.styles.height = max(1, min(len(entries), SHOWN_AT_MOST))
        self.lines_changed()
        self.scroll_to(y=0, animate=False, force=True)

    @property
    def selected(self) -> Suggestion | None:
        """The one under the cursor."""
        return self.entries[self.cursor] if self.entries else None

    def line_count(self) -> int:
        return len(self.entries)

    def mark(self, line: int) -> tuple[str, str]:
        return ("▌", "accent") if line == self.cursor else (" ", "")

    def line_spans(self, line: int, width: int) -> Spans:
        entry = self.entries[line]
        return [
            (fit(entry.text, min(24, width // 2)), "accent" if line == self.cursor else ""),
            (" ", ""),
            (fit(entry.help, max(0, width - min(24, width // 2) - 1)), "dim"),
        ]


class Composer(TextArea):
    """The text that is to be sent. Enter sends; alt+enter, shift+enter, ctrl+j or a backslash before Enter make a new
    line. What is pasted is never sent by itself."""

    DEFAULT_CSS = """
    Composer {
        height: auto; max-height: 7; min-height: 1; width: 1fr; padding: 0 0 0 1; border: none;
        background: $background; scrollbar-size: 1 1;
        &:focus { border: none; background: $background; background-tint: $background 0%; }
    }
    """

    takes_letters = True
    entry_keys = (
        ("enter", "send"),
        ("^j", "new line"),
        ("@ /", "complete"),
        ("↑", "history"),
        ("pgup", "scroll"),
        ("tab", "out"),
        ("esc", "leave"),
    )
    """What the footer shows while one writes here."""

    class Submitted(Message):
        """Enter was pressed; the composer is empty again."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Esc was pressed."""

    class Paged(Message):
        """The conversation is to be scrolled by pages."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    def __init__(self, list_of: Suggestions) -> None:
        super().__init__(
            "",
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            highlight_cursor_line=False,
            compact=True,
            id="composer",
        )
        self.cursor_blink = False
        self._suggestions = list_of
        self.sent_before: list[str] = []
        """What was sent before, oldest first."""
        self.completions: Callable[[str], Sequence[Suggestion]] = lambda before: ()
        """What could be meant by the text before the cursor."""
        self._history_at: int | None = None
        self._unsent = ""
        self._closed_at: str | None = None

    def put(self, text: str) -> None:
        """Let a text stand there, with the cursor after it."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def before_cursor(self) -> str:
        """The text up to the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    async def on_key(self, event: events.Key) -> None:
        """Keys act at once, so that those which come in the same piece find what they did."""
        key = event.key
        if event.is_printable:
            self._history_at = None
            return
        if key in COMPLETION_KEYS:
            self.suggest()
        handled = True
        if key == "enter":
            self._enter()
        elif key in NEWLINE_KEYS:
            self.insert("\n")
        elif key in ("up", "down"):
            self._go_vertical(-1 if key == "up" else 1)
        elif key == "tab" and self._suggestions.selected is not None:
            self._complete(self._suggestions.selected)
        elif key == "escape":
            self._escape()
        elif key in ("pageup", "pagedown"):
            self.post_message(self.Paged(-1 if key == "pageup" else 1))
        elif key in EDITS and key not in OWN_KEYS:
            await self.run_action(EDITS[key])
        else:
            handled = False
        if handled:
            event.stop()
            event.prevent_default()

    def suggest(self) -> None:
        """Show what could be meant by the text as it stands now; nothing where Esc closed the list on it."""
        before = self.before_cursor if self.text else ""
        if before != self._closed_at:
            self._closed_at = None
        self._suggestions.show(list(self.completions(before)) if self._closed_at is None else [])

    def _enter(self) -> None:
        chosen = self._suggestions.selected
        if chosen is not None:
            self._complete(chosen)
            if not chosen.whole:
                return
        elif self.before_cursor.endswith("\\"):
            self.action_delete_left()
            self.insert("\n")
            return
        text = self.text.strip()
        self._history_at = None
        self.clear()
        self.post_message(self.Submitted(text))

    def _complete(self, chosen: Suggestion) -> None:
        row, column = self.cursor_location
        self.replace(chosen.text + ("" if chosen.whole else " "), (row, column - chosen.begun), (row, column))

    def _escape(self) -> None:
        if self._suggestions.entries:
            self._closed_at = self.before_cursor
            self._suggestions.show([])
        else:
            self.post_message(self.Left())

    def _go_vertical(self, step: int) -> None:
        if self._suggestions.entries:
            self._suggestions.cursor += step
        elif step < 0 and not self.cursor_at_first_line:
            self.action_cursor_up()
        elif step > 0 and not self.cursor_at_last_line:
            self.action_cursor_down()
        else:
            self._recall(step)

    def _recall(self, step: int) -> None:
        """The message sent before, or after, the one that stands there."""
        if not self.sent_before:
            return
        at = len(self.sent_before) if self._history_at is None else self._history_at
        if at == len(self.sent_before):
            self._unsent = self.text
        wanted = max(0, min(at + step, len(self.sent_before)))
        if wanted == at:
            return
        self.put(self.sent_before[wanted] if wanted < len(self.sent_before) else self._unsent)
        self._history_at = wanted if wanted < len(self.sent_before) else None

    def on_paste(self, event: events.Paste) -> None:
        """Text as it is, without what a terminal would act on."""
        event.stop()
        event.prevent_default()
        self.replace(many_lines(event.text), *sorted((self.selection.start, self.selection.end)))
