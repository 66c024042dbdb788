"""Events inside the engine: hints for whoever watches; the rows in the store are the truth."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from core.link.types import Event, Resync

QUEUE_LIMIT = 10_000
"""Events that may wait for one subscriber before they are replaced by one Resync."""


class EventBus:
    """Hands each event to every subscriber; a slow subscriber never holds anyone up."""

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()

    def publish(self, event: Event) -> None:
        """Give an event to all who listen now."""
        for subscriber in self._subscribers:
            subscriber.put(event)

    async def subscribe(self) -> AsyncIterator[list[Event]]:
        """Batches of all events from the first `anext` on; ends with `close` of the bus."""
        subscriber = _Subscriber()
        self._subscribers.add(subscriber)
        try:
            while True:
                batch = await subscriber.take()
                if not batch:
                    return
                yield batch
        finally:
            self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End every subscription after what it still holds."""
        for subscriber in self._subscribers:
            subscriber.end()


class _Subscriber:
    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        if len(self._events) >= QUEUE_LIMIT:
            self._events.clear()
            event = Resync()
        self._events.append(event)
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    async def take(self) -> list[Event]:
        """Everything that waits; the empty list means the end."""
        while not self._events and not self._ended:
            self._ready.clear()
            await self._ready.wait()
        batch = list(self._events)
        self._events.clear()
        return batch
