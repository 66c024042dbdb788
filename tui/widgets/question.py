"""The form that a waiting run opens: its oldest question, and what was typed for it so far."""

from __future__ import annotations

from typing import Any

from textual.containers import VerticalScroll
from textual.message import Message

from core.link.types import RequestView
from tui.forms import BadText, field_of_request
from tui.widgets.entries import Field


class QuestionForm(VerticalScroll, can_focus=False):
    """Asks one request. It never takes the focus by itself; drafts are kept per request."""

    DEFAULT_CSS = """
    QuestionForm { height: auto; max-height: 40%; display: none; }
    """

    class Answered(Message):
        """An answer is ready to be sent."""

        def __init__(self, request: RequestView, value: Any) -> None:
            super().__init__()
            self.request = request
            self.value = value

    def __init__(self, drafts: dict[str, Any]) -> None:
        super().__init__(id="question")
        self._drafts = drafts
        self.request: RequestView | None = None
        self._field: Field | None = None

    @property
    def asks(self) -> bool:
        """True while a question is shown."""
        return self.request is not None

    @property
    def typing(self) -> bool:
        """True while keys go into the form."""
        return self._field is not None and self._field.is_mounted and self._field.entry.has_focus

    def show(self, request: RequestView | None) -> bool:
        """Show a request, or nothing; True if that is another one than before."""
        if request is not None and self.request is not None and request.key == self.request.key:
            return False
        if request is None and self.request is None:
            return False
        was_typing = self.typing
        self.request = request
        self.display = request is not None
        if self._field is not None:
            self._field.remove()
            self._field = None
        if request is not None:
            self._field = Field(field_of_request(request), self._drafts.get(self._draft_key(request)))
            self.mount(self._field)
            if was_typing:
                self.call_after_refresh(self.begin)
        return True

    def begin(self) -> None:
        """Put the focus into the form."""
        if self._field is not None and self._field.is_mounted:
            self._field.entry.focus()

    def on_field_changed(self, event: Field.Changed) -> None:
        """Remember what is typed, for when the question is shown again."""
        event.stop()
        if self.request is not None and event.field is self._field:
            self._drafts[self._draft_key(self.request)] = event.field.draft

    def _draft_key(self, request: RequestView) -> str:
        return f"{request.run_id} {request.key}"

    def forget_draft(self, request: RequestView) -> None:
        """The answer was taken."""
        self._drafts.pop(self._draft_key(request), None)

    def show_problem(self, text: str) -> None:
        """Say beside the field why the answer was not taken."""
        if self._field is not None and self._field.is_mounted:
            self._field.show_problem(text)

    def on_field_submitted(self, event: Field.Submitted) -> None:
        event.stop()
        if self.request is None or event.field is not self._field:
            return
        try:
            value = event.field.value()
        except BadText as problem:
            self.show_problem(str(problem))
            return
        if value is None:
            self.show_problem("an answer is needed")
            return
        self.post_message(self.Answered(self.request, value))
