"""The Python API: what its callers see, inside and outside a running event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import is_engine, wait_until
from workbench import Workbench

from core import TaskOrchestrator
from core.engine.lock import EngineLock
from core.errors import EngineUnreachable, UnknownRun, UnknownWorkflow, UsageError, WorkspaceLocked
from core.link.client import RemoteEngine
from core.link.event_types import EngineChanged, Event, LogsChanged, Resync, RunChanged
from core.link.start import connect
from core.orchestrator import _concerns

ASKING = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Which?", ["a", "b"], "select", "pick")

class Then(Node):
    def prepare(self, shared, request_input):
        shared["then"] = shared["answer"] * 2
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(tmp_path)
    bench.write("ask", ASKING, edges=[("ask", "then")], initial_state={"given": 1})
    return bench


@pytest.fixture
def orchestrator(bench: Workbench) -> Iterator[TaskOrchestrator]:
    with TaskOrchestrator(workflows_dir=bench.workspace.workflows_dir, storage_dir=bench.workspace.runs_dir) as made:
        yield made


async def test_a_run_asks_and_goes_on_with_the_answer(orchestrator: TaskOrchestrator) -> None:
    result = await orchestrator.run_workflow("ask")
    assert result["status"] == "waiting_input"
    assert result["continuing"] is False
    assert result["awaiting_input"]["request_id"] == "pick"
    assert result["awaiting_input"]["options"] == ["a", "b"]
    result = await orchestrator.run_workflow("ask", run_id=result["run_id"], input_data={"pick": "b"})
    assert result["status"] == "completed"
    assert result["awaiting_input"] is None
    assert result["shared_state"] == {"given": 1, "answer": "b", "then": "bb"}


async def test_what_a_nested_run_asks_is_answered_through_the_run_above(
    orchestrator: TaskOrchestrator, bench: Workbench
) -> None:
    bench.write("outer", "", nodes=[{"id": "call", "subflow": "ask", "output": {"heard": "shared['then']"}}])
    result = await orchestrator.run_workflow("outer")
    assert result["status"] == "waiting_run" and result["awaiting_input"]["request_id"] == "pick"
    assert result["awaiting_input"]["run_id"] != result["run_id"]
    result = await orchestrator.run_workflow("outer", run_id=result["run_id"], input_data={"pick": "b"})
    assert (result["status"], result["shared_state"]) == ("completed", {"heard": "bb"})


async def test_a_wrong_request_id_leaves_the_run_waiting(orchestrator: TaskOrchestrator) -> None:
    result = await orchestrator.run_workflow("ask")
    result = await orchestrator.run_workflow("ask", run_id=result["run_id"], input_data={"other": "b"})
    assert result["status"] == "waiting_input"


async def test_inputs_and_answers_of_a_new_run_are_told_apart_by_the_definition(orchestrator: TaskOrchestrator) -> None:
    result = await orchestrator.run_workflow("ask", input_data={"given": 5, "pick": "a"})
    assert result["shared_state"] == {"given": 5, "answer": "a", "then": "aa"}


async def test_stepping_says_whether_there_is_more_to_do(orchestrator: TaskOrchestrator) -> None:
    result = await orchestrator.step_workflow("ask", input_data={"pick": "a"})
    assert (result["status"], result["continuing"]) == ("paused", True)
    assert "then" not in result["shared_state"]
    result = await orchestrator.step_workflow("ask", run_id=result["run_id"])
    assert (result["status"], result["continuing"]) == ("completed", False)


def test_one_orchestrator_serves_several_event_loops_one_after_the_other(orchestrator: TaskOrchestrator) -> None:
    first = asyncio.run(orchestrator.run_workflow("ask"))
    second = asyncio.run(orchestrator.run_workflow("ask", run_id=first["run_id"], input_data={"pick": "a"}))
    assert second["status"] == "completed"
    assert orchestrator.list_workflows() == ["ask"]
    assert orchestrator.list_runs("ask") == [first["run_id"]]


async def test_the_plain_calls_work_inside_a_running_event_loop(orchestrator: TaskOrchestrator) -> None:
    result = await orchestrator.run_workflow("ask")
    assert orchestrator.list_runs() == [result["run_id"]]
    assert orchestrator.list_runs("another") == []


async def test_a_program_whose_engine_died_goes_on_by_itself(orchestrator: TaskOrchestrator, bench: Workbench) -> None:
    remote = await connect(bench.workspace, kind="test", timeout=60)
    assert remote.info is not None
    pid = remote.info.pid
    try:
        result = await orchestrator.run_workflow("ask")
        joined = orchestrator._host._engine
        assert isinstance(joined, RemoteEngine)
        await remote.close()
    finally:
        os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: joined.ended and not is_engine(pid), "the engine's end")
    result = await orchestrator.run_workflow("ask", run_id=result["run_id"], input_data={"pick": "a"})
    assert result["status"] == "completed"


async def test_an_engine_that_is_not_quite_gone_is_waited_for(
    orchestrator: TaskOrchestrator, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.workspace.runs_dir.mkdir(exist_ok=True)
    lock = EngineLock(bench.workspace.lock)
    lock.acquire("engine")
    looks: list[None] = []

    async def nobody(*_: object, **__: object) -> None:
        looks.append(None)
        if len(looks) == 3:
            lock.release()
        raise EngineUnreachable("No engine runs.")

    monkeypatch.setattr("core.orchestrator.connect", nobody)
    assert (await orchestrator.run_workflow("ask"))["status"] == "waiting_input"
    assert len(looks) == 3


@pytest.mark.parametrize(
    ("event", "concerns"),
    [
        (Resync(), True),
        (EngineChanged(state="connected"), True),
        (RunChanged(run_id="mine", workflow="w", line=1, status="running", step=0), True),
        (RunChanged(run_id="other", workflow="w", line=1, status="running", step=0), False),
        (LogsChanged(run_id="mine", last=1), False),
    ],
)
def test_a_waiting_call_looks_again_when_events_were_lost(event: Event, concerns: bool) -> None:
    assert _concerns(event, "mine") is concerns


async def test_what_is_not_there_raises(orchestrator: TaskOrchestrator) -> None:
    with pytest.raises(UnknownWorkflow):
        await orchestrator.run_workflow("nothing")
    with pytest.raises(UnknownRun):
        await orchestrator.run_workflow("ask", run_id="00000000")


async def test_a_failing_run_reports_its_error(orchestrator: TaskOrchestrator, bench: Workbench) -> None:
    bench.write("bad", "class Bad(Node):\n    def execute(self, prepared):\n        raise ValueError('no')\n")
    result = await orchestrator.run_workflow("bad")
    assert result["status"] == "failed"
    assert (result["error"]["type"], result["error"]["message"], result["error"]["node"]) == ("ValueError", "no", "bad")


async def test_runs_outlive_the_orchestrator(bench: Workbench) -> None:
    folders = {"workflows_dir": bench.workspace.workflows_dir, "storage_dir": bench.workspace.runs_dir}
    with TaskOrchestrator(**folders) as first:
        run_id = (await first.run_workflow("ask"))["run_id"]
    with TaskOrchestrator(**folders) as second:
        result = await second.run_workflow("ask", run_id=run_id, input_data={"pick": "a"})
        assert result["status"] == "completed"


async def test_a_second_program_on_the_same_folder_is_told_who_has_it(
    orchestrator: TaskOrchestrator, bench: Workbench
) -> None:
    await orchestrator.run_workflow("ask")
    folders = {"workflows_dir": bench.workspace.workflows_dir, "storage_dir": bench.workspace.runs_dir}
    with TaskOrchestrator(**folders) as second, pytest.raises(WorkspaceLocked):
        await second.run_workflow("ask")


def test_a_program_that_never_closes_ends_quietly(bench: Workbench) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio
        from core import TaskOrchestrator
        orchestrator = TaskOrchestrator(workflows_dir={str(bench.workspace.workflows_dir)!r})
        print(asyncio.run(orchestrator.run_workflow("ask"))["status"])
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "waiting_input\n", "")


def test_a_run_is_exported_and_imported_from_python(orchestrator: TaskOrchestrator, tmp_path: Path) -> None:
    result = asyncio.run(orchestrator.run_workflow("ask"))
    result = asyncio.run(orchestrator.run_workflow("ask", run_id=result["run_id"], input_data={"pick": "b"}))
    file = orchestrator.export_run(result["run_id"], tmp_path / "run.json")
    with pytest.raises(UsageError):
        orchestrator.export_run(result["run_id"], file)
    with TaskOrchestrator(workflows_dir=tmp_path / "other" / "workflows") as other:
        assert other.import_run(file) == result["run_id"]
        imported = asyncio.run(other.run_workflow("ask", run_id=result["run_id"]))
        assert imported["status"] == "completed" and imported["shared_state"] == result["shared_state"]
