"""The app's frame: it opens, connects, tells how the engine is, and leads around."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scenes
from engine_double import EngineDouble
from looking import hides, press_twice, screen_text, settled, shows, until

from core.errors import DatabaseDamaged, EngineLost
from core.link.engine_types import UncleanEnd
from core.link.event_types import EngineChanged
from tui.actions import registry
from tui.app import RondoApp
from tui.navigation import Place
from tui.screens.command import CommandSheet
from tui.screens.help import HelpList
from tui.screens.workflows import WorkflowsScreen
from tui.widgets.header import Headline

AppOn = Callable[[EngineDouble], RondoApp]


async def test_the_header_says_how_the_engine_is(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    async with app_on(double).run_test(size=(100, 24)) as pilot:
        await shows(pilot, "engine ● idle   ◐ 2 (i)")
        double.begin(run, "post")
        await shows(pilot, "engine ● 1 running")
        double.lose()
        await shows(pilot, "engine ✗ lost, reconnecting")
        double.return_again()
        await shows(pilot, "engine ● 1 running")
        await shows(pilot, "Connected to the engine again")


async def test_what_a_person_has_to_mend_is_said_with_the_next_step(double: EngineDouble, app_on: AppOn) -> None:
    double.connected = False
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "engine … connecting")
        await shows(pilot, "Connecting to the engine…")
        await until(pilot, lambda: double.queues)
        double.problem = DatabaseDamaged("The database is damaged.", cause="Page 3 is torn.", next_step="Restore it.")
        double.lose("The database is damaged.")
        await shows(pilot, "Restore it.")
        assert "Page 3 is torn." in screen_text(app)


async def test_an_engine_that_had_died_is_spoken_of_once(double: EngineDouble, app_on: AppOn) -> None:
    double.unclean_end = UncleanEnd(
        id="e", pid=77, started_at=1, last_sign_at=2, found_at=3, cause="The machine lost power.", runs=[], run_count=2
    )
    async with app_on(double).run_test(size=(100, 24)) as pilot:
        await shows(pilot, "The engine had died (pid 77); 2 runs taken up again. The machine lost power.")
        await until(pilot, lambda: double.unclean_end is not None and double.unclean_end.seen)
    assert double.calls.count("see_unclean_end") == 1
    async with app_on(double).run_test(size=(100, 24)) as pilot:
        await shows(pilot, "engine ●")
        assert "had died" not in screen_text(pilot.app)


async def test_a_connection_that_comes_back_by_itself_is_only_in_the_header(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        double.problem = EngineLost("The connection broke.")
        double.lose("The connection broke.")
        await shows(pilot, "lost, reconnecting")
        assert "The connection broke." not in screen_text(app)


async def test_an_engine_that_was_stopped_is_not_called_lost_nor_asked_again(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await shows(pilot, "engine ● idle")
        await settled(pilot)
        double.send(EngineChanged(state="stopping"))
        await shows(pilot, "stopping")
        calls = len(double.calls)
        double.lose()
        await shows(pilot, "engine ○ stopped")
        assert len(double.calls) == calls


async def test_what_is_missed_in_a_gap_is_read_again(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    async with app_on(double).run_test(size=(100, 24)) as pilot:
        await shows(pilot, "mail_digest")
        double.lose()
        double.workflow("added_meanwhile", ["a"])
        double.return_again()
        await shows(pilot, "added_meanwhile")


async def test_q_goes_back_and_quits_at_the_first_screen(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("4")
        await shows(pilot, "steps")
        await pilot.press("q")
        await shows(pilot, "NODES")
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: app.return_value == 0 or not app.is_running)


async def test_escape_never_quits(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("question_mark")
        await shows(pilot, "keys of this view")
        for _ in range(6):
            await pilot.press("escape")
        await hides(pilot, "keys of this view")
        assert isinstance(app.screen, WorkflowsScreen)


async def test_control_c_ends_nothing_and_says_how_to_leave(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("ctrl+c")
        await shows(pilot, "Press q to leave")
        assert app.is_running
        assert run.status == "waiting_input"
        await pilot.press("escape")
        await hides(pilot, "Press q to leave")


async def test_numbers_and_dash_lead_between_screens(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j", "4")
        await shows(pilot, "run 7f3a09c1")
        await pilot.press("1")
        await shows(pilot, "NODES")
        await pilot.press("minus")
        await shows(pilot, "run 7f3a09c1")
        await pilot.press("minus")
        await shows(pilot, "NODES")
        assert app.place == Place("workflows")
        assert len(app.screen_stack) == 1


async def test_help_shows_the_keys_of_this_view_only_and_does_the_chosen_one(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 50)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("question_mark")
        await shows(pilot, "keys of this view")
        text = screen_text(app)
        assert "Keep workflows whose name matches" in text
        assert "Keep the newest log lines in view" not in text
        await pilot.press("slash", *"filter", "enter")
        await until(pilot, lambda: isinstance(app.focused, HelpList))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen) and app.screen.filter_line.typing)


async def test_the_command_line_completes_does_and_remembers(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("colon", *"show 7f3", "tab")
        await shows(pilot, "show 7f3a09c1")
        await pilot.press("enter")
        await shows(pilot, "run 7f3a09c1")
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, CommandSheet))
        await shows(pilot, "show 7f3a09c1")
        await pilot.press("backspace")
        await until(pilot, lambda: not isinstance(app.screen, CommandSheet))


async def test_a_mistyped_command_is_said_while_it_is_typed(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("colon", *"rnu hello", "enter")
        await shows(pilot, "There is no command rnu. Did you mean run?")
        assert isinstance(app.screen, CommandSheet)
        await pilot.press("ctrl+u", *"gra")
        await shows(pilot, "To the graph of the workflow")
        assert "There is no command" not in screen_text(app)


async def test_the_header_names_the_run_where_there_is_room_for_little(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        app.headline = Headline("connected", running=2, questions=12, cost="$12.34 today")
        await pilot.press("colon", *"show 7f3a09c1", "enter")
        await until(pilot, lambda: "run 7f3a09c1" in screen_text(app).splitlines()[0])


async def test_an_unknown_run_is_said_and_harms_nothing(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("colon", *"show 12345678", "enter")
        await shows(pilot, "There is no run 12345678")
        await pilot.press("q")
        await shows(pilot, "NODES")


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_each_action_of_the_view_is_offered_by_the_line_and_the_palette(
    key: str, double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "mail_digest")
        expected = {found.id for found in registry if app.target_of(found) is not None}
        assert {"list.filter", "run.start", "move.down", "app.quit"} <= expected
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, CommandSheet))
        sheet = app.screen
        assert isinstance(sheet, CommandSheet)
        for action_id in sorted(expected):
            sheet.line.value = action_id
            await until(pilot, lambda wanted=action_id: wanted in {entry.action.id for entry in sheet.completions()})


async def test_why_a_key_does_nothing_is_said(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No workflows yet.")
        await pilot.press("r")
        await shows(pilot, "Select a workflow first")
        await pilot.press("4")
        await shows(pilot, "No run yet")
        await pilot.press("minus")
        await shows(pilot, "No other screen was open yet")


async def test_a_doubled_key_and_the_same_key_alone(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("G")
        table = app.screen.query_exactly_one("#workflows")
        await until(pilot, lambda: table.cursor == 4)
        await press_twice(pilot, "g")
        await until(pilot, lambda: table.cursor == 0)
        assert isinstance(app.screen, WorkflowsScreen)


async def test_stopping_the_engine_is_asked_for_and_leaves(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("colon", *"engine stop", "enter")
        await shows(pilot, "End the engine and leave?")
        await until(pilot, lambda: app.screen.armed)
        await pilot.press("enter")
        assert "stop_engine" not in double.calls
        await pilot.press("y")
        await until(pilot, lambda: "stop_engine" in double.calls)
        await until(pilot, lambda: not double.opened)
