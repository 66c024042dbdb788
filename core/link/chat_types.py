"""What crosses the link about conversations and the changes they propose; see `core.link.types`."""

from __future__ import annotations

from typing import Literal

import msgspec

from core.link.chat_events import ProposalStatus
from core.link.model_types import UsageView
from core.link.types import ErrorView


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


ChatMode = Literal["ask", "propose", "auto"]
"""ask: nothing is changed, no proposal is made; propose: a person decides; auto: what passes all checks is applied."""

EntryKind = Literal["user", "model", "tool", "questions", "proposal", "note", "error"]


# Conversations ---------------------------------------------------------------------------------------------------


class ChatRow(_Struct):
    """A conversation. One belongs to a workflow, or to none yet; `busy` while the model works on a turn."""

    chat_id: str
    workflow: str | None
    title: str
    mode: ChatMode
    created_at: float
    updated_at: float
    entries: int
    busy: bool
    usage: UsageView
    tainted: bool = False
    """The present turn read what runs produced: auto is off for it."""
    open_proposal: str | None = None
    tries: bool = False
    """A person allowed that the code it proposes is run dry (see `allow_tries`)."""


class ToolUse(_Struct):
    """A tool that the model used: what it was about in a few words, and how it ended."""

    name: str
    title: str
    status: Literal["writing", "running", "done", "failed"]
    result: str = ""


class Option(_Struct):
    label: str
    detail: str = ""


class Question(_Struct):
    """2 to 4 options; free text and skipping (the assistant decides, and says what it assumed) are always possible."""

    id: str
    text: str
    options: list[Option]
    several: bool = False


class QuestionAnswer(_Struct):
    """`chosen` are labels; with neither these nor text the question is skipped."""

    id: str
    chosen: list[str] = msgspec.field(default_factory=list)
    text: str = ""


class Understanding(_Struct):
    """How well the assistant understands what is wanted, each from 0 to 1; `facts` lower the score and say why."""

    clarity: float
    completeness: float
    feasibility: float
    specificity: float
    score: float
    threshold: float
    facts: list[str] = msgspec.field(default_factory=list)


class ChatEntry(_Struct):
    """One thing in a conversation; entries are numbered from 1 without gaps, an entry that grows keeps its number.

    `revision` rises with every change of the entry. `text` is markdown for user and model.
    """

    number: int
    revision: int
    kind: EntryKind
    at: float
    text: str = ""
    streaming: bool = False
    tool: ToolUse | None = None
    questions: list[Question] | None = None
    answers: list[QuestionAnswer] | None = None
    """None while the questions are open."""
    understanding: Understanding | None = None
    proposal: str | None = None
    error: ErrorView | None = None
    usage: UsageView | None = None
    model: str = ""
    seconds: float | None = None
    replaced: bool = False
    """An edit or a retry took its place: it is kept, and neither shown by default nor sent to the model."""


class ChatPage(_Struct):
    """Entries in order; `first` and `last` are the numbers of the chat's first and last one."""

    chat: ChatRow
    entries: list[ChatEntry]
    first: int
    last: int
    revision: int


class ChatQuery(_Struct):
    """Entries before `before` (newest without it), at most `limit`; with `since` those of a higher revision."""

    chat_id: str
    before: int | None = None
    since: int | None = None
    limit: int = 50


class SendMessage(_Struct):
    """Say something. `replaces` is the number of a message of the user that this takes the place of (edit and resend).

    `chat_id` None opens a conversation of `workflow`, which need not exist yet. `@node` and `@run` in the text refer to
    the workflow's nodes and to runs.
    """

    command_id: str
    text: str
    chat_id: str | None = None
    workflow: str | None = None
    replaces: int | None = None
    tools: list[str] = msgspec.field(default_factory=list)
    mode: ChatMode | None = None
    """Of a new conversation; None: that of the settings."""
    tries: bool = False
    """A new conversation may run dry what it proposes (see `allow_tries`)."""


class AnswerQuestions(_Struct):
    command_id: str
    chat_id: str
    number: int
    answers: list[QuestionAnswer]


# Proposals -------------------------------------------------------------------------------------------------------


class CheckView(_Struct):
    """One check: schema, lint, compile, classes, ruff, and with consent import and dry run.

    status: passed, warned, failed, not_run (why is in `message`), skipped.
    """

    name: str
    status: Literal["passed", "warned", "failed", "not_run", "skipped"]
    message: str = ""
    findings: list[str] = msgspec.field(default_factory=list)
    seconds: float | None = None


class RiskView(_Struct):
    """Something that needs a yes of its own: a new host, import, process, eval or file access, with the place."""

    id: str
    kind: Literal["host", "import", "process", "eval", "file", "environment", "packages", "secret"]
    what: str
    file: str
    line: int
    group: str


class GraphChange(_Struct):
    """One change of the graph. what: node, edge, settings; sign: + - ~. `target` is a node's id or "from to number"."""

    what: Literal["node", "edge", "settings"]
    sign: Literal["+", "-", "~"]
    target: str
    text: str


class ClassChange(_Struct):
    """One change of code: a class of nodes.py, or "" for what stands between them; `diff` is a unified diff."""

    name: str
    sign: Literal["+", "-", "~"]
    diff: str
    file: str = "nodes.py"


class ChangeGroup(_Struct):
    """What is accepted or rejected as one: a node with its edges and its class. `needs` are ids of other groups."""

    id: str
    title: str
    graph: list[GraphChange]
    classes: list[ClassChange]
    needs: list[str] = msgspec.field(default_factory=list)


class AssumptionView(_Struct):
    id: str
    text: str


class ProposalView(_Struct):
    """A change that waits for a person. `before_graph` and `after_graph` are the graphs as native JSON, to be drawn.

    `base` is the version it changes, None for a workflow that is not there yet; `result` the version that accepting all
    would give.
    """

    proposal_id: str
    number: int
    chat_id: str
    workflow: str
    status: ProposalStatus
    title: str
    why: str
    created_at: float
    base: str | None
    result: str
    groups: list[ChangeGroup]
    checks: list[CheckView]
    risks: list[RiskView]
    assumptions: list[AssumptionView]
    before_graph: msgspec.Raw
    after_graph: msgspec.Raw
    usage: UsageView | None = None
    understanding: Understanding | None = None
    resume: ResumeOffer | None = None
    edit: int | None = None
    """The number of the edit that applied it."""


class ResumeOffer(_Struct):
    """What to do once a repair is applied: rewind that run to before its failed node and go on."""

    run_id: str
    node: str
    seq: int
    effects: list[str] = msgspec.field(default_factory=list)
    """Nodes that write and would act again."""


class Decide(_Struct):
    """Accept the groups of `accept` (None: all) with the risks of `consent` said yes to, or reject with a comment.

    A comment with `revise` goes back to the model, and the proposal becomes `revised`.
    """

    command_id: str
    proposal_id: str
    decision: Literal["accept", "reject", "revise"]
    accept: list[str] | None = None
    consent: list[str] = msgspec.field(default_factory=list)
    comment: str = ""
    assumptions: list[AssumptionView] | None = None
    """As the person has edited them; None leaves them."""


class Decided(_Struct):
    """What became of it; `version` and `backup` where it was applied, `edit` is what undo takes back."""

    proposal: ProposalView
    version: str | None = None
    backup: str | None = None
    edit: int | None = None
    approved: bool = True
    """False where the folder also holds changes that nobody approved: running it asks first."""


class EditRow(_Struct):
    """One applied change of a workflow's files, newest first.

    author: assistant, undo, redo, template, rollback, tools.
    """

    number: int
    workflow: str
    at: float
    author: str
    title: str
    before: str | None
    after: str | None
    chat_id: str | None = None
    proposal_id: str | None = None
    undone: bool = False


class Undone(_Struct):
    """What an undo or redo did: the files it wrote and removed, and whether later changes by hand were kept."""

    edit: EditRow
    version: str | None
    written: list[str]
    removed: list[str]
    kept_later_changes: bool = False


class TemplateView(_Struct):
    name: str
    title: str
    description: str
    nodes: int
    asks: list[str] = msgspec.field(default_factory=list)
