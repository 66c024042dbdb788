"""Runs of workflows that are nodes of other runs: started once for each call, and answered to it when they end.

The link is the child's id: it derives from the call (line, node, visit, request id, number, question, how often it was
made anew), and stands in the options of the request that the parent waits for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from core.crash_points import crash_point
from core.engine import commands
from core.engine.recordings import inherited_by
from core.engine.requests import request_key
from core.engine.runs import Replay, Runs
from core.engine.subflow_calls import child_of
from core.engine.views import error_from
from core.engine.workflows import Workflows
from core.errors import RepeatedCommand, RondoError, StoreError, SubflowFailed, SubflowTooDeep, UnknownRun
from core.flow.journal import SUBFLOW
from core.link.event_types import RequestChanged
from core.link.types import FINAL, StartRun
from core.store.operations import ParentVisit, RecordCommand, Ref
from core.store.records import RequestRow, RunRecord
from core.store.store import Store

DEPTH_LIMIT = 8
"""How deep a run may be nested in others."""
AGAIN_SECONDS = 1.0
"""After how long what the store or an actor refused is tried again."""

log = structlog.get_logger()


class Subflows:
    """Starts children, answers their parents, and ends children that nobody waits for any more."""

    def __init__(self, store: Store, workflows: Workflows, runs: Runs, now: Callable[[], float]) -> None:
        self._store = store
        self._workflows = workflows
        self._runs = runs
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Begin and answer nothing more; the next engine goes on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def recover(self) -> None:
        """Start what an earlier engine did not come to, answer what has ended, end what nobody waits for any more."""
        rows = [row for row in await self._store.requests(status="open") if row.kind == SUBFLOW]
        parents = await self._store.runs_by_numbers({row.run for row in rows})
        for row in rows:
            self.begin(parents[row.run].id, row.line, request_key(row))
        wanted = {child_of(row) for row in rows}
        for child in await self._store.unfinished_children():
            # What a person tried again or rewound is that person's own: it goes on without a parent, too.
            if child.id not in wanted and len(await self._store.lines(child.number)) == 1:
                self.abandon(child.id)

    # What actors say ----------------------------------------------------------------------------------------------

    def begin(self, parent: str, line: int, key: str) -> None:
        """A request of kind subflow is durable: start its run, or answer with what that run came to."""
        self._do(lambda: self._begin(parent, line, key), f"subflow of run {parent[-8:]}")

    def entered(self, child: RunRecord, status: str) -> None:
        """A child has another status: who looks at a run above it looks again, and its end is the parent's answer."""
        if status in FINAL:
            self._do(lambda: self._ended(child.id), f"end of subflow {child.id[-8:]}")
        self._do(lambda: self._tell(child), f"news of subflow {child.id[-8:]}")

    def abandon(self, child: str) -> None:
        """Nobody waits for that run any more: cancel it."""
        self._do(lambda: self._cancel(child), f"cancel subflow {child[-8:]}")

    async def again(self, row: RequestRow, header: dict[str, Any], failed_attempts: int) -> str | None:
        """The run to wait for where a call is made anew, empty for a new one; None where its answer still serves.

        Anew where an attempt has failed with that answer, or where the run is not in this workspace (the parent was
        imported). A run that a person brought on meanwhile is not started again.
        """
        answer, options = json.loads(row.answer or "null"), json.loads(row.options)
        used = header.get("again") or failed_attempts > options["attempts"]
        if "error" in answer and not used:
            return None
        try:
            child = await self._store.run(options["run"])
        except UnknownRun:
            return ""
        if "error" not in answer:
            return None
        return "" if child.status in ("failed", "cancelled") else child.id

    async def final_state(self, answer: dict[str, Any]) -> bytes:
        """The final state that an answer speaks of, as JSON text; empty for a failure."""
        if "error" in answer:
            return b""
        _, state = await self._store.state_at(answer["line"], answer["seq"])
        return state

    # Tasks --------------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        if self._runs.draining:
            return
        task = asyncio.create_task(self._insist(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it until it is done: an actor that is just leaving refuses, and so does a full disk."""
        while not self._runs.draining:
            try:
                await work()
                return
            except RondoError as error:
                log.info("a subflow is seen to again", error=error.message)
            except Exception:
                # A defect of ours, which another try would meet again; the next engine looks at all open calls.
                log.exception("a subflow was given up")
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _begin(self, parent_id: str, line: int, key: str) -> None:
        try:
            parent = await self._store.run(parent_id)
        except UnknownRun:
            return
        row = await self._open_row(parent, line, key)
        if row is None:
            return
        child_id = child_of(row)
        try:
            await self._store.run(child_id)
        except UnknownRun:
            try:
                await self._start(parent, row, child_id)
            except (RepeatedCommand, StoreError):
                log.info("a subflow was started before", run=child_id)
            except RondoError as error:
                if isinstance(error, SubflowTooDeep) or error.exit_code in (1, 2, 4):
                    await self._answer(parent, line, key, {"run_id": None, "error": _not_started(row, error).to_dict()})
                    return
                raise
            crash_point("subflow.started")
            if await self._open_row(parent, line, key) is None:
                await self._cancel(child_id)
            return
        await self._ended(child_id)

    async def _start(self, parent: RunRecord, row: RequestRow, child_id: str) -> None:
        options = json.loads(row.options)
        await self._check_depth(parent)
        loaded = await self._workflows.runnable(options["workflow"], None)
        start = StartRun(
            command_id=f"subflow/{child_id}",
            workflow=options["workflow"],
            inputs=options["inputs"],
            priority=parent.priority,
        )
        arguments = json.dumps({"workflow": options["workflow"], "parent": parent.id, "node": row.node})
        command = RecordCommand(start.command_id, self._now(), SUBFLOW, "start_run", child_id, arguments, None)
        visit = ParentVisit(parent.number, row.node, row.visit)
        crash_point("subflow.wanted")
        replay = Replay(parent.replay, [inherited_by(parent, Ref(0, 0))]) if parent.replay else None
        await self._runs.start(child_id, start, loaded, SUBFLOW, command, parent=visit, replay=replay)

    async def _check_depth(self, parent: RunRecord) -> None:
        """Raise SubflowTooDeep where a child of that run would be nested too deep."""
        above, names = [parent, *await self._ancestors(parent)], []
        if len(above) > DEPTH_LIMIT:
            names = [record.workflow for record in reversed(above)]
            raise SubflowTooDeep(
                f"Run {parent.id[-8:]} is nested {DEPTH_LIMIT} deep, and no run may be nested deeper.",
                cause=f"The workflows above it: {' → '.join(names)}.",
                next_step="Where a workflow contains itself, end that; else do with fewer levels.",
            )

    async def _ancestors(self, record: RunRecord) -> list[RunRecord]:
        """The runs that a run is nested in, the nearest first."""
        found: list[RunRecord] = []
        while (above := await self._above(record)) is not None:
            found.append(above)
            record = above
        return found

    async def _above(self, record: RunRecord) -> RunRecord | None:
        """The run that this one is a subflow of, unless it was pruned."""
        if record.parent_run is None:
            return None
        return (await self._store.runs_by_numbers([record.parent_run])).get(record.parent_run)

    async def _ended(self, child_id: str) -> None:
        """Give the parent its answer, where the child has ended and the parent waits for it."""
        child = await self._store.run(child_id)
        parent = await self._above(child)
        if child.status not in FINAL or parent is None:
            return
        line = parent.line or 0
        for row in await self._store.requests(run_number=parent.number, line=line, status="open"):
            if row.kind == SUBFLOW and child_of(row) == child_id:
                crash_point("subflow.ended")
                await self._answer(parent, line, request_key(row), await self._outcome(parent, child))

    async def _outcome(self, parent: RunRecord, child: RunRecord) -> dict[str, Any]:
        """What the parent is told of a child that has ended."""
        if child.status == "completed":
            last = await self._store.last_step(child.line or 0)
            return {"run_id": child.id, "line": child.line, "seq": last.seq if last is not None else 0}
        return {"run_id": child.id, "error": _failed(parent, child).to_dict()}

    async def _answer(self, parent: RunRecord, line: int, key: str, answer: dict[str, Any]) -> None:
        parent = await self._store.run_by_number(parent.number)
        if parent.status not in FINAL and parent.line == line:
            await commands.subflow_ended(await self._runs.actor(parent), key, answer)

    async def _open_row(self, parent: RunRecord, line: int, key: str) -> RequestRow | None:
        rows = await self._store.requests(run_number=parent.number, line=line, status="open")
        return next((row for row in rows if request_key(row) == key), None)

    async def _cancel(self, child_id: str) -> None:
        try:
            child = await self._store.run(child_id)
        except UnknownRun:
            return
        if child.status in FINAL:
            return
        command = RecordCommand(
            f"subflow/{child_id}/cancel/{child.line}", self._now(), SUBFLOW, "cancel_run", child_id, "{}"
        )
        try:
            await commands.cancel(await self._runs.actor(child), command)
        except RepeatedCommand:
            return

    async def _tell(self, child: RunRecord) -> None:
        for above in await self._ancestors(child):
            self._runs.publish(RequestChanged(run_id=above.id, workflow=above.workflow, key="", status="subflow"))

    # The runs below a run -----------------------------------------------------------------------------------------

    async def awaited(self, record: RunRecord) -> list[str]:
        """The ids of the runs that a run waits for now."""
        rows = await self._store.requests(line=record.line or 0, status="open")
        return [child_of(row) for row in rows if row.kind == SUBFLOW]


def _failed(parent: RunRecord, child: RunRecord) -> SubflowFailed:
    error = error_from(child.error)
    short = child.id[-8:]
    how = "was cancelled" if error is None else f"failed: {error.type}: {error.message}"
    where = f"It failed in its node {error.node}. " if error is not None and error.node else ""
    return SubflowFailed(
        f"The run {short} of {child.workflow} {how}",
        cause=where + (error.cause if error is not None else ""),
        next_step=f"See it: rondo show {short}; mend {child.workflow}, then: rondo retry {parent.id[-8:]}",
        details={"run_id": child.id, "status": child.status},
    )


def _not_started(row: RequestRow, error: RondoError) -> SubflowFailed:
    name = json.loads(row.options)["workflow"]
    return SubflowFailed(
        f"The workflow {name} could not be run: {error.type_name}: {error.message}",
        cause=error.cause,
        next_step=error.next_step,
        details={"run_id": None, "status": None},
    )
