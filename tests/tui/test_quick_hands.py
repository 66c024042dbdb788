"""Screens that are left before they stand, and news that come while they go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
import scenes
from engine_double import EngineDouble
from looking import settled, shows, until

from tui.app import RondoApp
from tui.screens.workflows import WorkflowsScreen

AppOn = Callable[[EngineDouble], RondoApp]

PAUSES = (0.0, 0.0, 0.001, 0.003, 0.01, 0.03)


def starting(app: RondoApp) -> bool:
    """True while a form or a run is still on its way."""
    return any(worker.group == "start" for worker in app.workers)


@pytest.mark.parametrize("seed", [1, 2])
async def test_screens_may_be_left_at_any_moment(seed: int, double: EngineDouble, app_on: AppOn) -> None:
    rng = random.Random(seed)
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        for number in range(60):
            app.go_run(run.id)
            await asyncio.sleep(rng.choice(PAUSES))
            double.log(run, "news")
            double.complete(run, "post", {"n": number})
            app.simulate_key(rng.choice(["question_mark", "colon", "slash", "x", "a", "plus", "R", "y"]))
            await asyncio.sleep(rng.choice(PAUSES))
            while len(app.screen_stack) > 1:
                app.pop_screen()
            await asyncio.sleep(rng.choice(PAUSES))
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
        await settled(pilot)
        screen = app.screen_stack[0]
        assert isinstance(screen, WorkflowsScreen)
        while app.screen is not screen or not screen.table.shown or starting(app):
            # What was typed may have become a filter, or a sheet that comes late.
            await pilot.press("escape")
        await shows(pilot, "mail_digest")


async def test_keys_that_come_in_one_piece_mean_what_they_mean_one_by_one(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        # `r`, `e`, `x` and `q` would act on the screen; here they are letters of the filter.
        for key in ("slash", *"rexq"):
            app.simulate_key(key)
        screen = app.screen
        assert isinstance(screen, WorkflowsScreen)
        await until(pilot, lambda: screen.filter_line.text == "rexq")
        assert "start_run" not in double.calls
        await pilot.press("escape")
        for key in ("colon", *"show 7f3a09c1"):
            app.simulate_key(key)
        await shows(pilot, "show 7f3a09c1")
        await pilot.press("enter")
        await shows(pilot, "run 7f3a09c1")
