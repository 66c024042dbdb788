"""Going back: a run goes on from an earlier step, another run does, and what was there before stays readable."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.errors import (
    EffectsNotAcknowledged,
    NodeGone,
    RunAtRest,
    UnknownLine,
    UnknownRequest,
    UnknownStep,
    UsageError,
)
from core.link.commands import Fork, Rewind, StateEdit
from core.link.types import LogQuery, RunView, StatePoint

COUNTING = """
class One(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = shared.get("n", 0) + 1
        shared["seen"] = shared.get("seen", []) + ["one"]

class Two(Node):
    def cleanup(self, shared, prepared, result):
        with open("keys", "a") as file:
            file.write(self.idempotency_key + "\\n")
        shared["n"] *= 10
        shared["seen"] = shared["seen"] + ["two"]

class Three(Node):
    def cleanup(self, shared, prepared, result):
        shared["seen"] = shared["seen"] + ["three"]
"""
EDGES = [("one", "two"), ("two", "three")]


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def new_id() -> str:
    return uuid.uuid4().hex


def write(bench: Workbench, source: str = COUNTING, edges: list[Any] | None = None, **effects: str) -> None:
    nodes = [
        {"id": name.lower(), "class": name, "effects": effects.get(name.lower(), "none")}
        for name in ("One", "Two", "Three")
        if f"class {name}(" in source
    ]
    bench.write("count", source, edges=EDGES if edges is None else edges, nodes=nodes)


async def rewind(bench: Workbench, run_id: str, step: int, **fields: Any) -> RunView:
    view = await bench.engine.rewind_run(Rewind(command_id=new_id(), run_id=run_id, step=step, **fields))
    return view if fields.get("paused") else await bench.rest(run_id)


async def fork(bench: Workbench, run_id: str, step: int, edits: dict[str, Any] | None = None, **fields: Any) -> RunView:
    changes = [StateEdit(path=[key], value=value) for key, value in (edits or {}).items()]
    view = await bench.engine.fork_run(Fork(command_id=new_id(), run_id=run_id, step=step, edits=changes, **fields))
    return view if fields.get("paused") else await bench.rest(view.run_id)


async def test_a_rewound_run_goes_on_under_the_edited_version_and_its_old_line_stays_readable(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count")
        write(bench, COUNTING.replace("*= 10", "*= 100"))
        again = await rewind(bench, view.run_id, 1)
        assert (again.run_id, again.status, again.step) == (view.run_id, "completed", 3)
        assert again.version != view.version
        assert await bench.state(view.run_id) == {"n": 100, "seen": ["one", "two", "three"]}
        assert await bench.state(view.run_id, 1) == {"n": 1, "seen": ["one"]}
        first, second = await engine.list_lines(view.run_id)
        assert (second.parent_line, second.parent_step, second.version) == (first.line, 1, again.version)
        old = await engine.read_state(view.run_id, None, ["n"], line=first.line)
        assert (bytes(old.value), old.seq) == (b"10", 3)
        assert [change.path for change in await engine.read_changes(view.run_id, 2, line=first.line)] == [
            ["n"],
            ["seen"],
        ]
        points = [StatePoint(run_id=view.run_id, line=line) for line in (first.line, second.line)]
        difference = await engine.read_difference(*points)
        assert [(c.op, c.path, c.before, c.after) for c in difference] == [("set", ["n"], "10", "100")]
        keys = (bench.root / "keys").read_text().split()
        assert len(keys) == 2 and keys[0] != keys[1]
        page = await engine.read_logs(LogQuery(run_id=view.run_id, limit=1_000))
        assert [line.row for line in page.lines] == list(range(1, page.last + 1))
        assert {line.line for line in page.lines} == {first.line, second.line}
        assert any("rewound to step 1" in line.text for line in page.lines if line.line == second.line)
        with pytest.raises(UnknownLine):
            await engine.read_steps(view.run_id, line=4711)
        with pytest.raises(UnknownStep):
            await rewind(bench, view.run_id, 9)
        with pytest.raises(RunAtRest, match="Nothing follows"):
            await rewind(bench, view.run_id, 3)


async def test_a_rewind_keeps_the_version_where_that_is_wanted(bench: Workbench) -> None:
    write(bench)
    async with bench.running():
        view = await bench.run("count")
        write(bench, COUNTING.replace("*= 10", "*= 100"))
        again = await rewind(bench, view.run_id, 1, same_version=True)
        assert again.version == view.version
        assert (await bench.state(view.run_id))["n"] == 10


async def test_a_rewound_run_can_wait_until_somebody_lets_it_go_on(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count")
        again = await rewind(bench, view.run_id, 2, paused=True)
        assert (again.status, again.step, again.next_node) == ("paused", 2, "three")
    async with bench.running() as engine:
        await engine.continue_run(new_id(), view.run_id)
        assert (await bench.rest(view.run_id)).step == 3


async def test_edges_that_were_edited_are_followed_from_the_step_gone_back_to(bench: Workbench) -> None:
    write(bench)
    async with bench.running():
        view = await bench.run("count")
        write(bench, edges=[("one", "three", "shared['n'] == 1"), ("one", "two"), ("two", "three")])
        await rewind(bench, view.run_id, 1)
        assert (await bench.state(view.run_id))["seen"] == ["one", "three"]
        # And where no edge leads on any more, the run is complete there.
        write(bench, edges=[("one", "two", "shared['n'] == 7"), ("two", "three")])
        view = await rewind(bench, view.run_id, 1)
        assert (view.status, view.step) == ("completed", 1)
        assert (await bench.state(view.run_id))["seen"] == ["one"]


async def test_a_node_that_is_gone_is_no_way_on(bench: Workbench) -> None:
    write(bench)
    async with bench.running():
        view = await bench.run("count")
        write(bench, COUNTING.split("class Three")[0].replace("One", "Uno"), edges=[])
        with pytest.raises(NodeGone, match="three"):
            await rewind(bench, view.run_id, 2, same_version=False)
        assert (await rewind(bench, view.run_id, 2, same_version=True)).status == "completed"


ASKING = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answers"] = shared.get("answers", []) + [await request_input("Which?", None, "text", "pick")]
"""


async def test_a_rewind_withdraws_the_open_question_and_keeps_the_answers_before_it(bench: Workbench) -> None:
    bench.write("ask", ASKING, edges=[("ask", "ask", "len(shared['answers']) < 3")])
    async with bench.running() as engine:
        view = await bench.run("ask")
        for text in ("a", "b"):
            await bench.answer(view.run_id, "pick", text)
            view = await bench.rest(view.run_id)
        old_line, old_key = view.line, view.open_requests[0].key
        view = await rewind(bench, view.run_id, 1)
        assert (view.status, view.step, len(view.open_requests)) == ("waiting_input", 1, 1)
        assert view.open_requests[0].visit == 2
        lines = await engine.list_lines(view.run_id)
        assert [(line.status, line.error.type if line.error else None) for line in lines] == [
            ("cancelled", "Rewound"),
            ("waiting_input", None),
        ]
        with pytest.raises(UnknownRequest):
            await bench.answer(view.run_id, old_key, "late")
        assert old_line != view.line
        for text in ("c", "d"):
            await bench.answer(view.run_id, "pick", text)
            view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"answers": ["a", "c", "d"]}


async def test_a_run_that_is_going_on_is_stopped_by_a_rewind_and_begins_again_there(bench: Workbench) -> None:
    bench.write(
        "gated",
        """
        import pathlib, time

        class First(Node):
            def cleanup(self, shared, prepared, result):
                shared["first"] = shared.get("first", 0) + 1

        class Gate(Node):
            def execute(self, prepared):
                print("at the gate")
                while not pathlib.Path("open").exists():
                    time.sleep(0.01)
        """,
        edges=[("first", "gate")],
    )
    async with bench.running() as engine:
        view = await bench.start("gated")
        events = engine.events()
        async with asyncio.timeout(60):
            while "at the gate" not in await bench.log(view.run_id):
                await anext(events)
        command = Rewind(command_id=new_id(), run_id=view.run_id, step=0)
        first, second = await asyncio.gather(engine.rewind_run(command), engine.rewind_run(command))
        assert first.line == second.line != view.line
        (bench.root / "open").touch()
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"first": 1}
        old, _ = await engine.list_lines(view.run_id)
        assert old.status == "cancelled"
        attempts = (await engine.read_steps(view.run_id, line=old.line)).steps
        assert [(attempt.node, attempt.status) for attempt in attempts] == [
            ("first", "completed"),
            ("gate", "cancelled"),
        ]


async def test_a_fork_goes_on_by_itself_with_an_edited_state_and_the_first_run_is_untouched(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count", {"note": "x" * 10_000})
        other = await fork(bench, view.run_id, 1, {"n": 5})
        assert (other.status, other.step) == ("completed", 4)
        state = await bench.state(other.run_id)
        assert (state["n"], state["seen"], len(state["note"])) == (50, ["one", "two", "three"], 10_000)
        assert await bench.state(other.run_id, 1) == await bench.state(view.run_id, 1)
        assert (await bench.state(other.run_id, 2))["n"] == 5
        assert (await bench.state(view.run_id))["n"] == 10
        edited = (await engine.read_steps(other.run_id)).steps[1]
        assert (edited.step, edited.node, edited.reason, edited.changed) == (2, "", "edit", 1)
        (line,) = await engine.list_lines(other.run_id)
        assert (line.parent_run, line.parent_step) == (view.run_id, 1)
        # A fork of the fork reads through both.
        third = await fork(bench, other.run_id, 3, {"seen": []}, paused=True)
        assert (third.status, third.step) == ("paused", 4)
        assert (await bench.state(third.run_id))["seen"] == []
        await engine.continue_run(new_id(), third.run_id)
        third = await bench.rest(third.run_id)
        state = await bench.state(third.run_id)
        assert (third.status, state["seen"], state["n"]) == ("completed", ["three"], 50)
        assert (await bench.state(third.run_id, 1))["n"] == 1
        point = StatePoint(run_id=third.run_id, step=2)
        assert await engine.read_difference(point, StatePoint(run_id=other.run_id, step=2)) == []
        keys = (bench.root / "keys").read_text().split()
        assert len(keys) == len(set(keys)) == 2


async def test_an_edited_state_chooses_the_way_again(bench: Workbench) -> None:
    write(bench, edges=[("one", "two", "shared['n'] == 1"), ("one", "three")])
    async with bench.running():
        view = await bench.run("count")
        assert (await bench.state(view.run_id))["seen"] == ["one", "two"]
        other = await fork(bench, view.run_id, 1, {"n": 5})
        assert (await bench.state(other.run_id))["seen"] == ["one", "three"]
        same = await fork(bench, view.run_id, 1)
        assert (await bench.state(same.run_id))["seen"] == ["one", "two"]


async def test_a_fork_begins_once_for_its_command_also_after_the_engine_began_anew(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count")
        command = Fork(command_id=new_id(), run_id=view.run_id, step=1)
        first, second = await asyncio.gather(engine.fork_run(command), engine.fork_run(command))
        assert first.run_id == second.run_id
        await bench.rest(first.run_id)
    async with bench.running() as engine:
        assert (await engine.fork_run(command)).run_id == first.run_id


async def test_an_edit_that_has_no_place_in_the_state_is_refused(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count", {"deep": {"list": [1, 2]}})
        for path in (["deep", "nothing", "x"], ["deep", "list", 5], ["n", "x"], []):
            with pytest.raises(UsageError):
                edits = [StateEdit(path=path, value=1)]
                await engine.fork_run(Fork(command_id=new_id(), run_id=view.run_id, step=1, edits=edits))
        edits = [StateEdit(path=["deep", "list", 2], value=3), StateEdit(path=["deep", "new"], value=None)]
        other = await engine.fork_run(Fork(command_id=new_id(), run_id=view.run_id, step=1, edits=edits, paused=True))
        assert (await bench.state(other.run_id))["deep"] == {"list": [1, 2, 3], "new": None}


async def test_going_back_names_the_nodes_that_write_and_may_act_again(bench: Workbench) -> None:
    write(bench, two="write", three="")
    async with bench.running() as engine:
        view = await bench.run("count")
        with pytest.raises(EffectsNotAcknowledged, match="two") as refused:
            await rewind(bench, view.run_id, 0)
        assert [entry["node"] for entry in refused.value.details["write"]] == ["two"]
        assert refused.value.details["undeclared"] == ["three"]
        with pytest.raises(EffectsNotAcknowledged):
            await fork(bench, view.run_id, 1)
        assert len(await engine.list_lines(view.run_id)) == 1
        # After its step it doesn't act again, so nobody is asked.
        assert (await rewind(bench, view.run_id, 2)).status == "completed"
        assert any("may act again: three" in line for line in await bench.log(view.run_id))
        assert (await rewind(bench, view.run_id, 0, acknowledge_effects=True)).status == "completed"


async def test_a_run_rewound_while_the_engine_died_goes_on_there(bench: Workbench) -> None:
    write(bench)
    async with bench.running() as engine:
        view = await bench.run("count")
        view = await rewind(bench, view.run_id, 1, paused=True)
        await engine.continue_run(new_id(), view.run_id)
        actor = engine._runs.active(view.run_id)
        if actor is not None:
            await actor.close()
    async with bench.running() as engine:
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)
        assert await bench.state(view.run_id) == {"n": 10, "seen": ["one", "two", "three"]}
