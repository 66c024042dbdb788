"""Workflows as nodes of others, in real run processes: nested, failing, asking, cancelled, paused, over deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workbench import LIMIT_SECONDS, Workbench

from core.crash_points import VARIABLE
from core.errors import RondoError
from core.link.client import RemoteEngine
from core.link.commands import Retry, Rewind
from core.link.start import connect
from core.link.types import FINAL, RunFilter, RunView, StartRun

ADD = """
class Add(Node):
    def cleanup(self, shared, prepared, result):
        shared["sum"] = shared["a"] + shared["b"]
"""
ASK = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["said"] = await request_input("Which?", request_id="which")
"""
TELL = """
class Tell(Node):
    def cleanup(self, shared, prepared, result):
        shared["told"] = sorted(shared)
"""
SUBFLOW = {"id": "sub", "subflow": "child"}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def write_parent(bench: Workbench, node: dict[str, Any] | None = None, name: str = "parent", **graph: Any) -> None:
    nodes = [node or SUBFLOW, {"id": "tell", "class": "Tell"}]
    bench.write(name, TELL, nodes=nodes, edges=[(nodes[0]["id"], "tell")], start=nodes[0]["id"], **graph)


async def child_of(bench: Workbench, run_id: str, condition: Callable[[RunView], object] = bool) -> RunView:
    """The newest child of a run, as soon as it is there and meets the condition."""
    found: list[RunView] = []
    async with asyncio.timeout(LIMIT_SECONDS):
        events = bench.engine.events()
        while not found:
            children = (await bench.engine.get_run(run_id)).children
            found = [view for c in children[:1] if condition(view := await bench.engine.get_run(c.run_id))]
            if not found:
                await anext(events)
    return found[0]


async def test_a_node_runs_another_workflow_and_takes_over_what_is_wanted_of_its_state(bench: Workbench) -> None:
    bench.write("child", ADD)
    node = {**SUBFLOW, "inputs": {"a": "shared['n'] * 2", "b": 5}, "output": {"total": "shared['sum']"}}
    write_parent(bench, node, initial_state={"n": 4})
    async with bench.running() as engine:
        view = await bench.run("parent")
        assert view.status == "completed", view.error
        assert await bench.state(view.run_id) == {"n": 4, "total": 13, "told": ["n", "total"]}
        [child] = view.children
        assert (child.workflow, child.status, child.node, child.visit) == ("child", "completed", "sub", 1)
        below = await engine.get_run(child.run_id)
        assert below.parent is not None
        assert (below.parent.run_id, below.parent.node) == (view.run_id, "sub")
        assert [row.run_id for row in await engine.list_runs(RunFilter(top=True))] == [view.run_id]
        assert {row.parent_run for row in await engine.list_runs(RunFilter())} == {None, view.run_id}


async def test_without_output_the_whole_final_state_stands_under_the_nodes_id(bench: Workbench) -> None:
    bench.write("child", ADD, initial_state={"a": 1, "b": 2})
    write_parent(bench)
    async with bench.running():
        view = await bench.run("parent")
        assert (await bench.state(view.run_id))["sub"] == {"a": 1, "b": 2, "sum": 3}


async def test_a_question_of_a_nested_run_is_shown_with_the_parent_and_its_answer_completes_both(
    bench: Workbench,
) -> None:
    bench.write("child", ASK)
    write_parent(bench, name="middle")
    write_parent(bench, {"id": "sub", "subflow": "middle"}, name="top")
    async with bench.running() as engine:
        top = await bench.start("top")
        view = await bench.until(top.run_id, lambda view: view.nested_input is not None)
        assert view.status == "waiting_run"
        question = view.nested_input
        assert question is not None and question.workflow == "child" and question.request_id == "which"
        assert [request.run_id for request in await engine.list_requests()] == [question.run_id]
        await bench.answer(question.run_id, question.key, "this")
        assert (await bench.rest(top.run_id)).status == "completed"
        assert (await bench.state(top.run_id))["sub"]["sub"] == {"said": "this"}


async def test_parents_hold_no_room_for_a_process_while_they_wait(bench: Workbench) -> None:
    bench.settings("[engine]\nmax_runs = 1\n")
    bench.write("child", ADD, initial_state={"a": 1, "b": 2})
    write_parent(bench, name="middle")
    write_parent(bench, {"id": "sub", "subflow": "middle"}, name="top")
    async with bench.running():
        assert (await bench.run("top")).status == "completed"


FAIL_ONCE = """
import pathlib

class Fail(Node):
    def execute(self, prepared):
        if not pathlib.Path("mended").exists():
            raise ValueError("not yet")
"""


def command() -> str:
    return uuid.uuid4().hex


async def test_a_child_that_fails_fails_the_node_with_its_cause_and_a_retry_runs_it_anew(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("child", FAIL_ONCE)
    write_parent(bench)
    async with bench.running() as engine:
        view = await bench.run("parent")
        assert view.status == "failed" and view.error is not None
        [child] = view.children
        assert (view.error.type, view.error.node, child.status) == ("SubflowFailed", "sub", "failed")
        assert "ValueError: not yet" in view.error.message and child.short_id in view.error.message
        assert f"rondo show {child.short_id}" in view.error.next_step
        (bench.root / "mended").touch()
        await engine.retry_run(Retry(command_id=command(), run_id=view.run_id))
        again = await bench.rest(view.run_id)
        assert (again.status, len(again.children)) == ("completed", 2)


async def test_each_attempt_runs_a_child_that_failed_anew(bench: Workbench) -> None:
    bench.write("child", FAIL_ONCE)
    write_parent(bench, {**SUBFLOW, "retry": {"attempts": 3}})
    async with bench.running():
        view = await bench.run("parent")
        assert view.status == "failed"
        assert [child.status for child in view.children] == ["failed"] * 3


async def test_a_child_that_was_brought_on_meanwhile_serves_the_next_attempt(bench: Workbench) -> None:
    bench.write("child", FAIL_ONCE)
    write_parent(bench, {**SUBFLOW, "on_error": "ask"})
    async with bench.running() as engine:
        view = await bench.run("parent")
        assert view.status == "waiting_input"
        (bench.root / "mended").touch()
        child = view.children[0].run_id
        await engine.retry_run(Retry(command_id=command(), run_id=child))
        assert (await bench.rest(child)).status == "completed"
        assert view.awaiting_input is not None
        await bench.answer(view.run_id, view.awaiting_input.key, "retry")
        done = await bench.until(view.run_id, lambda view: view.status in FINAL)
        assert (done.status, [known.run_id for known in done.children]) == ("completed", [child])


async def test_cancelling_a_run_cancels_all_that_is_nested_in_it(bench: Workbench) -> None:
    bench.write("child", ASK)
    write_parent(bench, name="middle")
    write_parent(bench, {"id": "sub", "subflow": "middle"}, name="top")
    async with bench.running() as engine:
        top = await bench.start("top")
        view = await bench.until(top.run_id, lambda view: view.nested_input is not None)
        assert view.nested_input is not None
        await engine.cancel_run(command(), top.run_id)
        await bench.until(view.nested_input.run_id, lambda view: view.status == "cancelled")
        await bench.until(view.children[0].run_id, lambda view: view.status == "cancelled")
        assert await engine.list_requests() == []


async def test_going_on_from_an_earlier_step_cancels_the_old_child_and_starts_another(bench: Workbench) -> None:
    bench.write("child", ASK)
    write_parent(bench)
    async with bench.running() as engine:
        view = await bench.start("parent")
        first = await child_of(bench, view.run_id, lambda child: child.awaiting_input)
        await engine.rewind_run(Rewind(command_id=command(), run_id=view.run_id, step=0))
        await bench.until(first.run_id, lambda child: child.status == "cancelled")
        second = await child_of(bench, view.run_id, lambda child: child.awaiting_input)
        assert second.run_id != first.run_id
        await bench.answer(second.run_id, "which", "that")
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_pause_reaches_the_child_and_going_on_brings_both_on(bench: Workbench) -> None:
    bench.write("child", ASK)
    write_parent(bench)
    async with bench.running() as engine:
        view = await bench.start("parent")
        child = await child_of(bench, view.run_id, lambda child: child.awaiting_input)
        await bench.until(view.run_id, lambda view: view.status == "waiting_run")
        assert (await engine.pause_run(command(), view.run_id)).status == "paused"
        assert (await engine.get_run(child.run_id)).status == "paused"
        await engine.continue_run(command(), view.run_id)
        await bench.until(child.run_id, lambda child: child.awaiting_input is not None and child.status != "paused")
        await bench.answer(child.run_id, "which", "this")
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_workflow_that_contains_itself_ends_at_the_deepest_level(bench: Workbench) -> None:
    bench.write("child", TELL, nodes=[SUBFLOW], start="sub")
    async with bench.running() as engine:
        view = await bench.run("child")
        assert view.status == "failed" and view.error is not None
        assert "SubflowTooDeep" in view.error.message
        assert len(await engine.list_runs(RunFilter())) == 9
        [note] = [found for found in (await engine.get_workflow("child")).findings if found.code == "N304"]
        assert note.node == "sub"


async def test_what_can_not_be_started_fails_the_node_and_says_what_to_do(bench: Workbench) -> None:
    write_parent(bench, {"id": "sub", "subflow": "nowhere"})
    bench.write("child", ADD, inputs={"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]})
    write_parent(bench, {**SUBFLOW, "inputs": {"a": "'text'"}}, name="wrong")
    async with bench.running():
        view = await bench.run("parent")
        assert view.error is not None and "nowhere" in view.error.message and "UnknownWorkflow" in view.error.message
        view = await bench.run("wrong")
        assert view.error is not None and "InvalidInput" in view.error.message and view.children == []


async def test_a_child_that_is_not_approved_fails_the_node_and_names_the_command(bench: Workbench) -> None:
    bench.write("child", ADD)
    write_parent(bench)
    async with bench.running(consent=False) as engine:
        version = (await engine.get_workflow("parent")).version
        assert version is not None
        await engine.approve("parent", version)
        view = await bench.run("parent")
        assert view.error is not None and view.error.next_step.endswith("rondo approve child")


async def test_several_children_of_a_dag_and_of_a_map_run_at_once(bench: Workbench) -> None:
    bench.write("child", ADD, initial_state={"b": 1})
    source = """
    class Many(Node):
        async def execute(self, prepared):
            async def one(number):
                return (await self.run_workflow("child", {"a": number}))["sum"]
            return await self.map(one, range(3))

        def cleanup(self, shared, prepared, result):
            shared["many"] = result
    """
    nodes = [{**SUBFLOW, "id": name, "inputs": {"a": 10}} for name in "ab"] + [{"id": "many", "class": "Many"}]
    bench.write("parent", source, nodes=nodes, mode="dag")
    async with bench.running():
        view = await bench.run("parent")
        assert view.status == "completed", view.error
        state = await bench.state(view.run_id)
        assert (state["a"]["sum"], state["b"]["sum"], state["many"]) == (11, 11, [1, 2, 3])
        assert len(view.children) == 5


# Over the death of the engine ---------------------------------------------------------------------------------------

NOTE = """
class Note(Node):
    async def prepare(self, shared, request_input):
        with open("ran", "a") as file:
            file.write(self.output_dir.name + "\\n")
        await self.wait_for(0.3)
        shared["noted"] = True
"""


async def ended(workspace: Any, run_id: str) -> RunView:
    """The run at its end, by whichever engine serves the workspace then."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with await connect(workspace, kind="test", timeout=60) as engine:
                    while (view := await engine.get_run(run_id)).status not in FINAL:  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.05)
                    return view
            except RondoError:
                continue


@pytest.mark.parametrize(
    "point", ["subflow.wanted", "subflow.started", "subflow.ended", "run.subflow.committed", "while both are nested"]
)
async def test_an_engine_that_is_killed_starts_no_child_twice_and_the_parent_completes(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    arms = bench.root / "arms"
    arms.mkdir()
    monkeypatch.setenv(VARIABLE, str(arms))
    bench.write("child", NOTE)
    write_parent(bench, name="middle")
    write_parent(bench, {"id": "sub", "subflow": "middle"}, name="top")
    async with await connect(bench.workspace, kind="test", timeout=60) as engine:
        assert isinstance(engine, RemoteEngine)
        await engine.trust_workspace()
        pid = (await engine.engine_status()).pid
        if "." in point:
            (arms / point).write_text("1")
        top = await engine.start_run(StartRun(command_id=command(), workflow="top"))
        if "." not in point:
            async with asyncio.timeout(60):
                while not (bench.root / "ran").exists():  # noqa: ASYNC110 - it depends on another process
                    await asyncio.sleep(0.02)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
    view = await ended(bench.workspace, top.run_id)
    assert view.status == "completed", view.error
    if "." in point:
        assert (arms / f"{point}.hit").exists()
    async with await connect(bench.workspace, kind="test", timeout=60) as engine:
        rows = await engine.list_runs(RunFilter())
        assert sorted(row.workflow for row in rows) == ["child", "middle", "top"]
        assert {row.status for row in rows} == {"completed"}
        assert len(set((bench.root / "ran").read_text().split())) == 1
        await engine.stop_engine()
