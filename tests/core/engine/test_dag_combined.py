"""Several nodes in flight, and what people and accidents do to such runs."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import LIMIT_SECONDS, Workbench

from core.errors import EffectsNotAcknowledged, UnknownNode
from core.link.commands import Fork, Retry, Rewind, RunNode, StateEdit
from core.link.types import RunView, StepView

NODES = """
import asyncio, os, pathlib

def note(node):
    with open("began.txt", "a") as file:
        print(node.id, node.idempotency_key, file=file)

class Quick(Node):
    def prepare(self, shared, request_input):
        note(self)
        self.seen = sorted(shared)

    def cleanup(self, shared, prepared, result):
        shared[self.id] = self.seen

class Held(Quick):
    async def execute(self, prepared):
        while not (pathlib.Path("go").exists() or pathlib.Path("go-" + self.id).exists()):
            await asyncio.sleep(0.005)

class Asks(Held):
    async def execute(self, prepared):
        await super().execute(prepared)
        return await self.request_input("Which?", request_id=self.id)

class Fails(Held):
    async def execute(self, prepared):
        await super().execute(prepared)
        if not pathlib.Path("mended").exists():
            raise ValueError("not mended")

class FailsAtTheEnd(Held):
    def cleanup(self, shared, prepared, result):
        raise ValueError("in cleanup")

class Waits(Quick):
    async def execute(self, prepared):
        await self.wait_for(0.3)

class Blocks(Held):
    async def execute(self, prepared):
        await super().execute(prepared)
        if not pathlib.Path("blocked").exists():
            pathlib.Path("blocked").touch()
            while True:
                pass
"""
NODES = NODES.replace("return await self.request_input(", "return await self._ask(").replace(
    "class Asks(Held):",
    "class Asks(Held):\n    def prepare(self, shared, request_input):\n        self._ask = request_input\n"
    "        super().prepare(shared, request_input)\n",
)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def new_id() -> str:
    return uuid.uuid4().hex


def write(bench: Workbench, classes: dict[str, str], edges: list[Any], **more: Any) -> None:
    """A dag named "w"; `classes` maps node ids to class names, or to fields of the node."""
    specs = [{"id": node, **({"class": kind} if isinstance(kind, str) else kind)} for node, kind in classes.items()]
    bench.write("w", NODES, mode="dag", nodes=specs, edges=edges, **more)


def let(bench: Workbench, *nodes: str) -> None:
    """Let nodes that hold go on; without names all."""
    for node in nodes or ("",):
        (bench.root / (f"go-{node}" if node else "go")).touch()


def began(bench: Workbench) -> list[str]:
    """The nodes that have begun, in order, each as often as it has."""
    return [line.split()[0] for line in (bench.root / "began.txt").read_text().splitlines()]


def keys(bench: Workbench, node: str) -> list[str]:
    lines = [line.split() for line in (bench.root / "began.txt").read_text().splitlines()]
    return [key for name, key in lines if name == node]


def flying(view: RunView) -> list[str]:
    return sorted(flight.node for flight in view.in_flight)


async def in_flight(bench: Workbench, run_id: str, nodes: str) -> RunView:
    """Wait until just these nodes are in flight and have begun their work."""
    view = await bench.until(run_id, lambda view: flying(view) == sorted(nodes))
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (bench.root / "began.txt").exists() or not set(nodes) <= set(began(bench)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return view


async def rows(bench: Workbench, run_id: str) -> list[StepView]:
    return (await bench.engine.read_steps(run_id)).steps


async def done(bench: Workbench, run_id: str) -> list[str]:
    return [row.node for row in await rows(bench, run_id) if row.step]


TWO = {"b": "Held", "c": "Held", "d": "Quick", "e": "Quick"}
TWO_EDGES = [("b", "d"), ("c", "e")]


async def test_a_pause_lets_all_in_flight_end_and_begins_nothing_new(bench: Workbench) -> None:
    write(bench, TWO, TWO_EDGES)
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bc")
        view = await engine.pause_run(new_id(), view.run_id)
        assert (view.status, view.pausing) == ("running", True)
        let(bench, "b")
        view = await bench.until(view.run_id, lambda view: view.step == 1)
        assert (view.status, flying(view)) == ("running", ["c"])
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, view.pausing, view.step, flying(view)) == ("paused", False, 2, [])
        assert sorted(began(bench)) == ["b", "c"]
    async with bench.running() as engine:
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and sorted(began(bench)) == ["b", "c", "d", "e"]


async def test_a_pause_that_is_taken_back_lets_what_had_ended_lead_on(bench: Workbench) -> None:
    write(bench, TWO, TWO_EDGES)
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bc")
        await engine.pause_run(new_id(), view.run_id)
        let(bench, "b")
        await bench.until(view.run_id, lambda view: view.step == 1)
        view = await engine.continue_run(new_id(), view.run_id)
        assert (view.status, view.pausing) == ("running", False)
        await bench.until(view.run_id, lambda view: view.step == 2)
        assert await done(bench, view.run_id) == ["b", "d"]
        let(bench)
        assert (await bench.rest(view.run_id)).status == "completed"


@pytest.mark.parametrize("first", ["b", "a"])
async def test_a_pause_comes_also_where_a_node_in_flight_begins_to_wait_for_a_person(
    bench: Workbench, first: str
) -> None:
    write(bench, {"a": "Asks", "b": "Held", "d": "Quick"}, [("b", "d")])
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "ab")
        await engine.pause_run(new_id(), view.run_id)
        let(bench, first)
        await bench.until(view.run_id, lambda view: view.step == 1 or bool(view.open_requests))
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("paused", 1)
        assert [request.request_id for request in view.open_requests] == ["a"]
        await bench.answer(view.run_id, "a", "yes")
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and began(bench).count("b") == 1


async def test_a_node_that_fails_for_good_during_a_pause_fails_the_run(bench: Workbench) -> None:
    write(bench, {"a": "Fails", "b": "Held", "d": "Quick"}, [("b", "d")])
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "ab")
        await engine.pause_run(new_id(), view.run_id)
        let(bench, "b")
        await bench.until(view.run_id, lambda view: view.step == 1)
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("failed", 1) and "d" not in began(bench)


async def test_pause_now_gives_up_all_in_flight_and_they_run_again_under_the_same_keys(bench: Workbench) -> None:
    write(bench, TWO, TWO_EDGES)
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bc")
        view = await engine.pause_run(new_id(), view.run_id, True)
        assert (view.status, view.step, flying(view)) == ("paused", 0, [])
        let(bench)
        await engine.continue_run(new_id(), view.run_id)
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert {row.attempt for row in await rows(bench, view.run_id) if row.step} == {1}
    assert [len(keys(bench, node)) for node in "bcde"] == [2, 2, 1, 1]
    assert len(set(keys(bench, "b"))) == len(set(keys(bench, "c"))) == 1


async def test_cancel_ends_all_in_flight_and_a_retry_runs_just_what_was_not_done(bench: Workbench) -> None:
    write(bench, {"a": "Quick", **TWO}, [("a", "b"), ("a", "c"), *TWO_EDGES])
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bc")
        view = await engine.cancel_run(new_id(), view.run_id)
        assert view.status == "cancelled"
        shown = {row.node: row.status for row in await rows(bench, view.run_id)}
        assert shown == {"a": "completed", "b": "cancelled", "c": "cancelled"}
        let(bench)
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
    assert [began(bench).count(node) for node in "abcde"] == [1, 2, 2, 1, 1]


async def test_a_retry_runs_only_the_failed_node_and_those_behind_it_and_names_it_where_it_acts_outside(
    bench: Workbench,
) -> None:
    failing = {"class": "Fails", "effects": "write"}
    write(bench, {"a": "Quick", "f": failing, "b": "Held", "d": "Quick"}, [("a", "f"), ("a", "b"), ("f", "d")])  # type: ignore[dict-item]
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bf")
        let(bench, "f")
        await bench.until(view.run_id, lambda view: flying(view) == ["b"])
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, await done(bench, view.run_id)) == ("failed", ["a", "b"])
        (bench.root / "mended").touch()
        with pytest.raises(EffectsNotAcknowledged):
            await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id))
        await engine.retry_run(Retry(command_id=new_id(), run_id=view.run_id, acknowledge_effects=True))
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
    assert [began(bench).count(node) for node in "afbd"] == [1, 2, 1, 1]


async def test_every_node_that_comes_after_an_edit_sees_it_over_its_ancestors_changes(bench: Workbench) -> None:
    source = """
    class Sees(Node):
        def cleanup(self, shared, prepared, result):
            shared[self.id] = [shared.get("edit"), shared.get("a")]
    """
    names = [{"id": node, "class": "Sees"} for node in "abcd"]
    bench.write("w", source, mode="dag", strategy="sequential", nodes=names, edges=[("a", "b"), ("b", "d"), ("c", "d")])
    async with bench.running() as engine:
        view = await bench.run("w")
        assert await done(bench, view.run_id) == list("abcd")
        edits = [StateEdit(path=["edit"], value=7), StateEdit(path=["a"], value="mine")]
        fork = await engine.fork_run(Fork(command_id=new_id(), run_id=view.run_id, step=2, edits=edits, paused=True))
    async with bench.running() as engine:
        await engine.continue_run(new_id(), fork.run_id)
        fork = await bench.rest(fork.run_id)
        # c does not come after a: it sees what the person put there, and nothing of what a did.
        expected = {"edit": 7, "a": "mine", "b": [None, [None, None]], "c": [7, "mine"], "d": [7, "mine"]}
        assert await bench.state(fork.run_id) == expected
        await engine.rewind_run(Rewind(command_id=new_id(), run_id=fork.run_id, step=3))
        assert await bench.state((await bench.rest(fork.run_id)).run_id) == expected
        assert (await bench.state(view.run_id))["d"] == [None, [None, None]]


async def test_until_a_node_lets_those_beside_it_end_and_pauses(bench: Workbench) -> None:
    write(bench, TWO, TWO_EDGES)
    async with bench.running() as engine:
        view = await bench.start("w", until_node="b")
        await in_flight(bench, view.run_id, "bc")
        let(bench, "b")
        await bench.until(view.run_id, lambda view: view.step == 1)
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step, sorted(began(bench))) == ("paused", 2, ["b", "c"])
        await engine.continue_run(new_id(), view.run_id)
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_one_node_alone_sees_what_it_saw_in_the_run_and_nothing_of_its_neighbours(bench: Workbench) -> None:
    write(bench, {"a": "Quick", "n": "Quick", "b": "Quick", "f": "Fails", "z": "Quick"}, [("a", "b"), ("f", "z")])
    let(bench)
    async with bench.running() as engine:
        view = await bench.run("w", {"given": 1})
        assert view.status == "failed"

        async def alone(node: str, **inputs: Any) -> Any:
            wanted = RunNode(command_id=new_id(), workflow="w", node=node, run_id=view.run_id, inputs=inputs)
            ran = await bench.rest((await engine.run_node(wanted)).run_id)
            assert ran.status == "completed", ran.error
            return await bench.state(ran.run_id)

        assert await alone("b", given=2) == {"given": 2, "a": ["given"], "b": ["a", "given"]}
        (bench.root / "mended").touch()
        assert await alone("f") == {"given": 1, "f": ["given"]}
        with pytest.raises(UnknownNode):
            await alone("z")


async def test_a_kill_for_one_nodes_limit_is_no_attempt_of_those_beside_it(bench: Workbench) -> None:
    blocks: Any = {"class": "Blocks", "timeout": 0.2, "retry": {"attempts": 2}}
    write(bench, {"t": blocks, "b": "Held"}, [])
    async with bench.running():
        let(bench, "t")
        view = await bench.start("w")
        await bench.until(view.run_id, lambda view: view.status == "running" and "b" in flying(view))
        async with asyncio.timeout(LIMIT_SECONDS):
            while ("t", "failed") not in [(row.node, row.status) for row in await rows(bench, view.run_id)]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        let(bench)
        view = await bench.rest(view.run_id)
        assert view.status == "completed", view.error
        attempts = {row.node: row.attempt for row in await rows(bench, view.run_id) if row.step}
        assert attempts == {"t": 2, "b": 1} and len(set(keys(bench, "b"))) == 1


@pytest.mark.parametrize(
    ("choice", "status", "then"), [("skip", "completed", True), ("retry", "completed", True), ("fail", "failed", False)]
)
async def test_a_failed_node_asks_beside_others_and_its_answer_leads_on(
    bench: Workbench, choice: str, status: str, then: bool
) -> None:
    asks: Any = {"class": "Fails", "on_error": "ask"}
    skips: Any = {"class": "Fails", "on_error": "skip"}
    write(bench, {"f": asks, "s": skips, "b": "Held", "d": "Quick"}, [("f", "d"), ("s", "d"), ("b", "d")])
    async with bench.running():
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "fsb")
        let(bench, "f", "s")
        view = await bench.until(view.run_id, lambda view: bool(view.open_requests) and view.step == 1)
        assert view.status == "running"
        let(bench)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("waiting_input", 2)
    (bench.root / "mended").touch()
    async with bench.running():
        await bench.answer(view.run_id, "on_error", choice)
        view = await bench.until(view.run_id, lambda view: view.status in ("completed", "failed"))
        assert view.status == status and ("d" in began(bench)) == then
        assert began(bench).count("f") == (2 if choice == "retry" else 1)


async def test_two_nodes_wait_for_a_time_at_once(bench: Workbench) -> None:
    write(bench, {"a": "Waits", "b": "Waits", "d": "Quick"}, [("a", "d"), ("b", "d")])
    async with bench.running():
        view = await bench.start("w")
        await bench.until(view.run_id, lambda view: view.status == "waiting_timer")
        view = await bench.until(view.run_id, lambda view: view.status == "completed")
        assert view.step == 3 and sorted(began(bench)) == ["a", "b", "d"]


async def test_answers_given_at_the_start_serve_nodes_that_ask_at_once(bench: Workbench) -> None:
    write(bench, {"a": "Asks", "b": "Asks", "d": "Quick"}, [("a", "d"), ("b", "d")])
    let(bench)
    async with bench.running():
        view = await bench.run("w", answers=[("a", "one"), ("b", "two")])
        assert (view.status, view.step, view.open_requests) == ("completed", 3, [])


async def test_an_engine_that_stops_lets_all_in_flight_end_and_the_next_goes_on(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.runs.CLOSE_GRACE_SECONDS", LIMIT_SECONDS)
    write(bench, TWO, TWO_EDGES)
    async with bench.running() as engine:
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bc")
        closing = asyncio.ensure_future(engine._runs.close())
        while not engine._runs.draining:  # noqa: ASYNC110
            await asyncio.sleep(0)
        let(bench, "b")
        async with asyncio.timeout(LIMIT_SECONDS):
            while (await engine.get_run(view.run_id)).step != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        let(bench)
        await closing
        assert sorted(began(bench)) == ["b", "c"] and (await engine.get_run(view.run_id)).step == 2
    async with bench.running():
        view = await bench.rest(view.run_id)
        assert view.status == "completed" and sorted(began(bench)) == ["b", "c", "d", "e"]


@pytest.mark.parametrize("kind", ["Fails", "FailsAtTheEnd"])
async def test_a_node_that_failed_for_good_gets_no_further_attempt_from_the_next_engine(
    bench: Workbench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.runs.CLOSE_GRACE_SECONDS", 0.01)
    failing: Any = {"class": kind, "retry": {"attempts": 3 if kind == "FailsAtTheEnd" else 1}}
    write(bench, {"f": failing, "b": "Held", "x": "Quick"}, [], max_parallel=2)
    async with bench.running():
        view = await bench.start("w")
        await in_flight(bench, view.run_id, "bf")
        let(bench, "f")
        async with asyncio.timeout(LIMIT_SECONDS):
            while ("f", "failed") not in [(row.node, row.status) for row in await rows(bench, view.run_id)]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    async with bench.running():
        view = await bench.rest(view.run_id)
        assert view.status == "failed" and view.error is not None and view.error.node == "f"
        assert [(row.node, row.attempt) for row in await rows(bench, view.run_id)] == [("f", 1)]
        assert began(bench).count("f") == 1 and "x" not in began(bench)
