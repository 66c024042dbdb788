"""A visit while it runs: what its node may ask of it, its attempts, its time limit, and what is recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from core.errors import EarlierFailure, NodeTimeout, RondoError
from core.flow.calling import Calling, call_hash
from core.flow.failure import describe_error, describe_failure
from core.flow.graph import NodeSpec
from core.flow.journal import (
    ERROR,
    FAIL,
    ON_ERROR,
    RETRY,
    SKIP,
    SUBFLOW,
    TIMER,
    AttemptPlan,
    AttemptRecord,
    Call,
    Failure,
    Journal,
    Request,
)
from core.flow.limit import Limit, LimitedPhase
from core.flow.position import Trial
from core.flow.tries import Tries, begin_tries, end_tries, present_tries
from core.flow.values import encode_value
from core.sdk.node import Node
from core.sdk.tools import Tools
from core.sdk.visit import LastError, Visit

PLAIN = AttemptPlan()
AROUND = ".around"
"""Behind the key of calls that are made around the execute phase."""
MESSAGE_LENGTH = 500
"""Characters of a failure's message in the question what to do about it."""


class VisitFailed(RondoError):
    """A visit failed for good; `failure` says why, `error` is the exception itself."""

    def __init__(self, node: str, visit: int, attempt: int, failure: Failure, error: BaseException) -> None:
        super().__init__(f"{failure.type}: {failure.message}", cause=failure.cause, next_step=failure.next_step)
        self.node = node
        self.visit = visit
        self.attempt = attempt
        self.failure = failure
        self.error = error


class RunningVisit(Visit):
    """The visit of a node in a run; attempts are numbered on from those that earlier processes have used up."""

    def __init__(
        self,
        journal: Journal,
        spec: NodeSpec,
        number: int,
        trial: Trial,
        run_key: tuple[str, int],
        output_dir: Path,
        tools: Tools,
        last_error: LastError | None = None,
    ) -> None:
        super().__init__()
        self.node_id = spec.id
        self.number = number
        self.attempt = trial.attempts
        self.started_at = 0.0
        self.tools = tools
        self.last_error = last_error
        self.fallen_back = False
        self._journal = journal
        self._spec = spec
        self._forgiven = trial.forgiven
        self._failure = trial.failure
        self._final = trial.final
        self._run_key = run_key
        self._output_dir = output_dir
        self._asked: dict[str, int] = {}
        self._node: Node | None = None
        self._limit = Limit(spec.id, spec.timeout) if spec.timeout is not None else None
        self._calling = Calling(journal, spec.id, number, self._clock_stands)

    # Attempts -----------------------------------------------------------------------------------------------------

    @property
    def used(self) -> int:
        """Attempts of the present round that have begun."""
        return self.attempt - self._forgiven

    def enter(self, node: Node) -> None:
        """Get ready for a pass through the phases of this node; the next attempt is its first."""
        self.chosen = None
        self._asked.clear()
        self._maps = 0
        self.fallen_back = False
        self.tries_used = min(self.used, node.tries_allowed)
        exhausted = self.tries_used == node.tries_allowed
        self.earlier_error = _error_of(self._failure) if exhausted and self._failure is not None else None
        self._node = node

    def require_attempt(self, node: Node) -> None:
        """Raise VisitFailed where the visit has failed for good, or all attempts are used up, `exec_fallback` too."""
        if self._failure is not None and (self._final or self.used >= node.tries_allowed + node.has_fallback):
            raise VisitFailed(self.node_id, self.number, self.attempt, self._failure, _error_of(self._failure))

    def begin_attempt(self) -> None:
        """Start the next attempt."""
        self.attempt += 1
        self.started_at = self._journal.now()
        self._journal.started(self.node_id, self.number, self.attempt, self._plan())
        if self._limit is not None:
            self._limit.begin(self._journal.clock())

    def _plan(self) -> AttemptPlan:
        node = self._node
        if node is None:
            return PLAIN
        allowed, has_fallback = node.tries_allowed, node.has_fallback
        timeout, fails = self._spec.timeout, self._spec.on_error == "fail"
        if allowed == 1 and not has_fallback and fails and timeout is None:
            return PLAIN
        attempts = allowed + has_fallback
        pause = node.pause_after(self.used) if self.used < allowed else 0.0
        return AttemptPlan(self._forgiven + attempts, fails and self.used >= attempts, pause, timeout)

    def fail_attempt(self, error: BaseException, *, final: bool = False) -> Failure:
        """Record that the present attempt failed; with `final`, and the visit with it."""
        self.end()
        if not isinstance(error, NodeTimeout):
            # What took too long was not wrong: the next try has it at once.
            self.spend_calls()
            if final:
                self._calling.spend(self.idempotency_key + AROUND)
        self._failure = failure = describe_failure(error)
        ended_at = self._journal.now()
        self._journal.attempt_failed(
            AttemptRecord(self.node_id, self.number, self.attempt, self.started_at, ended_at, failure, final)
        )
        return failure

    async def try_again(self, error: BaseException, seconds: float) -> None:
        """Record a failed try, wait, and start the next attempt."""
        self.fail_attempt(error)
        if seconds > 0:
            await self._journal.sleep(seconds)
        self.ask_again()
        self.begin_attempt()

    def fall_back(self, error: BaseException) -> None:
        """Record that the last try failed and start the attempt of `exec_fallback`."""
        self.fail_attempt(error)
        self.begin_attempt()

    def note_fallback(self, error: BaseException) -> None:
        """From here on a result comes from `exec_fallback`."""
        self.fallen_back = True
        self.log("WARNING", f"exec_fallback is to give a result in place of: {describe_error(error)}")

    def end(self) -> None:
        """The attempt is over."""
        if self._limit is not None:
            self._limit.end()

    @property
    def out_of_time(self) -> bool:
        return self._limit is not None and self._limit.is_over

    def phase(self) -> AbstractContextManager[None]:
        """Stands around each phase: at the time limit it is cancelled and fails with NodeTimeout."""
        return LimitedPhase(self._limit) if self._limit is not None else _NO_LIMIT

    def _clock_stands(self) -> AbstractContextManager[None]:
        """Stands around what is awaited of somebody else: it takes nothing of the time limit."""
        return self._limit.stands_still() if self._limit is not None else _NO_LIMIT

    async def ask_what_to_do(self, failure: Failure) -> str:
        """Ask a person about a visit that failed for good: retry, skip or fail. A retry starts another round."""
        message = failure.message if len(failure.message) <= MESSAGE_LENGTH else f"{failure.message[:MESSAGE_LENGTH]}…"
        prompt = f"{self.node_id} failed: {failure.type}: {message}"
        options = [
            {"value": RETRY, "label": "retry: run the node again"},
            {"value": SKIP, "label": "skip: go on without it"},
            {"value": FAIL, "label": "fail: end the run as failed"},
        ]
        answer: str = await self._journal.request(
            Request(self.node_id, self.number, ON_ERROR, self.attempt, prompt, options, "select", ERROR)
        )
        if answer == RETRY:
            self._forgiven = self.attempt
            self._failure = None
            self._final = False
        return answer

    # What the node may ask ----------------------------------------------------------------------------------------

    @property
    def idempotency_key(self) -> str:
        """Text that is the same for every attempt of this visit, also after a crash, and for no other visit."""
        parts = [*self._run_key, self.node_id, self.number, *self.place]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def output_dir(self) -> Path:
        """The folder for files that this run writes; it is made on first use."""
        self._output_dir.mkdir(parents=True, exist_ok=True)
        return self._output_dir

    async def request_input(
        self, prompt: str | None = None, options: Any = None, input_type: str = "text", request_id: str | None = None
    ) -> Any:
        """Ask a person and return the answer, at once where it was given before.

        Raises StateValueError where the options are not JSON, ValueError for a request id that is Rondo's own.
        """
        request_id = self._request_id(self.node_id if request_id is None else str(request_id))
        asked = [None if prompt is None else str(prompt), options, str(input_type), request_id]
        _, (prompt, options, input_type, request_id) = encode_value(asked, (), self.node_id, "request_input")
        nth = self._number(request_id)
        with self._clock_stands():
            return await self._journal.request(
                Request(self.node_id, self.number, request_id, nth, prompt, options, input_type)
            )

    async def wait(self, request_id: str, *, seconds: float = 0.0, due: float | None = None) -> None:
        """Wait for some seconds, or until a moment: a request that the engine answers itself when it is due."""
        if due is None:
            due = self._journal.now() + seconds
        request_id = self._request_id(str(request_id))
        nth = self._number(request_id)
        with self._clock_stands():
            await self._journal.request(
                Request(self.node_id, self.number, request_id, nth, input_type=TIMER, kind=TIMER, due=due)
            )

    async def run_workflow(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run another workflow and return its final state: a request that the engine answers at that run's end.

        Raises SubflowFailed, and StateValueError where the inputs are not JSON.
        """
        request_id = self._request_id(str(name))
        _, inputs = encode_value(inputs, (), self.node_id, "run_workflow")
        options = {"workflow": str(name), "inputs": inputs}
        nth = self._number(request_id)
        with self._clock_stands():
            answer = await self._journal.request(
                Request(self.node_id, self.number, request_id, nth, None, options, SUBFLOW, SUBFLOW)
            )
        if (error := answer.get("error")) is not None:
            raise RondoError.from_dict(error)
        state: dict[str, Any] = answer["state"]
        return state

    async def call(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """Have the engine call a model, an address or a tool, and return the reply, at once where it is recorded.

        The time limit goes on meanwhile, but for the time in which a person is asked whether it may be made. Raises
        StateValueError where the request is not JSON, and what the call came to.
        """
        text, request = encode_value(request, (), self.node_id, f"self.{kind}")
        key, fingerprint = self.idempotency_key, call_hash(kind, request)
        if present_tries(self) is None:
            # Of prepare or cleanup: no try of the execute phase makes it anew.
            key += AROUND
        nth = self._number(f"\0{key}{fingerprint}")
        return await self._calling.call(Call(self.node_id, self.number, key, nth, kind, fingerprint, text))

    def spend_calls(self) -> None:
        """What was called in the present try is called anew: that try failed."""
        self._calling.spend(self.idempotency_key)

    async def pause(self, seconds: float) -> None:
        """Wait between two tries of an item."""
        await self._journal.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._journal.random()

    def log(self, level: str, text: str) -> None:
        """Add a line to the run's log."""
        self._journal.log(level, text, self.node_id, self.number, self.attempt)

    # Numbers of requests ------------------------------------------------------------------------------------------

    def next_map(self) -> int:
        """The number of the present map; tries that begin again have the same ones again."""
        return self._number(_MAP)

    @contextmanager
    def tries(self) -> Iterator[None]:
        """Stands around the tries of one execute phase, or of an item: each of them asks under the same numbers again.

        The numbers of an item come from the tries that its map belongs to.
        """
        outer = present_tries(self)
        token = begin_tries(Tries(self, self._next_number if outer is None else outer.number))
        try:
            yield
        finally:
            end_tries(token)

    def ask_again(self) -> None:
        """What the present tries asked is asked under the same numbers again."""
        tries = present_tries(self)
        if tries is not None:
            tries.restart()

    def _request_id(self, request_id: str) -> str:
        """The id of a request, in a map with the place of the item: the order in which items ask is any."""
        if request_id == ON_ERROR:
            raise ValueError(f"the request id {ON_ERROR!r} is taken: under it Rondo asks about nodes that failed")
        return request_id + "".join(f"[{_place_text(part)}]" for part in self.place)

    def _number(self, request_id: str) -> int:
        """The number of the present call with this id."""
        tries = present_tries(self)
        return tries.number(request_id) if tries is not None else self._next_number(request_id)

    def _next_number(self, request_id: str) -> int:
        nth = self._asked.get(request_id, 0)
        self._asked[request_id] = nth + 1
        return nth


def _place_text(part: Any) -> str:
    return f"{part[0]}:{part[1]}" if isinstance(part, tuple) else str(part)


_NO_LIMIT = nullcontext()
_MAP = "\0map"
"""Under which name maps are counted; no request has it."""


def _error_of(failure: Failure) -> Exception:
    """What an attempt in another process failed with, as far as it can be had again."""
    kind = RondoError.known.get(failure.type)
    if kind is None:
        message = f"{failure.type}: {failure.message}"
        return EarlierFailure(message, cause=failure.cause, next_step=failure.next_step)
    return RondoError.from_dict(
        {
            "type": failure.type,
            "message": failure.message,
            "cause": failure.cause,
            "next_step": failure.next_step,
        }
    )
