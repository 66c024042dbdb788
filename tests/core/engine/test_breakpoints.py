"""Breakpoints: runs pause before a node, whoever is there or not, and go on from it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.errors import UnknownNode, UnknownRun, UnknownWorkflow, UsageError
from core.link.commands import Fork, Rewind
from core.link.inspect_types import BreakpointView, ChangeBreakpoint
from core.link.retention_types import Prune
from core.link.types import RunView

LOOP = """
class Draft(Node):
    def cleanup(self, shared, prepared, result):
        shared["drafts"] = shared.get("drafts", 0) + 1

class Critic(Node):
    def cleanup(self, shared, prepared, result):
        shared["seen"] = shared["drafts"]

class Post(Node):
    def cleanup(self, shared, prepared, result):
        shared["posted"] = True
"""
LOOP_EDGES = [("draft", "critic"), ("critic", "post", "shared['drafts'] >= 3"), ("critic", "draft")]
DAG = """
class Step(Node):
    def cleanup(self, shared, prepared, result):
        shared[self.id] = True
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path)
    made.write("loop", LOOP, edges=LOOP_EDGES)
    return made


def running(bench: Workbench) -> Any:
    """An engine whose runs live in this process: what is tried is where they stop."""
    return bench.running(pool=InlinePool())


async def set_at(engine: Engine, node: str, workflow: str | None = "loop", **fields: Any) -> list[BreakpointView]:
    change = ChangeBreakpoint(command_id=uuid.uuid4().hex, node=node, workflow=workflow, **fields)
    return await engine.change_breakpoint(change)


async def go_on(bench: Workbench, view: RunView) -> RunView:
    await bench.engine.continue_run(uuid.uuid4().hex, view.run_id)
    return await bench.rest(view.run_id)


def where(view: RunView) -> tuple[str, int, str | None, str]:
    return view.status, view.step, view.next_node, view.pause_reason


async def test_a_run_pauses_before_the_node_each_time_and_says_why(bench: Workbench) -> None:
    async with running(bench) as engine:
        assert [found.node for found in await set_at(engine, "critic")] == ["critic"]
        view = await bench.run("loop")
        assert where(view) == ("paused", 1, "critic", "breakpoint before critic")
        assert await bench.state(view.run_id) == {"drafts": 1}
        view = await go_on(bench, view)
        assert where(view) == ("paused", 3, "critic", "breakpoint before critic")
        assert any("pauses at a breakpoint before critic" in text for text in await bench.log(view.run_id))
        await set_at(engine, "critic", clear=True)
        view = await go_on(bench, view)
        assert where(view) == ("completed", 7, None, "")


async def test_a_breakpoint_is_kept_over_the_end_of_the_engine(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "post")
        view = await bench.run("loop")
        assert where(view) == ("paused", 6, "post", "breakpoint before post")
    async with running(bench) as engine:
        assert where(await engine.get_run(view.run_id)) == ("paused", 6, "post", "breakpoint before post")
        assert where(await bench.run("loop")) == ("paused", 6, "post", "breakpoint before post")
        assert (await go_on(bench, view)).status == "completed"


async def test_the_first_node_too_is_not_begun(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "draft")
        view = await bench.run("loop")
        assert where(view) == ("paused", 0, "draft", "breakpoint before draft")
        assert view.started_at is None
        view = await go_on(bench, view)
        assert where(view) == ("paused", 2, "draft", "breakpoint before draft")


async def test_one_of_a_run_stops_that_run_alone(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "critic")
        first, second = await bench.run("loop"), await bench.run("loop")
        await set_at(engine, "critic", clear=True)
        found = await set_at(engine, "post", workflow=None, run_id=first.run_id)
        assert [(view.node, view.run_id) for view in found] == [("post", first.run_id)]
        assert where(await go_on(bench, first)) == ("paused", 6, "post", "breakpoint before post")
        assert (await go_on(bench, second)).status == "completed"
        assert [view.run_id for view in await engine.list_breakpoints("loop")] == [first.run_id]
        assert await engine.list_breakpoints(run_id=second.run_id) == []


async def test_going_on_up_to_a_node_still_ends_there_after_a_breakpoint_on_the_way(bench: Workbench) -> None:
    bench.write("chain", LOOP, edges=[("draft", "critic"), ("critic", "post")])
    async with running(bench) as engine:
        await set_at(engine, "critic", workflow="chain")
        view = await bench.run("chain", until_node="critic")
        assert where(view) == ("paused", 1, "critic", "breakpoint before critic")
        assert where(await go_on(bench, view)) == ("paused", 2, "post", "")


async def test_whoever_goes_step_by_step_is_not_told_of_breakpoints(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "draft")
        await set_at(engine, "critic")
        view = await bench.run("loop", until="step")
        assert where(view) == ("paused", 1, "critic", "")


async def test_rewind_and_fork_begin_with_the_node_they_go_to(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "critic")
        view = await bench.run("loop")
        forked = await engine.fork_run(Fork(command_id=uuid.uuid4().hex, run_id=view.run_id, step=1))
        assert where(await bench.rest(forked.run_id)) == ("paused", 3, "critic", "breakpoint before critic")
        view = await go_on(bench, view)
        await engine.rewind_run(Rewind(command_id=uuid.uuid4().hex, run_id=view.run_id, step=1))
        assert where(await bench.rest(view.run_id)) == ("paused", 3, "critic", "breakpoint before critic")
        await engine.rewind_run(Rewind(command_id=uuid.uuid4().hex, run_id=view.run_id, step=1, paused=True))
        assert where(await engine.get_run(view.run_id)) == ("paused", 1, "critic", "")


async def test_a_repeated_command_does_not_take_back_what_came_after_it(bench: Workbench) -> None:
    async with running(bench) as engine:
        change = ChangeBreakpoint(command_id="once", node="critic", workflow="loop")
        await engine.change_breakpoint(change)
        await set_at(engine, "critic", clear=True)
        assert await engine.change_breakpoint(change) == []


async def test_all_of_a_workflow_are_taken_away_at_once(bench: Workbench) -> None:
    async with running(bench) as engine:
        await set_at(engine, "critic")
        assert len(await set_at(engine, "post")) == 2
        assert await set_at(engine, "", clear=True) == []
        assert (await bench.run("loop")).status == "completed"


async def test_a_breakpoint_nowhere_is_refused(bench: Workbench) -> None:
    async with running(bench) as engine:
        with pytest.raises(UnknownNode) as caught:
            await set_at(engine, "critik")
        assert "Did you mean critic?" in caught.value.next_step
        with pytest.raises(UnknownWorkflow):
            await set_at(engine, "critic", workflow="nothing")
        with pytest.raises(UnknownRun):
            await set_at(engine, "critic", workflow=None, run_id="nothing")
        with pytest.raises(UsageError):
            await set_at(engine, "critic", workflow=None)
        assert await engine.list_breakpoints() == []


async def test_in_a_dag_what_runs_beside_comes_to_its_end_and_nothing_new_begins(bench: Workbench) -> None:
    nodes = [{"id": node, "class": "Step"} for node in "abcd"]
    bench.write("fan", DAG, mode="dag", nodes=nodes, edges=[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])
    async with running(bench) as engine:
        await set_at(engine, "d", workflow="fan")
        view = await bench.run("fan")
        assert where(view) == ("paused", 3, "d", "breakpoint before d")
        assert sorted(await bench.state(view.run_id)) == ["a", "b", "c"]
        assert where(await go_on(bench, view)) == ("completed", 4, None, "")
        await set_at(engine, "b", workflow="fan")
        view = await bench.run("fan")
        assert (view.status, view.step, view.pause_reason) == ("paused", 1, "breakpoint before b")
        assert where(await go_on(bench, view)) == ("paused", 3, "d", "breakpoint before d")


async def test_a_run_that_is_removed_takes_its_breakpoints_along(bench: Workbench) -> None:
    async with running(bench) as engine:
        view = await bench.run("loop")
        assert len(await set_at(engine, "critic", workflow=None, run_id=view.run_id)) == 1
        await engine.prune(Prune(command_id=uuid.uuid4().hex, runs=[view.run_id]))
        assert await engine.list_breakpoints() == []
    async with running(bench) as engine:
        assert await engine._store.breakpoints() == []
