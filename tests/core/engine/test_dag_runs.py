"""Runs of mode dag in real run processes: several nodes at once, questions, kills, failures, steps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from workbench import LIMIT_SECONDS, Workbench

from core import TaskOrchestrator
from core.link.commands import Fork, Rewind, StateEdit
from core.link.types import LogQuery, RunView

NOTES = """
class Note(Node):
    def cleanup(self, shared, prepared, result):
        shared[self.id] = sorted(key for key in shared)
"""

MEETING = """
import asyncio, pathlib

class Meet(Node):
    async def execute(self, prepared):
        # Each waits until all have come: they run at once, or never end.
        folder = pathlib.Path("meeting")
        folder.mkdir(exist_ok=True)
        (folder / self.id).touch()
        while len(list(folder.iterdir())) < 3:
            await asyncio.sleep(0.01)

    def cleanup(self, shared, prepared, result):
        shared.setdefault("results", []).append(self.id)

class Join(Node):
    def cleanup(self, shared, prepared, result):
        shared["joined"] = list(shared["results"])
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def nodes(class_name: str, ids: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": node_id, "class": class_name, **fields} for node_id in ids]


async def steps(bench: Workbench, view: RunView) -> list[str]:
    page = await bench.engine.read_steps(view.run_id)
    return [step.node for step in page.steps if step.status == "completed"]


async def test_independent_nodes_run_at_once_and_their_results_are_joined_in_the_graphs_order(bench: Workbench) -> None:
    bench.write(
        "meet",
        MEETING,
        mode="dag",
        reducers={"results": "append"},
        nodes=[*nodes("Meet", "abc"), {"id": "j", "class": "Join"}],
        edges=[("a", "j"), ("b", "j"), ("c", "j")],
    )
    async with bench.running():
        view = await bench.run("meet")
        assert view.status == "completed"
        state = await bench.state(view.run_id)
        assert state == {"results": ["a", "b", "c"], "joined": ["a", "b", "c"]}
        assert (await steps(bench, view))[3] == "j"


async def test_a_false_edge_skips_what_it_alone_leads_to_and_the_log_says_why(bench: Workbench) -> None:
    bench.write(
        "skips",
        NOTES,
        mode="dag",
        initial_state={"n": 1},
        nodes=nodes("Note", "abcd"),
        edges=[("a", "b", "shared['n'] > 5"), ("b", "c"), ("a", "d"), ("c", "d")],
    )
    async with bench.running() as engine:
        view = await bench.run("skips")
        assert view.status == "completed"
        assert {skipped.node: skipped.because for skipped in view.skipped} == {
            "b": ["a → b: shared['n'] > 5 does not hold"],
            "c": ["b was skipped"],
        }
        assert await steps(bench, view) == ["a", "d"]
        page = await engine.read_logs(LogQuery(run_id=view.run_id, limit=100))
        texts = [line.text for line in page.lines]
        assert "b is skipped: a → b: shared['n'] > 5 does not hold" in texts and "c is skipped: b was skipped" in texts


async def test_two_nodes_that_change_one_place_fail_the_run_naming_both_and_the_place(bench: Workbench) -> None:
    source = """
    class Set(Node):
        def cleanup(self, shared, prepared, result):
            shared["report"] = {"by": self.id}
    """
    bench.write("clash", source, mode="dag", nodes=nodes("Set", "ab"))
    async with bench.running():
        view = await bench.run("clash")
        assert view.status == "failed" and view.error is not None
        assert view.error.type == "StateConflict"
        assert all(said in view.error.message for said in ("'a'", "'b'", "shared['report']"))


async def test_after_a_failure_nothing_begins_and_what_runs_comes_to_its_end(bench: Workbench) -> None:
    source = """
    import asyncio, pathlib

    class Bad(Node):
        def execute(self, prepared):
            raise ValueError("no")

    class Slow(Node):
        async def execute(self, prepared):
            while not pathlib.Path("failed").exists():
                await asyncio.sleep(0.01)

        def cleanup(self, shared, prepared, result):
            shared[self.id] = "done"
    """
    graph: dict[str, Any] = {
        "mode": "dag",
        "nodes": [{"id": "bad", "class": "Bad"}, *nodes("Slow", "s"), *nodes("Slow", "t")],
        "edges": [("s", "t")],
    }
    bench.write("lets", source, **graph)
    bench.write("stops", source, **graph, fail_fast=True)
    async with bench.running() as engine:
        view = await bench.start("lets")
        await bench.until(view.run_id, lambda view: [flight.node for flight in view.in_flight] == ["s"])
        (bench.root / "failed").touch()
        view = await bench.rest(view.run_id)
        assert (view.status, view.error and view.error.node) == ("failed", "bad")
        assert await steps(bench, view) == ["s"] and (await bench.state(view.run_id)) == {"s": "done"}
        (bench.root / "failed").unlink()
        view = await bench.run("stops")
        assert (view.status, view.error and view.error.type) == ("failed", "ValueError")
        attempts = {step.node: step.status for step in (await engine.read_steps(view.run_id)).steps}
        assert attempts == {"bad": "failed", "s": "cancelled"}


ASKERS = """
import asyncio, pathlib

class Ask(Node):
    async def prepare(self, shared, request_input):
        with open("asked.txt", "a") as file:
            print(self.id, self.idempotency_key, file=file)
        shared[self.id] = await request_input("Which?", request_id=self.id)

class Slow(Node):
    async def execute(self, prepared):
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)

class End(Node):
    def cleanup(self, shared, prepared, result):
        shared["end"] = [shared["a"], shared["b"]]
"""


def write_askers(bench: Workbench) -> None:
    bench.write(
        "askers",
        ASKERS,
        mode="dag",
        max_parallel=1,
        nodes=[*nodes("Ask", "ab"), {"id": "slow", "class": "Slow"}, {"id": "end", "class": "End"}],
        edges=[("a", "end"), ("b", "end"), ("slow", "end")],
    )


async def test_a_dag_waits_for_a_person_only_where_nothing_else_can_run(bench: Workbench) -> None:
    write_askers(bench)
    async with bench.running():
        view = await bench.start("askers")
        # Though one node runs at a time, those that wait make room for the next.
        view = await bench.until(view.run_id, lambda view: len(view.open_requests) == 2 and len(view.in_flight) == 3)
        assert view.status == "running"
        (bench.root / "go").touch()
        view = await bench.rest(view.run_id)
        assert view.status == "waiting_input" and await steps(bench, view) == ["slow"]
        await bench.answer(view.run_id, "b", "second")
        view = await bench.until(view.run_id, lambda view: view.step == 2 and view.status == "waiting_input")
        assert [request.request_id for request in view.open_requests] == ["a"]
        await bench.answer(view.run_id, "a", "first")
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and (await bench.state(view.run_id))["end"] == ["first", "second"]
    asked = (bench.root / "asked.txt").read_text().split()
    assert asked[::2] == ["a", "b"]


async def test_answers_given_while_no_process_is_there_serve_visits_that_start_again(bench: Workbench) -> None:
    write_askers(bench)
    (bench.root / "go").touch()
    async with bench.running():
        view = await bench.start("askers")
        view = await bench.rest(view.run_id)
        assert len(view.open_requests) == 2
    async with bench.running():
        await bench.answer(view.run_id, "b", "second")
        view = await bench.until(view.run_id, lambda view: view.step == 2 and view.status == "waiting_input")
        await bench.answer(view.run_id, "a", "first")
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and (await bench.state(view.run_id))["end"] == ["first", "second"]
    asked = [line.split() for line in (bench.root / "asked.txt").read_text().splitlines()]
    keys = {node_id: {key for asker, key in asked if asker == node_id} for node_id in "ab"}
    assert all(len(same) == 1 for same in keys.values()) and keys["a"] != keys["b"]


KILLED = """
import asyncio, os, pathlib

class Quick(Node):
    def execute(self, prepared):
        with open("ran.txt", "a") as file:
            print(self.id, self.idempotency_key, file=file)

    def cleanup(self, shared, prepared, result):
        shared[self.id] = 1

class Held(Quick):
    async def execute(self, prepared):
        super().execute(prepared)
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
"""


@pytest.mark.parametrize("retry", [{"attempts": 2}, None])
async def test_a_process_killed_with_several_nodes_in_flight_repeats_just_those(
    bench: Workbench, retry: dict[str, int] | None
) -> None:
    bench.write(
        "killed",
        KILLED,
        mode="dag",
        nodes=[*nodes("Quick", "a"), *nodes("Held", "bc", **({"retry": retry} if retry else {})), *nodes("Quick", "d")],
        edges=[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")],
    )
    async with bench.running() as engine:
        view = await bench.start("killed")
        await bench.until(view.run_id, lambda view: view.step == 1 and len(view.in_flight) == 2)
        await ran(bench, 3)
        actor = engine._runs.active(view.run_id)
        assert actor is not None and actor.process_life.process is not None
        os.kill(actor.process_life.process.pid, signal.SIGKILL)
        await bench.until(view.run_id, lambda view: len(view.in_flight) == 2 or view.status == "failed")
        (bench.root / "go").touch()
        view = await bench.rest(view.run_id)
        page = await engine.read_steps(view.run_id)
    failed = [(step.node, step.attempt, step.status) for step in page.steps if step.status != "completed"]
    assert sorted(failed) == [("b", 1, "failed"), ("c", 1, "failed")]
    if retry is None:
        assert view.status == "failed" and view.error is not None and view.error.type == "RunProcessDied"
        return
    assert view.status == "completed"
    lines = [line.split() for line in (bench.root / "ran.txt").read_text().splitlines()]
    assert sorted(node_id for node_id, _ in lines) == ["a", "b", "b", "c", "c", "d"]
    assert len({key for _, key in lines}) == 4
    assert {step.node: step.attempt for step in page.steps if step.step} == {"a": 1, "b": 2, "c": 2, "d": 1}


async def ran(bench: Workbench, times: int) -> None:
    """Wait until nodes have begun so many executions."""
    path = bench.root / "ran.txt"
    async with asyncio.timeout(LIMIT_SECONDS):
        while not path.exists() or len(path.read_text().splitlines()) < times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_stepped_dag_goes_one_step_at_a_time_by_priority_and_the_order_of_the_file(bench: Workbench) -> None:
    bench.write(
        "stepped",
        NOTES,
        mode="dag",
        nodes=[*nodes("Note", "abc"), *nodes("Note", "d", priority=5), *nodes("Note", "e")],
        edges=[("a", "e"), ("d", "e")],
    )
    async with bench.running() as engine:
        view = await bench.run("stepped", until="step")
        order = [view.next_node]
        while view.status == "paused":
            await engine.step_run(os.urandom(8).hex(), view.run_id, [])
            view = await bench.rest(view.run_id)
            order.append(view.next_node)
        assert view.status == "completed"
        assert await steps(bench, view) == ["d", "a", "b", "c", "e"] and order == ["a", "b", "c", "e", None]
        # Each saw what its ancestors left, and nothing of the others.
        assert await bench.state(view.run_id) == {"d": [], "a": [], "b": [], "c": [], "e": ["a", "d"]}


async def test_a_node_that_chooses_the_next_fails_in_a_dag(bench: Workbench) -> None:
    source = """
    class Chooser(Node):
        def cleanup(self, shared, prepared, result):
            getattr(self, "go" + "to")("b")
    """
    bench.write("chooser", source, mode="dag", nodes=nodes("Chooser", "ab"))
    async with bench.running():
        view = await bench.run("chooser")
        assert view.status == "failed" and view.error is not None and view.error.type == "GotoInDag"


async def test_going_on_from_an_earlier_step_keeps_what_was_done_until_then(bench: Workbench) -> None:
    bench.write(
        "again",
        KILLED,
        mode="dag",
        nodes=nodes("Quick", "abcd"),
        edges=[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")],
        reducers={"all": "append"},
    )
    (bench.root / "go").touch()
    async with bench.running() as engine:
        view = await bench.run("again")
        first = await steps(bench, view)
        await engine.rewind_run(Rewind(command_id="r", run_id=view.run_id, step=2))
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and first[:2] == (await steps(bench, view))[:2]
        assert (bench.root / "ran.txt").read_text().count("a ") == 1
        edits = [StateEdit(path=["extra"], value=json.loads('{"by": "hand"}'))]
        forked = await engine.fork_run(Fork(command_id="f", run_id=view.run_id, step=1, edits=edits))
        forked = await bench.rest(forked.run_id)
        assert forked.status == "completed"
        assert await bench.state(forked.run_id) == {"a": 1, "b": 1, "c": 1, "d": 1, "extra": {"by": "hand"}}


async def test_plain_functions_run_at_once_too_and_what_they_print_is_theirs(bench: Workbench) -> None:
    source = """
    import pathlib, time

    class Meet(Node):
        def execute(self, prepared):
            print("here is " + self.id)
            folder = pathlib.Path("meeting")
            folder.mkdir(exist_ok=True)
            (folder / self.id).touch()
            while len(list(folder.iterdir())) < 3:
                time.sleep(0.01)
            return self.id

        def cleanup(self, shared, prepared, result):
            shared[self.id] = result
    """
    bench.write("plain", source, mode="dag", nodes=nodes("Meet", "abc"))
    async with bench.running() as engine:
        view = await bench.run("plain")
        assert view.status == "completed" and await bench.state(view.run_id) == {"a": "a", "b": "b", "c": "c"}
        page = await engine.read_logs(LogQuery(run_id=view.run_id, limit=100))
        said = {(line.node, line.text) for line in page.lines if line.text.startswith("here is")}
        assert said == {(node_id, f"here is {node_id}") for node_id in "abc"}
    bench.write(
        "leaves", "class Leaves(Node):\n    def execute(self, prepared):\n        raise SystemExit(3)\n", mode="dag"
    )
    async with bench.running():
        view = await bench.run("leaves")
        assert view.status == "failed" and view.error is not None and view.error.type == "NodeExit"


async def test_a_workflow_of_mode_dag_runs_in_library_mode_too(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write(
        "meet",
        MEETING.replace('pathlib.Path("meeting")', f"pathlib.Path({str(tmp_path / 'meeting')!r})"),
        mode="dag",
        reducers={"results": "append"},
        nodes=[*nodes("Meet", "abc"), {"id": "j", "class": "Join"}],
        edges=[("a", "j"), ("b", "j"), ("c", "j")],
    )
    with TaskOrchestrator(workflows_dir=bench.workspace.workflows_dir, storage_dir=tmp_path / "library") as library:
        done = await library.run_workflow("meet")
    assert done["status"] == "completed" and done["shared_state"]["joined"] == ["a", "b", "c"]


async def test_a_plain_node_that_is_out_of_time_does_not_act_on_behind_the_run(
    bench: Workbench, tmp_path: Path
) -> None:
    source = f"""
        import os, time

        class Endless(Node):
            def execute(self, prepared):
                with open({str(tmp_path / "pid")!r}, "w") as file:
                    file.write(str(os.getpid()))
                while True:
                    time.sleep(0.05)

        class Ask(Node):
            async def prepare(self, shared, request_input):
                await request_input("Well?")
    """
    graph = [{"id": "a", "class": "Endless", "timeout": 0.3, "on_error": "skip"}, {"id": "ask", "class": "Ask"}]
    bench.write("endless", source, mode="dag", nodes=graph, edges=[("a", "ask")])
    async with bench.running():
        view = await bench.run("endless")
        assert view.status == "waiting_input"
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
