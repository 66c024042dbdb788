"""The form that a waiting run opens: its oldest question, and what was typed for it so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from core.link.types import RequestView
from tui.forms import BadText, field_of_request
from tui.spans import Inked, Spans
from tui.widgets.entries import Field

GRACE_SECONDS = 0.5
"""How long the next question, which gets the focus by itself, takes no Enter: nobody answers with the second half of
a double press what they have not read."""


class Sent(Inked, can_focus=True):
    """What stands in the form after an answer was sent: it keeps the focus, so that what one goes on typing is not
    taken for keys of the screen before the next question is there."""

    DEFAULT_CSS = """
    Sent { height: 1; }
    """

    takes_letters = True
    taken: reactive[bool] = reactive(False)
    """True once the engine has the answer."""

    def render_line(self, y: int) -> Strip:
        spans: Spans = [(" … ", "accent"), ("sending", "dim")]
        if self.taken:
            spans = [(" ✓ ", "good"), ("sent, the run goes on", "dim")]
        return self.strip(spans).crop_extend(0, self.size.width, self.rich_style)

    def on_key(self, event: events.Key) -> None:
        if event.is_printable or event.key in ("enter", "backspace"):
            event.stop()
            event.prevent_default()


class QuestionForm(VerticalScroll, can_focus=False):
    """Asks one request. It never takes the focus by itself; drafts are kept per request."""

    DEFAULT_CSS = """
    QuestionForm { height: auto; max-height: 65vh; display: none; }
    """

    class Answered(Message):
        """An answer is ready to be sent."""

        def __init__(self, request: RequestView, value: Any) -> None:
            super().__init__()
            self.request = request
            self.value = value

    def __init__(self, drafts: Callable[[], dict[str, Any]]) -> None:
        super().__init__(id="question")
        self._drafts = drafts
        self.request: RequestView | None = None
        self._field: Field | None = None
        self._sent = Sent()
        self.armed = True
        """False while Enter doesn't count yet."""

    @property
    def asks(self) -> bool:
        """True while a question is shown."""
        return self.request is not None

    @property
    def typing(self) -> bool:
        """True while keys go into the form."""
        return self._sent.has_focus or self._writing

    @property
    def shows(self) -> bool:
        """True while there is something to see: a question, or that its answer was sent."""
        return self.asks or self._sent.display

    @property
    def _writing(self) -> bool:
        return self._field is not None and self._field.is_mounted and self._field.entry.has_focus

    def compose(self) -> ComposeResult:
        self._sent.display = False
        yield self._sent

    def show(self, request: RequestView | None) -> bool:
        """Show a request, or nothing; True if that is another one than before."""
        if (request and request.key) == (self.request and self.request.key):
            return False
        was_typing = self.typing
        self.request = request
        self.display = request is not None or was_typing
        if was_typing:
            self._hold_focus()
            self._sent.taken = True
        if self._field is not None:
            self._field.remove()
            self._field = None
        if request is not None:
            self._field = Field(field_of_request(request), self._drafts().get(self._draft_key(request)))
            self.mount(self._field)
            self.armed = not was_typing
            if was_typing:
                self.call_after_refresh(self.begin)
                self.set_timer(GRACE_SECONDS, self._arm)
        return True

    def _arm(self) -> None:
        self.armed = True

    def put_away(self) -> bool:
        """Close the form where it only says that an answer was sent; True if it had the focus."""
        if self.asks:
            return False
        had_focus = self._sent.has_focus
        self.display = self._sent.display = False
        return had_focus

    def _hold_focus(self) -> None:
        self._sent.display = True
        # At once, and not by `focus()`, which waits: no key may reach the screen in between.
        self.screen.set_focus(self._sent)

    def begin(self) -> None:
        """Put the focus into the form."""
        if self._field is not None and self._field.is_mounted:
            self.screen.set_focus(self._field.entry)
            self._sent.display = False

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
            if self._sent.has_focus:
                self.begin()

    def on_field_submitted(self, event: Field.Submitted) -> None:
        event.stop()
        if self.request is None or event.field is not self._field or not self.armed:
            return
        try:
            value = event.field.value_of(event.entered)
        except BadText as problem:
            self.show_problem(str(problem))
            return
        if value is None:
            self.show_problem("an answer is needed")
            return
        self._sent.taken = False
        self._hold_focus()
        self.post_message(self.Answered(self.request, value))
