"""Screen 4: who wrote a value, what the run left, where it stops, its log in a file, why an attempt failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import scenes
from engine_double import NOW, EngineDouble, Run
from inspect_double import BreakpointView
from looking import hides, line_with, screen_text, settled, shows, until
from test_run_screen import open_run

from core.errors import UsageError
from core.link.types import ErrorView
from tui.app import RondoApp
from tui.navigation import Place
from tui.screens.graph import GraphScreen
from tui.screens.run_save import SaveSheet
from tui.screens.run_why import WhySheet

AppOn = Callable[[EngineDouble], RondoApp]


def counted(double: EngineDouble, steps: int) -> Run:
    """A run whose every step writes one number."""
    double.workflow("count", ["a", "b"])
    run = double.run("count")
    for number in range(1, steps + 1):
        state = {"still": 0, "n": number, "deep": {"one": {"two": {"three": {"four": number}}}}}
        double.complete(run, "ab"[number % 2], state, visit=number)
    double.finish(run)
    return run


async def test_a_value_leads_to_the_step_that_wrote_it(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        screen.set_focus(screen.state)
        screen.state.go_path(("digest", "score"))
        screen.state.show_state(6, run.states[6], [], [], 100)
        await pilot.press("k", "j")
        await until(pilot, lambda: "w why" in line_with(app, "? help") and "E result" in line_with(app, "? help"))
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WhySheet) and app.screen.lines.writes)
        await shows(pilot, "why shared['digest']['score']")
        assert [(write.step, write.node, write.value) for write in app.screen.lines.writes] == [
            (6, "critic", "81"),
            (3, "summarise", "62"),
        ]
        await shows(pilot, "critic#2")
        await pilot.press("j", "enter")
        await shows(pilot, "state after 3")
        await until(pilot, lambda: screen.state.selected_path == ("digest", "score"))
        assert app.screen is screen and screen.state.has_focus


async def test_a_value_that_lies_deep_is_opened_and_loaded_on_the_way(double: EngineDouble, app_on: AppOn) -> None:
    run = counted(double, 3)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        path = ("deep", "one", "two", "three", "four")
        screen.state.go_path(path)
        screen.go_to_step(2)
        await until(pilot, lambda: screen.state.selected_path == path and screen.state.step == 2)
        await shows(pilot, "four")


async def test_more_steps_are_looked_up_as_one_goes_down(double: EngineDouble, app_on: AppOn) -> None:
    run = counted(double, 50)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        screen.set_focus(screen.state)
        screen.state.go_path(("n",))
        screen.go_to_step(50)
        await until(pilot, lambda: screen.state.selected_path == ("n",))
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WhySheet) and len(app.screen.lines.writes) == 20)
        sheet = app.screen
        assert isinstance(sheet, WhySheet)
        await pilot.press("G")
        await until(pilot, lambda: len(sheet.lines.writes) == 40)
        await pilot.press("G")
        await until(pilot, lambda: len(sheet.lines.writes) == 50)
        await shows(pilot, "The newest first")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert screen.state.step == 50


async def test_why_without_a_value_says_where_to_go(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("w")
        await shows(pilot, "Select a value of the state first")


async def test_a_why_that_fails_says_why(double: EngineDouble, app_on: AppOn) -> None:
    run = counted(double, 2)
    double.problems["read_why"] = UsageError("The state has nothing there.", next_step="Look again.")
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        screen.set_focus(screen.state)
        await pilot.press("j", "w")
        await shows(pilot, "The state has nothing there.")
        await shows(pilot, "Look again.")


def reported(double: EngineDouble) -> Run:
    run = counted(double, 3)
    double.files[run.id] = {"report.md": b"# Monday\n37 mails\n", "raw/data.bin": b"\0\1\2"}
    return run


async def test_the_result_shows_last_state_and_files(double: EngineDouble, app_on: AppOn) -> None:
    run = reported(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("E")
        await shows(pilot, "─ result ")
        await shows(pilot, "final state  3 keys")
        await shows(pilot, "files  2 files, 21 B")
        assert screen.result.has_focus and "1m ago" in line_with(app, "report.md")
        assert "state after" not in screen_text(app)
        await pilot.press("G", "enter")
        await shows(pilot, "37 mails")
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == "# Monday\n37 mails")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == "# Monday\n37 mails\n")
        await pilot.press("k", "y")
        await until(pilot, lambda: app.clipboard == f"/home/me/flows/runs/output/{run.id}/raw/data.bin")
        await pilot.press("enter")
        await shows(pilot, "This is no text")
        await pilot.press("escape", "escape")
        await shows(pilot, "state after 3")


async def test_a_key_of_the_result_leads_into_the_state(double: EngineDouble, app_on: AppOn) -> None:
    run = reported(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("left_square_bracket", "E")
        await shows(pilot, "final state")
        await until(pilot, lambda: screen.result.selected is not None and screen.result.selected.key == "still")
        await pilot.press("j", "y")
        await until(pilot, lambda: app.clipboard == "3")
        await pilot.press("enter")
        await until(pilot, lambda: screen.state.step == 3 and screen.state.selected_path == ("n",))
        assert not screen.shows_result


async def test_a_file_of_the_result_opens_in_the_editor(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = reported(double)
    opened: list[tuple[str, int]] = []
    monkeypatch.setattr("tui.editor.edit", lambda app, path, line: opened.append((path, line)) or "")
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("E")
        await shows(pilot, "report.md")
        await pilot.press("G", "e")
        await until(pilot, lambda: opened == [(f"/home/me/flows/runs/output/{run.id}/report.md", 0)])


async def test_the_result_follows_a_run_that_goes_on(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("count", ["a"])
    run = double.run("count")
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("E")
        await shows(pilot, "result so far")
        double.complete(run, "a", {"fresh": True})
        double.files[run.id] = {"new.txt": b"x"}
        double.finish(run)
        await shows(pilot, "new.txt")
        await shows(pilot, "fresh")
        await shows(pilot, "final state")


async def test_the_log_is_saved_as_it_is_filtered(double: EngineDouble, app_on: AppOn, tmp_path: Path) -> None:
    double.workflow("chatty", ["talk"])
    run = double.run("chatty")
    double.log_many(run, [f"line {number}" for number in range(2500)], node="talk")
    double.log(run, "oh no", level="ERROR", node="talk")
    app = app_on(double)
    whole, errors = tmp_path / "whole.log", tmp_path / "errors.log"
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, SaveSheet))
        app.screen.line.value = str(whole)
        await pilot.press("enter")
        await shows(pilot, "Saved 2,501 lines")
        lines = whole.read_text().splitlines()
        assert len(lines) == 2501 and lines[-1].endswith("ERROR   talk           oh no")
        await pilot.press("L", "L", "S")
        await until(pilot, lambda: isinstance(app.screen, SaveSheet))
        await shows(pilot, "warning and above")
        app.screen.line.value = str(errors)
        await pilot.press("enter")
        await shows(pilot, "Saved 1 line")
        assert len(errors.read_text().splitlines()) == 1


async def test_a_file_that_is_there_is_not_written_over(double: EngineDouble, app_on: AppOn, tmp_path: Path) -> None:
    run = counted(double, 1)
    kept = tmp_path / "kept.log"
    kept.write_text("mine")
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, SaveSheet))
        app.screen.line.value = str(kept)
        await pilot.press("enter")
        await shows(pilot, "is there already")
        assert kept.read_text() == "mine"
        await pilot.press("escape", "S")
        await until(pilot, lambda: isinstance(app.screen, SaveSheet))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_a_breakpoint_is_set_before_the_selected_node_and_taken_away(double: EngineDouble, app_on: AppOn) -> None:
    run = counted(double, 3)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("B")
        await shows(pilot, "◆ Runs pause before b")
        assert [(view.workflow, view.node, view.run_id) for view in double.breakpoints] == [("count", "b", None)]
        await shows(pilot, "3 ◆ b#3")
        assert "◆ a" not in screen_text(app)
        await pilot.press("B")
        await hides(pilot, "◆ b#3")
        assert double.breakpoints == []


async def test_a_breakpoint_that_is_set_elsewhere_shows_at_once(double: EngineDouble, app_on: AppOn) -> None:
    from core.link.event_types import BreakpointsChanged

    run = counted(double, 3)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        other = BreakpointView(workflow="count", node="b", set_at=NOW, run_id="another")
        double.breakpoints = [other, BreakpointView(workflow="count", node="a", set_at=NOW)]
        double.send(BreakpointsChanged(workflow="count"))
        await shows(pilot, "2 ◆ a#2")
        assert "◆ b" not in screen_text(app)


async def test_a_run_that_paused_at_a_breakpoint_says_so_and_goes_on(double: EngineDouble, app_on: AppOn) -> None:
    run = counted(double, 2)
    run.status, run.pause_reason = "paused", "breakpoint before b"
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        assert "‖ paused breakpoint before b" in screen_text(app)
        assert "p go on" in screen_text(app)


async def test_an_attempt_that_failed_shows_its_traceback_while_it_is_selected(
    double: EngineDouble, app_on: AppOn
) -> None:
    double.workflow("count", ["a", "b"])
    run = double.run("count")
    error = ErrorView(type="TimeoutError", message="too slow", traceback='  File "/x/nodes.py", line 7, in execute')
    double.fail_attempt(run, "a", error)
    double.complete(run, "a", {"n": 1}, attempt=2)
    double.complete(run, "b", {"n": 2})
    double.finish(run)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        assert "TimeoutError" not in screen_text(app)
        await pilot.press("k", "k")
        await shows(pilot, "✗ attempt 1 of a failed")
        await shows(pilot, "TimeoutError: too slow")
        assert screen.code_place() == ("/x/nodes.py", 7)
        await pilot.press("j")
        await hides(pilot, "TimeoutError: too slow")
        await settled(pilot)
        assert screen.steps.has_focus


async def test_a_breakpoint_on_the_graph_is_set_with_a_key_and_has_a_sign(double: EngineDouble, app_on: AppOn) -> None:
    counted(double, 3)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go(Place("graph", "count"))
        await shows(pilot, "✓ b")
        await until(pilot, lambda: isinstance(app.screen, GraphScreen) and app.screen.view_of_graph.selected == "a")
        await pilot.press("j", "B")
        await shows(pilot, "◆ Runs pause before b")
        await shows(pilot, "◆ ✓ b")
        assert [view.node for view in double.breakpoints] == ["b"]
        assert "◆ ✓ b" in app.screen.copied_text()
        await pilot.press("B")
        await hides(pilot, "◆ ✓ b")
        assert double.breakpoints == []
