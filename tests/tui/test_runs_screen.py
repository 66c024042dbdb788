"""Screen 3: all runs: a window on them, filters, marks, commands for many, two compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from runs_double import ManyRunsDouble
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.link.commands import ManyRuns
from core.link.retention_types import Prune
from tui.app import RondoApp
from tui.run_filter import BadFilter, complete_filter, parse_filter
from tui.run_rows import CAPACITY
from tui.screens.confirm import ConfirmSheet
from tui.screens.read import ReadSheet
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture
def double() -> ManyRunsDouble:
    return ManyRunsDouble()


async def open_runs(pilot: Pilot[Any]) -> RunsScreen:
    """To the list, once it is read."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.table.loaded)
    assert isinstance(app.screen, RunsScreen)
    return app.screen


async def agree(pilot: Pilot[Any], question: str) -> None:
    await shows(pilot, question)
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmSheet) and pilot.app.screen.armed)
    await pilot.press("y")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_picture_of_runs(
    size: tuple[int, int], double: ManyRunsDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await open_runs(pilot)
        await pilot.press("j", "space", "space")
        await shows(pilot, "* 2 marked")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


async def test_many_runs_are_a_window_that_does_not_grow(double: ManyRunsDouble, app_on: AppOn) -> None:
    double.workflow("loop", ["a"])
    for number in range(1_500):
        double.run("loop", run_id=f"run-{number:08}", created_at=NOW - 10_000 + number, status="completed")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_runs(pilot)
        window = screen.table.window
        await shows(pilot, "00001499")
        for _ in range(60):
            await pilot.press("pagedown")
            if len(window) == CAPACITY and not window.at_start:
                break
        await until(pilot, lambda: not window.at_start and len(window) == CAPACITY)
        assert all(one.number - 1 == other.number for one, other in zip(window.rows, window.rows[1:], strict=False))
        await pilot.press("G")
        await shows(pilot, "00000000")
        assert window.at_end and len(window) <= CAPACITY
        await pilot.press("home")
        await shows(pilot, "00001499")
        assert screen.table.cursor == 0


async def test_a_change_draws_its_own_line_and_the_cursor_stays_on_its_run(
    double: ManyRunsDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_runs(pilot)
        await pilot.press("j")
        await settled(pilot)
        whole: list[None] = []
        monkeypatch.setattr(screen.table, "lines_changed", lambda: whole.append(None))
        double.finish(run, "failed")
        await until(pilot, lambda: "failed" in line_with(app, "7f3a09c1"))
        assert whole == []
        monkeypatch.undo()
        assert screen.table.selected is not None and screen.table.selected.workflow == "mail_triage"
        double.run("mail_archive", run_id="another-run-dddd0009")
        await shows(pilot, "dddd0009")
        assert screen.table.selected.workflow == "mail_triage" and screen.table.cursor == 2
        # A filter on the status lets go what has it no more, and takes up what got it.
        await pilot.press("slash", *"status:running", "enter")
        await until(pilot, lambda: [row.short_id for row in screen.table.window.rows] == ["dddd0009"])
        double.begin(run, "post")
        await shows(pilot, "7f3a09c1")
        double.finish(double.runs["another-run-dddd0009"])
        await hides(pilot, "dddd0009")


async def test_filters_say_what_is_wrong_and_esc_shows_all_again(double: ManyRunsDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_runs(pilot)
        await pilot.press("slash", *"mail_t")
        await until(pilot, lambda: [row.workflow for row in screen.table.window.rows] == ["mail_triage"])
        await pilot.press("ctrl+u", *"status:what")
        await shows(pilot, "no status what")
        await pilot.press("ctrl+u", *"after:1h status:comp", "right")
        await until(pilot, lambda: screen.filter_line.text == "after:1h status:completed")
        await shows(pilot, "No run matches.")
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.table.window) == 4)
        await pilot.press("colon", *"runs mail_import", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen is not screen)
        await shows(pilot, "workflow:mail_import")
        await hides(pilot, "mail_archive")
        assert line_with(app, "bbbb0002")


def test_what_a_filter_means() -> None:
    query = parse_filter("mail 7f3a status:waiting workflow:a after:2h before:2026-01-01", NOW)
    assert (query.words, query.status, query.workflow) == (["mail", "7f3a"], "waiting_input", "a")
    assert query.created_after == NOW - 7200 and query.created_before is not None
    for wrong in ("after:soon", "status:x", "before:", "after:99999999w", "before:2026-13-01"):
        with pytest.raises(BadFilter):
            parse_filter(wrong, NOW)
    assert complete_filter("x sta", []) == "x status:"
    assert complete_filter("workflow:mail_t", ["mail_digest", "mail_triage"]) == "workflow:mail_triage"
    assert complete_filter("", []) is None


async def test_marked_runs_are_cancelled_after_a_question_and_each_says_what_came_of_it(
    double: ManyRunsDouble, app_on: AppOn
) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_runs(pilot)
        await pilot.press("asterisk", "x")
        await shows(pilot, "Cancel 4 runs?")
        assert all(name in screen_text(app) for name in ("7f3a09c1", "aaaa0001"))
        assert double.sent == [], "it asks first"
        await agree(pilot, "Cancel 4 runs?")
        await shows(pilot, "cancel: 4 runs, 2 refused it")
        assert "The run has ended: completed." in line_with(app, "✗ refused")
        assert "⊘ cancelled" in screen_text(app) and run.status == "cancelled"
        await pilot.press("escape")
        still_marked = {row.short_id for row in screen.table.marked.values()}
        assert still_marked == {"aaaa0001", "bbbb0002"}, "those that refused it"
        await pilot.press("escape")
        await hides(pilot, "marked")


async def test_a_retry_asks_before_nodes_that_write_act_again(double: ManyRunsDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    double.finish(run, "failed")
    double.writes.add(run.id)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_runs(pilot)
        await pilot.press("t")
        await agree(pilot, "May they act again in 1 run?")
        await shows(pilot, "Run 7f3a09c1 is running (retry)")
        assert [sent.acknowledge_effects for sent in double.sent if isinstance(sent, ManyRuns)] == [False, True]


async def test_runs_are_removed_after_a_look_at_the_list(double: ManyRunsDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_runs(pilot)
        await pilot.press("asterisk", "d")
        await shows(pilot, "Remove 2 runs for good?")
        assert "it has not ended: waiting_input" in screen_text(app)
        await agree(pilot, "Remove 2 runs for good?")
        await shows(pilot, "2 runs removed, 1.0 MB given back")
        await until(pilot, lambda: [row.short_id for row in screen.table.window.rows] == ["7f3a09c1", "cccc0003"])
        assert [sent.dry_run for sent in double.sent if isinstance(sent, Prune)] == [True, False]


async def test_two_marked_runs_are_compared_and_enter_opens_one(double: ManyRunsDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_runs(pilot)
        await pilot.press("equals_sign")
        await shows(pilot, "Mark two runs with space")
        await pilot.press("space")
        await shows(pilot, "space mark  = compare")
        await pilot.press("equals_sign")
        await until(pilot, lambda: isinstance(app.screen, ReadSheet))
        await shows(pilot, "cccc0003 and 7f3a09c1 of mail_triage and mail_digest")
        assert "differ" in line_with(app, "state  ") and "+" in line_with(app, "shared['since']")
        await pilot.press("escape", "escape", "escape", "home", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == run.id)
        assert screen.table.marked == {}


async def test_without_any_run_it_says_what_to_press(double: ManyRunsDouble, app_on: AppOn) -> None:
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_runs(pilot)
        await shows(pilot, "No runs yet.")
        await pilot.press("x")
        await shows(pilot, "There is no run to act on")
