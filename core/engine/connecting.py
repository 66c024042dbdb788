"""Accounts whose connecting was begun over a link: the engine looks until they are there, whoever else does or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from core.errors import NotConnected, RondoError
from core.tools.hub import ToolHub
from core.tools.provider import ENDED, ConnectRequest

PAUSE_SECONDS = 5.0
"""Between two looks; who waits at a screen looks more often."""
LONGEST = 600.0
"""Seconds for which a link holds where nobody says how long."""

log = structlog.get_logger()


class ConnectionWatch:
    """Looks at begun connections until they are active, have ended, or their links have.

    Of an app whose account is there `go_on` is told, of one whose account will not come `given_up`.
    """

    def __init__(
        self,
        hub: ToolHub,
        go_on: Callable[[str], Awaitable[None]],
        given_up: Callable[[str], None],
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._go_on = go_on
        self._given_up = given_up
        self._now = now
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, provider: str, request: ConnectRequest) -> None:
        """Begin to look; the same connection is looked at once."""
        if request.connection_id in self._tasks or not request.link:
            return
        task = asyncio.create_task(self._look(provider, request), name=f"connecting {request.app}")
        self._tasks[request.connection_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.connection_id, None))

    async def close(self) -> None:
        """Look no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, provider: str, request: ConnectRequest) -> None:
        ends_at = request.expires_at if request.expires_at is not None else self._now() + LONGEST
        while self._now() < ends_at:
            await self._sleep(PAUSE_SECONDS)
            try:
                found = await self._hub.connection(request.app, request.connection_id, provider)
                if found.usable:
                    await self._go_on(found.app)
                    return
            except NotConnected as error:
                log.info("a connection is gone", app=request.app, problem=error.message)
                break
            except RondoError as error:
                log.info("a connection could not be looked at", app=request.app, problem=error.message)
                continue
            if found.state in ENDED:
                break
        self._given_up(request.app)
