"""The history of a line: states at any step, through snapshots, forks and new lines."""

from __future__ import annotations

import asyncio
import copy
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import NOON, attempt, new_run, started, step

from core.errors import DatabaseDamaged, UnknownStep
from core.flow.delta import StateTracker
from core.store.operations import InsertLine, InsertSnapshot, Operation, blob_hash
from core.store.store import Store


async def fork(store: Store, line: int, seq: int) -> int:
    """The line of a new run that goes on from a step of another."""
    ((_, forked),) = await store.commit([new_run(parent_line=line, parent_seq=seq)])
    return forked


async def test_each_state_of_a_run_can_be_seen_again(store: Store) -> None:
    _, line = await started(store)
    await store.commit([step(line, 1, ["set", ["items"], []]), step(line, 2, ["append", ["items"], ["a", "b"]])])
    await store.commit([step(line, 3, ["del", ["items"]], ["set", ["done"], True])])
    assert [await store.state_at(line, seq) for seq in range(4)] == [
        (0, b"{}"),
        (1, b'{"items":[]}'),
        (2, b'{"items":["a","b"]}'),
        (3, b'{"done":true}'),
    ]
    assert await store.state_at(line) == (3, b'{"done":true}')


@pytest.mark.parametrize("seq", [-1, 2, 10_000])
async def test_a_step_that_is_not_there_has_no_state(store: Store, seq: int) -> None:
    _, line = await started(store)
    await store.commit([step(line, 1)])
    with pytest.raises(UnknownStep):
        await store.state_at(line, seq)
    with pytest.raises(UnknownStep):
        await store.delta(line, seq)


async def test_a_fork_reads_through_its_parent_and_never_beyond_the_fork(store: Store) -> None:
    _, line = await started(store)
    await store.commit([step(line, seq, ["set", ["n"], seq], node=f"node{seq % 2}") for seq in range(1, 6)])
    await store.commit([attempt(line, seq) for seq in range(1, 6)])
    forked = await fork(store, line, 3)
    assert await store.state_at(forked) == (3, b'{"n":3}')
    last = await store.last_step(forked)
    assert last is not None and (last.line, last.seq) == (line, 3)
    with pytest.raises(UnknownStep):
        await store.state_at(forked, 4)
    await store.commit([step(forked, 4, ["set", ["forked"], True], node="new"), attempt(forked, 4), attempt(forked, 5)])
    assert await store.state_at(forked) == (4, b'{"n":3,"forked":true}')
    assert await store.state_at(forked, 2) == (2, b'{"n":2}')
    assert await store.state_at(line) == (5, b'{"n":5}')
    assert [(row.line, row.seq) for row in await store.steps(forked, 0)] == [
        (line, 1),
        (line, 2),
        (line, 3),
        (forked, 4),
    ]
    assert await store.visits(forked) == {"node1": 2, "node0": 1, "new": 1}
    assert [(row.line, row.before_seq) for row in await store.attempts(forked, 2, 5)] == [
        (line, 2),
        (line, 3),
        (forked, 4),
        (forked, 5),
    ]
    assert await store.step_totals([line, forked]) == {line: 5, forked: 4}


async def test_a_fork_of_a_fork_from_before_the_first_fork(store: Store) -> None:
    _, line = await started(store)
    await store.commit([step(line, seq, ["set", ["n"], seq]) for seq in range(1, 6)])
    first = await fork(store, line, 4)
    await store.commit([step(first, 5, ["set", ["first"], 1])])
    second = await fork(store, first, 2)
    assert await store.state_at(second) == (2, b'{"n":2}')
    assert await store.step_total(second) == 2
    await store.commit([step(second, 3, ["set", ["second"], 1])])
    third = await fork(store, second, 3)
    assert await store.state_at(third) == (3, b'{"n":2,"second":1}')
    assert [row.line for row in await store.steps(third, -1)] == [line, line, line, second]
    assert await store.visits(third) == {"work": 3}


async def test_steps_are_read_in_pages_across_lines(store: Store) -> None:
    run, line = await started(store)
    await store.commit([step(line, seq) for seq in range(1, 6)])
    (second,) = await store.commit([InsertLine(run, line, 3, "v1", "queued", NOON)])
    await store.commit([step(second, seq) for seq in range(4, 9)])
    found: list[int] = []
    while page := await store.steps(second, found[-1] if found else -1, 2):
        assert len(page) <= 2
        found += [row.seq for row in page]
    assert found == list(range(9))


async def test_deltas_are_counted_from_the_newest_snapshot(store: Store) -> None:
    _, line = await started(store)
    value = "x" * 5000
    await store.commit([step(line, 1, ["setb", ["text"], 0], values=(value,)), step(line, 2, ["set", ["n"], 1])])
    expected = len(b'[["setb",["text"],0]]') + 5002 + len(b'[["set",["n"],1]]')
    assert await store.deltas_since_snapshot(line) == (expected, 2)
    await store.commit([InsertSnapshot(line, 2, b'{"text":"' + value.encode() + b'","n":1}')])
    assert await store.deltas_since_snapshot(line) == (0, 0)
    forked = await fork(store, line, 1)
    assert await store.deltas_since_snapshot(forked) == (expected - len(b'[["set",["n"],1]]'), 1)
    await store.commit([step(line, 3, ["set", ["n"], 2])])
    assert await store.deltas_since_snapshot(line) == (len(b'[["set",["n"],2]]'), 1)


async def test_a_snapshot_is_where_building_a_state_begins(store: Store) -> None:
    """The snapshot says something else than the deltas, so that the test sees which one was used."""
    _, line = await started(store)
    await store.commit([step(line, seq, ["set", [f"n{seq}"], seq]) for seq in range(1, 5)])
    await store.commit([InsertSnapshot(line, 2, b'{"snapshot":true}')])
    forked = await fork(store, line, 3)
    assert await store.state_at(line, 1) == (1, b'{"n1":1}')
    assert await store.state_at(line, 2) == (2, b'{"snapshot":true}')
    assert await store.state_at(forked) == (3, b'{"snapshot":true,"n3":3}')
    early = await fork(store, line, 1)
    assert await store.state_at(early) == (1, b'{"n1":1}')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.sampled_from(["x" * 5000, "y" * 9000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)
STATES = st.lists(st.dictionaries(st.sampled_from(["k1", "k2", "k3"]), VALUES, max_size=3), min_size=1, max_size=12)


@settings(max_examples=30)
@given(
    states=STATES,
    forked=st.lists(st.tuples(st.integers(0, 30), STATES), max_size=3),
    snapshots=st.sets(st.integers(0, 40)),
)
def test_any_state_is_what_the_run_saw(
    tmp_path_factory: pytest.TempPathFactory,
    states: list[dict[str, Any]],
    forked: list[tuple[int, list[dict[str, Any]]]],
    snapshots: set[int],
) -> None:
    """States of a run and of forks of forks, with snapshots anywhere, against the same states kept in memory."""
    histories: dict[int, list[dict[str, Any]]] = {}
    written = 0

    def operations(line: int, before: dict[str, Any], new: list[dict[str, Any]], first: int) -> list[Operation]:
        nonlocal written
        shared = copy.deepcopy(before)
        tracker = StateTracker(shared)
        made: list[Operation] = []
        for seq, state in enumerate(new, first):
            shared.clear()
            shared.update(copy.deepcopy(state))
            delta = tracker.commit_delta(shared)
            blobs = tuple((blob_hash(data), data) for data in delta.blobs)
            made.append(replace(step(line, seq, blobs=blobs), delta=delta.operations))
            if written in snapshots:
                made.append(InsertSnapshot(line, seq, orjson.dumps(state)))
            written += 1
        return made

    async def check() -> None:
        store = await asyncio.to_thread(Store.open, tmp_path_factory.mktemp("states") / "rondo.db")
        await store.start_reads()
        ((_, line),) = await store.commit([new_run()])
        await store.commit(operations(line, {}, states, 0))
        histories[line] = states
        for choice, new in forked:
            parent = list(histories)[choice % len(histories)]
            seq = choice % len(histories[parent])
            child = await fork(store, parent, seq)
            await store.commit(operations(child, histories[parent][seq], new, seq + 1))
            histories[child] = histories[parent][: seq + 1] + new
        for line, history in histories.items():
            for seq, state in enumerate(history):
                number, text = await store.state_at(line, seq)
                assert number == seq and orjson.loads(text) == state
            assert await store.state_at(line) == await store.state_at(line, len(history) - 1)
            assert await store.step_total(line) == len(history) - 1
        await store.close()

    asyncio.run(check())


async def test_a_thousand_steps_with_many_large_values(store: Store) -> None:
    _, line = await started(store)
    futures = []
    for seq in range(1, 1001):
        value = f"{seq:05d}" * 1000
        futures.append(
            store.commit_soon(
                [
                    step(
                        line,
                        seq,
                        [
                            "setb",
                            [
                                "k",
                            ],
                            0,
                        ],
                        ["set", ["n"], seq],
                        values=(value,),
                    )
                ]
            )
        )
    await asyncio.gather(*futures)
    seq, text = await store.state_at(line)
    assert seq == 1000 and orjson.loads(text) == {"k": "01000" * 1000, "n": 1000}
    _, text = await store.state_at(line, 500)
    assert orjson.loads(text) == {"k": "00500" * 1000, "n": 500}


# Damage ----------------------------------------------------------------------------------------------------------


def change(path: Path, statement: str) -> None:
    """Change a row behind the store's back, as a failing disk would."""
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()


async def damaged(store: Store) -> int:
    _, line = await started(store)
    await store.commit([step(line, 1, ["setb", ["t"], 0], values=("x" * 5000,)), step(line, 2, ["set", ["n"], 1])])
    return line


async def test_a_changed_delta_is_noticed_and_named(store: Store, path: Path) -> None:
    line = await damaged(store)
    change(path, """UPDATE steps SET delta = CAST('[["set",["n"],7]]' AS BLOB) WHERE seq = 2""")
    with pytest.raises(DatabaseDamaged, match=f"steps is damaged: line {line}, seq 2"):
        await store.state_at(line)
    with pytest.raises(DatabaseDamaged, match="seq 2"):
        await store.delta(line, 2)
    assert (await store.state_at(line, 1))[0] == 1


async def test_a_changed_large_value_is_noticed_and_named(store: Store, path: Path) -> None:
    line = await damaged(store)
    change(path, "UPDATE blobs SET data = CAST('\"y\"' AS BLOB)")
    with pytest.raises(DatabaseDamaged, match="blobs is damaged: hash"):
        await store.state_at(line)


async def test_a_lost_large_value_is_noticed_and_named(store: Store, path: Path) -> None:
    line = await damaged(store)
    change(path, "DELETE FROM blobs")
    with pytest.raises(DatabaseDamaged, match="blobs are missing: hash"):
        await store.state_at(line)


async def test_a_changed_snapshot_is_noticed_and_named(store: Store, path: Path) -> None:
    line = await damaged(store)
    await store.commit([InsertSnapshot(line, 2, b"{}")])
    change(path, "UPDATE snapshots SET state = CAST('[]' AS BLOB)")
    with pytest.raises(DatabaseDamaged, match=f"snapshots is damaged: line {line}, seq 2"):
        await store.state_at(line)


@pytest.mark.parametrize("seq", [0, 1])
async def test_a_lost_step_is_noticed_and_named(store: Store, path: Path, seq: int) -> None:
    line = await damaged(store)
    change(path, f"DELETE FROM steps WHERE seq = {seq}")
    with pytest.raises(DatabaseDamaged, match=f"steps are missing: line {line}, seq {seq}"):
        await store.state_at(line)
    with pytest.raises(DatabaseDamaged, match=f"seq {seq}"):
        await store.delta(line, seq)


async def test_a_delta_that_makes_no_sense_is_an_error_of_that_step(store: Store) -> None:
    line = await damaged(store)
    await store.commit([step(line, 3, ["del", ["nothing", "here"]])])
    with pytest.raises(DatabaseDamaged, match=f"Step 3 of line {line}"):
        await store.state_at(line)
    assert (await store.state_at(line, 2))[0] == 2
