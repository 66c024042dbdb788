"""Random keys and mouse events, in bursts as quick hands make them."""

from __future__ import annotations

import importlib
import pkgutil
import random
from typing import Any

from textual import events
from textual.pilot import Pilot

import tui.screens
from tui.actions import registry
from tui.app import RondoApp
from tui.navigation import Place
from tui.screens.workflows import WorkflowsScreen

for module in pkgutil.iter_modules(tui.screens.__path__):
    importlib.import_module(f"tui.screens.{module.name}")

KEYS = sorted({part for found in registry for key in found.keys for part in key.split(" ")} | set("aZ0 .*"))
LEAVES = "ctrl+q"
SIZES = [(80, 24), (120, 40), (60, 16), (250, 70)]


async def burst(pilot: Pilot[None], rng: random.Random) -> list[str]:
    """Press a few keys, or use the mouse, without a pause between; return what was done."""
    if rng.random() < 0.15:
        return [await _mouse(pilot, rng)]
    keys = [key for key in rng.choices(KEYS, k=rng.choice([1, 1, 2, 5])) if key != LEAVES]
    for key in keys:
        pilot.app.simulate_key(key)
    await pilot.pause()
    return keys


async def _mouse(pilot: Pilot[None], rng: random.Random) -> str:
    app = pilot.app
    x, y = rng.randrange(app.size.width), rng.randrange(app.size.height)
    kind = rng.choice(["click", "click", "double", "hover", "up", "down"])
    if kind in ("click", "double"):
        await pilot.click(offset=(x, y), times=1 if kind == "click" else 2)
    elif kind == "hover":
        await pilot.hover(offset=(x, y))
    else:
        event = events.MouseScrollUp if kind == "up" else events.MouseScrollDown
        app.post_message(event(None, x, y, 0, 0, 0, False, False, False))
        await pilot.pause()
    return f"{kind}({x},{y})"


async def go_home(pilot: Pilot[Any], app: RondoApp) -> None:
    """Close what is open and go to the first screen."""
    for _ in range(8):
        await pilot.press("escape")
    app.go(Place("workflows"))


def is_home(app: RondoApp) -> bool:
    """True where the list of workflows is the screen on top."""
    return isinstance(app.screen, WorkflowsScreen)
