"""What is due at a moment: kept in order, and handed over when the clock on the wall says so."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Awaitable, Callable

import structlog

from core.errors import RondoError

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""Longest time between two looks at the wall clock.

An event loop sleeps by the monotonic clock, which neither hears of a clock that was set nor goes on while the machine
sleeps. After either, a timer that is due by then is at most so late.
"""
RETRY_SECONDS = 30.0
"""After how long a timer that could not be handed over is tried again."""

TimerKey = tuple[str, int, str]
"""Run id, line, key of the request."""


class Timers:
    """Hands each timer to `fire` once, never before it is due by `now` (seconds since 1970)."""

    def __init__(self, now: Callable[[], float], fire: Callable[[TimerKey], Awaitable[None]]) -> None:
        self._now = now
        self._fire = fire
        self._due: dict[TimerKey, float] = {}
        self._order: list[tuple[float, TimerKey]] = []
        self._changed = asyncio.Event()
        self._firing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """True while there is a timer, however far away: nobody else would wake the engine for it."""
        return bool(self._due) or bool(self._firing)

    def add(self, key: TimerKey, due: float) -> None:
        """Keep a timer; the same key again changes its time."""
        self._due[key] = due
        heapq.heappush(self._order, (due, key))
        self._changed.set()

    def discard(self, key: TimerKey) -> None:
        """Forget a timer that nobody needs any more."""
        self._due.pop(key, None)

    def take_due(self) -> list[TimerKey]:
        """The timers that are due now, earliest first; they are forgotten here."""
        taken: list[TimerKey] = []
        now = self._now()
        while self._order and (self._order[0][0] <= now or self._is_past(self._order[0])):
            due, key = heapq.heappop(self._order)
            if self._due.get(key) == due:
                del self._due[key]
                taken.append(key)
        return taken

    def seconds_to_next(self) -> float:
        """How long to sleep before the next look."""
        if not self._order:
            return LOOK_SECONDS
        return min(max(0.0, self._order[0][0] - self._now()), LOOK_SECONDS)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._loop = asyncio.create_task(self._run(), name="timers")

    async def close(self) -> None:
        """Hand over no more."""
        tasks = [*self._firing, *([self._loop] if self._loop is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            for key in self.take_due():
                task = asyncio.create_task(self._hand_over(key), name=f"timer of run {key[0][-8:]}")
                self._firing.add(task)
                task.add_done_callback(self._firing.discard)
            if self._order:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.seconds_to_next()):
                        await self._changed.wait()
            else:
                await self._changed.wait()

    async def _hand_over(self, key: TimerKey) -> None:
        try:
            await self._fire(key)
        except RondoError as error:
            log.warning("a timer is tried again", run=key[0], error=error.message)
            self.add(key, self._now() + RETRY_SECONDS)
        except Exception:
            # No timer is lost for a defect in what it wakes, and no other waits for it.
            log.exception("a timer is tried again", run=key[0])
            self.add(key, self._now() + RETRY_SECONDS)

    def _is_past(self, entry: tuple[float, TimerKey]) -> bool:
        """True for an entry whose timer was forgotten or has another time now."""
        due, key = entry
        return self._due.get(key) != due
