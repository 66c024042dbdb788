"""The engine's end of the link: a Unix socket on which clients call an `EngineApi` and hear its events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from pathlib import Path

import structlog

from core.errors import EngineStopping, EnvironmentProblem, RondoError
from core.link.api import EngineApi
from core.link.client_connection import FINISH_SECONDS, ClientConnection
from core.link.event_types import Event, Resync
from core.link.events import engine_event
from core.link.messages import engine_methods, error_frame
from core.link.peer import peer_uid

log = structlog.get_logger()

BACKLOG = 128
RESUBSCRIBE_SECONDS = 1.0


class LinkServer:
    """Serves one engine's clients. A slow or stopped client holds up neither the engine nor the others."""

    def __init__(self, api: EngineApi, socket_path: Path) -> None:
        self.socket_path = socket_path
        self.last_client_left = time.monotonic()
        """When the last client that left did so, on the monotonic clock."""
        self._api = api
        self._methods = engine_methods()
        self._clients: set[ClientConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        self._pump: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def bind(self) -> None:
        """Take the socket's path, over a stale socket if there is one, without listening yet; raises OSError.

        Only the owner of the workspace's lock may call this.
        """
        folder = self.socket_path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
        self.socket_path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(os.fspath(self.socket_path))
            self.socket_path.chmod(0o600)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._listening = listening
        self._identity = self._identity_of_path()

    def is_bound(self) -> bool:
        """True while the path still leads to this server's socket."""
        return self._identity is not None and self._identity == self._identity_of_path()

    async def start(self) -> None:
        """Listen, and hand events on from now on."""
        if self._pump is None:
            self._pump = asyncio.create_task(self._hand_events_on(), name="events to clients")
            # One turn of the loop, so that the subscription stands before the first client can call anything.
            await asyncio.sleep(0)
        if self._listening is None:
            self.bind()
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listening, backlog=BACKLOG)

    async def bind_again(self) -> None:
        """Make a new socket where the old one's path was removed; connections that stand go on."""
        if self._closing:
            return
        self._stop_listening()
        await self.start()

    def stop_accepting(self) -> None:
        """Let nobody in any more, and tell those who are connected that the engine is about to end."""
        if self._closing:
            return
        self._closing = True
        self._stop_listening()
        self._tell(engine_event("stopping", "The engine is about to end."))

    async def close(self) -> None:
        """Send what waits, as far as clients take it within a second, end every connection and remove the socket."""
        self.stop_accepting()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        await asyncio.gather(*(client.finish() for client in list(self._clients)))
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=FINISH_SECONDS)
            for task in stuck:
                task.cancel()
        if self.is_bound():
            # In a folder that became read-only it stays: nobody listens there, and the next engine binds it anew.
            with contextlib.suppress(OSError):
                self.socket_path.unlink(missing_ok=True)

    # Inside ---------------------------------------------------------------------------------------------------------

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        elif self._listening is not None:
            self._listening.close()
        self._server = None
        self._listening = None

    def _identity_of_path(self) -> tuple[int, int] | None:
        try:
            found = self.socket_path.lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            refusal = self._refusal(writer)
        except OSError:
            # It left before it was looked at.
            writer.close()
            return
        if refusal is not None:
            log.warning("client refused", **refusal.to_dict())
            writer.write(error_frame(None, refusal))
            writer.close()
            return
        client = ClientConnection(
            self._api,
            self._methods,
            reader,
            writer,
            count_clients=lambda: self.clients,
            on_stop=self.stop_accepting,
        )
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)
            self.last_client_left = time.monotonic()

    def _refusal(self, writer: asyncio.StreamWriter) -> RondoError | None:
        if self._closing:
            return EngineStopping("The engine is about to end.", next_step="Call again in a moment.")
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid == os.geteuid():
            return None
        return EnvironmentProblem(
            f"This engine belongs to user {os.geteuid()} and serves nobody else.",
            cause=f"The connection came from user {uid}.",
            next_step="Work as the user who started the engine, or in a workspace of your own.",
        )

    async def _hand_events_on(self) -> None:
        while True:
            try:
                async for batch in self._api.events():
                    self._tell(batch)
                return
            except Exception:
                # A fault there must cost events, never the engine: clients read rows instead.
                log.exception("the engine's events broke off")
                self._tell([Resync()])
                await asyncio.sleep(RESUBSCRIBE_SECONDS)

    def _tell(self, batch: list[Event]) -> None:
        for client in self._clients:
            client.put_events(batch)
