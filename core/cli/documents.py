"""The JSON documents of the command line. They are an interface: fields are added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from core.cli.output import iso_time
from core.link.engine_types import EngineStatus, UncleanEnd
from core.link.model_types import CallRow
from core.link.types import (
    ChangeView,
    ChildView,
    ErrorView,
    LineView,
    LogLine,
    ParentView,
    RequestView,
    RunOutcome,
    RunRow,
    RunView,
    StepView,
)
from core.link.usage_types import UsageView
from core.link.workflow_types import ApprovalView, LastRun, WorkflowRow

Document = dict[str, Any]


class FindingLike(Protocol):
    """A finding, as the engine sends it or as lint makes it here."""

    @property
    def code(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def node(self) -> str | None: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...


def error_document(error: ErrorView | None) -> Document | None:
    """What made a run fail: `{node, type, message, cause, next_step, traceback}`."""
    if error is None:
        return None
    return {
        "node": error.node,
        "type": error.type,
        "message": error.message,
        "cause": error.cause,
        "next_step": error.next_step,
        "traceback": error.traceback,
    }


def unclean_end_document(end: UncleanEnd | None) -> Document | None:
    """An engine that died, with the runs that were going on and what was done about each."""
    if end is None:
        return None
    return {
        "pid": end.pid,
        "started_at": iso_time(end.started_at),
        "last_sign_at": iso_time(end.last_sign_at),
        "found_at": iso_time(end.found_at),
        "cause": end.cause,
        "run_count": end.run_count,
        "runs": [
            {
                "run_id": run.run_id,
                "workflow": run.workflow,
                "status": run.status,
                "step": run.step,
                "node": run.node,
                "action": run.action,
            }
            for run in end.runs
        ],
    }


def request_document(request: RequestView) -> Document:
    """Something a run waits for; `request_id` names it, `key` does so where the id is ambiguous."""
    return {
        "node_id": request.node,
        "request_id": request.request_id,
        "key": request.key,
        "prompt": request.prompt,
        "options": request.options,
        "input_type": request.input_type,
        "kind": request.kind,
        "visit": request.visit,
        "opened_at": iso_time(request.opened_at),
        "problem": request.problem,
        "due_at": iso_time(request.due_at),
    }


def run_document(view: RunView, state: bytes, *, step: int | None = None, next_step: str = "") -> Document:
    """A run and its state (JSON text, put in as it is) after `step`, by default the last one."""
    return {
        "run_id": view.run_id,
        "short_id": view.short_id,
        "workflow": view.workflow,
        "version": view.version,
        "status": view.status,
        "pausing": view.pausing,
        "pause_reason": view.pause_reason or None,
        "step": view.step if step is None else step,
        "next_node": view.next_node,
        "awaiting_input": request_document(view.awaiting_input) if view.awaiting_input is not None else None,
        "open_requests": [request_document(request) for request in view.open_requests],
        "state": msgspec.Raw(state),
        "error": error_document(view.error),
        "next_step": next_step or None,
        "inputs": view.inputs,
        "created_at": iso_time(view.created_at),
        "started_at": iso_time(view.started_at),
        "ended_at": iso_time(view.ended_at),
        "output_dir": view.output_dir,
        "source": view.source,
        "due_at": iso_time(view.due_at),
        "queue_position": view.queue_position or None,
        "parent": parent_document(view.parent),
        "children": [child_document(child) for child in view.children],
        "nested_input": (
            {"run_id": view.nested_input.run_id, **request_document(view.nested_input)}
            if view.nested_input is not None
            else None
        ),
        "priority": view.priority,
        "activity": view.activity,
        "skipped": [{"node": skipped.node, "because": skipped.because} for skipped in view.skipped],
        "usage": usage_document(view.usage),
        "replay": view.replay or None,
    }


def usage_document(usage: UsageView | None) -> Document | None:
    """What calls of models used; `cost` in US dollars is null where none of it is known."""
    if usage is None:
        return None
    unknown = usage.unpriced > 0 and usage.cost == 0
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cost": None if unknown else usage.cost,
        "calls_of_unknown_cost": usage.unpriced,
        "tool_calls": usage.tool_calls,
        "tool_cost": usage.tool_cost,
    }


def call_document(row: CallRow) -> Document:
    """One call of a model, an address or a tool."""
    return {
        "number": row.number,
        "kind": row.kind,
        "status": row.status,
        "node": row.node,
        "visit": row.visit,
        "nth": row.nth,
        "model": row.model or None,
        "role": row.role or None,
        "title": row.title,
        "started_at": iso_time(row.started_at),
        "seconds": row.seconds,
        "usage": usage_document(row.usage),
        "error": error_document(row.error),
    }


def parent_document(parent: ParentView | None) -> Document | None:
    """The visit whose subflow a run is."""
    if parent is None:
        return None
    return {
        "run_id": parent.run_id,
        "workflow": parent.workflow,
        "node": parent.node,
        "visit": parent.visit,
        "status": parent.status,
    }


def child_document(child: ChildView) -> Document:
    """A run of a subflow; `awaited` says that its node waits for it now."""
    return {
        "run_id": child.run_id,
        "short_id": child.short_id,
        "workflow": child.workflow,
        "status": child.status,
        "node": child.node,
        "visit": child.visit,
        "created_at": iso_time(child.created_at),
        "ended_at": iso_time(child.ended_at),
        "awaited": child.awaited,
    }


def line_document(line: LineView) -> Document:
    """One history of a run; `parent` is the point it goes on from, null for the run's beginning."""
    parent = None
    if line.parent_step is not None:
        parent = {"run_id": line.parent_run, "step": line.parent_step}
    return {
        "line": line.number,
        "version": line.version,
        "status": line.status,
        "step": line.step,
        "parent": parent,
        "created_at": iso_time(line.created_at),
        "ended_at": iso_time(line.ended_at),
        "error": error_document(line.error),
    }


def change_document(change: ChangeView) -> Document:
    """One path that differs; `before` and `after` are the first characters of the values' JSON texts, or null."""
    return {"op": change.op, "path": change.path, "before": change.before, "after": change.after}


def outcome_document(outcome: RunOutcome) -> Document:
    """What a command came to for one of many runs; `status` is null where it was refused."""
    return {
        "run_id": outcome.run_id,
        "status": outcome.status,
        "error": error_document(outcome.error),
    }


def step_document(step: StepView) -> Document:
    """One attempt of a visit; `step` is null where it did not complete."""
    return {
        "step": step.step,
        "node": step.node,
        "visit": step.visit,
        "attempt": step.attempt,
        "status": step.status,
        "started_at": iso_time(step.started_at),
        "ended_at": iso_time(step.ended_at),
        "next_node": step.next_node,
        "reason": step.reason,
        "condition": step.condition,
        "edge_errors": step.edge_errors,
        "taken": step.taken,
        "changed": step.changed,
        "fallback": step.fallback,
        "error": error_document(step.error),
    }


def run_row_document(row: RunRow) -> Document:
    """One run of the list."""
    return {
        "run_id": row.run_id,
        "short_id": row.short_id,
        "workflow": row.workflow,
        "version": row.version,
        "status": row.status,
        "step": row.step,
        "node": row.node,
        "open_requests": row.open_requests,
        "created_at": iso_time(row.created_at),
        "started_at": iso_time(row.started_at),
        "ended_at": iso_time(row.ended_at),
        "source": row.source,
        "parent_run": row.parent_run,
        "due_at": iso_time(row.due_at),
        "queue_position": row.queue_position or None,
        "priority": row.priority,
        "usage": usage_document(row.usage),
    }


def log_document(line: LogLine, numbers: Mapping[int, int]) -> Document:
    """One line of a run's log; `numbers` are those of the run's histories, of which `line` names the one of then."""
    return {
        "row": line.row,
        "line": numbers.get(line.line),
        "at": iso_time(line.at),
        "level": line.level,
        "node": line.node or None,
        "visit": line.visit,
        "attempt": line.attempt,
        "stream": line.stream,
        "text": line.text,
    }


def finding_document(finding: FindingLike) -> Document:
    """What lint found."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "node": finding.node,
        "message": finding.message,
        "hint": finding.hint,
    }


def workflow_document(row: WorkflowRow) -> Document:
    """One workflow of the list."""
    return {
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "approved": row.approved,
        "nodes": row.nodes,
        "edges": row.edges,
        "findings": [finding_document(finding) for finding in row.findings],
        "last_run": _last_run_document(row.last_run),
        "last_good": row.last_good,
        "tools": row.tools,
    }


def _last_run_document(run: LastRun | None) -> Document | None:
    if run is None:
        return None
    return {
        "run_id": run.run_id,
        "short_id": run.short_id,
        "status": run.status,
        "node": run.node,
        "created_at": iso_time(run.created_at),
        "started_at": iso_time(run.started_at),
        "ended_at": iso_time(run.ended_at),
    }


def approval_document(approval: ApprovalView) -> Document:
    """Whether a version may run, and what changed since the last one that may."""
    return {
        "workflow": approval.workflow,
        "version": approval.version,
        "approved": approval.approved,
        "reason": approval.reason,
        "previous": approval.previous,
        "changes": [{"path": change.path, "status": change.status, "diff": change.diff} for change in approval.changes],
        "requirements": approval.requirements,
    }


def engine_document(status: EngineStatus) -> Document:
    """The engine of a workspace; `runs` counts the runs that are not at rest, by status."""
    return {
        "running": status.running,
        "pid": status.pid,
        "workspace": status.workspace,
        "version": status.version,
        "runs": status.runs,
        "started_at": iso_time(status.started_at),
        "socket": status.socket,
        "clients": status.clients,
        "open_requests": status.open_requests,
        "trouble": error_document(status.trouble),
        "unclean_end": unclean_end_document(status.unclean_end),
    }
