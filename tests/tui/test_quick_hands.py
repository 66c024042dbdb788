"""Screens that are left before they stand, and news that come while they go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
import scenes
from engine_double import EngineDouble
from looking import LIMIT_SECONDS, screen_text, settled, shows, until
from travelling import Travelling

from core.link.workflow_types import WorkflowDetail
from tui.app import RondoApp
from tui.screens.command import CommandSheet
from tui.screens.workflows import WorkflowsScreen

AppOn = Callable[[EngineDouble], RondoApp]

PAUSES = (0.0, 0.0, 0.001, 0.003, 0.01, 0.03)


class SlowDouble(EngineDouble):
    """An engine that answers for a workflow when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail:
        await self.may_answer.wait()
        return await super().get_workflow(name, version)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_screens_may_be_left_at_any_moment(seed: int, app_on: AppOn) -> None:
    rng = random.Random(seed)
    double = Travelling()
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
        screen = app.screen_stack[0]
        assert isinstance(screen, WorkflowsScreen)
        await settled(pilot)
        limit = asyncio.get_running_loop().time() + LIMIT_SECONDS
        while app.screen is not screen or not screen.table.shown:
            # The last keys may arrive late: they may have become a filter, or opened a sheet or the command line.
            assert asyncio.get_running_loop().time() < limit, screen_text(app)
            await pilot.press("escape")
        await shows(pilot, "mail_digest")


@pytest.mark.parametrize("key", ["r", "R"])
@pytest.mark.parametrize("away", ["graph", "help", "graph and back"])
async def test_a_question_before_a_run_that_comes_late_opens_nothing(key: str, away: str, app_on: AppOn) -> None:
    double = SlowDouble()
    double.workflow("strange", ["a"], approved=False)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "strange")
        await settled(pilot)
        double.may_answer.clear()
        await pilot.press(key)
        await pilot.press("question_mark" if away == "help" else "2")
        if away == "graph and back":
            await pilot.press("q")
        here = app.screen
        double.may_answer.set()
        await until(pilot, lambda: not any(worker.group == "start" for worker in app.workers))
        await settled(pilot)
        assert app.screen is here
        if away == "help":
            await pilot.press("escape")
        await shows(pilot, "strange was not started")
        assert "start_run" not in double.calls


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


async def test_a_sheet_that_is_closed_twice_takes_nothing_else_away(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        app.go_run(run.id)
        await until(pilot, lambda: app.place.view == "run")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandSheet))
        sheet = app.screen
        assert isinstance(sheet, CommandSheet)
        sheet.close()
        sheet.close()
        await settled(pilot)
        assert app.place.view == "run" and len(app.screen_stack) == 2


async def test_a_sheet_that_lay_under_a_screen_can_still_be_closed(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandSheet))
        sheet = app.screen
        assert isinstance(sheet, CommandSheet)
        app.go_run(run.id)
        sheet.close()
        await until(pilot, lambda: app.place.view == "run")
        app.go_back()
        await until(pilot, lambda: app.screen is sheet)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
