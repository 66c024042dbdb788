"""A first start leads by the hand to a first run."""

from __future__ import annotations

from collections.abc import Callable

from engine_double import EngineDouble
from looking import hides, screen_text, shows

from tui.app import RondoApp

AppOn = Callable[[EngineDouble], RondoApp]


async def test_the_first_steps_lead_from_nothing_to_a_run_that_is_done(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "f3 leads to a first run")
        await pilot.press("f3")
        await shows(pilot, "first steps, 1 of 4")
        await shows(pilot, "Hello: Greets whom you name.")
        await pilot.press("enter")
        await shows(pilot, "First steps, 2 of 4: this is hello.")
        assert double.made == [("hello", "hello")]
        assert app.place.view == "graph"
        await pilot.press("r")
        await shows(pilot, "First steps, 3 of 4: it runs")
        run = next(iter(double.runs.values()))
        double.begin(run, "ask")
        double.ask(run, "ask", "name", "What is your name?")
        await shows(pilot, "First steps, 3 of 4: the run asks you something")
        double.complete(run, "ask", {"name": "Ada"})
        double.finish(run)
        await shows(pilot, "First steps, 4 of 4: done, and kept.")
        await pilot.press("escape")
        await hides(pilot, "First steps")
        await pilot.press("1")
        await shows(pilot, "NODES")
        assert "First steps" not in screen_text(app)


async def test_esc_at_the_first_step_changes_nothing(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No workflows yet.")
        await pilot.press("f3")
        await shows(pilot, "first steps, 1 of 4")
        await pilot.press("escape")
        await hides(pilot, "first steps, 1 of 4")
        assert double.made == []
