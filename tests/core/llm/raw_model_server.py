"""A server that sends the very bytes a test wants, for what the scripted one can't: odd streams, silence, dead ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HOLD = object()
"""In place of a part: say nothing more until the other side closes."""


@dataclass
class RawServer:
    """Answers each request with the next of `answers`: (status, parts), a part being bytes or HOLD."""

    url: str = ""
    answers: list[tuple[int, list[Any]]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other side has closed a connection on which this one holds."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.headers.append(headers)
            self.bodies.append(json.loads(body or b"null"))
            status, parts = self.answers.pop(0)
            kind = "text/event-stream" if status == 200 else "application/json"
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
            for part in parts:
                if part is HOLD:
                    await writer.drain()
                    while await reader.read(1000):
                        pass
                    self.closed.set()
                else:
                    writer.write(part)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.closed.set()
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(*answers: tuple[int, list[Any]]) -> AsyncIterator[RawServer]:
    """Run one for a while."""
    served = RawServer(answers=list(answers))
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()


def anthropic_events(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "end_turn") -> bytes:
    """A whole stream of the wire of Anthropic: blocks with their deltas."""
    usage = {"input_tokens": 3, "output_tokens": 4}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}}
    ]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage})
    events.append({"type": "message_stop"})
    return b"".join(anthropic_event(event) for event in events)


def anthropic_event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def openai_chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One piece of the wire of OpenAI."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
