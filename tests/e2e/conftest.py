"""Real processes: the command, the engine, a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from cli_world import World


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
