"""A limit to the time that something works: the clock can be stopped while it waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Handle(Protocol):
    """Something that is to happen later."""

    def cancel(self) -> None:
        """Let it not happen."""
        ...


class Clock(Protocol):
    """A clock that only goes on, and an alarm to it: an event loop is one."""

    def time(self) -> float:
        """Seconds since some moment."""
        ...

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Handle:
        """Call back in so many seconds."""
        ...


class Countdown:
    """Rings once, when its seconds are over; while anybody holds it, they do not pass."""

    def __init__(self, clock: Clock, seconds: float, ring: Callable[[], Any]) -> None:
        self._clock = clock
        self._left = seconds
        self._ring = ring
        self._holds = 0
        self._since = 0.0
        self._handle: Handle | None = None
        self._ended = False
        self._go()

    @property
    def over(self) -> bool:
        """True once the seconds have passed, also where nobody has had the time to ring yet."""
        passed = self._clock.time() - self._since if self._handle is not None else 0.0
        return self._left - passed <= 0

    def hold(self) -> None:
        """Stop the clock until as many have released it as hold it."""
        self._holds += 1
        if self._holds == 1 and self._handle is not None:
            self._stop()

    def release(self) -> None:
        """Let the clock go on, where nobody else holds it."""
        self._holds -= 1
        if self._holds == 0 and not self._ended:
            self._go()

    def end(self) -> None:
        """Never ring any more."""
        self._ended = True
        if self._handle is not None:
            self._stop()

    def _go(self) -> None:
        self._since = self._clock.time()
        self._handle = self._clock.call_later(max(self._left, 0.0), self._rings)

    def _stop(self) -> None:
        assert self._handle is not None
        self._handle.cancel()
        self._handle = None
        self._left -= self._clock.time() - self._since

    def _rings(self) -> None:
        if self._handle is not None:
            self._stop()
            self._left = min(self._left, 0.0)
            self._ended = True
            self._ring()
