"""Questions of one run: asked by its process, answered by a person, a preset or a recorded answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.errors import AlreadyAnswered, InvalidAnswer, UnknownRequest
from core.flow.answers import check_answer, parse_answer
from core.link.types import Answer, RequestChanged, Status
from core.store.operations import (
    AnswerRequest,
    InsertRequest,
    MarkRequest,
    Operation,
    RecordCommand,
    UpdateRun,
    WithdrawRequests,
)
from core.store.records import RequestRow

if TYPE_CHECKING:
    from core.engine.actor import RunActor

PRESET = "preset"
"""Who answered where the answer was given at the start of the run."""


def request_key(row: RequestRow) -> str:
    """The name of a request within its line."""
    return f"{row.node}:{row.visit}:{row.request_id}:{row.nth}"


class Requests:
    """Opens and answers the requests of one actor's run."""

    def __init__(self, actor: RunActor, open_rows: Sequence[RequestRow]) -> None:
        self._actor = actor
        self._open = {request_key(row) for row in open_rows}
        self._awaited: set[str] = set()

    def new_process(self) -> None:
        """A new process awaits nothing yet."""
        self._awaited.clear()

    async def asked(self, header: dict[str, Any]) -> None:
        """The process asks: answer at once what is answered already, else keep the question and wait.

        A recorded answer serves only the question it was given to: another hash means that the code changed.
        """
        actor = self._actor
        key = (header["node"], header["visit"], header["request_id"], header["nth"])
        operations: list[Operation] = []
        for row in await actor.world.requests_of(actor.line):
            if (row.node, row.visit, row.request_id, row.nth) != key or row.status not in ("open", "answered"):
                continue
            if row.hash != header["hash"]:
                operations.append(MarkRequest(row.number, "stale"))
            elif row.status == "answered":
                actor.process_life.send(
                    {"t": "answer", "key": request_key(row), "value": json.loads(row.answer or "null")}
                )
                return
            else:
                await self._wait(operations, header)
                return
        found, preset, left = self._next_preset(header["request_id"])
        value, problem = None, ""
        if found:
            operations.append(UpdateRun(actor.record.number, presets=left))
            try:
                value = _read_preset(header, preset)
            except InvalidAnswer as error:
                found, problem = False, error.message
        now = actor.world.now()
        operations.append(
            InsertRequest(
                line=actor.line,
                run=actor.record.number,
                node=header["node"],
                visit=header["visit"],
                request_id=header["request_id"],
                nth=header["nth"],
                kind=header["kind"],
                hash=header["hash"],
                input_type=header["input_type"],
                prompt=header["prompt"],
                options=json.dumps(header["options"], ensure_ascii=False),
                status="answered" if found else "open",
                opened_at=now,
                answered_at=now if found else None,
                answered_by=PRESET if found else None,
                answer=json.dumps(value, ensure_ascii=False) if found else None,
                problem=problem,
            )
        )
        if not found:
            await self._wait(operations, header)
            actor.change_record(presets=left)
            return
        await actor.commit(operations)
        crash_point("run.request.preset_committed")
        actor.change_record(presets=left)
        actor.process_life.send({"t": "answer", "key": _header_key(header), "value": value})

    async def _wait(self, operations: list[Operation], header: dict[str, Any]) -> None:
        """Make the wait durable, then show it; the process is kept for a while."""
        actor = self._actor
        key = _header_key(header)
        crash_point("run.request.asked")
        await actor.commit([*operations, *actor.status_operations("waiting_input", node=header["node"])])
        crash_point("run.request.committed")
        self._open.add(key)
        self._awaited.add(key)
        self._publish(key, "open")
        actor.entered("waiting_input")
        if actor.world.draining:
            await actor.give_up()
        else:
            actor.process_life.wait_a_while()

    # The code goes on without an answer ---------------------------------------------------------------------------

    async def waits_no_more(self) -> None:
        """The attempt that asked has ended: nothing waits for the answers now, also where the questions stay open."""
        self._awaited.clear()
        if self._actor.status == "waiting_input":
            self._actor.process_life.stop_timer()
            await self._actor.commit(self._actor.status_operations("running"))
            self._actor.entered("running")

    def withdrawal(self, at: float) -> list[Operation]:
        """What closes the open questions of a visit that is complete; `withdrawn` is due after its commit."""
        return [WithdrawRequests(self._actor.line, at)] if self._open else []

    def withdrawn(self) -> None:
        """Tell the clients of questions that nobody needs answers to any more."""
        closed, self._open = self._open, set()
        self._awaited.clear()
        for key in sorted(closed):
            self._publish(key, "withdrawn")

    def _next_preset(self, request_id: str) -> tuple[bool, Any, str]:
        """The next preset answer for requests of this id, and the presets that are left without it as JSON text.

        Each serves one request: the first that asks takes the first.
        """
        presets = json.loads(self._actor.record.presets)
        for index, (name, value) in enumerate(presets):
            if name == request_id:
                left = presets[:index] + presets[index + 1 :]
                return True, value, json.dumps(left, ensure_ascii=False)
        return False, None, self._actor.record.presets

    async def answer(self, answer: Answer, by: str, command: RecordCommand) -> tuple[str, Any, Status]:
        """Make a person's answer durable; return the request's key, the value, and the status the run has with it.

        A run whose code awaits several answers goes on waiting for the others. Raises UnknownRequest, InvalidAnswer
        and AlreadyAnswered, all of which change nothing.
        """
        actor = self._actor
        row = find_request(await actor.world.requests_of(actor.line), answer.request, actor.short_id)
        options = json.loads(row.options)
        if answer.parse:
            value = parse_answer(row.input_type, options, str(answer.value))
        else:
            value = check_answer(row.input_type, options, answer.value)
        text = json.dumps(value, ensure_ascii=False)
        key = request_key(row)
        status: Status = "queued"
        if actor.process_life.listening:
            status = "waiting_input" if self._awaited - {key} else "running"
        await actor.commit(
            [AnswerRequest(row.number, text, by, actor.world.now()), *actor.status_operations(status), command],
            patient=False,
        )
        crash_point("run.answer.committed")
        self._open.discard(key)
        self._awaited.discard(key)
        self._publish(key, "answered")
        return key, value, status

    def _publish(self, key: str, status: str) -> None:
        record = self._actor.record
        self._actor.world.publish(RequestChanged(run_id=record.id, workflow=record.workflow, key=key, status=status))


def find_request(rows: list[RequestRow], name: str, short_id: str) -> RequestRow:
    """The open request of that id or key; raises UnknownRequest or AlreadyAnswered."""
    open_rows = [row for row in rows if row.status == "open"]
    found = [row for row in open_rows if name in (row.request_id, request_key(row))]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(request_key(row) for row in found)
        raise UnknownRequest(
            f"{name!r} names several open requests of this run.",
            cause=f"They are {keys}.",
            next_step="Name one of these keys instead.",
        )
    answered = [row for row in rows if row.status == "answered" and name in (row.request_id, request_key(row))]
    if answered:
        last = max(answered, key=lambda row: row.answered_at or 0)
        when = datetime.fromtimestamp(last.answered_at or 0, UTC).isoformat(timespec="seconds")
        raise AlreadyAnswered(
            f"{name} was answered before.",
            cause=f"Answered by {last.answered_by} at {when} with {last.answer}; the first answer stands.",
            next_step=f"See the run: rondo show {short_id}",
            details={
                "answered_by": last.answered_by,
                "answered_at": last.answered_at,
                "answer": json.loads(last.answer or "null"),
            },
        )
    waiting = ", ".join(row.request_id for row in open_rows)
    raise UnknownRequest(
        f"This run has no open request {name!r}.",
        cause=f"It waits for: {waiting}." if waiting else "It waits for nothing.",
        next_step=f"See what it waits for: rondo show {short_id}",
    )


def _header_key(header: dict[str, Any]) -> str:
    return f"{header['node']}:{header['visit']}:{header['request_id']}:{header['nth']}"


def _read_preset(header: dict[str, Any], preset: Any) -> Any:
    """A preset given as text is read by the request's type, another value is checked against it."""
    if isinstance(preset, str):
        return parse_answer(header["input_type"], header["options"], preset)
    return check_answer(header["input_type"], header["options"], preset)
