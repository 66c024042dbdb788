"""The question's part of the Run screen: showing the oldest one, sending its answer."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.types import FINAL, Answer, RunView
from tui.actions import action
from tui.run_feed import RunFeed, RunRead
from tui.screens.base import RondoScreen, error_text
from tui.spans import Span
from tui.text import visible
from tui.widgets.question import QuestionForm
from tui.widgets.rule import PaneRule, Title

PATIENCE_SECONDS = 1.0
"""How long the form waits for the next question after an answer."""


class AnswerTaken(Message, bubble=False):
    """The engine has the answer."""

    def __init__(self, key: str, run: RunView) -> None:
        super().__init__()
        self.key = key
        self.run = run


class AnswerRefused(Message, bubble=False):
    """The engine did not take the answer; the text says why."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__()
        self.key = key
        self.text = text


def needs_question(screen: QuestionActions) -> str:
    return "" if screen.question.asks else "The run asks nothing"


class QuestionActions(RondoScreen):
    """What can be done with a run's question. The screen has a feed."""

    feed: RunFeed

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.run: RunView | None = None
        self.zoomed: Widget | None = None
        """The pane that is shown alone, if one is."""
        self.question = QuestionForm(lambda: self.rondo.drafts)
        self.question_rule = PaneRule(classes="below")
        self._answer_ids: dict[str, str] = {}

    def show_question(self) -> None:
        """Show the oldest open question, or none."""
        requests = sorted(self.run.open_requests if self.run is not None else [], key=lambda request: request.opened_at)
        asked = [request for request in requests if request.kind == "input"]
        if self.question.show(asked[0] if asked else None) and not asked:
            self.set_timer(PATIENCE_SECONDS, self._put_form_away)
        if self.run is not None and self.run.status in FINAL:
            self._put_form_away()
        self._show_form()

    def _put_form_away(self) -> None:
        """No other question came, or none can come: the keys belong to the screen again."""
        if self.question.put_away():
            self.set_focus(self.panes()[0])
        self._show_form()

    def _show_form(self) -> None:
        self.question.display = self.question.shows and self.zoomed is None
        self.question_rule.display = self.question.display
        self.title_question()

    def title_question(self) -> None:
        """Show who asks, and how to get there."""
        request = self.question.request
        rule = self.question_rule
        if request is None or self.run is None:
            rule.titles = (Title("answer", active=self.question.typing),)
            return
        count = len(self.run.open_requests)
        details: tuple[Span, ...] = ((f"1 of {count} questions", "dim"),) if count > 1 else ()
        end = "enter sends, esc leaves" if self.question.typing else "tab to answer"
        text = f"◐ {visible(request.node)} asks"
        rule.titles = (Title(text, active=self.question.typing, details=details, end=end, ink="waiting"),)

    def next_pane(self) -> None:
        """To the question where there is one, else to the next pane."""
        if self.question.asks and not self.question.typing and self.zoomed is None:
            self.question.begin()
        else:
            super().next_pane()

    @action("run.answer", "answer", keys="a", words="answer", help="To the question", footer=1, when=needs_question)
    def go_to_question(self) -> None:
        self.question.begin()

    def on_question_form_answered(self, event: QuestionForm.Answered) -> None:
        """Send the answer; the same answer sent again acts once."""
        key = f"{event.request.key} {json.dumps(event.value)}"
        command_id = self._answer_ids.setdefault(key, str(uuid4()))
        answer = Answer(command_id=command_id, run_id=self.run_id, request=event.request.key, value=event.value)
        self.run_worker(self._send(answer), group="answer", exclusive=True)

    async def _send(self, answer: Answer) -> None:
        try:
            run = await self.engine.answer(answer)
        except RondoError as error:
            self.post_message(AnswerRefused(answer.request, error_text(error)))
        else:
            self.post_message(AnswerTaken(answer.request, run))

    def on_answer_taken(self, message: AnswerTaken) -> None:
        request = self.question.request
        if request is not None and request.key == message.key:
            self.question.forget_draft(request)
        self.post_message(RunRead(message.run))

    def on_answer_refused(self, message: AnswerRefused) -> None:
        if self.question.request is not None and self.question.request.key == message.key:
            self.question.show_problem(message.text)
        self.feed.run.want()
