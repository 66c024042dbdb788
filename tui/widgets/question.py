"""The form that a waiting run opens: its oldest question, and what was typed for it so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.link.types import RequestView
from tui.forms import BadText, field_of_request
from tui.spans import Inked, Spans
from tui.widgets.entries import Field
from tui.widgets.line_input import LineInput
from tui.widgets.paragraph import Paragraph

GRACE_SECONDS = 0.5
"""How long the next question, which gets the focus by itself, takes no Enter: nobody answers with the second half of
a double press what they have not read."""


class Sent(Inked, can_focus=True):
    """What stands in the form between two questions: it keeps the focus, so that what one goes on typing is not taken
    for keys of the screen before the next question is there."""

    DEFAULT_CSS = """
    Sent { height: 1; }
    """

    SPANS: ClassVar[dict[str, Spans]] = {
        "sending": [(" … ", "accent"), ("sending", "dim")],
        "taken": [(" ✓ ", "good"), ("sent, the run goes on", "dim")],
        "next": [],
    }

    takes_letters = True
    word: reactive[str] = reactive("sending")
    """sending, taken (the engine has the answer), or next (the next question comes)."""

    def render_line(self, y: int) -> Strip:
        return self.strip(self.SPANS[self.word]).crop_extend(0, self.size.width, self.rich_style)

    def on_key(self, event: events.Key) -> None:
        if event.is_printable or event.key in ("enter", "backspace"):
            event.stop()
            event.prevent_default()


class QuestionForm(VerticalScroll, can_focus=False):
    """Asks one request. It never takes the focus by itself; drafts are kept per request.

    A question that somebody else settles while one answers it (it is `overtaken`) stays until a key goes on: what was
    typed for it can be read on, and never reaches another question.
    """

    DEFAULT_CSS = """
    QuestionForm { height: auto; max-height: 65vh; display: none; }
    """

    class Answered(Message):
        """An answer is ready to be sent."""

        def __init__(self, request: RequestView, value: Any) -> None:
            super().__init__()
            self.request = request
            self.value = value

    class Overtaken(Message):
        """The question that one is answering is not open any more."""

        def __init__(self, request: RequestView) -> None:
            super().__init__()
            self.request = request

    class Left(Message):
        """A key went on from an overtaken question; `draft` is what stood there and was not sent."""

        def __init__(self, request: RequestView, words: str, draft: Any) -> None:
            super().__init__()
            self.request = request
            self.words = words
            self.draft = draft

    def __init__(self, drafts: Callable[[], dict[str, Any]]) -> None:
        super().__init__(id="question")
        self._drafts = drafts
        self.request: RequestView | None = None
        self._next: RequestView | None = None
        """What is asked now; another one than `request` where that is overtaken."""
        self.overtaken = False
        self._field: Field | None = None
        self._sent = Sent()
        self._overtaken_words = Paragraph(ink="waiting", classes="overtaken")
        self._last_focus: Widget | None = None
        self._arming: Timer | None = None
        self.armed = True
        """False while Enter doesn't count yet."""

    @property
    def asks(self) -> bool:
        """True while a question is shown."""
        return self.request is not None

    @property
    def typing(self) -> bool:
        """True while keys go into the form."""
        return self._has_keys(self._sent) or self._writing

    @property
    def shows(self) -> bool:
        """True while there is something to see: a question, or that its answer was sent."""
        return self.asks or self._sent.display

    @property
    def field(self) -> Field | None:
        """The field of the question that is shown."""
        return self._field

    @property
    def _writing(self) -> bool:
        return self._field is not None and self._field.is_mounted and self._has_keys(self._field.entry)

    def _has_keys(self, widget: Widget) -> bool:
        focused = self.screen.focused
        return focused is widget or (focused is None and self._last_focus is widget)

    # A terminal that loses the focus takes it from the widget; one who answers in another window still has it here.

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._last_focus = event.widget

    def on_descendant_blur(self) -> None:
        if self.app.app_focus:
            self._last_focus = None

    def compose(self) -> ComposeResult:
        self._sent.display = self._overtaken_words.display = False
        yield self._sent
        yield self._overtaken_words

    def show(self, request: RequestView | None) -> bool:
        """Show a request, or nothing; True if that is another one than before. One that is being answered stays."""
        self._next = request
        if _same_question(request, self.request):
            return False
        if self._writing and self.request is not None:
            if not self.overtaken:
                self.overtaken = True
                self.show_overtaken("not open any more")
                self.post_message(self.Overtaken(self.request))
            return False
        self._change(hold_focus=self._has_keys(self._sent), word="taken")
        return True

    def show_overtaken(self, words: str) -> None:
        """Say what became of the question while one was answering it."""
        if not self.overtaken:
            return
        if self._field is not None:
            self._field.show_problem("")
        self._overtaken_words.display = True
        self._overtaken_words.text = f"{words}\nNothing was sent. Enter goes on, esc leaves."

    def go_on(self, *, hold_focus: bool = True) -> None:
        """Leave an overtaken question for the one that is asked now, or for none."""
        if self.request is None or not self.overtaken:
            return
        draft = self._field.draft if self._field is not None else None
        self.post_message(self.Left(self.request, self._overtaken_words.text.split("\n")[0], draft))
        self._change(hold_focus=hold_focus, word="next")

    def _change(self, *, hold_focus: bool, word: str) -> None:
        request = self.request = self._next
        self.overtaken = self._overtaken_words.display = False
        self.display = request is not None or hold_focus
        if hold_focus:
            self._hold_focus(word)
        if self._field is not None:
            self._field.remove()
            self._field = None
        if request is not None:
            self._field = Field(field_of_request(request), self._drafts().get(self._draft_key(request)))
            if isinstance(self._field.entry, LineInput):
                self._field.entry.entry_keys = (("enter", "send"), *LineInput.entry_keys[1:])  # type: ignore[misc, assignment]
            self.mount(self._field, before=self._overtaken_words)
            self.armed = not hold_focus
            if hold_focus:
                self.call_after_refresh(self._begin_once_mounted, self._field)

    def _arm(self) -> None:
        self.armed = True

    def put_away(self) -> bool:
        """Close the form where it only says that an answer was sent; True if it had the focus."""
        if self.asks:
            return False
        had_focus = self._has_keys(self._sent)
        self.display = self._sent.display = False
        return had_focus

    def _hold_focus(self, word: str) -> None:
        self._sent.word = word
        self._sent.display = True
        # At once, and not by `focus()`, which waits: no key may reach the screen in between.
        self.screen.set_focus(self._sent)

    def _begin_once_mounted(self, field: Field) -> None:
        if field is not self._field:
            return
        if field.is_mounted:
            self.begin()
            # From here on, not from before it could be seen.
            if self._arming is not None:
                self._arming.stop()
            self._arming = self.set_timer(GRACE_SECONDS, self._arm)
        else:
            self.call_after_refresh(self._begin_once_mounted, field)

    def begin(self) -> None:
        """Put the focus into the form."""
        if self._field is not None and self._field.is_mounted:
            self.screen.set_focus(self._field.entry)
            self._sent.display = False

    def begin_soon(self) -> None:
        """Put the focus into the form, also where its field only comes to stand: no key goes elsewhere meanwhile."""
        if self._field is not None and not self._field.is_mounted:
            self._hold_focus("next")
            self.call_after_refresh(self._begin_once_mounted, self._field)
        else:
            self.begin()

    def on_field_changed(self, event: Field.Changed) -> None:
        """Remember what is typed, for when the question is shown again."""
        event.stop()
        if self.request is not None and event.field is self._field:
            self._drafts()[self._draft_key(self.request)] = event.field.draft

    def _draft_key(self, request: RequestView) -> str:
        return f"{request.run_id} {request.key}"

    def forget_draft(self, request: RequestView) -> None:
        """The answer was taken."""
        self._drafts().pop(self._draft_key(request), None)

    def show_problem(self, text: str) -> None:
        """Say beside the field why the answer was not taken."""
        if self._field is not None and self._field.is_mounted:
            self._field.show_problem(text)
            if self._has_keys(self._sent):
                self.begin()

    def on_field_submitted(self, event: Field.Submitted) -> None:
        event.stop()
        if self.request is None or event.field is not self._field or not self.armed:
            return
        if self.overtaken:
            self.go_on()
            return
        try:
            value = event.field.value_of(event.entered)
        except BadText as problem:
            self.show_problem(str(problem))
            return
        if value is None:
            self.show_problem("an answer is needed")
            return
        self._hold_focus("sending")
        self.post_message(self.Answered(self.request, value))


def _same_question(one: RequestView | None, other: RequestView | None) -> bool:
    """True where an answer to one answers the other: code that changed may ask another thing by the same key."""
    if one is None or other is None:
        return one is other
    return (one.run_id, one.key, one.input_type, one.prompt, one.options) == (
        other.run_id,
        other.key,
        other.input_type,
        other.prompt,
        other.options,
    )
