"""The app's tie to the engine: it opens the session, follows its events and counts what the header says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from textual.message import Message

from core.errors import RondoError
from core.link.api import EngineApi
from core.link.chat_events import ChatChanged
from core.link.engine_types import EngineStatus, UncleanEnd
from core.link.event_types import EngineChanged, Event, RequestChanged, Resync, RunChanged
from tui.messages import EngineEvents
from tui.widgets.header import Headline

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi
    from core.link.model_types import UsageView

COST_PERIOD = 5.0
"""Seconds between two questions what model calls cost today."""
COUNT_PERIOD = 0.25
"""Seconds between two counts of runs and questions while events come."""


class EngineClient(EngineApi, Protocol):
    """An engine that is reached behind the screens; `core.link.session.EngineSession` is one."""

    @property
    def problem(self) -> RondoError | None:
        """Why there is no connection."""

    def open(self) -> None:
        """Begin to connect; returns at once."""

    async def close(self) -> None:
        """End the connection; the engine goes on."""


class StatusRead(Message, bubble=False):
    """The engine was asked how it is."""

    def __init__(self, status: EngineStatus) -> None:
        super().__init__()
        self.status = status


class CostRead(Message, bubble=False):
    """What model calls cost today, as it is shown; "" where they cost nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Connection:
    """Follows the engine and posts what it hears; `post` takes messages from any task."""

    def __init__(self, client: EngineClient, post: Callable[[Message], object]) -> None:
        self.client = client
        self._post = post
        self._count_wanted = asyncio.Event()
        self._cost_wanted = asyncio.Event()

    def gap_closed(self, events: list[Event]) -> bool:
        """True where rows must be read (again) after these events: connected, or events were lost."""
        return any(
            isinstance(event, Resync) or (isinstance(event, EngineChanged) and event.state == "connected")
            for event in events
        )

    async def follow(self) -> None:
        """Post every batch of events, for as long as the app lives."""
        self.client.open()
        async for events in self.client.events():
            if any(_changes_counts(event) for event in events):
                self._count_wanted.set()
                self._cost_wanted.set()
            elif any(isinstance(event, ChatChanged) for event in events):
                self._cost_wanted.set()
            self._post(EngineEvents(events))

    async def count(self) -> None:
        """Ask the engine how it is whenever something changed, at most a few times a second."""
        while True:
            await self._count_wanted.wait()
            self._count_wanted.clear()
            try:
                status = await self.client.engine_status()
            except RondoError:
                # The events say that the connection is gone; its return asks for a new count.
                continue
            self._post(StatusRead(status))
            await asyncio.sleep(COUNT_PERIOD)

    async def follow_costs(self) -> None:
        """Ask what model calls cost today whenever something may have cost, every few seconds at most."""
        while True:
            await self._cost_wanted.wait()
            self._cost_wanted.clear()
            try:
                usage = await cast("AssistantApi", self.client).get_usage()
            except RondoError:
                continue
            self._post(CostRead(f"{cost_words(usage)} today" if usage.cost or usage.unpriced else ""))
            await asyncio.sleep(COST_PERIOD)


def cost_words(usage: UsageView) -> str:
    """`$0.42`; `$0.42+` where the cost of some calls is not known, `cost unknown` where it is of none."""
    if usage.unpriced and usage.cost <= 0:
        return "cost unknown"
    if 0 < usage.cost < 0.01:
        return "<$0.01"
    return f"${usage.cost:.2f}{'+' if usage.unpriced else ''}"


def _changes_counts(event: Event) -> bool:
    """True where runs and questions may be others now. Not when the connection goes: a call would start the engine
    again that somebody has stopped on purpose."""
    if isinstance(event, EngineChanged):
        return event.state in ("connected", "ok", "trouble")
    return isinstance(event, RunChanged | RequestChanged | Resync)


def after_events(headline: Headline, events: list[Event]) -> Headline:
    """What the header says after some events; numbers stand until they are counted again."""
    words = {"ok": "connected"}
    for event in events:
        if isinstance(event, EngineChanged):
            state = words.get(event.state, event.state)
            if state == "lost" and headline.connection in ("stopping", "stopped"):
                state = "stopped"
            headline = replace(headline, connection=state, message=event.message)
    return headline


def unclean_end_text(end: UncleanEnd) -> str:
    """One line for a person about an engine that died."""
    plural = "" if end.run_count == 1 else "s"
    runs = f"{end.run_count} run{plural} taken up again" if end.run_count else "no run was going on"
    return f"The engine had died (pid {end.pid}); {runs}. {end.cause} See: rondo engine status"


def after_status(headline: Headline, status: EngineStatus) -> Headline:
    """What the header says after the engine was asked; runs that wait for a person are not running."""
    running = sum(
        count for word, count in status.runs.items() if word in ("running", "queued", "waiting_timer", "waiting_run")
    )
    connection = "trouble" if status.trouble is not None else headline.connection
    message = status.trouble.message if status.trouble is not None else headline.message
    return replace(headline, connection=connection, message=message, running=running, questions=status.open_requests)
