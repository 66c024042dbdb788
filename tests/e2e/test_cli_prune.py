"""`rondo prune` with real engines: asked, refused, killed in the middle, and while runs go on."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pexpect
import pytest
from cli_world import LIMIT_SECONDS, World, is_engine, wait_until

from core.crash_points import VARIABLE

BIG = """
import os
from core.sdk import Node


class Make(Node):
    def prepare(self, shared, _):
        print("a line")
        shared["text"] = os.urandom(100_000).hex()
"""
SLOW = """
import time
from core.sdk import Node


class Count(Node):
    def prepare(self, shared, _):
        shared["n"] = shared.get("n", 0) + 1
        time.sleep(0.005)
"""


def left(world: World) -> dict[str, int]:
    """How many rows there are; read by another process's eyes, after the engine's end."""
    connection = sqlite3.connect(world.runs / "rondo.db")
    tables = ("runs", "lines", "steps", "logs", "blobs", "pruning")
    found = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return found


def test_a_prune_says_what_goes_asks_and_shrinks_the_file(own: World) -> None:
    own.workflow("big", BIG, "make")
    runs = [own.json("run", "big")["run_id"] for _ in range(4)]
    refusal = own.rondo("prune", "--keep", "1", "--json")
    assert refusal.code == 2 and "--dry-run" in refusal.error["next_step"]
    assert own.rondo("prune", "--json").code == 2
    assert own.rondo("prune", "--older-than", "soon", "--json").error["message"] == "'soon' is not an age."
    assert own.rondo("prune", "--max-size", "big", "--json").error["message"] == "'big' is not a size."
    plan = own.json("prune", "big", "--keep", "1", "--dry-run")
    assert [run["run_id"] for run in plan["removed"]] == runs[:3] and plan["dry_run"]
    assert own.rondo("show", runs[0]).code == 0
    report = own.json("prune", "big", "--keep", "1", "--older-than", "0s", "--yes")
    assert report["removed_count"] == 3
    assert report["bytes_after"] < report["bytes_before"] - 500_000
    assert own.rondo("show", runs[0], "--json").error["type"] == "UnknownRun"
    assert own.json("show", runs[3])["status"] == "completed"
    told = own.rondo("prune", "--max-size", "1KB", "--yes")
    assert told.code == 0 and "1 run removed" in told.out


def test_a_prune_asks_once_with_the_number_at_a_terminal(own: World) -> None:
    own.workflow("big", BIG, "make")
    for _ in range(2):
        own.json("run", "big")
    for answer, left_over in (("n", 2), ("y", 0)):
        child = pexpect.spawn(
            str(Path(sys.executable).with_name("rondo")),
            ["prune", "--keep", "0"],
            cwd=str(own.root),
            env=own.environment,
            encoding="utf-8",
            timeout=LIMIT_SECONDS,
        )
        child.expect(r"Remove 2 runs for good\? \[y/N\]")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        assert len(own.json("runs")) == left_over


@pytest.mark.parametrize(
    "place",
    [
        "prune.blobs.deleted",
        *(
            pytest.param(place, marks=pytest.mark.long)
            for place in ("prune.run.deleted", "prune.rows.deleted", "prune.output.deleted", "prune.pages.given_back")
        ),
    ],
)
def test_a_prune_that_is_killed_is_finished_by_the_next_engine(own: World, place: str) -> None:
    points = own.root / "points"
    points.mkdir()
    own.environment[VARIABLE] = str(points)
    own.workflow("big", BIG, "make")
    runs = [own.json("run", "big")["run_id"] for _ in range(5)]
    (points / place).write_text("1")
    # The command starts the next engine, and asks it again.
    report = own.json("prune", "--keep", "2", "--yes")
    assert (points / f"{place}.hit").exists()
    assert report["removed_count"] in (0, 3)
    assert [row["run_id"] for row in own.json("runs")] == runs[:2:-1]
    assert own.rondo("engine", "stop").code == 0
    pid = own.engine_pid()
    wait_until(lambda: pid is None or not is_engine(pid), "the engine's end")
    rows = left(own)
    assert (rows["runs"], rows["lines"], rows["steps"], rows["pruning"]) == (2, 2, 4, 0)
    assert rows["blobs"] == 2 + 2


def test_runs_go_on_while_others_are_pruned(own: World) -> None:
    own.workflow("big", BIG, "make")
    own.workflow("slow", SLOW, *[f"n{number}:Count" for number in range(40)])
    for _ in range(5):
        own.json("run", "big")
    going = own.begin("run", "slow", "--json")
    report = own.json("prune", "--older-than", "0s", "big", "--yes")
    assert report["removed_count"] == 5
    out, err = going.communicate(timeout=LIMIT_SECONDS)
    assert going.returncode == 0, err
    assert '"n":40' in out.replace(" ", "")
