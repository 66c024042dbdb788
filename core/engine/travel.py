"""Time travel: a run goes on from an earlier step on a new line, or another run does; one node runs alone."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from core.definition.load import LoadedWorkflow
from core.engine.actor import RunActor, error_document, stopping_error
from core.engine.dag_rows import seen_by, settling_of
from core.engine.effects import Effects, effects_after
from core.engine.onward import ALONE, EDIT, check_onward, find_onward, step_row
from core.engine.queries import Queries
from core.engine.run_inputs import kept_inputs
from core.engine.runs import Runs
from core.engine.state_edits import edit_step
from core.engine.workflows import Workflows
from core.errors import (
    DefinitionError,
    NodeGone,
    NotApproved,
    RepeatedCommand,
    RondoError,
    RunAtRest,
    UnknownNode,
    UnknownWorkflow,
    UsageError,
)
from core.flow.graph import Graph
from core.link.caller import caller
from core.link.commands import Fork, Retry, Rewind, RunNode, StateEdit
from core.link.types import FINAL, ErrorView, InFlight
from core.store.operations import (
    InsertLine,
    InsertRun,
    InsertStep,
    LargeInputs,
    Operation,
    RecordCommand,
    Ref,
    UpdateLine,
    UpdateRun,
    WithdrawRequests,
)
from core.store.records import RunRecord
from core.store.store import Store

SUPERSEDED = "Rewound"
"""The error type of a line that ended because its run went on from an earlier step."""

Build = Callable[[RunActor], Awaitable[list[Operation]]]


class Travel:
    """Opens new lines and forks. Each method returns when the new line is durable and about to go on."""

    def __init__(self, store: Store, queries: Queries, workflows: Workflows, runs: Runs) -> None:
        self._store = store
        self._queries = queries
        self._workflows = workflows
        self._runs = runs

    async def retry(self, record: RunRecord, retry: Retry, command: RecordCommand) -> None:
        """Go on from the node at which the run failed or was cancelled."""
        loaded = await self._version(record.workflow, record.version, retry.same_version)
        notes: list[str] = []

        async def build(actor: RunActor) -> list[Operation]:
            if actor.status not in ("failed", "cancelled"):
                raise RunAtRest(
                    f"The run {actor.short_id} is {actor.status}.",
                    cause="Only a failed or cancelled run is tried again.",
                    next_step=f"Go on from an earlier step: rondo rewind {actor.short_id} --step N",
                )
            seq, graph = actor.position.seq, _graph_of(loaded)
            if (node := actor.position.next) is not None and node not in graph.nodes:
                raise _gone(node, graph)
            await self._check_onward(graph, loaded, actor.line, seq, actor.short_id)
            effects = await self._effects(actor.record, actor.line, seq, graph, [])
            effects.refuse_unless(retry.acknowledge_effects, seq)
            notes.append(_note(f"tried again from {node or 'the last step'}", actor.record, loaded, effects))
            until = actor.until if actor.until == ALONE or actor.until.startswith("node:") else "end"
            return self._line_operations(actor, loaded, actor.line, seq, "queued", until, command)

        await self._runs.begin(record.id, lambda: self._new_line(record, build, notes))

    async def rewind(self, record: RunRecord, rewind: Rewind, command: RecordCommand) -> None:
        """Go on from an earlier step; what the run does now is given up."""
        line = await self._queries.line_of(record, rewind.line)
        version = (await self._store.line_by_number(line)).version
        loaded = await self._version(record.workflow, version, rewind.same_version)
        notes: list[str] = []

        async def build(actor: RunActor) -> list[Operation]:
            graph, seq = _graph_of(loaded), rewind.step
            await self._check_onward(graph, loaded, line, seq, actor.short_id)
            running = list(actor.in_flight.values()) if line == actor.line else []
            effects = await self._effects(actor.record, line, seq, graph, running)
            effects.refuse_unless(rewind.acknowledge_effects, seq)
            notes.append(_note(f"rewound to step {seq}", actor.record, loaded, effects))
            status, until = "paused" if rewind.paused else "queued", ALONE if actor.until == ALONE else "end"
            return self._line_operations(actor, loaded, line, seq, status, until, command)

        await self._runs.begin(record.id, lambda: self._new_line(record, build, notes))

    async def fork(self, record: RunRecord, fork: Fork, run_id: str, command: RecordCommand) -> None:
        """A new run from a step of this one, whose first line names that line: its history is read through it."""
        line, seq, now = await self._queries.line_of(record, fork.line), fork.step, self._runs.now()
        version = (await self._store.line_by_number(line)).version
        loaded = await self._version(record.workflow, version, fork.same_version)
        graph = _graph_of(loaded)
        await self._check_onward(graph, loaded, line, seq, record.id[-8:], edited=bool(fork.edits))
        actor = self._runs.active(record.id)
        running = list(actor.in_flight.values()) if actor is not None and line == record.line else []
        effects = await self._effects(record, line, seq, graph, running)
        effects.refuse_unless(fork.acknowledge_effects, seq)
        status = "paused" if fork.paused else "queued"
        run = _new_run(run_id, loaded, status, "end", (record.inputs, None), [], now, line, seq)
        if not record.inputs:
            run = replace(run, inputs_of=record.number)
        operations: list[Operation] = [run]
        if fork.edits:
            await self._runs.secrets.refuse(loaded.name, loaded.files, [edit.value for edit in fork.edits])
            following = (await step_row(self._store, line, seq)).next
            operations.append(await self._edit(line, seq, fork.edits, following, EDIT, now))
        note = _note(f"forked from step {seq} of run {record.id[-8:]}", record, loaded, effects)
        await self._runs.begin(run_id, lambda: self._new_run(run_id, [*operations, command], note))

    async def run_node(self, wanted: RunNode, run_id: str, command: RecordCommand) -> None:
        """One node in a run of its own, with the state of another run before that node, or with the initial state."""
        loaded = await self._workflows.runnable(wanted.workflow, wanted.version)
        graph, now = _graph_of(loaded), self._runs.now()
        require_node(graph, wanted.node)
        await self._runs.secrets.refuse(loaded.name, loaded.files, [wanted.inputs, wanted.answers])
        edits = [StateEdit(path=[key], value=value) for key, value in wanted.inputs.items()]
        inputs = await asyncio.to_thread(kept_inputs, wanted.inputs)
        note = f"runs {wanted.node} alone"
        if wanted.run_id is None:
            first = await asyncio.to_thread(_first_step_alone, graph, wanted.node, edits, now)
            run = _new_run(run_id, loaded, "queued", ALONE, inputs, wanted.answers, now)
        else:
            source = await self._store.run(wanted.run_id)
            if source.workflow != wanted.workflow:
                raise UsageError(
                    f"Run {source.id[-8:]} is a run of {source.workflow}, not of {wanted.workflow}.",
                    cause="A node gets its state from a run of its own workflow.",
                    next_step=f"See the runs there are: rondo runs {wanted.workflow}",
                )
            line = source.line or 0
            seq = await self._before_node(source, line, graph, wanted.node)
            seen = None
            if graph.mode == "dag" and source.until != ALONE:
                seen = await seen_by(self._store, graph, line, seq, wanted.node)
            first = await self._edit(line, seq, edits, wanted.node, ALONE, now, seen)
            run = _new_run(run_id, loaded, "queued", ALONE, inputs, wanted.answers, now, line, seq)
            note += f", with the state of run {source.id[-8:]} after step {seq}"
        await self._runs.begin(run_id, lambda: self._new_run(run_id, [run, first, command], note))

    # What to go on with -------------------------------------------------------------------------------------------

    async def _version(self, workflow: str, present: str, same: bool) -> LoadedWorkflow:
        """The version to go on under: that of the folder, or the one of then. Raises NotApproved, DefinitionError."""
        try:
            return await self._workflows.runnable(workflow, present if same else None)
        except (DefinitionError, NotApproved, UnknownWorkflow) as error:
            if not same:
                error.next_step += " Or go on under the version of then: --same-version"
            raise

    async def _check_onward(
        self, graph: Graph, loaded: LoadedWorkflow, line: int, seq: int, short_id: str, *, edited: bool = False
    ) -> None:
        onward = await find_onward(self._store, graph, loaded.version or "", line, seq, edited=edited)
        check_onward(onward, graph, seq, short_id)

    async def _effects(
        self, record: RunRecord, line: int, seq: int, graph: Graph, running: Sequence[InFlight]
    ) -> Effects:
        before = await self._store.version((await self._store.line_by_number(line)).version)
        old = Graph.from_dict(json.loads(before.graph)) if before is not None else graph
        return await effects_after(self._store, line, seq, graph, old, running)

    async def _before_node(self, source: RunRecord, line: int, graph: Graph, node: str) -> int:
        """The step after which the run last came to the node."""
        last = await self._store.last_step(line)
        if last is not None and last.next == node:
            return last.seq
        if last is not None and graph.mode == "dag" and node in (await settling_of(self._store, graph, line)).ready:
            return last.seq
        visit = await self._store.last_visit(line, node)
        if visit is None:
            raise UnknownNode(
                f"Run {source.id[-8:]} never came to node {node!r}.",
                cause="There is no state of it before that node.",
                next_step=f"Choose another run, or give inputs: rondo run {source.workflow} --node {node} -i key=value",
            )
        return visit.seq - 1

    async def _edit(
        self,
        line: int,
        seq: int,
        edits: Sequence[StateEdit],
        following: str | None,
        reason: str,
        now: float,
        instead: bytes | None = None,
    ) -> InsertStep:
        """The step that edits the state after step `seq`, for the run that is the first of its group."""
        _, state = await self._store.state_at(line, seq)
        place: dict[str, Any] = {"line": Ref(0, 1), "seq": seq + 1, "next": following, "reason": reason, "now": now}
        return await asyncio.to_thread(edit_step, state, edits, **place, instead=instead)

    # Making it so -------------------------------------------------------------------------------------------------

    def _line_operations(
        self,
        actor: RunActor,
        loaded: LoadedWorkflow,
        parent: int,
        seq: int,
        status: str,
        until: str,
        command: RecordCommand,
    ) -> list[Operation]:
        """What ends the present line, where it has not ended, and opens the next."""
        now, number = self._runs.now(), actor.record.number
        operations: list[Operation] = []
        if actor.status not in FINAL:
            error = ErrorView(type=SUPERSEDED, message=f"The run went on from step {seq} on another line.")
            ended = UpdateLine(actor.line, status="cancelled", ended_at=now, error=error_document(error))
            operations += [ended, WithdrawRequests(actor.line, now)]
        line = InsertLine(number, parent, seq, loaded.version or "", status, now)
        onward = UpdateRun(number, until=until, pid=None, pid_started=None, node=None, pause_reason="")
        return [*operations, line, onward, command]

    async def _new_line(self, record: RunRecord, build: Build, notes: list[str]) -> None:
        """Let the run's actor end its line and leave; another one goes on with the new line."""
        begun = False

        async def act(actor: RunActor) -> None:
            nonlocal begun
            begun = True
            operations = await build(actor)
            if (known := await self._store.command(_command_of(operations).id)) is not None:
                raise RepeatedCommand(known.result)
            noted = list(actor.failed_attempts)
            for flight in actor.in_flight.values():
                actor.frames.attempt_cancelled(flight, self._runs.now(), "The run went on from an earlier step.")
            try:
                await actor.commit(operations, patient=False)
            except RondoError:
                actor.failed_attempts[:] = noted
                raise
            actor.requests.withdrawn()
            await actor.process_life.dismiss(at_once=True)
            actor.leave()

        while True:
            actor = await self._runs.actor_now(record)
            try:
                await actor.do(lambda: act(actor))  # noqa: B023
                break
            except RunAtRest:
                # An actor that was just leaving takes nothing any more; the next one does.
                if begun:
                    raise
                if self._runs.draining:
                    raise stopping_error() from None
        await self._go_on(record.id, notes[-1])

    async def _new_run(self, run_id: str, operations: Sequence[Operation], note: str) -> None:
        await self._runs.commit(operations, patient=False)
        await self._go_on(run_id, note)

    async def _go_on(self, run_id: str, note: str) -> None:
        """Give the new line its actor, which says in the log where it comes from."""
        actor = await self._runs.actor_now(await self._store.run(run_id))

        async def act() -> None:
            actor.log.line(self._runs.now(), "INFO", note, "")
            await actor.log.flush()
            actor.entered(actor.status)
            await actor.process_life.start()

        actor.post(act)


def require_node(graph: Graph, node: str) -> None:
    """Raise UnknownNode unless the workflow has that node."""
    if node in graph.nodes:
        return
    near = difflib.get_close_matches(node, list(graph.nodes), n=1)
    raise UnknownNode(
        f"The workflow {graph.name} has no node {node!r}.",
        cause=f"Its nodes are: {', '.join(graph.nodes)}.",
        next_step=f"Did you mean {near[0]}?" if near else f"See them: rondo graph {graph.name}",
    )


def _graph_of(loaded: LoadedWorkflow) -> Graph:
    assert loaded.graph is not None  # `runnable` refuses what has none
    return loaded.graph


def _gone(node: str, graph: Graph) -> NodeGone:
    return NodeGone(
        f"The run ended at node {node!r}, which the workflow does not have any more.",
        cause=f"Its nodes are now: {', '.join(graph.nodes)}.",
        next_step="Bring the node back, rewind to an earlier step, or go on under the version of then: --same-version",
    )


def _new_run(
    run_id: str,
    loaded: LoadedWorkflow,
    status: str,
    until: str,
    inputs: tuple[str, LargeInputs | None],
    answers: Sequence[tuple[str, Any]],
    now: float,
    parent_line: int | None = None,
    parent_seq: int | None = None,
) -> InsertRun:
    return InsertRun(
        id=run_id,
        workflow=loaded.name,
        version=loaded.version or "",
        status=status,
        until=until,
        source=caller.get(),
        inputs=inputs[0],
        large_inputs=inputs[1],
        presets=json.dumps([list(pair) for pair in answers], ensure_ascii=False),
        priority=0,
        created_at=now,
        parent_line=parent_line,
        parent_seq=parent_seq,
    )


def _first_step_alone(graph: Graph, node: str, edits: Sequence[StateEdit], now: float) -> InsertStep:
    """Step 0 of a run of one node: the workflow's initial state with the edits. May take a while."""
    state = {**graph.initial_state, **{str(edit.path[0]): edit.value for edit in edits}}
    whole = [StateEdit(path=[key], value=value) for key, value in state.items()]
    return edit_step(b"{}", whole, line=Ref(0, 1), seq=0, next=node, reason=ALONE, now=now)


def _command_of(operations: Sequence[Operation]) -> RecordCommand:
    return next(operation for operation in operations if isinstance(operation, RecordCommand))


def _note(what: str, record: RunRecord, loaded: LoadedWorkflow, effects: Effects) -> str:
    """The first log line of a new line: where it comes from, under which version, what may act again."""
    version = "" if loaded.version == record.version else f", under version {(loaded.version or '')[:12]}"
    acts = effects.note()
    return f"{what}{version}{f'; {acts}' if acts else ''}"
