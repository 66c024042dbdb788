"""Every module with actions, for whoever must know them all: the check of the keymap, `rondo keys`, tests."""

from __future__ import annotations

import importlib
import pkgutil

from tui.actions import EVERYWHERE, MOVING, registry


def import_all() -> None:
    """Import every screen and widget, so that each action is in the registry."""
    import tui.screens
    import tui.widgets

    for package in (tui.screens, tui.widgets):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)


def kinds_of_views() -> dict[str, str]:
    """What each view is: a screen, a sheet over one, or a part of one."""
    from tui.screens.base import RondoScreen
    from tui.screens.sheet import Sheet

    kinds = {}
    for found in registry:
        kind = "screen" if issubclass(found.owner, RondoScreen) else "part"
        kinds[found.view] = "sheet" if issubclass(found.owner, Sheet) else kind
    return {**kinds, EVERYWHERE: "everywhere", MOVING: "moving"}
