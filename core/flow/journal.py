"""What the interpreter asks of the world: it has no clock, no randomness and no I/O but this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from core.flow.time_limit import Clock


@dataclass(frozen=True, slots=True)
class Delta:
    """What a step changed in the state.

    `operations` is the JSON text of a list of
    `["set", path, value]`, `["del", path]`, `["append", path, [item, ...]]`,
    `["setb", path, i]` and `["appendb", path, i]`, where a path is a list of keys and indexes from the top of the
    state and `i` counts into `blobs`: the JSON texts of values over 4 KiB (for `appendb`: of the list of items).
    """

    operations: bytes
    blobs: tuple[bytes, ...] = ()
    changed: int = 0
    """How many operations there are; 0 means that nothing changed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, as it is shown to a person."""

    type: str
    message: str
    traceback: str = ""
    cause: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of a visit that failed. Times are seconds since 1970.

    With `final` the visit has failed for good, whatever attempts are left: only `on_error` is to be asked.
    """

    node: str
    visit: int
    attempt: int
    started_at: float
    ended_at: float
    failure: Failure
    final: bool = False


@dataclass(frozen=True, slots=True)
class Routing:
    """The next node and why: `reason` is `edge`, `default`, `true`, `goto`, `on_error`, `end` or `dag`.

    `errors` maps "to: condition" to an error text. In mode dag `next` is the node that is first in turn, `taken` are
    the nodes that the visit leads on to, and `refused` those that it has an edge to and does not.
    """

    next: str | None
    reason: str
    condition: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """What is known of an attempt when it begins, for whoever sees its process die.

    `attempts` is how many the visit may have; `last` says that the run fails with this one. `pause` is how many seconds
    follow it before the next, `timeout` how many it may take.
    """

    attempts: int = 1
    last: bool = True
    pause: float = 0.0
    timeout: float | None = None


COMPLETED, FALLBACK, SKIPPED = "completed", "fallback", "skipped"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One completed visit. `snapshot` is the whole state's JSON text where the rules ask for one.

    `own` are the operations by which the node changed what it saw, where a reducer made another `delta` of them; they
    refer to the delta's blobs. `outcome` is `completed`, `fallback` where `exec_fallback` gave the result, or `skipped`
    where the visit failed for good, with `failure`, and `on_error` let the run go on.
    """

    seq: int
    node: str
    visit: int
    attempt: int
    started_at: float
    ended_at: float
    routing: Routing
    delta: Delta
    snapshot: bytes | None = None
    own: bytes = b""
    outcome: str = COMPLETED
    failure: Failure | None = None


TIMER = "timer"
"""Kind and input type of a request for a time to come."""
SUBFLOW = "subflow"
"""Kind and input type of a request for the run of another workflow; its id is that workflow's name."""
ERROR = "error"
"""Kind of the request that asks what to do about a node that failed."""
ON_ERROR = "on_error"
"""Its id; as its number it has that of the attempt that failed last."""
RETRY, SKIP, FAIL = "retry", "skip", "fail"
"""Its answers."""
BUDGET = "budget"
"""Kind of the request that asks whether calls may go on beyond a budget; its id names the budget."""
REPEAT = "repeat"
"""Kind and id of the request that asks whether calls are to be repeated of which nobody knows whether they acted."""
CONNECTION = "connection"
"""Kind of the request for an account of a tool; it is also answered by connecting one."""
FOR_PEOPLE = frozenset({"input", ERROR, BUDGET, REPEAT, CONNECTION})
"""The kinds of requests that only a person answers."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question to a person (or another thing to wait for).

    `nth` counts the calls with this `request_id` within the visit from 0; with node and visit it is the request's key.
    """

    node: str
    visit: int
    request_id: str
    nth: int
    prompt: str | None = None
    options: Any = None
    input_type: str = "text"
    kind: str = "input"
    due: float | None = None
    """When a request of kind timer is answered by itself, in seconds since 1970."""

    @property
    def key(self) -> str:
        """The request's key within its line: `node:visit:request_id:nth`."""
        return f"{self.node}:{self.visit}:{self.request_id}:{self.nth}"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a model, an address or a tool (`kind`: llm, http, tool), which the engine makes and records.

    `key` is the idempotency key of the visit, or of the item of a map, `nth` counts its calls with this very request
    from 0, `hash` is the request's fingerprint, `text` its JSON text: together they find a recorded result again.
    """

    node: str
    visit: int
    key: str
    nth: int
    kind: str
    hash: str
    text: bytes


class AskFirst(Exception):
    """A call is made only once that request is answered; then it is to be tried again."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.prompt)
        self.request = request


class Journal(Protocol):
    """Where an interpreter's acts are kept; three drivers implement it (see docs/architecture.md)."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        ...

    def random(self) -> float:
        """A number in [0, 1): the interpreter has no randomness of its own."""
        ...

    def clock(self) -> Clock:
        """What measures time limits."""
        ...

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        """An attempt begins. Published, not durable."""
        ...

    def attempt_failed(self, record: AttemptRecord) -> None:
        """An attempt failed and another follows, or the visit fails with it. Durable with the next thing that is."""
        ...

    async def step(self, record: StepRecord) -> None:
        """A visit is complete: return only when the record is durable."""
        ...

    async def request(self, request: Request) -> Any:
        """Ask and wait: return the answer, recorded or new."""
        ...

    async def call(self, call: Call) -> dict[str, Any]:
        """Have a call made, or its recorded result given: return the reply; raises RondoError, and AskFirst."""
        ...

    def spend_calls(self, key: str) -> None:
        """What was recorded under this key is not given again. Durable with the next thing that is."""
        ...

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        """Add a line to the run's log; level is DEBUG, INFO, WARNING, ERROR or EDGE."""
        ...
