"""What each screen looks like, at 80 by 24 and 120 by 40.

The pictures are compared as text. `--snapshot-update` takes the present ones as right; look at them before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from tui.app import RondoApp

AppOn = Callable[[EngineDouble], RondoApp]

SIZES = [(80, 24), (120, 40)]


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """One SVG file a picture, without the plugin's report, which would hold the whole environment."""
    return snapshot.use_extension(SVGImageExtension)


async def run_of(pilot: Pilot[Any], name: str) -> None:
    """To the last run of a workflow."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await shows(pilot, "mail_digest")
    double = app.engine
    assert isinstance(double, EngineDouble)
    run = next(run for run in double.runs.values() if run.workflow == name)
    app.go_run(run.id)
    await shows(pilot, run.id[-8:])


SCENES: dict[str, list[str]] = {
    "workflows": ["j"],
    "workflows_error": ["j", "j"],
    "workflows_filter": ["slash", *"mail t"],
    "consent": ["G", "r"],
    "inputs": ["j", "R"],
    "help": ["question_mark"],
    "command": ["colon", *"run"],
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SCENES)
async def test_picture_of_workflows(
    scene: str, size: tuple[int, int], double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "mail_digest")
        await settled(pilot)
        below = app.screen
        await pilot.press(*SCENES[scene])
        if not scene.startswith("workflows"):
            await until(pilot, lambda: app.screen is not below)
        await until(pilot, lambda: getattr(app.screen, "armed", True))
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == picture


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_picture_of_an_empty_workspace(
    size: tuple[int, int], double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "No workflows yet.")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == picture


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("workflow", "keys"),
    [
        ("mail_digest", []),
        ("mail_digest", ["tab", "right"]),
        ("mail_digest", ["left_square_bracket", "left_square_bracket", "left_square_bracket"]),
        ("mail_import", []),
    ],
    ids=["waiting", "answering", "past", "failed"],
)
async def test_picture_of_a_run(
    workflow: str,
    keys: list[str],
    size: tuple[int, int],
    double: EngineDouble,
    app_on: AppOn,
    picture: SnapshotAssertion,
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await run_of(pilot, workflow)
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == picture


@pytest.mark.parametrize("theme", ["ansi-dark", "textual-light"])
async def test_picture_in_another_theme(
    theme: str, double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    scenes.mail(double)
    app = app_on(double)
    app.theme = theme
    async with app.run_test(size=(80, 24)) as pilot:
        await run_of(pilot, "mail_digest")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == picture
