"""The interpreter's journal over frames: what a run does is sent to the engine, and waits for its word."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from core.crash_points import crash_point
from core.errors import CallTooLarge, RondoError
from core.flow.answers import request_hash
from core.flow.journal import COMPLETED, SUBFLOW, AskFirst, AttemptPlan, AttemptRecord, Call, Request, StepRecord
from core.flow.time_limit import Clock
from core.runner.capture import NO_VISIT, VISIT
from core.runner.failures import failure_document
from core.runner.stalls import StallClock
from core.runner.wire import decode_json, encode_json

REQUEST_LIMIT = 1024 * 1024
"""Longest prompt and options together, in bytes."""
CALL_LIMIT = 16 * 1024 * 1024
"""Longest request of a call, in bytes."""
KNOWN_BLOBS_LIMIT = 50_000

NO_PLAN = AttemptPlan()

Send = Callable[[dict[str, Any], bytes], None]
ReadWithin = Callable[[float], bool]
"""Waits so many seconds for frames, blocking, and hands them over; returns whether any came."""

BLOCKING_SECONDS = 0.002
"""How long an acknowledgement is awaited on the spot: most come sooner, and a turn of the event loop costs as much."""
TURN_SECONDS = 0.01
"""After so long without a turn of the event loop, whatever else lives on it gets one."""


class LogSink(Protocol):
    """Where log lines go: a pipe in a run process, the listener in library mode."""

    def write(self, level: int, stream: str, text: str) -> None:
        """Add a line to the present visit."""

    def end_visit(self) -> None:
        """Write the lines that the present visit has begun and not ended."""


class ChannelJournal:
    """A `core.flow.journal.Journal` whose acts are frames; feed it the engine's frames with `on_frame`."""

    def __init__(self, send: Send, logs: LogSink, init: Mapping[str, Any]) -> None:
        self._send = send
        self._logs = logs
        self._epoch = init.get("e", 0)
        self._answers: dict[str, tuple[str, Any]] = {
            entry["key"]: (entry["hash"], entry["answer"]) for entry in init.get("answers") or ()
        }
        self._failed_subflows: set[str] = set()
        """The calls of other workflows that failed: another attempt makes them anew."""
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._open: dict[str, asyncio.Future[Any]] = {}
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_call = 0
        self._known_blobs: set[bytes] = set()
        self._stopping = False
        self._read_within: ReadWithin | None = None
        self._turned_at = 0.0
        self._clock: Clock | None = None

    def attach(self, read_within: ReadWithin) -> None:
        """Say how frames are awaited where this journal has the event loop's thread for itself."""
        self._read_within = read_within

    # What the interpreter calls -----------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        self._go_on()
        await asyncio.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()

    def clock(self) -> Clock:
        """The event loop's; in a process of the run's own, one that says where code stands that blocks the loop."""
        if self._clock is None:
            loop = asyncio.get_running_loop()
            self._clock = loop if self._read_within is None else StallClock(loop)
        return self._clock

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        """Say that an attempt begins; from here on output is tagged with it."""
        self._go_on()
        VISIT.set((node, visit, attempt))
        known = {} if plan == NO_PLAN else {"plan": asdict(plan)}
        self._frame("started", node=node, visit=visit, attempt=attempt, at=time.time(), **known)
        crash_point("process.visit.started")

    def attempt_failed(self, record: AttemptRecord) -> None:
        """Say that an attempt failed."""
        self._logs.end_visit()
        self._frame(
            "attempt",
            node=record.node,
            visit=record.visit,
            attempt=record.attempt,
            started_at=record.started_at,
            ended_at=record.ended_at,
            failure=failure_document(record.failure),
            **({"final": True} if record.final else {}),
        )
        crash_point("process.attempt.failed")

    async def step(self, record: StepRecord) -> None:
        """Send a completed visit and wait until the engine says that it is durable."""
        self._go_on()
        self._logs.end_visit()
        VISIT.set(NO_VISIT)
        payload, blobs = [record.delta.operations, record.own], []
        for data in record.delta.blobs:
            digest = hashlib.blake2b(data, digest_size=32).digest()
            known = digest in self._known_blobs
            blobs.append([digest.hex(), 0 if known else len(data)])
            if not known:
                self._remember(digest)
                payload.append(data)
        if record.snapshot is not None:
            payload.append(record.snapshot)
        acknowledged = asyncio.get_running_loop().create_future()
        self._acks[record.seq] = acknowledged
        crash_point("process.step.made")
        self._frame(
            "step",
            b"".join(payload),
            seq=record.seq,
            node=record.node,
            visit=record.visit,
            attempt=record.attempt,
            started_at=record.started_at,
            ended_at=record.ended_at,
            next=record.routing.next,
            reason=record.routing.reason,
            condition=record.routing.condition,
            errors=record.routing.errors,
            **_dag_fields(record),
            changed=record.delta.changed,
            delta=len(record.delta.operations),
            blobs=blobs,
            snapshot=len(record.snapshot or b""),
            **_left(record),
        )
        crash_point("process.step.sent")
        if record.routing.reason == "dag":
            await acknowledged  # Waiting on the spot would hold up the nodes that run beside this one.
        else:
            await self._wait_for(acknowledged)
        crash_point("process.step.acknowledged")
        # An answer serves every attempt of its visit and no other visit.
        visit = f"{record.node}:{record.visit}:"
        self._answers = {key: given for key, given in self._answers.items() if not key.startswith(visit)}

    def waits(self) -> None:
        """Say that nothing goes on before one of the open requests is answered."""
        self._frame("waits", keys=sorted(self._open))

    async def request(self, request: Request) -> Any:
        """Return the recorded answer to just this question, else ask and wait.

        Raises TypeError where prompt or options are not JSON, ValueError where they are too long.
        """
        self._go_on()
        asked = _request_document(request)
        key, fingerprint = request.key, request_hash(request)
        if request.kind == SUBFLOW:
            # The engine knows whether the call that failed is to be made anew, and has the state.
            asked["again"] = key in self._failed_subflows
        elif key in self._answers and self._answers[key][0] == fingerprint:
            return copy.deepcopy(self._answers[key][1])
        self._logs.end_visit()
        answered = asyncio.get_running_loop().create_future()
        self._open[key] = answered
        self._frame("request", **asked, hash=fingerprint)
        crash_point("process.request.sent")
        try:
            value = await answered
        except asyncio.CancelledError:
            # The code gave the question up. Where the engine wants the end, it stays open for the next process.
            if not self._stopping:
                self._frame("withdrawn", key=key)
            raise
        finally:
            self._open.pop(key, None)
        crash_point("process.request.answered")
        if request.kind == SUBFLOW:
            (self._failed_subflows.discard if "state" in value else self._failed_subflows.add)(key)
            return value
        self._answers[key] = (fingerprint, value)
        return copy.deepcopy(value)

    async def call(self, call: Call) -> dict[str, Any]:
        """Have the engine make a call and return the reply; raises what it came to, CallTooLarge, and AskFirst."""
        self._go_on()
        if len(call.text) > CALL_LIMIT:
            raise CallTooLarge(
                f"What self.{call.kind} sends is {len(call.text)} bytes long.",
                cause=f"At most {CALL_LIMIT} bytes can be sent.",
                next_step="Send less, for example a part of the text at a time.",
            )
        self._logs.end_visit()
        self._last_call += 1
        number, came = self._last_call, asyncio.get_running_loop().create_future()
        self._calls[number] = came
        facts = {"node": call.node, "visit": call.visit, "key": call.key, "nth": call.nth, "kind": call.kind}
        self._frame("call", call.text, id=number, **facts, hash=call.hash)
        crash_point("process.call.sent")
        try:
            reply: dict[str, Any] = await came
        except asyncio.CancelledError:
            # The code gave the call up. Where the engine wants the end, it goes on for the next process.
            if not self._stopping:
                self._frame("dropped", id=number)
            raise
        finally:
            self._calls.pop(number, None)
        crash_point("process.call.answered")
        return reply

    def spend_calls(self, key: str) -> None:
        """Say that what was recorded under this key is not to be given again."""
        self._frame("spent", key=key)

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        """Add a line to the run's log; which edge was taken is in the step, and the engine logs it from there."""
        if level == "EDGE":
            return
        number = logging.getLevelNamesMapping().get(level, logging.INFO)
        token = VISIT.set((node, visit, attempt))
        try:
            self._logs.write(number, "log", text)
        finally:
            VISIT.reset(token)

    # What the engine says -----------------------------------------------------------------------------------------

    def on_frame(self, header: dict[str, Any], payload: bytes = b"") -> bool:
        """Take a frame of the engine; returns True where it asks for the end."""
        match header["t"]:
            case "ack":
                waiting = self._acks.pop(header["seq"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
            case "answer":
                answered = self._open.get(header["key"])
                if answered is not None and not answered.done():
                    value = header["value"]
                    answered.set_result({**value, "state": decode_json(payload)} if payload else value)
            case "result":
                self._take_result(header, payload)
            case "stop":
                self._stopping = True
                return True
        return False

    def _take_result(self, header: dict[str, Any], payload: bytes) -> None:
        """What a call came to: its reply, its error, or what is to be asked before it is made."""
        came = self._calls.get(header["id"])
        if came is None or came.done():
            return
        if "error" in header:
            came.set_exception(RondoError.from_dict(header["error"]))
        elif "ask" in header:
            came.set_exception(AskFirst(Request(**header["ask"])))
        else:
            came.set_result(decode_json(payload))

    def _go_on(self) -> None:
        """Refuse to do more once the engine wants the end, also for code that swallowed its cancellation."""
        if self._stopping:
            raise asyncio.CancelledError

    async def _wait_for(self, acknowledged: asyncio.Future[None]) -> None:
        """Wait on the spot for a moment, then on the event loop."""
        if self._read_within is not None and time.monotonic() - self._turned_at < TURN_SECONDS:
            deadline = time.monotonic() + BLOCKING_SECONDS
            while not acknowledged.done() and (left := deadline - time.monotonic()) > 0:
                self._read_within(left)
        elif self._read_within is not None:
            await asyncio.sleep(0)
            self._turned_at = time.monotonic()
        await acknowledged

    def _frame(self, kind: str, payload: bytes = b"", /, **fields: Any) -> None:
        self._send({"t": kind, "e": self._epoch, **fields}, payload)

    def _remember(self, digest: bytes) -> None:
        if len(self._known_blobs) >= KNOWN_BLOBS_LIMIT:
            self._known_blobs.clear()
        self._known_blobs.add(digest)


def _dag_fields(record: StepRecord) -> dict[str, Any]:
    """What only a step of a dag has."""
    if record.routing.reason != "dag":
        return {}
    return {"taken": record.routing.taken, "refused": record.routing.refused, "own": len(record.own)}


def _left(record: StepRecord) -> dict[str, Any]:
    """How the step came about, where the node did not simply complete."""
    if record.outcome == COMPLETED:
        return {}
    failure = {} if record.failure is None else {"failure": failure_document(record.failure)}
    return {"outcome": record.outcome, **failure}


def _request_document(request: Request) -> dict[str, Any]:
    """The request as JSON values, cut off from what the node may still change."""
    try:
        text = encode_json(asdict(request))
    except (TypeError, ValueError) as error:
        raise TypeError(f"prompt and options of the request {request.request_id!r} must be JSON: {error}") from error
    if len(text) > REQUEST_LIMIT:
        raise ValueError(
            f"the request {request.request_id!r} is {len(text)} bytes long; at most {REQUEST_LIMIT} can be asked"
        )
    document: dict[str, Any] = decode_json(text)
    return document
