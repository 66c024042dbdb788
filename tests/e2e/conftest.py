"""Real processes: the command, the engine, a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from cli_world import World
from terminal import Open, Terminal


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A folder in which nothing is made yet; engines started there end with the test."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def own(world: World) -> World:
    """A workspace without workflows, in which everything may run."""
    assert world.rondo("init", ".", "--no-example").code == 0
    return world


@pytest.fixture
def hello(world: World) -> World:
    """A workspace of one's own with the first example."""
    assert world.rondo("init", ".").code == 0
    return world


@pytest.fixture
def open_app() -> Iterator[Open]:
    """Opens the app in terminals that all end with the test."""
    terminals: list[Terminal] = []

    def open_in(world: World, columns: int = 120, rows: int = 40) -> Terminal:
        own = ("XDG_", "RONDO_", "ANTHROPIC_", "OPENAI_", "COMPOSIO_")
        environment = {name: value for name, value in world.environment.items() if name.startswith(own)}
        terminals.append(Terminal.rondo(world.root, columns=columns, rows=rows, **environment))
        return terminals[-1]

    yield open_in
    for terminal in terminals:
        terminal.end()
