"""The time limit of a visit's attempts, kept around its phases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from core.errors import NodeTimeout
from core.flow.failure import place_of
from core.flow.time_limit import Clock, Countdown


class Limit:
    """Cancels the phases of a visit when an attempt has taken `seconds`; they fail with NodeTimeout."""

    def __init__(self, node: str, seconds: float) -> None:
        self.seconds = seconds
        self._node = node
        self._countdown: Countdown | None = None
        self._expired = False
        self._phases: set[LimitedPhase] = set()

    def begin(self, clock: Clock) -> None:
        """An attempt begins."""
        self.end()
        self._expired = False
        self._countdown = Countdown(clock, self.seconds, self._expire)

    def end(self) -> None:
        """It has ended."""
        if self._countdown is not None:
            self._countdown.end()
            self._countdown = None

    @contextmanager
    def stands_still(self) -> Iterator[None]:
        """Stands around what is awaited of somebody else: it takes nothing of the time."""
        countdown = self._countdown
        if countdown is None:
            yield
            return
        countdown.hold()
        try:
            yield
        finally:
            countdown.release()

    @property
    def is_over(self) -> bool:
        """True once the attempt has taken too long, also where the event loop was blocked and nobody could ring."""
        return self._expired or (self._countdown is not None and self._countdown.over)

    def _expire(self) -> None:
        self._expired = True
        for phase in list(self._phases):
            phase.cancel()

    def add(self, phase: LimitedPhase) -> None:
        """A phase begins."""
        self._phases.add(phase)

    def discard(self, phase: LimitedPhase) -> None:
        """It has ended."""
        self._phases.discard(phase)

    def error(self, caught: BaseException | None) -> NodeTimeout:
        """The failure, with the place where the code stood when it was cancelled."""
        place = place_of(caught) if caught is not None else ""
        return NodeTimeout(
            f"{self._node} took longer than {self.seconds:g} s.",
            cause=f"Its time limit (timeout). It stood at {place}." if place else "Its time limit (timeout).",
            next_step="Make it faster, or give it a larger timeout in the workflow's JSON; waiting for an answer or a "
            "timer does not count.",
        )


class LimitedPhase:
    """One phase in the present task. What was cancelled from outside stays cancelled."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._cancelled = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._limit.add(self)

    def cancel(self) -> None:
        """The time is over."""
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.discard(self)
        if self._cancelled and self._task is not None and self._task.uncancel() > self._cancelling:
            return
        if not self._cancelled and (not self._limit.is_over or isinstance(error, asyncio.CancelledError)):
            return
        # Also where the code went on after its cancellation, or blocked the loop: the limit holds for all the same.
        if error is None or isinstance(error, Exception | asyncio.CancelledError):
            raise self._limit.error(error) from error
