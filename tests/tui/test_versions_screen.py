"""The versions of a workflow on a screen: what each changed, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, line_with, screen_text, shows, until
from textual.pilot import Pilot

from core.errors import UsageError
from tui.app import RondoApp
from tui.screens.confirm import ConfirmSheet
from tui.screens.graph_versions import VersionsGraphScreen
from tui.screens.versions import VersionsScreen
from tui.screens.workflows import WorkflowsScreen
from tui.widgets.footer import Notice

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture(autouse=True)
def notices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine reads them too."""
    monkeypatch.setattr(Notice, "HIDE_AFTER", {})


WORDS = ("+node post, +edge approve → post", "nodes.py +4 -1", "the first version")


async def opened(pilot: Pilot[Any], double: EngineDouble) -> VersionsScreen:
    """From the list to the versions of its second workflow."""
    await shows(pilot, "mail_digest")
    await pilot.press("j", "v")
    await until(pilot, lambda: isinstance(pilot.app.screen, VersionsScreen) and pilot.app.screen.list.rows)
    return pilot.app.screen


def digest(double: EngineDouble) -> list[str]:
    scenes.mail(double)
    return [row.hash for row in double.versions("mail_digest", *WORDS, at=NOW - 60)]


async def test_each_version_says_since_when_how_often_and_what_it_changed(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, double)
        await shows(pilot, f"─ what {hashes[0][:12]} changed ─ 3 versions")
        line = line_with(app, "● 03")
        for words in ("now", "1m ago", "1 run", "✓ approved", "+node post, +edge approve → post"):
            assert words in line
        assert "! not approved" in line_with(app, hashes[1][:12])
        assert "7 runs" in line_with(app, hashes[2][:12])
        await shows(pilot, "+ graph  node post added (Post)")
        await shows(pilot, f"-    {hashes[1][:4]}")
        await shows(pilot, f"+    {hashes[0][:4]}")
        await pilot.press("j")
        await shows(pilot, f"-    {hashes[2][:4]}")
        await pilot.press("j")
        await shows(pilot, "The first version that is kept")


async def test_a_version_is_compared_with_the_folder_as_it_is(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, double)
        await pilot.press("j", "j", "equals_sign")
        await shows(pilot, f"─ from {hashes[2][:12]} to the folder as it is ─")
        await shows(pilot, f"-    {hashes[2][:4]}")
        await shows(pilot, f"+    {hashes[0][:4]}")
        await pilot.press("equals_sign")
        await shows(pilot, "The first version that is kept")


async def test_going_back_asks_with_what_changes_and_can_be_taken_back(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, double)
        await pilot.press("b")
        await shows(pilot, "This is what the folder is now")
        await pilot.press("j", "b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await shows(pilot, f"Make mail_digest version {hashes[1][:12]} again?")
        await shows(pilot, "This changes 1 file. What is there now goes into backups/.")
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert double.rolled_back == []
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await pilot.press("y")
        await shows(pilot, f"mail_digest is version {hashes[1][:12]} again; u takes it back")
        assert double.rolled_back == [("mail_digest", hashes[1], hashes[0])]
        await until(pilot, lambda: screen.list.rows[1].present)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await shows(pilot, f"Back to version {hashes[1][:12]}")
        await pilot.press("y")
        await until(pilot, lambda: double.edits[0].undone)
        await pilot.press("Z")
        await until(pilot, lambda: not double.edits[0].undone)


async def test_a_folder_that_changed_meanwhile_is_not_written_over(double: EngineDouble, app_on: AppOn) -> None:
    digest(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, double)
        await pilot.press("j", "b")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        double.problems["rollback"] = UsageError(
            "mail_digest changed since it was shown.", cause="Someone saved files.", next_step="Look at it again."
        )
        await pilot.press("y")
        await shows(pilot, "mail_digest changed since it was shown.")
        assert app.deeds.last is None


async def test_enter_goes_into_the_difference_and_y_copies(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, double)
        await pilot.press("j", "y")
        await until(pilot, lambda: app.clipboard == hashes[1])
        await shows(pilot, f"-    {hashes[2][:4]}")
        await pilot.press("enter")
        assert screen.difference.has_focus
        await pilot.press("plus")
        await hides(pilot, "✓ approved")
        await pilot.press("plus", "escape")
        await shows(pilot, "✓ approved")
        assert screen.list.has_focus


async def test_a_new_version_comes_into_the_list_and_the_cursor_stays(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, double)
        await pilot.press("j")
        double.versions("mail_digest", "nodes.py +1 -0", *WORDS, at=NOW)
        double.change_workflow("mail_digest")
        await until(pilot, lambda: len(screen.list.rows) == 4)
        assert screen.list.selected is not None
        assert screen.list.selected.hash == hashes[1]


async def test_a_long_history_is_read_page_after_page(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    double.versions("mail_digest", *[f"change {number}" for number in range(130)], at=NOW)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, double)
        assert len(screen.list.rows) == 50
        for count in (100, 130):
            await pilot.press("G")
            await until(pilot, lambda: len(screen.list.rows) == count)  # noqa: B023
        await pilot.press("G")
        await shows(pilot, "130 versions")
        await shows(pilot, "change 129")
        assert "and more" not in screen_text(app)


async def test_a_workflow_without_versions_says_so(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "v")
        await shows(pilot, "No version is kept yet")
        await pilot.press("b", "equals_sign", "enter", "j", "y")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))


def drawn_before(double: EngineDouble, version: str) -> None:
    """The version before had no node post, another condition, and another class Critic."""
    now = double.workflows["mail_digest"]
    nodes = [msgspec.structs.replace(node) for node in now.nodes if node.id != "post"]
    nodes[3].source = nodes[3].source.replace("return prepared", "return 1")
    nodes[0].config = {"days": 3}
    edges = [msgspec.structs.replace(edge) for edge in now.edges if edge.to_id != "post"]
    edges[-1].condition = "shared['digest']['score'] > 60"
    double.stored["mail_digest", version] = msgspec.structs.replace(now, nodes=nodes, edges=edges, version=version)


async def test_what_a_version_changed_is_drawn_on_the_graph(double: EngineDouble, app_on: AppOn) -> None:
    hashes = digest(double)
    drawn_before(double, hashes[1])
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, double)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, VersionsGraphScreen))
        screen = app.screen
        await until(pilot, lambda: screen.view_of_graph.drawing is not None)
        await shows(pilot, "3 nodes, 2 edges ─ + added ─ - removed ─ ~ changed")
        await shows(pilot, "+ post")
        assert f"versions › {hashes[1][:12]} → {hashes[0][:12]}" in screen_text(app)
        assert "~ critic" in screen_text(app)
        screen.view_of_graph.select("critic")
        await shows(pilot, "~ critic  is changed")
        await shows(pilot, "-        return 1")
        await shows(pilot, "~ critic → approve  shared['digest']")
        screen.view_of_graph.select("fetch")
        await shows(pilot, "- config {'days': 3}")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, VersionsScreen))
        await pilot.press("G", "o")
        await shows(pilot, "It is the first one")
