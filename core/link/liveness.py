"""Noticing that the other end of a connection that stands says nothing any more: its process is stopped or stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TICK_SECONDS = 1.0
PING_AFTER = 2
SILENT_AFTER = 5
"""Ticks without a word after which it is asked to say something, and after which it counts as silent."""


class Liveness:
    """Counts ticks in which nothing was heard.

    Ticks and not the clock, so that a client which stood still itself doesn't blame the engine. `ping` asks for a word
    and `tell` hears True when the silence begins and False when it is over.
    """

    def __init__(self, ping: Callable[[], None]) -> None:
        self.tell: Callable[[bool], None] = lambda silent: None
        self.silent = False
        self._ping = ping
        self._quiet_ticks = 0

    def heard(self) -> None:
        """Something came."""
        self._quiet_ticks = 0
        if self.silent:
            self.silent = False
            self.tell(False)

    async def watch(self) -> None:
        """Watch for ever; nothing is sent while anything comes by itself."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._quiet_ticks += 1
            if self._quiet_ticks == PING_AFTER:
                self._ping()
            elif self._quiet_ticks >= SILENT_AFTER and not self.silent:
                self.silent = True
                self.tell(True)
