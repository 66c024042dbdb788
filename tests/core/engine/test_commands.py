"""What a person does to runs: cancel, pause, go on, try again, one node, up to a node, once more, many at once."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.errors import EffectsNotAcknowledged, NodeGone, NotApproved, RunAtRest, UnknownNode, UsageError
from core.link.commands import Fork, ManyRuns, Rerun, Retry, RunNode
from core.link.types import FINAL, RunView

BUSY = """
class Busy(Node):
    def execute(self, prepared):
        print("busy")
        while True:
            pass
"""
BLOCKED = """
import time

class Busy(Node):
    def execute(self, prepared):
        print("busy")
        time.sleep(10**6)
"""
STUBBORN = """
import asyncio, signal, subprocess

class Busy(Node):
    async def execute(self, prepared):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print("busy")
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass
"""
GATED = """
import pathlib, time

class First(Node):
    def cleanup(self, shared, prepared, result):
        shared["first"] = shared.get("first", 0) + 1

class Gate(Node):
    def execute(self, prepared):
        with open("keys", "a") as file:
            file.write(self.idempotency_key + "\\n")
        print("at the gate")
        while not pathlib.Path("open").exists():
            time.sleep(0.01)

class Last(Node):
    def cleanup(self, shared, prepared, result):
        shared["last"] = True
"""
GATED_EDGES = [("first", "gate"), ("gate", "last")]


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def new_id() -> str:
    return uuid.uuid4().hex


async def at_the_gate(bench: Workbench) -> RunView:
    """A run whose code is inside of the node "gate"."""
    view = await bench.start("gated")
    await said(bench, view.run_id, "at the gate")
    return await bench.engine.get_run(view.run_id)


async def said(bench: Workbench, run_id: str, text: str) -> None:
    events = bench.engine.events()
    async with asyncio.timeout(60):
        while text not in await bench.log(run_id):
            await anext(events)


@pytest.mark.parametrize("source", [BUSY, BLOCKED, STUBBORN], ids=["busy loop", "blocked in C", "stubborn"])
async def test_cancel_ends_a_run_whatever_its_node_does(bench: Workbench, source: str) -> None:
    bench.write("busy", source)
    async with bench.running() as engine:
        view = await bench.start("busy")
        await said(bench, view.run_id, "busy")
        async with asyncio.timeout(60):
            view = await engine.cancel_run(new_id(), view.run_id)
        assert view.status == "cancelled"
        assert view.ended_at is not None
        actor = engine._runs.active(view.run_id)
        if actor is not None:
            await asyncio.wait_for(actor.closed.wait(), 60)
        assert (await engine.get_run(view.run_id)).status == "cancelled"
    async with bench.running() as engine:
        assert (await engine.get_run(view.run_id)).status == "cancelled"
        with pytest.raises(RunAtRest):
            await engine.cancel_run(new_id(), view.run_id)


async def test_a_pause_lets_the_running_step_end_and_the_run_goes_on_from_there(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    async with bench.running() as engine:
        view = await at_the_gate(bench)
        view = await engine.pause_run(new_id(), view.run_id)
        assert (view.status, view.pausing) == ("running", True)
        (bench.root / "open").touch()
        view = await bench.rest(view.run_id)
        assert (view.status, view.pausing, view.step, view.next_node) == ("paused", False, 2, "last")
    async with bench.running() as engine:
        assert (await engine.get_run(view.run_id)).status == "paused"
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)
        assert len((bench.root / "keys").read_text().split()) == 1


async def test_a_pause_that_has_not_come_yet_can_be_taken_back(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    async with bench.running() as engine:
        view = await at_the_gate(bench)
        await engine.pause_run(new_id(), view.run_id)
        view = await engine.continue_run(new_id(), view.run_id)
        assert (view.status, view.pausing) == ("running", False)
        (bench.root / "open").touch()
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_pause_outlives_the_engine_that_was_to_carry_it_out(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    async with bench.running() as engine:
        view = await at_the_gate(bench)
        await engine.pause_run(new_id(), view.run_id)
        # As a kill would: nothing is brought to its end.
        await engine._runs.active(view.run_id).close()
    async with bench.running() as engine:
        view = await bench.rest(view.run_id)
        assert (view.status, view.step, view.next_node) == ("paused", 1, "gate")
        (bench.root / "open").touch()
        await engine.continue_run(new_id(), view.run_id)
        assert (await bench.rest(view.run_id)).status == "completed"
        assert len(set((bench.root / "keys").read_text().split())) == 1


async def test_a_pause_at_once_gives_the_visit_up_and_it_runs_again_with_the_same_key(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    async with bench.running() as engine:
        view = await at_the_gate(bench)
        view = await engine.pause_run(new_id(), view.run_id, now=True)
        assert (view.status, view.step, view.in_flight) == ("paused", 1, [])
        with pytest.raises(RunAtRest):
            await engine.pause_run(new_id(), view.run_id)
        (bench.root / "open").touch()
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.node, step.attempt) for step in steps] == [("first", 1), ("gate", 1), ("last", 1)]
        keys = (bench.root / "keys").read_text().split()
        assert len(keys) == 2 and len(set(keys)) == 1


ASK = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Which?", None, "text", "pick")
"""


async def test_a_paused_run_keeps_its_question_and_an_answer_does_not_start_it(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        view = await bench.run("ask")
        view = await engine.pause_run(new_id(), view.run_id)
        assert view.status == "paused"
        assert [request.request_id for request in view.open_requests] == ["pick"]
        view = await bench.answer(view.run_id, "pick", "this")
        assert view.status == "paused"
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"answer": "this"}


async def test_a_paused_question_waits_again_when_the_run_goes_on(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        view = await bench.run("ask")
        await engine.pause_run(new_id(), view.run_id)
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert view.status == "waiting_input"
        await bench.answer(view.run_id, "pick", "that")
        assert (await bench.rest(view.run_id)).status == "completed"


FRAGILE = """
class First(Node):
    def cleanup(self, shared, prepared, result):
        shared["first"] = shared.get("first", 0) + 1

class Send(Node):
    def execute(self, prepared):
        with open("keys", "a") as file:
            file.write(self.idempotency_key + "\\n")
        raise ValueError("broken")

class Last(Node):
    pass
"""
MENDED = FRAGILE.replace('raise ValueError("broken")', "pass")
FRAGILE_EDGES = [("first", "send"), ("send", "last")]


def write_fragile(bench: Workbench, source: str, effects: str = "read", **graph: Any) -> None:
    nodes = [
        {"id": "first", "class": "First", "effects": "none"},
        {"id": "send", "class": "Send", "effects": effects},
        {"id": "last", "class": "Last"},
    ]
    bench.write("fragile", source, **{"edges": FRAGILE_EDGES, "nodes": nodes, **graph})


async def test_a_retry_goes_on_from_the_failed_node_under_the_mended_version(bench: Workbench) -> None:
    write_fragile(bench, FRAGILE)
    async with bench.running() as engine:
        view = await bench.run("fragile")
        assert (view.status, view.step) == ("failed", 1)
        write_fragile(bench, MENDED)
        retry = Retry(command_id=new_id(), run_id=view.run_id)
        again = await engine.retry_run(retry)
        assert again.run_id == view.run_id and again.line != view.line and again.version != view.version
        again = await bench.rest(view.run_id)
        assert (again.status, again.step, again.error) == ("completed", 3, None)
        assert await bench.state(view.run_id) == {"first": 1}
        first, second = await engine.list_lines(view.run_id)
        assert (first.number, first.status, first.step, second.number, second.status, second.step) == (
            *(1, "failed", 1),
            *(2, "completed", 3),
        )
        assert (second.parent_line, second.parent_step, second.parent_run) == (first.line, 1, None)
        assert [step.node for step in (await engine.read_steps(view.run_id, line=first.line)).steps] == [
            "first",
            "send",
        ]
        keys = (bench.root / "keys").read_text().split()
        assert len(set(keys)) == 2, "a new line has new keys"
        # The same command again acts no second time, nor after the engine began anew.
        assert (await engine.retry_run(retry)).line == again.line
    async with bench.running() as engine:
        assert (await engine.retry_run(retry)).line == again.line
        assert len(await engine.list_lines(view.run_id)) == 2
        with pytest.raises(RunAtRest):
            await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))


async def test_a_retry_keeps_the_old_version_where_that_is_wanted_and_refuses_a_node_that_is_gone(
    bench: Workbench,
) -> None:
    write_fragile(bench, FRAGILE)
    async with bench.running() as engine:
        view = await bench.run("fragile")
        bench.write("fragile", MENDED, edges=[("first", "last")], nodes=[
            {"id": "first", "class": "First"}, {"id": "last", "class": "Last"}
        ])  # fmt: skip
        with pytest.raises(NodeGone, match="send"):
            await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        assert (await engine.get_run(view.run_id)).line == view.line
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id, same_version=True))
        again = await bench.rest(view.run_id)
        assert (again.status, again.version) == ("failed", view.version)


async def test_a_retry_under_code_that_nobody_approved_is_refused(bench: Workbench) -> None:
    write_fragile(bench, FRAGILE)
    async with bench.running(consent=False) as engine:
        approval = await engine.approval("fragile")
        await engine.approve("fragile", approval.version)
        view = await bench.run("fragile")
        write_fragile(bench, MENDED)
        with pytest.raises(NotApproved) as refused:
            await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        assert "--same-version" in refused.value.next_step
        await engine.approve("fragile", (await engine.approval("fragile")).version)
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_node_that_writes_is_not_tried_again_before_somebody_said_that_it_may(bench: Workbench) -> None:
    write_fragile(bench, FRAGILE, effects="write")
    async with bench.running() as engine:
        view = await bench.run("fragile")
        write_fragile(bench, MENDED, effects="write")
        with pytest.raises(EffectsNotAcknowledged, match="send") as refused:
            await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        assert [entry["node"] for entry in refused.value.details["write"]] == ["send"]
        assert (await engine.get_run(view.run_id)).status == "failed"
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id, acknowledge_effects=True))
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert any("send may act again" in line for line in await bench.log(view.run_id))


async def test_a_cancelled_run_is_tried_again_from_the_node_it_was_at(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    async with bench.running() as engine:
        view = await at_the_gate(bench)
        await engine.cancel_run(new_id(), view.run_id)
        (bench.root / "open").touch()
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)
        assert await bench.state(view.run_id) == {"first": 1, "last": True}


COUNTING = """
class One(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = shared.get("n", 0) + 1
        shared["seen"] = shared.get("seen", []) + ["one"]

class Two(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] *= 10
        shared["seen"] = shared.get("seen", []) + ["two"]

class Three(Node):
    def cleanup(self, shared, prepared, result):
        shared["seen"] = shared.get("seen", []) + ["three"]
"""
COUNTING_EDGES = [("one", "two"), ("two", "three")]


async def test_one_node_runs_alone_with_given_inputs_or_the_state_of_a_run_before_it(bench: Workbench) -> None:
    bench.write("count", COUNTING, edges=COUNTING_EDGES, initial_state={"seen": []})
    async with bench.running() as engine:
        given = RunNode(command_id=new_id(), workflow="count", node="two", inputs={"n": 7})
        view = await bench.rest((await engine.run_node(given)).run_id)
        assert (view.status, view.step) == ("completed", 1)
        assert await bench.state(view.run_id) == {"seen": ["two"], "n": 70}
        assert (await engine.run_node(given)).run_id == view.run_id
        whole = await bench.run("count")
        assert await bench.state(whole.run_id) == {"seen": ["one", "two", "three"], "n": 10}
        alone = await engine.run_node(
            RunNode(command_id=new_id(), workflow="count", node="two", run_id=whole.run_id, inputs={"n": 3})
        )
        alone = await bench.rest(alone.run_id)
        assert alone.status == "completed"
        assert await bench.state(alone.run_id) == {"seen": ["one", "two"], "n": 30}
        assert await bench.state(whole.run_id) == {"seen": ["one", "two", "three"], "n": 10}
        with pytest.raises(UnknownNode, match="tow"):
            await engine.run_node(RunNode(command_id=new_id(), workflow="count", node="tow"))
        with pytest.raises(UnknownNode, match="never came"):
            run_id = view.run_id
            await engine.run_node(RunNode(command_id=new_id(), workflow="count", node="three", run_id=run_id))
        with pytest.raises(UsageError, match="one node alone"):
            await engine.rerun(Rerun(command_id=new_id(), run_id=view.run_id))


async def test_a_run_up_to_a_node_pauses_after_it_and_goes_on_from_there(bench: Workbench) -> None:
    bench.write("count", COUNTING, edges=COUNTING_EDGES)
    async with bench.running() as engine:
        view = await bench.run("count", until_node="two")
        assert (view.status, view.step, view.next_node) == ("paused", 2, "three")
        assert (await bench.state(view.run_id))["n"] == 10
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)
        with pytest.raises(UnknownNode):
            await bench.start("count", until_node="five")


async def test_a_run_is_run_again_with_its_inputs_edited_also_large_ones(bench: Workbench) -> None:
    bench.write("count", COUNTING, edges=COUNTING_EDGES)
    text = "x" * 100_000
    async with bench.running() as engine:
        view = await bench.run("count", {"n": 4, "text": text})
        again = Rerun(command_id=new_id(), run_id=view.run_id, inputs={"n": 5})
        other = await engine.rerun(again)
        assert other.run_id != view.run_id
        assert (await engine.rerun(again)).run_id == other.run_id
        other = await bench.rest(other.run_id)
        state = await bench.state(other.run_id)
        assert (state["n"], state["text"] == text) == (60, True)
        bench.write("count", COUNTING.replace("*= 10", "*= 100"), edges=COUNTING_EDGES)
        for same, wanted in ((False, 500), (True, 50)):
            third = await engine.rerun(Rerun(command_id=new_id(), run_id=view.run_id, same_version=same))
            third = await bench.rest(third.run_id)
            assert (await bench.state(third.run_id))["n"] == wanted
        assert (bytes(view.inputs), view.inputs_size > 100_000) == (b"null", True)
        fork = await engine.fork_run(Fork(command_id=new_id(), run_id=view.run_id, step=1))
        fork = await bench.rest(fork.run_id)
        assert fork.inputs_size == view.inputs_size
        fifth = await engine.rerun(Rerun(command_id=new_id(), run_id=fork.run_id))
        assert (await bench.state((await bench.rest(fifth.run_id)).run_id))["text"] == text


async def test_one_command_acts_on_many_runs_once_each_and_says_what_came_of_each(bench: Workbench) -> None:
    bench.write("gated", GATED, edges=GATED_EDGES)
    bench.write("count", COUNTING, edges=COUNTING_EDGES)
    async with bench.running() as engine:
        done = await bench.run("count")
        going = [(await at_the_gate(bench)).run_id for _ in range(3)]
        pause = ManyRuns(command_id=new_id(), action="pause", runs=[*going, done.run_id, "nobody"], now=True)
        outcomes = await engine.act_on_runs(pause)
        assert [outcome.status for outcome in outcomes] == ["paused"] * 3 + [None, None]
        assert [outcome.error.type for outcome in outcomes if outcome.error] == ["RunAtRest", "UnknownRun"]
        resume = ManyRuns(command_id=new_id(), action="resume", runs=going)
        assert {outcome.status for outcome in await engine.act_on_runs(resume)} <= {"queued", "running"}
        cancel = ManyRuns(command_id=new_id(), action="cancel", runs=going)
        assert [outcome.status for outcome in await engine.act_on_runs(cancel)] == ["cancelled"] * 3
        # Again: it acts on nobody, and says how they are.
        assert [outcome.status for outcome in await engine.act_on_runs(cancel)] == ["cancelled"] * 3
        assert all(outcome.status == "cancelled" for outcome in await engine.act_on_runs(pause) if not outcome.error)
        (bench.root / "open").touch()
        retry = ManyRuns(command_id=new_id(), action="retry", runs=going)
        assert all(outcome.error is None for outcome in await engine.act_on_runs(retry))
        for run_id in going:
            assert (await bench.rest(run_id)).status == "completed"
        with pytest.raises(UsageError):
            await engine.act_on_runs(ManyRuns(command_id=new_id(), action="cancel", runs=["x"] * 501))


async def test_cancel_and_the_commit_of_the_last_step_have_one_order(bench: Workbench) -> None:
    bench.write("count", COUNTING, edges=COUNTING_EDGES)
    async with bench.running() as engine:
        runs = [(await bench.start("count")).run_id for _ in range(12)]

        async def cancel(run_id: str, at: int) -> None:
            for _ in range(at):
                await asyncio.sleep(0)
            try:
                await engine.cancel_run(new_id(), run_id)
            except RunAtRest:
                assert (await engine.get_run(run_id)).status == "completed"

        await asyncio.gather(*(cancel(run_id, place * 40) for place, run_id in enumerate(runs)))
        ended = {run_id: (await bench.rest(run_id)).status for run_id in runs}
        assert set(ended.values()) <= FINAL
    async with bench.running() as engine:
        assert {run_id: (await engine.get_run(run_id)).status for run_id in runs} == ended
