"""Frames both ways over one stream socket, for an event loop: the run process's end and the engine's."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from core.runner.wire import HEADER_LIMIT, FrameReader, WireError, encode_frame

READ_BYTES = 256 * 1024
CLOSED_BY_OTHERS = "the socket was closed by somebody else"
LOST_ENGINE = "the run process lost its engine"
"""Begins the last words of a run process whose end of the socket can't be used any more."""

OnFrame = Callable[[dict[str, Any], bytes], None]


class SocketChannel:
    """Sends frames in order without ever blocking, and hands over those that come.

    `on_close` is called once, when the other side is gone ("") or has sent what is not frames (why); not after `close`.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_frame: OnFrame,
        on_close: Callable[[str], None],
        *,
        reader: FrameReader | None = None,
        header_limit: int = HEADER_LIMIT,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._on_frame = on_frame
        self._on_close = on_close
        self._reader = reader or FrameReader(header_limit)
        self._waiting: list[memoryview] = []
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self.read)

    @property
    def closed(self) -> bool:
        """True once nothing can be sent or read any more."""
        return self._socket.fileno() < 0

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame; what the socket doesn't take now follows as it takes more. A closed channel drops it."""
        if self._send_now(memoryview(encode_frame(header, payload))):
            self._follow()

    def send_from_thread(self, frame: bytes) -> None:
        """The same, from any thread: what the socket doesn't take follows from the event loop."""
        if self._send_now(memoryview(frame)):
            with contextlib.suppress(RuntimeError):  # The loop has ended, and so has whoever reads the other side.
                self._loop.call_soon_threadsafe(self._follow)

    def read(self) -> bool:
        """Take what the socket has now, up to a limit; returns whether there was anything."""
        if self.closed:
            return False
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self._end("")
            return False
        try:
            frames = self._reader.feed(data)
        except WireError as error:
            self._end(str(error))
            return False
        for header, payload in frames:
            self._on_frame(header, payload)
        return True

    def read_within(self, seconds: float) -> bool:
        """Wait for something to come, blocking the event loop, and take it; returns whether there was anything."""
        if self.closed or self._waiting:
            return False
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000)) and self.read()

    def finish(self) -> None:
        """Send what still waits, blocking, and close."""
        if self.closed:
            return
        self._loop.remove_writer(self._socket.fileno())
        self._socket.setblocking(True)
        try:
            for data in self._waiting:
                self._socket.sendall(data)
        except OSError:
            self._waiting.clear()
        self.close()

    def close(self) -> None:
        """Close the socket; what waits is dropped."""
        if self.closed:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        with self._lock:
            self._waiting.clear()
            self._socket.close()

    def _send_now(self, data: memoryview) -> bool:
        """Send what the socket takes; returns whether this call left something that is to follow."""
        with self._lock:
            if self.closed:
                return False
            begun = bool(self._waiting)
            rest = data if begun else data[self._send_some(data) :]
            if not len(rest) or self.closed:
                return False
            self._waiting.append(rest)
            return not begun

    def _follow(self) -> None:
        if not self.closed:
            self._loop.add_writer(self._socket.fileno(), self._send_waiting)

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            # Where the other side is gone, reading says so too, after what it had still sent. Where somebody closed
            # our descriptor, nothing else would ever say it.
            if error.errno in (errno.EBADF, errno.ENOTSOCK):
                self._on_close(CLOSED_BY_OTHERS)
            return len(data)

    def _send_waiting(self) -> None:
        with self._lock:
            while self._waiting:
                data = self._waiting[0]
                sent = self._send_some(data)
                if sent < len(data):
                    self._waiting[0] = data[sent:]
                    return
                del self._waiting[0]
        if not self.closed:
            self._loop.remove_writer(self._socket.fileno())

    def _end(self, reason: str) -> None:
        self.close()
        self._on_close(reason)
