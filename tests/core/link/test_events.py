from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import EngineLost
from core.link.event_types import EngineChanged, Event, LogsChanged, Resync, RunChanged, StepChanged
from core.link.events import EVENT_LIMIT, EventQueue, EventStream

RUNS = st.sampled_from(["a", "b", "c"])


def run_changed(run_id: str, step: int) -> RunChanged:
    return RunChanged(run_id=run_id, workflow="w", line=1, status="running", step=step)


def step_changed(run_id: str, seq: int) -> StepChanged:
    return StepChanged(
        run_id=run_id, workflow="w", line=1, node="n", visit=1, attempt=1, status="completed", at=0.0, seq=seq
    )


EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(run_changed, RUNS, st.integers(0, 9)),
    st.builds(step_changed, RUNS, st.integers(0, 9)),
    st.builds(lambda run, last: LogsChanged(run_id=run, last=last), RUNS, st.integers(0, 99)),
)


@given(st.lists(EVENTS, max_size=60))
def test_of_each_run_the_last_word_stands_and_every_step_stays_in_order(events: list[Event]) -> None:
    queue = EventQueue()
    queue.put(events)
    batch = queue.take()
    assert [e for e in batch if isinstance(e, StepChanged)] == [e for e in events if isinstance(e, StepChanged)]
    for kind in (RunChanged, LogsChanged):
        last = {e.run_id: e for e in events if isinstance(e, kind)}
        assert {e.run_id: e for e in batch if isinstance(e, kind)} == last
        assert sum(isinstance(e, kind) for e in batch) == len(last)
    assert queue.take() == []


@given(st.lists(EVENTS, min_size=1, max_size=60))
def test_the_last_word_about_a_run_never_stands_before_a_step_that_came_earlier(events: list[Event]) -> None:
    queue = EventQueue()
    queue.put(events)
    batch = queue.take()
    assert batch[-1] == events[-1]
    last_places = sorted(batch, key=lambda e: max(i for i, seen in enumerate(events) if seen is e))
    assert batch == last_places


def test_too_many_events_become_one_resync_and_then_events_flow_again() -> None:
    queue = EventQueue()
    queue.put(step_changed("a", seq) for seq in range(EVENT_LIMIT))
    assert len(queue.take()) == EVENT_LIMIT
    queue.put(step_changed("a", seq) for seq in range(EVENT_LIMIT + 1))
    queue.put([run_changed("a", 7)])
    assert len(queue) == 1
    assert queue.take() == [Resync()]
    queue.put([run_changed("a", 8)])
    assert queue.take() == [run_changed("a", 8)]


def test_trouble_of_the_engine_is_told_even_where_other_events_were_lost() -> None:
    queue = EventQueue()
    queue.put([EngineChanged(state="ok"), *(step_changed("a", seq) for seq in range(EVENT_LIMIT + 1))])
    queue.put([EngineChanged(state="trouble", message="disk full")])
    assert queue.take() == [EngineChanged(state="trouble", message="disk full"), Resync()]
    assert queue.take() == []


async def test_a_stream_ends_after_what_still_waited() -> None:
    stream = EventStream()
    stream.put([run_changed("a", 1)])
    stream.finish()
    assert [batch async for batch in stream] == [[run_changed("a", 1)]]


async def test_a_stream_wakes_whoever_waits_and_ends_with_the_error() -> None:
    stream = EventStream()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stream.put([run_changed("a", 1)])
    assert await waiting == [run_changed("a", 1)]
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stream.finish(EngineLost("gone"))
    with pytest.raises(EngineLost):
        await waiting
