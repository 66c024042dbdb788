"""Where one answers: a line to type in, or choices to pick from."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widgets import Input

from tui.actions import Acting, action
from tui.forms import CHOICES, FieldSpec, places_of, value_of_entry
from tui.spans import Inked, Spans, spans_width
from tui.text import shorten
from tui.widgets.line_input import LineInput, Note
from tui.widgets.paragraph import Paragraph

ROWS_AT_MOST = 8
BESIDE_AT_MOST = 72
"""Cells of a prompt and its hint up to which they stand in one line."""
PASSED_ON = ("question_mark", "colon")
"""Keys of the screen that also work while one answers."""
OWN_KEYS = ("j", "k", "h", "l", "space")


class ChoiceEntry(Acting, Inked, can_focus=True):
    """One of several choices, or any of them: side by side where they fit, else one below the other."""

    view = "choice"

    DEFAULT_CSS = """
    ChoiceEntry { height: auto; width: 1fr; }
    """

    takes_letters = True
    cursor: reactive[int] = reactive(0)

    class Submitted(Message):
        """Enter was pressed; `value` is what was picked at that moment, whatever keys came since."""

        def __init__(self, value: Any) -> None:
            super().__init__()
            self.value = value

    class Picked(Message):
        """Something was picked, or taken back."""

    entry_keys = (("←→", "choose"), ("space", "pick"), ("enter", "send"), ("esc", "leave"))
    """What the footer shows while one chooses here."""

    def __init__(self, choices: tuple[tuple[Any, str], ...], *, several: bool, given: Any = None) -> None:
        super().__init__()
        self._choices = choices
        self._several = several
        self.picked: set[int] = set()
        wanted = given if several and isinstance(given, list) else [] if several or given is None else [given]
        for place in places_of(choices, wanted):
            self.picked.add(place)
            self.set_reactive(ChoiceEntry.cursor, place)

    @property
    def value(self) -> Any:
        """The picked value, or None; with several a list of values."""
        values = [value for place, (value, _) in enumerate(self._choices) if place in self.picked]
        if self._several:
            return values
        return values[0] if values else None

    def _texts(self) -> list[str]:
        return [shorten(label, 60) for _, label in self._choices]

    def _in_one_row(self, width: int) -> bool:
        return sum(len(text) + 8 for text in self._texts()) <= width

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return 1 if self._in_one_row(width) else min(len(self._choices), ROWS_AT_MOST)

    def _choice_spans(self, place: int) -> Spans:
        here = place == self.cursor and self.has_focus
        # Of one choice, the cursor is the choice: Enter sends it.
        picked = place in self.picked if self._several or not self.has_focus else here
        boxes = ("[x]", "[ ]") if self._several else ("(•)", "( )")
        label = self._texts()[place]
        return [
            ("▌" if here else " ", "accent"),
            (boxes[0 if picked else 1], "accent" if picked else "dim"),
            (f" {label}", "accent" if here else "strong" if picked else ""),
        ]

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        spans: Spans = []
        if self._in_one_row(width):
            for place in range(len(self._choices)):
                spans += [*self._choice_spans(place), ("    ", "")]
        else:
            top = max(0, min(self.cursor - ROWS_AT_MOST + 2, len(self._choices) - ROWS_AT_MOST))
            place = top + y
            if place < len(self._choices):
                spans = self._choice_spans(place)
                hidden = len(self._choices) - ROWS_AT_MOST - top
                if y == ROWS_AT_MOST - 1 and hidden > 0:
                    spans.append((f"   {hidden} more below", "dim"))
        return self.strip(spans).crop_extend(0, width, self.rich_style)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.refresh()

    @action("choice.next", "next", keys="j,l,down,right", help="The next choice")
    def next_choice(self) -> None:
        self.cursor = min(self.cursor + 1, len(self._choices) - 1)

    @action("choice.previous", "previous", keys="k,h,up,left", help="The choice before")
    def previous_choice(self) -> None:
        self.cursor = max(self.cursor - 1, 0)

    @action("choice.pick", "pick", keys="space", help="Pick the choice, or take it back")
    def pick(self) -> None:
        if self._several:
            self.picked ^= {self.cursor}
        else:
            self.picked = {self.cursor}
        self.refresh()
        self.post_message(self.Picked())

    @action("choice.send", "send", keys="enter", help="Send: the picked ones, or the one under the cursor")
    def send(self) -> None:
        if not self._several:
            self.picked = {self.cursor}
            self.refresh()
        self.post_message(self.Submitted(self.value))

    def on_key(self, event: events.Key) -> None:
        """Letters that mean nothing here are not keys of the screen: one is answering. Nor is Enter, which goes on."""
        if event.key == "enter":
            self.press_passed(event)
        if event.is_printable and event.key not in PASSED_ON and event.key not in OWN_KEYS:
            event.stop()
            event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        """Pick the choice under the pointer."""
        width = self.size.width
        if self._in_one_row(width):
            column = 0
            for place in range(len(self._choices)):
                column += spans_width(self._choice_spans(place)) + 4
                if event.x < column:
                    self.cursor = place
                    break
        else:
            top = max(0, min(self.cursor - ROWS_AT_MOST + 2, len(self._choices) - ROWS_AT_MOST))
            self.cursor = min(top + event.y, len(self._choices) - 1)
        self.pick()


class Field(Vertical):
    """One field of a form: prompt, entry, and what is wrong with it beside."""

    DEFAULT_CSS = """
    Field { height: auto; width: 1fr; }
    Field .prompt { height: auto; max-height: 25vh; scrollbar-size: 1 1; }
    Field Horizontal { height: auto; }
    Field Note.sign { padding: 0 1; }
    Field LineInput { max-width: 100; }
    """

    class Submitted(Message):
        """Enter in the field; `entered` is what stood there at that moment."""

        def __init__(self, field: Field, entered: Any) -> None:
            super().__init__()
            self.field = field
            self.entered = entered

    class Changed(Message):
        """Something else stands in the field."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, spec: FieldSpec, draft: Any = None) -> None:
        super().__init__()
        self.spec = spec
        given = spec.given if draft is None else draft
        self.entry: ChoiceEntry | LineInput
        """The widget that takes the keys."""
        if spec.input_type in CHOICES:
            self.entry = ChoiceEntry(spec.choices, several=spec.input_type == "multiselect", given=given)
        else:
            self.entry = LineInput(str(given or ""), password=spec.secret)
        self._prompt = VerticalScroll(can_focus=False, classes="prompt")
        self._problem = Paragraph(ink="bad", classes="problem")

    def compose(self) -> ComposeResult:
        spec = self.spec
        prompt = spec.prompt + (" *" if spec.required else "")
        if prompt:
            beside = len(prompt) + len(spec.hint) <= BESIDE_AT_MOST
            with self._prompt:
                yield Paragraph(prompt, remark=spec.hint if beside else "")
                if not beside:
                    yield Paragraph(spec.hint, "dim")
        with Horizontal():
            if isinstance(self.entry, LineInput):
                sign = Note(classes="sign")
                sign.spans = (("•" if spec.secret else {"number": "#", "json": "{}"}.get(spec.input_type, "›"), "key"),)
                yield sign
            yield self.entry
        yield self._problem

    @property
    def draft(self) -> Any:
        """What stands there now, to be put back later."""
        return self.entry.value

    def value(self) -> Any:
        """What the field means; raises BadText."""
        return self.value_of(self.entry.value)

    def value_of(self, entered: Any) -> Any:
        """What something that stood in the entry means; raises BadText."""
        return value_of_entry(self.spec, entered)

    def on_key(self, event: events.Key) -> None:
        """A prompt that is too long to be seen whole is paged through while one answers."""
        if event.key in ("pageup", "pagedown"):
            height = self._prompt.size.height
            step = height if event.key == "pagedown" else -height
            self._prompt.scroll_to(y=self._prompt.scroll_y + step, animate=False)
            event.stop()
            event.prevent_default()

    def show_problem(self, text: str) -> None:
        """Say what is wrong with the answer; "" takes it away."""
        self._problem.text = f"✗ {text}" if text else ""

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_problem("")
        self.post_message(self.Changed(self))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self, event.value))

    def on_choice_entry_picked(self, event: ChoiceEntry.Picked) -> None:
        event.stop()
        self.show_problem("")
        self.post_message(self.Changed(self))

    def on_choice_entry_submitted(self, event: ChoiceEntry.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self, event.value))
