"""What the Run screen looks like with its result, with a why, at a breakpoint, and on an attempt that failed.

The pictures are compared as text. `--snapshot-update` takes the present ones as right; look at them before that.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scenes
from engine_double import NOW, EngineDouble
from inspect_double import BreakpointView
from looking import settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from test_run_screen import open_run

from tui.app import RondoApp
from tui.screens.run_why import WhySheet

AppOn = Callable[[EngineDouble], RondoApp]

SIZES = [(80, 24), (120, 40)]
STATES = ["result", "why", "breakpoint", "attempt"]


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """One SVG file a picture, without the plugin's report, which would hold the whole environment."""
    return snapshot.use_extension(SVGImageExtension)


async def _picture(state: str, size: tuple[int, int], double: EngineDouble, app: RondoApp) -> str:
    run = scenes.mail(double)
    run.requests.clear()
    run.in_flight = []
    if state == "breakpoint":
        run.status, run.pause_reason = "paused", "breakpoint before critic"
        double.breakpoints = [BreakpointView(workflow="mail_digest", node="critic", set_at=NOW)]
    else:
        double.finish(run, at=NOW)
    double.files[run.id] = {"report.md": b"# Monday\n", "raw/mails.json": b"[]" * 1000}
    async with app.run_test(size=size) as pilot:
        screen = await open_run(pilot, run)
        match state:
            case "result":
                await pilot.press("E")
                await shows(pilot, "report.md")
            case "why":
                screen.set_focus(screen.state)
                screen.state.go_path(("digest", "score"))
                screen.go_to_step(6)
                await until(pilot, lambda: screen.state.selected_path == ("digest", "score"))
                await pilot.press("w")
                await until(pilot, lambda: isinstance(app.screen, WhySheet) and app.screen.lines.writes)
            case "breakpoint":
                await shows(pilot, "◆ critic")
            case "attempt":
                screen.steps.move_to(2)
                await shows(pilot, "✗ attempt 1 of summarise failed")
        await settled(pilot)
        return app.export_screenshot(title="rondo")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
async def test_picture_of_a_run_that_is_looked_into(
    state: str, size: tuple[int, int], double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    assert await _picture(state, size, double, app_on(double)) == picture


async def test_picture_of_a_result_on_a_light_ground(
    double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    app = app_on(double)
    app.theme = "textual-light"
    assert await _picture("result", (80, 24), double, app) == picture
