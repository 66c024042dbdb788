"""What the assistant keeps of a conversation, between turns and over the end of the engine: one JSON document."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from core.assistant.events import Answer, Assumption, Choice, Question, Task
from core.assistant.marking import without_blocks
from core.assistant.understanding import Understanding
from core.llm.messages import (
    Message,
    ModelMessage,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
    message_from_json,
    message_to_json,
)

Mode = Literal["ask", "propose", "auto"]
"""ask: nothing is changed and nothing proposed; propose: a person decides; auto: what is beyond doubt is applied."""

MARKS_KEPT = 20
"""So many turns can be taken back with the draft as it was; older ones lose the draft only."""


@dataclass(slots=True)
class TurnMark:
    """How things stood before a turn, so that it can be taken back."""

    turn: int
    messages: int
    draft: dict[str, Any] | None
    assumptions: list[Assumption]
    notes: list[str]
    tainted_draft: bool


@dataclass(slots=True)
class Repair:
    """The failed run that a conversation repairs, and where going on would begin."""

    run_id: str
    node: str
    seq: int
    effects: list[str] = field(default_factory=list)


@dataclass(slots=True)
class TurnState:
    """What holds for the present turn only."""

    number: int = 0
    running: bool = False
    first_message: int = 0
    """Where the turn begins among the messages."""
    calls: int = 0
    tokens: int = 0
    malformed: int = 0
    """Replies in a row in which no tool call could be understood."""
    checks_failed: int = 0
    rounds: int = 0
    """Rounds of questions."""
    answered: int = 0
    """Questions that were answered."""
    skipped: int = 0
    left_open: bool = False
    """All questions of the last round were skipped: the person wants no more of them."""
    gate_open: bool = False
    """Something may be proposed below the threshold: questions were answered or skipped, or a change has begun."""
    changed: bool = False
    """The draft was changed."""
    repeats: int = 0
    """Replies in a row with the same tool calls as the one before."""
    last_calls: str = ""
    tainted: bool = False
    """Run data was read."""
    words: str = ""
    """What the person asked for."""
    names: list[str] = field(default_factory=list)
    """References in the words that lead to run data."""


@dataclass(slots=True)
class Memory:
    """The conversation. `draft` is the changed copy in its plain form; `boundary` marks data for the model."""

    workflow: str
    mode: Mode = "propose"
    name_open: bool = False
    """Nobody named the workflow, which is not there yet: the goal of the first plan does."""
    messages: list[Message] = field(default_factory=list)
    draft: dict[str, Any] | None = None
    tainted_draft: bool = False
    """The draft was changed in a turn that had read run data."""
    proposed_revision: int = 0
    """The revision of the draft that was last proposed."""
    goal: str = ""
    tasks: list[Task] = field(default_factory=list)
    levels: dict[str, str] = field(default_factory=dict)
    """What the model says of each dimension: low, medium or high."""
    slots_open: list[str] = field(default_factory=list)
    tools_named: list[str] = field(default_factory=list)
    understanding: Understanding | None = None
    assumptions: list[Assumption] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    """Those that are open now."""
    notes: list[str] = field(default_factory=list)
    """What happened outside of the model's sight, told with the person's next words."""
    turn: TurnState = field(default_factory=TurnState)
    marks: list[TurnMark] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    repair: Repair | None = None
    boundary: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def asking(self) -> bool:
        """True while questions are open."""
        return bool(self.questions)

    @property
    def tainted(self) -> bool:
        """True where the turn, or what it changes, has seen what runs produced."""
        return self.turn.tainted or self.tainted_draft

    def open_calls(self) -> list[ToolCall]:
        """The calls of the last reply that have no result yet."""
        done: set[str] = set()
        for message in reversed(self.messages):
            if isinstance(message, UserMessage):
                break
            if isinstance(message, ModelMessage):
                return [call for call in message.tool_calls if call.id not in done]
            done.add(message.call_id)
        return []

    def settle(self, why: str) -> None:
        """Give each call that has none a result, so that the conversation can go on; questions are closed."""
        for call in self.open_calls():
            self.messages.append(ToolResult(call.id, call.name, f"Not done: {why}.", failed=True))
        self.questions = []

    def decided(self, what: Literal["applied", "rejected"], detail: str = "") -> None:
        """The open proposal was decided about: the draft ends, and the model hears of it with the next words."""
        self.draft, self.tainted_draft, self.proposed_revision, self.assumptions = None, False, 0, []
        if what == "applied":
            self.repair = None
        self.notes.append(f"The person {what} the proposal{f': {detail}' if detail else ''}.")

    def back_to(self, turn: int) -> bool:
        """Take back a turn and all after it; False where there is no such turn."""
        mark = next((mark for mark in self.marks if mark.turn == turn), None)
        if mark is None:
            return False
        del self.messages[mark.messages :]
        self.draft, self.tainted_draft, self.proposed_revision = mark.draft, mark.tainted_draft, 0
        self.assumptions, self.notes = list(mark.assumptions), list(mark.notes)
        self.marks = [kept for kept in self.marks if kept.turn < turn]
        self.turn = TurnState(number=turn - 1)
        self.questions, self.tasks, self.goal, self.understanding = [], [], "", None
        self.levels, self.slots_open, self.tools_named = {}, [], []
        return True

    def begin_turn(self) -> None:
        """Remember how things stand and count a new turn."""
        self.marks.append(
            TurnMark(
                self.turn.number + 1,
                len(self.messages),
                self.draft,
                list(self.assumptions),
                list(self.notes),
                self.tainted_draft,
            )
        )
        for mark in self.marks[:-MARKS_KEPT]:
            mark.draft = None
        self._forget_results()
        self.turn = TurnState(number=self.turn.number + 1, running=True, first_message=len(self.messages))

    def _forget_results(self) -> None:
        """Of the turn that is over keep the words: what tools read, wrote and gave is never sent again.

        The messages keep their places, which the marks count.
        """
        for position in range(self.turn.first_message, len(self.messages)):
            message = self.messages[position]
            if isinstance(message, ToolResult):
                self.messages[position] = replace(message, text="")
            elif isinstance(message, UserMessage):
                self.messages[position] = UserMessage(without_blocks(message.text, self.boundary))
            else:
                self.messages[position] = ModelMessage(message.text, tuple(map(_in_short, message.tool_calls)))

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "workflow": self.workflow,
            "mode": self.mode,
            "name_open": self.name_open,
            "messages": [message_to_json(message) for message in self.messages],
            "draft": self.draft,
            "tainted_draft": self.tainted_draft,
            "proposed_revision": self.proposed_revision,
            "goal": self.goal,
            "tasks": [asdict(task) for task in self.tasks],
            "levels": self.levels,
            "slots_open": self.slots_open,
            "tools_named": self.tools_named,
            "understanding": self.understanding.to_json() if self.understanding else None,
            "assumptions": [asdict(assumption) for assumption in self.assumptions],
            "questions": [asdict(question) for question in self.questions],
            "notes": self.notes,
            "turn": asdict(self.turn),
            "marks": [asdict(mark) for mark in self.marks],
            "usage": asdict(self.usage),
            "repair": asdict(self.repair) if self.repair else None,
            "boundary": self.boundary,
        }

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Memory:
        """From the plain form."""
        understanding = form["understanding"]
        return cls(
            **{
                **form,
                "messages": [message_from_json(message) for message in form["messages"]],
                "tasks": [_task(task) for task in form["tasks"]],
                "understanding": Understanding.from_json(understanding) if understanding else None,
                "assumptions": [Assumption(**assumption) for assumption in form["assumptions"]],
                "questions": [_question(question) for question in form["questions"]],
                "turn": TurnState(**form["turn"]),
                "marks": [_mark(mark) for mark in form["marks"]],
                "usage": Usage(**form["usage"]),
                "repair": Repair(**form["repair"]) if form["repair"] else None,
            }
        )


def added(first: Usage, second: Usage) -> Usage:
    """Both together; the cost is that of the calls whose cost is known."""
    costs = [usage.cost for usage in (first, second) if usage.cost is not None]
    return Usage(
        first.input_tokens + second.input_tokens,
        first.output_tokens + second.output_tokens,
        first.cache_read_tokens + second.cache_read_tokens,
        first.cache_write_tokens + second.cache_write_tokens,
        sum(costs) if costs else None,
    )


def answer_text(question: Question, answer: Answer) -> str:
    """An answer as the model reads it."""
    parts = [*answer.chosen, answer.text.strip()]
    return f"{question.text} -> {'; '.join(part for part in parts if part)}"


def _in_short(call: ToolCall) -> ToolCall:
    """A call with what it was about."""
    given = call.arguments or {}
    about = {key: value[:200] for key in ("class", "why", "goal") if isinstance(value := given.get(key), str)}
    return ToolCall(call.id, call.name, about)


def _task(form: dict[str, Any]) -> Task:
    return Task(**{**form, "depends_on": tuple(form["depends_on"])})


def _question(form: dict[str, Any]) -> Question:
    return Question(**{**form, "options": tuple(Choice(**option) for option in form["options"])})


def _mark(form: dict[str, Any]) -> TurnMark:
    return replace(TurnMark(**form), assumptions=[Assumption(**assumption) for assumption in form["assumptions"]])
