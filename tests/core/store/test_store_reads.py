"""Finding runs, requests, versions and log lines again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import NOON, log_lines, new_run, request, run_id, started

from core.errors import EngineStopping, StoreError, UnknownRun
from core.store.operations import AnswerRequest, PutVersion, Ref, UpdateRun
from core.store.records import LogRow
from core.store.schema import SCHEMA_VERSION
from core.store.store import Store

# Runs ------------------------------------------------------------------------------------------------------------


async def test_a_run_is_found_by_its_id_or_a_unique_ending(store: Store) -> None:
    await store.commit([new_run(id) for id in ("aaaa-1111-beef", "aaaa-2222-feed", "x")])
    assert (await store.run("aaaa-1111-beef")).id == "aaaa-1111-beef"
    assert (await store.run("beef")).id == "aaaa-1111-beef"
    assert (await store.run("2222-feed")).id == "aaaa-2222-feed"
    assert (await store.run("x")).id == "x"


async def test_an_ending_of_several_runs_names_them(store: Store) -> None:
    await store.commit([new_run(f"{number:04d}-cafe") for number in range(8)])
    with pytest.raises(UnknownRun, match="several") as caught:
        await store.run("cafe")
    assert "0000-cafe (triage)" in caught.value.cause and caught.value.cause.endswith("and more.")
    assert len(caught.value.details) == 5
    with pytest.raises(UnknownRun) as caught:
        await store.run("001-cafe-")
    assert caught.value.details is None


async def test_an_id_that_is_the_ending_of_another_is_found_whole(store: Store) -> None:
    await store.commit([new_run("12345678"), new_run("0-12345678")])
    assert (await store.run("12345678")).id == "12345678"


@pytest.mark.parametrize("ref", ["", "eef", "dead", "%eef", "_eef", "be*f"])
async def test_what_is_no_ending_finds_nothing(store: Store, ref: str) -> None:
    await store.commit([new_run("aaaa-1111-beef")])
    with pytest.raises(UnknownRun, match="no run") as caught:
        await store.run(ref)
    assert caught.value.next_step == "See the runs there are: rondo runs"


async def test_an_unknown_number_is_an_unknown_run(store: Store) -> None:
    with pytest.raises(UnknownRun):
        await store.run_by_number(1)


async def test_pages_of_runs_go_from_new_to_old_without_gaps(store: Store) -> None:
    statuses = ["completed", "failed", "running"]
    made = [(run_id(n), f"flow{n % 2}", statuses[n % 3]) for n in range(100)]
    await store.commit([new_run(id, workflow=workflow, status=status) for id, workflow, status in made])
    for workflow in (None, "flow0", "flow1", "none"):
        for status in (None, "failed", "paused"):
            expected = [id for id, w, s in reversed(made) if w == (workflow or w) and s == (status or s)]
            found: list[str] = []
            while page := await store.runs(workflow, status, found[-1] if found else None, 7):
                found += [record.id for record in page]
            assert found == expected


async def test_a_page_after_an_unknown_run_is_an_error(store: Store) -> None:
    with pytest.raises(UnknownRun):
        await store.runs(before="nothing")


async def test_runs_that_go_on_by_themselves_are_found_after_a_crash(store: Store) -> None:
    words = ["queued", "running", "waiting_input", "waiting_timer", "paused", "completed", "failed", "cancelled"]
    await store.commit([new_run(f"run-{word}", status=word) for word in [*words, "blocked"]])
    found = await store.runs_not_at_rest()
    assert [record.status for record in found] == ["queued", "running", "waiting_timer"]
    await store.commit([UpdateRun(1, status="running")])
    assert await store.run_counts_by_status() == {
        "running": 2,
        **{word: 1 for word in [*words, "blocked"] if word not in ("queued", "running")},
    }


async def test_the_last_run_of_each_workflow(store: Store) -> None:
    await store.commit([new_run(f"run-{n}", workflow=f"flow{n % 3}") for n in range(10)])
    last = await store.last_runs(["flow0", "flow1", "never run", 'a "name"'])
    assert {name: record.id for name, record in last.items()} == {"flow0": "run-9", "flow1": "run-7"}
    assert await store.last_runs([]) == {}


# Requests and versions -------------------------------------------------------------------------------------------


async def test_requests_are_found_by_run_line_and_status(store: Store) -> None:
    first, first_line = await started(store)
    second, second_line = await started(store)
    numbers = await store.commit(
        [request(first_line, first, "a"), request(second_line, second, "b"), request(first_line, first, "c")]
    )
    await store.commit([AnswerRequest(numbers[0], "1", "ann", NOON)])
    assert [row.request_id for row in await store.requests()] == ["a", "b", "c"]
    assert [row.request_id for row in await store.requests(status="open")] == ["b", "c"]
    assert [row.request_id for row in await store.requests(run_number=first)] == ["a", "c"]
    assert [row.request_id for row in await store.requests(line=second_line)] == ["b"]
    assert [row.request_id for row in await store.requests(first, first_line, "answered")] == ["a"]
    assert await store.requests(second, first_line) == []


async def test_versions_of_a_workflow_come_newest_first(store: Store) -> None:
    await store.commit([PutVersion(f"v{n}", "triage", "{}", {"nodes.py": b"%d" % n}, NOON + n) for n in range(3)])
    await store.commit([PutVersion("other", "sort", "{}", {}, NOON)])
    assert [row.hash for row in await store.versions("triage")] == ["v2", "v1", "v0"]
    assert await store.versions("none") == []


# Logs ------------------------------------------------------------------------------------------------------------


async def test_a_long_log_is_read_in_windows(store: Store) -> None:
    run, line = await started(store)
    other, other_line = await started(store)
    await store.commit([log_lines(run, line, 1, [f"line {n}" for n in range(1, 1001)])])
    await store.commit([log_lines(other, other_line, 1, ["of another run"])])

    async def rows(**query: int) -> list[int]:
        found, last = await store.logs(run, **query)
        assert last == 1000 == await store.last_log_row(run)
        assert [row.text for row in found] == [f"line {row.row}" for row in found]
        return [row.row for row in found]

    assert await rows(limit=3) == [998, 999, 1000]
    assert await rows(after=0, limit=3) == [1, 2, 3]
    assert await rows(after=998, limit=500) == [999, 1000]
    assert await rows(after=1000) == []
    assert await rows(before=4, limit=500) == [1, 2, 3]
    assert await rows(before=500, limit=2) == [498, 499]
    assert await rows(before=1) == []
    assert await rows(after=10, before=14) == [11, 12, 13]
    assert await store.logs(99) == ([], 0) and await store.last_log_row(99) == 0


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("error", ["An ERROR here", "error: 50% done"]),
        ("50%", ["error: 50% done"]),
        ("_", ["snake_case"]),
        ("über", ["ÜBER alles"]),
        ("ÜBER", ["ÜBER alles"]),
        ("STRASSE", []),
        ("straße", ["Die Straße"]),
        ("nowhere", []),
    ],
)
async def test_a_log_is_searched_without_regard_to_case(store: Store, search: str, found: list[str]) -> None:
    run, line = await started(store)
    texts = ["An ERROR here", "error: 50% done", "snake_case", "ÜBER alles", "Die Straße", "nothing"]
    await store.commit([log_lines(run, line, 1, texts)])
    rows, last = await store.logs(run, search=search)
    assert [row.text for row in rows] == found and last == len(texts)


def fits(row: LogRow, node: str | None, level: int | None, search: str | None) -> bool:
    return (
        (node is None or row.node == node)
        and (level is None or row.level >= level)
        and (not search or search.casefold() in row.text.casefold())
    )


@settings(max_examples=30)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([10, 20, 40]), st.text("aBüÜ %_", max_size=4)),
        max_size=40,
    ),
    after=st.none() | st.integers(0, 45),
    before=st.none() | st.integers(0, 45),
    limit=st.integers(1, 12),
    node=st.none() | st.sampled_from(["a", "b", "c"]),
    level=st.none() | st.sampled_from([10, 30]),
    search=st.none() | st.text("abü%_", max_size=2),
)
def test_any_window_of_a_log_is_what_a_list_would_give(
    tmp_path_factory: pytest.TempPathFactory,
    short_slices: None,
    rows: list[tuple[str, int, str]],
    after: int | None,
    before: int | None,
    limit: int,
    node: str | None,
    level: int | None,
    search: str | None,
) -> None:
    async def check() -> None:
        store = await asyncio.to_thread(Store.open, tmp_path_factory.mktemp("logs") / "rondo.db")
        await store.start_reads()
        run, line = await started(store)
        lines = [(n, line, NOON, lvl, "log", nd, 1, 1, text) for n, (nd, lvl, text) in enumerate(rows, 1)]
        await store.commit([type(log_lines(run, line, 1, []))(run, lines)])
        found, last = await store.logs(run, after, before, limit, node, level, search)
        model = [
            row
            for row in (LogRow(run, *values) for values in lines)
            if row.row > (after or 0) and row.row < (before if before is not None else 10**9)
            if fits(row, node, level, search)
        ]
        assert found == (model[:limit] if after is not None else model[-limit:])
        assert last == len(rows)
        await store.close()

    asyncio.run(check())


@pytest.fixture(scope="module")
def short_slices() -> Iterator[None]:
    """Slices of a few rows, so that a short log has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.store.log_reads.SLICE_ROWS", 3)
        yield


async def test_a_long_search_lets_others_read_and_can_be_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.log_reads.SLICE_ROWS", 10)
    run, line = await started(store)
    await store.commit([log_lines(run, line, 1, [f"line {n}" for n in range(20_000)])])
    search = asyncio.create_task(store.logs(run, search="nowhere"))
    for _ in range(3):
        assert len(await store.runs()) == 1
    assert not search.done()
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    found, _ = await store.logs(run, after=0, search="LINE 17")
    assert found[0].text == "line 17"


async def test_texts_of_every_kind_come_back_as_they_were(store: Store) -> None:
    run, line = await started(store)
    generator = random.Random(7)
    texts = ["", "\x00 zero", "tab\tand\nline", "🎉", "\x1b[31mred", "".join(map(chr, range(1, 300)))]
    texts += ["".join(chr(generator.randrange(1, 0xD7FF)) for _ in range(50)) for _ in range(20)]
    await store.commit([log_lines(run, line, 1, texts)])
    rows, _ = await store.logs(run)
    assert [row.text for row in rows] == texts


async def test_the_facts_name_what_a_person_who_looks_for_trouble_asks(store: Store) -> None:
    run, line = await started(store)
    await store.commit([log_lines(run, line, 1, ["a", "b"])])
    facts = await store.facts()
    assert facts["journal_mode"] == "wal" and facts["synchronous"] == "full" and facts["schema"] == str(SCHEMA_VERSION)
    assert (facts["runs"], facts["steps"], facts["logs"]) == ("1", "1", "2")
    assert int(facts["size"]) > 0 and int(facts["log_size"]) > 0 and facts["sqlite"].count(".") == 2


async def test_reading_before_the_reads_are_started_is_an_error(path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    with pytest.raises(EngineStopping, match="closed"):
        await store.runs()
    await store.close()


async def test_a_line_that_was_never_stored_is_an_error(store: Store) -> None:
    for read in (store.last_step(7), store.steps(7), store.step_total(7), store.visits(7), store.state_at(7)):
        with pytest.raises(StoreError, match="line 7"):
            await read
    await store.commit([new_run(), UpdateRun(Ref(0, 0), line=Ref(0, 1))])
    assert await store.last_step(1) is None and await store.step_total(1) == 0


async def test_runs_are_narrowed_by_words_time_ids_and_paged_in_both_directions(store: Store) -> None:
    from dataclasses import replace

    made = [
        replace(new_run(f"{n:04d}-cafe"), workflow="Mail" if n % 2 else "news", created_at=NOON + n) for n in range(9)
    ]
    await store.commit(made)

    async def ids(**how: Any) -> list[str]:
        return [record.id[:4] for record in await store.runs(**how)]

    assert await ids(words=["mAi", "cafe"]) == ["0007", "0005", "0003", "0001"]
    assert await ids(words=["mail", "%"]) == []
    assert await ids(created=(NOON + 3, NOON + 5)) == ["0005", "0004", "0003"]
    assert await ids(ids=["0002-cafe", "0006-cafe", "gone"]) == ["0006", "0002"]
    numbers = {record.id[:4]: record.number for record in await store.runs()}
    assert await ids(between=(None, numbers["0003"]), limit=2) == ["0002", "0001"]
    assert await ids(between=(numbers["0003"], None), limit=2) == ["0005", "0004"]
