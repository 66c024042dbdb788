"""One client's connection, seen from the engine: its calls run side by side, its events are bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from core.crash_points import crash_point
from core.errors import EnvironmentProblem, ProtocolMismatch, RondoError, UsageError
from core.link.api import EngineApi
from core.link.caller import caller
from core.link.engine_types import PROTOCOL, ClientInfo, EngineStatus
from core.link.event_types import Event
from core.link.events import EventQueue
from core.link.framing import FramingError, encode_frame, read_frame
from core.link.messages import (
    CANCEL,
    NOT_DECODABLE,
    PING,
    SUBSCRIBE,
    Call,
    Method,
    call_decoder,
    error_frame,
    unknown_method,
)
from core.link.types import REPLY_LIMIT
from core.read_only import refused
from core.version import VERSION

log = structlog.get_logger()

CALLS_AT_ONCE = 64
"""Calls of one client that run at a time; more wait in the socket."""
MOST_BATCHES_PER_SECOND = 60
FINISH_SECONDS = 1.0
"""How long a client may take to accept the last of its replies and events when the engine ends."""

BEFORE_HELLO = ("hello", "stop_engine")
"""What a client of any version may call."""


class ClientConnection:
    """Reads one client's calls, runs each in a task of its own, and sends replies and batches of events."""

    def __init__(
        self,
        api: EngineApi,
        methods: dict[str, Method],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        count_clients: Callable[[], int],
        on_stop: Callable[[], None],
    ) -> None:
        self._api = api
        self._methods = methods
        self._reader = reader
        self._writer = writer
        self._count_clients = count_clients
        self._on_stop = on_stop
        self._client: ClientInfo | None = None
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(CALLS_AT_ONCE)
        self._sending = asyncio.Lock()
        self._events = EventQueue()
        self._events_wait = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._reads: set[int] = set()

    async def serve(self) -> None:
        """Serve until the client leaves; what it began to change is brought to its end, what it read is given up."""
        try:
            while (frame := await read_frame(self._reader)) is not None:
                await self._take(frame)
        except FramingError as error:
            await self._send(error_frame(None, _not_understood(str(error))))
        finally:
            self._leave()

    def put_events(self, batch: list[Event]) -> None:
        """Add events for this client; never waits."""
        if self._sender is not None:
            self._events.put(batch)
            self._events_wait.set()

    async def finish(self) -> None:
        """Send the replies and events that are still due, as far as the client takes them, and end the connection."""
        if self._sender is not None:
            self._sender.cancel()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(FINISH_SECONDS):
                if self._calls:
                    await asyncio.wait(self._calls.values())
                if batch := self._events.take():
                    await self._send(encode_frame({"events": batch}))
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()
        else:
            self._writer.close()

    # Calls ----------------------------------------------------------------------------------------------------------

    async def _take(self, frame: bytes) -> None:
        try:
            call = call_decoder.decode(frame)
        except NOT_DECODABLE as error:
            await self._send(error_frame(None, _not_understood(str(error))))
            return
        if call.method == CANCEL:
            if call.id in self._reads:
                self._calls[call.id].cancel()
            return
        if call.method == PING:
            await self._send(encode_frame({"id": call.id, "result": None}))
            return
        if call.method == SUBSCRIBE and self._client is not None:
            # At once and not in a task: what the client calls next must be covered by events.
            self._subscribe(self._client)
            return
        if call.id in self._calls:
            await self._send(error_frame(None, _not_understood(f"There is a call with the id {call.id} already.")))
            return
        await self._room.acquire()
        task = asyncio.create_task(self._run(call), name=f"call of {call.method}")
        self._calls[call.id] = task
        method = self._methods.get(call.method)
        if method is not None and method.is_read:
            self._reads.add(call.id)
        task.add_done_callback(lambda _: self._done(call.id))

    def _done(self, call_id: int) -> None:
        self._room.release()
        self._calls.pop(call_id, None)
        self._reads.discard(call_id)

    async def _run(self, call: Call) -> None:
        try:
            frame = self._encode_result(call, await self._result(call))
            crash_point("link.reply.made")
        except RondoError as error:
            frame = error_frame(call.id, error)
        except Exception as error:
            # A defect of ours is an error of this call; the client waits for a reply.
            log.exception("a call failed in the engine", method=call.method)
            frame = error_frame(call.id, _fault(call.method, error))
        # The client has left: what it asked for is done all the same.
        with contextlib.suppress(OSError):
            await self._send(frame)

    async def _result(self, call: Call) -> object:
        method = self._methods.get(call.method)
        if method is None:
            raise unknown_method(call.method)
        if self._client is None and call.method not in BEFORE_HELLO:
            raise UsageError(
                "The engine does not know this client yet.",
                cause=f"'{call.method}' was called before hello.",
                next_step="Call hello first.",
            )
        arguments = method.arguments(call.params)
        if call.method == "hello":
            self._welcome(arguments["client"])
        if self._client is not None and self._client.read_only and method.may_change(arguments):
            raise refused(f"'{call.method}'")
        caller.set(self._client.kind if self._client is not None else "unknown")
        result: object = await getattr(self._api, call.method)(**arguments)
        if call.method == "stop_engine":
            # Before the reply: whoever calls after it must meet the next engine and not this one's last moments.
            self._on_stop()
        if isinstance(result, EngineStatus):
            # Connections are known here and not in the engine.
            result.clients = self._count_clients()
        return result

    def _welcome(self, client: ClientInfo) -> None:
        if client.protocol != PROTOCOL:
            raise ProtocolMismatch(
                f"The running engine is Rondo {VERSION} (protocol {PROTOCOL}), this program is Rondo "
                f"{client.app_version} (protocol {client.protocol}).",
                cause="Rondo was updated, or two installations use one workspace.",
                next_step="Call `rondo engine stop`: it lets running steps end, and the next command starts an engine "
                "of its own version, which goes on with every run.",
            )
        self._client = client

    def _encode_result(self, call: Call, result: object) -> bytes:
        try:
            frame = encode_frame({"id": call.id, "result": result})
        except FramingError as error:
            raise _too_large(call.method, str(error)) from error
        # Only where a smaller part can be asked for: refusing what was done, or can't be had in parts, helps nobody.
        if len(frame) > REPLY_LIMIT and call.method.startswith(("read_", "list_")):
            raise _too_large(call.method, f"The reply has {len(frame):,} bytes; {REPLY_LIMIT:,} is the most.")
        return frame

    # Sending --------------------------------------------------------------------------------------------------------

    def _subscribe(self, client: ClientInfo) -> None:
        if self._sender is None:
            rate = min(max(client.batches_per_second, 1), MOST_BATCHES_PER_SECOND)
            self._sender = asyncio.create_task(self._send_events(1 / rate), name="events to a client")

    async def _send_events(self, pause: float) -> None:
        # A client that doesn't read keeps this at `_send`; meanwhile the queue fills up and becomes one Resync.
        with contextlib.suppress(OSError):
            while True:
                await self._events_wait.wait()
                self._events_wait.clear()
                if batch := self._events.take():
                    await self._send(encode_frame({"events": batch}))
                    await asyncio.sleep(pause)

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            self._writer.write(frame)
            await self._writer.drain()

    def _leave(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
        for call_id in self._reads:
            self._calls[call_id].cancel()
        self._writer.close()


def _not_understood(why: str) -> RondoError:
    return UsageError(
        "The engine does not understand this message.",
        cause=why,
        next_step="Send a 4-byte big-endian length and then {id, method, params} as JSON.",
    )


def _too_large(method: str, why: str) -> RondoError:
    return UsageError(
        f"What '{method}' was asked for is too large for one reply.",
        cause=why,
        next_step="Ask for less at once: a smaller limit, a path, a lower depth.",
    )


def _fault(method: str, error: Exception) -> RondoError:
    return EnvironmentProblem(
        f"The engine failed in '{method}'.",
        cause=f"{type(error).__name__}: {error}",
        next_step="The traceback is in runs/engine.log; please report it.",
    )
