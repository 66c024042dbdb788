"""What a run does about nodes that fail or take too long: real run processes, real kills."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.engine import time_limits
from core.engine.inline import InlinePool
from core.link.types import RunView, StepView
from core.runner.process_tree import start_ticks


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "ws")


async def steps_of(bench: Workbench, view: RunView) -> list[StepView]:
    return (await bench.engine.read_steps(view.run_id)).steps


async def rows(bench: Workbench, view: RunView) -> list[tuple[str, int, str]]:
    return [(step.node, step.attempt, step.status) for step in await steps_of(bench, view)]


def node(node_id: str, **settings: Any) -> dict[str, Any]:
    return {"id": node_id, "class": node_id.capitalize(), **settings}


BLOCKED = """
import asyncio, os, subprocess, sys, time

class Slow(Node):
    async def execute(self, prepared):
        {body}
"""


# Time limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "killed"),
    [
        ("await asyncio.sleep(3600)", False),
        ("time.sleep(1000)", True),
        ("while True: pass", True),
    ],
)
async def test_a_node_that_takes_too_long_fails_and_is_tried_again(
    bench: Workbench, body: str, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not killed:
        # However slow the machine is, what can be cancelled in place is.
        monkeypatch.setattr(time_limits, "GRACE_SECONDS", 60.0)
    slow = node("slow", timeout=0.3, retry={"attempts": 2})
    bench.write("w", BLOCKED.format(body=body), nodes=[slow])
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "failed"
        assert view.error is not None
        assert (view.error.type, view.error.node) == ("NodeTimeout", "slow")
        assert "0.3 s" in view.error.message
        assert "timeout" in view.error.next_step
        steps = await steps_of(bench, view)
        assert [(step.attempt, step.status) for step in steps] == [(1, "failed"), (2, "failed")]
        assert all(step.error is not None and "nodes.py" in step.error.traceback for step in steps)
        epochs = (await bench.engine._store.run(view.run_id)).epoch
        assert epochs == (2 if killed else 1)


async def test_code_that_goes_on_after_its_cancellation_is_ended_with_its_process(bench: Workbench) -> None:
    bench.write(
        "w",
        """
        import asyncio

        class Slow(Node):
            async def execute(self, prepared):
                while True:
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        print("not me")

        class After(Node):
            def cleanup(self, shared, prepared, result):
                shared["after"] = True
        """,
        nodes=[node("slow", timeout=0.2, on_error="skip"), node("after")],
        edges=[("slow", "after")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"after": True}
        assert await rows(bench, view) == [("slow", 1, "failed"), ("slow", 1, "skipped"), ("after", 1, "completed")]
        assert "not me" in await bench.log(view.run_id)


@pytest.mark.parametrize("swallows", [False, True])
async def test_in_library_mode_a_node_that_takes_too_long_is_given_up(bench: Workbench, swallows: bool) -> None:
    bench.write(
        "w",
        f"""
        import asyncio

        class Slow(Node):
            async def execute(self, prepared):
                for _ in range(2 if {swallows} else 1):
                    try:
                        await asyncio.sleep(30)
                    except asyncio.CancelledError:
                        if not {swallows}:
                            raise

            def cleanup(self, shared, prepared, result):
                shared["late"] = True
        """,
        nodes=[node("slow", timeout=0.2, on_error="skip")],
    )
    async with bench.running(pool=InlinePool()):
        view = await bench.run("w")
        assert view.status == "completed"
        failed, skipped = await steps_of(bench, view)
        assert failed.error is not None
        assert failed.error.type == "NodeTimeout"
        assert (skipped.status, await bench.state(view.run_id)) == ("skipped", {})


async def test_the_grandchildren_of_a_node_that_is_ended_for_its_time_limit_are_ended_too(
    bench: Workbench, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    daemon = (
        "import os, sys, time\n"
        "if os.fork(): sys.exit()\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\n"
        "time.sleep(1000)\n"
    )
    bench.write(
        "w",
        f"""
        import os, subprocess, sys, time

        class Begin(Node):
            def execute(self, prepared):
                subprocess.run([sys.executable, "-c", {daemon!r}])
                while not os.path.exists({str(pids)!r}) or not os.path.getsize({str(pids)!r}):
                    time.sleep(0.01)

        class Slow(Node):
            def execute(self, prepared):
                time.sleep(1000)
        """,
        nodes=[node("begin"), node("slow", timeout=0.3)],
        edges=[("begin", "slow")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.error is not None
        assert view.error.type == "NodeTimeout"
        [pid] = map(int, pids.read_text().split())
        assert start_ticks(pid) is None


async def test_waiting_for_an_answer_takes_nothing_of_the_time_limit(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(
        "w",
        """
        import asyncio

        class Ask(Node):
            async def prepare(self, shared, request_input):
                shared["said"] = await request_input("Say", request_id="say")
                await self.wait_for(2.5)
        """,
        # What the code itself needs is far less, also on a busy machine.
        nodes=[node("ask", timeout=2)],
    )
    monkeypatch.setattr(time_limits, "GRACE_SECONDS", 0.5)
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "waiting_input"
        # Longer than the limit and the grace together: both clocks must stand still.
        await asyncio.sleep(2.6)
        await bench.answer(view.run_id, "say", "hello")
        view = await bench.until(view.run_id, lambda view: view.status in ("completed", "failed"))
        assert (view.status, view.error) == ("completed", None)
        assert await rows(bench, view) == [("ask", 1, "completed")]


async def test_a_node_that_took_too_long_in_prepare_starts_again_from_there(bench: Workbench, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bench.write(
        "w",
        f"""
        import asyncio, os

        class Slow(Node):
            async def prepare(self, shared, request_input):
                shared["begun"] = True
                if not os.path.exists({str(mark)!r}):
                    open({str(mark)!r}, "w").close()
                    await asyncio.sleep(3600)
        """,
        nodes=[node("slow", timeout=0.3, retry={"attempts": 2})],
    )
    async with bench.running():
        view = await bench.run("w")
        assert await rows(bench, view) == [("slow", 1, "failed"), ("slow", 2, "completed")]


async def test_a_crash_report_names_its_node_and_is_an_error(bench: Workbench) -> None:
    bench.write(
        "w",
        "class Bad(Node):\n    def execute(self, prepared):\n        import faulthandler; faulthandler._sigsegv()\n",
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.error is not None
        assert view.error.type == "RunProcessDied"
        lines = await bench.log_lines(view.run_id)
        report = [line for line in lines if "Fatal Python error" in line.text or "nodes.py" in line.text]
        assert len(report) >= 2
        assert {(line.level, line.node) for line in report} == {("ERROR", "bad")}
        [step] = await steps_of(bench, view)
        assert step.error is not None
        assert "in execute" in step.error.traceback


# Retries -------------------------------------------------------------------------------------------------------------


async def test_the_tries_of_a_class_survive_the_death_of_its_process(bench: Workbench, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    bench.write(
        "w",
        f"""
        import os

        class Bad(Node):
            def __init__(self, id=None, config=None):
                super().__init__(id, config, max_retries=3)

            def execute(self, prepared):
                with open({str(marks)!r}, "a") as stream:
                    stream.write("x")
                if os.path.getsize({str(marks)!r}) < 3:
                    os._exit(1)
        """,
        nodes=[node("bad")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert await rows(bench, view) == [("bad", 1, "failed"), ("bad", 2, "failed"), ("bad", 3, "completed")]


async def test_a_fallback_has_its_place_after_the_death_of_the_last_try(bench: Workbench) -> None:
    bench.write(
        "w",
        """
        import os

        class Bad(Node):
            def prepare(self, shared, request_input):
                return "prepared"

            def execute(self, prepared):
                os._exit(1)

            def exec_fallback(self, prepared, error):
                return [prepared, type(error).__name__]

            def cleanup(self, shared, prepared, result):
                shared["result"] = result
        """,
        nodes=[node("bad", retry={"attempts": 2}, on_error="skip")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert await bench.state(view.run_id) == {"result": ["prepared", "RunProcessDied"]}
        steps = await steps_of(bench, view)
        assert [(step.attempt, step.status, step.fallback) for step in steps] == [
            (1, "failed", False),
            (2, "failed", False),
            (3, "completed", True),
        ]


# on_error ------------------------------------------------------------------------------------------------------------

FAILING = """
class Bad(Node):
    def prepare(self, shared, request_input):
        shared["lost"] = True
        return len(shared.get("tries", []))

    def execute(self, n):
        raise ValueError("no luck")

class Good(Node):
    def cleanup(self, shared, prepared, result):
        shared["good"] = True

class Repair(Node):
    def cleanup(self, shared, prepared, result):
        error = self.last_error
        shared["repaired"] = [error.node, error.type, error.message]
        self.goto("good")

class Last(Node):
    def cleanup(self, shared, prepared, result):
        shared["last_error"] = self.last_error
"""


async def test_a_skipped_node_changes_nothing_and_shows_why(bench: Workbench) -> None:
    bench.write("w", FAILING, nodes=[node("bad", on_error="skip"), node("good")], edges=[("bad", "good")])
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"good": True}
        failed, skipped, _ = await steps_of(bench, view)
        assert (failed.status, skipped.status, skipped.step, skipped.changed) == ("failed", "skipped", 1, 0)
        assert failed.error is not None
        assert "ValueError: no luck" in failed.error.traceback
        assert skipped.error is not None
        assert (skipped.error.type, skipped.error.message, skipped.error.node) == ("ValueError", "no luck", "bad")
        assert any("bad is skipped after ValueError: no luck" in text for text in await bench.log(view.run_id))


@pytest.mark.parametrize("death", [False, True])
async def test_a_failure_leads_to_the_node_that_is_named_for_it(bench: Workbench, death: bool) -> None:
    source = FAILING.replace('raise ValueError("no luck")', "__import__('os')._exit(5)") if death else FAILING
    bench.write(
        "w",
        source,
        nodes=[node("bad", on_error="goto:repair"), node("good"), node("repair"), node("last")],
        edges=[("bad", "good"), ("good", "last")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "completed"
        kind, message = (
            ("RunProcessDied", "The run process ended with exit code 5.") if death else ("ValueError", "no luck")
        )
        assert await bench.state(view.run_id) == {
            "repaired": ["bad", kind, message],
            "good": True,
            "last_error": None,
        }
        steps = await steps_of(bench, view)
        assert [(step.node, step.reason) for step in steps if step.step] == [
            ("bad", "on_error"),
            ("repair", "goto"),
            ("good", "default"),
            ("last", "end"),
        ]


async def test_the_node_after_a_failure_knows_it_also_in_another_process(bench: Workbench) -> None:
    bench.write("w", FAILING, nodes=[node("bad", on_error="goto:repair"), node("good"), node("repair")])
    async with bench.running():
        view = await bench.run("w", until="step")
        assert view.status == "paused"
    async with bench.running() as engine:
        await engine.continue_run("go on", view.run_id)
        view = await bench.rest(view.run_id)
        assert (await bench.state(view.run_id))["repaired"] == ["bad", "ValueError", "no luck"]


@pytest.mark.parametrize(
    ("answer", "status", "attempts"), [("skip", "completed", 2), ("fail", "failed", 2), ("retry", "waiting_input", 4)]
)
@pytest.mark.parametrize("engine_dies", [False, True])
async def test_a_person_decides_about_a_node_that_failed(
    bench: Workbench, answer: str, status: str, attempts: int, engine_dies: bool
) -> None:
    bench.write(
        "w",
        FAILING,
        nodes=[node("bad", on_error="ask", retry={"attempts": 2}), node("good")],
        edges=[("bad", "good")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "waiting_input"
        assert view.awaiting_input is not None
        assert (view.awaiting_input.kind, view.awaiting_input.request_id) == ("error", "on_error")
        assert view.awaiting_input.prompt == "bad failed: ValueError: no luck"
        first = view.awaiting_input.key
        if not engine_dies:
            await bench.answer(view.run_id, "on_error", answer)
            view = await bench.until(view.run_id, lambda view: over(view, first))
            await check(bench, view, status, attempts)
            return
    async with bench.running():
        assert (await bench.engine.get_run(view.run_id)).status == "waiting_input"
        await bench.answer(view.run_id, "on_error", answer)
        view = await bench.until(view.run_id, lambda view: over(view, first))
        await check(bench, view, status, attempts)


def over(view: RunView, first: str) -> bool:
    asked_again = (
        view.status == "waiting_input" and view.awaiting_input is not None and view.awaiting_input.key != first
    )
    return view.status in ("completed", "failed") or asked_again


async def check(bench: Workbench, view: RunView, status: str, attempts: int) -> None:
    assert view.status == status
    found = await rows(bench, view)
    assert [row for row in found if row[2] == "failed"] == [("bad", n, "failed") for n in range(1, attempts + 1)]
    if status == "completed":
        assert found[-2:] == [("bad", 2, "skipped"), ("good", 1, "completed")]
    if status == "failed":
        assert view.error is not None
        assert (view.error.type, view.error.message, view.error.node) == ("ValueError", "no luck", "bad")


# A question that code gives up --------------------------------------------------------------------------------------


async def test_a_question_that_code_gives_up_is_withdrawn_and_the_run_runs(bench: Workbench, tmp_path: Path) -> None:
    go, give_up = tmp_path / "go", tmp_path / "give up"
    bench.write(
        "w",
        f"""
        import asyncio, os

        class Ask(Node):
            async def prepare(self, shared, request_input):
                async def give_up(limit):
                    while not os.path.exists({str(give_up)!r}):
                        await asyncio.sleep(0.01)
                    limit.reschedule(0)

                try:
                    async with asyncio.timeout(None) as limit:
                        watching = asyncio.create_task(give_up(limit))
                        await request_input("Say", request_id="say")
                except TimeoutError:
                    shared["given_up"] = True
                while not os.path.exists({str(go)!r}):
                    await asyncio.sleep(0.01)
        """,
    )
    async with bench.running():
        view = await bench.start("w")
        view = await bench.until(view.run_id, lambda view: view.status == "waiting_input")
        give_up.touch()
        view = await bench.until(view.run_id, lambda view: view.status != "waiting_input")
        assert (view.status, view.open_requests) == ("running", [])
        [request] = await bench.engine._store.requests(line=view.line)
        assert request.status == "withdrawn"
        go.touch()
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_a_stepped_run_that_waits_runs_to_its_end_once_it_is_continued(bench: Workbench) -> None:
    bench.write(
        "w",
        """
        class Ask(Node):
            async def prepare(self, shared, request_input):
                await request_input("Say", request_id="say")

        class Last(Node):
            pass
        """,
        edges=[("ask", "last")],
    )
    async with bench.running() as engine:
        view = await bench.run("w", until="step")
        assert view.status == "waiting_input"
        assert (await engine.continue_run("go on", view.run_id)).status == "waiting_input"
        await bench.answer(view.run_id, "say", "x")
        assert (await bench.rest(view.run_id)).status == "completed"


# What ends programs elsewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["raise KeyboardInterrupt", "sys.exit(3)"])
@pytest.mark.parametrize("how", ["self.work()", "asyncio.gather(self.work())", "asyncio.create_task(self.work())"])
async def test_code_that_wants_to_end_the_program_fails_its_node(bench: Workbench, statement: str, how: str) -> None:
    bench.write(
        "w",
        f"""
        import asyncio, sys

        class Bad(Node):
            async def work(self):
                {statement}

            async def execute(self, prepared):
                await {how}
        """,
        nodes=[node("bad", on_error="skip")],
    )
    async with bench.running():
        view = await bench.run("w")
        assert view.status == "completed"
        failed, skipped = await steps_of(bench, view)
        assert failed.error is not None
        assert failed.error.type == "NodeExit"
        assert failed.error.next_step
        assert skipped.status == "skipped"
        assert (await bench.engine._store.run(view.run_id)).epoch == 1
