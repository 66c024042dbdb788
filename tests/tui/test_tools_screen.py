"""Screen 7: apps found, their accounts seen and given up, and their actions tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.errors import EngineLost, NotConnected
from core.link.event_types import ToolsChanged
from tui.app import RondoApp
from tui.screens.confirm import ConfirmSheet
from tui.screens.read import ReadSheet
from tui.screens.tool_try import TrySheet
from tui.screens.tools import ToolsScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def open_tools(pilot: Pilot[Any], app_name: str = "") -> ToolsScreen:
    """To the apps, once they are read; with a name to what that app can do."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    await pilot.press("7")
    await until(pilot, lambda: isinstance(app.screen, ToolsScreen) and app.screen.table.loaded)
    screen = app.screen
    assert isinstance(screen, ToolsScreen)
    if app_name:
        names = [row.name for row in screen.table.shown]
        screen.table.move_to(names.index(app_name))
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane.has_focus and screen.detail is not None)
    return screen


async def agree(pilot: Pilot[Any]) -> None:
    """Say yes to the question that is on top, once it hears keys."""
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmSheet) and pilot.app.screen.armed)
    await pilot.press("y")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", ["list", "app", "form"])
async def test_picture_of_the_tools(
    scene: str, size: tuple[int, int], double: EngineDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.mail(double)
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await open_tools(pilot, "" if scene == "list" else "gmail")
        if scene == "form":
            await shows(pilot, "send_email")
            await pilot.press("t")
            await shows(pilot, "recipient_email *")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


async def test_picture_of_the_tools_in_a_light_theme(
    double: EngineDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.mail(double)
    scenes.tools(double)
    app = app_on(double)
    app.theme = "textual-light"
    async with app.run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


async def test_without_any_provider_it_says_what_to_set(double: EngineDouble, app_on: AppOn) -> None:
    double.tool_notes = ["composio: There is no key for Composio. Set it: rondo secrets set COMPOSIO_API_KEY"]
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await shows(pilot, "No apps yet.")
        assert "! composio: There is no key for Composio." in screen_text(pilot.app)
        await pilot.press("C", "t", "d")
        assert line_with(pilot.app, "! There is no app to act on")  # type: ignore[arg-type]
        double.app("gmail")
        await pilot.press("A")
        await shows(pilot, "▌gmail")


async def test_apps_are_found_by_words_and_by_what_one_uses(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    async with app_on(double).run_test(size=(120, 40)) as pilot:
        screen = await open_tools(pilot)
        await pilot.press("slash", *"shared", "enter")
        await until(pilot, lambda: [row.name for row in screen.table.shown] == ["airtable"])
        assert "1 of 7 apps" in screen_text(pilot.app)
        await pilot.press("escape", "m")
        await until(pilot, lambda: [row.name for row in screen.table.shown] == ["gmail", "slack"])
        await pilot.press("m", "slash", *"ma")
        await until(pilot, lambda: {"gmail", "slack"} <= {row.name for row in screen.table.shown})
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.table.shown) == 7)


async def test_a_thousand_apps_come_in_parts_and_all_are_found(double: EngineDouble, app_on: AppOn) -> None:
    for number in range(1000):
        double.app(f"app{number:04}")
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        screen = await open_tools(pilot)
        await until(pilot, lambda: len(screen.table.rows) == 1000)
        assert double.calls.count("list_tools") == 4
        await pilot.press("G")
        await shows(pilot, "▌app0999")
        await pilot.press("slash", *"0517", "enter")
        await until(pilot, lambda: [row.name for row in screen.table.shown] == ["app0517"])


async def test_a_thousand_actions_of_an_app_come_in_parts_and_all_are_found(
    double: EngineDouble, app_on: AppOn
) -> None:
    double.app("gmail", actions=1000)
    for number in range(1000):
        double.action("gmail", f"action_{number:04}")
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        screen = await open_tools(pilot, "gmail")
        assert screen.detail is not None and len(screen.detail.actions) == 1000
        assert double.calls.count("get_tool") == 4
        await pilot.press("slash", *"0517", "enter")
        await until(pilot, lambda: screen.pane.action is not None and screen.pane.action.name == "action_0517")


async def test_what_is_old_is_shown_with_its_age_and_asked_anew(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    double.tools_age = 3 * 3600.0
    double.tool_notes = ["composio can't be reached; this is from 3 hours ago."]
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await shows(pilot, "! composio can't be reached; this is from 3 hours ago.")
        await shows(pilot, "The list is as of 3 h ago; A asks anew.")
        double.tool_notes = []
        await pilot.press("A")
        await hides(pilot, "as of 3 h ago; A asks anew")


async def test_a_list_that_was_read_a_while_ago_is_no_warning(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    double.tools_age = 300.0
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await shows(pilot, "▌gmail")
        assert "A asks anew" not in screen_text(pilot.app)


async def test_an_account_that_goes_elsewhere_is_seen(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        screen = await open_tools(pilot, "gmail")
        await shows(pilot, "● connected  me@example.org")
        double.accounts = [one for one in double.accounts if one.app != "gmail"]
        double.send(ToolsChanged(app="gmail"))
        await shows(pilot, "account  ○ no account  C connects one")
        assert screen.selected is not None and screen.selected.name == "gmail"


async def test_the_cursor_stays_on_its_action_when_an_account_changes(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    async with app_on(double).run_test(size=(120, 40)) as pilot:
        screen = await open_tools(pilot, "gmail")
        await until(pilot, lambda: screen.pane.action is not None)
        await pilot.press("j", "j")
        chosen = screen.pane.action
        assert chosen is not None
        double.accounts = [one for one in double.accounts if one.app != "gmail"]
        double.send(ToolsChanged(app="gmail"))
        await shows(pilot, "account  ○ no account  C connects one")
        assert screen.pane.action is not None and screen.pane.action.name == chosen.name


async def test_an_account_is_given_up_after_a_yes(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_tools(pilot, "gmail")
        await pilot.press("d")
        await shows(pilot, "Used by mail_digest.")
        await agree(pilot)
        await shows(pilot, "gmail: 1 account given up")
        assert [one.app for one in double.accounts] == ["slack"]


async def test_an_action_that_reads_is_tried_and_its_result_searched_and_copied(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.tools(double)
    double.on_call = lambda action, arguments: {"mails": [{"subject": f"Mail {n}"} for n in range(50)]}
    app = app_on(double)
    copied: list[str] = []
    monkeypatch.setattr(app, "copy", copied.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_tools(pilot, "gmail")
        await shows(pilot, "fetch_emails")
        await pilot.press("slash", *"fetch", "enter")
        await hides(pilot, "list_labels")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrySheet) and app.focused is not None)
        await pilot.press("backspace", "x", "enter")
        await shows(pilot, "number is needed")
        assert not double.called_actions
        await pilot.press("backspace", *"5", "enter")
        await until(pilot, lambda: isinstance(app.screen, ReadSheet))
        assert double.called_actions == [("gmail", "fetch_emails", {"max_results": 15})]
        await shows(pilot, "by composio, 250ms, log log_77")
        await pilot.press("slash", *"mail 4", "enter")
        await shows(pilot, "11 lines")
        await pilot.press("n", "y")
        assert copied and '"subject": "Mail 49"' in copied[0]
        sheet = app.screen
        assert isinstance(sheet, ReadSheet) and "Mail 40" in sheet.lines.text_of(sheet.lines.cursor)


async def test_an_action_that_writes_asks_first_and_keeps_what_was_typed_where_it_fails(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_tools(pilot, "gmail")
        await shows(pilot, "send_email")
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TrySheet) and app.focused is not None)
        await pilot.press(*"a@b", "enter", "enter", "enter", "enter", "enter")
        await shows(pilot, "✗ needed")
        await pilot.press(*"refuse me", "enter", "enter", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet))
        assert 'subject  "refuse me"' in screen_text(app)
        await agree(pilot)
        await shows(pilot, "✗ gmail.send_email failed.")
        assert "› a@b" in screen_text(app)
        double.problems["call_tool"] = NotConnected("gmail has no account.", cause="It ended.", next_step="Connect it.")
        await pilot.press("enter")
        await agree(pilot)
        await shows(pilot, "✗ gmail has no account.")
        double.problems["call_tool"] = EngineLost("The engine went away.", next_step="It is tried again.")
        await pilot.press("enter")
        await agree(pilot)
        await shows(pilot, "✗ The engine went away.")
        await pilot.press("enter")
        await agree(pilot)
        await shows(pilot, "✗ gmail.send_email failed.")
        arguments = {"recipient_email": "a@b", "subject": "refuse me", "is_html": False}
        assert double.called_actions == [("gmail", "send_email", arguments)] * 2
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ToolsScreen))


@pytest.mark.parametrize("what", ["call", "disconnect"])
async def test_what_changes_something_is_not_agreed_to_by_a_key_meant_for_something_else(
    what: str, double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.sheet.GRACE_SECONDS", 3600.0)
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_tools(pilot, "slack")
        await until(pilot, lambda: screen.pane.action is not None)
        if what == "call":
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, TrySheet) and app.focused is not None)
            await pilot.press("enter", "enter")
        else:
            await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet))
        await pilot.press("y", "enter", "y")
        await settled(pilot)
        assert not double.called_actions and "disconnect_tool" not in double.calls


async def test_what_can_not_be_read_is_said_at_its_field_and_nothing_typed_is_lost(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.tools(double)
    properties = {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "rest": {"type": "object"},
        "kind": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]},
    }
    double.action("slack", "check", "read", properties, ["whole"])
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_tools(pilot, "slack")
        await until(pilot, lambda: screen.pane.action is not None)
        await pilot.press("j", "t")
        await until(pilot, lambda: isinstance(app.screen, TrySheet) and app.focused is not None)
        sheet = app.screen
        assert isinstance(sheet, TrySheet)
        # What is needed stands first.
        whole, text, rest, kind = sheet.form.fields
        await pilot.press(*"2.5", "enter", *"hello", "enter", *"{a: 1}", "enter", "enter")
        await shows(pilot, "✗ a whole number is needed")
        assert app.focused is whole.entry
        assert (whole.draft, text.draft, rest.draft) == ("2.5", "hello", "{a: 1}")
        await pilot.press("backspace", "backspace", "enter", "enter", "enter", "enter")
        await shows(pilot, "✗ this is not JSON")
        await hides(pilot, "a whole number is needed")
        assert app.focused is rest.entry
        assert (whole.draft, text.draft, rest.draft) == ("2", "hello", "{a: 1}")
        await pilot.press("ctrl+u", *'{"a": 1}', "enter")
        await until(pilot, lambda: app.focused is kind.entry)
        await pilot.press("enter")
        await until(pilot, lambda: bool(double.called_actions))
        assert double.called_actions == [("slack", "check", {"whole": 2, "text": "hello", "rest": {"a": 1}})]


async def test_what_an_action_takes_in_secret_is_not_shown(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    account = {"type": "object", "properties": {"api_key": {"type": "string"}}, "required": ["api_key"]}
    properties = {
        "password": {"type": "string"},
        "account": account,
        "pin": {"type": "string", "format": "password"},
        "more": {"type": "object"},
    }
    double.action("slack", "log_in", properties=properties, required=["password", "account", "pin"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_tools(pilot, "slack")
        await until(pilot, lambda: screen.pane.action is not None)
        await pilot.press("j", "t")
        await until(pilot, lambda: isinstance(app.screen, TrySheet) and app.focused is not None)
        await pilot.press(*"hunter2", "enter", *"hunter3", "enter", *"hunter4")
        await shows(pilot, "•••••••")
        assert "hunter" not in app.export_screenshot()
        await pilot.press("enter", *'{"token": "t0k", "n": [1]}', "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmSheet))
        assert "hunter" not in app.export_screenshot() and "t0k" not in screen_text(app).split("Call slack.log_in")[1]
        assert '"n": [1]' in screen_text(app)
        await agree(pilot)
        await until(pilot, lambda: bool(double.called_actions))
        given = {"password": "hunter2", "account": {"api_key": "hunter3"}, "pin": "hunter4"}
        assert double.called_actions == [("slack", "log_in", {**given, "more": {"token": "t0k", "n": [1]}})]
        [line] = [entry.line for entry in app.command_log.entries if entry.line.startswith("rondo tools call")]
        assert line.count("•••") == 4 and "hunter" not in line and "t0k" not in line


async def test_an_engine_that_is_lost_and_found_again_leaves_the_list(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        double.lose()
        await shows(pilot, "engine ✗ lost")
        assert "▌gmail" in screen_text(pilot.app)
        await pilot.press("enter")
        double.app("zulip")
        double.return_again()
        await shows(pilot, "zulip")
        await pilot.press("escape", "escape", "enter")
        await shows(pilot, "fetch_emails")
