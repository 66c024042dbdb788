"""Waiting for what a person would wait for, and reading what they would read."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from textual.pilot import Pilot

from tui import keys
from tui.app import RondoApp

LIMIT_SECONDS = 60.0
TEXT = re.compile(r'<text class="[^"]*-r\d+" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"[^>]*>(?P<text>.*?)</text>', re.S)


async def until(pilot: Pilot[Any], condition: Callable[[], Any], what: str = "") -> None:
    """Let the app work until something holds; fails after a generous while."""
    deadline = asyncio.get_running_loop().time() + LIMIT_SECONDS
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"never seen: {what or condition}\n{screen_text(pilot.app)}")
        await pilot.pause(0.01)


async def shows(pilot: Pilot[Any], text: str) -> None:
    """Wait until a text stands on the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app), repr(text))


async def hides(pilot: Pilot[Any], text: str) -> None:
    """Wait until a text doesn't stand on the screen."""
    await until(pilot, lambda: text not in screen_text(pilot.app), f"{text!r} gone")


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until nothing on the screen changes any more, and no graph is being laid out in its thread."""
    before = ""
    same = 0
    while same < 3:
        await pilot.pause(0.06)
        now = screen_text(pilot.app)
        under_way = any(worker.group == "layout" and not worker.is_finished for worker in pilot.app.workers)
        same = same + 1 if now == before and not under_way else 0
        before = now


async def press_twice(pilot: Pilot[Any], key: str) -> None:
    """A doubled key, however long this machine takes between the two presses."""
    with patch.object(keys, "WAIT_SECONDS", LIMIT_SECONDS):
        await pilot.press(key, key)


def screen_text(app: Any) -> str:
    """What stands on the screen, line by line."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for found in TEXT.finditer(app.export_screenshot()):
        text = html.unescape(found["text"]).replace("\xa0", " ")
        rows.setdefault(float(found["y"]), []).append((float(found["x"]), text))
    lines = []
    for _, parts in sorted(rows.items()):
        line = ""
        for x, text in sorted(parts):
            line = line.ljust(round(x / 12.2)) + text
        lines.append(line.rstrip())
    return "\n".join(lines)


def line_with(app: RondoApp, text: str) -> str:
    """The first line on the screen that contains a text, or ""."""
    return next((line for line in screen_text(app).splitlines() if text in line), "")
