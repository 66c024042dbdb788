"""What happens in a turn of a conversation, told while it happens: facts, without a word about how to show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from core.assistant.understanding import Understanding
from core.errors import RondoError
from core.llm.messages import Usage

if TYPE_CHECKING:
    from core.assistant.proposal import Proposal


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn begins; `turn` counts from 1 and is what `Memory.back_to` takes."""

    turn: int


@dataclass(frozen=True, slots=True)
class TextGrew:
    """More of what the model says."""

    text: str


@dataclass(frozen=True, slots=True)
class TextVoid:
    """What came of this reply so far is void: the call is made again after `seconds`, because of `reason`."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """A reply is whole. `text` may be empty where the model only used tools."""

    text: str
    model: str
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class ToolWriting:
    """The model is writing the arguments of a tool call: `characters` so far."""

    call_id: str
    name: str
    characters: int


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """A tool runs; `title` says in a few words what it is about."""

    call_id: str
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool is done, or refused or failed; `summary` is one line."""

    call_id: str
    name: str
    title: str
    failed: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that a question offers."""

    label: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """2 to 4 choices; free text and skipping are always possible."""

    id: str
    text: str
    options: tuple[Choice, ...]
    several: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`chosen` are labels; with neither these nor text the question is skipped."""

    id: str
    chosen: tuple[str, ...] = ()
    text: str = ""

    @property
    def skipped(self) -> bool:
        """True where the person leaves it to the assistant."""
        return not self.chosen and not self.text.strip()


@dataclass(frozen=True, slots=True)
class Assumption:
    """What the assistant took for granted because nobody said it; `question` is what was asked, where it was."""

    id: str
    text: str
    question: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One step of the plan."""

    id: str
    title: str
    depends_on: tuple[str, ...] = ()
    done: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The turn waits for answers, over the end of the engine: it goes on with `Session.answer`."""

    questions: tuple[Question, ...]
    round: int
    understanding: Understanding | None


@dataclass(frozen=True, slots=True)
class Understood:
    """How well the assistant understands the request now."""

    understanding: Understanding


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is set or changed."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """The turn ends in a change to decide about."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Noted:
    """The program itself has something to say to the person."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """The turn ends because of an error; what was said before stays."""

    error: RondoError


Event = (
    TurnStarted
    | TextGrew
    | TextVoid
    | ModelSaid
    | ToolWriting
    | ToolBegan
    | ToolEnded
    | Asked
    | Understood
    | Planned
    | Proposed
    | Noted
    | TurnFailed
)


class Listener(Protocol):
    """Called on the event loop, in order, with everything that happens in a turn."""

    def __call__(self, event: Event) -> None: ...


EndStatus = Literal["done", "asking", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended: done (with or without a proposal), asking (questions are open), stopped by a person, failed."""

    status: EndStatus
    proposal: Proposal | None = None
    questions: tuple[Question, ...] = ()
    error: RondoError | None = None
    usage: Usage = field(default_factory=Usage)
