"""The engine is killed while it changes a workflow's files: nothing is half changed, and what is known agrees."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from cli_world import World, wait_until
from model_server import ModelServer
from test_create import changing

from core.crash_points import VARIABLE

CODE = """from core.sdk import Node


class Greet(Node):
    def cleanup(self, shared, prepared, result):
        shared["greeting"] = "Hello"
"""


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    folder = tmp_path / "arms"
    folder.mkdir()
    return folder


@pytest.fixture
def world(tmp_path: Path, arms: Path, model_server: ModelServer) -> Iterator[World]:
    made = World(tmp_path)
    made.environment |= {VARIABLE: str(arms), **model_server.environment()}
    assert made.rondo("init", ".", "--no-example").code == 0
    yield made
    made.close()


@pytest.mark.parametrize(
    "point", ["edit.written", *(pytest.param(f"edit.{word}", marks=pytest.mark.long) for word in ("begun", "noted"))]
)
def test_a_change_whose_engine_is_killed_is_noted_by_the_next_and_can_be_taken_back(
    world: World, arms: Path, model_server: ModelServer, point: str
) -> None:
    nodes = world.workflow("greeter", CODE, "greet", initial_state={"name": "Ada"}) / "nodes.py"
    model_server.script(*changing())
    proposal = world.rondo("update", "greeter", "More polite", "--json").document["proposal"]["proposal_id"]
    old = nodes.read_bytes()
    (arms / point).write_text("1")
    # Whoever accepts dies too: nobody sends it again.
    accepting = world.begin("proposal", proposal, "--accept")
    wait_until(lambda: (arms / f"{point}.hit").exists(), "the death of the engine")
    accepting.kill()
    accepting.communicate()
    world.json("engine", "start")
    status = world.json("proposal", proposal)["status"]
    edits = world.json("edits", "greeter")
    assert (status, len(edits)) == (("applied", 1) if nodes.read_bytes() != old else ("open", 0))
    if not edits:
        assert world.rondo("proposal", proposal, "--accept").code == 0
    assert world.json("run", "greeter")["status"] == "completed"
    assert b"Good day" in nodes.read_bytes()
    world.json("undo", "greeter")
    assert nodes.read_bytes() == old
