"""The engine's own watch over the time limits of nodes: for code that the run process can't cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from core.flow.time_limit import Clock, Countdown
from core.link.types import InFlight

GRACE_SECONDS = 2.0
"""How long code that was cancelled at its limit may take to end."""


class TimeLimits:
    """Tells of attempts that go on after their limit and the grace; time in which they wait does not count."""

    def __init__(self, overdue: Callable[[InFlight], None], clock: Callable[[], Clock] = asyncio.get_running_loop):
        self._overdue = overdue
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    def begin(self, flight: InFlight) -> None:
        """An attempt begins."""
        self.end(flight.node)
        if flight.timeout is not None:
            self._watched[flight.node] = _Watched(
                Countdown(self._clock(), flight.timeout + GRACE_SECONDS, lambda: self._overdue(flight)),
                f"{flight.node}:{flight.visit}:",
            )

    def end(self, node: str) -> None:
        """The node's attempt has ended."""
        watched = self._watched.pop(node, None)
        if watched is not None:
            watched.countdown.end()

    def awaited(self, keys: Iterable[str]) -> None:
        """The code awaits just these requests now."""
        if self._watched:
            keys = list(keys)
            for watched in self._watched.values():
                watched.wait(any(key.startswith(watched.prefix) for key in keys))

    def clear(self) -> None:
        """The process is gone, or what it says no longer counts."""
        for node in list(self._watched):
            self.end(node)


class _Watched:
    """One attempt; `prefix` is what the keys of its requests begin with."""

    def __init__(self, countdown: Countdown, prefix: str) -> None:
        self.countdown = countdown
        self.prefix = prefix
        self._waits = False

    def wait(self, waits: bool) -> None:
        if waits and not self._waits:
            self.countdown.hold()
        elif self._waits and not waits:
            self.countdown.release()
        self._waits = waits
