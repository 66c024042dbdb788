"""Says where code stands that blocks the event loop beyond a time limit, before the engine kills the process."""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Callable
from typing import Any

from core.flow.time_limit import Handle

LATE_SECONDS = 1.0
"""After how much more than the limit the loop is taken to be blocked; the engine gives it twice as long."""
OUTPUT = 2


class StallClock:
    """The clock of an event loop; where the loop cannot ring in time, the stacks of all threads are written out.

    The fault handler does that from below Python, also while some library's code never lets go of the interpreter.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._alarms: set[_Alarm] = set()

    def time(self) -> float:
        """Seconds since some moment."""
        return self._loop.time()

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Handle:
        """Call back in so many seconds."""
        alarm = _Alarm(self, callback)
        alarm.handle = self._loop.call_later(delay, alarm.ring)
        self._alarms.add(alarm)
        self._watch()
        return alarm

    def forget(self, alarm: _Alarm) -> None:
        """The alarm has rung, or is not to."""
        if alarm in self._alarms:
            self._alarms.discard(alarm)
            self._watch()

    def _watch(self) -> None:
        if not self._alarms:
            faulthandler.cancel_dump_traceback_later()
            return
        first = min(alarm.handle.when() for alarm in self._alarms)
        seconds = max(first - self._loop.time(), 0.0) + LATE_SECONDS
        if seconds < MOST_SECONDS:
            faulthandler.dump_traceback_later(seconds, file=OUTPUT)


MOST_SECONDS = 1e9
"""Longer is more than the fault handler can count."""


class _Alarm:
    """One thing that is to be rung."""

    handle: asyncio.TimerHandle

    def __init__(self, clock: StallClock, callback: Callable[[], Any]) -> None:
        self._clock = clock
        self._callback = callback

    def ring(self) -> None:
        """The time has come."""
        self._clock.forget(self)
        self._callback()

    def cancel(self) -> None:
        """Let it not ring."""
        self.handle.cancel()
        self._clock.forget(self)
