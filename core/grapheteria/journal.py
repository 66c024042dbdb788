"""The interpreter's journal for an engine in this process: requests that wait here, records that the engine keeps."""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import time
from dataclasses import dataclass
from typing import Any

from core.errors import NoSubflowsHere
from core.flow.answers import request_hash
from core.flow.journal import SUBFLOW, AttemptPlan, AttemptRecord, Call, Request, StepRecord
from core.flow.time_limit import Clock
from core.sdk.visit import no_calls_here

log = logging.getLogger("grapheteria")

LOOK_SECONDS = 30.0
"""Longest sleep without a look at the wall clock."""

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request whose code waits in this process."""

    request: Request
    answer: asyncio.Future[Any]


class EngineJournal:
    """A `core.flow.journal.Journal` that asks by waiting until the engine is given an answer.

    `answers` are those given in the present visit: key -> (hash of the question, value).
    """

    def __init__(self, answers: dict[str, tuple[str, Any]]) -> None:
        self.answers = answers
        self._given: dict[str, Any] = {}
        self._open: dict[str, OpenRequest] = {}
        self._asked: asyncio.Future[None] | None = None

    # For the engine -----------------------------------------------------------------------------------------------

    def give(self, answers: dict[str, Any]) -> None:
        """Take answers by request id, for open requests and those that follow; each is used once and then removed."""
        self._given = answers
        for opened in list(self._open.values()):
            if not opened.answer.done() and opened.request.request_id in answers:
                opened.answer.set_result(self._take(opened.request))

    def open_ids(self) -> set[str]:
        """The ids of the requests that wait for an answer."""
        return {opened.request.request_id for opened in self._open.values() if not opened.answer.done()}

    def oldest(self) -> Request | None:
        """The request that has waited longest for an answer."""
        return next((opened.request for opened in self._open.values() if not opened.answer.done()), None)

    def asked(self) -> asyncio.Future[None]:
        """Done as soon as there is a request without an answer."""
        self._asked = asyncio.get_running_loop().create_future()
        if self.oldest() is not None:
            self._asked.set_result(None)
        return self._asked

    # For the interpreter ------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        await asyncio.sleep(seconds)

    async def _sleep_until(self, due: float) -> None:
        """Sleep until a moment by the wall clock, which may be set meanwhile."""
        while (left := due - time.time()) > 0:  # noqa: ASYNC110 (nobody could set an event)
            await asyncio.sleep(min(left, LOOK_SECONDS))

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()

    def clock(self) -> Clock:
        """The event loop's."""
        return asyncio.get_running_loop()

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        """An attempt begins."""
        log.debug("%s starts, visit %d, attempt %d", node, visit, attempt)

    def attempt_failed(self, record: AttemptRecord) -> None:
        """An attempt failed."""
        failure = record.failure
        log.warning("%s failed in attempt %d: %s: %s", record.node, record.attempt, failure.type, failure.message)

    async def step(self, record: StepRecord) -> None:
        """A visit is complete; the engine saves it before it goes on."""

    async def request(self, request: Request) -> Any:
        """Return the answer that was given before to just this question, else wait for it."""
        known = self.answers.get(request.key)
        if known is not None and known[0] == request_hash(request):
            return copy.deepcopy(known[1])
        if request.kind == SUBFLOW:
            raise NoSubflowsHere(
                f"Node {request.node!r} can't run the workflow {request.request_id!r} here.",
                cause="WorkflowEngine runs one workflow and knows no others.",
                next_step="Run it with TaskOrchestrator, or with rondo run.",
            )
        if request.due is not None:
            await self._sleep_until(request.due)
            self.answers[request.key] = (request_hash(request), "due")
            return None
        if request.request_id in self._given:
            return copy.deepcopy(self._take(request))
        opened = OpenRequest(request, asyncio.get_running_loop().create_future())
        self._open[request.key] = opened
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)
        try:
            return copy.deepcopy(await opened.answer)
        finally:
            del self._open[request.key]

    async def call(self, call: Call) -> dict[str, Any]:
        """Refuse: nobody here makes calls and keeps what they came to."""
        raise no_calls_here(call.kind)

    def spend_calls(self, key: str) -> None:
        """Nothing is recorded here."""

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        """Add a line to the program's log, under the name "grapheteria"."""
        log.log(LEVELS.get(level, logging.DEBUG), text)

    def _take(self, request: Request) -> Any:
        """The given answer to a request, kept for further attempts of the visit."""
        value = self._given.pop(request.request_id)
        self.answers[request.key] = (request_hash(request), value)
        return value
