"""What goes wrong around a run: full disks, damaged rows, processes that die, callers that leave, engines that end."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from workbench import LIMIT_SECONDS, Workbench

from core import crash_points
from core.engine import recovery, runs
from core.errors import DiskFull, EngineStopping, EnvironmentProblem
from core.link.event_types import EngineChanged, StepChanged
from core.link.types import FINAL, REPLY_LIMIT, LogQuery, RunFilter, StartRun
from core.store.operations import InsertRun

HOLD = """
import os, time

class Hold(Node):
    def prepare(self, shared, request_input):
        print("holding")
        while not os.path.exists("go"):
            time.sleep(0.01)
        shared["n"] = shared.get("n", 0) + 1
"""

ASK = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Which?", None, "text", "pick")
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that stops does not wait for visits that hold."""
    monkeypatch.setattr(runs, "CLOSE_GRACE_SECONDS", 0.1)


def execute(bench: Workbench, statement: str, *values: Any) -> None:
    """Change the database while no engine has it."""
    connection = sqlite3.connect(bench.workspace.database)
    with connection:
        connection.execute(statement, values)
    connection.close()


def full_disk(times: int, commit: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A commit that finds the disk full so many times."""
    left = [times]

    async def refuse(operations: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise DiskFull("There is no space left.", cause="test", next_step="Free some space.")
        return await commit(operations)

    return refuse


async def test_a_dead_zygote_costs_no_attempt(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    async with bench.running() as engine:
        view = await bench.start("hold")
        await bench.until(view.run_id, lambda view: bool(view.in_flight))
        os.kill(engine._pool._zygote._program.pid, signal.SIGKILL)
        async with asyncio.timeout(LIMIT_SECONDS):
            while (await engine._store.run(view.run_id)).epoch == 1:  # noqa: ASYNC110 - the run may be back at once
                await asyncio.sleep(0.01)
        (bench.root / "go").touch()
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.attempt, step.status) for step in steps] == [(1, "completed")]


@pytest.mark.usefixtures("impatient")
async def test_a_failed_attempt_can_be_read_once_it_was_announced(bench: Workbench) -> None:
    bench.write(
        "bad",
        "class Bad(Node):\n    def execute(self, prepared):\n        raise ValueError('no')\n",
        nodes=[{"id": "bad", "class": "Bad", "retry": {"attempts": 2, "wait": 3600}}],
    )
    async with bench.running() as engine:
        events = engine.events()
        view = await bench.start("bad")
        async with asyncio.timeout(LIMIT_SECONDS):
            while not any(isinstance(e, StepChanged) and e.status == "failed" for e in await anext(events)):
                pass
        (step,) = (await engine.read_steps(view.run_id)).steps
        assert (step.attempt, step.status) == (1, "failed")
        assert step.error is not None
        assert "no" in step.error.traceback
    async with bench.running() as engine:
        view = await bench.rest(view.run_id)
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.attempt, step.status) for step in steps] == [(1, "failed"), (2, "failed")]


async def test_a_full_disk_holds_a_run_up_and_refuses_commands_until_there_is_room(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RETRY_SECONDS", 0.2)
    bench.write("hold", HOLD)
    async with bench.running() as engine:
        events = engine.events()
        view = await bench.start("hold")
        await bench.until(view.run_id, lambda view: bool(view.in_flight))
        commit, full = engine._store.commit, True

        async def refusing(operations: Any) -> Any:
            if full:
                raise DiskFull("There is no space left.", cause="test", next_step="Free some space.")
            return await commit(operations)

        monkeypatch.setattr(engine._store, "commit", refusing)
        (bench.root / "go").touch()
        said: list[str] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            while "ok" not in said:
                said += [event.state for event in await anext(events) if isinstance(event, EngineChanged)]
                if said == ["trouble"] and full:
                    with pytest.raises(DiskFull):
                        await bench.start("hold")
                    with pytest.raises(DiskFull):
                        await engine.cancel_run("c", view.run_id)
                    full = False
        assert said == ["trouble", "ok"]
        assert (await bench.rest(view.run_id)).status == "completed"
        assert (await bench.run("hold")).status == "completed"


async def test_a_command_on_a_full_disk_is_refused_and_can_be_given_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        await engine.list_workflows()
        commit = engine._store.commit
        monkeypatch.setattr(engine._store, "commit", full_disk(1, commit))
        with pytest.raises(DiskFull):
            await engine.start_run(StartRun(command_id="s", workflow="ask", version=None))
        view = await engine.start_run(StartRun(command_id="s", workflow="ask"))
        view = await bench.rest(view.run_id)
        monkeypatch.setattr(engine._store, "commit", full_disk(1, commit))
        with pytest.raises(DiskFull):
            await bench.answer(view.run_id, "pick", "x")
        assert (await engine.get_run(view.run_id)).status == "waiting_input"
        await bench.answer(view.run_id, "pick", "x")
        assert (await bench.rest(view.run_id)).status == "completed"
        assert len(await engine.list_runs(RunFilter())) == 1


@pytest.mark.usefixtures("impatient")
async def test_a_run_that_cannot_be_read_is_failed_and_keeps_no_other_from_going_on(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    bench.write("other", HOLD.replace("Hold", "Other"))
    async with bench.running():
        lost, garbled, kept = [await bench.start(name) for name in ("hold", "hold", "other")]
        for view in (lost, garbled, kept):
            await bench.until(view.run_id, lambda view: bool(view.in_flight))
    execute(bench, "DELETE FROM steps WHERE line = ?", lost.line)
    execute(bench, "UPDATE versions SET graph = 'garbage' WHERE workflow = 'hold'")
    (bench.root / "go").touch()
    async with bench.running() as engine:
        assert (await bench.rest(kept.run_id)).status == "completed"
        for view in (lost, garbled):
            view = await engine.get_run(view.run_id)
            assert view.status == "failed"
            assert view.error is not None
            assert view.error.next_step


@pytest.mark.usefixtures("impatient")
async def test_a_run_whose_state_is_damaged_fails_and_says_so(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    async with bench.running():
        view = await bench.start("hold", {"text": "abc"})
        await bench.until(view.run_id, lambda view: bool(view.in_flight))
    execute(bench, "UPDATE steps SET delta = x'5b5d' WHERE line = ? AND seq = 0", view.line)
    async with bench.running():
        view = await bench.until(view.run_id, lambda view: view.status in FINAL)
        assert view.error is not None
        assert view.error.type == "DatabaseDamaged"


@pytest.mark.parametrize(
    "problem", [EnvironmentProblem("No process.", next_step="End some."), OSError("no descriptors")]
)
async def test_a_run_that_gets_no_process_fails_with_the_reason_and_frees_its_room(
    bench: Workbench, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("hold", HOLD)
    (bench.root / "go").touch()
    async with bench.running() as engine:

        async def refuse(*_: object, **__: object) -> None:
            raise problem

        with monkeypatch.context() as patch:
            patch.setattr(engine._pool, "spawn", refuse)
            view = await bench.run("hold")
        assert view.status == "failed"
        assert view.error is not None
        assert str(problem) in view.error.message
        assert not engine._runs.slots._holding
        assert (await bench.run("hold")).status == "completed"


async def test_a_run_goes_on_though_whoever_started_it_left_in_the_middle(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    (bench.root / "go").touch()
    async with bench.running() as engine:
        writing, commit = asyncio.Event(), engine._store.commit

        async def watched(operations: Any) -> Any:
            if isinstance(operations[0], InsertRun):
                writing.set()
            return await commit(operations)

        engine._store.commit = watched
        call = asyncio.create_task(bench.start("hold"))
        await writing.wait()
        call.cancel()
        await asyncio.wait([call])
        await asyncio.gather(*engine._runs._beginning.values())
        (row,) = await engine.list_runs(RunFilter())
        assert (await bench.rest(row.run_id)).status == "completed"


async def test_the_same_start_sent_twice_at_once_makes_one_run(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        start = StartRun(command_id="once", workflow="ask")
        first, second = await asyncio.gather(engine.start_run(start), engine.start_run(start))
        assert first.run_id == second.run_id
        assert len(await engine.list_runs(RunFilter())) == 1


async def test_frames_of_an_earlier_process_are_dropped(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    async with bench.running() as engine:
        view = await bench.start("hold")
        await bench.until(view.run_id, lambda view: bool(view.in_flight))
        actor = engine._runs.active(view.run_id)
        assert actor is not None
        failed = {"t": "failed", "e": 0, "node": "hold", "failure": {"type": "Old", "message": "old"}}
        actor.process_life.on_frame(failed, b"")
        (bench.root / "go").touch()
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_waiting_run_makes_room_for_one_that_can_run(bench: Workbench) -> None:
    bench.settings("[engine]\nmax_runs = 2")
    bench.write("ask", ASK)
    bench.write("hold", HOLD)
    (bench.root / "go").touch()
    async with bench.running() as engine:
        asking = [await bench.start("ask") for _ in range(6)]
        for view in asking:
            await bench.until(view.run_id, lambda view: view.status == "waiting_input")
        assert (await bench.run("hold")).status == "completed"
        for view in asking:
            await bench.answer(view.run_id, "pick", "x")
        for view in asking:
            await bench.until(view.run_id, lambda view: view.status == "completed")
        assert not engine.busy


async def test_what_was_printed_before_the_engine_ended_is_kept(bench: Workbench) -> None:
    bench.write("hold", HOLD)
    async with bench.running():
        view = await bench.start("hold")
        await bench.until(view.run_id, lambda view: bool(view.in_flight))
        (bench.root / "go").touch()
    async with bench.running():
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert "holding" in await bench.log(view.run_id)


async def test_commands_that_come_while_the_engine_ends_are_told_so(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        view = await bench.run("ask")
        await engine._runs.close()
        with pytest.raises(EngineStopping):
            await bench.answer(view.run_id, "pick", "x")
        with pytest.raises(EngineStopping):
            await bench.start("ask")


async def test_an_engine_that_cannot_start_leaves_nothing_open(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise EnvironmentProblem("no", next_step="none")

    with monkeypatch.context() as patch:
        patch.setattr(recovery.Recovery, "recover", refuse)
        with pytest.raises(EnvironmentProblem):
            async with bench.running():
                pass
    # The last connection that is closed takes the log away.
    left = {file.name for file in bench.workspace.runs_dir.iterdir()}
    assert left == {bench.workspace.database.name, "blackbox.json"}
    async with bench.running() as engine:
        assert await engine.list_runs(RunFilter()) == []


async def test_replies_stay_within_their_limit_whatever_runs_say(bench: Workbench) -> None:
    bench.write(
        "loud",
        """
        class Loud(Node):
            def execute(self, prepared):
                for _ in range(200):
                    print("\\U0001f600\\x01" * 1500)
                raise ValueError("\\x02" * 20_000)
        """,
        nodes=[{"id": "loud", "class": "Loud", "retry": {"attempts": 8}}],
    )
    bench.write("ask", ASK.replace('"Which?", None', '"W" * 50_000, ["o" * 500_000], "select"').replace('"text", ', ""))
    async with bench.running() as engine:
        view = await bench.run("loud")
        page = await engine.read_steps(view.run_id)
        assert len(page.steps) == 8
        assert len(msgspec.json.encode(page)) < REPLY_LIMIT
        assert page.steps[-1].error is not None
        assert page.steps[-1].error.message
        seen, after = 0, 0
        while after < view.log_last:
            logs = await engine.read_logs(LogQuery(run_id=view.run_id, after=after, limit=2_000))
            assert len(msgspec.json.encode(logs)) < REPLY_LIMIT
            seen, after = seen + len(logs.lines), logs.lines[-1].row
        assert seen == view.log_last
        for _ in range(3):
            view = await bench.run("ask")
        requests = await engine.list_requests()
        assert len(requests) == 3
        assert len(msgspec.json.encode(requests)) < REPLY_LIMIT
        assert view.open_requests[0].options == ["o" * 500_000]


async def test_large_inputs_are_not_sent_with_every_look_at_the_run(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running():
        small = await bench.run("ask", {"text": "x"})
        assert (bytes(small.inputs), small.inputs_size) == (b'{"text":"x"}', 12)
        large = await bench.run("ask", {"text": "x" * 400_000})
        assert bytes(large.inputs) == b"null"
        assert large.inputs_size > 400_000
        assert (await bench.state(large.run_id, 0))["text"] == "x" * 400_000


# Processes that are killed where no node is to blame --------------------------------------------------------------


async def test_a_process_that_dies_while_it_waits_for_the_next_attempt_goes_on_with_the_next(bench: Workbench) -> None:
    bench.write(
        "flow",
        """
        import os, threading

        class Flaky(Node):
            def execute(self, prepared):
                with open("tries", "a+") as file:
                    file.write("x")
                    file.seek(0)
                    tries = len(file.read())
                if tries == 1:
                    threading.Timer(0.3, os._exit, [9]).start()
                if tries <= 2:
                    raise ValueError(f"try {tries}")
        """,
        nodes=[{"id": "flaky", "class": "Flaky", "retry": {"attempts": 4, "wait": 1}}],
    )
    async with bench.running():
        run = await bench.run("flow")
        assert run.status == "completed", run.error
        page = await bench.engine.read_steps(run.run_id)
        assert [(step.attempt, step.status) for step in page.steps] == [(1, "failed"), (2, "failed"), (3, "completed")]


async def test_a_run_whose_first_process_is_killed_from_outside_is_begun_again(bench: Workbench) -> None:
    code = """
    import os, signal

    if not os.path.exists("began"):
        open("began", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

    class Only(Node):
        pass
    """
    bench.write("flow", code, nodes=[{"id": "only", "class": "Only"}])
    async with bench.running():
        run = await bench.run("flow")
        assert (run.status, run.step) == ("completed", 1), run.error


async def test_a_zygote_that_is_killed_while_it_starts_is_started_again(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("flow", "class Only(Node):\n    pass\n")
    arms = tmp_path / "arms"
    arms.mkdir()
    (arms / "zygote.start").write_text("1")
    monkeypatch.setattr(crash_points, "_folder", str(arms))
    async with bench.running():
        assert (arms / "zygote.start.hit").exists()
        assert (await bench.run("flow")).status == "completed"
