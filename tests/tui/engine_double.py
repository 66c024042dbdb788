"""An engine in memory, for tests of the screens: the same calls, errors, windows and events as the real one.

Tests script it: `workflow(...)`, `run(...)`, then `begin`, `complete`, `fail_attempt`, `log`, `ask`, `finish`.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from chat_double import ChatDouble
from inspect_double import InspectDouble
from shelf_double import ShelfDouble
from tools_double import ToolsDouble

from core.engine.condition_values import seen_conditions
from core.engine.state_parts import preview, take_part
from core.errors import (
    AlreadyAnswered,
    EngineLost,
    InvalidAnswer,
    InvalidInput,
    NotApproved,
    RondoError,
    RunAtRest,
    UnknownRequest,
    UnknownRun,
    UnknownStep,
    UnknownWorkflow,
)
from core.flow.graph import EdgeSpec
from core.link.engine_types import ClientInfo, Doctor, EngineInfo, EngineStatus, UncleanEnd
from core.link.event_types import (
    EngineChanged,
    Event,
    LogsChanged,
    RequestChanged,
    Resync,
    RunChanged,
    StepChanged,
    WorkflowChanged,
)
from core.link.routing_types import ConditionsView
from core.link.tool_types import Lack
from core.link.types import (
    FINAL,
    Answer,
    ChangeView,
    ErrorView,
    InFlight,
    LineView,
    LogLine,
    LogPage,
    LogQuery,
    RequestView,
    RunFilter,
    RunRow,
    RunView,
    StartRun,
    StateChunk,
    StateView,
    StepPage,
    StepView,
)
from core.link.usage_types import UsageView
from core.link.workflow_types import (
    ApprovalView,
    EdgeView,
    FileChange,
    FindingView,
    LastRun,
    NodeView,
    WorkflowDetail,
    WorkflowRow,
)

NOW = 1_767_330_600.0
"""2026-01-02 05:10:00 UTC: the time at which the clock of the tests stands."""
LEVELS = {"DEBUG": 10, "INFO": 20, "EDGE": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


@dataclass
class Run:
    """A run with all its rows."""

    id: str
    workflow: str
    created_at: float
    status: str = "running"
    steps: list[StepView] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    logs: list[LogLine] = field(default_factory=list)
    requests: list[RequestView] = field(default_factory=list)
    in_flight: list[InFlight] = field(default_factory=list)
    ended_at: float | None = None
    error: ErrorView | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0
    due_at: float | None = None
    queue_position: int = 0
    usage: UsageView | None = None
    pause_reason: str = ""

    @property
    def open_requests(self) -> list[RequestView]:
        return [request for request in self.requests if request.status == "open"]

    @property
    def step(self) -> int:
        return len(self.states) - 1

    @property
    def node(self) -> str | None:
        if self.in_flight:
            return self.in_flight[-1].node
        return self.steps[-1].node if self.steps else None


class EngineDouble(InspectDouble, ShelfDouble, ChatDouble, ToolsDouble):
    """An engine without processes and files. `problems` maps a method's name to the error its next call raises."""

    def __init__(self, now: Callable[[], float] = lambda: NOW) -> None:
        super().__init__()
        self.now = now
        self.workflows: dict[str, WorkflowDetail] = {}
        self.approvals: dict[str, ApprovalView] = {}
        self.runs: dict[str, Run] = {}
        self.unclean_end: UncleanEnd | None = None
        self.problems: dict[str, RondoError] = {}
        self.lacks: dict[str, list[Lack]] = {}
        """What is missing, by workflow."""
        self.calls: list[str] = []
        self.on_start: dict[str, Callable[[Run], None]] = {}
        self.on_answer: dict[str, Callable[[Run, RequestView], None]] = {}
        self.queues: list[asyncio.Queue[list[Event]]] = []
        self.connected = True
        self.opened = False
        self.problem: RondoError | None = None
        self.numbers = itertools.count(1)

    # Scripting -------------------------------------------------------------------------------------------------

    def workflow(
        self,
        name: str,
        nodes: list[str],
        *,
        edges: list[tuple[str, str] | tuple[str, str, str]] | None = None,
        description: str = "",
        findings: list[FindingView] | None = None,
        approved: bool = True,
        inputs: dict[str, Any] | None = None,
        initial_state: dict[str, Any] | None = None,
        version: str | None = "v1",
        folder: str = "",
        diff: str = "@@ -0,0 +1,2 @@\n+class A(Node):\n+    pass\n",
    ) -> WorkflowDetail:
        """Add a workflow; without `edges` its nodes form a chain."""
        links = edges if edges is not None else list(itertools.pairwise(nodes))
        views = []
        for number, node in enumerate(nodes):
            class_name = "".join(part.title() for part in node.split("_"))
            source = f"class {class_name}(Node):\n    def execute(self, prepared):\n        return prepared\n"
            views.append(
                NodeView(
                    id=node, class_name=class_name, config={}, file="nodes.py", line=10 + 14 * number, source=source
                )
            )
        place = folder or f"/home/me/flows/workflows/{name}"
        detail = WorkflowDetail(
            name=name,
            description=description,
            version=version,
            approved=approved,
            mode="machine",
            start=nodes[0] if nodes else "",
            nodes=views,
            edges=[
                EdgeView(from_id=link[0], to_id=link[1], condition=link[2] if len(link) > 2 else "") for link in links
            ],
            findings=findings or [],
            folder=place,
            code_path=f"{place}/nodes.py",
            inputs=inputs,
            initial_state=msgspec.Raw(json.dumps(initial_state or {}).encode()),
            last_good="v0" if version is None else version,
        )
        self.workflows[name] = detail
        changes = [FileChange(path="nodes.py", status="added", diff=diff)]
        self.approvals[name] = ApprovalView(
            workflow=name,
            version=version or "",
            approved=approved,
            reason="own" if approved else "never",
            previous=None,
            changes=changes,
        )
        return detail

    def change_workflow(self, name: str, **fields: Any) -> None:
        """The folder changed: set fields of its detail and tell."""
        self.workflows[name] = msgspec.structs.replace(self.workflows[name], **fields)
        detail = self.workflows[name]
        errors = sum(finding.severity == "error" for finding in detail.findings)
        self.send(WorkflowChanged(name=name, version=detail.version, errors=errors))

    def run(self, workflow: str, *, run_id: str = "", created_at: float | None = None, status: str = "running") -> Run:
        """Add a run that has done nothing yet."""
        identity = run_id or f"0194{next(self.numbers):016d}"
        made = Run(id=identity, workflow=workflow, created_at=self.now() if created_at is None else created_at)
        made.status = status
        initial = json.loads(bytes(self.workflows[workflow].initial_state))
        made.states = [initial]
        self.runs[identity] = made
        self._run_changed(made)
        return made

    def begin(self, run: Run, node: str, *, visit: int = 1, attempt: int = 1, at: float | None = None) -> None:
        """An attempt begins."""
        began = self.now() if at is None else at
        run.in_flight = [InFlight(node=node, visit=visit, attempt=attempt, started_at=began)]
        run.status = "running"
        self.send(self._step_event(run, node, visit, attempt, "running"))
        self._run_changed(run)

    def complete(
        self,
        run: Run,
        node: str,
        state: dict[str, Any] | None = None,
        *,
        visit: int = 1,
        attempt: int = 1,
        took: float = 0.01,
        at: float | None = None,
        next_node: str | None = None,
        condition: str = "",
    ) -> None:
        """An attempt completed: a step, after which the state is `state` (None: as before)."""
        began = self.now() if at is None else at
        run.in_flight = []
        before = run.states[-1]
        run.states.append(copy.deepcopy(before if state is None else state))
        run.steps.append(
            StepView(
                step=run.step,
                node=node,
                visit=visit,
                attempt=attempt,
                status="completed",
                started_at=began,
                ended_at=began + took,
                next_node=next_node,
                reason="edge" if condition else "default",
                condition=condition,
                changed=len(_difference(before, run.states[-1], [])),
            )
        )
        self.send(self._step_event(run, node, visit, attempt, "completed", run.step, next_node))
        self._run_changed(run)

    def fail_attempt(
        self,
        run: Run,
        node: str,
        error: ErrorView,
        *,
        visit: int = 1,
        attempt: int = 1,
        took: float = 0.01,
        at: float = 0,
    ) -> None:
        """An attempt failed; another may follow."""
        began = at or self.now()
        run.in_flight = []
        run.steps.append(
            StepView(
                step=None,
                node=node,
                visit=visit,
                attempt=attempt,
                status="failed",
                started_at=began,
                ended_at=began + took,
                error=error,
            )
        )
        self.send(self._step_event(run, node, visit, attempt, "failed"))

    def log(
        self, run: Run, text: str, *, level: str = "INFO", node: str = "", visit: int = 1, at: float | None = None
    ) -> None:
        """One line of the log."""
        self.log_many(run, [text], level=level, node=node, visit=visit, at=at)

    def log_many(
        self,
        run: Run,
        texts: list[str],
        *,
        level: str = "INFO",
        node: str = "",
        visit: int = 1,
        at: float | None = None,
    ) -> None:
        """Lines of the log, told by one event."""
        moment = self.now() if at is None else at
        for text in texts:
            row = len(run.logs) + 1
            run.logs.append(LogLine(row=row, at=moment, level=level, text=text, node=node, visit=visit, attempt=1))
        self.send(LogsChanged(run_id=run.id, last=len(run.logs)))

    def ask(
        self,
        run: Run,
        node: str,
        request_id: str,
        prompt: str | None,
        input_type: str = "text",
        options: Any = None,
        kind: str = "input",
    ) -> RequestView:
        """The run asks and waits."""
        request = RequestView(
            key=f"{node}:1:{request_id}:0",
            run_id=run.id,
            workflow=run.workflow,
            node=node,
            visit=1,
            request_id=request_id,
            nth=0,
            kind=kind,
            input_type=input_type,
            prompt=prompt,
            options=options,
            status="open",
            opened_at=self.now(),
        )
        run.requests.append(request)
        run.status = "waiting_input"
        self.send(RequestChanged(run_id=run.id, workflow=run.workflow, key=request.key, status="open"))
        self._run_changed(run)
        return request

    def ask_for_account(self, run: Run, node: str, app: str) -> RequestView:
        """The run waits for an account of an app."""
        prompt = f"The tool {app} has no account. Nobody has connected one. Connect it, and {node} goes on."
        options = [{"value": "connected", "label": "connected: go on"}, {"value": "fail", "label": "fail: it fails"}]
        return self.ask(run, node, f"connect-{app}", prompt, "select", options, kind="connection")

    def account_is_there(self, app: str) -> None:
        for run in self.runs.values():
            for request in run.open_requests:
                if request.request_id == f"connect-{app}":
                    self.answer_elsewhere(run, request, "connected", by="engine")
                    run.status = "running"
                    self._run_changed(run)

    def answer_elsewhere(self, run: Run, request: RequestView, value: Any, by: str = "cli") -> None:
        """Somebody else answers."""
        request.status, request.answer, request.answered_by = "answered", value, by
        self.send(RequestChanged(run_id=run.id, workflow=run.workflow, key=request.key, status="answered"))
        self._run_changed(run)

    def finish(
        self, run: Run, status: str = "completed", error: ErrorView | None = None, at: float | None = None
    ) -> None:
        """The run ends."""
        run.status = status
        run.error = error
        run.in_flight = []
        run.ended_at = self.now() if at is None else at
        self._run_changed(run)

    def send(self, *events: Event) -> None:
        """Tell every client."""
        for queue in self.queues:
            queue.put_nowait(list(events))

    def lose(self, why: str = "The engine went away.") -> None:
        """The connection breaks."""
        self.connected = False
        self.send(EngineChanged(state="lost", message=why))

    def return_again(self) -> None:
        """The connection is back."""
        self.connected = True
        self.send(EngineChanged(state="connected"), Resync())

    # The client's side -----------------------------------------------------------------------------------------

    def open(self) -> None:
        self.opened = True

    async def close(self) -> None:
        self.opened = False

    async def events(self) -> AsyncIterator[list[Event]]:
        queue: asyncio.Queue[list[Event]] = asyncio.Queue()
        self.queues.append(queue)
        if self.connected:
            queue.put_nowait([EngineChanged(state="connected")])
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.remove(queue)

    async def _called(self, method: str) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        problem = self.problems.pop(method, None)
        if problem is not None:
            raise problem
        if not self.connected:
            raise EngineLost("The engine went away.", cause="The connection broke.", next_step="It is tried again.")

    async def hello(self, client: ClientInfo) -> EngineInfo:
        await self._called("hello")
        return EngineInfo(app_version="0", protocol=1, schema=1, pid=1, started_at=NOW, workspace="/home/me/flows")

    async def engine_status(self) -> EngineStatus:
        await self._called("engine_status")
        counts: dict[str, int] = {}
        for run in self.runs.values():
            if run.status in ("queued", "running", "waiting_timer"):
                counts[run.status] = counts.get(run.status, 0) + 1
        questions = sum(len(run.open_requests) for run in self.runs.values())
        return EngineStatus(
            running=True,
            pid=1,
            workspace="/home/me/flows",
            version="0",
            runs=counts,
            open_requests=questions,
            unclean_end=self.unclean_end,
        )

    async def stop_engine(self) -> None:
        await self._called("stop_engine")

    async def doctor(self) -> Doctor:
        await self._called("doctor")
        return Doctor(facts={}, problems=[])

    async def see_unclean_end(self, end_id: str) -> None:
        await self._called("see_unclean_end")
        if self.unclean_end is not None and self.unclean_end.id == end_id:
            self.unclean_end.seen = True

    async def trust_workspace(self) -> None:
        await self._called("trust_workspace")
        for name in self.workflows:
            self.workflows[name].approved = True
            self.approvals[name].approved = True

    async def list_workflows(self) -> list[WorkflowRow]:
        await self._called("list_workflows")
        return [self._row(detail) for _, detail in sorted(self.workflows.items())]

    def _row(self, detail: WorkflowDetail) -> WorkflowRow:
        runs = [run for run in self.runs.values() if run.workflow == detail.name]
        last = max(runs, key=lambda run: run.created_at) if runs else None
        return WorkflowRow(
            name=detail.name,
            description=detail.description,
            version=detail.version,
            approved=detail.approved,
            nodes=len(detail.nodes),
            edges=len(detail.edges),
            findings=detail.findings,
            last_run=None
            if last is None
            else LastRun(
                run_id=last.id,
                short_id=last.id[-8:],
                status=last.status,  # type: ignore[arg-type]
                created_at=last.created_at,
                started_at=last.created_at,
                ended_at=last.ended_at,
                node=last.node,
            ),
            last_good=detail.last_good,
            tools=[tool.name for tool in self.tool_views.get(detail.name, [])],
        )

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail:
        await self._called("get_workflow")
        return self.stored[name, version] if (name, version or "") in self.stored else self._workflow(name)

    async def check_workflow(self, workflow: str, version: str | None = None) -> list[Lack]:
        return self.lacks.get(workflow, [])

    def _workflow(self, name: str) -> WorkflowDetail:
        if name not in self.workflows:
            raise UnknownWorkflow(f"There is no workflow {name}.", next_step="See them all: rondo list")
        return self.workflows[name]

    async def approval(self, name: str) -> ApprovalView:
        await self._called("approval")
        self._workflow(name)
        return self.approvals[name]

    async def approve(self, name: str, version: str) -> ApprovalView:
        await self._called("approve")
        self._workflow(name).approved = True
        self.approvals[name].approved = True
        self.send(WorkflowChanged(name=name, version=version, errors=0))
        return self.approvals[name]

    async def start_run(self, start: StartRun) -> RunView:
        await self._called("start_run")
        detail = self._workflow(start.workflow)
        if not detail.approved:
            raise NotApproved(f"{start.workflow} is not approved.", next_step=f"rondo approve {start.workflow}")
        for name in (detail.inputs or {}).get("required", []):
            if name not in start.inputs:
                raise InvalidInput(f"{name} is missing.", cause="The workflow needs it.", next_step="Give it a value.")
        run = self.run(start.workflow)
        run.inputs = dict(start.inputs)
        run.states[0].update(start.inputs)
        if start.workflow in self.on_start:
            self.on_start[start.workflow](run)
        return self._view(run)

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        await self._called("step_run")
        return self._view(self._run(run_id))

    async def continue_run(self, command_id: str, run_id: str) -> RunView:
        await self._called("continue_run")
        run = self._run(run_id)
        run.status = "running"
        self._run_changed(run)
        return self._view(run)

    async def cancel_run(self, command_id: str, run_id: str) -> RunView:
        await self._called("cancel_run")
        run = self._run(run_id)
        if run.status in FINAL:
            raise RunAtRest(f"The run has ended: {run.status}.", next_step="Start another one.")
        for request in run.open_requests:
            request.status = "withdrawn"
        self.finish(run, "cancelled")
        return self._view(run)

    async def answer(self, answer: Answer) -> RunView:
        await self._called("answer")
        run = self._run(answer.run_id)
        known = [request for request in run.requests if answer.request in (request.key, request.request_id)]
        if not known:
            raise UnknownRequest(f"The run asks nothing called {answer.request}.")
        request = known[-1]
        if request.status == "answered":
            raise AlreadyAnswered("That was answered before.", cause="By another terminal.", next_step="Go on.")
        request.answer = _checked(request, answer)
        request.status = "answered"
        self.send(RequestChanged(run_id=run.id, workflow=run.workflow, key=request.key, status="answered"))
        if not run.open_requests:
            run.status = "running"
        if run.workflow in self.on_answer:
            self.on_answer[run.workflow](run, request)
        self._run_changed(run)
        return self._view(run)

    def _run(self, run_id: str) -> Run:
        found = [run for identity, run in self.runs.items() if identity.endswith(run_id)]
        if len(found) != 1:
            raise UnknownRun(f"There is no run {run_id}.", next_step="See them: rondo runs")
        return found[0]

    def _view(self, run: Run) -> RunView:
        return RunView(
            pause_reason=run.pause_reason,
            run_id=run.id,
            short_id=run.id[-8:],
            workflow=run.workflow,
            version="v1",
            status=run.status,  # type: ignore[arg-type]
            line=1,
            step=run.step,
            next_node=None,
            created_at=run.created_at,
            started_at=run.created_at,
            ended_at=run.ended_at,
            awaiting_input=run.open_requests[0] if run.open_requests else None,
            open_requests=run.open_requests,
            error=run.error,
            in_flight=run.in_flight,
            log_last=len(run.logs),
            logs_dropped=run.dropped,
            source="tui",
            output_dir="/home/me/flows/runs/output",
            inputs=msgspec.Raw(json.dumps(run.inputs).encode()),
            due_at=run.due_at,
            queue_position=run.queue_position,
            usage=run.usage,
        )

    async def get_run(self, run_id: str) -> RunView:
        await self._called("get_run")
        return self._view(self._run(run_id))

    async def list_lines(self, run_id: str) -> list[LineView]:
        await self._called("list_lines")
        run = self._view(self._run(run_id))
        return [
            LineView(
                line=run.line,
                number=1,
                version=run.version,
                status=run.status,
                step=run.step,
                created_at=run.created_at,
            )
        ]

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        await self._called("list_runs")
        rows = []
        # In the order in which they were started, whenever that was for a test.
        numbers = {run.id: number for number, run in enumerate(self.in_order(), 1)}
        for run in reversed(self.in_order()):
            if _is_meant(run, numbers[run.id], query):
                rows.append(
                    RunRow(
                        run_id=run.id,
                        short_id=run.id[-8:],
                        workflow=run.workflow,
                        version="v1",
                        status=run.status,  # type: ignore[arg-type]
                        step=run.step,
                        created_at=run.created_at,
                        started_at=run.created_at,
                        ended_at=run.ended_at,
                        node=run.node,
                        open_requests=len(run.open_requests),
                        number=numbers[run.id],
                        usage=run.usage,
                    )
                )
        return rows[: query.limit] if query.above is None else rows[-query.limit :]

    def in_order(self) -> list[Run]:
        """All runs, the oldest first."""
        return sorted(self.runs.values(), key=lambda run: run.created_at)

    async def list_requests(self) -> list[RequestView]:
        await self._called("list_requests")
        return [request for run in self.runs.values() for request in run.open_requests]

    async def read_request(self, run_id: str, key: str) -> RequestView:
        await self._called("read_request")
        found = [request for request in self._run(run_id).requests if request.key == key]
        if not found:
            raise UnknownRequest(f"This run has no request {key}.")
        return found[-1]

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        await self._called("read_steps")
        run = self._run(run_id)
        views: list[StepView] = []
        seq = 0
        for view in run.steps:
            if seq >= after and seq - after < limit:
                views.append(view)
            seq = view.step or seq
        more = run.step - after > limit
        if not more:
            views += [
                StepView(
                    step=None,
                    node=flight.node,
                    visit=flight.visit,
                    attempt=flight.attempt,
                    status="running",
                    started_at=flight.started_at,
                    ended_at=None,
                )
                for flight in run.in_flight
            ]
        return StepPage(steps=views, total=run.step, more=more)

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: list[str | int] | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        await self._called("read_state")
        run = self._run(run_id)
        at = run.step if seq is None else seq
        if not 0 <= at <= run.step:
            raise UnknownStep(f"The run has no step {at}.")
        text = json.dumps(run.states[at], ensure_ascii=False).encode()
        value, elided, size = take_part(text, path or [], depth)
        return StateView(run_id=run.id, seq=at, path=path or [], value=value, elided=elided, size=size)

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk:
        await self._called("read_state_chunk")
        run = self._run(run_id)
        at = run.step if seq is None else seq
        data = json.dumps(run.states[at]).encode()
        return StateChunk(seq=at, offset=offset, size=len(data), data=data[offset : offset + 100_000])

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]:
        await self._called("read_changes")
        run = self._run(run_id)
        return _difference(run.states[seq - 1], run.states[seq], []) if seq > 0 else []

    async def read_conditions(self, run_id: str, seq: int, line: int | None = None) -> ConditionsView:
        await self._called("read_conditions")
        run = self._run(run_id)
        step = next(view for view in run.steps if view.step == seq)
        edges = [
            EdgeSpec(edge.from_id, edge.to_id, edge.condition)
            for edge in self.workflows[run.workflow].edges
            if edge.from_id == step.node
        ]
        found = seen_conditions(edges, json.dumps(run.states[seq]).encode())
        return ConditionsView(run_id=run.id, line=1, step=seq, node=step.node, conditions=found)

    async def read_logs(self, query: LogQuery) -> LogPage:
        await self._called("read_logs")
        run = self._run(query.run_id)
        lines = run.logs
        if query.node:
            lines = [line for line in lines if line.node == query.node]
        if query.minimum_level:
            lines = [line for line in lines if LEVELS[line.level] >= LEVELS[query.minimum_level]]
        if query.search:
            lines = [line for line in lines if query.search.lower() in line.text.lower()]
        if query.after is not None:
            lines = [line for line in lines if line.row > query.after][: query.limit]
        elif query.before is not None:
            lines = [line for line in lines if line.row < query.before][-query.limit :]
        else:
            lines = lines[: query.limit]
        return LogPage(lines=lines, last=len(run.logs), dropped=run.dropped)

    # Events ----------------------------------------------------------------------------------------------------

    def _run_changed(self, run: Run) -> None:
        self.send(
            RunChanged(
                run_id=run.id,
                workflow=run.workflow,
                line=1,
                status=run.status,  # type: ignore[arg-type]
                step=run.step,
                node=run.node,
            )
        )

    def _step_event(
        self,
        run: Run,
        node: str,
        visit: int,
        attempt: int,
        status: str,
        seq: int | None = None,
        after: str | None = None,
    ) -> StepChanged:
        return StepChanged(
            run_id=run.id,
            workflow=run.workflow,
            line=1,
            node=node,
            visit=visit,
            attempt=attempt,
            status=status,
            at=self.now(),
            seq=seq,
            next_node=after,
        )


def _is_meant(run: Run, number: int, query: RunFilter) -> bool:
    words = all(word.lower() in run.workflow.lower() or word.lower() in run.id for word in query.words)
    return (
        words
        and query.workflow in (None, run.workflow)
        and query.status in (None, run.status)
        and (query.ids is None or run.id in query.ids)
        and (query.created_after or 0) <= run.created_at <= (query.created_before or run.created_at)
        and (query.above or 0) < number < (query.below or number + 1)
    )


def _difference(before: Any, after: Any, path: list[str | int]) -> list[ChangeView]:
    if isinstance(before, dict) and isinstance(after, dict):
        changes: list[ChangeView] = []
        for key in [*before, *(key for key in after if key not in before)]:
            here = [*path, key]
            if key not in after:
                changes.append(ChangeView(op="del", path=here, before=preview(before[key]), after=None))
            elif key not in before:
                changes.append(ChangeView(op="set", path=here, before=None, after=preview(after[key])))
            else:
                changes += _difference(before[key], after[key], here)
        return changes
    if before == after:
        return []
    if isinstance(before, list) and isinstance(after, list) and after[: len(before)] == before:
        return [ChangeView(op="append", path=path, before=preview(before), after=preview(after))]
    return [ChangeView(op="set", path=path, before=preview(before), after=preview(after))]


def _checked(request: RequestView, answer: Answer) -> Any:
    value = answer.value
    values = [option["value"] if isinstance(option, dict) else option for option in request.options or []]
    if request.input_type == "number" and answer.parse:
        try:
            return float(value) if "." in value else int(value)
        except ValueError as error:
            raise InvalidAnswer(f"{value!r} is not a number.", next_step="Give a number, such as 3 or 2.5.") from error
    if request.input_type == "json" and answer.parse:
        try:
            return json.loads(value)
        except ValueError as error:
            raise InvalidAnswer("That is not JSON.", cause=str(error)) from error
    if request.input_type == "select" and value not in values:
        raise InvalidAnswer(f"{value!r} is not one of the options.")
    if request.input_type == "multiselect" and any(item not in values for item in value):
        raise InvalidAnswer("Not all of these are options.")
    if request.input_type == "confirm" and not isinstance(value, bool):
        raise InvalidAnswer("Answer yes or no.")
    return value
