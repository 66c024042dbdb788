from __future__ import annotations

import asyncio
import socket
from typing import Any

from core.runner.channel import SocketChannel
from core.runner.wire import FrameReader


class End:
    """One end of a channel with what came."""

    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[tuple[dict[str, Any], bytes]] = []
        self.closes: list[str] = []
        self.news = asyncio.Event()
        self.channel = SocketChannel(sock, self._on_frame, self._on_close)

    def _on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        self.frames.append((header, payload))
        self.news.set()

    def _on_close(self, reason: str) -> None:
        self.closes.append(reason)
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.frames) + len(self.closes) < count:
                self.news.clear()
                await self.news.wait()


async def test_a_slow_reader_gets_everything_in_order_and_blocks_nobody() -> None:
    left, right = socket.socketpair()
    sender = End(left)
    for number in range(50):
        sender.channel.send({"t": "x", "n": number}, bytes([number]) * 100_000)
    receiver = End(right)
    await receiver.until(50)
    assert [header["n"] for header, _ in receiver.frames] == list(range(50))
    assert all(payload == bytes([header["n"]]) * 100_000 for header, payload in receiver.frames)
    sender.channel.close()
    await receiver.until(51)
    assert receiver.closes == [""]
    assert receiver.channel.closed


async def test_finish_sends_what_waits() -> None:
    left, right = socket.socketpair()
    sender = End(left)
    sender.channel.send({"t": "x"}, b"y" * 3_000_000)

    def read_all() -> list[tuple[dict[str, Any], bytes]]:
        reader, frames = FrameReader(), []
        with right:
            while data := right.recv(65536):
                frames += reader.feed(data)
        return frames

    reading = asyncio.get_running_loop().run_in_executor(None, read_all)
    sender.channel.finish()
    assert [len(payload) for _, payload in await reading] == [3_000_000]
    assert sender.channel.closed


async def test_what_was_sent_before_the_end_is_heard() -> None:
    left, right = socket.socketpair()
    sender = End(left)
    sender.channel.send({"t": "last"})
    sender.channel.close()
    sender.channel.send({"t": "too late"})
    receiver = End(right)
    receiver.channel.send({"t": "to nobody"})
    await receiver.until(2)
    assert [header["t"] for header, _ in receiver.frames] == ["last"]
    assert receiver.closes == [""]


async def test_what_is_no_frame_closes_the_channel_with_the_reason() -> None:
    left, right = socket.socketpair()
    receiver = End(right)
    left.send(b"\xff" * 100)
    await receiver.until(1)
    assert "frame" in receiver.closes[0]
    assert receiver.channel.closed
    left.close()
