"""What an engine does about the runs that the one before it left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import structlog

from core.crash_points import crash_point
from core.engine.actor import error_document, error_view
from core.engine.processes import kill_leftovers
from core.engine.requests import request_key
from core.engine.runs import Runs
from core.errors import RondoError
from core.link.engine_types import RecoveredRun
from core.link.types import ErrorView, Status
from core.store.operations import UpdateLine, UpdateRun, WithdrawRequests
from core.store.records import RunRecord
from core.store.store import Store

log = structlog.get_logger()


class Recovery:
    """Takes up runs, once, before anybody else asks for them."""

    def __init__(self, runs: Runs, store: Store, now: Callable[[], float]) -> None:
        self._runs = runs
        self._store = store
        self._now = now

    async def recover(self) -> list[RecoveredRun]:
        """End left-over processes of an engine that died, and go on with every run that is not at rest.

        Returns what was found going on, and what was done about each.
        """
        unfinished = await self._store.runs_not_at_rest()
        waiting = await self._store.runs(status="waiting_input", limit=10_000)
        ended: dict[int, int] = {}
        waiting += await self._store.runs(status="waiting_run", limit=10_000)
        for record in [*unfinished, *waiting]:
            known = record.pid is not None and record.pid_started is not None
            if known and await kill_leftovers(record.pid or 0, record.pid_started or 0):
                ended[record.number] = record.pid or 0
        crash_point("engine.recover.left_over_ended")
        timed = await self._recover_timers(unfinished)
        found: list[RecoveredRun] = []
        for record in unfinished:
            action = "its time is watched again" if record.line in timed else await self._take_up(record)
            found.append(await self._recovered(record, action, ended.get(record.number)))
        found += [
            await self._recovered(record, "it waits as before", ended[record.number])
            for record in waiting
            if record.number in ended
        ]
        self._runs.timers.start()
        return found

    async def take_up_again(self) -> None:
        """Go on with every run that is not at rest and that nobody drives, because the database was away."""
        for record in await self._store.runs_not_at_rest():
            if self._runs.active(record.id) is None and record.status != "waiting_timer":
                await self._take_up(record)

    async def _recover_timers(self, unfinished: Sequence[RunRecord]) -> set[int | None]:
        """Watch every open timer; returns the lines of runs that need no process before one of them is due."""
        rows = await self._store.open_timers()
        ids = {
            number: record.id for number, record in (await self._store.runs_by_numbers({r.run for r in rows})).items()
        }
        for row in rows:
            self._runs.timers.add((ids[row.run], row.line, request_key(row)), row.due_at or 0.0)
        lines = {row.line for row in rows}
        return {r.line for r in unfinished if r.status == "waiting_timer" and r.line in lines}

    async def _take_up(self, record: RunRecord) -> str:
        """Let a run go on from its last step; returns what was done, for a person."""
        try:
            actor = await self._runs.open(record)
            crash_point("engine.recover.run_opened")
        except Exception as error:
            # A run that can't be read keeps no other from going on.
            log.exception("a run could not be taken up", run=record.id)
            await self._fail_unopened(record, error)
            return f"failed, because it could not be read: {error}"
        actor.post(actor.process_life.start)
        return "queued again" if record.status == "queued" else f"went on after step {actor.position.seq}"

    async def _recovered(self, record: RunRecord, action: str, ended_pid: int | None) -> RecoveredRun:
        last = await self._store.last_step(record.line or 0)
        if ended_pid is not None:
            action = f"its left-over process {ended_pid} was ended; {action}"
        return RecoveredRun(
            run_id=record.id,
            workflow=record.workflow,
            status=cast(Status, record.status),
            step=last.seq if last else 0,
            node=last.next if last else record.node,
            action=action,
        )

    async def _fail_unopened(self, record: RunRecord, error: Exception) -> None:
        """Fail a run that can't even be read, so that it doesn't seem to go on."""
        if isinstance(error, RondoError):
            view = error_view(error, record.node)
        else:
            view = ErrorView(
                type=type(error).__name__,
                message=f"Rondo can't take this run up: {error}",
                cause="Its rows are not as they should be.",
                next_step=f"Start it again: rondo run {record.workflow}",
                node=record.node,
            )
        now, line, text = self._now(), record.line or 0, error_document(view)
        try:
            await self._store.commit(
                [
                    UpdateRun(record.number, status="failed", ended_at=now, error=text),
                    UpdateLine(line, status="failed", ended_at=now, error=text),
                    WithdrawRequests(line, now),
                ]
            )
        except RondoError as refusal:
            log.error("nor could it be failed", run=record.id, error=refusal.message)
