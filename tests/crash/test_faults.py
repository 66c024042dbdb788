"""Faults under a running engine: shown on the screen and by doctor, nothing acknowledged is lost, and it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from cli_world import World, wait_until
from terminal import Terminal

TICK = """
import time

from core.sdk import Node


class Tick(Node):
    def prepare(self, shared, request_input):
        time.sleep(0.2)
        shared["n"] = shared.get("n", 0) + 1
        shared["text"] = f"{shared['n']:08}" * 4000
"""
STEPS = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    assert made.rondo("init", ".", "--no-example").code == 0
    made.workflow("tick", TICK, "tick", edges=[{"from": "tick", "to": "tick", "condition": f"shared['n'] < {STEPS}"}])
    yield made
    made.close()


@pytest.fixture
def small_disk(world: World) -> Iterator[Path]:
    """The folder for runs on a disk of 3 MB of its own."""
    world.rondo("engine", "stop")
    world.runs.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "none", str(world.runs)]
    tried = subprocess.run(words, capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this user can't mount a small disk: {tried.stderr.decode().strip()}")
    try:
        yield world.runs
    finally:
        world.close()
        subprocess.run(["umount", str(world.runs)], check=False)


def app(world: World) -> Terminal:
    """The app on that workspace."""
    places = {name: value for name, value in world.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    return Terminal.rondo(world.root, columns=120, rows=40, **places)


def started(world: World) -> str:
    run_id: str = world.json("run", "tick", "--detach")["run_id"]
    wait_until(lambda: shown(world, run_id)["steps"], "a step")
    return run_id


def shown(world: World, run_id: str) -> Any:
    return world.json("show", run_id)


def problems(world: World) -> list[str]:
    """The types of what doctor calls wrong."""
    outcome = world.rondo("doctor", "--json")
    return [problem["type"] for problem in outcome.document["problems"] if problem["severity"] == "error"]


def completed_steps(document: Any) -> list[tuple[int, str]]:
    return [(step["step"], step["ended_at"]) for step in document["steps"] if step["status"] == "completed"]


def goes_on_to_its_end(world: World, run_id: str, before: Any) -> None:
    """The run completes by itself, and what had been seen of it is there as it was."""
    wait_until(lambda: shown(world, run_id)["status"] == "completed", "the end of the run")
    after = completed_steps(shown(world, run_id))
    assert after[: len(completed_steps(before))] == completed_steps(before)
    assert [number for number, _ in after] == list(range(1, STEPS + 1))


def test_a_run_waits_for_a_full_disk_and_goes_on_when_there_is_room(world: World, small_disk: Path) -> None:
    run_id = started(world)
    terminal = app(world)
    try:
        terminal.wait_for("running")
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"x" * 4096)
                except OSError:
                    break
        terminal.wait_for("! trouble")
        terminal.wait_for("full")
        before = shown(world, run_id)
        assert before["status"] == "running"
        assert "DiskFull" in problems(world)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
        terminal.wait_for(lambda text: "trouble" not in text.splitlines()[0])
    finally:
        terminal.end()
    goes_on_to_its_end(world, run_id, before)


@pytest.mark.long
def test_a_database_that_is_moved_away_and_back_is_missed_and_used_again(world: World) -> None:
    run_id = started(world)
    terminal = app(world)
    try:
        terminal.wait_for("running")
        before = shown(world, run_id)
        database, aside = world.runs / "rondo.db", world.root / "aside.db"
        database.rename(aside)
        terminal.wait_for("! trouble")
        terminal.wait_for("removed or replaced")
        assert "DatabaseReplaced" in problems(world)
        aside.rename(database)
        terminal.wait_for(lambda text: "trouble" not in text.splitlines()[0])
    finally:
        terminal.end()
    goes_on_to_its_end(world, run_id, before)


@pytest.mark.long
def test_a_database_that_is_deleted_is_kept_in_a_copy_that_can_take_its_place(world: World) -> None:
    run_id = started(world)
    before = shown(world, run_id)
    for name in ("rondo.db", "rondo.db-wal", "rondo.db-shm"):
        (world.runs / name).unlink()
    (copy,) = wait_until(lambda: list(world.runs.glob("rondo.db.rescued-*[0-9]")), "the copy")
    wait_until(lambda: "DatabaseReplaced" in problems(world), "the problem in doctor")
    assert world.rondo("engine", "stop").code == 0
    copy.rename(world.runs / "rondo.db")
    goes_on_to_its_end(world, run_id, before)


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.long)])
def test_an_engine_that_is_held_is_named_and_goes_on(world: World, seconds: float) -> None:
    run_id = started(world)
    before = shown(world, run_id)
    pid = world.engine_pid()
    assert pid is not None
    held = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        outcome = world.rondo("doctor", "--json")
        document = json.loads(outcome.out)
        assert any(str(pid) in problem["message"] + problem["next_step"] for problem in document["problems"])
        time.sleep(max(0.0, seconds - (time.monotonic() - held)))
    finally:
        os.kill(pid, signal.SIGCONT)
    goes_on_to_its_end(world, run_id, before)
    assert world.engine_pid() == pid
