"""An engine in memory, for what the command line does with what an engine says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.errors import (
    EngineLost,
    InvalidAnswer,
    ModelSettingsProblem,
    RondoError,
    UnknownRequest,
    UnknownRun,
    UnknownStep,
    UnknownWorkflow,
)
from core.link.chat_types import ProposalView
from core.link.engine_types import Doctor, EngineStatus
from core.link.event_types import EngineChanged, Event, Resync, RunChanged
from core.link.model_types import ModelsStatus, ModelView, ProviderView, RoleView
from core.link.routing_types import ConditionsView
from core.link.types import (
    AT_REST,
    Answer,
    ChangeView,
    ErrorView,
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
from core.link.workflow_types import ApprovalView, EnvironmentView, FileChange, LastRun, WorkflowDetail, WorkflowRow

MODELS = ModelsStatus(
    profile="default",
    profiles=["default", "fast"],
    providers=[
        ProviderView(
            name="anthropic",
            title="Anthropic",
            wire="anthropic",
            base_url="https://api.anthropic.com",
            key="client",
            key_names=["ANTHROPIC_API_KEY"],
            tried=False,
        ),
        ProviderView(
            name="groq",
            title="Groq",
            wire="openai",
            base_url="https://api.groq.com",
            key="none",
            key_names=["GROQ_API_KEY"],
            tried=False,
        ),
    ],
    roles=[RoleView(name="chat", model="anthropic:claude-x", effort="medium", source="default")],
)

BEGIN = 1_767_323_045.678
"""When everything in the double begins: 2026-01-02T03:04:05.678Z."""

CHUNK = 7
"""Bytes of a state that the double sends at a time: small, so that reading goes in slices."""


@dataclass
class Moment:
    """What happens in one go: lines and steps, and the status the run has then."""

    status: str = "running"
    lines: list[tuple[str, str]] = field(default_factory=list)
    step: str | None = None
    failed_attempt: str | None = None
    ask: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    error: ErrorView | None = None


class DoubleRun:
    """One run that plays its script, a moment whenever somebody looks, until a question."""

    def __init__(self, number: int, workflow: str, script: list[Moment], source: StartRun) -> None:
        self.script = list(script)
        self.lines: list[LogLine] = []
        self.steps: list[StepView] = []
        self.states: list[dict[str, Any]] = [dict(source.inputs)]
        self.asked = 0
        self.view = RunView(
            run_id=f"01900000-0000-7000-8000-0000000000{number:02x}",
            short_id=f"000000{number:02x}",
            workflow=workflow,
            version="a" * 64,
            status="queued",
            line=1,
            step=0,
            next_node=None,
            created_at=BEGIN,
            started_at=BEGIN,
            ended_at=None,
            awaiting_input=None,
            open_requests=[],
            error=None,
            in_flight=[],
            log_last=0,
            logs_dropped=0,
            source="cli",
            output_dir="/nonexistent/output",
            inputs=msgspec.Raw(json.dumps(source.inputs).encode()),
        )

    def play(self) -> None:
        """Let the next moment happen, unless the run is at rest."""
        if self.view.status in AT_REST or not self.script:
            return
        moment = self.script.pop(0)
        at = BEGIN + len(self.lines) + len(self.steps) + 1
        for level, text in moment.lines:
            row = len(self.lines) + 1
            self.lines.append(LogLine(row=row, at=at, level=level, text=text, node="talk", visit=1, attempt=1))
        if moment.failed_attempt is not None:
            error = ErrorView(type="ValueError", message="not yet")
            self.steps.append(self._step(None, moment.failed_attempt, "failed", at, error))
        if moment.step is not None:
            self.states.append({**self.states[-1], **(moment.state or {})})
            self.view.step += 1
            self.steps.append(self._step(self.view.step, moment.step, "completed", at, None))
        if moment.ask is not None:
            self.asked += 1
            request_id = moment.ask["request_id"]
            request = RequestView(
                key=f"talk:1:{request_id}:{self.asked - 1}",
                run_id=self.view.run_id,
                workflow=self.view.workflow,
                node="talk",
                visit=1,
                nth=self.asked - 1,
                kind="input",
                status="open",
                opened_at=at,
                **{"input_type": "text", "prompt": None, "options": None, **moment.ask},
            )
            self.view.open_requests = [*self.view.open_requests, request]
            self.view.awaiting_input = self.view.open_requests[0]
        self.view.error = moment.error
        self.view.status = moment.status  # type: ignore[assignment]
        self.view.log_last = len(self.lines)
        if moment.status in ("completed", "failed", "cancelled"):
            self.view.ended_at = at

    def _step(self, number: int | None, node: str, status: str, at: float, error: ErrorView | None) -> StepView:
        attempt = 1 + sum(1 for step in self.steps if step.node == node and step.step is None)
        return StepView(
            step=number,
            node=node,
            visit=1,
            attempt=attempt,
            status=status,
            started_at=at - 1,
            ended_at=at,
            next_node=None,
            error=error,
        )


class DoubleEngine:
    """Implements EngineApi in memory: workflows are scripts. `break_on` names calls that lose the engine once,
    `before` what happens once before a call."""

    def __init__(self) -> None:
        self.models = MODELS
        self.scripts: dict[str, list[Moment]] = {}
        self.runs: list[DoubleRun] = []
        self.calls: list[tuple[str, Any]] = []
        self.connections = 0
        self.break_on: list[str] = []
        self.stopping = False
        self.refuse_start: RondoError | None = None
        self.approved: set[str] = set()
        self.inputs: dict[str, Any] | None = None
        self.trouble: ErrorView | None = None
        self.commands: set[str] = set()
        self.before: dict[str, Callable[[], None]] = {}
        self.installing = [EnvironmentView(workflow=None, state="missing")]
        """How a provider's environment is, look by look; the last one stays."""

    def _note(self, method: str, argument: Any = None) -> None:
        self.calls.append((method, argument))
        if method in self.before:
            self.before.pop(method)()
        if method in self.break_on:
            self.break_on.remove(method)
            raise EngineLost("The connection to the engine broke.", cause="The engine ended.", next_step="Call again.")

    def _find(self, run_id: str) -> DoubleRun:
        for run in self.runs:
            if run_id in (run.view.run_id, run.view.short_id):
                return run
        raise UnknownRun(f"No run {run_id!r}.", cause="There is none.", next_step="rondo runs")

    async def close(self) -> None:
        self.connections -= 1

    async def events(self) -> AsyncIterator[list[Event]]:
        if self.stopping:
            yield [EngineChanged(state="stopping")]
            await asyncio.sleep(60)
        while True:
            await asyncio.sleep(0.005)
            changed: list[Event] = [
                RunChanged(run_id=run.view.run_id, workflow=run.view.workflow, line=1, status=run.view.status, step=0)
                for run in self.runs
            ]
            yield changed or [Resync()]

    async def engine_status(self) -> EngineStatus:
        self._note("engine_status")
        return EngineStatus(
            running=True,
            pid=4711,
            workspace="/somewhere",
            version="0.1.0",
            runs={"running": 2, "waiting_input": 1},
            started_at=BEGIN,
            open_requests=1,
            trouble=self.trouble,
        )

    async def doctor(self) -> Doctor:
        self._note("doctor")
        return Doctor(facts={"sqlite": "3.99"}, problems=[self.trouble] if self.trouble is not None else [])

    async def list_environments(self) -> list[EnvironmentView]:
        return []

    async def get_provider(self, name: str, after: int = 0) -> EnvironmentView:
        return self.installing.pop(0) if len(self.installing) > 1 else self.installing[0]

    async def install_provider(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        self._note("install_provider", (name, again))
        return await self.get_provider(name)

    async def cancel_install(self, name: str) -> EnvironmentView:
        self._note("cancel_install", name)
        return await self.get_provider(name)

    async def remove_provider(self, name: str) -> EnvironmentView:
        self._note("remove_provider", name)
        return EnvironmentView(workflow=None, state="missing")

    async def check_workflow(self, workflow: str, version: str | None = None) -> list[Any]:
        return []

    async def models_status(self) -> ModelsStatus:
        self._note("models_status")
        return self.models

    async def list_proposals(self, workflow: str | None = None, status: str = "open") -> list[ProposalView]:
        return []

    async def list_models(self, provider: str) -> list[ModelView]:
        self._note("list_models", provider)
        if provider != "anthropic":
            raise ModelSettingsProblem(f"There is no provider {provider!r}.", next_step="Did you mean anthropic?")
        return [
            ModelView(id="claude-x", provider=provider, title="Claude X", context_tokens=1_000_000, output_price=20.0)
        ]

    async def list_workflows(self) -> list[WorkflowRow]:
        self._note("list_workflows")
        rows = []
        for name in sorted(self.scripts):
            last = next((run.view for run in reversed(self.runs) if run.view.workflow == name), None)
            rows.append(
                WorkflowRow(
                    name=name,
                    description="",
                    version="a" * 64,
                    approved=name in self.approved,
                    nodes=3,
                    edges=2,
                    findings=[],
                    last_run=None
                    if last is None
                    else LastRun(
                        run_id=last.run_id,
                        short_id=last.short_id,
                        status=last.status,
                        created_at=last.created_at,
                        started_at=last.started_at,
                        ended_at=last.ended_at,
                    ),
                )
            )
        return rows

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail:
        self._note("get_workflow", name)
        self._require(name)
        return WorkflowDetail(
            name=name,
            description="",
            version="a" * 64,
            approved=True,
            mode="machine",
            start="talk",
            nodes=[],
            edges=[],
            findings=[],
            folder="",
            code_path="",
            inputs=self.inputs,
        )

    def _require(self, name: str) -> None:
        if name not in self.scripts:
            raise UnknownWorkflow(f"No workflow {name!r}.", cause="There is none.", next_step="rondo list")

    async def approval(self, name: str) -> ApprovalView:
        self._note("approval", name)
        self._require(name)
        approved = name in self.approved
        return ApprovalView(
            workflow=name,
            version="a" * 64,
            approved=approved,
            reason="approved" if approved else "never",
            previous=None,
            changes=[] if approved else [FileChange(path="nodes.py", status="added", diff="+print('\x1b[31mred')\n")],
        )

    async def approve(self, name: str, version: str) -> ApprovalView:
        self._note("approve", (name, version))
        self.approved.add(name)
        return await self.approval(name)

    async def start_run(self, start: StartRun) -> RunView:
        first_time = start.command_id not in self.commands
        self._require(start.workflow)
        if self.refuse_start is not None:
            raise self.refuse_start
        if first_time:
            self.commands.add(start.command_id)
            script = self.scripts[start.workflow]
            self.runs.append(DoubleRun(len(self.runs) + 1, start.workflow, script, start))
        # After the act: a lost reply must not make it happen twice.
        self._note("start_run", start)
        return self.runs[-1].view

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        self._note("step_run", (run_id, answers))
        run = self._find(run_id)
        run.view.status = "queued"
        return run.view

    async def answer(self, answer: Answer) -> RunView:
        self._note("answer", answer)
        run = self._find(answer.run_id)
        for request in run.view.open_requests:
            if answer.request in (request.request_id, request.key):
                if request.input_type == "number" and answer.parse and not answer.value.isdigit():
                    raise InvalidAnswer("That is no number.", cause=repr(answer.value), next_step="Give digits.")
                run.view.open_requests = [other for other in run.view.open_requests if other is not request]
                run.view.awaiting_input = next(iter(run.view.open_requests), None)
                run.states[-1][request.request_id] = answer.value
                run.view.status = "running"
                return run.view
        raise UnknownRequest("No such request.", cause="It waits for: name.", next_step="rondo show")

    async def get_run(self, run_id: str) -> RunView:
        self._note("get_run", run_id)
        run = self._find(run_id)
        run.play()
        return run.view

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        self._note("list_runs", query)
        rows = [
            RunRow(
                run_id=run.view.run_id,
                short_id=run.view.short_id,
                workflow=run.view.workflow,
                version=run.view.version,
                status=run.view.status,
                step=run.view.step,
                created_at=run.view.created_at,
                started_at=run.view.started_at,
                ended_at=run.view.ended_at,
                open_requests=len(run.view.open_requests),
                source="cli",
            )
            for run in reversed(self.runs)
            if query.workflow in (None, run.view.workflow) and query.status in (None, run.view.status)
        ]
        if query.before is not None:
            rows = rows[[row.run_id for row in rows].index(query.before) + 1 :]
        return rows[: query.limit]

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        self._note("read_steps", after)
        run = self._find(run_id)
        rows, seen = [], 0
        for entry in run.steps:
            if seen >= after and (entry.step is None or entry.step > after):
                rows.append(entry)
            seen = entry.step or seen
        return StepPage(steps=rows, total=run.view.step)

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: list[str | int] | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        self._note("read_state", seq)
        data = self._state(run_id, seq)
        return StateView(run_id=run_id, seq=seq or 0, path=[], value=msgspec.Raw(data), elided=[], size=len(data))

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk:
        self._note("read_state_chunk", (seq, offset))
        data = self._state(run_id, seq)
        at = self._find(run_id).view.step if seq is None else seq
        return StateChunk(seq=at, offset=offset, size=len(data), data=data[offset : offset + CHUNK])

    def _state(self, run_id: str, seq: int | None) -> bytes:
        run = self._find(run_id)
        if seq is not None and seq >= len(run.states):
            raise UnknownStep(f"No step {seq}.", cause="There are fewer.", next_step="rondo show")
        return json.dumps(run.states[-1 if seq is None else seq], ensure_ascii=False).encode()

    async def list_lines(self, run_id: str) -> list[LineView]:
        run = self._find(run_id)
        view = run.view
        line = LineView(
            line=view.line,
            number=1,
            version=view.version,
            status=view.status,
            step=view.step,
            created_at=view.created_at,
        )
        return [line]

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]:
        return [ChangeView(op="set", path=["n"], before="1", after="2")]

    async def read_conditions(self, run_id: str, seq: int, line: int | None = None) -> ConditionsView:
        return ConditionsView(run_id=run_id, line=line or 1, step=seq, node="talk", conditions=[])

    async def read_logs(self, query: LogQuery) -> LogPage:
        self._note("read_logs", query.after)
        run = self._find(query.run_id)
        lines = [line for line in run.lines if line.row > (query.after or 0)]
        return LogPage(lines=lines[: query.limit], last=len(run.lines))
