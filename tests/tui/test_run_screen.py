"""Screen 4: a run as it happens, its past, its end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import scenes
from engine_double import NOW, EngineDouble, Run
from looking import hides, line_with, press_twice, screen_text, settled, shows, until
from textual.pilot import Pilot

from core.errors import RunAtRest
from core.link.types import ErrorView
from tui.app import RondoApp
from tui.screens.confirm import ConfirmSheet
from tui.screens.run import RunScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def open_run(pilot: Pilot[Any], run: Run) -> RunScreen:
    """To the screen of a run, whose steps are read."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    app.go_run(run.id)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None)
    screen = app.screen
    assert isinstance(screen, RunScreen)
    await until(pilot, lambda: screen.state.step == run.step)
    await settled(pilot)
    return screen


async def test_a_run_shows_steps_state_log_and_question(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        text = screen_text(app)
        assert "mail_digest › run 7f3a09c1   ◐ waiting  step 6" in text
        assert "3 summarise   ✗ 1   8.0s" in text
        assert "✓ 2   6.1s" in text
        assert "7 approve     ◐      now" in text
        assert '+       title       "Monday, 37 mails"' in text
        assert "~       score       62 → 81" in text
        assert "changed by this step: 2 paths" in text
        assert "05:09:27 summarise   WARNING TimeoutError" in text
        assert "◐ approve asks" in text
        assert "( ) edit first" in text


async def test_steps_appear_as_they_happen(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["ask", "greet"])
    run = double.run("hello")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(pilot, run)
        double.begin(run, "ask")
        await until(pilot, lambda: "●" in line_with(app, "1 ask"))
        double.complete(run, "ask", {"name": "Ada"})
        double.begin(run, "greet")
        await until(pilot, lambda: "✓" in line_with(app, "1 ask") and "●" in line_with(app, "2 greet"))
        await shows(pilot, '"Ada"')
        double.complete(run, "greet", {"name": "Ada", "text": "Hello"})
        double.finish(run)
        await shows(pilot, "✓ completed  step 2")
        await shows(pilot, "state after 2")
        assert screen.steps.cursor == 1


async def test_a_node_that_waits_without_a_process_is_still_shown(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    run.in_flight = []
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await shows(pilot, "7 approve     ◐      now")


async def test_a_run_that_waits_for_a_time_or_a_process_says_how_long(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["ask", "greet"])
    later, queued = double.run("hello", status="waiting_timer"), double.run("hello", status="queued")
    later.due_at = double.now() + 2.5 * 3600
    queued.queue_position = 3
    async with app_on(double).run_test(size=(120, 30)) as pilot:
        await open_run(pilot, later)
        assert "◷ timer in 2 h  step 0" in screen_text(pilot.app)
        await open_run(pilot, queued)
        assert "○ queued place 3 in the queue  step 0" in screen_text(pilot.app)


async def test_going_back_shows_the_state_of_then(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("left_square_bracket")
        await shows(pilot, "state after 5")
        assert "newest is 6" in screen_text(app)
        await pilot.press("left_square_bracket", "left_square_bracket")
        await shows(pilot, "state after 3")
        await shows(pilot, "+   ▸ digest")
        for _ in range(5):
            await pilot.press("left_square_bracket")
        await shows(pilot, "where it began")
        await pilot.press("right_square_bracket")
        await shows(pilot, "state after 1 ")
        for _ in range(6):
            await pilot.press("right_square_bracket")
        await shows(pilot, "state after 6")
        assert screen.steps.following


async def test_new_steps_do_not_pull_one_out_of_the_past(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("left_square_bracket", "left_square_bracket")
        await shows(pilot, "state after 4")
        double.complete(run, "approve", {"decision": "post"})
        await shows(pilot, "newest is 7")
        await settled(pilot)
        assert screen.state.step == 4
        await pilot.press("G")
        await shows(pilot, "state after 7")


async def test_what_was_left_out_of_the_state_is_loaded_when_it_is_opened(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("deep", ["a"])
    run = double.run("deep")
    double.complete(run, "a", {"one": {"two": {"three": {"four": {"five": "found"}}}}})
    double.finish(run)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        assert "five" not in screen_text(app)
        screen.state.focus()
        for _ in range(12):
            await pilot.press("right")
            await settled(pilot)
        await shows(pilot, '"found"')
        await pilot.press("left", "left", "left")
        await hides(pilot, '"found"')


async def test_a_value_is_copied_whole_also_where_it_is_not_loaded(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("long", ["a"])
    run = double.run("long")
    text = "word " * 3000
    double.complete(run, "a", {"text": text})
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        screen.state.focus()
        await pilot.press("j", "y")
        await shows(pilot, "Copied 15 kB")
        assert app.clipboard == text


async def test_cancelling_is_asked_for_by_a_letter_of_its_own(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_run(pilot, run)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await pilot.press("enter", "x")
        assert run.status == "waiting_input"
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert run.status == "waiting_input"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await pilot.press("y")
        await shows(pilot, "⊘ cancelled")
        await hides(pilot, "approve asks")
        await pilot.press("x")
        await shows(pilot, "The run has ended: cancelled")


async def test_a_cancel_that_came_too_late_is_explained(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_run(pilot, run)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        double.problems["cancel_run"] = RunAtRest("The run has ended: completed.", next_step="Start another one.")
        await pilot.press("y")
        await shows(pilot, "cancelling: The run has ended: completed.")


@contextmanager
def _not_suspended() -> Iterator[None]:
    yield


async def test_a_failed_run_says_why_and_opens_the_line(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.mail(double)
    run = next(run for run in double.runs.values() if run.workflow == "mail_import")
    app = app_on(double)
    opened: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command: opened.append(command) or 0)
    monkeypatch.setattr(app, "suspend", _not_suspended)
    monkeypatch.setenv("EDITOR", "true")
    async with app.run_test(size=(110, 30)) as pilot:
        screen = await open_run(pilot, run)
        await shows(pilot, "✗ failed in parse")
        assert "ValueError: Invalid isoformat string: 'yesterday'" in screen_text(app)
        assert 'mail_import/nodes.py", line 41, in execute' in screen_text(app)
        await pilot.press("e")
        await until(pilot, lambda: opened)
        monkeypatch.setenv("EDITOR", "env vim")
        assert screen.code_place() == ("/home/me/flows/workflows/mail_import/nodes.py", 12)
        screen.error_pane.focus()
        await pilot.press("j", "j")
        assert screen.code_place() == ("/home/me/flows/workflows/mail_import/nodes.py", 41)
        await pilot.press("y")
        await shows(pilot, "Copied")
        assert app.clipboard.startswith("ValueError: Invalid isoformat")


async def test_e_opens_the_class_of_the_selected_step(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(110, 30)) as pilot:
        screen = await open_run(pilot, run)
        await until(pilot, lambda: screen.code_place()[0])
        await pilot.press("left_square_bracket")
        assert screen.code_place() == ("/home/me/flows/workflows/mail_digest/nodes.py", 38)


async def test_markup_in_node_output_is_only_text(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("evil", ["a"])
    run = double.run("evil")
    double.complete(run, "a", {"[red]key[/red]": "[link=x]\x1b[2J[/link]"})
    double.log(run, "[bold]not bold[/bold] \x1b]0;title\x07", node="a")
    error = ErrorView(type="E", message="[/] broken [markup", traceback="[x]\x1b[31m")
    double.finish(run, "failed", error=error)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        text = screen_text(app)
        assert "[bold]not bold[/bold] ␛]0;title␇" in text
        assert "[red]key[/red]" in text
        assert "E: [/] broken [markup" in text
        assert "\x1b" not in text


async def test_a_paused_run_steps_and_goes_on(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("steps", ["a", "b"])
    run = double.run("steps", status="paused")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_run(pilot, run)
        await shows(pilot, "‖ paused")
        await pilot.press("s")
        await until(pilot, lambda: "step_run" in double.calls)
        await pilot.press("p")
        await shows(pilot, "● running")
        await pilot.press("s")
        await shows(pilot, "The run is not paused")


async def test_r_runs_again_with_the_same_inputs(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["a"])
    run = double.run("hello", status="completed")
    run.inputs = {"name": "Ada"}
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("r")
        await until(pilot, lambda: app.screen is not screen and isinstance(app.screen, RunScreen))
        assert [run.inputs for run in double.runs.values()] == [{"name": "Ada"}, {"name": "Ada"}]


async def test_panes_zoom_and_come_back(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(110, 36)) as pilot:
        screen = await open_run(pilot, run)
        for pane in (screen.steps, screen.state, screen.log_view):
            pane.focus()
            await pilot.press("plus")
            await settled(pilot)
            assert [other for other in screen.panes() if other.display] == [pane]
            assert pane.size.height > 28
            assert pane.size.width == 110
            await pilot.press("escape")
            await settled(pilot)
            assert len(screen.panes()) == 3


async def test_a_long_history_is_held_in_part_only(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("loop", ["a"])
    run = double.run("loop")
    for step in range(1, 3001):
        double.complete(run, "a", {"n": step}, visit=step, at=NOW)
    double.finish(run)
    app = app_on(double)
    async with app.run_test(size=(110, 36)) as pilot:
        screen = await open_run(pilot, run)
        assert screen.state.step == 3000
        assert len(screen.steps.steps.rows) <= 400
        await press_twice(pilot, "g")
        await shows(pilot, "state after 1 ")
        assert "   1 a " in screen_text(app)
        for _ in range(60):
            await pilot.press("pagedown")
        await settled(pilot)
        assert len(screen.steps.steps.rows) <= 2000
        rows = [row.step for row in screen.steps.steps.rows]
        assert rows == list(range(rows[0] or 0, (rows[-1] or 0) + 1))
        assert screen.steps.selected_step > 800
        await pilot.press("G")
        await shows(pilot, "state after 3000")


async def test_a_burst_of_steps_is_read_in_few_calls(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("loop", ["a"])
    run = double.run("loop")
    app = app_on(double)
    async with app.run_test(size=(110, 36)) as pilot:
        await open_run(pilot, run)
        calls = len(double.calls)
        for step in range(1, 2001):
            double.complete(run, "a", {"n": step}, visit=step)
        await shows(pilot, "state after 2000")
        await settled(pilot)
        assert len(double.calls) - calls < 60


async def test_an_engine_that_dies_is_shown_and_the_run_goes_on_after_it(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(110, 36)) as pilot:
        await open_run(pilot, run)
        double.lose()
        await shows(pilot, "lost, reconnecting")
        run.requests[0].status = "answered"
        double.complete(run, "approve", {"decision": "post"})
        double.log(run, "posted", node="post")
        double.finish(run)
        double.return_again()
        await shows(pilot, "✓ completed  step 7")
        await shows(pilot, "posted")
        await hides(pilot, "approve asks")
