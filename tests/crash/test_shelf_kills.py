"""The engine is killed while it moves or copies a workflow's folder: the command comes to its end with the next one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from cli_world import World

from core.crash_points import VARIABLE

CODE = """from core.sdk import Node


class Greet(Node):
    def cleanup(self, shared, prepared, result):
        shared["greeting"] = "Hello"
"""
POINTS = {
    "folder.thrown_away": ("trash", "w"),
    "folder.card_written": ("trash", "w"),
    "folder.copied": ("duplicate", "w", "copy"),
    "folder.taken_out": ("restore", "w"),
}
LONG = [pytest.param(point, marks=pytest.mark.long) for point in list(POINTS)[1:]]


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    folder = tmp_path / "arms"
    folder.mkdir()
    return folder


@pytest.fixture
def world(tmp_path: Path, arms: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.environment |= {VARIABLE: str(arms)}
    assert made.rondo("init", ".", "--no-example").code == 0
    yield made
    made.close()


@pytest.mark.parametrize("point", ["folder.thrown_away", *LONG])
def test_a_workflow_is_moved_once_though_the_engine_is_killed_meanwhile(world: World, arms: Path, point: str) -> None:
    folder = world.workflow("w", CODE, "greet")
    (folder / "data.csv").write_text("1,2\n")
    if point == "folder.taken_out":
        world.json("trash", "w")
    (arms / point).write_text("1")
    done = world.json(*POINTS[point])
    assert (arms / f"{point}.hit").exists()
    match POINTS[point][0]:
        case "trash":
            assert not folder.exists()
            assert [one["id"] for one in world.json("trash")] == [done["id"]]
            world.json("restore", "w")
        case "duplicate":
            assert (folder.with_name("copy") / "data.csv").read_text() == "1,2\n"
            assert world.json("run", "copy")["status"] == "completed"
            assert sorted(row["name"] for row in world.json("list")) == ["copy", "w"]
    assert (folder / "data.csv").read_text() == "1,2\n"
    assert world.json("trash") == []
    assert world.json("run", "w")["status"] == "completed"
    hidden = {path.name for path in folder.parent.iterdir() if path.name.startswith(".")}
    assert hidden <= {".trash"}
