"""What crosses the link: small structs, decoded and checked in one pass. Times are seconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from core.link.usage_types import UsageView

REPLY_LIMIT = 256 * 1024
"""Largest reply in bytes; larger things come in parts."""

Status = Literal[
    "queued",
    "running",
    "waiting_input",
    "waiting_timer",
    "waiting_run",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "blocked",
]
FINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""Statuses that never change."""
WAITING: frozenset[str] = frozenset({"waiting_input", "waiting_timer", "waiting_run"})
"""Statuses in which the code awaits a request; the process may have been let go."""
AT_REST: frozenset[str] = FINAL | {"paused", "waiting_input", "blocked"}
"""Statuses in which nothing happens until a person does something."""


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class ErrorView(_Struct):
    """An error as it is kept and shown."""

    type: str
    message: str
    cause: str = ""
    next_step: str = ""
    node: str | None = None
    traceback: str = ""


# Runs ------------------------------------------------------------------------------------------------------------


class StartRun(_Struct):
    """`answers` serve the requests of that id in order, one a visit; `version` None means the folder as it is now.

    `until` "end" runs on, "step" runs one step and pauses; with `until_node` it pauses after that node's first visit.
    """

    command_id: str
    workflow: str
    inputs: dict[str, Any] = {}
    answers: list[tuple[str, Any]] = []
    version: str | None = None
    until: Literal["end", "step"] = "end"
    priority: int = 0
    """Where runs are queued, higher ones go first."""
    until_node: str | None = None
    replay_run: str | None = None
    """Answer the calls of models, addresses and tools from those of this run; nothing goes out."""
    replay_file: str | None = None
    """The same from a file that `rondo run --record` wrote, by its absolute path."""
    require_ready: bool = False
    """Refuse it (NotReady) where something is missing that it needs; without it the run comes to that and waits."""


class RunOutcome(_Struct):
    """What a command came to for one of many runs: the status it has now, or why the command was refused."""

    run_id: str
    status: Status | None
    error: ErrorView | None = None


class LineView(_Struct):
    """One history of a run. `number` counts the run's lines from 1; `step` is its last completed step.

    `parent_run` is the id of the run it goes on from, where that is another one: then it is a fork's first line.
    """

    line: int
    number: int
    version: str
    status: Status
    step: int
    created_at: float
    ended_at: float | None = None
    parent_run: str | None = None
    parent_line: int | None = None
    parent_step: int | None = None
    error: ErrorView | None = None


class StatePoint(_Struct):
    """A state: that of a run after a step of one of its lines; None is the present line, the last step."""

    run_id: str
    step: int | None = None
    line: int | None = None


class RequestView(_Struct):
    """Something a run waits for. `options`: a list of texts or of {value, label}; `status`: open, answered or stale."""

    key: str
    run_id: str
    workflow: str
    node: str
    visit: int
    request_id: str
    nth: int
    kind: str
    input_type: str
    prompt: str | None
    options: Any
    status: str
    opened_at: float
    answered_at: float | None = None
    answered_by: str | None = None
    answer: Any = None
    problem: str = ""
    """Why a given answer was not taken."""
    due_at: float | None = None
    """When a request of kind timer is answered by itself."""


class InFlight(_Struct):
    """An attempt that runs: one of `attempts`, for `timeout` seconds at most."""

    node: str
    visit: int
    attempt: int
    started_at: float
    attempts: int = 1
    timeout: float | None = None
    last: bool = True
    """The run fails if this one does."""
    pause: float = 0.0
    """Seconds between it and the next."""


class RunRow(_Struct):
    """One line of the list of runs."""

    run_id: str
    short_id: str
    workflow: str
    version: str
    status: Status
    step: int
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    node: str | None = None
    """The node it is at, or where it ended."""
    open_requests: int = 0
    """How many a person can answer."""
    source: str = ""
    due_at: float | None = None
    """When a run that waits for a time goes on at the earliest."""
    queue_position: int = 0
    """Its place among those that wait for a process, from 1 on; 0 where it does not."""
    priority: int = 0
    parent_run: str | None = None
    """The run whose subflow it is."""
    usage: UsageView | None = None
    """What its calls of models used; None where it made none."""
    number: int = 0
    """Its place among all runs of the workspace, higher for later ones; lists are in this order."""


class ParentView(_Struct):
    """The visit of another run that waits for a run, or has waited for it."""

    run_id: str
    workflow: str
    node: str
    visit: int
    status: Status


class ChildView(_Struct):
    """A run of another workflow that a node of this one runs, or has run."""

    run_id: str
    short_id: str
    workflow: str
    status: Status
    node: str
    visit: int
    created_at: float
    ended_at: float | None = None
    awaited: bool = False
    """The node waits for it now."""


class SkippedNode(_Struct):
    """A node of a dag that will not run: no edge that leads to it came true; `because` says of each why not."""

    node: str
    because: list[str]


class RunView(_Struct):
    """A run as it is now; its state is read apart, in parts."""

    run_id: str
    short_id: str
    workflow: str
    version: str
    status: Status
    line: int
    step: int
    next_node: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    awaiting_input: RequestView | None
    open_requests: list[RequestView]
    error: ErrorView | None
    in_flight: list[InFlight]
    log_last: int
    logs_dropped: int
    source: str
    output_dir: str
    inputs: msgspec.Raw = msgspec.Raw(b"{}")
    """null where they are too large to be sent with every look; the state at step 0 has them."""
    inputs_size: int = 2
    """Bytes of the inputs as JSON."""
    due_at: float | None = None
    """When a run that waits for a time goes on at the earliest."""
    queue_position: int = 0
    """Its place among those that wait for a process, from 1 on; 0 where it does not."""
    priority: int = 0
    pausing: bool = False
    """It pauses as soon as the running step is complete."""
    pause_reason: str = ""
    """Why it is paused, or about to, such as "breakpoint before send"; empty where a person paused it."""
    activity: str = ""
    """What is done for a run that is queued, in words, such as "making the environment"; empty where nothing is."""
    skipped: list[SkippedNode] = []
    unused_answers: list[str] = []
    """The requests for which answers were given beforehand that were not asked for yet."""
    parent: ParentView | None = None
    """Whose subflow it is."""
    children: list[ChildView] = []
    """The runs of its subflows, the newest first, at most 100."""
    nested_input: RequestView | None = None
    """The oldest question of a run that this one waits for, or that that one waits for: answer it by its `run_id`."""
    usage: UsageView | None = None
    """What its calls of models used; None where it made none."""
    replay: str = ""
    """What its calls are answered from, in words; empty where it is no replay."""

    @property
    def rests(self) -> bool:
        """True where nothing happens until a person does something, to this run or to one that it waits for."""
        return self.status in AT_REST or (self.status == "waiting_run" and self.nested_input is not None)


class RunFilter(_Struct):
    """Which runs; `before` is the run id of the last row seen (newest first)."""

    workflow: str | None = None
    status: Status | None = None
    limit: int = 50
    before: str | None = None
    top: bool = False
    """Leave out the runs of subflows."""
    words: list[str] = []
    """Each is a part of the workflow's name or of the run's id, in any case."""
    created_after: float | None = None
    created_before: float | None = None
    ids: list[str] | None = None
    """Of these runs alone, by their whole ids."""
    below: int | None = None
    """Of the runs with a lower `RunRow.number`: as `before`, also where that run is gone."""
    above: int | None = None
    """The ones next to this number among those with a higher one."""


class StepView(_Struct):
    """One attempt of one visit. `step` is the seq of a completed visit, None for a failed or running attempt.

    A step of status skipped failed for good, with `error`, and `on_error` let the run go on; it changed nothing.

    A step without a node is an edit of the state by a person (`reason` is edit, or alone where one node was to run).
    """

    step: int | None
    node: str
    visit: int
    attempt: int
    status: str
    """completed, skipped, failed, cancelled or running."""
    started_at: float
    ended_at: float | None
    next_node: str | None = None
    reason: str = ""
    condition: str = ""
    edge_errors: dict[str, str] = {}
    taken: list[str] = []
    """In mode dag: the nodes that the step leads on to; `next_node` is then just the first in turn."""
    changed: int = 0
    error: ErrorView | None = None
    fallback: bool = False
    """`exec_fallback` gave the result."""


class StepPage(_Struct):
    """`total` counts completed steps; `more` says that there are rows after these."""

    steps: list[StepView]
    total: int
    more: bool = False


class Elided(_Struct):
    """A part of the state that was too large or too deep to send: it stands as null in `value`."""

    path: list[str | int]
    kind: str
    """dict, list or text."""
    count: int
    """Keys, items or characters."""
    size: int
    """Bytes as JSON."""
    preview: str = ""


class StateView(_Struct):
    """The state (or the part at `path`) after step `seq`."""

    run_id: str
    seq: int
    path: list[str | int]
    value: msgspec.Raw
    elided: list[Elided]
    size: int


class StateChunk(_Struct):
    """A slice of the state's JSON text, for readers that want it whole."""

    seq: int
    offset: int
    size: int
    data: bytes


class ChangeView(_Struct):
    """One path that a step changed: op is set, del or append; values are short previews as JSON text."""

    op: str
    path: list[str | int]
    before: str | None
    after: str | None


class LogQuery(_Struct):
    """Rows after `after` (or before `before`, newest window) of a run; `search` is a plain text, case ignored."""

    run_id: str
    after: int | None = None
    before: int | None = None
    limit: int = 500
    node: str | None = None
    minimum_level: str | None = None
    search: str | None = None


class LogLine(_Struct):
    """One line of a run's log; `row` numbers it within the run from 1. `stream` is stdout, stderr, log or engine."""

    row: int
    at: float
    level: str
    text: str
    node: str = ""
    visit: int = 0
    attempt: int = 0
    stream: str = "log"
    line: int = 0
    """The line of the run that was present then."""


class LogPage(_Struct):
    lines: list[LogLine]
    last: int
    """The run's last row."""
    dropped: int = 0


class Answer(_Struct):
    """An answer to a request: `request` is its id, or its key where the id is ambiguous.

    With `parse`, `value` is text to be read by the request's input type; without it, a JSON value.
    """

    command_id: str
    run_id: str
    request: str
    value: Any
    parse: bool = False
