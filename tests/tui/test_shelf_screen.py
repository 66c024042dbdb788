"""Screen 1 acting on whole workflows: copies, the trash, undo; how tools stand; the inputs of the last run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, line_with, screen_text, shows, until
from textual.pilot import Pilot

from core.errors import UsageError
from core.link.chat_types import EditRow
from core.link.tool_types import ConnectionView, WorkflowTool
from core.link.usage_types import UsageView
from tui.app import RondoApp
from tui.screens import workflows_shelf
from tui.screens.confirm import ConfirmSheet
from tui.screens.inputs import InputsSheet
from tui.screens.name import NameSheet
from tui.screens.trash import TrashSheet
from tui.screens.workflows import WorkflowsScreen
from tui.widgets.entries import Field
from tui.widgets.footer import Notice

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture(autouse=True)
def no_key_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of a test come as fast as those of a held key, and are meant all the same."""
    monkeypatch.setattr(workflows_shelf, "HELD_SECONDS", 0.0)
    # What is said stays, so that a slow machine reads it too.
    monkeypatch.setattr(Notice, "HIDE_AFTER", {})


async def on(pilot: Pilot[Any], name: str) -> WorkflowsScreen:
    """Put the cursor on a workflow."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.table.shown)
    screen = app.screen
    screen.table.move_to([row.name for row in screen.table.shown].index(name))
    await until(pilot, lambda: screen.workflow_name == name)
    return screen


async def test_a_copy_is_made_under_the_name_that_is_given_and_selected(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on(pilot, "mail_digest")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, NameSheet))
        assert app.screen.line.value == "mail_digest_copy"
        await pilot.press(*"mail_import", "enter")
        await shows(pilot, "There is a workflow mail_import already")
        await pilot.press("ctrl+u", *"1st", "enter")
        await shows(pilot, "begins with a letter")
        await pilot.press("ctrl+u", *"digest_two", "enter")
        await shows(pilot, "digest_two is a copy of mail_digest; u takes it away again")
        await until(pilot, lambda: app.screen.workflow_name == "digest_two")
        await pilot.press("u")
        await shows(pilot, "Taken back: the copy digest_two")
        assert "digest_two" not in double.workflows
        await pilot.press("Z")
        await until(pilot, lambda: "digest_two" in double.workflows)


async def test_a_name_is_not_needed_after_all(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, "mail_digest")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, NameSheet))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
        assert "duplicate_workflow" not in double.calls


async def test_d_puts_a_workflow_into_the_trash_and_u_takes_it_out(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await on(pilot, "mail_digest")
        await pilot.press("u")
        await shows(pilot, "Nothing to take back")
        await pilot.press("d")
        await shows(pilot, "mail_digest is in the trash; u takes it out again")
        await until(pilot, lambda: all(row.name != "mail_digest" for row in screen.table.rows))
        assert screen.workflow_name == "mail_import", "the cursor stays on its line"
        await pilot.press("u")
        await shows(pilot, "Taken back: mail_digest into the trash")
        await until(pilot, lambda: screen.workflow_name == "mail_digest")
        await pilot.press("ctrl+r")
        await shows(pilot, "Done again: mail_digest into the trash")
        await until(pilot, lambda: all(row.name != "mail_digest" for row in screen.table.rows))
        assert len(double.trash) == 1
        await pilot.press("u")
        await until(pilot, lambda: any(row.name == "mail_digest" for row in screen.table.rows))
        assert double.trash == {}


async def test_a_change_that_was_applied_after_it_is_taken_back_first(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await on(pilot, "mail_archive")
        await pilot.press("d")
        await shows(pilot, "mail_archive is in the trash")
        await until(pilot, lambda: "mail_archive" not in screen.known_names)
        edit = EditRow(
            number=1, workflow="mail_digest", at=NOW + 1, author="assistant", title="More mail", before="a", after="b"
        )
        double.edits.append(edit)
        await on(pilot, "mail_digest")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        await shows(pilot, "More mail")
        await pilot.press("y")
        await until(pilot, lambda: edit.undone)
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("u")
        await until(pilot, lambda: "mail_archive" in double.workflows)


async def test_a_held_key_puts_one_workflow_into_the_trash_and_not_all(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.mail(double)
    monkeypatch.setattr(workflows_shelf, "HELD_SECONDS", 1e9)
    monkeypatch.setattr(WorkflowsScreen, "_last_trashed", -1e12)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await on(pilot, "mail_archive")
        await pilot.press("d")
        await until(pilot, lambda: len(screen.table.rows) == 4)
        await pilot.press("d", "d")
        await shows(pilot, "Not again so soon")
        assert len(double.trash) == 1


async def test_the_trash_shows_what_is_in_it_and_enter_takes_it_out(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await on(pilot, "mail_digest")
        await pilot.press("T")
        await shows(pilot, "The trash is empty")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        for name in ("mail_archive", "mail_import"):
            await on(pilot, name)
            await pilot.press("d")
            await shows(pilot, f"{name} is in the trash")
            await until(pilot, lambda: name not in screen.known_names)  # noqa: B023
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, TrashSheet))
        await shows(pilot, "mail_archive")
        await pilot.press("j", "enter")
        await shows(pilot, "mail_archive is back")
        await until(pilot, lambda: app.screen is screen and screen.workflow_name == "mail_archive")
        assert "mail_import" not in double.workflows
        await pilot.press("u")
        await until(pilot, lambda: "mail_archive" not in double.workflows)


async def test_what_the_engine_refuses_is_said_and_changes_nothing(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on(pilot, "mail_digest")
        double.problems["trash_workflow"] = UsageError(
            "mail_digest is in use: run 7f3a09c1 is running.", cause="Its nodes may read files.", next_step="Wait."
        )
        await pilot.press("d")
        await shows(pilot, "mail_digest is in use")
        await shows(pilot, "Wait.")
        assert app.deeds.last is None
        double.problems["restore_workflow"] = UsageError("The place is taken.", next_step="Move it.")
        await pilot.press("d")
        await shows(pilot, "mail_digest is in the trash")
        await pilot.press("u")
        await shows(pilot, "The place is taken.")
        # It can be tried again.
        await pilot.press("escape", "u")
        await until(pilot, lambda: "mail_digest" in double.workflows)


def tools(double: EngineDouble) -> None:
    scenes.mail(double)
    gmail = ConnectionView(
        id="1", app="gmail", provider="composio", state="ACTIVE", account="me@example.org", expires_at=NOW + 2 * 86_400
    )
    slack = ConnectionView(id="2", app="slack", provider="composio", state="ACTIVE")
    double.tool_views["mail_digest"] = [
        WorkflowTool(name="gmail", app="gmail", provider="composio", connection=gmail),
        WorkflowTool(name="slack", app="slack", provider="composio", connection=slack),
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


async def test_each_line_says_how_its_tools_stand(double: EngineDouble, app_on: AppOn) -> None:
    tools(double)
    app = app_on(double)
    async with app.run_test(size=(140, 40)) as pilot:
        await on(pilot, "mail_digest")
        await shows(pilot, "gmail !  slack ✓")
        assert "gmail: connection expires in 2 d" in line_with(app, "gmail !")
        await shows(pilot, "notion ✗")
        assert "notion: No account is connected." in line_with(app, "mail_triage")
        assert "TOOLS" in screen_text(app)
        await shows(pilot, "tool   gmail ! connected as me@example.org, expires in 2 d")
        await shows(pilot, "tool   slack ✓ connected")
        await on(pilot, "mail_triage")
        await shows(pilot, "rondo authenticate-tool notion")
        double.tool_views["mail_triage"] = [WorkflowTool(name="notion", app="notion", provider="direct")]
        double.change_workflow("mail_triage")
        await shows(pilot, "notion ✓")


async def test_tools_that_can_not_be_asked_about_keep_their_names(double: EngineDouble, app_on: AppOn) -> None:
    tools(double)
    double.problems["workflow_tools"] = UsageError("no")
    app = app_on(double)
    async with app.run_test(size=(140, 40)) as pilot:
        await on(pilot, "mail_archive")
        await shows(pilot, "notion ✗")
        await until(pilot, lambda: double.calls.count("workflow_tools") == 2)
        assert "gmail  slack" in line_with(app, "mail_digest")
        assert "no" not in [app.screen.notice.text]


async def test_a_small_screen_has_no_column_for_tools(double: EngineDouble, app_on: AppOn) -> None:
    tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, "mail_digest")
        await shows(pilot, "tool   slack ✓ connected")
        assert "TOOLS" not in screen_text(app)


async def test_the_pane_says_what_a_run_costs(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    for number, cost in enumerate((0.02, 0.04)):
        run = double.run("mail_archive", created_at=NOW - 100 - number)
        run.usage = UsageView(calls=3, cost=cost)
        double.finish(run)
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await on(pilot, "mail_archive")
        await shows(pilot, "$0.03 a run")


async def test_a_run_with_inputs_offers_those_of_the_last_run(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    last = double.run("mail_digest", created_at=NOW - 180)
    last.inputs = {"since": "2025-12-24", "channel": "#me", "limit": 7}
    last.created_at = NOW - 20
    double.finish(last)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on(pilot, "mail_digest")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await shows(pilot, "As the last run, 20s ago. f5 puts the defaults here.")
        assert "2025-12-24" in screen_text(app)
        await pilot.press("f5")
        await shows(pilot, "2026-01-01")
        await hides(pilot, "2025-12-24")
        await pilot.press("f5")
        await shows(pilot, "2025-12-24")
        await until(pilot, lambda: app.focused is not None and app.focused is app.screen.query(Field).first().entry)
        await pilot.press("tab", "tab", "ctrl+u", *"8", "enter")
        await until(pilot, lambda: len(double.runs) == 6)
        assert list(double.runs.values())[-1].inputs == {"since": "2025-12-24", "channel": "#me", "limit": 8}


async def test_without_a_schema_the_first_state_is_the_form(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("plain", ["a"], initial_state={"who": "Ada", "times": 2})
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on(pilot, "plain")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await shows(pilot, "Ada")
        assert "last run" not in screen_text(app)
        await pilot.press("ctrl+u", *"Bo", "enter", "enter")
        await until(pilot, lambda: len(double.runs) == 1)
        assert next(iter(double.runs.values())).inputs == {"who": "Bo", "times": 2}


async def test_the_trash_is_emptied_once_one_agrees(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on(pilot, "mail_digest")
        await pilot.press("d")
        await until(pilot, lambda: double.trash)
        await pilot.press("T")
        await shows(pilot, "D empty")
        await pilot.press("D")
        await shows(pilot, "Remove 1 workflow for good?")
        await until(pilot, lambda: getattr(app.screen, "armed", False))
        assert double.trash
        await pilot.press("y")
        await until(pilot, lambda: not double.trash)
        await shows(pilot, "1 workflow removed from the trash for good")
