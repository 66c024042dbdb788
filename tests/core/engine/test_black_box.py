"""After an engine died, the next one says so: what was going on, what was done about it, and why if that is known."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from workbench import Workbench

from core.engine.black_box import BlackBox
from core.engine.inline import InlinePool
from core.errors import DiskFull
from core.link.engine_types import RecoveredRun, UncleanEnd
from core.places import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.at(tmp_path)
    made.runs_dir.mkdir()
    return made


RUN = RecoveredRun(run_id="run-1", workflow="w", status="running", step=3, node="a", action="went on after step 3")


def next_end(workspace: Workspace, runs: list[RecoveredRun] | None = None) -> UncleanEnd | None:
    """What an engine that starts now says of the one before; it ends cleanly."""
    box = BlackBox(workspace, lambda: 2_000.0)
    box.begin()
    box.report(runs or [])
    box.end()
    return next(iter(box.ends), None)


def test_a_clean_end_is_not_spoken_of(workspace: Workspace) -> None:
    assert next_end(workspace) is None
    assert next_end(workspace) is None


def test_an_engine_that_died_is_reported_with_the_runs_it_left(workspace: Workspace) -> None:
    BlackBox(workspace, lambda: 1_000.0).begin()
    end = next_end(workspace, [RUN])
    assert end is not None
    assert (end.pid, end.started_at, end.found_at, end.run_count) == (os.getpid(), 1_000.0, 2_000.0, 1)
    assert end.runs == [RUN]
    assert "killed or crashed" in end.cause
    assert end.last_sign_at >= 1_000.0
    again = next_end(workspace)
    assert again == end


def test_the_trouble_before_the_end_is_named_unless_it_was_over(workspace: Workspace) -> None:
    box = BlackBox(workspace)
    box.begin()
    box.trouble(DiskFull("There is no space left.", cause="/runs is full.", next_step=""))
    end = next_end(workspace)
    assert end is not None
    assert end.cause == "It was in trouble before: There is no space left. /runs is full."
    box = BlackBox(workspace)
    box.begin()
    box.trouble(DiskFull("There is no space left."))
    box.trouble(None)
    end = next_end(workspace)
    assert end is not None
    assert "killed or crashed" in end.cause


def test_a_restart_of_the_machine_is_told_from_a_crash(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    BlackBox(workspace).begin()
    monkeypatch.setattr("core.engine.black_box._boot", lambda: "another")
    end = next_end(workspace)
    assert end is not None
    assert "restarted, or lost power" in end.cause


def test_an_engine_that_could_not_start_leaves_the_report_to_the_next(workspace: Workspace) -> None:
    BlackBox(workspace, lambda: 1_000.0).begin()
    refused = BlackBox(workspace)
    refused.begin()
    refused.end()
    end = next_end(workspace)
    assert end is not None
    assert end.started_at == 1_000.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"life": 3}', b'{"ends": [{}]}'])
def test_a_damaged_black_box_stops_nothing(workspace: Workspace, content: bytes) -> None:
    (workspace.runs_dir / "blackbox.json").write_bytes(content)
    assert next_end(workspace) is None


def test_reports_are_remembered_up_to_a_number_and_seen_once(workspace: Workspace) -> None:
    for _ in range(15):
        BlackBox(workspace).begin()
        end = next_end(workspace, [RUN] * 200)
    assert end is not None
    box = BlackBox(workspace)
    box.begin()
    assert len(box.ends) == 10
    assert (len(end.runs), end.run_count) == (100, 200)
    box.seen(end.id)
    assert [known.seen for known in box.ends] == [True] + [False] * 9
    saved = json.loads((workspace.runs_dir / "blackbox.json").read_text())
    assert saved["ends"][0]["seen"] is True


async def test_an_engine_in_a_program_that_died_is_reported_by_the_next(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("wait", "class Wait(Node):\n    async def prepare(self, *a):\n        await self.wait_for(3600)\n")
    async with bench.running(pool=InlinePool()):
        view = await bench.start("wait")
        await bench.until(view.run_id, lambda view: view.status == "waiting_timer")
        dead = (bench.workspace.runs_dir / "blackbox.json").read_bytes()
        assert (await bench.engine.engine_status()).unclean_end is None
    (bench.workspace.runs_dir / "blackbox.json").write_bytes(dead)
    async with bench.running(pool=InlinePool()) as engine:
        end = (await engine.engine_status()).unclean_end
        assert end is not None and not end.seen
        (run,) = end.runs
        assert (run.run_id, run.status, run.action) == (view.run_id, "waiting_timer", "its time is watched again")
        assert (await engine.doctor()).unclean_ends == [end]
        await engine.see_unclean_end(end.id)
        engine.set_trouble(DiskFull("There is no space left."))
        await asyncio.gather(*engine._noting)
        assert b"There is no space left" in (bench.workspace.runs_dir / "blackbox.json").read_bytes()
    async with bench.running(pool=InlinePool()) as engine:
        end = (await engine.engine_status()).unclean_end
        assert end is not None and end.seen
