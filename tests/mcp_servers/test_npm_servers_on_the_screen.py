"""MCP servers on the Tools screen of the app: trusted, looked through, and their actions called from forms."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from looking import hides, screen_text, shows, until
from npm_servers import npm_servers
from test_chat_with_engine import InProcess
from test_tools_screen import agree, open_tools
from textual.pilot import Pilot
from workbench import Workbench

from tui.app import RondoApp
from tui.screens.confirm import ConfirmSheet
from tui.screens.connect import ConnectSheet
from tui.screens.read import ReadSheet
from tui.screens.tool_try import TrySheet
from tui.screens.tools import ToolsScreen

pytestmark = pytest.mark.long
ODD_SERVER = Path(__file__).parents[1] / "core" / "tools" / "mcp_stdio_server.py"


@asynccontextmanager
async def app_with(bench: Workbench, servers: dict[str, Any]) -> AsyncIterator[Pilot[Any]]:
    """The app on a real engine whose workspace has these servers; it stands on the Tools screen."""
    (bench.root / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    async with bench.running():
        app = RondoApp(bench.workspace, make_client=lambda _: InProcess(lambda: bench.engine))  # type: ignore[arg-type, return-value]
        async with app.run_test(size=(120, 40)) as pilot:
            await open_tools(pilot)
            yield pilot


def tools_screen(pilot: Pilot[Any]) -> ToolsScreen:
    screen = pilot.app.screen
    assert isinstance(screen, ToolsScreen)
    return screen


async def trust(pilot: Pilot[Any], name: str) -> None:
    """Find a server and trust it, by its dialog."""
    screen = tools_screen(pilot)
    await until(pilot, lambda: name in [row.name for row in screen.table.rows])
    screen.set_focus(screen.table)
    screen.table.move_to([row.name for row in screen.table.shown].index(name))
    await until(pilot, lambda: screen.selected is not None and screen.selected.name == name)
    assert screen.selected is not None and screen.selected.connection is None
    await pilot.press("C")
    await shows(pilot, f"Trust the MCP server {name}?")
    await agree(pilot)
    await shows(pilot, f"● {name} is trusted.")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConnectSheet))
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.screen is screen)


async def open_form(pilot: Pilot[Any], server: str, action: str) -> TrySheet:
    """Choose an action of a server, and open its form."""
    screen = tools_screen(pilot)
    screen.set_focus(screen.table)
    screen.table.move_to([row.name for row in screen.table.shown].index(server))
    await until(pilot, lambda: screen.selected is not None and screen.selected.name == server)
    await pilot.press("enter")
    await until(pilot, lambda: screen.pane.has_focus and screen.detail is not None and screen.detail.actions)
    await pilot.press("slash", *action, "enter")
    await until(pilot, lambda: screen.pane.has_focus and screen.pane.action is not None)
    assert screen.pane.action is not None and screen.pane.action.name == action
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrySheet))
    sheet = pilot.app.screen
    assert isinstance(sheet, TrySheet)
    if sheet.form.fields:
        await until(pilot, lambda: pilot.app.focused is not None)
    return sheet


async def result(pilot: Pilot[Any], text: str) -> None:
    """See a result, and go back to the apps."""
    await until(pilot, lambda: isinstance(pilot.app.screen, ReadSheet))
    await shows(pilot, text)
    assert "by mcp" in screen_text(pilot.app)
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, ToolsScreen))
    await pilot.press("escape", "escape")
    screen = tools_screen(pilot)
    await until(pilot, lambda: screen.table.has_focus)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path / "ws")
    (made.root / "shown").mkdir()
    return made


async def test_real_servers_are_trusted_by_their_dialog_and_called_from_forms(bench: Workbench) -> None:
    note = bench.root / "shown" / "note.txt"
    async with app_with(bench, npm_servers(note.parent)) as pilot:
        for name in ("files", "everything"):
            await trust(pilot, name)

        await open_form(pilot, "everything", "get-sum")
        await pilot.press(*"20", "enter", *"22", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, (ConfirmSheet, ReadSheet)))
        if isinstance(pilot.app.screen, ConfirmSheet):
            await agree(pilot)
        await result(pilot, "42")

        # What writes asks first, and shows what it is about to be given.
        sheet = await open_form(pilot, "files", "write_file")
        values = {"path": str(note), "content": "typed into a form"}
        for field in sheet.form.fields:
            await pilot.press(*values[field.spec.name], "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmSheet))
        assert 'content  "typed into a form"' in screen_text(pilot.app) and not note.exists()
        await agree(pilot)
        await result(pilot, "Successfully wrote")
        assert note.read_text() == "typed into a form"

        sheet = await open_form(pilot, "files", "read_text_file")
        await pilot.press(*str(note), *["enter"] * len(sheet.form.fields))
        await result(pilot, "typed into a form")

        # What a server refuses is said below the form, which keeps what was typed.
        sheet = await open_form(pilot, "files", "read_text_file")
        await pilot.press(*"/etc/hostname", *["enter"] * len(sheet.form.fields))
        await shows(pilot, "✗ ")
        assert pilot.app.screen is sheet and "› /etc/hostname" in screen_text(pilot.app)


async def says(pilot: Pilot[Any], text: str) -> None:
    """Wait until a text stands on the screen, on however many lines."""
    await until(pilot, lambda: text in " ".join(screen_text(pilot.app).split()), repr(text))


async def call_what_takes_nothing(pilot: Pilot[Any], action: str) -> None:
    await open_form(pilot, "odd", action)
    await pilot.press("enter")
    await agree(pilot)


async def test_a_server_that_crashes_or_floods_is_said_and_the_screen_goes_on(bench: Workbench) -> None:
    servers = npm_servers(bench.root / "shown") | {"odd": {"command": sys.executable, "args": [str(ODD_SERVER)]}}
    async with app_with(bench, servers) as pilot:
        await trust(pilot, "odd")
        await trust(pilot, "everything")
        ended = "rondo: ended the server"
        endings = {"crash": "something went badly wrong", "flood": ended, "line": ended}
        for action, ending in endings.items():
            await call_what_takes_nothing(pilot, action)
            await says(pilot, "✗ The MCP server odd")
            await says(pilot, ending)
            await says(pilot, "The call was sent and may have acted")
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, ToolsScreen))
            await pilot.press("escape", "escape")

        # Another server is called as before, and so is this one, which is started anew.
        await open_form(pilot, "everything", "echo")
        await pilot.press(*"still here", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, (ConfirmSheet, ReadSheet)))
        if isinstance(pilot.app.screen, ConfirmSheet):
            await agree(pilot)
        await result(pilot, "still here")
        await open_form(pilot, "odd", "add")
        await pilot.press(*"40", "enter", *"2", "enter")
        await result(pilot, "42")
        await hides(pilot, "✗")
