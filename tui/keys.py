"""Doubled keys such as `gg`, next to actions that the same key has alone; keys that come in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from textual.widget import Widget

WAIT_SECONDS = 0.35
"""How long a key that may be doubled waits for its second press."""


ROUNDS = 3
"""How often the messages that a key leads to may be answered by others (`Submitted` of an input, then of its field)."""
PATIENCE_SECONDS = 0.25
"""How long a key waits for the one before it; a screen that goes meanwhile never answers."""


async def taken_in(widget: Widget) -> None:
    """Wait until a key that went to a widget did what it does, also by messages to its parents: the keys after it in
    the same piece belong to whoever has the focus then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(ROUNDS):
                for node in widget.ancestors_with_self:
                    heard = asyncio.Event()
                    if isinstance(node, Widget) and node.is_attached and node.call_later(heard.set):
                        await heard.wait()


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
