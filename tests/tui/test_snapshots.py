"""What each screen looks like, at 80 by 24 and 120 by 40.

The pictures are compared as text. `--snapshot-update` takes the present ones as right; look at them before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.link.shelf_api import TrashedWorkflow
from core.link.tool_types import ConnectionView, WorkflowTool
from core.link.usage_types import UsageView
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
    double = app.engine.wrapped
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


def with_tools_and_versions(double: EngineDouble) -> None:
    """The mail workflows with tools in every state, versions, and something in the trash."""
    scenes.mail(double)
    soon = ConnectionView(
        id="1", app="gmail", provider="composio", state="ACTIVE", account="me@example.org", expires_at=NOW + 172_900
    )
    double.tool_views["mail_digest"] = [
        WorkflowTool(name="gmail", app="gmail", provider="composio", connection=soon),
        WorkflowTool(name="files", app="files", provider="mcp"),
    ]
    double.tool_views["mail_triage"] = [
        WorkflowTool(
            name="notion",
            app="notion",
            provider="direct",
            problem="No account is connected.",
            next_step="rondo authenticate-tool notion",
        )
    ]
    for number in range(25):
        run = double.run("mail_digest", run_id=f"0194{number:016d}", created_at=NOW - 90_000 + 3_000 * number)
        run.usage = UsageView(calls=2, input_tokens=900, output_tokens=90, cost=0.01 + number / 1000)
        double.finish(run, "failed" if number == 17 else "completed", at=run.created_at + 30 + number % 7 * 9)
    double.versions(
        "mail_digest", "+node post, +edge approve → post", "nodes.py +4 -1", "the first version", at=NOW - 600
    )
    trashed = double.workflow("old_mail", ["a"])
    double.trash["0a1b2c3d4e5f"] = (
        TrashedWorkflow(
            id="0a1b2c3d4e5f",
            workflow="old_mail",
            trashed_at=NOW - 7_200,
            version="0123456789abcdef",
            path="/home/me/flows/workflows/.trash/0a1b2c3d4e5f/folder",
        ),
        trashed,
        double.approvals.pop("old_mail"),
    )
    del double.workflows["old_mail"]


SHOWS = "shows "
"""What begins so in a scene is waited for; all else is pressed."""
DIGEST = ["j", SHOWS + "tool   gmail ! connected as me@example.org"]
VERSIONS = [*DIGEST, "v", SHOWS + "+ graph  node post added (Post)"]
SHELF_SCENES: dict[str, list[str]] = {
    "tools_and_costs": [*DIGEST, SHOWS + "a run"],
    "duplicate": [*DIGEST, "D", SHOWS + "mail_digest_copy"],
    "trash": [*DIGEST, "T", SHOWS + "old_mail"],
    "versions": VERSIONS,
    "version_against_now": [*VERSIONS, "j", "j", SHOWS + "The first version", "equals_sign", SHOWS + "-    01"],
    "rollback": [*VERSIONS, "j", SHOWS + "-    01", "b", SHOWS + "go back"],
    "last_inputs": [*DIGEST, "R", SHOWS + "As the last run"],
}


async def picture_of_shelf(app: RondoApp, size: tuple[int, int], scene: str) -> str:
    """The screen after a scene, when nothing moves any more."""
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "mail_digest")
        for word in SHELF_SCENES[scene]:
            if word.startswith(SHOWS):
                await shows(pilot, word.removeprefix(SHOWS))
            else:
                await pilot.press(word)
        await until(pilot, lambda: getattr(app.screen, "armed", True))
        await settled(pilot)
        return app.export_screenshot(title="rondo")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SHELF_SCENES)
async def test_picture_of_whole_workflows(
    scene: str, size: tuple[int, int], double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    with_tools_and_versions(double)
    last = double.run("mail_digest", run_id="0194-last-0000-0000eeee0009", created_at=NOW - 20)
    last.inputs = {"since": "2025-12-24", "channel": "#me", "limit": 7}
    double.finish(last)
    assert await picture_of_shelf(app_on(double), size, scene) == picture


@pytest.mark.parametrize("scene", ["tools_and_costs", "versions", "trash"])
async def test_picture_of_whole_workflows_in_a_light_theme(
    scene: str, double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    with_tools_and_versions(double)
    app = app_on(double)
    app.theme = "textual-light"
    assert await picture_of_shelf(app, (80, 24), scene) == picture
