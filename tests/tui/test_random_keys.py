"""Any keys in any order: the app shows something and never falls over."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import scenes
from engine_double import NOW, EngineDouble, Run
from looking import screen_text, until
from travelling import Travelling

from core.link.types import FindingView
from tui.actions import registry
from tui.app import RondoApp
from tui.navigation import Place
from tui.screens.workflows import WorkflowsScreen

AppOn = Callable[[EngineDouble], RondoApp]

KEYS = sorted({part for found in registry for key in found.keys for part in key.split(" ")} | set("aZ0 .*"))


def busy(double: EngineDouble, rng: random.Random, run: Run) -> None:
    """Something happens in the engine."""
    match rng.randrange(9):
        case 0:
            double.log_many(run, [f"noise {rng.random()}"] * rng.randrange(1, 400), node="post")
        case 1:
            double.complete(run, "post", {"n": rng.randrange(9), "deep": {"x": [1, {"y": "z" * 300}]}}, at=NOW)
        case 2:
            if not run.open_requests:
                kind = rng.choice(["text", "confirm", "select", "number", "json", "multiselect"])
                double.ask(run, "post", f"q{rng.random()}", "Well?", kind, ["a", "b"])
        case 3:
            for request in run.requests:
                request.status = "answered"
            double.begin(run, "post", at=NOW)
        case 4:
            double.lose()
        case 5:
            double.return_again()
        case 6:
            bad = FindingView(code="E1", severity="error", message="Broken.", file="nodes.py", line=1)
            double.change_workflow("mail_digest", findings=rng.choice([[], [bad]]))
        case 7:
            double.workflow(f"new_{rng.randrange(5)}", ["a", "b"], approved=rng.random() < 0.5)
            double.change_workflow("mail_triage")
        case _:
            double.connected = True


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_random_keys_break_nothing(seed: int, app_on: AppOn) -> None:
    await press_random_keys(seed, 250, app_on)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
async def test_many_random_keys_break_nothing(seed: int, app_on: AppOn) -> None:
    await press_random_keys(seed, 1000, app_on)


def zoomed(app: RondoApp) -> bool:
    """True where the pane of the list was left alone on the screen, as it was asked to be."""
    return app.screen.has_class("-zoomed")


async def press_random_keys(seed: int, count: int, app_on: AppOn) -> None:
    rng = random.Random(seed)
    double = Travelling()
    run = scenes.mail(double)
    app = app_on(double)
    pressed: list[str] = []
    size = rng.choice([(80, 24), (120, 40), (60, 16), (250, 70)])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.connected_once)
        leave = app.leave
        app.leave = lambda: None  # type: ignore[method-assign]
        for _ in range(count):
            key = rng.choice(KEYS)
            pressed.append(key)
            if key == "ctrl+q":
                continue
            await pilot.press(key)
            if rng.random() < 0.2:
                busy(double, rng, run)
        double.return_again()
        for _ in range(8):
            await pilot.press("escape")
        app.go(Place("workflows"))
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen), f"back home after {pressed}")
        await until(pilot, lambda: "NODES" in screen_text(app) or "Nothing matches" in screen_text(app) or zoomed(app))
        app.leave = leave  # type: ignore[method-assign]
