"""Screen 1: the list of workflows, running them, and asking before something unapproved runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until

from core.errors import DefinitionError, InvalidInput
from core.link.workflow_types import FindingView
from tui.app import RondoApp
from tui.screens import sheet as sheet_module
from tui.screens.confirm import ConfirmSheet
from tui.screens.consent import ConsentSheet
from tui.screens.inputs import InputsSheet
from tui.screens.run import RunScreen
from tui.screens.workflows import WorkflowsScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def test_each_workflow_has_a_line_that_says_how_it_is(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "mail_digest")
        assert "◐ waiting   approve" in line_with(app, "mail_digest")
        assert "✓ completed" in line_with(app, "mail_archive")
        assert "2h ago" in line_with(app, "mail_archive")
        assert "✗ failed    parse" in line_with(app, "mail_import")
        assert "E104 nodes.py:41" in line_with(app, "mail_import")
        assert "never" in line_with(app, "mailing_list")
        assert "! not approved" in line_with(app, "mailing_list")


async def test_the_pane_tells_of_the_selected_workflow(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "Archives what was read.")
        await pilot.press("j")
        await shows(pilot, "fetch → sort → summarise ⇄ critic → approve → post")
        await shows(pilot, "inputs: since (date), channel* (string), limit (integer)")
        await pilot.press("j")
        await shows(pilot, "Did you mean Parse?")
        await pilot.press("G")
        await shows(pilot, "(never approved, 1 file): r shows it and asks")


async def test_a_long_list_scrolls_with_the_cursor(double: EngineDouble, app_on: AppOn) -> None:
    for number in range(60):
        double.workflow(f"flow_{number:02}", ["a"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "flow_00")
        await pilot.press("G")
        await shows(pilot, "flow_59")
        await hides(pilot, "flow_00")
        await pilot.press("ctrl+u", "ctrl+u", "ctrl+u", "ctrl+u", "ctrl+u", "ctrl+u", "ctrl+u", "ctrl+u")
        await shows(pilot, "flow_00")


async def test_a_filter_keeps_what_matches_until_escape(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("slash", *"imp")
        await shows(pilot, "1 of 5 workflows")
        assert "mail_digest" not in screen_text(app)
        await pilot.press("enter", "j")
        assert "mail_import" in screen_text(app)
        await pilot.press("escape")
        await shows(pilot, "mail_digest")
        await pilot.press("slash", *"zzz")
        await shows(pilot, "Nothing matches.")
        await pilot.press("escape")
        await shows(pilot, "mail_digest")


async def test_keys_typed_into_the_filter_are_not_commands(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("slash", *"rRqx1")
        await settled(pilot)
        assert "start_run" not in double.calls
        assert isinstance(app.screen, WorkflowsScreen)


async def test_a_saved_change_is_seen_at_once_and_the_selection_stays(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "j")
        double.workflow("aaa_first", ["a"])
        double.change_workflow("mail_import", findings=[])
        await shows(pilot, "aaa_first")
        await hides(pilot, "E104")
        assert app.screen.workflow_name == "mail_import"


async def test_a_run_of_another_client_moves_its_line(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "mail_archive")
        run = double.run("mail_archive", created_at=NOW - 3)
        double.begin(run, "fetch")
        await until(pilot, lambda: "● running   fetch" in line_with(app, "mail_archive"))
        double.finish(run)
        await until(pilot, lambda: "✓ completed" in line_with(app, "mail_archive"))


async def test_r_runs_and_shows_the_run(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["ask", "greet"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "hello")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await shows(pilot, "● running")
        assert len(double.runs) == 1


async def test_what_was_typed_for_something_else_agrees_to_nothing(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keys count after half a second; here, however slow this machine is, they come before that.
    monkeypatch.setattr(sheet_module, "GRACE_SECONDS", 3600)
    double.workflow("foreign", ["a"], approved=False)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConsentSheet))
        await pilot.press("y", "T", "enter")
        assert isinstance(app.screen, ConsentSheet)
        assert not {"approve", "trust_workspace", "start_run"} & set(double.calls)


async def test_an_unapproved_version_runs_only_after_consent(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("foreign", ["a"], approved=False)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await shows(pilot, "Let foreign run?")
        await shows(pilot, "+class A(Node):")
        sheet = app.screen
        assert isinstance(sheet, ConsentSheet)
        await until(pilot, lambda: sheet.armed)
        assert "approve" not in double.calls
        await pilot.press("enter", "space")
        assert app.screen is sheet
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert "approve" in double.calls


async def test_a_change_since_the_approval_is_told_in_a_small_terminal(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("foreign", ["a"], approved=False)
    double.approvals["foreign"].previous = "v0"
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "! not approved (changed since it was approved, 1 file): r shows it and asks")


async def test_code_that_lies_beyond_the_edge_is_marked_and_can_be_reached(double: EngineDouble, app_on: AppOn) -> None:
    code = "+print('a')" + " " * 300 + "; steal_everything()"
    double.workflow("foreign", ["a"], approved=False, diff=f"@@ -0,0 +1,2 @@\n{code}\n+short = 1\n")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await shows(pilot, "print('a')")
        assert line_with(app, "print('a')").rstrip().endswith("›")
        assert "›" not in line_with(app, "short = 1")
        await pilot.press(*["l"] * 32)
        await shows(pilot, "; steal_everything()")
        line = line_with(app, "; steal_everything()").strip()
        assert line.startswith("‹")
        assert not line.endswith("›")


async def test_refusing_runs_nothing(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("foreign", ["a"], approved=False)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConsentSheet) and app.screen.armed)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
        assert "start_run" not in double.calls
        assert "approve" not in double.calls


async def test_a_workspace_can_be_trusted_at_the_first_question(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("foreign", ["a"], approved=False)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConsentSheet) and app.screen.armed)
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert "trust_workspace" in double.calls


async def test_a_diff_can_not_write_to_the_terminal(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("foreign", ["a"], approved=False)
    double.approvals["foreign"].changes[0].diff = "+print('\x1b]52;c;aGk=\x07 [red]x[/red]')\n"
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "foreign")
        await pilot.press("r")
        await shows(pilot, "␛]52;c;aGk=␇ [red]x[/red]")


async def test_a_broken_folder_offers_its_last_good_version(double: EngineDouble, app_on: AppOn) -> None:
    finding = FindingView(code="E109", severity="error", message="Syntax error.", file="nodes.py", line=3)
    double.workflow("broken", ["a"], findings=[finding])
    double.workflows["broken"].last_good = "0123456789abcdef"
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "broken")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet) and app.screen.armed)
        assert "01234567" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_a_broken_folder_without_a_good_version_says_so(double: EngineDouble, app_on: AppOn) -> None:
    finding = FindingView(code="E109", severity="error", message="Syntax error.", file="nodes.py", line=3)
    double.workflow("broken", ["a"], findings=[finding], version=None)
    double.workflows["broken"].last_good = None
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "broken")
        await pilot.press("r")
        await shows(pilot, "there is no earlier version to run")
        assert "start_run" not in double.calls


async def test_what_the_engine_refuses_is_said_with_cause_and_next_step(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["a"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "hello")
        double.problems["start_run"] = DefinitionError("It can't run.", cause="For this reason.", next_step="Do that.")
        await pilot.press("r")
        await shows(pilot, "starting hello: It can't run.")
        await shows(pilot, "For this reason.")
        await shows(pilot, "Do that.")


async def test_inputs_are_asked_for_and_given_to_the_run(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "R")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await shows(pilot, "2026-01-01")
        await pilot.press("tab", "right", "space", "tab", "ctrl+u", *"many", "enter")
        await shows(pilot, "a whole number is needed")
        await pilot.press("ctrl+u", *"7", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        run = list(double.runs.values())[-1]
        assert run.inputs == {"since": "2026-01-01", "channel": "#me", "limit": 7}


async def test_inputs_the_engine_refuses_are_asked_for_again_with_the_reason(
    double: EngineDouble, app_on: AppOn
) -> None:
    double.workflow(
        "needs", ["a"], inputs={"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]}
    )
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "needs")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, InputsSheet))
        await shows(pilot, "who is missing.")
        double.problems["start_run"] = InvalidInput("who is too short.")
        await pilot.press(*"A", "enter")
        await shows(pilot, "who is too short.")
        assert "\n › A" in screen_text(app)
        await pilot.press(*"da", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert list(double.runs.values())[-1].inputs == {"who": "Ada"}


@contextmanager
def _not_suspended() -> Iterator[None]:
    yield


async def test_e_opens_the_editor_on_the_code(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.mail(double)
    app = app_on(double)
    opened: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command: opened.append(command) or 0)
    monkeypatch.setattr(app, "suspend", _not_suspended)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "Archives what was read.")
        await pilot.press("e")
        await shows(pilot, "No editor is set.")
        monkeypatch.setenv("EDITOR", "no-such-editor-anywhere")
        await pilot.press("e")
        await shows(pilot, "no-such-editor-anywhere is not installed")
        monkeypatch.setenv("EDITOR", "true")
        await pilot.press("e")
        await until(pilot, lambda: opened)
        assert opened == [["true", "/home/me/flows/workflows/mail_archive/nodes.py"]]


async def test_enter_opens_the_last_run(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "enter")
        await shows(pilot, "run 7f3a09c1")


async def test_y_copies_the_name_to_terminal_and_file(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "y")
        await shows(pilot, "Copied 11 B; also in")
        assert app.clipboard == "mail_digest"


async def test_zoom_shows_one_pane_alone(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "Archives what was read.")
        await pilot.press("plus")
        await hides(pilot, "Archives what was read.")
        await pilot.press("plus")
        await shows(pilot, "Archives what was read.")
        await pilot.press("tab", "plus")
        await hides(pilot, "NODES")
        double.workflow("later", ["a"])
        double.change_workflow("mail_triage")
        await until(pilot, lambda: any(row.name == "later" for row in app.screen.table.rows))
        assert "NODES" not in screen_text(app) and not app.screen.table.display
        await hides(pilot, "NODES")
        await pilot.press("plus")
        await shows(pilot, "NODES")


async def test_what_the_assistant_assumed_stands_with_the_workflow(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("hello", ["greet"])
    double.change_workflow("hello", assumptions=["Names are written in Latin letters."])
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "assumes: Names are written in Latin letters.")
