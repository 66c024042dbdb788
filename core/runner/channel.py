"""Frames both ways over one stream socket, for an event loop: the run process's end and the engine's."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from core.runner.wire import HEADER_LIMIT, FrameReader, WireError, encode_frame

READ_BYTES = 256 * 1024

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
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self.read)

    @property
    def closed(self) -> bool:
        """True once nothing can be sent or read any more."""
        return self._socket.fileno() < 0

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame; what the socket doesn't take now follows as it takes more. A closed channel drops it."""
        if self.closed:
            return
        data = memoryview(encode_frame(header, payload))
        if self._waiting:
            self._waiting.append(data)
            return
        rest = data[self._send_some(data) :]
        if len(rest) and not self.closed:
            self._waiting.append(rest)
            self._loop.add_writer(self._socket.fileno(), self._send_waiting)

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
        self._waiting.clear()
        self._socket.close()

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            # Where the other side is gone, reading says so too, after what it had still sent. Where somebody closed
            # our descriptor, nothing else would ever say it.
            if error.errno in (errno.EBADF, errno.ENOTSOCK):
                self._on_close("the socket was closed by somebody else")
            return len(data)

    def _send_waiting(self) -> None:
        while self._waiting:
            data = self._waiting[0]
            sent = self._send_some(data)
            if sent < len(data):
                self._waiting[0] = data[sent:]
                return
            del self._waiting[0]
        self._loop.remove_writer(self._socket.fileno())

    def _end(self, reason: str) -> None:
        self.close()
        self._on_close(reason)
