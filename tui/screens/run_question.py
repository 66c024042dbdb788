"""The question's part of the Run screen: showing the oldest one, sending its answer."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.flow.journal import FOR_PEOPLE
from core.link.types import FINAL, Answer, RequestView, RunView
from tui.actions import action
from tui.run_feed import RunFeed, RunRead
from tui.screens.base import RondoScreen, error_text
from tui.spans import Span
from tui.text import shorten, visible
from tui.tool_text import app_of_request
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


class OvertakenRead(Message, bubble=False):
    """What became of a question that somebody else settled."""

    def __init__(self, request: RequestView) -> None:
        super().__init__()
        self.request = request


def settled_words(request: RequestView, run: RunView | None) -> str:
    """What became of a request: who answered it with what, or why nobody needs to any more."""
    if request.status == "answered":
        value = json.dumps(request.answer, ensure_ascii=False)
        return f"answered elsewhere: {shorten(visible(value), 200)} by {visible(request.answered_by or 'somebody')}"
    if request.status == "open":
        return "asked anew, in other words"
    over = f": the run is {run.status}" if run is not None and run.status in FINAL else ": the run went on without it"
    return f"{request.status}{over}"


def needs_question(screen: QuestionActions) -> str:
    return "" if screen.question.asks else "The run asks nothing"


def needs_account_asked(screen: QuestionActions) -> str:
    """Why nothing can be connected."""
    return "" if screen.asked_app else "The run waits for no account"


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
        asked = [request for request in requests if request.kind in FOR_PEOPLE]
        shown = self.question.request
        # An older one that comes later does not push the one aside that is being answered.
        kept = next((request for request in asked if shown is not None and request.key == shown.key), None)
        if self.question.show(kept or (asked[0] if asked else None)) and not asked:
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
        if self.question.overtaken:
            text = f"{visible(request.node)} asked"
            rule.titles = (Title(text, active=self.question.typing, end="enter goes on, esc leaves", ink="waiting"),)
            return
        count = len(self.run.open_requests)
        details: tuple[Span, ...] = ((f"1 of {count} questions", "dim"),) if count > 1 else ()
        end = "enter sends, esc leaves" if self.question.typing else "tab to answer"
        text = f"◐ {visible(request.node)} asks"
        rule.titles = (Title(text, active=self.question.typing, details=details, end=end, ink="waiting"),)

    def next_pane(self) -> None:
        """To the question where there is one, else to the next pane."""
        if self.question.overtaken and self.question.typing:
            self.question.go_on()
        elif self.question.asks and not self.question.typing and self.zoomed is None:
            self.question.begin()
        else:
            super().next_pane()

    @action("run.answer", "answer", keys="a", words="answer", help="To the question", footer=1, when=needs_question)
    def go_to_question(self) -> None:
        self.question.begin()

    @property
    def asked_app(self) -> str:
        """The app whose account the run waits for, or ""."""
        requests = self.run.open_requests if self.run is not None else []
        apps = (app_of_request(request.kind, request.request_id) for request in requests)
        return next(filter(None, apps), "")

    @action(
        "run.connect",
        "connect",
        keys="C",
        words="connect",
        help="Connect the account that the run waits for; it then goes on by itself",
        footer=1,
        when=needs_account_asked,
    )
    def connect(self) -> None:
        self.rondo.connect_for(self.workflow_name, self.asked_app)

    def on_question_form_overtaken(self, event: QuestionForm.Overtaken) -> None:
        """Somebody else was faster, or nobody needs the answer any more: find out which."""
        self.title_question()
        self.refresh_footer()
        self.run_worker(self._read_overtaken(event.request), group="overtaken", exclusive=True)

    async def _read_overtaken(self, request: RequestView) -> None:
        try:
            now = await self.engine.read_request(self.run_id, request.key)
        except RondoError:
            return
        self.post_message(OvertakenRead(now))

    def on_overtaken_read(self, message: OvertakenRead) -> None:
        shown = self.question.request
        if shown is not None and shown.key == message.request.key:
            self.question.show_overtaken(settled_words(message.request, self.run))

    def on_question_form_left(self, event: QuestionForm.Left) -> None:
        """What was typed for a question that is gone stays readable for a moment, and can be typed again."""
        typed = event.draft if isinstance(event.draft, str) else ""
        lines = [f"{visible(event.request.node)}: {event.words}", f"Not sent: {visible(typed)}" if typed else ""]
        self.say("\n".join(line for line in lines if line), "hint")
        self._put_form_away()

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
        else:
            # The form shows something else by now, and said that the answer was taken.
            self.say(message.text, "problem")
        self.feed.run.want()
