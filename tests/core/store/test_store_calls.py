"""Calls in the store: found again, counted, and never taken for what they are not."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from store_rows import NOON, started

from core.errors import DatabaseDamaged, UsageError
from core.store.operations import (
    CallCost,
    CopyRecording,
    FinishCall,
    InsertCall,
    InterruptCalls,
    SpendCall,
    SpendCalls,
)
from core.store.store import Store


def packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


def call(run: int | None, status: str = "done", **fields: Any) -> InsertCall:
    given: dict[str, Any] = {"key": "k", "nth": 0, "hash": "h", "started_at": NOON, "request": packed("asked")}
    given |= {"reply": packed("answered"), "used": CallCost(10, 5, 0, 0.5), "node": "ask", "visit": 1}
    return InsertCall(kind="llm", status=status, run=run, **{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = await asyncio.to_thread(Store.open, path)
    await opened.start_reads()
    yield opened
    await opened.close()


async def test_a_call_is_found_by_key_number_and_request_until_it_is_spent(store: Store) -> None:
    run, _ = await started(store)
    await store.commit([call(run), call(run, nth=1), call(run, hash="other"), call(run, key="l")])

    assert len(await store.known_calls(run, "k", 0, "h")) == 1
    assert await store.known_calls(run + 1, "k", 0, "h") == []
    await store.commit([SpendCalls(run, "k")])
    assert await store.known_calls(run, "k", 0, "h") == []
    assert len(await store.known_calls(run, "l", 0, "h")) == 1


async def test_what_was_said_comes_back_and_a_changed_row_is_damage(store: Store, path: Path) -> None:
    run, _ = await started(store)
    (number,) = await store.commit([call(run, status="running", reply=b"", used=CallCost())])
    await store.commit([FinishCall(number, "done", NOON + 1, packed("asked"), packed("späť"), CallCost(1, 2), "m:x")])

    record = await store.call(number)
    assert (record.status, record.model, record.cost, record.input_tokens) == ("done", "m:x", None, 1)
    assert [json.loads(side) for side in await store.call_content(number)] == ["asked", "späť"]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE calls SET reply = ?", (packed("forged"),))
    with pytest.raises(DatabaseDamaged, match="calls"):
        await store.call_content(number)
    with pytest.raises(UsageError):
        await store.call(number + 1)


async def test_an_unknown_cost_is_counted_apart_and_replays_are_not_counted_at_all(store: Store) -> None:
    run, _ = await started(store)
    other, _ = await started(store)
    rows = [call(run), call(run, used=CallCost(1, 1)), call(run, status="replayed"), call(run, status="recorded")]
    await store.commit([*rows, call(run, status="failed", used=CallCost()), call(other, started_at=NOON - 10)])
    await store.commit([call(None, chat="c")])

    totals = await store.call_totals(run=run)
    assert (totals.calls, totals.input_tokens, totals.cost, totals.unpriced) == (3, 11, 0.5, 1)
    assert (await store.call_totals(chat="c")).calls == 1
    assert (await store.call_totals(since=NOON)).calls == 4
    assert {number: known.calls for number, known in (await store.call_totals_of([run, other])).items()} == {
        run: 3,
        other: 1,
    }


async def test_calls_that_were_under_way_have_ended_with_the_engine(store: Store) -> None:
    run, _ = await started(store)
    await store.commit([call(run), call(run, status="running", reply=b"")])

    assert await store.commit([InterruptCalls(NOON, '{"type": "CallInterrupted"}')]) == [1]
    assert [row.status for row in await store.calls(run=run)] == ["done", "failed"]


async def test_a_recording_is_taken_in_order_and_again_by_another_line(store: Store) -> None:
    run, _ = await started(store)
    copy, own = await started(store)
    await store.commit([call(run), call(run, nth=1), call(run, status="failed", error='{"type": "CallInterrupted"}')])
    await store.commit([CopyRecording(run, copy, "CallInterrupted")])

    assert await store.calls(run=copy) == []
    first = await store.recorded_call(copy, own, "ask", 1, 1, "h")
    assert first is not None
    assert first.nth == 1
    await store.commit([SpendCall(first.number, own)])
    second = await store.recorded_call(copy, own, "ask", 1, 1, "h")
    assert second is not None
    assert second.nth == 0
    await store.commit([SpendCall(second.number, own)])
    assert await store.recorded_call(copy, own, "ask", 1, 0, "h") is None
    assert await store.recorded_call(copy, own + 1, "ask", 1, 0, "h") is not None
    assert await store.recorded_call(copy, own, "other", 1, 0, "h") is None
