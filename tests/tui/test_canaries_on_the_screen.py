"""What a service repeats of a secret is nowhere in what the app draws, neither in a result nor in an error."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

import pytest
from looking import screen_text, shows, until
from loopback import Answer, Asked, serving
from mail_and_slack import MailAndSlack
from test_canaries import drawn, forms
from test_chat_with_engine import InProcess
from test_tools_screen import open_tools
from textual.pilot import Pilot
from workbench import Workbench

from core.tools.secrets.store import SecretStore
from tui.app import RondoApp
from tui.screens.read import ReadSheet
from tui.screens.tool_try import TrySheet

KEY, KNOWN = f"ck-{drawn(701)}", f'{drawn(702)}"/+é&'


class Repeating(MailAndSlack):
    """A Composio that repeats what it hears, its key too, and a secret that it should not know."""

    refuses = False

    def post_tools(self, asked: Asked, _execute: str, slug: str) -> Answer:
        encoded = base64.b64encode(KNOWN.encode()).decode()
        heard = {"key": asked.headers["x-api-key"], "said": asked.json["arguments"], "known": [KNOWN, encoded]}
        if self.refuses:
            error = {"message": f"no: {json.dumps(heard)}", "code": 1, "slug": "Bad", "suggested_fix": str(heard)}
            return Answer(400, {"error": error})
        return Answer(200, {"data": heard, "error": None, "successful": True, "log_id": f"log {KNOWN}"})


def assert_not_drawn(app: RondoApp) -> None:
    """No secret in the picture of the screen, not over the end of a line either."""
    picture = html.unescape(app.export_screenshot()).replace("\xa0", " ")
    drawings = [picture, "".join(picture.split()), "".join(screen_text(app).split())]
    for value in (KEY, KNOWN):
        for form in forms(value):
            assert not any(form.decode() in drawing for drawing in drawings), f"{form!r} is drawn"


async def call(pilot: Pilot[Any]) -> TrySheet:
    """Open the form of the chosen action and call it."""
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrySheet))
    sheet = pilot.app.screen
    assert isinstance(sheet, TrySheet)
    await pilot.press(*["enter"] * max(1, len(sheet.form.fields)))
    return sheet


async def test_no_secret_is_drawn_where_a_tool_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("composio_server.KEY", KEY)
    store = SecretStore()
    store.set("COMPOSIO_API_KEY", KEY)
    store.set("ANOTHER", KNOWN)
    fake = Repeating()
    fake.connect("gmail")
    bench = Workbench(tmp_path)
    async with serving(fake) as loopback:
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        async with bench.running():
            app = RondoApp(bench.workspace, make_client=lambda _: InProcess(lambda: bench.engine))  # type: ignore[arg-type, return-value]
            async with app.run_test(size=(200, 60)) as pilot:
                screen = await open_tools(pilot, "gmail")
                await pilot.press("slash", *"tidy_up", "enter")
                await until(pilot, lambda: screen.pane.action is not None and screen.pane.action.name == "tidy_up")
                await call(pilot)
                await until(pilot, lambda: isinstance(app.screen, ReadSheet))
                await shows(pilot, '"key": "[secret]"')
                assert_not_drawn(app)
                copied: list[str] = []
                monkeypatch.setattr(app, "copy", copied.append)
                await pilot.press("y")
                await until(pilot, lambda: copied)
                assert "[secret]" in copied[0]
                assert not [form for value in (KEY, KNOWN) for form in forms(value) if form.decode() in copied[0]]
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen)

                fake.refuses = True
                sheet = await call(pilot)
                await until(pilot, lambda: not sheet.calling and "[secret]" in screen_text(app))
                assert_not_drawn(app)
