"""A small HTTP server on loopback for tests of providers: it hands each request to a function and keeps them all."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def one(self, name: str) -> str:
        return self.query.get(name, [""])[0]


@dataclass
class Answer:
    """What is sent back. `cut` sends only so many bytes of the body; `hang` sends nothing until the server ends."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


@dataclass
class Loopback:
    """A running server; `handle` may be changed at any time."""

    handle: Callable[[Asked], Answer]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def calls(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if (one.method, one.path) == (method, path)]


@asynccontextmanager
async def serving(handle: Callable[[Asked], Answer]) -> AsyncIterator[Loopback]:
    loopback = Loopback(handle)
    over = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while await _exchange(loopback, reader, writer, over):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    loopback.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield loopback
    finally:
        over.set()
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _exchange(
    loopback: Loopback, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, over: asyncio.Event
) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    asked = Asked(method, unquote(parts.path), parse_qs(parts.query), headers, body)
    loopback.asked.append(asked)
    answer = loopback.handle(asked)
    if answer.hang:
        await over.wait()
        return False
    content = answer.body if isinstance(answer.body, bytes) else b"" if answer.body is None else _text(answer.body)
    named = {"content-type": "application/json", **answer.headers, "content-length": str(len(content))}
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in named.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content[: answer.cut])
    await writer.drain()
    return answer.cut is None


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@contextmanager
def serving_beside(handle: Callable[[Asked], Answer]) -> Iterator[Loopback]:
    """The same in a thread of its own, for tests that wait for processes."""
    ready: queue.Queue[Loopback] = queue.Queue()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with serving(handle) as loopback:
            ready.put(loopback)
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield ready.get(timeout=60)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=60)
        loop.close()
