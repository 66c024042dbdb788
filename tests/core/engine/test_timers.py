"""Waits for a time: each ends once, never too early, whatever the clock and the engine do meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench import LIMIT_SECONDS, Workbench

from core.engine.inline import InlinePool
from core.engine.timers import LOOK_SECONDS, TimerKey, Timers
from core.errors import InvalidAnswer
from core.link.types import RunView

WAIT = """
class Wait(Node):
    async def {phase}(self, *arguments):
        print("begins")
        await self.{call}
        print("goes on")
        return 1

class After(Node):
    def prepare(self, shared, request_input):
        shared["after"] = True
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


class Clock:
    """The clock on the wall, which the test sets."""

    def __init__(self, at: float | None = None) -> None:
        self.at = time.time() if at is None else at

    def __call__(self) -> float:
        return self.at


def write_wait(bench: Workbench, call: str, phase: str = "prepare", name: str = "waits") -> None:
    bench.write(name, WAIT.format(phase=phase, call=call), edges=[("wait", "after")])


async def process_gone(bench: Workbench, run_id: str) -> None:
    """Wait until a waiting run has no process and no actor any more."""
    actor = bench.engine._runs.active(run_id)
    if actor is not None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await actor.closed.wait()


async def set_clock(bench: Workbench, clock: Clock, at: float) -> None:
    """Set the wall clock and have it looked at, as the engine does by itself every few seconds."""
    clock.at = at
    bench.engine._runs.timers._changed.set()
    await asyncio.sleep(0)


def is_waiting(view: RunView) -> bool:
    return view.status == "waiting_timer"


# The clock -------------------------------------------------------------------------------------------------------


@given(
    start=st.integers(0, 100),
    dues=st.lists(st.integers(0, 200), max_size=8),
    happenings=st.lists(
        st.one_of(st.integers(-150, 150), st.sampled_from(["restart", "look", "discard", "move"])), max_size=40
    ),
)
def test_any_clock_and_any_restarts_fire_each_timer_once_and_none_too_early(
    start: int, dues: list[int], happenings: list[int | str]
) -> None:
    async def nobody(key: TimerKey) -> None:
        raise AssertionError(key)

    async def play() -> None:
        clock = Clock(start)
        # What is in the database: every timer that is open there.
        stored: dict[TimerKey, float] = {("run", 1, f"n:1:wait:{number}"): due for number, due in enumerate(dues)}
        fired: list[TimerKey] = []

        def engine() -> Timers:
            timers = Timers(clock, nobody)
            for key, due in stored.items():
                timers.add(key, due)
            return timers

        timers = engine()
        for happening in [*happenings, 400, "look"]:
            if isinstance(happening, int):
                clock.at = max(0, clock.at + happening) if happening != 400 else 400
            elif happening == "restart":
                timers = engine()
            elif happening == "discard" and stored:
                key = min(stored)
                del stored[key]
                timers.discard(key)
            elif happening == "move" and stored:
                key = max(stored)
                stored[key] += 30
                timers.add(key, stored[key])
            if happening == "look":
                for key in timers.take_due():
                    assert stored.pop(key) <= clock.at
                    fired.append(key)
            assert timers.pending == bool(stored)
            left = min(stored.values(), default=clock.at + LOOK_SECONDS) - clock.at
            assert timers.seconds_to_next() <= LOOK_SECONDS
            assert timers.seconds_to_next() <= max(0, left)
        assert not stored
        assert len(fired) == len(set(fired))

    asyncio.run(play())


async def test_a_timer_that_could_not_be_handed_over_is_tried_again() -> None:
    clock, tries = Clock(100.0), []
    enough = asyncio.Event()

    async def fire(key: TimerKey) -> None:
        tries.append(clock.at)
        if len(tries) == 1:
            clock.at = 1_000.0
            raise OSError("no disk")
        enough.set()

    timers = Timers(clock, fire)
    timers.add(("run", 1, "n:1:wait:0"), 99.0)
    timers.start()
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (tries and timers._due):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert timers.pending
        clock.at = 2_000.0
        timers._changed.set()
        await enough.wait()
    await timers.close()
    assert tries == [100.0, 2_000.0]
    assert not timers.pending


# Runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["prepare", "execute"])
async def test_a_short_wait_goes_on_where_the_code_stands(bench: Workbench, phase: str) -> None:
    write_wait(bench, "wait_for(0.05)", phase)
    async with bench.running():
        view = await bench.run("waits")
        assert view.status == "completed"
        log = await bench.log(view.run_id)
        assert log.count("begins") == 1
        assert any(line.startswith("waits until ") for line in log)


async def test_a_long_wait_has_no_process_and_goes_on_when_the_wall_clock_says_so(bench: Workbench) -> None:
    write_wait(bench, "wait_for(3 * 86400)")
    clock = Clock()
    async with bench.running(clock=clock):
        view = await bench.start("waits")
        view = await bench.until(view.run_id, is_waiting)
        (request,) = view.open_requests
        assert (request.kind, request.key, view.awaiting_input) == ("timer", "wait:1:wait:0", None)
        assert view.due_at == request.due_at == pytest.approx(time.time() + 3 * 86400, abs=60)
        await process_gone(bench, view.run_id)
        assert bench.engine.busy
        assert await bench.engine.list_requests() == []
        assert (await bench.engine.engine_status()).open_requests == 0
        await set_clock(bench, clock, clock.at + 2 * 86400)
        assert (await bench.engine.get_run(view.run_id)).status == "waiting_timer"
        await set_clock(bench, clock, clock.at - 10 * 86400)
        await set_clock(bench, clock, view.due_at + 1)
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        assert (await bench.log(view.run_id)).count("begins") == 2
        assert not bench.engine.busy


async def test_a_wait_until_a_moment_outlives_the_engine_and_is_answered_late_but_once(bench: Workbench) -> None:
    write_wait(bench, "wait_until('2030-06-01T12:00:00+02:00')")
    due = 1_906_538_400.0
    async with bench.running(clock=Clock(due - 1_000)):
        view = await bench.start("waits")
        view = await bench.until(view.run_id, is_waiting)
        assert view.due_at == due
    async with bench.running(clock=Clock(due - 1)):
        view = await bench.engine.get_run(view.run_id)
        assert (view.status, view.due_at) == ("waiting_timer", due)
        assert bench.engine._runs.active(view.run_id) is None
    async with bench.running(clock=Clock(due + 5_000)):
        view = await bench.rest(view.run_id)
        assert view.status == "completed"
        request = await bench.engine.read_request(view.run_id, "wait:1:wait:0")
        assert (request.status, request.answer, request.answered_by) == ("answered", "due", "timer")
        assert request.answered_at == pytest.approx(due + 5_000)


async def test_a_person_ends_a_wait_with_now_and_with_nothing_else(bench: Workbench) -> None:
    write_wait(bench, "wait_for(3600)")
    async with bench.running():
        view = await bench.start("waits")
        view = await bench.until(view.run_id, is_waiting)
        with pytest.raises(InvalidAnswer, match="now"):
            await bench.answer(view.run_id, "wait", "soon")
        await bench.answer(view.run_id, "wait", "now")
        assert (await bench.rest(view.run_id)).status == "completed"
        assert not bench.engine._runs.timers.pending


async def test_a_cancelled_wait_holds_the_engine_no_longer(bench: Workbench) -> None:
    write_wait(bench, "wait_for(3600)")
    async with bench.running() as engine:
        view = await bench.start("waits")
        await bench.until(view.run_id, is_waiting)
        assert engine.busy
        assert (await engine.cancel_run("c", view.run_id)).status == "cancelled"
        assert not engine.busy


async def test_who_waits_for_a_time_gives_the_process_to_others(bench: Workbench) -> None:
    bench.settings("[engine]\nmax_runs = 1\nkeep_process_seconds = 3600")
    write_wait(bench, "wait_for(1800)")
    write_wait(bench, "wait_for(0)", name="quick")
    async with bench.running():
        long = await bench.start("waits")
        await bench.until(long.run_id, is_waiting)
        assert (await bench.run("quick")).status == "completed"
        assert (await bench.engine.get_run(long.run_id)).status == "waiting_timer"


async def test_a_question_beside_a_wait_needs_its_person(bench: Workbench) -> None:
    bench.write(
        "both",
        """
        import asyncio

        class Both(Node):
            async def prepare(self, shared, request_input):
                await asyncio.gather(self.wait_for(0.05), request_input("Which?", None, "text", "pick"))
        """,
    )
    async with bench.running():
        view = await bench.start("both")
        view = await bench.until(
            view.run_id, lambda view: view.status == "waiting_input" and len(view.open_requests) == 1
        )
        await bench.answer(view.run_id, "pick", "a")
        assert (await bench.rest(view.run_id)).status == "completed"


async def test_library_mode_waits_too(bench: Workbench) -> None:
    write_wait(bench, "wait_for(0.05)", "execute")
    async with bench.running(pool=InlinePool()):
        assert (await bench.run("waits")).status == "completed"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("wait_for(-1)", "a wait takes 0 seconds or more"),
        ("wait_for(float('nan'))", "a wait takes 0 seconds or more"),
        ("wait_for('5')", "seconds must be a number"),
        ("wait_until('tomorrow')", "a moment is written as"),
        ("wait_until(5)", "a moment is a datetime or a text"),
    ],
)
async def test_a_wait_that_makes_no_sense_fails_the_node(bench: Workbench, call: str, message: str) -> None:
    write_wait(bench, call)
    async with bench.running(pool=InlinePool()):
        view = await bench.run("waits")
        assert view.status == "failed"
        assert view.error is not None and message in view.error.message
