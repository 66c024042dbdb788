"""The sheet behind `:` and ctrl+p: the command line, with completion and history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tui.actions import Action, action
from tui.commands import SHOWN_AT_MOST, Completion, Words, complete, meant, not_a_command, parse
from tui.screens.help import Chosen
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit
from tui.widgets.line_input import LineInput, Note
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph


class CompletionList(LineList, can_focus=False):
    """What the line could become; the cursor shows what Enter takes."""

    DEFAULT_CSS = """
    CompletionList { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Completion] = []

    def show(self, entries: list[Completion]) -> None:
        """Show other completions, from the first one on."""
        self.entries = entries
        self.set_reactive(LineList.cursor, 0)
        self.lines_changed()
        self.scroll_to(y=0, animate=False, force=True)
        self.styles.height = max(1, min(len(entries), SHOWN_AT_MOST))

    def line_count(self) -> int:
        return len(self.entries)

    def line_spans(self, line: int, width: int) -> Spans:
        entry = self.entries[line]
        chosen = line == self.cursor
        return [
            (fit(entry.text, 34), "accent" if chosen else ""),
            (fit(entry.action.help or entry.action.title, max(0, width - 34 - 14)), "dim"),
            (fit(entry.action.key_signs, 13, right=True), "key"),
        ]


class CommandSheet(Sheet[Chosen]):
    """Type a command. Enter does what is typed if that is a whole command, else what is selected."""

    view = "command"

    DEFAULT_CSS = """
    CommandSheet Horizontal { height: 1; }
    CommandSheet Note { padding: 0 0 0 1; }
    """

    def __init__(self, actions: Sequence[Action], words: Words, history: Sequence[str]) -> None:
        super().__init__("command")
        self._actions = actions
        self._words = words
        self._history = history
        self._early = ""
        self.line = LineInput()
        self._completions = CompletionList()
        self._unknown = Paragraph("", "waiting")

    def compose_body(self) -> Iterable[Widget]:
        yield self._completions
        yield self._unknown
        yield CommandLine(self.line)

    def on_mount(self) -> None:
        self.set_focus(self.line)
        self._complete("")

    def on_key(self, event: events.Key) -> None:
        """What is typed before the line is there is put on it."""
        if event.is_printable and event.character and not self._line_ready():
            event.stop()
            event.prevent_default()
            self._early += event.character
            self.call_after_refresh(self._take_early)

    def _line_ready(self) -> bool:
        """True once keys reach the line by themselves."""
        return isinstance(self.focused, LineInput)

    def _take_early(self) -> None:
        if self._early and self._line_ready():
            self.line.insert_text_at_cursor(self._early)
            self._early = ""

    def completions(self) -> list[Completion]:
        """What the line could become now."""
        return self._completions.entries

    def _complete(self, text: str) -> None:
        found = complete(text, self._actions, self._words, self._history)
        self._completions.show(found)
        unknown = "" if found else not_a_command(text, self._actions)
        self._unknown.text = unknown
        self._unknown.display = bool(unknown)
        self._completions.display = not unknown

    def on_input_changed(self, event: Input.Changed) -> None:
        self._complete(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        completions = self._completions
        selected = completions.entries[completions.cursor] if completions.entries else None
        typed = parse(event.value, self._actions)
        if typed is not None and (selected is None or completions.cursor == 0):
            self.dismiss(meant(typed, self._words))
        elif selected is not None:
            self.dismiss((selected.action, selected.argument))

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        entry = self._completions.entries[event.cursor]
        self.dismiss((entry.action, entry.argument))

    @action("command.next", "next", keys="down", help="The next completion", footer=2)
    def select_next(self) -> None:
        self._completions.move_down()

    @action("command.previous", "previous", keys="up", help="The completion before", footer=3)
    def select_previous(self) -> None:
        self._completions.move_up()

    @action("command.complete", "complete", keys="tab", help="Put the selected completion on the line", footer=1)
    def take_completion(self) -> None:
        completions = self._completions
        if not completions.entries:
            return
        entry = completions.entries[completions.cursor]
        line = self.line
        more = " " if entry.action.argument and not entry.argument else ""
        line.value = entry.text + more
        line.cursor_position = len(line.value)

    @action("command.close", "close", keys="escape", help="Back to the screen", footer=4)
    def close(self) -> None:
        self.dismiss(None)


class CommandLine(Horizontal):
    """The colon and the input after it. Backspace on the empty line leaves, as in an editor."""

    def __init__(self, line: LineInput) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        sign = Note()
        sign.spans = ((":", "key"),)
        yield sign
        yield self._line

    def on_key(self, event: events.Key) -> None:
        if event.key == "backspace" and not self._line.value:
            event.stop()
            self.screen.dismiss(None)
