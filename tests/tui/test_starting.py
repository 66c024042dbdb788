"""Starting runs from the screens: one for each press that was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from engine_double import EngineDouble
from looking import settled, shows, until

from core.link.tool_types import Lack
from core.link.workflow_types import WorkflowDetail
from tui import starting
from tui.app import RondoApp
from tui.screens.inputs import InputsSheet
from tui.screens.run import RunScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def test_a_held_key_starts_one_run(double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "REPEAT_SECONDS", 60.0)
    double.workflow("hello", ["greet"])
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "hello")
        # The later ones come to the screen of the run, where the key starts another one.
        await pilot.press(*"rrr")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press(*"rrr")
        await shows(pilot, "press once more for another run")
        await settled(pilot)
        assert double.calls.count("start_run") == 1


async def test_a_second_press_a_moment_later_starts_another_run(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "REPEAT_SECONDS", 0.0)
    double.workflow("hello", ["greet"])
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "hello")
        for count in (1, 2):
            await pilot.press("r")
            await until(pilot, lambda: double.calls.count("start_run") == count)  # noqa: B023
            await settled(pilot)


async def test_while_a_run_is_being_started_no_other_one_is(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "REPEAT_SECONDS", 0.0)
    double.workflow("hello", ["greet"])
    app = app_on(double)
    answered = asyncio.Event()
    read = double.get_workflow

    async def slow(name: str, version: str | None = None) -> WorkflowDetail:
        await answered.wait()
        return await read(name, version)

    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "hello")
        monkeypatch.setattr(double, "get_workflow", slow)
        await pilot.press("r", "r")
        await shows(pilot, "starting hello is under way")
        answered.set()
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert double.calls.count("start_run") == 1


async def test_a_doubled_key_opens_one_form(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["greet"], initial_state={"name": "", "town": ""})
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "hello")
        await pilot.press("R", "R")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await settled(pilot)
        assert sum(isinstance(screen, InputsSheet) for screen in app.screen_stack) == 1


async def test_enter_and_the_text_after_it_in_one_piece_fill_two_fields(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["greet"], initial_state={"name": "", "town": "", "street": ""})
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "hello")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await settled(pilot)
        for key in (*"Ada", "enter", *"Bath", "tab", *"Hill", "enter"):
            app.simulate_key(key)
        await until(pilot, lambda: bool(double.runs))
        (run,) = double.runs.values()
        assert run.inputs == {"name": "Ada", "town": "Bath", "street": "Hill"}


async def test_what_a_run_will_not_get_is_said_as_it_starts(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "REPEAT_SECONDS", 0.0)
    double.workflow("mail", ["fetch"])
    account = Lack(
        kind="account",
        workflow="mail",
        name="gmail",
        message="The tool gmail has no account.",
        next_step="Connect it: rondo authenticate-tool gmail",
    )
    double.lacks["mail"] = [account]
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "mail")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await shows(pilot, "The tool gmail has no account.")
        await shows(pilot, "rondo authenticate-tool gmail")
        double.lacks["mail"] = [account, Lack(kind="model", workflow="mail", name="executor", message="No key.")]
        app.start_run("mail")
        await shows(pilot, "2 things are missing: account gmail, model executor. More: rondo check mail")
