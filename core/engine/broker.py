"""The broker: every call of a model, an address or a tool, of nodes and of chats, is made and recorded here.

A call of a node is known by the idempotency key of its visit (or of its item of a map), by its request, and by how many
calls with that request came before. It has a row before it is made, and its result is in that row before the node gets
it: a visit that runs again is given what is recorded. Where its process dies meanwhile the call goes on, and whoever
makes it again waits for the same result. It is ended where the code gives it up, and where the run has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import structlog

from core.crash_points import crash_point
from core.engine.budgets import DOLLARS, Budgets, Reached, question, refused
from core.engine.call_forms import (
    Redact,
    cost_of,
    fit_to_keep,
    heard,
    model_request,
    redacted,
    reply_form,
    request_form,
    title_of,
    tool_reply,
    used_text,
    without_secrets,
)
from core.engine.call_rows import LARGE, CallRows, defect
from core.engine.http_calls import HttpCalls
from core.engine.repeats import is_uncertain, repeat_question, uncertain
from core.engine.replays import Replays
from core.engine.tool_calls import ToolService, connection_question
from core.errors import (
    CallInterrupted,
    DatabaseProblem,
    ModelRefusal,
    ModelSettingsProblem,
    NotConnected,
    RondoError,
    ToolMissing,
    ToolUncertain,
)
from core.link.types import FINAL
from core.link.usage_types import money
from core.llm.messages import Listener, ModelGateway, ModelReply, ModelRequest
from core.sdk.calls import LLM, TOOL
from core.store.call_operations import CallCost
from core.store.operations import InsertCall, InterruptCalls, SpendCalls
from core.store.records import CallRecord, RequestRow, RunRecord
from core.tools.hub import Ready

if TYPE_CHECKING:
    from core.engine.actor import RunActor
    from core.engine.runs import Runs
    from core.store.store import Store

log = structlog.get_logger()


class _Identity(NamedTuple):
    """By what a call of a run is found again."""

    run: int
    key: str
    nth: int
    hash: str


class _Outcome(NamedTuple):
    """What a call came to, as the frame to the run process says it."""

    fields: dict[str, Any]
    reply: bytes = b""


@dataclass(slots=True)
class _RunCall:
    """A call of a node that is under way; `waiters` are the (epoch, id) under which processes asked for it."""

    identity: _Identity
    actor: RunActor
    node: str
    visit: int
    kind: str
    text: bytes
    before: asyncio.Task[None] | None = None
    """The same call, which was given up and is not over yet."""
    waiters: set[tuple[int, int]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    given_up: bool = False


class Broker:
    """Makes calls, within budgets, and keeps them. Keys are the gateway's: they reach no node and no row."""

    def __init__(
        self,
        store: Store,
        runs: Runs,
        budgets: Budgets,
        gateway: ModelGateway | None,
        redact: Redact,
        now: Callable[[], float],
        tools: ToolService | None = None,
    ) -> None:
        self._tools = tools
        self._by_hand: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._store = store
        self._runs = runs
        self.budgets = budgets
        self._gateway = gateway
        self._redact = redact
        self._now = now
        self._http = HttpCalls()
        self._calls: dict[_Identity, _RunCall] = {}
        self._rows = CallRows(runs, budgets, redact, now)
        self._replays = Replays(store, runs, now)
        self._admitting = asyncio.Lock()

    async def recover(self) -> None:
        """Calls that an earlier engine left under way have ended with it."""
        error = CallInterrupted(
            "The engine ended while this call was under way.",
            cause="What it came to is not known.",
            next_step="The run makes it again, or asks where it may have acted.",
        )
        await self._store.commit([InterruptCalls(self._now(), json.dumps(error.to_dict()))])

    async def close(self) -> None:
        """End every call; those of runs are made again by the next engine."""
        self._rows.closing = True
        tasks = [call.task for call in self._calls.values() if call.task is not None]
        tasks += list(self._by_hand.values())  # type: ignore[arg-type]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._rows.close()
        await self._http.close()

    # Chats --------------------------------------------------------------------------------------------------------

    async def complete(
        self, request: ModelRequest, *, chat_id: str, listener: Listener | None = None, title: str = ""
    ) -> ModelReply:
        """Ask a model for a chat: within the day's budgets, recorded with the chat's id.

        Cancelling the task ends the call at once. Raises the ModelProblem family; BudgetReached names the setting.
        """
        request = await asyncio.to_thread(without_secrets, request, self._redact)
        asked = request_form(request)
        text = orjson.dumps(asked)
        start = InsertCall(
            kind=LLM,
            status="running",
            key=chat_id,
            nth=0,
            hash=hashlib.sha256(text).hexdigest(),
            started_at=self._now(),
            request=await self._rows.request(LLM, asked),
            chat=chat_id,
            model=request.model,
            role=request.role,
            title=title or self._redact(title_of(LLM, asked)),
        )
        async with self._admitting:
            reached = await self.budgets.reached(None)
            if reached:
                raise self.budgets.error(reached[0])
            number = await self._rows.begin(start, len(text))
        return await self._ask_model(number, start, request, listener)

    async def _ask_model(
        self, number: int, start: InsertCall, request: ModelRequest, listener: Listener | None
    ) -> ModelReply:
        """Make a call of a model that has its row, and record what it comes to."""
        try:
            if self._gateway is None:
                raise ModelSettingsProblem(
                    "This engine has no models.",
                    cause="It was made without any.",
                    next_step="Run the workflow with rondo run.",
                )
            came = await self._gateway.complete(request, heard(listener))
        except BaseException as error:
            await self._rows.failed(number, start, error)
            raise
        try:
            reply = await asyncio.to_thread(fit_to_keep, came, self._redact)
        except BaseException as error:
            # What came is paid for, whether it can be used or not.
            await self._rows.failed(number, start, error, cost_of(came), came.model)
            raise
        if reply.stop == "refusal":
            refusal = ModelRefusal(
                "The model refused to answer.",
                cause=reply.message.text[:500],
                next_step="Change the prompt, or ask another model.",
            )
            await self._rows.failed(number, start, refusal, cost_of(reply), reply.model)
            raise refusal
        await self._rows.done(number, start, orjson.dumps(reply_form(reply)), cost_of(reply), reply.model)
        return reply

    # What actors say ----------------------------------------------------------------------------------------------

    def asked(self, actor: RunActor, header: dict[str, Any], payload: bytes) -> None:
        """The code of a run makes a call: one that is under way already is joined."""
        if self._rows.closing:
            return
        identity = _Identity(actor.record.number, header["key"], header["nth"], header["hash"])
        call = self._calls.get(identity)
        if call is None or call.given_up:
            before = call.task if call is not None else None
            call = _RunCall(identity, actor, header["node"], header["visit"], header["kind"], payload, before)
            self._calls[identity] = call
            call.task = asyncio.create_task(self._do(call), name=f"call of run {actor.short_id}")
        call.waiters.add((header["e"], header["id"]))

    def dropped(self, actor: RunActor, header: dict[str, Any]) -> None:
        """The code has given a call up: it is ended where nobody else waits for it."""
        for call in self._calls.values():
            if call.identity.run == actor.record.number and (header["e"], header["id"]) in call.waiters:
                call.waiters.discard((header["e"], header["id"]))
                if not call.waiters:
                    self._give_up(call)
                return

    def entered(self, record: RunRecord, status: str) -> None:
        """A run has another status: with its end its calls end, too."""
        if status in FINAL:
            for call in self._calls.values():
                if call.identity.run == record.number:
                    self._give_up(call)

    async def spent(self, actor: RunActor, key: str) -> None:
        """A try failed: what it called is called anew."""
        await actor.commit([SpendCalls(actor.record.number, key)])
        crash_point("call.spent")

    def _give_up(self, call: _RunCall) -> None:
        call.given_up = True
        if call.task is not None:
            call.task.cancel()

    # A call of a node ---------------------------------------------------------------------------------------------

    async def _do(self, call: _RunCall) -> None:
        try:
            if call.before is not None:
                await asyncio.wait([call.before])
            outcome = await self._outcome(call)
        except asyncio.CancelledError:
            outcome = None
        except DatabaseProblem as error:
            outcome = None
            self._tell_of_trouble(call.actor, error)
        except RondoError as error:
            # A library may name a header in its complaint.
            outcome = _Outcome({"error": redacted(error.to_dict(), self._redact)})
        except Exception as error:
            # A defect of ours is an error of this call: a node that waits for a reply must get one.
            log.exception("a call failed inside the engine", run=call.actor.record.id)
            outcome = _Outcome({"error": defect(error).to_dict()})
        # From here on nothing is awaited: who asks now is given what is recorded.
        if self._calls.get(call.identity) is call:
            del self._calls[call.identity]
        actor = self._runs.active(call.actor.record.id)
        if outcome is not None and actor is not None:
            for epoch, number in call.waiters:
                if epoch == actor.process_life.epoch:
                    actor.process_life.send({"t": "result", "id": number, **outcome.fields}, outcome.reply)

    def _tell_of_trouble(self, actor: RunActor, error: DatabaseProblem) -> None:
        """The run can't go on without the row: its actor does as for rows of its own."""

        async def fail() -> None:
            raise error

        actor.post(fail)

    async def _outcome(self, call: _RunCall) -> _Outcome:
        """What is recorded of the call; else what it comes to now, or what is to be asked first."""
        record, identity = call.actor.record, call.identity
        known = await self._store.known_calls(*identity)
        for row in reversed(known):
            if row.status in ("done", "replayed"):
                return await self._recorded(row)
        asked = await _decoded(call.text)
        if call.kind == LLM:
            # A model needs no secret, and nobody knows what becomes of what it is told.
            asked = await asyncio.to_thread(redacted, asked, self._redact)
        if record.replay:
            title = title_of(call.kind, asked)
            row = await self._replays.take(record, call.actor.line, call.node, call.visit, *identity[1:], title)
            self._say(call, "INFO", f"{row.title}: replayed")
            return await self._recorded(row)
        if call.kind != TOOL and known and is_uncertain(known[-1], call.kind, asked):
            rows = await self._store.requests(line=call.actor.line)
            ask = repeat_question(known[-1], rows, call.node, call.visit)
            if ask is not None:
                return _Outcome({"ask": ask})
        start = InsertCall(
            kind=call.kind,
            status="running",
            key=identity.key,
            nth=identity.nth,
            hash=identity.hash,
            started_at=self._now(),
            # What an action takes, and so what of it is a secret, is known once the action is found.
            request=b"" if call.kind == TOOL else await self._rows.request(call.kind, asked),
            run=record.number,
            line=call.actor.line,
            node=call.node,
            visit=call.visit,
            model=asked.get("model", "") if call.kind == LLM else "",
            role=asked.get("role", "") if call.kind == LLM else "",
            title=self._redact(title_of(call.kind, asked)),
        )
        if call.kind == LLM:
            return await self._call_model(call, start, model_request(asked))
        if call.kind == TOOL:
            return await self._call_tool(call, start, asked)
        return await self._call_address(call, start, asked)

    async def _recorded(self, row: CallRecord) -> _Outcome:
        if row.error:
            return _Outcome({"error": json.loads(row.error)})
        _, reply = await self._store.call_content(row.number)
        return _Outcome({}, reply)

    async def _call_model(self, call: _RunCall, start: InsertCall, request: ModelRequest) -> _Outcome:
        async with self._admitting:
            ask = await self._ask_for_more(call, await self.budgets.reached(call.actor.record))
            if ask is not None:
                return ask
            number = await self._rows.begin(start, len(call.text))
        reply = await self._ask_model(number, start, request, None)
        text = f"{used_text(cost_of(reply))} ({reply.model}, {reply.seconds:.1f} s)"
        self._say(call, "INFO", text)
        if reply.stop == "length":
            self._say(call, "WARNING", "the model's reply was cut off at its limit of tokens")
        return _Outcome({}, orjson.dumps(reply_form(reply)))

    async def _ask_for_more(self, call: _RunCall, reached: Sequence[Reached]) -> _Outcome | None:
        """What is to be asked before a call for which there is no room; None where it may be made. Raises
        BudgetReached where a person said so."""
        rows = await self._store.requests(line=call.actor.line) if reached else []
        for one in reached:
            ask = question(one, rows, call.node, call.visit)
            if refused(one, rows, call.node, call.visit):
                raise self.budgets.error(one, call.actor.record.workflow)
            if ask is not None:
                return _Outcome({"ask": ask})
        return None

    async def _call_address(self, call: _RunCall, start: InsertCall, asked: dict[str, Any]) -> _Outcome:
        """Call an address. What `secret:NAME` stands for in headers is put in here and kept nowhere."""
        sent = await self._with_secrets(call, asked)
        number = await self._rows.begin(start)
        try:
            reply = await self._http.call(asked | sent)
        except BaseException as error:
            await self._rows.failed(number, start, error)
            raise
        form = orjson.dumps(await asyncio.to_thread(redacted, reply, self._redact))
        await self._rows.done(number, start, form)
        seconds = self._now() - start.started_at
        self._say(call, "INFO", f"{start.title}: {reply['status']}, {len(form):,} bytes ({seconds:.1f} s)")
        return _Outcome({}, form)

    async def _call_tool(self, call: _RunCall, start: InsertCall, asked: dict[str, Any]) -> _Outcome:
        """Call a tool, after asking for the account that it needs. What has acted, or may have, is not done again by
        itself: not in another try of the node either."""
        if self._tools is None:
            raise ToolMissing("This engine has no tools.", cause="It was made without any.", next_step="Use rondo run.")
        actor = call.actor
        try:
            ready = await self._tools.ready(actor.record.workflow, actor.version.files, asked)
        except NotConnected as problem:
            return await self._ask_to_connect(call, problem)
        start = replace(start, request=await self._rows.request(TOOL, asked, ready.action.inputs))
        known = await self._store.tool_calls(*call.identity) if ready.action.effects == "write" else []
        for row in reversed(known):
            if row.status in ("done", "replayed"):
                self._say(call, "INFO", f"{row.title} acted in an earlier try; its result is given again")
                return await self._recorded(row)
        if known and is_uncertain(known[-1], call.kind, asked):
            ask = repeat_question(known[-1], await self._asked_before(call), call.node, call.visit)
            if ask is not None:
                return _Outcome({"ask": ask})
        # What calls of tools cost is known afterwards at best: these wait where one has cost something.
        reached = [one for one in await self.budgets.reached(actor.record) if one.what == DOLLARS]
        if any(one.totals.tool_cost for one in reached):
            more = await self._ask_for_more(call, reached)
            if more is not None:
                return more
        number = await self._rows.begin(start)
        key = hashlib.sha256(f"{start.key}{start.nth}{start.hash}".encode()).hexdigest()[:32]
        try:
            came = await self._tools.call(
                ready, asked.get("args") or {}, key, lambda text: self._say(call, "WARNING", text)
            )
            reply = await asyncio.to_thread(tool_reply, came, self._redact)
        except BaseException as caught:
            error = self._acted_or_not(caught, ready)
            await self._rows.failed(number, start, error)
            if isinstance(error, NotConnected):
                return await self._ask_to_connect(call, error)
            if isinstance(error, ToolUncertain):
                last = (await self._store.tool_calls(*call.identity))[-1]
                return _Outcome({"ask": repeat_question(last, await self._asked_before(call), call.node, call.visit)})
            raise
        form = orjson.dumps(reply)
        await self._rows.done(number, start, form, CallCost(cost=reply["cost"]))
        note = f", {money(reply['cost'])}" if reply["cost"] else ""
        note += f", log {reply['log_id']}" if reply["log_id"] else ""
        self._say(call, "INFO", f"{start.title}: done by {reply['provider']} ({reply['seconds']:.1f} s{note})")
        return _Outcome({}, form)

    def _acted_or_not(self, error: BaseException, ready: Ready) -> BaseException:
        """The error; for a defect of ours in a call that may write, one that says that it may have acted."""
        if isinstance(error, RondoError) or not isinstance(error, Exception) or ready.action.effects != "write":
            return error
        log.error("a call of a tool failed inside the engine", exc_info=error)
        return uncertain(error)

    async def _ask_to_connect(self, call: _RunCall, problem: NotConnected) -> _Outcome:
        ask = connection_question(problem, await self._asked_before(call), call.node, call.visit)
        return _Outcome({"ask": ask})

    async def _asked_before(self, call: _RunCall) -> list[RequestRow]:
        return await self._store.requests(line=call.actor.line)

    async def call_by_hand(self, command_id: str, asked: dict[str, Any], ready: Ready) -> dict[str, Any]:
        """Call a tool for a person, once for each command, and return the reply; raises what it came to."""
        task = self._by_hand.get(command_id)
        if task is None:
            task = self._by_hand[command_id] = asyncio.create_task(self._do_by_hand(command_id, asked, ready))
            task.add_done_callback(lambda _: self._by_hand.pop(command_id, None))
        return await asyncio.shield(task)

    async def _do_by_hand(self, command_id: str, asked: dict[str, Any], ready: Ready) -> dict[str, Any]:
        assert self._tools is not None
        for row in reversed(await self._store.calls_by_hand(command_id)):
            if row.error:
                raise RondoError.from_dict(json.loads(row.error))
            _, recorded = await self._store.call_content(row.number)
            return await _decoded(recorded)
        start = InsertCall(
            kind=TOOL,
            status="running",
            key=command_id,
            nth=0,
            hash=hashlib.sha256(orjson.dumps(asked)).hexdigest(),
            started_at=self._now(),
            request=await self._rows.request(TOOL, asked, ready.action.inputs),
            title=self._redact(title_of(TOOL, asked)),
        )
        number = await self._rows.begin(start)
        try:
            came = await self._tools.call(ready, asked["args"], command_id, lambda text: None)
            reply = await asyncio.to_thread(tool_reply, came, self._redact)
        except BaseException as error:
            await self._rows.failed(number, start, error)
            raise
        await self._rows.done(number, start, orjson.dumps(reply), CallCost(cost=reply["cost"]))
        return reply

    async def _with_secrets(self, call: _RunCall, asked: dict[str, Any]) -> dict[str, Any]:
        """What is sent in place of what was asked where headers refer to secrets; it goes to that address alone."""
        run = call.actor
        headers = await self._runs.secrets.resolved(run.record.workflow, run.version.files, asked.get("headers", {}))
        return {} if headers is None else {"headers": headers, "follow": False}

    def _say(self, call: _RunCall, level: str, text: str) -> None:
        """Say it in the run's log, as the node's."""
        actor = self._runs.active(call.actor.record.id)
        if actor is not None and not actor.closed.is_set():
            actor.log.line(self._now(), level, self._redact(text), call.node, call.visit)


async def _decoded(text: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = await asyncio.to_thread(orjson.loads, text) if len(text) > LARGE else orjson.loads(text)
    return decoded
