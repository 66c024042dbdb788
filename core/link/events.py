"""Events on their way to one client: coalesced where only the last one counts, and bounded in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from core.errors import RondoError
from core.link.chat_events import ChatChanged, ChatText, ProposalChanged
from core.link.event_types import (
    BreakpointsChanged,
    EngineChanged,
    EnvironmentChanged,
    Event,
    LogsChanged,
    PruneChanged,
    RequestChanged,
    Resync,
    RunChanged,
    ToolsChanged,
    WorkflowChanged,
)

EVENT_LIMIT = 2000
"""Events that may wait for one client before they are replaced by one Resync."""


def _subject(event: Event) -> object | None:
    """What the event is about, where only the last event about it counts; None where each one counts."""
    match event:
        case RunChanged(run_id=run_id):
            return ("run", run_id)
        case LogsChanged(run_id=run_id):
            return ("logs", run_id)
        case RequestChanged(run_id=run_id, key=key):
            return ("request", run_id, key)
        case WorkflowChanged(name=name):
            return ("workflow", name)
        case BreakpointsChanged(workflow=workflow):
            return ("breakpoints", workflow)
        case EnvironmentChanged(key=key):
            return ("environment", key)
        case PruneChanged():
            return "prune"
        case ToolsChanged(app=app):
            return ("tools", app)
        case ChatChanged(chat_id=chat_id):
            return ("chat", chat_id)
        case ChatText(chat_id=chat_id, number=number):
            return ("chat text", chat_id, number)
        case ProposalChanged(proposal_id=proposal_id):
            return ("proposal", proposal_id)
        case _:
            return None


def _joined(earlier: Event | None, event: Event) -> Event:
    """What stands for both; text that continues what waits is put after it."""
    if not isinstance(event, ChatText) or not isinstance(earlier, ChatText):
        return event
    kept = event.offset - earlier.offset
    if not 0 <= kept <= len(earlier.text):
        return event
    return ChatText(
        chat_id=event.chat_id, number=event.number, offset=earlier.offset, text=earlier.text[:kept] + event.text
    )


class EventQueue:
    """Events that wait to be sent, in the order in which they were last said."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._waiting: dict[object, Event] = {}
        self._number = 0
        self._engine: EngineChanged | None = None
        self._overflowed = False

    def __len__(self) -> int:
        return len(self._waiting) + self._overflowed

    def put(self, events: Iterable[Event]) -> None:
        """Add events.

        Beyond the limit all of them become one Resync, which also stands for what comes until it is taken; only the
        last word about the engine itself is kept beside it, because no row tells it.
        """
        for event in events:
            if isinstance(event, EngineChanged):
                self._engine = event
            if isinstance(event, Resync):
                self._overflowed = True
                self._waiting.clear()
            if self._overflowed:
                continue
            subject = _subject(event)
            if subject is None:
                self._number += 1
                subject = self._number
            # Taken out first, so that the newer event stands after what happened in between.
            earlier = self._waiting.pop(subject, None)
            self._waiting[subject] = _joined(earlier, event)
            if len(self._waiting) > self._limit:
                self._overflowed = True
                self._waiting.clear()

    def take(self) -> list[Event]:
        """Everything that waits."""
        batch = list(self._waiting.values())
        if self._overflowed:
            batch = [Resync()] if self._engine is None else [self._engine, Resync()]
        self._waiting.clear()
        self._engine = None
        self._overflowed = False
        return batch


class EventStream:
    """What a client iterates over: batches of events, until it is finished."""

    def __init__(self) -> None:
        self._queue = EventQueue()
        self._ready = asyncio.Event()
        self._finished = False
        self._error: RondoError | None = None

    def put(self, events: Iterable[Event]) -> None:
        """Add events."""
        self._queue.put(events)
        if len(self._queue):
            self._ready.set()

    def finish(self, error: RondoError | None = None) -> None:
        """End the iteration after what still waits: with the error, if there is one."""
        if not self._finished:
            self._finished = True
            self._error = error
            self._ready.set()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> list[Event]:
        while True:
            await self._ready.wait()
            batch = self._queue.take()
            if batch:
                return batch
            if self._finished:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._ready.clear()


def engine_event(state: str, message: str = "") -> list[Event]:
    """A batch of one: what became of the engine or of the connection to it."""
    return [EngineChanged(state=state, message=message)]
