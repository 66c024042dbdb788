"""What is committed is whole, in order, and acknowledged only when it is kept."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from store_rows import NOON, attempt, log_lines, new_run, request, run_id, started, step, wait_until

from core.errors import AlreadyAnswered, EngineStopping, RunAtRest, StoreError, UnknownRequest, UnknownRun, UnknownStep
from core.store.opening import open_database
from core.store.operations import (
    AnswerRequest,
    InsertLine,
    InsertLogs,
    InsertSnapshot,
    InsertStep,
    MarkRequest,
    PutVersion,
    RecordCommand,
    Ref,
    RepeatedCommand,
    UpdateLine,
    UpdateRun,
    WithdrawRequests,
    blob_hash,
)
from core.store.store import Store


def command(id: str, result: str | None = None) -> RecordCommand:
    return RecordCommand(id=id, at=NOON, source="cli", method="start_run", run=None, arguments="{}", result=result)


async def test_a_group_can_use_numbers_made_earlier_in_it(store: Store) -> None:
    results = await store.commit(
        [
            new_run("the-run-abcd"),
            step(Ref(0, 1), 0, ["set", ["name"], "Ada"]),
            request(Ref(0, 1), Ref(0, 0)),
            AnswerRequest(Ref(2), '"Ada"', "cli", NOON),
            log_lines(Ref(0, 0), 1, 1, ["hello"]),
            UpdateRun(Ref(0, 0), status="running", started_at=NOON),
        ]
    )
    run, line = results[0]
    assert results[1:] == [None, 1, None, None, None]
    record = await store.run("the-run-abcd")
    assert (record.number, record.line, record.status, record.started_at) == (run, line, "running", NOON)
    assert await store.state_at(line) == (0, b'{"name":"Ada"}')
    (row,) = await store.requests(run_number=run)
    assert (row.line, row.status, row.answer) == (line, "answered", '"Ada"')


async def test_a_group_with_one_bad_operation_leaves_nothing(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.commit([new_run("the-run-abcd"), log_lines(Ref(0, 0), 1, 1, ["hello"]), step(99, 0)])
    with pytest.raises(UnknownRun):
        await store.run("the-run-abcd")
    assert (await store.facts())["logs"] == "0"


async def test_a_bad_group_fails_alone_among_those_that_wait(store: Store) -> None:
    run, line = await started(store)
    futures = []
    for number in range(1, 41):
        futures.append(store.commit_soon([step(line, number), log_lines(run, line, number, [f"line {number}"])]))
        if number % 10 == 0:
            futures.append(store.commit_soon([log_lines(run, line, number, ["a row that is there already"])]))
    results = await asyncio.gather(*futures, return_exceptions=True)
    bad = [result for result in results if isinstance(result, Exception)]
    assert len(bad) == 4 and all(isinstance(error, StoreError) for error in bad)
    assert await store.step_total(line) == 40
    rows, _ = await store.logs(run)
    assert [row.text for row in rows] == [f"line {number}" for number in range(1, 41)]


async def test_groups_are_committed_and_acknowledged_in_the_order_of_the_calls(store: Store) -> None:
    _, line = await started(store)
    acknowledged: list[int] = []
    futures = []
    for seq in range(1, 801):
        future = store.commit_soon([step(line, seq, ["set", ["n"], seq])])
        future.add_done_callback(lambda _, seq=seq: acknowledged.append(seq))
        futures.append(future)
    await asyncio.gather(*futures)
    assert acknowledged == list(range(1, 801))
    assert await store.state_at(line) == (800, b'{"n":800}')


async def test_what_is_acknowledged_can_be_read_by_another_program(store: Store, path: Path) -> None:
    _, line = await started(store)
    other = sqlite3.connect(path)
    for seq in range(1, 6):
        await store.commit([step(line, seq)])
        assert other.execute("SELECT max(seq) FROM steps").fetchone() == (seq,)
    other.close()


@pytest.mark.parametrize(("seq", "cause"), [(0, "there already"), (1, "there already"), (3, "Step 2 is missing")])
async def test_a_gap_or_a_repeat_of_steps_is_refused(store: Store, seq: int, cause: str) -> None:
    _, line = await started(store)
    await store.commit([step(line, 1)])
    with pytest.raises(StoreError) as caught:
        await store.commit([step(line, seq)])
    assert cause in caught.value.cause
    await store.commit([step(line, 2)])
    assert await store.step_total(line) == 2


async def test_a_refused_step_leaves_the_next_right_one_possible(store: Store) -> None:
    """The line's last step is remembered; what was rolled back must not be."""
    run, line = await started(store)
    await store.commit([log_lines(run, line, 1, ["first"])])
    with pytest.raises(StoreError):
        await store.commit([step(line, 1), step(line, 2), log_lines(run, line, 1, ["again"])])
    await store.commit([step(line, 1)])
    assert await store.step_total(line) == 1


async def test_large_values_are_kept_once_and_found_again(store: Store) -> None:
    _, line = await started(store)
    text = "x" * 100_000
    await store.commit([step(line, 1, ["setb", ["text"], 0], values=(text,))])
    name = blob_hash(f'"{text}"'.encode())
    await store.commit([step(line, 2, ["setb", ["again"], 0], blobs=((name, None),))])
    seq, state = await store.state_at(line)
    assert seq == 2 and state == f'{{"text":"{text}","again":"{text}"}}'.encode()
    operations, blobs = await store.delta(line, 2)
    assert (operations, blobs) == (b'[["setb",["again"],0]]', [f'"{text}"'.encode()])
    assert int((await store.facts())["log_size"]) < 200_000


async def test_a_large_value_that_was_never_stored_fails_the_step(store: Store) -> None:
    _, line = await started(store)
    with pytest.raises(StoreError, match="not stored"):
        await store.commit([step(line, 1, blobs=((blob_hash(b"1"), None),))])
    assert await store.step_total(line) == 0


async def test_a_large_value_under_a_wrong_name_fails_the_step(store: Store) -> None:
    _, line = await started(store)
    with pytest.raises(StoreError, match="another content"):
        await store.commit([step(line, 1, blobs=((blob_hash(b"1"), b"2"),))])
    with pytest.raises(StoreError, match="not stored"):
        await store.commit([step(line, 1, blobs=((blob_hash(b"1"), None),))])


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
async def test_a_final_status_never_changes(store: Store, final: str) -> None:
    run, line = await started(store)
    await store.commit([UpdateRun(run, status=final, ended_at=NOON), UpdateLine(line, status=final, ended_at=NOON)])
    for status in ("running", "completed", "failed", "cancelled"):
        with pytest.raises(RunAtRest, match=final):
            await store.commit([UpdateRun(run, status=status)])
        with pytest.raises(RunAtRest, match=final):
            await store.commit([UpdateLine(line, status=status)])
    await store.commit([UpdateRun(run, pid=None, logs_dropped=3)])
    record = await store.run_by_number(run)
    assert (record.status, record.logs_dropped) == (final, 3)


async def test_a_new_line_is_the_way_on_from_a_final_status(store: Store) -> None:
    run, line = await started(store)
    await store.commit([step(line, 1), step(line, 2)])
    ended = [UpdateRun(run, status="failed", ended_at=NOON, error='{"type": "x"}'), UpdateLine(line, status="failed")]
    await store.commit(ended)
    (second,) = await store.commit([InsertLine(run, line, 1, "v2", "queued", NOON)])
    record = await store.run_by_number(run)
    assert (record.status, record.line, record.version) == ("queued", second, "v2")
    assert (record.ended_at, record.error) == (None, None)
    assert [(row.line, row.status, row.parent_seq) for row in await store.lines(run)] == [
        (line, "failed", None),
        (second, "queued", 1),
    ]
    await store.commit([step(second, 2), UpdateRun(run, status="running")])


@pytest.mark.parametrize("parent_seq", [-1, 3])
async def test_a_line_can_only_go_on_from_a_step_that_is_there(store: Store, parent_seq: int) -> None:
    run, line = await started(store)
    await store.commit([step(line, 1), step(line, 2)])
    with pytest.raises(UnknownStep):
        await store.commit([InsertLine(run, line, parent_seq, "v1", "queued", NOON)])
    with pytest.raises(UnknownStep):
        await store.commit([new_run(parent_line=line, parent_seq=parent_seq)])


async def test_rows_that_are_not_there_cannot_be_changed(store: Store) -> None:
    with pytest.raises(StoreError, match="runs"):
        await store.commit([UpdateRun(7, status="running")])
    with pytest.raises(StoreError, match="lines"):
        await store.commit([UpdateLine(7, ended_at=NOON)])
    with pytest.raises(StoreError, match="line 7"):
        await store.commit([step(7, 0)])
    with pytest.raises(StoreError):
        await store.commit([InsertLine(7, None, None, "v1", "queued", NOON)])


async def test_two_runs_cannot_have_one_id(store: Store) -> None:
    await store.commit([new_run("the-run-abcd")])
    with pytest.raises(StoreError, match="the-run-abcd"):
        await store.commit([new_run("the-run-abcd")])


async def test_of_many_answers_at_once_the_first_wins(store: Store) -> None:
    run, line = await started(store)
    (number,) = await store.commit([request(line, run)])
    futures = [store.commit_soon([AnswerRequest(number, f'"{who}"', who, NOON)]) for who in ("ann", "bob", "cy")]
    first, *others = await asyncio.gather(*futures, return_exceptions=True)
    assert first == [None]
    for error in others:
        assert isinstance(error, AlreadyAnswered)
        assert "ann" in error.cause and "2023-11-14T22:13:20+00:00" in error.cause
        assert error.details == {"answered_by": "ann", "answered_at": NOON, "answer": "ann"}
    (row,) = await store.requests(run_number=run)
    assert (row.answer, row.answered_by, row.answered_at) == ('"ann"', "ann", NOON)


async def test_a_withdrawn_request_takes_no_answer(store: Store) -> None:
    run, line = await started(store)
    _, other_line = await started(store)
    first, second, _ = await store.commit(
        [request(line, run), request(line, run, "other"), request(other_line, run + 1)]
    )
    assert await store.commit([WithdrawRequests(line, NOON)]) == [[first, second]]
    with pytest.raises(UnknownRequest):
        await store.commit([AnswerRequest(first, '"late"', "ann", NOON)])
    with pytest.raises(UnknownRequest):
        await store.commit([AnswerRequest(99, '"late"', "ann", NOON)])
    assert [row.line for row in await store.requests(status="open")] == [other_line]


async def test_a_question_is_asked_once_until_its_answer_is_stale(store: Store) -> None:
    run, line = await started(store)
    (number,) = await store.commit([request(line, run)])
    with pytest.raises(StoreError, match="work:1:name:0"):
        await store.commit([request(line, run)])
    await store.commit([AnswerRequest(number, '"old"', "ann", NOON)])
    await store.commit([MarkRequest(number, "stale"), request(line, run, hash="h2")])
    assert [(row.status, row.hash) for row in await store.requests(line=line)] == [("stale", "h1"), ("open", "h2")]
    with pytest.raises(AlreadyAnswered):
        await store.commit([AnswerRequest(number, '"new"', "bob", NOON)])


async def test_an_answer_that_was_refused_leaves_the_request_open_with_the_reason(store: Store) -> None:
    run, line = await started(store)
    (number,) = await store.commit([request(line, run)])
    await store.commit([MarkRequest(number, "open", problem="not a number")])
    (row,) = await store.requests(status="open")
    assert row.problem == "not a number"
    await store.commit([AnswerRequest(number, "3", "ann", NOON)])
    with pytest.raises(StoreError):
        await store.commit([MarkRequest(number, "open")])
    (row,) = await store.requests(line=line, status="answered")
    assert row.problem == ""


async def test_only_an_answer_makes_a_request_answered(store: Store) -> None:
    run, line = await started(store)
    (number,) = await store.commit([request(line, run)])
    with pytest.raises(StoreError):
        await store.commit([MarkRequest(number, "answered")])
    assert [row.status for row in await store.requests(line=line)] == ["open"]


async def test_a_repeated_command_acts_once_and_gives_the_first_result(store: Store) -> None:
    assert await store.commit([new_run("the-run-abcd"), command("c1", '{"run_id": "the-run-abcd"}')]) == [(1, 1), None]
    with pytest.raises(RepeatedCommand) as caught:
        await store.commit([new_run("another-run"), command("c1", '{"run_id": "another-run"}')])
    assert caught.value.result == '{"run_id": "the-run-abcd"}'
    with pytest.raises(UnknownRun):
        await store.run("another-run")
    record = await store.command("c1")
    assert record is not None and record.method == "start_run"
    assert await store.command("c2") is None


async def test_one_command_sent_twice_at_once_acts_once(store: Store) -> None:
    futures = [store.commit_soon([new_run(), command("c1", f"{number}")]) for number in range(5)]
    first, *others = await asyncio.gather(*futures, return_exceptions=True)
    assert first == [(1, 1), None]
    assert [error.result for error in others if isinstance(error, RepeatedCommand)] == ["0"] * 4
    assert len(await store.runs()) == 1


@pytest.mark.parametrize("value", ["half of a pair: \ud83d", 2**64, {"a": 1}])
async def test_a_value_that_cannot_be_stored_fails_its_own_group_only(store: Store, value: Any) -> None:
    run, line = await started(store)
    bad = store.commit_soon([log_lines(run, line, 1, [value])])
    good = store.commit_soon([log_lines(run, line, 2, ["and on"])])
    results = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(results[0], StoreError) and results[1] == [None]
    assert results[0].message == "A value can't be stored."
    rows, last = await store.logs(run)
    assert [row.text for row in rows] == ["and on"] and last == 2


async def test_a_group_larger_than_a_batch_is_still_whole(store: Store) -> None:
    run, line = await started(store)
    await store.commit([log_lines(run, line, 1, [f"line {number}" for number in range(1, 1338)])])
    with pytest.raises(StoreError):
        await store.commit([log_lines(run, line, 1338 - 900, ["more"] * 1800)])
    rows, last = await store.logs(run, after=0, limit=5000)
    assert last == 1337 and [row.text for row in rows] == [f"line {number}" for number in range(1, 1338)]


async def test_log_rows_need_no_list(store: Store) -> None:
    run, line = await started(store)
    await store.commit([InsertLogs(run, ((1, line, NOON, 30, "log", "work", 1, 1, "careful"),))])
    ((row,), _) = await store.logs(run)
    assert (row.at, row.level, row.stream, row.text) == (NOON, 30, "log", "careful")


async def test_a_failed_attempt_is_kept_with_the_step_that_follows(store: Store) -> None:
    _, line = await started(store)
    await store.commit([step(line, 1), attempt(line, 1, 1), attempt(line, 1, 2)])
    assert [(row.before_seq, row.attempt) for row in await store.attempts(line, 1, 1)] == [(1, 1), (1, 2)]
    with pytest.raises(StoreError):
        await store.commit([attempt(line, 1, 2)])


@pytest.mark.parametrize("seq", [-1, 1])
async def test_a_snapshot_needs_its_step(store: Store, seq: int) -> None:
    _, line = await started(store)
    with pytest.raises(StoreError):
        await store.commit([InsertSnapshot(line, seq, b"{}")])
    with pytest.raises(StoreError):
        await store.commit([InsertSnapshot(line + 1, 0, b"{}")])


async def test_a_version_put_again_changes_nothing(store: Store) -> None:
    files = {"nodes.py": b"print()", "triage.json": b"{}", "copy.py": b"print()"}
    await store.commit([PutVersion("v1", "triage", "{}", files, NOON)])
    await store.commit([PutVersion("v1", "triage", "{}", {}, NOON + 1)])
    record = await store.version("v1")
    assert record is not None and record.files == files and record.created_at == NOON
    assert await store.version("v2") is None


async def test_a_caller_that_gives_up_does_not_take_its_group_back(store: Store) -> None:
    task = asyncio.create_task(store.commit([new_run("the-run-abcd")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.commit([])
    assert (await store.run("the-run-abcd")).workflow == "triage"


async def test_closing_commits_what_waits_and_refuses_what_comes_later(path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    futures = [store.commit_soon([new_run(run_id(1000 + number))]) for number in range(300)]
    await store.close()
    assert all(future.done() and future.result() for future in futures)
    with pytest.raises(EngineStopping, match="closed"):
        await store.commit([new_run()])
    with pytest.raises(EngineStopping, match="closed"):
        await store.runs()
    await store.close()
    assert os.listdir(path.parent) == [path.name]
    again = await asyncio.to_thread(Store.open, path)
    await again.start_reads()
    assert [record.id for record in await again.runs(limit=1000)] == [run_id(1299 - n) for n in range(300)]
    await again.close()


async def test_the_log_is_emptied_into_the_database_when_nothing_happens(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store.writer.IDLE_SECONDS", 0.05)
    store = await asyncio.to_thread(Store.open, path)
    _, line = await started(store)
    await store.commit([step(line, 1, ["set", ["text"], "x" * 50_000])])
    await asyncio.to_thread(wait_until, lambda: os.stat(f"{path}-wal").st_size == 0)
    await store.commit([step(line, 2)])
    await store.close()


async def test_a_reader_in_the_way_does_not_stop_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.writer.IDLE_SECONDS", 0.01)
    connection = await asyncio.to_thread(open_database, path)
    emptying = threading.Event()
    connection.set_trace_callback(lambda statement: emptying.set() if "TRUNCATE" in statement else None)
    store = Store(path, connection)
    _, line = await started(store)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM runs").fetchall()
    for seq in range(1, 4):
        await store.commit([step(line, seq)])
        emptying.clear()
        assert await asyncio.to_thread(emptying.wait, 60)
    reader.execute("COMMIT")
    reader.close()
    await store.start_reads()
    assert await store.step_total(line) == 3
    await store.close()


async def test_a_step_may_be_built_by_keyword_alone(store: Store) -> None:
    _, line = await started(store)
    await store.commit(
        [
            InsertStep(
                line=line,
                seq=1,
                node="sort",
                visit=1,
                attempt=2,
                next=None,
                routing='{"reason":"end"}',
                started_at=NOON,
                ended_at=NOON,
                changed=0,
                delta=b"[]",
            )
        ]
    )
    last = await store.last_step(line)
    assert last is not None and (last.node, last.attempt, last.next) == ("sort", 2, None)
    assert last.routing == '{"reason":"end"}'


def test_a_program_that_never_closes_its_store_still_ends(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from core.store.store import Store\n"
        "async def main():\n"
        "    store = await asyncio.to_thread(Store.open, Path(sys.argv[1]))\n"
        "    await store.start_reads()\n"
        "    await store.runs()\n"
        "    raise SystemExit('gone wrong')\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "gone wrong" in ended.stderr
