"""The commands on runs, as `core.link.api` has them: each acts once for its command id, whoever repeats it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from core.engine import commands
from core.engine.actor import RunActor, error_view
from core.engine.onward import ALONE
from core.engine.queries import Queries
from core.engine.readiness import Readiness
from core.engine.recordings import copy_of, read_recording, rows_of
from core.engine.runs import Replay, Runs
from core.engine.subflows import Subflows
from core.engine.travel import Travel, require_node
from core.engine.workflows import Workflows
from core.errors import EngineStopping, RondoError, RunAtRest, UnknownRun, UsageError
from core.identifiers import new_run_id
from core.link.caller import caller
from core.link.commands import Fork, ManyRuns, Rerun, Retry, Rewind, RunNode
from core.link.types import FINAL, WAITING, Answer, RunOutcome, RunView, StartRun
from core.store.operations import RecordCommand, Ref
from core.store.records import RunRecord
from core.store.store import Store

AT_ONCE = 8
"""Runs that one command for many runs works on at a time."""
MANY = 500


class RunCommands:
    """The part of the engine that acts on runs; the engine makes what it works with."""

    _store: Store
    _workflows: Workflows
    _runs: Runs
    _queries: Queries
    _travel: Travel
    _subflows: Subflows
    _readiness: Readiness
    _trouble: RondoError | None
    _now: Callable[[], float]

    async def start_run(self, start: StartRun) -> RunView:
        run_id = new_run_id()

        async def carry_out() -> None:
            loaded = await self._workflows.runnable(start.workflow, start.version)
            if start.until_node is not None and loaded.graph is not None:
                require_node(loaded.graph, start.until_node)
            arguments = {"workflow": start.workflow, "until": start.until, "version": loaded.version}
            if start.require_ready and start.replay_run is None and start.replay_file is None:
                await self._readiness.require(start.workflow, start.version)
            command = self._command(start.command_id, "start_run", run_id, arguments)
            await self._runs.start(run_id, start, loaded, caller.get(), command, replay=await self._replay_of(start))

        return await self._begin(start.command_id, run_id, carry_out)

    async def _replay_of(self, start: StartRun) -> Replay | None:
        """What the calls of the run are answered from; the first operation of its group is the run."""
        if start.replay_run is not None:
            source = await self._queries.record(start.replay_run)
            return Replay(f"run {source.id[-8:]} of {source.workflow}", [copy_of(source, Ref(0, 0))])
        if start.replay_file is None:
            return None
        path = Path(start.replay_file)
        recording = await asyncio.to_thread(read_recording, path)
        return Replay(str(path), await asyncio.to_thread(rows_of, recording, Ref(0, 0), self._now()))

    async def rerun(self, rerun: Rerun) -> RunView:
        record = await self._queries.record(rerun.run_id)
        if record.until == ALONE:
            raise UsageError(
                f"Run {record.id[-8:]} ran one node alone.",
                cause="It had a state to work on, not the inputs of a whole run.",
                next_step=f"Run the node again: rondo run {record.workflow} --node {record.node or 'ID'}",
            )
        start = StartRun(
            command_id=rerun.command_id,
            workflow=record.workflow,
            inputs={**json.loads(record.inputs or await self._store.large_inputs(record.number)), **rerun.inputs},
            version=record.version if rerun.same_version else None,
        )
        return await self.start_run(start)

    async def run_node(self, run_node: RunNode) -> RunView:
        run_id = new_run_id()
        arguments = {"workflow": run_node.workflow, "node": run_node.node, "from": run_node.run_id}
        command = self._command(run_node.command_id, "run_node", run_id, arguments)
        return await self._begin(command.id, run_id, lambda: self._travel.run_node(run_node, run_id, command))

    async def fork_run(self, fork: Fork) -> RunView:
        record, run_id = await self._queries.record(fork.run_id), new_run_id()
        paths = [edit.path for edit in fork.edits]
        arguments = {"run": record.id, "step": fork.step, "line": fork.line, "edited": paths}
        command = self._command(fork.command_id, "fork_run", run_id, arguments)
        return await self._begin(command.id, run_id, lambda: self._travel.fork(record, fork, run_id, command))

    async def retry_run(self, retry: Retry) -> RunView:
        record = await self._queries.record(retry.run_id)
        command = self._command(retry.command_id, "retry_run", record.id, {})
        return await self._begin(command.id, record.id, lambda: self._travel.retry(record, retry, command))

    async def rewind_run(self, rewind: Rewind) -> RunView:
        record = await self._queries.record(rewind.run_id)
        arguments = {"step": rewind.step, "line": rewind.line, "paused": rewind.paused}
        command = self._command(rewind.command_id, "rewind_run", record.id, arguments)
        return await self._begin(command.id, record.id, lambda: self._travel.rewind(record, rewind, command))

    async def _begin(self, command_id: str, run_id: str, carry_out: Callable[[], Awaitable[None]]) -> RunView:
        """Carry out once what makes a run begin, or begin anew; a repeated command only shows the run of the first."""
        earlier = await self._store.command(command_id)
        if earlier is None or not earlier.run:
            self._refuse_in_trouble()
            try:
                await carry_out()
            except RondoError as error:
                # The same call came twice at once, and the other was first.
                earlier = await self._store.command(command_id)
                if earlier is None or not earlier.run:
                    raise error
        return await self.get_run(run_id if earlier is None or not earlier.run else earlier.run)

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        return await self._resume(command_id, run_id, "step", [(name, value) for name, value in answers])

    async def continue_run(self, command_id: str, run_id: str) -> RunView:
        return await self._resume(command_id, run_id, "end", [])

    async def _cascade(self, children: list[str], act: Callable[[str], Awaitable[RunView]]) -> None:
        """Do the same to the runs that a run waits for; one that is at rest, or not so far, is left as it is."""
        for child in children:
            with contextlib.suppress(RunAtRest, UnknownRun):
                await act(child)

    async def _resume(self, command_id: str, run_id: str, until: str, answers: list[tuple[str, Any]]) -> RunView:
        record = await self._queries.record(run_id)
        if record.status in WAITING and until == "end" and record.until == "step":
            command = self._command(command_id, "continue_run", record.id, {"until": until})
            return await self._act(record, command, lambda actor: commands.run_on(actor, command))
        if record.status not in WAITING:
            command = self._command(command_id, "continue_run", record.id, {"until": until})
            view = await self._act(record, command, lambda actor: commands.resume(actor, until, answers, command))
            children = await self._subflows.awaited(record)
            await self._cascade(children, lambda child: self.continue_run(f"{command_id}/{child}", child))
            return view
        if await self._store.command(command_id) is None:
            for number, (request, value) in enumerate(answers, start=1):
                # The last one has the command's own id: once it is there, all of it was done.
                own_id = command_id if number == len(answers) else f"{command_id}/{number}"
                parse = isinstance(value, str)
                await self.answer(
                    Answer(command_id=own_id, run_id=record.id, request=request, value=value, parse=parse)
                )
        return await self.get_run(record.id)

    async def pause_run(self, command_id: str, run_id: str, now: bool = False) -> RunView:
        record = await self._queries.record(run_id)
        command = self._command(command_id, "pause_run", record.id, {"now": now})
        children = await self._subflows.awaited(record)
        view = await self._act(record, command, lambda actor: commands.pause(actor, now, command))
        await self._cascade(children, lambda child: self.pause_run(f"{command_id}/{child}", child, now))
        return view

    async def cancel_run(self, command_id: str, run_id: str) -> RunView:
        record = await self._queries.record(run_id)
        command = self._command(command_id, "cancel_run", record.id, {})
        return await self._act(record, command, lambda actor: commands.cancel(actor, command))

    async def answer(self, answer: Answer) -> RunView:
        record = await self._queries.record(answer.run_id)
        command = self._command(answer.command_id, "answer", record.id, {"request": answer.request})
        by = caller.get()
        return await self._act(record, command, lambda actor: commands.answer(actor, answer, by, command))

    async def act_on_runs(self, many: ManyRuns) -> list[RunOutcome]:
        if len(many.runs) > MANY:
            raise UsageError(
                f"{len(many.runs)} runs are too many for one command.",
                cause=f"At most {MANY} are taken at once.",
                next_step="Send them in parts.",
            )
        room = asyncio.Semaphore(AT_ONCE)

        async def act(run_id: str) -> RunOutcome:
            async with room:
                try:
                    view = await self._act_on_one(many, run_id)
                except EngineStopping:
                    raise
                except RondoError as error:
                    return RunOutcome(run_id=run_id, status=None, error=error_view(error))
            return RunOutcome(run_id=view.run_id, status=view.status)

        return await asyncio.gather(*(act(run_id) for run_id in dict.fromkeys(many.runs)))

    async def _act_on_one(self, many: ManyRuns, run_id: str) -> RunView:
        command_id = f"{many.command_id}/{run_id}"
        match many.action:
            case "cancel":
                return await self.cancel_run(command_id, run_id)
            case "pause":
                return await self.pause_run(command_id, run_id, many.now)
            case "resume":
                return await self.continue_run(command_id, run_id)
            case "retry":
                return await self.retry_run(
                    Retry(
                        command_id=command_id,
                        run_id=run_id,
                        same_version=many.same_version,
                        acknowledge_effects=many.acknowledge_effects,
                    )
                )

    async def _act(
        self, record: RunRecord, command: RecordCommand, carry_out: Callable[[RunActor], Awaitable[None]]
    ) -> RunView:
        """Carry a command out once; a repeated one, also one that comes twice at once, only shows the run."""
        if await self._store.command(command.id) is None:
            self._refuse_in_trouble()
            self._refuse_final(record.status, record.id)
            actor = await self._runs.actor(record)
            try:
                await carry_out(actor)
            except RondoError:
                if await self._store.command(command.id) is None:
                    raise
        return await self.get_run(record.id)

    def _refuse_final(self, status: str, run_id: str) -> None:
        if status in FINAL:
            raise RunAtRest(
                f"The run {run_id[-8:]} is {status}.",
                cause="A run that has ended takes no more commands.",
                next_step=f"See it: rondo show {run_id[-8:]}",
            )

    def _command(self, command_id: str, method: str, run: str | None, arguments: dict[str, Any]) -> RecordCommand:
        text = json.dumps(arguments, ensure_ascii=False)
        return RecordCommand(command_id, self._now(), caller.get(), method, run, text, None)

    def _refuse_in_trouble(self) -> None:
        if self._trouble is not None:
            raise RondoError.from_dict(self._trouble.to_dict())

    async def get_run(self, run_id: str) -> RunView:
        return await self._queries.get_run(run_id)
