"""What is imported before the first paint: nothing that only later screens or the engine need."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "pydantic",
    "aiosqlite",
    "sqlite3",
    "httpx",
    "anthropic",
    "graphlay",
    "markdown_it",
    "rich.markdown",
    "textual.widgets._markdown",
    "typer",
    "jsonschema",
    "structlog",
    "watchfiles",
    "pydantic_ai",
    "openai",
    "genai_prices",
)
LATER = (
    "tui.conversation",
    "tui.markdown_lines",
    "tui.widgets.chat_pane",
    "tui.screens.chat",
    "textual.widgets._text_area",
    "tui.screens.graph",
    "tui.screens.run",
    "tui.screens.help",
    "core.link.session",
    "core.link.client",
)

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from core.places import Workspace
from tui.app import RondoApp

painted = []

class Silent:
    problem = None
    def open(self): painted.append(sorted(sys.modules))
    async def close(self): pass
    async def events(self):
        await asyncio.Event().wait()
        yield []

async def main():
    app = RondoApp(Workspace.at("."), make_client=lambda workspace: Silent())
    async with app.run_test(size=(80, 24)) as pilot:
        while not painted:
            await pilot.pause(0.01)

asyncio.run(main())
print(json.dumps(painted[0]))
"""


def test_the_first_paint_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "tui.screens.workflows" in modules
    assert not modules & set(HEAVY)
    assert not modules & set(LATER)


def test_over_ssh_there_are_fewer_frames_and_no_animation() -> None:
    program = "import tui, textual.constants as c; print(c.MAX_FPS, c.TEXTUAL_ANIMATIONS)"
    environment = {"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    far = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert far.stdout.split() == ["15", "none"]
    del environment["SSH_CONNECTION"]
    near = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert near.stdout.split()[0] == "60"
