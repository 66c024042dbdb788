"""Connecting an account: over a link, with fields, by trust; and for a run that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, screen_text, settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from test_tools_screen import agree, open_tools
from textual.pilot import Pilot

import tui.screens.connect as connecting
from core.errors import EngineLost, ToolsOffline
from core.link.tool_types import WorkflowTool
from core.places import Workspace
from tui.app import RondoApp
from tui.screens.connect import ConnectSheet
from tui.screens.inbox import InboxScreen
from tui.screens.run import RunScreen
from tui.screens.tools import ToolsScreen

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts are looked at often."""
    monkeypatch.setattr(connecting, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(connecting, "LONGEST_PAUSE", 0.02)


async def connect(pilot: Pilot[Any], name: str) -> ConnectSheet:
    """The sheet for an app of the list."""
    screen = await open_tools(pilot)
    screen.table.move_to([row.name for row in screen.table.shown].index(name))
    await pilot.press("C")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConnectSheet))
    assert isinstance(pilot.app.screen, ConnectSheet)
    return pilot.app.screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_picture_of_a_link(
    size: tuple[int, int], double: EngineDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "the link ends in 10:00")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", ["failed", "empty", "filled-in", "refused", "silent", "read-only"])
async def test_picture_of_connecting(
    scene: str,
    size: tuple[int, int],
    double: EngineDouble,
    app_on: AppOn,
    snapshot: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenes.tools(double)
    if scene == "read-only":
        monkeypatch.setenv("RONDO_READ_ONLY", "1")
    if scene == "silent":
        never = asyncio.Event()
        monkeypatch.setattr(double, "get_tool", lambda *given: never.wait())
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        fills_in = scene in ("empty", "filled-in", "refused")
        sheet = await connect(pilot, "webdav" if fills_in else "gmail")
        if fills_in:
            await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
        match scene:
            case "failed":
                await shows(pilot, "the link ends in")
                double.becomes(double.accounts[0].id, "FAILED", "The user said no.")
                await shows(pilot, "the account is FAILED.")
            case "empty":
                await pilot.press("enter", "enter")
                await shows(pilot, "✗ needed")
            case "filled-in":
                await pilot.press(*"ada", "enter", *"hunter2")
                await shows(pilot, "•••••••")
            case "refused":
                await pilot.press(*"ada", "enter", *"wrong", "enter")
                await shows(pilot, "The key was refused.")
                await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
            case "silent":
                await shows(pilot, "Asking how gmail is connected…")
            case "read-only":
                await shows(pilot, "Read-only:")
        await settled(pilot)
        picture = app.export_screenshot(title="rondo")
        assert "hunter2" not in picture and "wrong" not in picture
        assert picture == snapshot.use_extension(SVGImageExtension)


async def test_picture_of_a_link_in_a_light_theme(
    double: EngineDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.tools(double)
    app = app_on(double)
    app.theme = "textual-light"
    async with app.run_test(size=(80, 24)) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "the link ends in 10:00")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


async def test_a_link_is_copied_and_followed_until_the_account_is_active(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.tools(double)
    app = app_on(double)
    sent: list[str] = []
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", sent.append)
    monkeypatch.setattr(app, "copy", copied.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "https://connect.example/link/lk_")
        number = double.accounts[0].id
        assert sent == [f"https://connect.example/link/lk_{number}"]
        await pilot.press("y")
        assert copied == sent
        double.problems["check_connection"] = EngineLost("The engine went away.")
        await shows(pilot, "The engine went away. It is tried again.")
        double.becomes(number, "ACTIVE", account="ada@example.org")
        await shows(pilot, "● gmail is connected as ada@example.org.")
        await pilot.press("enter")
        await shows(pilot, "✓ gmail is connected as ada@example.org")
        assert isinstance(app.screen, ToolsScreen)


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("FAILED", "the user said no", "the account is FAILED."),
        ("EXPIRED", "", "the account is EXPIRED."),
        ("gone", "", "This connected account is gone."),
    ],
)
async def test_connecting_that_ends_says_how_and_one_key_gives_a_new_link(
    state: str, reason: str, said: str, double: EngineDouble, app_on: AppOn
) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "the link ends in")
        first = double.accounts[0].id
        if state == "gone":
            double.accounts = [one for one in double.accounts if one.id != first]
        else:
            double.becomes(first, state, reason)
        await shows(pilot, said)
        assert reason in screen_text(app) and "https://" not in screen_text(app)
        await pilot.press("n")
        await shows(pilot, "the link ends in")
        assert double.accounts[0].id != first and double.accounts[0].id in screen_text(app)


async def test_a_link_that_nobody_uses_ends() -> None:
    clock = [NOW]
    double = EngineDouble(lambda: clock[0])
    scenes.tools(double)
    workspace = Workspace.at("/home/me/flows")
    app = RondoApp(workspace, make_client=lambda workspace: double, now=lambda: clock[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "the link ends in 10:00")
        clock[0] += 590
        await shows(pilot, "the link ends in 0:10")
        clock[0] += 11
        await shows(pilot, "EXPIRED: the link has ended")
        await pilot.press("n")
        await shows(pilot, "the link ends in 10:00")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ToolsScreen))


async def test_a_key_is_masked_refused_and_taken(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        sheet = await connect(pilot, "airtable")
        await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
        await pilot.press("enter")
        await shows(pilot, "✗ needed")
        await pilot.press(*"wrong", "enter")
        await shows(pilot, "The key was refused.")
        assert "wrong" not in app.export_screenshot()
        await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
        await pilot.press("ctrl+u", *"s3cret", "enter")
        await shows(pilot, "● airtable is connected.")
        assert double.filled == [{"key": "wrong"}, {"key": "s3cret"}]
        assert "s3cret" not in app.export_screenshot()
        await pilot.press("escape")
        await shows(pilot, "airtable           composio   ● connected")


async def test_a_way_is_chosen_where_there_are_several(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        sheet = await connect(pilot, "slack")
        await shows(pilot, "There are several ways:")
        await pilot.press("j", "enter")
        await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
        await pilot.press(*"key", "enter")
        await shows(pilot, "● slack is connected.")


async def test_name_and_password_go_in_one_form(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        sheet = await connect(pilot, "webdav")
        await until(pilot, lambda: sheet.phase == "filling" and app.focused is not None)
        await pilot.press(*"ada", "tab", *"pass1", "enter")
        await shows(pilot, "● webdav is connected.")
        assert double.filled == [{"user": "ada", "password": "pass1"}]
        assert "pass1" not in app.export_screenshot()


async def test_an_mcp_server_is_trusted_after_a_yes(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await shows(pilot, "! not trusted")
        await pilot.press("slash", *"files", "enter", "C")
        await shows(pilot, "Rondo starts, with your rights, files.")
        await agree(pilot)
        await shows(pilot, "● files is trusted.")
        await pilot.press("enter")
        await shows(pilot, "● trusted")
        await pilot.press("d")
        await shows(pilot, "Trust files no more?")
        await agree(pilot)
        await shows(pilot, "! not trusted")


async def test_who_does_not_trust_a_server_starts_nothing(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_tools(pilot)
        await pilot.press("slash", *"files", "enter", "C")
        await until(pilot, lambda: getattr(app.screen, "armed", False) and "Trust the MCP" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ToolsScreen))
        assert not double.filled


async def test_an_app_that_can_not_be_asked_says_why_and_is_asked_again(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    double.problems["get_tool"] = ToolsOffline("composio can't be reached.", next_step="Look at the network.")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await connect(pilot, "gmail")
        await shows(pilot, "✗ composio can't be reached.")
        await pilot.press("n")
        await shows(pilot, "the link ends in")


@pytest.mark.parametrize("where", ["inbox", "run"])
async def test_one_key_connects_what_a_run_waits_for_and_it_goes_on(
    where: str, double: EngineDouble, app_on: AppOn
) -> None:
    scenes.tools(double)
    double.accounts.clear()
    double.workflow("mail_digest", ["fetch", "post"])
    run = double.run("mail_digest")
    double.ask_for_account(run, "fetch", "gmail")
    double.tool_views["mail_digest"] = [
        WorkflowTool(name="gmail", app="gmail", provider="composio", problem="No account.")
    ]
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.connected_once)
        if where == "inbox":
            await pilot.press("5")
            await until(pilot, lambda: isinstance(app.screen, InboxScreen) and bool(app.screen.requests.rows))
        else:
            app.go_run(run.id)
            await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None)
        await shows(pilot, "C connect")
        await pilot.press("C")
        await shows(pilot, "the link ends in")
        double.becomes(double.accounts[0].id, "ACTIVE", account="ada@example.org")
        await shows(pilot, "Runs that wait for it go on.")
        await until(pilot, lambda: run.status == "running")
        await pilot.press("enter")
        await hides(pilot, "The tool gmail has no account")


async def test_a_run_whose_account_is_there_already_just_goes_on(double: EngineDouble, app_on: AppOn) -> None:
    scenes.tools(double)
    double.workflow("mail_digest", ["fetch"])
    run = double.run("mail_digest")
    double.ask_for_account(run, "fetch", "gmail")
    there = next(one for one in double.accounts if one.app == "gmail")
    double.tool_views["mail_digest"] = [WorkflowTool(name="mail", app="gmail", provider="composio", connection=there)]
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.connected_once)  # type: ignore[attr-defined]
        await pilot.press("5")
        await shows(pilot, "C connect")
        await pilot.press("C")
        await shows(pilot, "gmail is connected already; the run goes on")
        await until(pilot, lambda: run.status == "running")
