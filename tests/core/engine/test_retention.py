"""Pruning: what goes, what stays because others need it, and that the file gets smaller while runs go on."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench import Workbench

from core.engine.inline import InlinePool
from core.engine.retention import Chooser
from core.errors import UnknownRun, UsageError
from core.link.commands import Fork, Retry
from core.link.retention_types import Prune
from core.link.types import FINAL, RunFilter
from core.store.pruning import PruneRun, RunAge

BIG = """
import os

class Make(Node):
    def prepare(self, shared, _):
        shared["own"] = os.urandom(150_000).hex()
        shared["same"] = "same " * 2_000
        with open(os.path.join(self.output_dir, "file.txt"), "w") as file:
            file.write("text")

class End(Node):
    def prepare(self, shared, _):
        print("line")
        shared["n"] = 1
"""
FAILS = """
class Fail(Node):
    def prepare(self, shared, _):
        shared["before"] = "x" * 10_000

class Then(Node):
    def execute(self, _):
        raise ValueError("no")
"""


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def prune(**fields: Any) -> Prune:
    return Prune(command_id=uuid.uuid4().hex, **fields)


def running(bench: Workbench, **options: Any) -> Any:
    return bench.running(pool=InlinePool(), **options)


def rows(bench: Workbench, table: str) -> int:
    connection = sqlite3.connect(bench.workspace.database)
    try:
        count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return count
    finally:
        connection.close()


def fork(run_id: str, step: int, **fields: Any) -> Fork:
    return Fork(command_id=uuid.uuid4().hex, run_id=run_id, step=step, **fields)


async def test_pruned_runs_are_gone_with_all_they_held_and_the_file_is_smaller(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        runs = [await bench.run("big") for _ in range(12)]
        assert all(run.status == "completed" for run in runs), runs[0].error
        report = await engine.prune(prune(keep=2))
        assert report.removed_count == 10 and report.kept_count == 0 and report.output_folders == 10
        # Each run alone holds a text of 300 kB.
        assert report.bytes_after < report.bytes_before - 9 * 300_000
        assert bench.database_bytes() <= report.bytes_after + 8 * 2**20
        for run in runs[:10]:
            with pytest.raises(UnknownRun):
                await engine.get_run(run.run_id)
            assert not (bench.workspace.output / run.run_id).exists()
        for run in runs[10:]:
            state = await bench.state(run.run_id)
            assert len(state["own"]) == 300_000 and state["same"] == "same " * 2_000
            assert (bench.workspace.output / run.run_id / "file.txt").read_text() == "text"
        assert bench.workspace.database.stat().st_size < 1_500_000
        later = await bench.run("big")
        assert later.line > max(run.line for run in runs), "the number of a pruned line was given again"
    assert rows(bench, "pruning") == 0
    assert [rows(bench, table) for table in ("runs", "lines", "steps")] == [3, 3, 9]
    # Own and shared texts of three runs, and the version's two files.
    assert rows(bench, "blobs") == 3 + 1 + 2
    connection = sqlite3.connect(bench.workspace.database)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


async def test_a_run_whose_history_a_fork_reads_stays_whole_and_is_named(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        first = await bench.run("big")
        middle = await bench.rest((await engine.fork_run(fork(first.run_id, 1))).run_id)
        last = await bench.rest((await engine.fork_run(fork(middle.run_id, 1))).run_id)
        alone = await bench.run("big")
        plan = await engine.prune(prune(keep=2, dry_run=True))
        assert plan.removed == []
        assert {kept.run_id: kept.reason for kept in plan.kept} == {
            first.run_id: f"the fork {middle.short_id} reads its history",
            middle.run_id: f"the fork {last.short_id} reads its history",
        }
        before = [await bench.state(last.run_id, seq) for seq in range(3)]
        gone = await engine.prune(prune(keep=2))
        assert gone.removed_count == 0 and gone.kept_count == 2
        assert [await bench.state(last.run_id, seq) for seq in range(3)] == before
        report = await engine.prune(prune(keep=1))
        assert report.removed_count == 3 and report.kept_count == 0
        assert len((await bench.state(alone.run_id))["own"]) == 300_000


async def test_just_the_runs_that_are_named_go_and_those_that_must_stay_are_named(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        first, second, third = [await bench.run("big") for _ in range(3)]
        forked = await bench.rest((await engine.fork_run(fork(first.run_id, 1))).run_id)
        named = [first.short_id, third.run_id]
        plan = await engine.prune(prune(runs=named, dry_run=True))
        assert [run.run_id for run in plan.removed] == [third.run_id]
        assert [(kept.run_id, kept.reason) for kept in plan.kept] == [
            (first.run_id, f"the fork {forked.short_id} reads its history")
        ]
        wanted = prune(runs=named)
        assert (await engine.prune(wanted)).removed_count == 1
        assert (await engine.prune(wanted)).removed_count == 1, "said again, it acts once"
        assert [row.run_id for row in await engine.list_runs(RunFilter())] == [
            forked.run_id,
            second.run_id,
            first.run_id,
        ]
        with pytest.raises(UnknownRun):
            await engine.prune(prune(runs=[third.run_id]))


async def test_only_runs_of_the_named_workflow_that_ended_long_ago_go(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    bench.write("fails", FAILS, edges=[("fail", "then")], start="fail")
    clock = Clock()
    async with running(bench, clock=clock) as engine:
        other = await bench.run("big")
        failed = await bench.run("fails")
        paused = await bench.run("fails", until="step")
        clock.now += 5_000
        young = await bench.run("fails")
        plan = await engine.prune(prune(workflow="fails", older_than_seconds=1_000, dry_run=True))
        assert plan.dry_run and [run.run_id for run in plan.removed] == [failed.run_id]
        assert (await engine.get_run(failed.run_id)).status == "failed"
        report = await engine.prune(prune(workflow="fails", older_than_seconds=1_000))
        assert [run.run_id for run in report.removed] == [failed.run_id]
        for run in (other, paused, young):
            assert (await engine.get_run(run.run_id)).status == run.status
        with pytest.raises(UnknownRun):
            await engine.retry_run(Retry(command_id="again", run_id=failed.run_id))
        with pytest.raises(UsageError):
            await engine.prune(prune())


async def test_the_oldest_runs_go_until_the_database_is_small_enough(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        runs = [await bench.run("big") for _ in range(10)]
        limit = 3_000_000
        plan = await engine.prune(prune(max_bytes=limit, dry_run=True))
        report = await engine.prune(prune(max_bytes=limit))
        assert [run.run_id for run in plan.removed] == [run.run_id for run in report.removed]
        assert [run.run_id for run in report.removed] == [run.run_id for run in runs[: report.removed_count]]
        assert 4 <= report.removed_count <= 7
        assert bench.workspace.database.stat().st_size <= limit
        assert (await engine.prune(prune(max_bytes=limit))).removed_count == 0


async def test_a_value_that_a_run_writes_again_during_a_prune_is_not_lost(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        for _ in range(5):
            for _ in range(4):
                await bench.run("big")
            starts = [asyncio.create_task(bench.run("big")) for _ in range(3)]
            await engine.prune(prune(keep=0))
            for run in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(run, UnknownRun):
                    continue  # it ended in time to be pruned
                assert not isinstance(run, BaseException), run
                if run.status == "completed":
                    try:
                        state = await bench.state(run.run_id)
                    except UnknownRun:
                        continue
                    assert state["same"] == "same " * 2_000


async def test_what_a_crash_left_is_deleted_by_the_next_engine(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    async with running(bench) as engine:
        kept = await bench.run("big")
        old = await bench.run("big")
        record = await engine._store.run(old.run_id)
        assert await engine._store.commit([PruneRun(record.number)]) == [None]
    assert rows(bench, "pruning") == 3 and rows(bench, "steps") == 6
    async with running(bench) as engine:
        await engine._retention.wait_for_clearing()
        assert len((await bench.state(kept.run_id))["own"]) == 300_000
        assert not (bench.workspace.output / old.run_id).exists()
    assert rows(bench, "pruning") == 0 and rows(bench, "steps") == 3 and rows(bench, "blobs") == 1 + 1 + 2


async def test_a_link_in_the_place_of_a_runs_folder_is_not_followed(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("big", BIG, edges=[("make", "end")], start="make")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("mine")
    async with running(bench) as engine:
        run = await bench.run("big")
        folder = bench.workspace.output / run.run_id
        (folder / "inside").symlink_to(outside)
        other = await bench.run("big")
        (bench.workspace.output / other.run_id).rename(tmp_path / "elsewhere")
        (bench.workspace.output / other.run_id).symlink_to(tmp_path / "elsewhere")
        await engine.prune(prune(keep=0))
        assert not folder.exists() and not (bench.workspace.output / other.run_id).is_symlink()
    assert (outside / "precious.txt").read_text() == "mine"
    assert (tmp_path / "elsewhere" / "file.txt").is_file()


RUN_FACTS = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([*sorted(FINAL), "paused"]), st.integers(0, 20))


@given(
    facts=st.lists(RUN_FACTS, max_size=20),
    parents=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=15),
    keep=st.none() | st.integers(0, 4),
    age=st.none() | st.integers(0, 20),
    workflow=st.none() | st.just("a"),
)
def test_nothing_that_stays_needs_what_goes(
    facts: list[tuple[str, str, int]], parents: list[tuple[int, int]], keep: Any, age: Any, workflow: Any
) -> None:
    runs = [
        RunAge(number, f"run-{number:08}", name, status, 0.0, float(end))
        for number, (name, status, end) in enumerate(facts, 1)
    ]
    forks = [(max(pair), min(pair)) for pair in parents if pair[0] != pair[1] and max(pair) <= len(runs)]
    wanted = prune(workflow=workflow, keep=keep, older_than_seconds=None if age is None else float(age))
    choice = Chooser(runs, forks, wanted, 20.0).by_age()
    gone = {run.number for run in choice.selected}
    assert len(gone) == len(choice.selected)
    for child, parent in forks:
        assert parent not in gone or child in gone
    for run in choice.selected:
        assert run.status in FINAL and workflow in (None, run.workflow)
        assert age is None or run.ended_at < 20.0 - age
        newer = [other for other in runs if other.workflow == run.workflow and other.number > run.number]
        assert len(newer) >= (keep or 0)
    for run, _ in choice.kept:
        assert any(child not in gone for child, parent in forks if parent == run.number)
