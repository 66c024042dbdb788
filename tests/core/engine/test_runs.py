"""What a person sees of runs: they end as they should, ask, wait, survive, and say why they failed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from workbench import Workbench

from core.errors import (
    AlreadyAnswered,
    DefinitionError,
    InvalidAnswer,
    NotApproved,
    RunAtRest,
    UnknownRequest,
    UnknownRun,
    UnknownStep,
    UnknownWorkflow,
)
from core.link.types import FINAL, Answer, StartRun

ASKING = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        print("asking")
        shared["asked"] = shared.get("asked", 0) + 1
        answer = await request_input("Which?", ["a", "b", "stop"], "select", "pick")
        shared["answers"] = shared.get("answers", []) + [answer]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def test_a_run_completes_and_its_steps_state_and_log_can_be_read(bench: Workbench) -> None:
    bench.write(
        "two",
        """
        import logging, sys

        class First(Node):
            def prepare(self, shared, request_input):
                shared["n"] = 1
                print("from stdout")
                print("from stderr", file=sys.stderr)
                logging.getLogger("mine").warning("from logging")

        class Second(Node):
            def execute(self, prepared):
                return 41

            def cleanup(self, shared, prepared, result):
                shared["n"] += result
        """,
        edges=[("first", "second", "shared['n'] == 1")],
        initial_state={"given": True},
    )
    async with bench.running() as engine:
        view = await bench.run("two", {"more": [1, 2]})
        assert view.status == "completed"
        assert view.step == 2
        assert await bench.state(view.run_id) == {"given": True, "more": [1, 2], "n": 42}
        assert await bench.state(view.run_id, 0) == {"given": True, "more": [1, 2]}
        assert await bench.state(view.run_id, 1) == {"given": True, "more": [1, 2], "n": 1}
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.step, step.node, step.status) for step in steps] == [
            (1, "first", "completed"),
            (2, "second", "completed"),
        ]
        assert steps[0].next_node == "second"
        assert steps[0].condition == "shared['n'] == 1"
        changes = await engine.read_changes(view.run_id, 2)
        assert [(change.op, change.path, change.before, change.after) for change in changes] == [
            ("set", ["n"], "1", "42")
        ]
        lines = await bench.log(view.run_id)
        assert {"from stdout", "from stderr"} <= set(lines)
        assert any(line.endswith("from logging") for line in lines)
        assert any("first → second" in line and "shared['n'] == 1" in line for line in lines)
        assert await bench.log(view.run_id, node="second") == []
        assert await bench.log(view.run_id, search="STDERR") == ["from stderr"]
        with pytest.raises(UnknownStep):
            await bench.state(view.run_id, 3)


async def test_an_answer_within_the_same_process_goes_on_where_the_code_stands(bench: Workbench) -> None:
    bench.write("ask", ASKING)
    async with bench.running():
        view = await bench.run("ask")
        assert view.status == "waiting_input"
        assert view.awaiting_input is not None
        assert (view.awaiting_input.request_id, view.awaiting_input.options) == ("pick", ["a", "b", "stop"])
        await bench.answer(view.run_id, "pick", "b")
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"asked": 1, "answers": ["b"]}
        assert (await bench.log(view.run_id)).count("asking") == 1


async def test_an_answer_after_the_engine_went_starts_the_visit_again_with_the_answer(bench: Workbench) -> None:
    bench.write("ask", ASKING)
    async with bench.running():
        view = await bench.run("ask")
    async with bench.running():
        assert (await bench.engine.get_run(view.run_id)).status == "waiting_input"
        await bench.answer(view.short_id, "pick", "a")
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"asked": 1, "answers": ["a"]}
        assert (await bench.log(view.run_id)).count("asking") == 2


async def test_a_loop_that_asks_again_asks_again(bench: Workbench) -> None:
    bench.write("ask", ASKING, edges=[("ask", "ask", "shared['answers'][-1] != 'stop'")])
    async with bench.running():
        view = await bench.run("ask")
        for choice in ("a", "b"):
            await bench.answer(view.run_id, "pick", choice)
            view = await bench.rest(view.run_id)
            assert view.status == "waiting_input"
        await bench.answer(view.run_id, "pick", "stop")
        view = await bench.rest(view.run_id)
        assert (await bench.state(view.run_id))["answers"] == ["a", "b", "stop"]


async def test_answers_given_at_the_start_serve_one_visit_each_and_then_the_run_asks(bench: Workbench) -> None:
    bench.write("ask", ASKING, edges=[("ask", "ask", "shared['answers'][-1] != 'stop'")])
    async with bench.running():
        view = await bench.run("ask", answers=[("pick", "a"), ("pick", "b")])
        assert view.status == "waiting_input"
        assert view.awaiting_input is not None
        assert view.awaiting_input.visit == 3
        view = await bench.run("ask", answers=[("pick", "nonsense"), ("pick", "stop")])
        assert view.status == "waiting_input"
        assert view.awaiting_input is not None
        assert "nonsense" in view.awaiting_input.problem or view.awaiting_input.problem
        await bench.answer(view.run_id, "pick", "a")
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_wrong_answers_change_nothing_and_the_first_right_one_stands(bench: Workbench) -> None:
    bench.write("ask", ASKING, edges=[("ask", "ask", "shared['answers'][-1] != 'stop'")])
    async with bench.running() as engine:
        view = await bench.run("ask")
        with pytest.raises(InvalidAnswer):
            await bench.answer(view.run_id, "pick", "z")
        with pytest.raises(UnknownRequest, match="nothing_like_it"):
            await bench.answer(view.run_id, "nothing_like_it", "a")
        assert (await engine.get_run(view.run_id)).status == "waiting_input"
        results = await asyncio.gather(
            *(bench.answer(view.run_id, "ask:1:pick:0", choice) for choice in ("a", "b")), return_exceptions=True
        )
        assert sum(isinstance(result, AlreadyAnswered) for result in results) == 1
        view = await bench.until(view.run_id, lambda view: view.step == 1 and view.status == "waiting_input")
        with pytest.raises(AlreadyAnswered):
            await bench.answer(view.run_id, "ask:1:pick:0", "b")


async def test_the_same_command_id_acts_once(bench: Workbench) -> None:
    bench.write("ask", ASKING)
    async with bench.running() as engine:
        start = StartRun(command_id="once", workflow="ask")
        first, second = await engine.start_run(start), await engine.start_run(start)
        assert first.run_id == second.run_id
        await bench.rest(first.run_id)
        answer = Answer(command_id="answer-once", run_id=first.run_id, request="pick", value="a")
        await engine.answer(answer)
        await engine.answer(answer)
        assert (await bench.rest(first.run_id)).status == "completed"


async def test_a_question_that_changed_is_asked_anew_and_the_old_answer_is_kept_as_stale(bench: Workbench) -> None:
    """Two questions in one visit: the first is answered, then the engine goes, and the code asks another thing."""
    bench.write(
        "ask",
        """
        import os

        class Ask(Node):
            async def prepare(self, shared, request_input):
                prompt = "version " + open(os.path.join(os.path.dirname(__file__), "prompt.txt")).read()
                shared["first"] = await request_input(prompt, None, "text", "first")
                shared["second"] = await request_input("and?", None, "text", "second")
        """,
    )
    prompt = bench.workspace.workflows_dir / "ask" / "prompt.txt"
    prompt.write_text("one")
    async with bench.running():
        view = await bench.run("ask")
        await bench.answer(view.run_id, "first", "old")
        view = await bench.until(
            view.run_id, lambda view: view.awaiting_input is not None and view.awaiting_input.request_id == "second"
        )
    prompt.write_text("two")
    async with bench.running():
        await bench.answer(view.run_id, "second", "x")
        view = await bench.rest(view.run_id)
        assert view.awaiting_input is not None
        assert (view.awaiting_input.request_id, view.awaiting_input.prompt) == ("first", "version two")
        await bench.answer(view.run_id, "first", "new")
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"first": "new", "second": "x"}


async def test_a_failing_node_fails_the_run_with_its_traceback_and_every_attempt(bench: Workbench) -> None:
    bench.write(
        "bad",
        """
        class Bad(Node):
            def prepare(self, shared, request_input):
                shared["half"] = "done"

            def execute(self, prepared):
                raise ValueError("no such thing")
        """,
        nodes=[{"id": "bad", "class": "Bad", "retry": {"attempts": 3}}],
    )
    async with bench.running() as engine:
        view = await bench.run("bad")
        assert view.status == "failed"
        assert view.error is not None
        assert (view.error.type, view.error.message, view.error.node) == ("ValueError", "no such thing", "bad")
        assert "no such thing" in view.error.traceback
        assert "nodes.py" in view.error.traceback
        assert view.error.cause
        assert view.error.next_step
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.attempt, step.status) for step in steps] == [(1, "failed"), (2, "failed"), (3, "failed")]
        assert await bench.state(view.run_id) == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os._exit(7)", "7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import sys; sys.exit(3)", "exit"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("import asyncio; asyncio.get_running_loop().call_soon(__import__('sys').exit, 4); 1 / 0", "ZeroDivision"),
        ("raise RecursionError('deep')", "deep"),
    ],
)
async def test_code_that_ends_its_process_fails_its_run_and_no_other(
    bench: Workbench, code: str, expected: str
) -> None:
    bench.write("bad", f"class Bad(Node):\n    def execute(self, prepared):\n        {code}\n")
    bench.write("ask", ASKING)
    async with bench.running():
        waiting = await bench.run("ask")
        view = await bench.run("bad")
        assert view.status == "failed"
        assert view.error is not None
        assert expected in view.error.message + view.error.type
        assert view.error.node == "bad"
        await bench.answer(waiting.run_id, "pick", "a")
        assert (await bench.rest(waiting.run_id)).status == "completed"


async def test_a_process_that_dies_is_tried_again_as_often_as_the_node_allows(bench: Workbench, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    bench.write(
        "bad",
        f"""
        import os

        class Bad(Node):
            def execute(self, prepared):
                with open({str(marks)!r}, "a") as stream:
                    stream.write("x")
                if os.path.getsize({str(marks)!r}) < 3:
                    os._exit(1)
        """,
        nodes=[{"id": "bad", "class": "Bad", "retry": {"attempts": 3}}],
    )
    async with bench.running() as engine:
        view = await bench.run("bad")
        assert view.status == "completed"
        assert marks.read_text() == "xxx"
        steps = (await engine.read_steps(view.run_id)).steps
        assert [(step.attempt, step.status) for step in steps] == [(1, "failed"), (2, "failed"), (3, "completed")]


async def test_a_node_that_loops_for_ever_can_be_cancelled_for_good(bench: Workbench) -> None:
    bench.write("loop", "class Loop(Node):\n    def execute(self, prepared):\n        while True: pass\n")
    async with bench.running() as engine:
        view = await bench.start("loop")
        view = await bench.until(view.run_id, lambda view: bool(view.in_flight))
        view = await engine.cancel_run("c1", view.run_id)
        assert view.status == "cancelled"
        (step,) = (await engine.read_steps(view.run_id)).steps
        assert (step.node, step.status) == ("loop", "cancelled")
        with pytest.raises(RunAtRest):
            await engine.cancel_run("c2", view.run_id)
        assert not engine.busy


async def test_a_waiting_and_a_queued_run_can_be_cancelled(bench: Workbench) -> None:
    bench.write("ask", ASKING)
    async with bench.running() as engine:
        view = await bench.run("ask")
        assert (await engine.cancel_run("c1", view.run_id)).status == "cancelled"
        assert await engine.list_requests() == []
        with pytest.raises(RunAtRest):
            await bench.answer(view.run_id, "pick", "a")


async def test_a_stepped_run_pauses_after_each_step(bench: Workbench) -> None:
    bench.write(
        "three",
        "\n".join(
            f"class {name}(Node):\n    def prepare(self, shared, r):\n        shared['at'] = '{name}'\n"
            for name in "ABC"
        ),
        edges=[("a", "b"), ("b", "c")],
    )
    async with bench.running() as engine:
        view = await bench.run("three", until="step")
        assert (view.status, view.step, view.next_node) == ("paused", 1, "b")
    async with bench.running() as engine:
        await engine.step_run("s2", view.run_id, [])
        view = await bench.until(view.run_id, lambda view: view.step == 2 and view.status == "paused")
        await engine.continue_run("s3", view.run_id)
        view = await bench.rest(view.run_id)
        assert (view.status, view.step) == ("completed", 3)


async def test_a_state_value_that_is_not_json_fails_naming_node_path_and_type(bench: Workbench) -> None:
    bench.write("bad", "class Bad(Node):\n    def prepare(self, shared, r):\n        shared['a'] = [{'b': {1, 2}}]\n")
    async with bench.running():
        view = await bench.run("bad")
        assert view.status == "failed"
        assert view.error is not None
        assert view.error.type == "StateValueError"
        assert "bad" in view.error.message
        assert "shared['a'][0]['b']" in view.error.message
        assert "set" in view.error.message


async def test_a_hundred_megabytes_of_output_are_counted_and_not_kept(bench: Workbench) -> None:
    bench.write(
        "loud",
        """
        class Loud(Node):
            def execute(self, prepared):
                for _ in range(1000):
                    print("x" * 99_999)
        """,
    )
    async with bench.running() as engine:
        view = await bench.run("loud")
        assert view.status == "completed"
        view = await bench.until(view.run_id, lambda view: view.logs_dropped > 0)
        assert bench.database_bytes() < 40 * 2**20
        assert await engine.list_workflows()


async def test_a_large_value_is_stored_once_and_read_in_parts(bench: Workbench) -> None:
    bench.write(
        "large",
        """
        class Large(Node):
            def prepare(self, shared, r):
                shared["text"] = "ab" * 300_000
                shared["rows"] = [{"n": n} for n in range(3000)]

        class Again(Node):
            def prepare(self, shared, r):
                shared["copy"] = shared["text"]
        """,
        edges=[("large", "again")],
    )
    async with bench.running() as engine:
        view = await bench.run("large")
        state = await bench.state(view.run_id)
        assert len(state["copy"]) == 600_000
        assert len(state["rows"]) == 3000
        part = await engine.read_state(view.run_id)
        assert {tuple(left.path): left.count for left in part.elided if left.kind == "text"} == {
            ("text",): 600_000,
            ("copy",): 600_000,
        }
        assert bench.database_bytes() < 3_000_000


async def test_what_does_not_exist_is_named_with_a_next_step(bench: Workbench) -> None:
    bench.write("hello", ASKING)
    async with bench.running() as engine:
        with pytest.raises(UnknownWorkflow) as caught:
            await bench.start("helo")
        assert "hello" in caught.value.next_step
        with pytest.raises(UnknownWorkflow):
            await bench.start("../hello")
        with pytest.raises(UnknownRun):
            await engine.get_run("deadbeef")


async def test_a_broken_workflow_is_refused_and_the_last_good_version_still_runs(bench: Workbench) -> None:
    folder = bench.write("work", "class Work(Node):\n    def prepare(self, shared, r):\n        shared['v'] = 1\n")
    async with bench.running() as engine:
        good = (await bench.run("work")).version
        (folder / "nodes.py").write_text("def broken(:\n")
        with pytest.raises(DefinitionError) as caught:
            await bench.start("work")
        assert "nodes.py:1" in caught.value.message
        assert good[:12] in caught.value.next_step
        view = await bench.run("work", version=good[:12])
        assert (view.status, view.version) == ("completed", good)
        (row,) = await engine.list_workflows()
        assert row.last_good == good


async def test_a_run_keeps_the_version_it_was_started_with(bench: Workbench) -> None:
    text = ASKING + "\nclass Then(Node):\n    def prepare(self, shared, r):\n        shared['code'] = 'old'\n"
    folder = bench.write("work", text, edges=[("ask", "then")])
    async with bench.running():
        view = await bench.run("work")
        (folder / "nodes.py").write_text((folder / "nodes.py").read_text().replace("'old'", "'new'"))
        await bench.answer(view.run_id, "pick", "a")
        assert (await bench.state((await bench.rest(view.run_id)).run_id))["code"] == "old"
        view = await bench.run("work", answers=[("pick", "a")])
        assert (await bench.state(view.run_id))["code"] == "new"


async def test_nothing_runs_before_it_is_approved_and_an_edit_needs_approval_again(
    bench: Workbench, tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    folder = bench.write("work", f"open({str(mark)!r}, 'w').close()\nclass Work(Node): pass\n")
    async with bench.running(consent=False) as engine:
        (row,) = await engine.list_workflows()
        assert not row.approved
        await engine.get_workflow("work")
        with pytest.raises(NotApproved) as caught:
            await bench.start("work")
        assert not mark.exists()
        assert {change["path"] for change in caught.value.details} == {"nodes.py", "work.json"}
        approval = await engine.approval("work")
        assert (approval.reason, approval.previous) == ("never", None)
        await engine.approve("work", approval.version)
        assert (await bench.run("work")).status == "completed"
        assert mark.exists()
        (folder / "nodes.py").write_text("from core.sdk import Node\nclass Work(Node):\n    added = 1\n")
        with pytest.raises(NotApproved) as caught:
            await bench.start("work")
        (change,) = caught.value.details
        assert "+    added = 1" in change["diff"]
        assert (await engine.approval("work")).reason == "changed"
        await engine.trust_workspace()
        assert (await bench.run("work")).status == "completed"


async def test_an_engine_that_goes_while_runs_are_on_leaves_them_to_the_next(bench: Workbench) -> None:
    bench.write(
        "long",
        """
        import time

        class Long(Node):
            def prepare(self, shared, r):
                shared["n"] += 1
                time.sleep(0.01)
        """,
        edges=[("long", "long", "shared['n'] < 100")],
        initial_state={"n": 0},
    )
    async with bench.running():
        view = await bench.start("long")
        view = await bench.until(view.run_id, lambda view: view.step >= 3)
    async with bench.running() as engine:
        view = await bench.until(view.run_id, lambda view: view.status in FINAL)
        assert (view.status, view.step) == ("completed", 100)
        assert await bench.state(view.run_id) == {"n": 100}
        steps = (await engine.read_steps(view.run_id)).steps
        assert [step.step for step in steps] == list(range(1, 101))


async def test_run_processes_end_with_their_runs(bench: Workbench) -> None:
    bench.write(
        "pid", "import os\nclass Pid(Node):\n    def prepare(self, shared, r):\n        shared['pid'] = os.getpid()\n"
    )
    async with bench.running() as engine:
        view = await bench.run("pid")
        pid = (await bench.state(view.run_id))["pid"]
        assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not engine.busy


async def test_more_runs_than_there_is_room_for_are_queued_and_all_end(bench: Workbench) -> None:
    bench.write("quick", "class Quick(Node):\n    def prepare(self, shared, r):\n        shared['done'] = True\n")
    async with bench.running():
        views = await asyncio.gather(*(bench.start("quick") for _ in range(40)))
        ended = [await bench.rest(view.run_id) for view in views]
        assert {view.status for view in ended} == {"completed"}
