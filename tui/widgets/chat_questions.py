"""The form for what the assistant asks: one question at a time, with options, free text and "decide for me"."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from core.link.chat_types import ChatEntry, Question, QuestionAnswer
from tui.text import visible
from tui.widgets.entries import ChoiceEntry
from tui.widgets.line_input import LineInput, Note
from tui.widgets.paragraph import Paragraph

OTHER = "other"
SKIP = "skip"


class QuestionStep(Vertical):
    """One question: its choices, and a line for an answer of one's own."""

    DEFAULT_CSS = """
    QuestionStep { height: auto; }
    QuestionStep Horizontal { height: auto; padding: 0 1; }
    QuestionStep #own { height: 1; }
    QuestionStep Note { padding: 0 1 0 0; }
    """

    class Done(Message):
        """The question is answered, or skipped."""

        def __init__(self, answer: QuestionAnswer) -> None:
            super().__init__()
            self.answer = answer

    class Back(Message):
        """To the question before."""

    def __init__(self, question: Question, place: str, given: QuestionAnswer | None = None) -> None:
        super().__init__()
        self.question = question
        choices: list[tuple[object, str]] = []
        for number, option in enumerate(question.options):
            detail = f": {visible(option.detail)}" if option.detail else ""
            choices.append((number, visible(option.label) + detail))
        choices += [(OTHER, "other: …"), (SKIP, "decide for me")]
        labels = [option.label for option in question.options]
        picked: list[object] = [labels.index(label) for label in given.chosen if label in labels] if given else []
        start = picked if question.several else (picked[0] if picked else None)
        self.choice = ChoiceEntry(tuple(choices), several=question.several, given=start)
        self.choice.entry_keys = (
            ("←→↑↓", "choose"),
            *((("space", "pick"),) if question.several else ()),
            ("enter", "answer"),
            ("⌫", "back"),
            ("esc", "leave"),
        )
        self.own = LineInput(given.text if given is not None else "", placeholder="an answer of your own")
        self._prompt = Paragraph(f"{place}{visible(question.text)}", "strong")
        self._own_row = Horizontal(id="own")

    def compose(self) -> ComposeResult:
        yield self._prompt
        with Horizontal():
            yield self.choice
        self._own_row.display = bool(self.own.value)
        with self._own_row:
            sign = Note()
            sign.spans = (("›", "key"),)
            yield sign
            yield self.own

    @property
    def _labels(self) -> list[str]:
        value = self.choice.value
        values = value if isinstance(value, list) else [value]
        return [self.question.options[number].label for number in values if isinstance(number, int)]

    def on_choice_entry_submitted(self, event: ChoiceEntry.Submitted) -> None:
        event.stop()
        values = event.value if isinstance(event.value, list) else [event.value]
        if OTHER in values:
            self._own_row.display = True
            # At once, and not by `focus()`, which waits: the next key belongs there.
            self.screen.set_focus(self.own)
        elif SKIP in values:
            self.post_message(self.Done(QuestionAnswer(id=self.question.id)))
        else:
            self.post_message(self.Done(QuestionAnswer(id=self.question.id, chosen=self._labels)))

    def on_choice_entry_picked(self, event: ChoiceEntry.Picked) -> None:
        event.stop()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        chosen = self._labels if self.question.several else []
        self.post_message(self.Done(QuestionAnswer(id=self.question.id, chosen=chosen, text=event.value.strip())))

    def on_key(self, event: events.Key) -> None:
        """Backspace on the choices goes back; up leaves the line of one's own."""
        if event.key == "backspace" and self.choice.has_focus:
            event.stop()
            event.prevent_default()
            self.post_message(self.Back())
        elif event.key == "up" and self.own.has_focus:
            event.stop()
            event.prevent_default()
            self.screen.set_focus(self.choice)


class ChatQuestions(Vertical):
    """The open questions of a conversation. It never takes the focus by itself."""

    DEFAULT_CSS = """
    ChatQuestions { height: auto; max-height: 60%; display: none; overflow-y: auto; }
    """

    class Answered(Message):
        """All questions are answered or skipped."""

        def __init__(self, entry: ChatEntry, answers: list[QuestionAnswer]) -> None:
            super().__init__()
            self.entry = entry
            self.answers = answers

    def __init__(self) -> None:
        super().__init__(id="chat-questions")
        self.entry: ChatEntry | None = None
        self._step: QuestionStep | None = None
        self._place = 0
        self._given: dict[str, QuestionAnswer] = {}

    @property
    def asks(self) -> bool:
        """True while there is something to answer."""
        return self.entry is not None

    @property
    def answering(self) -> bool:
        """True while keys go into the form."""
        return (
            self._step is not None
            and self._step.is_attached
            and self.screen.focused
            in (
                self._step.choice,
                self._step.own,
            )
        )

    @property
    def title(self) -> str:
        """Which question this is: `question 1 of 3`."""
        count = len(self.entry.questions or []) if self.entry is not None else 0
        return f"question {self._place + 1} of {count}" if count > 1 else "a question"

    def show(self, entry: ChatEntry | None) -> None:
        """Ask what an entry asks, from its first question on, or nothing."""
        if (entry.number if entry else 0) == (self.entry.number if self.entry else 0):
            return
        self.entry = entry
        self._given = {}
        self._go(0, focus=False)

    def begin(self) -> None:
        """Put the focus into the form."""
        if self._step is not None and self._step.is_attached:
            self.screen.set_focus(self._step.choice)

    def _go(self, place: int, *, focus: bool) -> None:
        questions = self.entry.questions or [] if self.entry is not None else []
        if self._step is not None:
            self._step.remove()
            self._step = None
        self.display = place < len(questions)
        if place >= len(questions):
            return
        self._place = place
        question = questions[place]
        lead = f"{place + 1}/{len(questions)}  " if len(questions) > 1 else ""
        self._step = QuestionStep(question, lead, self._given.get(question.id))
        self.mount(self._step)
        if focus:
            self.call_after_refresh(self._begin_once_mounted, self._step)

    def _begin_once_mounted(self, step: QuestionStep) -> None:
        if step is not self._step:
            return
        if step.is_mounted and step.choice.is_mounted:
            self.begin()
        else:
            self.call_after_refresh(self._begin_once_mounted, step)

    def on_question_step_done(self, event: QuestionStep.Done) -> None:
        event.stop()
        entry = self.entry
        if entry is None:
            return
        self._given[event.answer.id] = event.answer
        questions = entry.questions or []
        if self._place + 1 < len(questions):
            self._go(self._place + 1, focus=True)
        else:
            answers = [self._given.get(question.id, QuestionAnswer(id=question.id)) for question in questions]
            self.post_message(self.Answered(entry, answers))

    def on_question_step_back(self, event: QuestionStep.Back) -> None:
        event.stop()
        if self._place > 0:
            self._go(self._place - 1, focus=True)
