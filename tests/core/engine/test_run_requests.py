"""Questions of a run: several at once, given up, answered while the process comes or goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from workbench import LIMIT_SECONDS, Workbench

from core.errors import AlreadyAnswered, InvalidAnswer, RunAtRest, UnknownRequest
from core.link.types import Answer, RunView

ASK = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        print("asking")
        shared["answer"] = await request_input("Which?", ["a", "b"], "select", "pick")
"""

BOTH = """
import asyncio

class Both(Node):
    async def prepare(self, shared, request_input):
        shared["answers"] = await asyncio.gather(
            request_input("One?", None, "text", "one"), request_input("Two?", None, "text", "two")
        )
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def open_ids(view: RunView) -> list[str]:
    return [request.request_id for request in view.open_requests]


async def process_gone(bench: Workbench, run_id: str) -> None:
    """Wait until a waiting run has no process and no actor any more."""
    actor = bench.engine._runs.active(run_id)
    if actor is not None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await actor.closed.wait()


async def test_a_run_that_asks_two_things_at_once_waits_for_both(bench: Workbench) -> None:
    bench.write("both", BOTH)
    async with bench.running():
        view = await bench.start("both")
        view = await bench.until(view.run_id, lambda view: len(view.open_requests) == 2)
        view = await bench.answer(view.run_id, "two", "2")
        assert (view.status, open_ids(view)) == ("waiting_input", ["one"])
        await bench.answer(view.run_id, "one", "1")
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert (await bench.state(view.run_id))["answers"] == ["1", "2"]


async def test_two_answers_given_after_the_engine_went_are_both_taken(bench: Workbench) -> None:
    bench.write("both", BOTH)
    async with bench.running():
        view = await bench.start("both")
        view = await bench.until(view.run_id, lambda view: len(view.open_requests) == 2)
    async with bench.running() as engine:
        key = next(request.key for request in view.open_requests if request.request_id == "two")
        await bench.answer(view.run_id, "two", "2")
        settled = await engine.read_request(view.run_id, key)
        assert (settled.status, settled.answer, settled.answered_by) == ("answered", "2", "api")
        await bench.answer(view.run_id, "one", "1")
        view = await bench.until(view.run_id, lambda view: view.status == "completed")
        assert (await bench.state(view.run_id))["answers"] == ["1", "2"]


async def test_a_node_that_stops_waiting_goes_on_and_its_question_leaves_the_inbox(bench: Workbench) -> None:
    bench.write(
        "impatient",
        """
        import asyncio, os

        class Ask(Node):
            async def prepare(self, shared, request_input):
                question = asyncio.ensure_future(request_input("Which?", None, "text", "pick"))
                while not os.path.exists("go"):
                    await asyncio.sleep(0.01)
                question.cancel()
                shared["answer"] = None

        class Work(Node):
            def prepare(self, shared, request_input):
                while not os.path.exists("end"):
                    pass
        """,
        edges=[("ask", "work")],
    )
    async with bench.running() as engine:
        view = await bench.run("impatient")
        assert view.status == "waiting_input"
        (bench.root / "go").touch()
        view = await bench.until(view.run_id, lambda view: view.step == 1)
        assert view.status == "running"
        assert view.open_requests == []
        assert await engine.list_requests() == []
        assert (await engine.read_request(view.run_id, "ask:1:pick:0")).status == "withdrawn"
        with pytest.raises(UnknownRequest):
            await engine.read_request(view.run_id, "ask:1:other:0")
        with pytest.raises(UnknownRequest):
            await bench.answer(view.run_id, "pick", "late")
        (bench.root / "end").touch()
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_question_of_a_failed_attempt_does_not_hold_the_next_one_up(bench: Workbench) -> None:
    bench.write(
        "again",
        """
        import asyncio, os

        class Ask(Node):
            def prepare(self, shared, request_input):
                return request_input

            async def execute(self, request_input):
                if os.path.exists("go"):
                    while not os.path.exists("end"):
                        await asyncio.sleep(0.01)
                    return
                question = asyncio.ensure_future(request_input("Which?", None, "text", "pick"))
                while not os.path.exists("go"):
                    await asyncio.sleep(0.01)
                question.cancel()
                raise ValueError("no answer")
        """,
        nodes=[{"id": "ask", "class": "Ask", "retry": {"attempts": 2}}],
    )
    async with bench.running() as engine:
        view = await bench.run("again")
        assert view.status == "waiting_input"
        (bench.root / "go").touch()
        view = await bench.until(view.run_id, lambda view: [flight.attempt for flight in view.in_flight] == [2])
        assert view.status == "running"
        (bench.root / "end").touch()
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await engine.list_requests() == []


async def test_an_answer_reaches_a_run_whose_process_was_let_go(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0")
    bench.write("ask", ASK)
    async with bench.running():
        view = await bench.run("ask")
        await process_gone(bench, view.run_id)
        await bench.answer(view.run_id, "pick", "b")
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert (await bench.log(view.run_id)).count("asking") == 2


async def test_an_answer_that_comes_while_the_process_is_being_let_go_is_not_lost(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        view = await bench.run("ask")
        actor = engine._runs.active(view.run_id)
        assert actor is not None
        actor.process_life.make_room()
        view = await bench.answer(view.run_id, "pick", "b")
        assert view.status != "waiting_input"
        view = await bench.until(view.run_id, lambda view: view.status == "completed")
        assert (await bench.state(view.run_id))["answer"] == "b"


async def test_a_process_that_dies_while_it_waits_takes_nothing_with_it(bench: Workbench) -> None:
    bench.write(
        "dies",
        """
        import os, threading, time

        def die():
            while not os.path.exists("die"):
                time.sleep(0.01)
            os._exit(9)

        class Ask(Node):
            async def prepare(self, shared, request_input):
                if not os.path.exists("die"):
                    threading.Thread(target=die, daemon=True).start()
                shared["answer"] = await request_input("Which?", None, "text", "pick")
        """,
    )
    async with bench.running():
        view = await bench.run("dies")
        (bench.root / "die").touch()
        await process_gone(bench, view.run_id)
        assert (await bench.engine.get_run(view.run_id)).status == "waiting_input"
        await bench.answer(view.run_id, "pick", "x")
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_wrong_and_a_right_answer_at_once_to_a_sleeping_run_leave_it_going(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running():
        view = await bench.run("ask")
    async with bench.running():
        wrong, right = await asyncio.gather(
            bench.answer(view.run_id, "pick", "z"), bench.answer(view.run_id, "pick", "a"), return_exceptions=True
        )
        # Which of the two comes first is open.
        assert isinstance(wrong, InvalidAnswer | AlreadyAnswered | RunAtRest)
        assert isinstance(right, RunView)
        assert (await bench.until(view.run_id, lambda view: view.status == "completed")).step == 1


async def test_the_same_answer_sent_twice_at_once_acts_once_and_refuses_nobody(bench: Workbench) -> None:
    bench.write("ask", ASK)
    async with bench.running() as engine:
        view = await bench.run("ask")
        answer = Answer(command_id="same", run_id=view.run_id, request="pick", value="a")
        await asyncio.gather(engine.answer(answer), engine.answer(answer))
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_late_answer_hears_who_answered_when_and_what(bench: Workbench) -> None:
    bench.write("ask", ASK + "\nclass Hold(Ask):\n    pass\n", edges=[("ask", "hold")])
    async with bench.running():
        view = await bench.run("ask")
        await bench.answer(view.run_id, "ask:1:pick:0", "a")
        await bench.until(view.run_id, lambda view: view.step == 1 and view.status == "waiting_input")
        with pytest.raises(AlreadyAnswered) as caught:
            await bench.answer(view.run_id, "ask:1:pick:0", "b")
        assert caught.value.details["answer"] == "a"
        assert caught.value.details["answered_at"] > 0


async def test_the_same_question_twice_in_one_visit_is_answered_by_key(bench: Workbench) -> None:
    bench.write("both", BOTH.replace('"one"', '"same"').replace('"two"', '"same"'))
    async with bench.running():
        view = await bench.start("both")
        view = await bench.until(view.run_id, lambda view: len(view.open_requests) == 2)
        with pytest.raises(UnknownRequest, match="several") as caught:
            await bench.answer(view.run_id, "same", "?")
        assert "both:1:same:0" in caught.value.cause
        await bench.answer(view.run_id, "both:1:same:1", "second")
        view = await bench.answer(view.run_id, "same", "first")
        view = await bench.rest(view.run_id)
        assert (await bench.state(view.run_id))["answers"] == ["first", "second"]


async def test_answers_of_a_step_command_are_taken_once(bench: Workbench) -> None:
    bench.write("ask", ASK, edges=[("ask", "ask")])
    async with bench.running() as engine:
        view = await bench.run("ask", until="step")
        for _ in range(2):
            await engine.step_run("same", view.run_id, [("pick", "a")])
            view = await bench.until(view.run_id, lambda view: view.status == "paused")
            assert view.step == 1


@pytest.mark.parametrize("moment", ["queued", "starting", "waiting"])
async def test_a_run_can_be_cancelled_at_any_moment(
    bench: Workbench, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("ask", ASK)
    bench.write("slow", "import time\ntime.sleep(5)\nclass Slow(Node): pass\n")
    async with bench.running() as engine:
        if moment == "queued":
            monkeypatch.setattr(engine._runs.slots, "_limit", lambda: 0)
            view = await bench.start("ask")
        elif moment == "starting":
            view = await bench.start("slow")
        else:
            view = await bench.run("ask")
        assert (await engine.cancel_run("c", view.run_id)).status == "cancelled"
        assert (await engine.cancel_run("c", view.run_id)).status == "cancelled"
        with pytest.raises(RunAtRest):
            await engine.cancel_run("another", view.run_id)
        await process_gone(bench, view.run_id)
        assert not engine._runs.slots._holding
        assert not engine._runs.slots.crowded
        assert await engine.list_requests() == []
