"""Waiting for services: what may be sent again is, after the time that the service names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import ToolRateLimited, ToolUnreachable

T = TypeVar("T")

Sleep = Callable[[float], Awaitable[object]]
Noted = Callable[[str], None]
"""Is told in words what is waited for."""


class Patience:
    """How often and how long is waited. `sleep` takes seconds and is given in by tests."""

    def __init__(
        self,
        *,
        attempts: int = 4,
        first: float = 1.0,
        longest: Callable[[], float] = lambda: 120.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._attempts = attempts
        self._first = first
        self._longest = longest
        self._sleep = sleep

    async def keep_at(self, send: Callable[[], Awaitable[T]], noted: Noted | None = None) -> T:
        """Call until it goes through: again after a rate limit (which did not act) and where nothing was done.

        Both errors say that acting again does no harm. A Retry-After that is longer than `longest` is not waited for.
        """
        attempt = 1
        while True:
            try:
                return await send()
            except (ToolRateLimited, ToolUnreachable) as error:
                named = error.retry_after if isinstance(error, ToolRateLimited) else None
                seconds = named if named is not None else self._first * 2 ** (attempt - 1)
                if attempt >= self._attempts or seconds > self._longest():
                    raise
                if noted is not None:
                    noted(f"{error.message} Again in {seconds:g} s.")
            await self._sleep(seconds)
            attempt += 1
