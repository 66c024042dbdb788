"""What a person does to a run: each passes the actor's queue, so it has one order with the run's own frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.flow.journal import SUBFLOW, TIMER
from core.link.types import FINAL, WAITING, Answer, Status
from core.store.operations import RecordCommand, UpdateRun, WithdrawRequests

if TYPE_CHECKING:
    from core.engine.actor import RunActor

DUE = "due"
"""The answer of a timer whose time has come."""


async def cancel(actor: RunActor, command: RecordCommand) -> None:
    """Make the run cancelled for good, then end its process whatever it does."""

    async def act() -> None:
        if actor.status in FINAL:
            raise actor.at_rest_error()
        now = actor.world.now()
        for flight in list(actor.in_flight.values()):
            actor.frames.attempt_cancelled(flight, now)
        actor.log.line(now, "WARNING", "run cancelled", "")
        await actor.commit(
            [
                *actor.status_operations("cancelled", ended_at=now, node=actor.position.next),
                WithdrawRequests(actor.line, now),
                command,
            ],
            patient=False,
        )
        crash_point("run.cancel.committed")
        actor.entered("cancelled")
        actor.requests.withdrawn()
        await actor.process_life.kill()
        crash_point("run.cancel.killed")

    await actor.do(act)


async def pause(actor: RunActor, at_once: bool, command: RecordCommand) -> None:
    """Pause the run when its running step is complete; at once where it waits, or where `at_once` says so."""

    async def act() -> None:
        if actor.status in FINAL or actor.status in ("paused", "blocked"):
            raise actor.at_rest_error()
        actor.pause_reason = ""
        if at_once or actor.status != "running":
            await actor.pause(command, at_once=True)
            return
        await actor.commit([UpdateRun(actor.record.number, until="pause", pause_reason=""), command], patient=False)
        actor.until = "pause"
        actor.entered(actor.status)

    await actor.do(act)


async def resume(actor: RunActor, until: str, presets: list[tuple[str, Any]], command: RecordCommand) -> None:
    """Let a paused run go on: to its end, or for one step."""

    async def act() -> None:
        if actor.until == "pause" and until == "end":
            await actor.commit([UpdateRun(actor.record.number, until=until), command], patient=False)
            actor.until = until
            actor.pause_reason = ""
            actor.frames.acknowledge_withheld()
            actor.entered(actor.status)
            return
        if actor.status != "paused":
            raise actor.at_rest_error()
        # A breakpoint on the way to the node up to which the run was to go changes nothing of that.
        wanted = actor.until if until == "end" and actor.until.startswith("node:") else until
        merged = [*json.loads(actor.record.presets), *([request, value] for request, value in presets)]
        text = json.dumps(merged, ensure_ascii=False)
        number = actor.record.number
        await actor.commit(
            [*actor.status_operations("queued"), UpdateRun(number, until=wanted, presets=text), command], patient=False
        )
        crash_point("run.resume.committed")
        actor.change_record(presets=text)
        actor.until = wanted
        actor.entered("queued")
        await actor.process_life.start()

    await actor.do(act)


async def run_on(actor: RunActor, command: RecordCommand) -> None:
    """Let a run that waits go on to its end once it need wait no more, also where it was to make one step only."""

    async def act() -> None:
        if actor.status not in WAITING:
            raise actor.at_rest_error()
        await actor.commit([UpdateRun(actor.record.number, until="end"), command], patient=False)
        actor.until = "end"
        actor.process_life.send({"t": "until", "until": "end"})
        actor.entered(actor.status)

    await actor.do(act)


async def answer(actor: RunActor, given: Answer, by: str, command: RecordCommand) -> None:
    """Take an answer: the code goes on with it in place, or from `prepare` in a new process."""

    async def act() -> None:
        key, value, status = await actor.requests.answer(given, by, command)
        await _go_on(actor, key, value, status)
        crash_point("run.answer.sent")

    await actor.do(act)


async def timer_due(actor: RunActor, key: str) -> None:
    """Answer a timer whose time has come; one that nobody needs any more is left alone."""

    async def act() -> None:
        settled = await actor.requests.settle(key, DUE, TIMER)
        if settled is not None:
            await _go_on(actor, key, *settled)

    await actor.do(act)


async def subflow_ended(actor: RunActor, key: str, answer: dict[str, Any]) -> None:
    """Answer a request for the run of another workflow; one that nobody needs any more is left alone."""

    async def act() -> None:
        settled = await actor.requests.settle(key, answer, SUBFLOW)
        if settled is not None:
            await _go_on(actor, key, *settled, kind=SUBFLOW)
            crash_point("run.subflow.sent")

    await actor.do(act)


async def _go_on(actor: RunActor, key: str, value: Any, status: Status | None, kind: str = "") -> None:
    """Bring a durable answer to the code, where the run waits for it."""
    life = actor.process_life
    if status is not None:
        actor.entered(status)
    if status == "queued":
        await life.start()
        return
    if status == "running":
        life.stop_timer()
    await actor.requests.give(key, kind, value)
