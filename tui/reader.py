"""Reading the same thing of the engine again and again while it changes, without ever piling up calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

from core.errors import RondoError
from tui.messages import EngineFailed

Result = TypeVar("Result")


class Reader(Generic[Result]):
    """Reads at once when something is wanted, and then at most every `period` seconds, one call at a time.

    `call` makes the call with what is wanted at that moment; the result reaches the owner as the message that `reply`
    makes of it. What was wanted while a call ran is read after it, so the last wish is always served.
    """

    def __init__(
        self,
        owner: Widget,
        name: str,
        call: Callable[[], Awaitable[Result]],
        reply: Callable[[Result], Message],
        *,
        period: float = 0.04,
    ) -> None:
        self._owner = owner
        self._name = name
        self._call = call
        self._reply = reply
        self._period = period
        self._wanted = False
        self._reading = False

    @property
    def reading(self) -> bool:
        """True while a call runs or is due."""
        return self._reading

    def want(self) -> None:
        """What was read may be out of date."""
        self._wanted = True
        if not self._reading:
            self._reading = True
            self._owner.run_worker(self._read, group=f"read {self._name}", name=self._name)  # type: ignore[arg-type]

    async def _read(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self._read_once(self._owner)
                await asyncio.sleep(self._period)
        finally:
            self._reading = False

    async def _read_once(self, owner: MessagePump) -> None:
        try:
            result = await self._call()
        except RondoError as error:
            owner.post_message(EngineFailed(error, f"reading {self._name}", reading=True))
        else:
            owner.post_message(self._reply(result))
