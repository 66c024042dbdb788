"""Events reach everybody who listens, in order; whoever is too slow is told to read again."""

from __future__ import annotations

import asyncio

import pytest

from core.engine import events
from core.engine.events import EventBus
from core.link.event_types import LogsChanged, Resync


def logs(number: int) -> LogsChanged:
    return LogsChanged(run_id="r", last=number)


async def test_a_batch_holds_everything_since_the_last_one() -> None:
    bus = EventBus()
    bus.publish(logs(0))
    subscription = bus.subscribe()
    bus.publish(logs(1))
    bus.publish(logs(2))
    assert await anext(subscription) == [logs(1), logs(2)]
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    assert not waiting.done()
    bus.publish(logs(3))
    assert await waiting == [logs(3)]


async def test_too_many_events_become_one_resync_and_the_ones_after_it_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "QUEUE_LIMIT", 5)
    bus = EventBus()
    slow, quick = bus.subscribe(), bus.subscribe()
    for number in range(7):
        bus.publish(logs(number))
        assert await anext(quick) == [logs(number)]
    assert await anext(slow) == [Resync(), logs(6)]


async def test_the_end_comes_after_what_was_published_and_also_to_those_who_come_later() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    waiting = asyncio.ensure_future(anext(bus.subscribe(), None))
    await asyncio.sleep(0)
    bus.publish(logs(1))
    bus.close()
    bus.publish(logs(2))
    assert [batch async for batch in subscription] == [[logs(1)]]
    assert await waiting == [logs(1)]
    assert [batch async for batch in bus.subscribe()] == []


async def test_whoever_stops_listening_costs_nothing_more() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    await subscription.aclose()
    bus.publish(logs(1))
    assert [batch async for batch in subscription] == []
    del subscription
    assert len(bus._subscriptions) == 0
