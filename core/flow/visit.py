"""A visit while it runs: what its node may ask of it, and what is recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any

from core.flow.failure import describe_error, describe_failure
from core.flow.journal import TIMER, AttemptRecord, Failure, Journal, Request
from core.flow.values import encode_value
from core.sdk.tools import Tools
from core.sdk.visit import Visit


class RunningVisit(Visit):
    """The visit of a node in a run; attempts are numbered on from those that earlier processes have used up."""

    def __init__(
        self,
        journal: Journal,
        node_id: str,
        number: int,
        attempts_used: int,
        run_key: tuple[str, int],
        output_dir: Path,
        tools: Tools,
    ) -> None:
        super().__init__()
        self.node_id = node_id
        self.number = number
        self.tries_used = attempts_used
        self.attempt = attempts_used
        self.started_at = 0.0
        self.tools = tools
        self._journal = journal
        self._run_key = run_key
        self._output_dir = output_dir
        self._asked: dict[str, int] = {}

    def begin_attempt(self) -> None:
        """Start the next attempt."""
        self.attempt += 1
        self.started_at = self._journal.now()
        self._journal.started(self.node_id, self.number, self.attempt)

    def fail_attempt(self, error: BaseException) -> Failure:
        """Record that the present attempt failed."""
        failure = describe_failure(error)
        ended_at = self._journal.now()
        self._journal.attempt_failed(
            AttemptRecord(self.node_id, self.number, self.attempt, self.started_at, ended_at, failure)
        )
        return failure

    @cached_property
    def idempotency_key(self) -> str:
        """Text that is the same for every attempt of this visit, also after a crash, and for no other visit."""
        return hashlib.sha256(json.dumps([*self._run_key, self.node_id, self.number]).encode()).hexdigest()

    @property
    def output_dir(self) -> Path:
        """The folder for files that this run writes; it is made on first use."""
        self._output_dir.mkdir(parents=True, exist_ok=True)
        return self._output_dir

    async def request_input(
        self, prompt: str | None = None, options: Any = None, input_type: str = "text", request_id: str | None = None
    ) -> Any:
        """Ask a person and return the answer, at once where it was given before.

        Raises StateValueError where the options are not JSON.
        """
        request_id = self.node_id if request_id is None else str(request_id)
        asked = [None if prompt is None else str(prompt), options, str(input_type), request_id]
        _, (prompt, options, input_type, request_id) = encode_value(asked, (), self.node_id, "request_input")
        nth = self._number(request_id)
        return await self._journal.request(
            Request(self.node_id, self.number, request_id, nth, prompt, options, input_type)
        )

    async def wait(self, request_id: str, *, seconds: float = 0.0, due: float | None = None) -> None:
        """Wait for some seconds, or until a moment: a request that the engine answers itself when it is due."""
        if due is None:
            due = self._journal.now() + seconds
        request_id = str(request_id)
        nth = self._number(request_id)
        await self._journal.request(
            Request(self.node_id, self.number, request_id, nth, input_type=TIMER, kind=TIMER, due=due)
        )

    def _number(self, request_id: str) -> int:
        """The number of the present call with this id."""
        tries = _tries.get()
        if tries is not None and tries.visit is self:
            return tries.number(request_id)
        return self.next_number(request_id)

    def next_number(self, request_id: str) -> int:
        """How many calls with this id there were before in the visit."""
        nth = self._asked.get(request_id, 0)
        self._asked[request_id] = nth + 1
        return nth

    @contextmanager
    def tries(self) -> Iterator[None]:
        """Stands around the tries of one execute phase: each of them asks under the same numbers again."""
        token = _tries.set(_Tries(self))
        try:
            yield
        finally:
            _tries.reset(token)

    async def try_again(self, error: BaseException, seconds: float) -> None:
        """Record a failed try, wait, and start the next attempt."""
        self.fail_attempt(error)
        if seconds > 0:
            await self._journal.sleep(seconds)
        tries = _tries.get()
        if tries is not None:
            tries.restart()
        self.begin_attempt()

    def fell_back(self, error: BaseException) -> None:
        """Log that the last try failed and `exec_fallback` gave a result in its place."""
        text = f"exec_fallback gave a result in place of: {describe_error(error)}\n{describe_failure(error).traceback}"
        self._journal.log("WARNING", text, self.node_id, self.number, self.attempt)


class _Tries:
    """The numbers under which one execute phase asked, per request id.

    Parallel nodes run several execute phases at once, each in a task of its own: a count of the whole visit alone
    could not be turned back for one of them.
    """

    def __init__(self, visit: RunningVisit) -> None:
        self.visit = visit
        self._numbers: dict[str, list[int]] = {}
        self._used: dict[str, int] = {}

    def number(self, request_id: str) -> int:
        numbers = self._numbers.setdefault(request_id, [])
        place = self._used.get(request_id, 0)
        self._used[request_id] = place + 1
        if place == len(numbers):
            numbers.append(self.visit.next_number(request_id))
        return numbers[place]

    def restart(self) -> None:
        self._used.clear()


_tries: ContextVar[_Tries | None] = ContextVar("tries", default=None)
