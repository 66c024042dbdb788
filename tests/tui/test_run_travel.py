"""Screen 4, going back: rewind and fork at the selected step, run again, try again, pause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import shows, until
from test_run_screen import open_run
from travelling import Travelling

from core.link.commands import Fork, Rerun
from tui.app import RondoApp
from tui.screens.confirm import ConfirmSheet
from tui.screens.run import RunScreen

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture
def double() -> Travelling:
    return Travelling()


async def agree(pilot: Any, question: str) -> None:
    """Say yes to a question, once it listens."""
    await shows(pilot, question)
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmSheet) and pilot.app.screen.armed)
    await pilot.press("y")


async def test_a_rewind_here_is_asked_for_and_again_before_nodes_that_write_act_again(
    double: Travelling, app_on: AppOn
) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, run)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.state.step == run.step - 1)
        await pilot.press("W")
        await agree(pilot, f"to step {run.step - 1}?")
        assert double.sent == []
        await agree(pilot, "May they act again?")
        await until(pilot, lambda: len(double.sent) == 1)
        (rewind,) = double.sent
        assert (rewind.run_id, rewind.step, rewind.acknowledge_effects) == (run.id, run.step - 1, True)


async def test_a_fork_here_and_a_run_once_more_lead_to_the_new_run(double: Travelling, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("F")
        await agree(pilot, f"at step {run.step}?")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id not in ("", run.id))
        assert [(type(sent), sent.step) for sent in double.sent] == [(Fork, run.step)]
        forked = app.screen.run_id
        await until(pilot, lambda: app.screen.run is not None)
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id not in (run.id, forked))
        assert isinstance(double.sent[-1], Rerun) and double.sent[-1].run_id == forked


async def test_a_run_that_is_over_is_not_paused(double: Travelling, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(pilot, run)
        await pilot.press("P")
        await until(pilot, lambda: double.sent == ["pause"])
        await pilot.press("t")
        await shows(pilot, "The run is waiting_input")
