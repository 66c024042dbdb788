"""The rows of calls that are made: one before the call goes out, which has its result before anybody gets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.engine.budgets import Budgets
from core.engine.call_forms import Redact, kept, pack
from core.errors import CallGivenUp, RondoError
from core.sdk.calls import LLM
from core.store.call_operations import NOTHING_USED, CallCost
from core.store.operations import FinishCall, InsertCall

if TYPE_CHECKING:
    from core.engine.runs import Runs

CHARACTERS_OF_TOKEN = 4
"""Characters of a token, about: only for what calls under way may come to."""
LARGE = 64 * 1024
"""Bytes from which on work is done in a thread."""


class CallRows:
    """Keeps calls; `closing` is set when the engine ends: then nobody knows what calls under way come to."""

    def __init__(self, runs: Runs, budgets: Budgets, redact: Redact, now: Callable[[], float]) -> None:
        self._runs = runs
        self._budgets = budgets
        self._redact = redact
        self._now = now
        self._keeping: set[asyncio.Task[None]] = set()
        self.closing = False

    async def request(self, kind: str, asked: dict[str, Any], schema: Mapping[str, Any] | None = None) -> bytes:
        """A request as it is kept: without secrets, also those that the schema of a tool's action marks."""
        return await asyncio.to_thread(lambda: pack(kept(kind, asked, self._redact, schema or {})))

    async def begin(self, start: InsertCall, characters: int = 0) -> int:
        """Give a call its row; before that nothing goes out. Its budgets count it from here on."""
        crash_point("call.admitted")
        beginning = asyncio.ensure_future(self._runs.commit([start]))
        try:
            number: int = (await asyncio.shield(beginning))[0]
        except asyncio.CancelledError:
            # Given up just now, and nothing goes out: the row must not look as if something did.
            self._keep(self._take_back(beginning, start))
            raise
        crash_point("call.begun")
        if start.kind == LLM:
            run = start.run if isinstance(start.run, int) else None
            self._budgets.hold(number, run, characters // CHARACTERS_OF_TOKEN, await self._budgets.totals(run))
        return number

    async def done(
        self, number: int, start: InsertCall, reply: bytes, used: CallCost = NOTHING_USED, model: str = ""
    ) -> None:
        """Record a reply, also where the code gives the call up just now: it is paid for."""
        crash_point("call.made")

        async def keep() -> None:
            packed = await asyncio.to_thread(pack, reply) if len(reply) > LARGE else pack(reply)
            await self._runs.commit([FinishCall(number, "done", self._now(), start.request, packed, used, model)])

        try:
            await self._shielded(keep())
        finally:
            self._budgets.release(number)
        crash_point("call.recorded")

    async def failed(
        self, number: int, start: InsertCall, error: BaseException, used: CallCost = NOTHING_USED, model: str = ""
    ) -> None:
        """Record what went wrong. At the end of the engine nothing is known, and the next one says so."""
        self._budgets.release(number)
        if isinstance(error, asyncio.CancelledError):
            if self.closing:
                return
            error = CallGivenUp(
                "The call was given up.",
                cause="It had gone out when the node's code, its time limit or the end of its run ended it.",
                next_step="Where it may have acted, the run asks before it is made again.",
            )
        elif not isinstance(error, RondoError):
            error = defect(error)
        text = self._redact(json.dumps(error.to_dict(), ensure_ascii=False, default=str))
        failed = FinishCall(number, "failed", self._now(), start.request, b"", used, model, text)

        async def keep() -> None:
            await self._runs.commit([failed])

        await self._shielded(keep())

    async def _take_back(self, beginning: asyncio.Future[list[Any]], start: InsertCall) -> None:
        number: int = (await beginning)[0]
        error = RondoError(
            "The call was given up.", cause="The code, or the end of its run, ended it; nothing went out."
        )
        await self.failed(number, start, error)

    async def _shielded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it to its end, whoever gives up waiting for it."""
        await asyncio.shield(self._keep(work))

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return task

    async def close(self) -> None:
        """Wait for what is being recorded."""
        if self._keeping:
            await asyncio.wait(self._keeping)


def defect(error: BaseException) -> RondoError:
    """What is said of an error that nobody meant."""
    return RondoError(
        f"Rondo itself failed while it made this call: {type(error).__name__}: {error}",
        cause="A defect in the engine.",
        next_step="Look into runs/engine.log and report it.",
    )
