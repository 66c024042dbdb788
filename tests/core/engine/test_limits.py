"""Limits on runs: who uses too much is ended and told so, with what was measured and which setting to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Workbench

from core.engine.usage import excess
from core.link.types import LogQuery, RunView
from core.places import Workspace
from core.runner.usage import Usage, tree_usage
from core.settings import read_settings


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def failed(bench: Workbench, code: str, settings: str, **graph: object) -> RunView:
    """Run a workflow of one node that goes over a limit; the engine must outlive it."""
    bench.settings(settings)
    bench.write("much", code, **graph)
    bench.write("little", "class Little(Node): pass")
    async with bench.running():
        view = await bench.run("much")
        assert (await bench.run("little")).status == "completed"
        assert view.status == "failed"
        assert view.error is not None
        return view


HOG = """
import time

class Much(Node):
    def execute(self, prepared):
        {before}
        held = bytearray(300_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(60)
"""


async def test_a_node_that_takes_too_much_memory_is_ended_with_its_measure(bench: Workbench) -> None:
    view = await failed(bench, HOG.format(before=""), "[limits]\nmemory_mb = 200\n")
    assert view.error is not None
    assert (view.error.type, view.error.node) == ("MemoryLimit", "much")
    assert view.error.message == "The run used more than 200 MB of memory."
    measured = int(view.error.cause.split("measured at ")[1].split(" MB")[0])
    assert 200 < measured < 500
    assert f"memory_mb under [limits] in {bench.root / 'rondo.toml'}" in view.error.next_step


async def test_memory_of_a_program_that_a_node_started_counts(bench: Workbench) -> None:
    code = """
    import subprocess, sys

    class Much(Node):
        def execute(self, prepared):
            subprocess.run([sys.executable, "-c", "held = b'x' * 300_000_000; import time; time.sleep(60)"])
    """
    view = await failed(bench, code, "[workflows.much]\nmemory_mb = 200\n")
    assert view.error is not None
    assert view.error.type == "MemoryLimit"
    assert "memory_mb under [workflows.much]" in view.error.next_step


async def test_a_node_that_takes_too_much_cpu_time_is_ended(bench: Workbench) -> None:
    code = """
    class Much(Node):
        def execute(self, prepared):
            while True:
                pass
    """
    view = await failed(bench, code, "[limits]\ncpu_seconds = 2\n")
    assert view.error is not None
    assert (view.error.type, view.error.message) == ("CpuLimit", "The run used more than 2 s of CPU time.")


async def test_over_a_limit_is_an_attempt_like_another_and_may_be_tried_again(bench: Workbench) -> None:
    code = (
        HOG.format(before="if self.attempts_left(): return")
        + """
    def attempts_left(self):
        import os
        if os.path.exists("tried"):
            return True
        open("tried", "w").close()
        return False
"""
    )
    bench.settings("[limits]\nmemory_mb = 200\n")
    bench.write("much", code, nodes=[{"id": "much", "class": "Much", "retry": {"attempts": 2}}])
    async with bench.running() as engine:
        view = await bench.run("much")
        assert view.status == "completed"
        first, second = (await engine.read_steps(view.run_id)).steps
        assert first.error is not None
        assert (first.error.type, second.attempt, second.status) == ("MemoryLimit", 2, "completed")


def test_memory_that_forked_workers_share_counts_once(tmp_path: Path) -> None:
    import multiprocessing
    import os

    context = multiprocessing.get_context("fork")
    held = bytearray(os.urandom(1024) * 100_000)
    ready, go = context.Barrier(5), context.Event()

    def work() -> None:
        assert sum(held[::4096]) > 0
        ready.wait()
        go.wait()

    workers = [context.Process(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    ready.wait()
    try:
        plain, close = tree_usage(os.getpid()).memory, tree_usage(os.getpid(), 200_000_000).memory
    finally:
        go.set()
        for worker in workers:
            worker.join()
    assert plain > 400_000_000
    assert close < plain / 2


def test_what_has_ended_counts_as_cpu_time_and_what_is_gone_as_nothing() -> None:
    import os
    import subprocess
    import sys

    before = tree_usage(os.getpid()).cpu_seconds
    subprocess.run([sys.executable, "-c", "for n in range(10_000_000): pass"], check=True)
    assert tree_usage(os.getpid()).cpu_seconds > before + 0.05
    assert tree_usage(2**22 + 1) == Usage()


def test_zero_is_no_limit_and_more_than_a_thousand_is_said_in_larger_units(tmp_path: Path) -> None:
    (tmp_path / "rondo.toml").write_text("[limits]\nmemory_mb = 2000\ncpu_seconds = 0\n")
    settings = read_settings(Workspace.at(tmp_path))
    assert excess(settings, "w", Usage(2_000_000_000, 1e9)) is None
    failure = excess(settings, "w", Usage(2_500_000_000, 1e9))
    assert failure is not None
    assert failure.message == "The run used more than 2 GB of memory."
    assert "2.5 GB" in failure.cause


async def test_the_output_cap_is_the_runs_and_not_that_of_one_process(bench: Workbench) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n[limits]\nlog_lines = 1000\n")
    bench.write(
        "chatty",
        """
        class Chatty(Node):
            async def prepare(self, shared, request_input):
                for n in range(5000):
                    print(n)
                await request_input("On?", None, "text", f"on{shared.setdefault('round', 0)}")

            def cleanup(self, shared, prepared, result):
                shared["round"] += 1

        class Last(Node):
            def execute(self, prepared):
                print("hello from the last")
        """,
        edges=[("chatty", "chatty", "shared['round'] < 3"), ("chatty", "last")],
    )
    async with bench.running():
        view = await bench.run("chatty")
        for number in range(3):
            view = await bench.until(view.run_id, lambda view: view.status == "waiting_input")
            await bench.answer(view.run_id, f"on{number}", "yes")
            view = await bench.until(
                view.run_id,
                lambda view, after=number + 1: view.step >= after and view.status in ("waiting_input", "completed"),
            )
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        lines = (await bench.engine.read_logs(LogQuery(run_id=view.run_id, limit=2_000))).lines
        printed = [line.text for line in lines if line.stream == "stdout"]
        assert len(printed) <= 1000
        assert printed[-1] == "hello from the last"
        assert len(printed) + view.logs_dropped >= 15_001
