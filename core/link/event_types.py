"""What the engine tells its clients without being asked: hints, the rows are the truth."""

from __future__ import annotations

import msgspec

from core.link.chat_events import ChatChanged, ChatText, ProposalChanged
from core.link.types import Status


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class RunChanged(_Struct, tag="run"):
    run_id: str
    workflow: str
    line: int
    status: Status
    step: int
    node: str | None = None


class StepChanged(_Struct, tag="step"):
    """status is running (an attempt began), failed (an attempt failed) or completed (step `seq` is durable)."""

    run_id: str
    workflow: str
    line: int
    node: str
    visit: int
    attempt: int
    status: str
    at: float
    seq: int | None = None
    next_node: str | None = None


class LogsChanged(_Struct, tag="logs"):
    run_id: str
    last: int


class RequestChanged(_Struct, tag="request"):
    run_id: str
    workflow: str
    key: str
    status: str


class WorkflowChanged(_Struct, tag="workflow"):
    """A workflow's files changed, appeared or went; `version` None means gone or unreadable."""

    name: str
    version: str | None
    errors: int


class EngineChanged(_Struct, tag="engine"):
    """state is ok, trouble, stopping; for clients also connecting, connected, silent (it does not answer), lost."""

    state: str
    message: str = ""


class EnvironmentChanged(_Struct, tag="environment"):
    """An environment is being made and said something, or was made, given up or removed."""

    key: str
    making: bool


class PruneChanged(_Struct, tag="prune"):
    """How far a prune is: `phase` in words, so many of `total` (0: unknown) done."""

    phase: str
    done: int
    total: int = 0


class BreakpointsChanged(_Struct, tag="breakpoints"):
    """Breakpoints of a workflow, or of one of its runs, were set or taken away."""

    workflow: str


class ToolsChanged(_Struct, tag="tools"):
    """An account of an app came, became active or failed, or was given up; an MCP server was trusted or is no more."""

    app: str


class Resync(_Struct, tag="resync"):
    """Events were lost: read rows after your cursors."""


Event = (
    RunChanged
    | StepChanged
    | LogsChanged
    | RequestChanged
    | WorkflowChanged
    | EngineChanged
    | EnvironmentChanged
    | PruneChanged
    | ChatChanged
    | ChatText
    | ProposalChanged
    | BreakpointsChanged
    | ToolsChanged
    | Resync
)
