"""Questions of one run: asked by its process, answered by a person, a preset or a recorded answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from core.crash_points import crash_point
from core.engine.subflow_calls import child_of, child_run_id
from core.errors import AlreadyAnswered, InvalidAnswer, UnknownRequest
from core.flow.answers import check_answer, parse_answer
from core.flow.journal import SUBFLOW, TIMER
from core.link.event_types import RequestChanged
from core.link.types import FINAL, WAITING, Answer, Status
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


class _Awaited(NamedTuple):
    """Which node waits for an answer of which kind, and until when at most."""

    node: str
    due: float | None
    kind: str


class Requests:
    """Opens and answers the requests of one actor's run."""

    def __init__(self, actor: RunActor, open_rows: Sequence[RequestRow]) -> None:
        self._actor = actor
        self._open = {request_key(row): row.node for row in open_rows}
        self._children = {request_key(row): child_of(row) for row in open_rows if row.kind == SUBFLOW}
        """The runs that open requests of kind subflow wait for."""
        self._awaited: dict[str, _Awaited] = {}
        """Open requests that the code of the present process awaits."""

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
        rows = await actor.world.requests_of(actor.line)
        same = [row for row in rows if (row.node, row.visit, row.request_id, row.nth) == key]
        child: str | None = ""
        for row in same:
            if row.status not in ("open", "answered"):
                continue
            if row.hash != header["hash"]:
                operations.append(MarkRequest(row.number, "stale"))
                self._abandon(request_key(row))
            elif row.status == "answered":
                child = await self._child_again(row, header)
                if child is None:
                    await self.give(request_key(row), row.kind, json.loads(row.answer or "null"))
                    return
                operations.append(MarkRequest(row.number, "stale"))
            else:
                await self._wait(operations, header, row.due_at)
                if row.kind == SUBFLOW:
                    # Of a run that was imported, the one that it waits for is not here.
                    actor.world.subflows.begin(actor.record.id, actor.line, request_key(row))
                return
        if header["kind"] == SUBFLOW:
            await self._call(operations, header, child or child_run_id(actor.record.id, actor.line, header, len(same)))
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
        due = header.get("due") if header["kind"] == TIMER else None
        asked = self._row(header, now, problem=problem, due_at=due)
        if found:
            answer = json.dumps(value, ensure_ascii=False)
            asked = replace(asked, status="answered", answered_at=now, answered_by=PRESET, answer=answer)
        operations.append(asked)
        if not found:
            if due is not None:
                actor.log.line(now, "INFO", f"waits until {_moment(due)}", header["node"], header["visit"])
            await self._wait(operations, header, due)
            actor.change_record(presets=left)
            return
        await actor.commit(operations)
        crash_point("run.request.preset_committed")
        actor.change_record(presets=left)
        actor.process_life.send({"t": "answer", "key": _header_key(header), "value": value})

    def _row(self, header: dict[str, Any], now: float, **fields: Any) -> InsertRequest:
        """The row of a request that is open."""
        return InsertRequest(
            line=self._actor.line,
            run=self._actor.record.number,
            node=header["node"],
            visit=header["visit"],
            request_id=header["request_id"],
            nth=header["nth"],
            kind=header["kind"],
            hash=header["hash"],
            input_type=header["input_type"],
            prompt=header["prompt"],
            options=json.dumps(header["options"], ensure_ascii=False),
            opened_at=now,
            **fields,
        )

    # Runs of other workflows --------------------------------------------------------------------------------------

    async def _call(self, operations: list[Operation], header: dict[str, Any], child: str) -> None:
        """Keep the call of another workflow, wait, and have its run started."""
        actor = self._actor
        now, key = actor.world.now(), _header_key(header)
        failed = actor.position.attempts.get(header["node"], 0)
        header = {**header, "options": {**header["options"], "run": child, "attempts": failed}}
        operations.append(self._row(header, now))
        text = f"waits for run {child[-8:]} of {header['options']['workflow']}"
        actor.log.line(now, "INFO", text, header["node"], header["visit"])
        self._children[key] = child
        await self._wait(operations, header, None)
        actor.world.subflows.begin(actor.record.id, actor.line, key)

    async def _child_again(self, row: RequestRow, header: dict[str, Any]) -> str | None:
        """None where the recorded answer serves; else the run to ask again, or the empty text for a new one."""
        if row.kind != SUBFLOW:
            return None
        failed = self._actor.position.attempts.get(row.node, 0)
        return await self._actor.world.subflows.again(row, header, failed)

    def _abandon(self, key: str) -> None:
        """The run that the code waited for under this key is not needed any more."""
        if (child := self._children.pop(key, None)) is not None:
            self._actor.world.subflows.abandon(child)

    async def give(self, key: str, kind: str, value: Any) -> None:
        """Send a durable answer to the code; that of another run goes with its final state."""
        state = await self._actor.world.subflows.final_state(value) if kind == SUBFLOW else b""
        self._actor.process_life.send({"t": "answer", "key": key, "value": value}, state)

    # Waiting ------------------------------------------------------------------------------------------------------

    async def _wait(self, operations: list[Operation], header: dict[str, Any], due: float | None) -> None:
        """Make the wait durable, then show it. In a dag others may go on: there the process says when nothing does."""
        actor = self._actor
        key = _header_key(header)
        crash_point("run.request.asked")
        awaited = {**self._awaited, key: _Awaited(header["node"], due, header["kind"])}
        alone = actor.position.settling is None
        status = _waiting_status(awaited)
        operations += actor.status_operations(status, node=header["node"]) if alone else []
        if operations:
            await actor.commit(operations)
        crash_point("run.request.committed")
        self._open[key] = header["node"]
        self._awaited = awaited
        self._tell_time_limits()
        self._publish(key, "open")
        if due is not None and not actor.world.draining:
            actor.world.timers.add((actor.record.id, actor.line, key), due)
        if alone:
            await self._rest(status)

    async def all_wait(self, keys: list[str]) -> None:
        """The process of a dag says that nothing goes on before one of these requests is answered."""
        actor = self._actor
        # One that was answered while this was on its way lets its node go on.
        if actor.status != "running" or not keys or any(key not in self._awaited for key in keys):
            return
        status = _waiting_status({key: self._awaited[key] for key in keys})
        await actor.commit(actor.status_operations(status, node=self._awaited[keys[0]].node))
        await self._rest(status)

    async def _rest(self, status: Status) -> None:
        """Show that the run waits; its process is kept for a while where the wait may be short."""
        self._actor.entered(status)
        if self._actor.world.draining:
            await self._actor.give_up()
        else:
            self._actor.process_life.wait_a_while(self._first_due())

    def waiting_nodes(self) -> set[str]:
        """The nodes whose code awaits an answer."""
        return {awaited.node for awaited in self._awaited.values()}

    def _first_due(self) -> float | None:
        """When the code goes on by itself at the earliest; None where it awaits a person too."""
        dues = [awaited.due for awaited in self._awaited.values() if awaited.due is not None]
        return min(dues) if len(dues) == len(self._awaited) else None

    # The code goes on without an answer ---------------------------------------------------------------------------

    async def waits_no_more(self, node: str) -> None:
        """The attempt that asked has ended: it waits for no answers now, also where the questions stay open."""
        self._awaited = {key: awaited for key, awaited in self._awaited.items() if awaited.node != node}
        self._tell_time_limits()
        if self._actor.status in WAITING:
            self._actor.process_life.stop_timer()
            await self._actor.commit(self._actor.status_operations("running"))
            self._actor.entered("running")

    async def withdraw(self, key: str) -> None:
        """The code gave that question up and works on in the same attempt."""
        actor = self._actor
        if key not in self._awaited:
            return
        rows = await actor.world.requests_of(actor.line)
        operations: list[Operation] = [
            MarkRequest(row.number, "withdrawn") for row in rows if row.status == "open" and request_key(row) == key
        ]
        status = self._status_without(key) if actor.status in WAITING else None
        if status is not None:
            operations += actor.status_operations(status)
        await actor.commit(operations)
        self._closed(key, "withdrawn")
        if status is not None:
            actor.entered(status)
            if status == "running":
                actor.process_life.stop_timer()

    def withdrawal(self, node: str, at: float) -> list[Operation]:
        """What closes the open questions of a visit that is complete; `withdrawn` is due after its commit."""
        return [WithdrawRequests(self._actor.line, at, node)] if node in self._open.values() else []

    def withdrawn(self, node: str | None = None) -> None:
        """Tell the clients of questions that nobody needs answers to any more: those of a node, or all."""
        closed = [key for key, asker in self._open.items() if node in (None, asker)]
        for key in sorted(closed):
            del self._open[key]
            self._awaited.pop(key, None)
            self._abandon(key)
            self._actor.world.timers.discard((self._actor.record.id, self._actor.line, key))
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
        if (secrets := await actor.world.secrets_of(actor)) is not None:
            secrets.refuse(json.dumps(value).encode(), "this answer")
        key = request_key(row)
        status = self._status_without(key)
        operations = [self._answering(row, value, by), *actor.status_operations(status), command]
        await actor.commit(operations, patient=False)
        crash_point("run.answer.committed")
        self._closed(key, "answered")
        return key, value, status

    async def settle(self, key: str, value: Any, by: str) -> tuple[Any, Status | None] | None:
        """Answer what needs no person: a timer whose time has come, a run that has ended.

        Returns the value and the status that the run has with it: None where the run did not wait. The whole is None
        where nobody needs the answer any more.
        """
        actor = self._actor
        rows = await actor.world.requests_of(actor.line)
        row = next((row for row in rows if row.status == "open" and request_key(row) == key), None)
        if row is None or actor.status in FINAL:
            return None
        operations: list[Operation] = [self._answering(row, value, by)]
        status = self._status_without(key) if actor.status in WAITING else None
        if status is not None:
            operations += actor.status_operations(status)
        await actor.commit(operations)
        if by == TIMER:
            crash_point("run.timer.committed")
        else:
            crash_point("run.subflow.committed")
        self._closed(key, "answered")
        return value, status

    def _status_without(self, key: str) -> Status:
        """The status of a run that waits, once that request is answered; a paused one stays so."""
        if self._actor.status == "paused":
            return "paused"
        if not self._actor.process_life.listening:
            return "queued"
        if self._actor.status == "running":
            return "running"
        # In a dag the node that has its answer goes on, and what others wait for is no matter.
        node = self._awaited[key].node if key in self._awaited else ""
        left = {other: awaited for other, awaited in self._awaited.items() if other != key and awaited.node == node}
        return _waiting_status(left) if left else "running"

    def _answering(self, row: RequestRow, value: Any, by: str) -> AnswerRequest:
        return AnswerRequest(row.number, json.dumps(value, ensure_ascii=False), by, self._actor.world.now())

    def _closed(self, key: str, status: str) -> None:
        self._open.pop(key, None)
        self._awaited.pop(key, None)
        if status == "withdrawn":
            self._abandon(key)
        self._children.pop(key, None)
        self._tell_time_limits()
        self._actor.world.timers.discard((self._actor.record.id, self._actor.line, key))
        self._publish(key, status)

    def _tell_time_limits(self) -> None:
        """While a node waits, its time limit does not come nearer."""
        self._actor.process_life.time_limits.awaited(self._awaited)

    def _publish(self, key: str, status: str) -> None:
        record = self._actor.record
        self._actor.world.publish(RequestChanged(run_id=record.id, workflow=record.workflow, key=key, status=status))


def find_request(rows: list[RequestRow], name: str, short_id: str) -> RequestRow:
    """The open request of that id or key; raises UnknownRequest or AlreadyAnswered."""
    open_rows = [row for row in rows if row.status == "open" and row.kind != SUBFLOW]
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
    children = [child_of(row)[-8:] for row in rows if row.status == "open" and row.kind == SUBFLOW]
    if children and not waiting:
        raise UnknownRequest(
            f"This run has no open request {name!r}.",
            cause=f"It waits for the run {children[0]}.",
            next_step=f"See what that one waits for: rondo show {children[0]}",
        )
    raise UnknownRequest(
        f"This run has no open request {name!r}.",
        cause=f"It waits for: {waiting}." if waiting else "It waits for nothing.",
        next_step=f"See what it waits for: rondo show {short_id}",
    )


def _waiting_status(awaited: Mapping[str, _Awaited]) -> Status:
    """A run waits for a person if anything that it awaits needs one, else for another run, else for a time."""
    kinds = {one.kind for one in awaited.values()}
    if kinds - {TIMER, SUBFLOW}:
        return "waiting_input"
    return "waiting_run" if SUBFLOW in kinds else "waiting_timer"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _header_key(header: dict[str, Any]) -> str:
    return f"{header['node']}:{header['visit']}:{header['request_id']}:{header['nth']}"


def _read_preset(header: dict[str, Any], preset: Any) -> Any:
    """A preset given as text is read by the request's type, another value is checked against it."""
    if isinstance(preset, str):
        return parse_answer(header["input_type"], header["options"], preset)
    return check_answer(header["input_type"], header["options"], preset)
