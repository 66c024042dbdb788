"""Sees to it that lock, socket and database are still the files that the engine uses."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import structlog

from core.engine.lock import EngineLock
from core.errors import DatabaseProblem, RondoError, WorkspaceLocked
from core.link.server import LinkServer

log = structlog.get_logger()

HEARTBEAT_SECONDS = 5.0
LINGER_SECONDS = 20.0
"""How long an engine that lost its workspace still says so to its clients before it ends."""


class WatchedEngine(Protocol):
    """What the heartbeat needs of the engine."""

    def check_files(self) -> None:
        """Raise DatabaseReplaced where the database is no longer the file that was opened."""
        ...

    def set_trouble(self, error: RondoError) -> None: ...

    async def rescue(self) -> None:
        """Keep what only the open files still hold."""
        ...

    async def files_are_back(self) -> None:
        """The database is at its place: take up work, if it was in trouble for it."""
        ...


class Heartbeat:
    """A socket that went is bound again; a lock or database that was replaced stops the engine from taking work."""

    def __init__(
        self, engine: WatchedEngine, server: LinkServer, lock: EngineLock, *, interval: float = HEARTBEAT_SECONDS
    ) -> None:
        self._engine = engine
        self._server = server
        self._lock = lock
        self._interval = interval
        self._in_trouble = False
        self._database_lost = False
        self._lock_lost_at: float | None = None

    async def run(self) -> None:
        """Check every `interval` seconds; return when the engine no longer owns its workspace and may end."""
        while not self._is_over():
            await asyncio.sleep(self._interval)
            await self.check()

    async def check(self) -> None:
        """Compare the files with their paths once."""
        if not self._lock.is_in_place():
            # The socket is left as it is: it may be that of the engine which took the new lock.
            if self._lock_lost_at is None:
                self._lock_lost_at = time.monotonic()
            self._stop_taking_work(_lock_replaced())
            return
        try:
            self._engine.check_files()
        except DatabaseProblem as error:
            self._stop_taking_work(error)
            if not self._database_lost:
                self._database_lost = True
                await self._engine.rescue()
        else:
            # A commit may have missed the file between two looks, so this is said each time.
            self._database_lost = self._in_trouble = False
            await self._engine.files_are_back()
        if not self._server.is_bound():
            log.warning("the socket was removed and is bound again", socket=str(self._server.socket_path))
            try:
                await self._server.bind_again()
            except OSError as error:
                log.warning("the socket could not be bound again", error=str(error))

    def _is_over(self) -> bool:
        """True once the lock is lost and nobody is left to be told so, or everybody had time to read it."""
        if self._lock_lost_at is None:
            return False
        return not self._server.clients or time.monotonic() - self._lock_lost_at >= LINGER_SECONDS

    def _stop_taking_work(self, error: RondoError) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            self._engine.set_trouble(error)


def _lock_replaced() -> RondoError:
    return WorkspaceLocked(
        "The workspace's lock was removed or replaced, so this engine takes no more work.",
        cause="The file engine.lock is not the one this engine holds; another engine may own the workspace now.",
        next_step="This engine ends by itself in a moment; whoever calls next uses the one that owns the workspace.",
    )
