"""The app on an engine in memory, with a clock that stands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_double import NOW, EngineDouble

from core.places import Workspace
from tui.app import RondoApp


@pytest.fixture
def double() -> EngineDouble:
    """An engine with nothing in it."""
    return EngineDouble()


@pytest.fixture
def app_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[EngineDouble], RondoApp]:
    """Make the app on an engine; its pictures don't depend on the machine."""
    for variable in ("VISUAL", "EDITOR", "TMUX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("HOME", "/home/me")
    home = Path("/home/me/flows")
    workspace = Workspace(home, home / "workflows", home / "runs")

    def make(engine: EngineDouble) -> RondoApp:
        return RondoApp(workspace, make_client=lambda workspace: engine, now=lambda: NOW)

    return make
