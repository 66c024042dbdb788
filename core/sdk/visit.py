"""What a node may know of the visit it is in."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import NoCallsHere, NoSubflowsHere, RondoError
from core.sdk.tools import Tools

RequestInput = Callable[..., Awaitable[Any]]
"""`request_input(prompt=None, options=None, input_type="text", request_id=None)`."""

Place = tuple[Any, ...]
"""Where in (nested) maps an item is: its index for the first map of a visit, else the map's number and its index."""


class LastError(NamedTuple):
    """Why the node before failed, where `on_error` let the run go on from there."""

    node: str
    type: str
    message: str


class Visit:
    """One visit of a node. This one belongs to no run: it is what `run_standalone` gives."""

    tries_used: int = 0
    """Tries of the execute phase that were used up before the phase began."""
    earlier_error: Exception | None = None
    """What the last of them failed with, where no try is left."""
    last_error: LastError | None = None
    beside_others: bool = False
    """True where other nodes may run at the same time: then a plain execute phase must not hold up the event loop."""

    def __init__(self) -> None:
        self.chosen: str | None = None
        self.tools = Tools()
        self._maps = 0

    @property
    def out_of_time(self) -> bool:
        """True once the time limit of the present attempt is over."""
        return False

    @property
    def idempotency_key(self) -> str:
        """Text that is the same for every attempt of this visit, or of this item of a map, and for no other."""
        place = self.place
        return hashlib.sha256(f"{self._own_key}{place}".encode()).hexdigest() if place else self._own_key

    @cached_property
    def _own_key(self) -> str:
        return hashlib.sha256(uuid.uuid4().bytes).hexdigest()

    @property
    def output_dir(self) -> Path:
        """The folder for files that the run writes."""
        folder = Path("output")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def request_input(
        self, prompt: str | None = None, options: Any = None, input_type: str = "text", request_id: str | None = None
    ) -> Any:
        """Ask a person; without an engine there is nobody to ask."""
        raise NotImplementedError("A node that runs alone can't ask for input; run it in a workflow.")

    async def wait(self, request_id: str, *, seconds: float = 0.0, due: float | None = None) -> None:
        """Wait for some seconds, or until a moment in seconds since 1970."""
        await asyncio.sleep(seconds if due is None else max(0.0, due - time.time()))

    async def run_workflow(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run a workflow and return its final state; without an engine there is nobody to run it."""
        raise NoSubflowsHere(
            f"The workflow {name!r} can't be run from here.",
            cause="A node that runs alone has no engine, and only an engine runs one workflow for another.",
            next_step="Run the workflow with rondo run, or with TaskOrchestrator.",
        )

    async def call(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """Have the engine call a model, an address or a tool; without an engine nobody does."""
        raise no_calls_here(kind)

    def spend_calls(self) -> None:
        """What was called in the present try is called anew: that try failed."""

    async def pause(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()

    def log(self, level: str, text: str) -> None:
        """Add a line to the run's log."""

    # Tries --------------------------------------------------------------------------------------------------------

    def phase(self) -> AbstractContextManager[None]:
        """Stands around each phase, and around each try of the execute phase."""
        return nullcontext()

    @contextmanager
    def tries(self) -> Iterator[None]:
        """Stands around the tries of one execute phase."""
        yield

    def ask_again(self) -> None:
        """What the present tries asked is asked under the same numbers again."""

    async def try_again(self, error: BaseException, seconds: float) -> None:
        """A try failed and another follows after `seconds`."""
        await self.pause(seconds)

    def fall_back(self, error: BaseException) -> None:
        """The last try failed, and the attempt of `exec_fallback` begins."""

    def note_fallback(self, error: BaseException) -> None:
        """From here on a result comes from `exec_fallback`."""

    # Items of a map -----------------------------------------------------------------------------------------------

    def next_map(self) -> int:
        """How many maps there were before in the visit."""
        self._maps += 1
        return self._maps - 1

    @property
    def place(self) -> Place:
        """The item of a map that the calling code works on; empty outside of maps."""
        item = _item.get()
        return item[1] if item is not None and item[0] is self else ()

    @contextmanager
    def item(self, number: int, index: int) -> Iterator[None]:
        """Stands around the work on one item of the map of that number."""
        own = index if number == 0 else (number, index)
        token = _item.set((self, (*self.place, own)))
        try:
            yield
        finally:
            _item.reset(token)


def no_calls_here(kind: str) -> RondoError:
    """The refusal of a call where there is no engine to make it."""
    return NoCallsHere(
        f"self.{kind} can't be used here.",
        cause="The engine makes these calls, because it has the keys and keeps the records, and here there is none.",
        next_step="Run the workflow with rondo run, or with TaskOrchestrator.",
    )


_item: ContextVar[tuple[Visit, Place] | None] = ContextVar("item", default=None)
