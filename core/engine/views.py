"""From rows and loaded files to what crosses the link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import msgspec

from core.definition.finding import Finding
from core.definition.load import LoadedWorkflow
from core.engine.actor import RunActor
from core.engine.approvals import Verdict
from core.engine.conditions import TAKEN, Conditions
from core.engine.requests import request_key
from core.engine.runlog import level_name
from core.engine.trials import CANCELLED
from core.flow.journal import FALLBACK, FOR_PEOPLE, SKIPPED, SUBFLOW
from core.link.types import (
    FINAL,
    ChildView,
    ErrorView,
    InFlight,
    LineView,
    LogLine,
    ParentView,
    RequestView,
    RunRow,
    RunView,
    Status,
    StepView,
)
from core.link.usage_types import UsageView
from core.link.workflow_types import EdgeView, FindingView, LastRun, NodeView, WorkflowDetail, WorkflowRow
from core.store.records import AttemptRow, LineRecord, LogRow, RequestRow, RunRecord, StepRow

INPUTS_LIMIT = 32 * 1024
"""Bytes of a run's inputs that are sent whole."""


def short_id(run_id: str) -> str:
    """The ending of a run's id that people use."""
    return run_id[-8:]


def finding_view(finding: Finding) -> FindingView:
    return FindingView(
        code=finding.code,
        severity=finding.severity,
        message=finding.message,
        file=finding.file,
        line=finding.line,
        column=finding.column,
        node=finding.node,
        hint=finding.hint,
    )


def last_run_view(record: RunRecord | None) -> LastRun | None:
    if record is None:
        return None
    return LastRun(
        run_id=record.id,
        short_id=short_id(record.id),
        status=cast(Status, record.status),
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        node=record.node,
    )


def workflow_row(loaded: LoadedWorkflow, verdict: Verdict, last: LastRun | None, last_good: str | None) -> WorkflowRow:
    graph = loaded.graph
    return WorkflowRow(
        name=loaded.name,
        description=graph.description if graph else "",
        version=loaded.version,
        approved=verdict.approved,
        nodes=len(graph.nodes) if graph else 0,
        edges=len(graph.edges) if graph else 0,
        findings=[finding_view(finding) for finding in loaded.findings],
        last_run=last,
        last_good=last_good,
        tools=list(loaded.tools),
    )


def workflow_detail(loaded: LoadedWorkflow, verdict: Verdict, last_good: str | None, folder: Path) -> WorkflowDetail:
    graph = loaded.graph
    nodes: list[NodeView] = []
    for node in graph.nodes.values() if graph else ():
        view = NodeView(
            id=node.id,
            class_name="" if node.subflow else node.class_name,
            config=dict(node.config),
            timeout=node.timeout,
            on_error=node.on_error,
            effects=node.effects,
            subflow=node.subflow,
        )
        if node.retry is not None:
            view.retry = node.retry.to_dict()
        known = loaded.code.class_of(node.class_name)
        if known is not None:
            view.file, view.line, view.source, view.doc = known.file, known.line, known.source, known.doc
        nodes.append(view)
    edges = [EdgeView(from_id=e.from_id, to_id=e.to_id, condition=e.condition) for e in (graph.edges if graph else ())]
    return WorkflowDetail(
        name=loaded.name,
        description=graph.description if graph else "",
        version=loaded.version,
        approved=verdict.approved,
        mode=graph.mode if graph else "machine",
        start=graph.start if graph else "",
        nodes=nodes,
        edges=edges,
        findings=[finding_view(finding) for finding in loaded.findings],
        folder=str(folder),
        code_path=str(folder / "nodes.py"),
        inputs=dict(graph.inputs) if graph and graph.inputs is not None else None,
        initial_state=msgspec.Raw(msgspec.json.encode(dict(graph.initial_state))) if graph else msgspec.Raw(b"{}"),
        last_good=last_good,
        assumptions=list(graph.assumptions) if graph else [],
    )


def error_from(text: str | None) -> ErrorView | None:
    """An error from the JSON text of a run's or an attempt's row."""
    if not text:
        return None
    return msgspec.convert(json.loads(text), ErrorView)


def request_view(row: RequestRow, run_id: str, workflow: str) -> RequestView:
    return RequestView(
        key=request_key(row),
        run_id=run_id,
        workflow=workflow,
        node=row.node,
        visit=row.visit,
        request_id=row.request_id,
        nth=row.nth,
        kind=row.kind,
        input_type=row.input_type,
        prompt=row.prompt,
        # The inputs of another run may be large; that run has them.
        options=None if row.kind == SUBFLOW else json.loads(row.options),
        status=row.status,
        opened_at=row.opened_at,
        answered_at=row.answered_at,
        answered_by=row.answered_by,
        answer=json.loads(row.answer) if row.answer else None,
        problem=row.problem,
        due_at=row.due_at,
    )


def run_row(
    record: RunRecord,
    actor: RunActor | None,
    step: int,
    open_requests: int,
    due_at: float | None,
    position: int,
    parent_run: str | None,
    usage: UsageView | None,
) -> RunRow:
    node = record.node
    if actor is not None:
        node = next(iter(actor.in_flight), None) or actor.position.next
    return RunRow(
        run_id=record.id,
        short_id=short_id(record.id),
        workflow=record.workflow,
        version=record.version,
        status=cast(Status, record.status),
        step=step,
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        node=node,
        open_requests=open_requests,
        source=record.source,
        due_at=due_at,
        queue_position=position,
        priority=record.priority,
        parent_run=parent_run,
        usage=usage,
        number=record.number,
    )


def run_view(
    record: RunRecord,
    actor: RunActor | None,
    last: StepRow | None,
    open_requests: list[RequestView],
    log_last: int,
    output: Path,
    position: int,
    inputs_size: int,
) -> RunView:
    """A run as it is: its row, and what only its actor knows."""
    questions = [request for request in open_requests if request.kind in FOR_PEOPLE]
    dues = [request.due_at for request in open_requests if request.due_at is not None]
    inputs = record.inputs.encode()
    return RunView(
        run_id=record.id,
        short_id=short_id(record.id),
        workflow=record.workflow,
        version=record.version,
        status=cast(Status, record.status),
        line=record.line or 0,
        step=last.seq if last else 0,
        next_node=last.next if last else None,
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        awaiting_input=questions[0] if questions else None,
        open_requests=open_requests,
        error=error_from(record.error),
        in_flight=list(actor.in_flight.values()) if actor is not None else [],
        log_last=log_last,
        logs_dropped=record.logs_dropped,
        source=record.source,
        output_dir=str(output / record.id),
        inputs=msgspec.Raw(inputs if inputs and len(inputs) <= INPUTS_LIMIT else b"null"),
        inputs_size=inputs_size,
        due_at=min(dues, default=None) if record.status == "waiting_timer" else None,
        queue_position=position,
        priority=record.priority,
        pausing=record.until == "pause" and record.status not in FINAL,
        pause_reason=record.pause_reason if record.status == "paused" or record.until == "pause" else "",
        activity=actor.process_life.environment.activity if actor is not None else "",
        replay=record.replay,
        unused_answers=[] if record.presets == "[]" else [name for name, _ in json.loads(record.presets)],
    )


def parent_view(record: RunRecord, child: RunRecord) -> ParentView:
    return ParentView(
        run_id=record.id,
        workflow=record.workflow,
        node=child.parent_node or "",
        visit=child.parent_visit or 0,
        status=cast(Status, record.status),
    )


def child_view(record: RunRecord, awaited: bool) -> ChildView:
    return ChildView(
        run_id=record.id,
        short_id=short_id(record.id),
        workflow=record.workflow,
        status=cast(Status, record.status),
        node=record.parent_node or "",
        visit=record.parent_visit or 0,
        created_at=record.created_at,
        ended_at=record.ended_at,
        awaited=awaited,
    )


def line_view(record: LineRecord, number: int, step: int, parent_run: str | None) -> LineView:
    return LineView(
        line=record.line,
        number=number,
        version=record.version,
        status=cast(Status, record.status),
        step=step,
        created_at=record.created_at,
        ended_at=record.ended_at,
        parent_run=parent_run,
        parent_line=record.parent_line,
        parent_step=record.parent_seq,
        error=error_from(record.error),
    )


def step_view(row: StepRow, conditions: Conditions) -> StepView:
    """A step; `conditions` are those of the graph of its line, where its row needs them."""
    routing: dict[str, Any] = json.loads(row.routing) if row.routing else {}
    if row.routing == TAKEN:
        routing["condition"] = conditions.get((row.node, row.next or ""), "")
    return StepView(
        step=row.seq,
        node=row.node,
        visit=row.visit,
        attempt=row.attempt,
        status="skipped" if routing.get("outcome") == SKIPPED else "completed",
        started_at=row.started_at,
        ended_at=row.ended_at,
        next_node=row.next,
        reason=routing.get("reason", "default" if row.next else "end"),
        condition=routing.get("condition", ""),
        edge_errors=routing.get("errors", {}),
        taken=routing.get("taken", []),
        changed=row.changed,
        error=ErrorView(**routing["failure"], node=row.node) if routing.get("failure") else None,
        fallback=routing.get("outcome") == FALLBACK,
    )


def attempt_view(row: AttemptRow) -> StepView:
    error = error_from(row.error)
    return StepView(
        step=None,
        node=row.node,
        visit=row.visit,
        attempt=row.attempt,
        status="cancelled" if error is not None and error.type == CANCELLED else "failed",
        started_at=row.started_at,
        ended_at=row.ended_at,
        error=error,
    )


def running_view(flight: InFlight) -> StepView:
    return StepView(
        step=None,
        node=flight.node,
        visit=flight.visit,
        attempt=flight.attempt,
        status="running",
        started_at=flight.started_at,
        ended_at=None,
    )


def log_line(row: LogRow) -> LogLine:
    return LogLine(
        row=row.row,
        at=row.at,
        level=level_name(row.level),
        text=row.text,
        node=row.node,
        visit=row.visit,
        attempt=row.attempt,
        stream=row.stream,
        line=row.line,
    )
