"""`rondo export` and `rondo import` with real engines, across workspaces, and killed in the middle."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from cli_world import World

from core.crash_points import VARIABLE

WORDS = """
from core.sdk import Node


class First(Node):
    def prepare(self, shared, _):
        print("a line")
        shared["text"] = "large " * 2_000


class Then(Node):
    def prepare(self, shared, _):
        shared["n"] = 1
"""


def rows(world: World, table: str) -> int:
    connection = sqlite3.connect(world.runs / "rondo.db")
    count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return count


def test_a_run_goes_into_a_file_and_comes_back_elsewhere(own: World, tmp_path: Path) -> None:
    own.workflow("words", WORDS, "first", "then")
    run = own.json("run", "words")
    exported = own.json("export", run["run_id"][-8:])
    file = own.root / f"{run['run_id'][-8:]}.rondo.json"
    assert Path(exported["file"]) == file and exported["bytes"] == file.stat().st_size
    assert (exported["run_id"], exported["lines"], exported["steps"]) == (run["run_id"], 1, 2)
    assert not list((own.runs / "exported").iterdir())
    refusal = own.rondo("export", run["run_id"], "--json")
    assert refusal.code == 2 and "--force" in refusal.error["next_step"]
    assert own.rondo("export", run["run_id"], "--force").code == 0
    printed = own.rondo("export", run["run_id"], "-o", "-")
    document, kept = json.loads(printed.out), json.loads(file.read_text())
    assert document.pop("exported_at") and kept.pop("exported_at") and document == kept
    (tmp_path / "second").mkdir()
    other = World(tmp_path / "second")
    try:
        assert other.rondo("init", ".", "--no-example").code == 0
        done = other.json("import", str(file))
        assert (done["run_id"], done["status"], done["steps"]) == (run["run_id"], "completed", 2)
        shown = other.json("show", done["run_id"])
        assert shown["status"] == "completed"
        again = other.rondo("import", str(file))
        assert again.code == 0 and "it got another one" in again.err
        file.write_text(file.read_text()[:500])
        damaged = other.rondo("import", str(file), "--json")
        assert damaged.code == 1 and damaged.error["type"] == "TransferProblem"
        assert other.rondo("import", "nothing.json", "--json").code == 2
        # Its code was never seen here, although everything written here may run.
        blocked = other.rondo("run", "words", "--version", done["version"][:12], "--json")
        assert blocked.code in (2, 4), blocked
    finally:
        other.close()


@pytest.mark.parametrize("place", ["import.slice.written", pytest.param("import.finished", marks=pytest.mark.long)])
def test_an_import_that_is_killed_leaves_nothing_and_is_done_by_the_next_engine(own: World, place: str) -> None:
    points = own.root / "points"
    points.mkdir()
    own.environment[VARIABLE] = str(points)
    own.workflow("words", WORDS, "first", "then")
    run = own.json("run", "words")["run_id"]
    own.json("export", run, "-o", "run.json")
    own.json("prune", "--keep", "0", "--yes")
    (points / place).write_text("1")
    # The command starts the next engine, and asks it again.
    done = own.json("import", "run.json")
    assert (points / f"{place}.hit").exists()
    assert done["run_id"] == run and done["status"] == "completed"
    assert own.json("show", run)["state"]["n"] == 1
    own.json("prune", "--keep", "0", "--yes")
    assert own.rondo("engine", "stop").code == 0
    assert [rows(own, table) for table in ("runs", "lines", "steps", "logs", "pruning")] == [0] * 5
