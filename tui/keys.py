"""Doubled keys such as `gg`, next to actions that the same key has alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

WAIT_SECONDS = 0.35
"""How long a key that may be doubled waits for its second press."""


class Timers(Protocol):
    """Who can call back later: the app."""

    def call_later_in(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after some time; returns what cancels that."""
        ...


class DoubledKeys:
    """Holds a first press back until it is doubled, another key comes or the time is over."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._pending = ""
        self._alone: Callable[[], None] | None = None
        self._cancel: Callable[[], None] | None = None

    @property
    def pending(self) -> str:
        """The key that waits for its second press, or ""."""
        return self._pending

    def press(self, key: str, *, doubled: Callable[[], None] | None, alone: Callable[[], None] | None) -> None:
        """A press of a key: the second one within the time does `doubled`, a lone one `alone`."""
        if self._pending == key:
            self._forget()
            if doubled is not None:
                doubled()
            return
        self.settle()
        if doubled is None:
            if alone is not None:
                alone()
            return
        self._pending = key
        self._alone = alone
        self._cancel = self._timers.call_later_in(WAIT_SECONDS, self.settle)

    def settle(self) -> None:
        """Do what the waiting key means alone: no second press came."""
        alone = self._alone
        self._forget()
        if alone is not None:
            alone()

    def _forget(self) -> None:
        if self._cancel is not None:
            self._cancel()
        self._pending = ""
        self._alone = None
        self._cancel = None
