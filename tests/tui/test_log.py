"""The log of a run: a window on any number of lines, following, searching, filtering, copying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_double import EngineDouble, Run
from looking import hides, line_with, press_twice, screen_text, settled, shows, until
from textual import events
from textual.pilot import Pilot

from tui.app import RondoApp
from tui.screens.run import RunScreen
from tui.widgets.log_view import copied_rows

AppOn = Callable[[EngineDouble], RondoApp]


def logged(double: EngineDouble, count: int, *, node: str = "talk") -> Run:
    """A run with numbered lines."""
    double.workflow("chatty", ["talk", "other"])
    run = double.run("chatty")
    double.log_many(run, [f"line {number} of the talk" for number in range(1, count + 1)], node=node)
    return run


async def open_log(pilot: Pilot[Any], run: Run) -> RunScreen:
    """To the run's screen, with the log read and focused."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    app.go_run(run.id)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None)
    screen = app.screen
    assert isinstance(screen, RunScreen)
    await until(pilot, lambda: screen.log_view.window.last == len(run.logs))
    screen.log_view.focus()
    await settled(pilot)
    return screen


async def test_it_opens_at_the_end_and_follows(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 5000)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        assert "line 5000 of the talk" in screen_text(app)
        assert len(screen.log_view.window) <= 300
        double.log(run, "one more", node="talk")
        await shows(pilot, "one more")
        assert "log ─ following" in screen_text(app)


async def test_following_really_stops_when_one_looks_up(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 500)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        await pilot.press("k")
        await shows(pilot, "not following")
        reads = double.calls.count("read_logs")
        before = screen.log_view.scroll_offset
        double.log_many(run, [f"new {number}" for number in range(200)])
        await shows(pilot, "200 newer below")
        assert screen.log_view.scroll_offset == before
        assert "new 0" not in screen_text(app)
        assert double.calls.count("read_logs") == reads
        await pilot.press("b")
        await shows(pilot, "new 199")
        await shows(pilot, "log ─ following")
        await pilot.press("b")
        await shows(pilot, "not following")


async def test_the_wheel_stops_following_too(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 500)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        log = screen.log_view
        event = events.MouseScrollUp(log, 5, 5, 0, -1, 0, False, False, False)
        log.post_message(event)
        await shows(pilot, "not following")


async def test_any_number_of_lines_is_held_in_part_only(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 20_000)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        log = screen.log_view
        await press_twice(pilot, "g")
        await shows(pilot, "line 1 of the talk")
        for _ in range(400):
            log.move_page_down()
            await pilot.pause(0)
        await settled(pilot)
        rows = [row.row for row in log.window.rows]
        assert rows == list(range(rows[0], rows[-1] + 1))
        assert len(rows) <= 2000
        assert rows[-1] > 1000
        for _ in range(400):
            log.move_page_up()
            await pilot.pause(0)
        await settled(pilot)
        assert len(log.window.rows) <= 2000
        await pilot.press("G")
        await shows(pilot, "line 20000 of the talk")


async def test_what_is_in_view_stays_while_older_lines_are_read(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 2000)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        log = screen.log_view
        first = log.window.first
        seen = []
        while log.window.first == first:
            log.move_up()
            await pilot.pause(0.01)
            assert log.selected is not None
            seen.append(log.selected.row)
        await settled(pilot)
        assert log.selected is not None
        assert log.selected.row == seen[-1]
        assert seen == list(range(seen[0], seen[-1] - 1, -1))
        assert f"line {seen[-1]} of the talk" in screen_text(app)


async def test_a_flood_is_shown_by_its_newest_lines(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 10)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        reads = double.calls.count("read_logs")
        for number in range(40):
            double.log_many(run, ["flood"] * 1000)
            if number % 8 == 7:
                await pilot.pause(0.005)
        double.log(run, "the very last")
        await shows(pilot, "the very last")
        assert len(screen.log_view.window) <= 2000
        # Each time it comes to reading, it reads what has come until then.
        assert double.calls.count("read_logs") - reads < 20


async def test_searching_finds_lines_far_away_and_goes_around(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 3000)
    run.logs[99].text = "the needle one"
    run.logs[2499].text = "the needle two"
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        log = screen.log_view
        await pilot.press("slash", *"needle", "enter")
        await shows(pilot, "the needle one")
        assert log.selected is not None
        assert log.selected.row == 100
        await pilot.press("n")
        await shows(pilot, "the needle two")
        await pilot.press("N")
        await shows(pilot, "the needle one")
        await pilot.press("N")
        await shows(pilot, "Went on at the other end")
        await shows(pilot, "the needle two")
        await pilot.press("escape", "escape")
        assert log.search == ""
        await pilot.press("slash", *"nowhere", "enter")
        await shows(pilot, "Nothing in the log contains 'nowhere'")


async def test_levels_and_nodes_are_left_out(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 50)
    double.log(run, "careful", level="WARNING", node="talk")
    double.log(run, "broken", level="ERROR", node="other")
    double.complete(run, "other", {})
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_log(pilot, run)
        await pilot.press("L", "L")
        await shows(pilot, "warning and above")
        await hides(pilot, "of the talk")
        assert "careful" in screen_text(app)
        await pilot.press("L")
        await hides(pilot, "careful")
        await pilot.press("L")
        await shows(pilot, "all levels")
        await shows(pilot, "careful")
        await pilot.press("shift+tab", "shift+tab", "o")
        await shows(pilot, "only other")
        await hides(pilot, "careful")
        double.log(run, "still talking", node="talk")
        double.log(run, "said by the other", node="other")
        await shows(pilot, "said by the other")
        assert "still talking" not in screen_text(app)
        await pilot.press("o")
        await shows(pilot, "still talking")


async def test_lines_are_copied_one_or_many(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 30)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        await pilot.press("k", "y")
        await until(pilot, lambda: app.clipboard == "line 29 of the talk")
        await pilot.press("v", "k", "k")
        await shows(pilot, "3 selected")
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == copied_rows(run.logs[26:29]))
        assert screen.log_view.selection_start is None
        assert app.clipboard.count("\n") == 2
        await pilot.press("v", "escape")
        await hides(pilot, "selected")


async def test_long_lines_scroll_sideways_or_break(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 3)
    double.log(run, "begin " + "word " * 60 + "end-of-line")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_log(pilot, run)
        assert "end-of-line" not in screen_text(app)
        for _ in range(40):
            await pilot.press("l")
        await shows(pilot, "end-of-line")
        await pilot.press("z")
        await shows(pilot, "end-of-line")
        assert "begin word" in screen_text(app)
        assert screen.log_view.selected is not None
        double.log(run, "after it")
        await pilot.press("G")
        await shows(pilot, "after it")
        await pilot.press("z")
        await hides(pilot, "end-of-line")


async def test_an_empty_log_is_calm(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 0)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_log(pilot, run)
        await pilot.press("j", "k", "G")
        await press_twice(pilot, "g")
        await pilot.press("y", "v", "n", "N", "b", "z", "L", "pagedown", "pageup")
        await settled(pilot)
        double.log(run, "at last")
        await pilot.press("G")
        await shows(pilot, "at last")
        assert "INFO" in line_with(app, "at last")


async def test_lines_that_were_dropped_are_counted_in_the_title(double: EngineDouble, app_on: AppOn) -> None:
    run = logged(double, 40)
    run.dropped = 12_000
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_log(pilot, run)
        assert "12,000 lines dropped" in line_with(app, "─ log ─")
        run.dropped = 12_345
        double.log(run, "one more")
        await shows(pilot, "12,345 lines dropped")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("asks", ["at once", "later"])
async def test_the_newest_lines_are_in_view_beside_a_question(
    size: tuple[int, int], asks: str, double: EngineDouble, app_on: AppOn
) -> None:
    run = logged(double, 400)
    prompt = "\n".join(f"line {n} of the prompt" for n in range(6))
    double.begin(run, "talk")
    if asks == "at once":
        double.ask(run, "talk", "q", prompt, "confirm")
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go_run(run.id)
        if asks == "later":
            await shows(pilot, "line 400 of the talk")
            double.ask(run, "talk", "q", prompt, "confirm")
        await shows(pilot, "line 5 of the prompt")
        await settled(pilot)
        assert "─ log ─ following" in screen_text(app)
        assert "line 400 of the talk" in screen_text(app)
