"""Events inside the engine: hints for whoever watches; the rows in the store are the truth."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import ref

from core.link.event_types import Event, Resync

QUEUE_LIMIT = 10_000
"""Events that may wait for one subscriber before they are replaced by one Resync."""


class EventBus:
    """Hands each event to every subscriber; a slow subscriber never holds anyone up."""

    def __init__(self) -> None:
        self._subscriptions: tuple[ref[Subscription], ...] = ()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Give an event to all who listen now."""
        for known in self._subscriptions:
            subscription = known()
            if subscription is not None:
                subscription.put(event)

    def subscribe(self) -> Subscription:
        """Batches of all events from this call on; dropping the iterator ends the subscription."""
        subscription = Subscription()
        if self._closed:
            subscription.end()
        self._subscriptions = (*self._subscriptions, ref(subscription, self._forget))
        return subscription

    def _forget(self, gone: ref[Subscription]) -> None:
        self._subscriptions = tuple(known for known in self._subscriptions if known is not gone)

    def close(self) -> None:
        """End every subscription after what it still holds, and those that come later at once."""
        self._closed = True
        for known in self._subscriptions:
            subscription = known()
            if subscription is not None:
                subscription.end()


class Subscription:
    """An asynchronous iterator of batches: each holds everything that came since the last, at least one event."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._ended = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Event]:
        while not self._events and not self._ended:
            self._ready.clear()
            await self._ready.wait()
        batch = list(self._events)
        self._events.clear()
        if not batch:
            raise StopAsyncIteration
        return batch

    def put(self, event: Event) -> None:
        """Queue an event; where too many wait, they become one Resync."""
        if self._ended:
            return
        if len(self._events) >= QUEUE_LIMIT:
            self._events.clear()
            event = Resync()
        self._events.append(event)
        self._ready.set()

    def end(self) -> None:
        """No more events come."""
        self._ended = True
        self._ready.set()

    async def aclose(self) -> None:
        """Stop listening."""
        self.end()
