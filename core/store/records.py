"""Rows as they come from the store: frozen, with the names of the schema's columns. JSON columns stay text."""

from __future__ import annotations

from dataclasses import dataclass, fields


def columns(record: type, table: str = "") -> str:
    """The columns of a record for a SELECT, in the order of its fields."""
    prefix = f"{table}." if table else ""
    return ", ".join(prefix + field.name for field in fields(record))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run; `line` is its present line; `inputs` is empty where they are large: ask the store for those.

    Of a subflow `parent_run` is the number of the run whose node runs it.
    """

    number: int
    id: str
    workflow: str
    version: str
    status: str
    line: int | None
    until: str
    source: str
    inputs: str
    presets: str
    priority: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    node: str | None
    error: str | None
    epoch: int
    pid: int | None
    pid_started: int | None
    logs_dropped: int
    parent_run: int | None
    parent_node: str | None
    parent_visit: int | None
    replay: str
    pause_reason: str


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One history of a run; a line without a parent begins with step 0."""

    line: int
    run: int
    parent_line: int | None
    parent_seq: int | None
    version: str
    status: str
    created_at: float
    ended_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One completed visit without what it changed (see `Store.delta`). `line` is the line that holds the row."""

    line: int
    seq: int
    node: str
    visit: int
    attempt: int
    next: str | None
    routing: str
    started_at: float
    ended_at: float
    changed: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt that failed."""

    line: int
    before_seq: int
    node: str
    visit: int
    attempt: int
    started_at: float
    ended_at: float
    error: str


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something a run waits for, or waited for."""

    number: int
    line: int
    run: int
    node: str
    visit: int
    request_id: str
    nth: int
    kind: str
    hash: str
    input_type: str
    prompt: str | None
    options: str
    status: str
    opened_at: float
    answered_at: float | None
    answered_by: str | None
    answer: str | None
    problem: str
    due_at: float | None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of a run's log."""

    run: int
    row: int
    line: int
    at: float
    level: int
    stream: str
    node: str
    visit: int
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A stored version without its files."""

    hash: str
    workflow: str
    graph: str
    created_at: float
    imported: int


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A stored version whole; `files` maps paths to contents."""

    hash: str
    workflow: str
    graph: str
    files: dict[str, bytes]
    created_at: float


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """Something a person or a program asked for."""

    id: str
    at: float
    source: str
    method: str
    run: str | None
    arguments: str
    result: str | None


@dataclass(frozen=True, slots=True)
class BreakpointRow:
    """A node before which runs pause; `run` is 0 for every run of the workflow."""

    workflow: str
    run: int
    node: str
    set_at: float


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call of a model, a tool or an address, without what was asked and answered (see `Store.call_content`)."""

    number: int
    kind: str
    status: str
    key: str
    nth: int
    hash: str
    run: int | None
    line: int | None
    node: str
    visit: int
    chat: str | None
    model: str
    role: str
    title: str
    started_at: float
    ended_at: float | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost: float | None
    error: str | None
    spent: int


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """A conversation; busy, tainted and tries are 0 or 1."""

    id: str
    workflow: str | None
    title: str
    mode: str
    created_at: float
    updated_at: float
    busy: int
    tainted: int
    tries: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One thing that was said; `content` is JSON, None where the row is damaged."""

    number: int
    kind: str
    at: float
    revision: int
    replaced: bool
    content: bytes | None


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A change that waits, or waited, for a person; `content` is deflated JSON."""

    id: str
    number: int
    chat: str
    workflow: str
    status: str
    base: str | None
    created_at: float
    decided_at: float | None
    content: bytes


@dataclass(frozen=True, slots=True)
class BegunChange:
    """A change of a workflow's files that has begun, and the command that it comes of; `arguments` is JSON."""

    workflow: str
    version: str
    command: str
    method: str
    arguments: str


@dataclass(frozen=True, slots=True)
class EditRecord:
    """An applied change of a workflow's files, without the files."""

    number: int
    workflow: str
    at: float
    author: str
    title: str
    before: str | None
    after: str | None
    chat: str | None
    proposal: str | None
    undoes: int | None
    undone_by: int | None
