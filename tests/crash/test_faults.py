"""Faults under a running engine: shown on the screen and by doctor, nothing acknowledged is lost, and it goes on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from cli_world import LIMIT_SECONDS, RONDO, World, wait_until
from terminal import Terminal

from core.link.start import engine_command
from core.places import Workspace

TICK = """
import os, time

from core.sdk import Node


class Tick(Node):
    def prepare(self, shared, request_input):
        time.sleep(0.2)
        while shared.get("n", 0) == 3 and not os.path.exists("go"):
            time.sleep(0.02)
        shared["n"] = shared.get("n", 0) + 1
        shared["text"] = f"{shared['n']:08}" * 4000
"""
STEPS = 60

MARK = """
from core.sdk import Node


class Mark(Node):
    def prepare(self, shared, request_input):
        # So long that its end stands on a page of its own, which no other row's commit writes anew.
        shared["text"] = "x" * 3500 + "a word that is found again"
"""

CLOSING = """
import os

from core.sdk import Node


class Close(Node):
    def execute(self, prepared):
        if self.cur_retry == 0:
            os.closerange(3, 100)
"""


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


def started(world: World, *, held: bool = False) -> str:
    """A run that has begun; one that is held goes on from its third step when there is a file `go`."""
    if not held:
        (world.root / "go").touch()
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
    run_id = started(world, held=True)
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
        (world.root / "go").touch()
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
    run_id = started(world, held=True)
    terminal = app(world)
    try:
        terminal.wait_for("running")
        before = shown(world, run_id)
        database, aside = world.runs / "rondo.db", world.root / "aside.db"
        database.rename(aside)
        (world.root / "go").touch()
        terminal.wait_for("! trouble")
        terminal.wait_for(r"removed\s+or\s+replaced")
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


@pytest.mark.long
@pytest.mark.parametrize("seconds", [3, 30])
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


@pytest.mark.long
def test_a_database_that_another_file_took_the_place_of_is_missed_and_used_again(world: World) -> None:
    run_id = started(world)
    before = shown(world, run_id)
    database, kept, other = world.runs / "rondo.db", world.root / "kept.db", world.root / "other.db"
    os.link(database, kept)
    shutil.copy(database, other)
    other.replace(database)
    wait_until(lambda: "DatabaseReplaced" in problems(world), "the problem in doctor")
    wait_until(lambda: list(world.runs.glob("rondo.db.rescued-*[0-9]")), "the copy")
    refused = world.rondo("run", "tick", "--detach", "--json")
    assert refused.code == 5 and refused.error["type"] == "DatabaseReplaced", refused
    assert "Put the file back" in refused.error["next_step"]
    kept.replace(database)
    goes_on_to_its_end(world, run_id, before)
    assert "DatabaseReplaced" not in problems(world)


@pytest.mark.long
def test_a_byte_that_flips_in_the_open_database_costs_one_run_and_is_named(world: World) -> None:
    world.workflow("mark", MARK, "mark")
    marked = world.json("run", "mark")["run_id"]
    # An engine that ends leaves all its rows in the one file.
    world.rondo("engine", "stop")
    run_id = started(world)
    before = shown(world, run_id)
    database = world.runs / "rondo.db"
    with database.open("r+b") as file:
        file.seek(database.read_bytes().index(b'a word that is found again"]]'))
        file.write(b"A")
    refused = world.rondo("show", marked, "--json")
    problem = refused.document["problem"]
    assert (refused.code, problem["type"]) == (5, "DatabaseDamaged"), refused
    assert "checksum" in problem["cause"]
    assert (refused.document["status"], refused.document["steps"][0]["node"]) == ("completed", "mark")
    plain = world.rondo("show", marked)
    assert plain.code == 5 and "completed" in plain.out and "checksum" in plain.out, plain
    assert world.json("runs", "mark")[0]["status"] == "completed"
    (problem,) = [row for row in world.rondo("doctor", "--json").document["problems"] if row["severity"] == "error"]
    assert problem["type"] == "DatabaseDamaged" and marked[-8:] in problem["cause"]
    seen = shown(world, run_id)
    assert completed_steps(seen)[: before["step"]] == completed_steps(before)
    if seen["status"] != "completed":
        wait_until(lambda: shown(world, run_id)["step"] > seen["step"], "further steps")


@pytest.mark.long
def test_a_folder_that_becomes_read_only_is_named_and_runs_go_on(world: World) -> None:
    world.rondo("engine", "stop")
    # To root no folder is read-only, so the engine gives that right up before it begins.
    drop = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
    limited = (
        [sys.executable, "-c", drop, RONDO, "engine", "start"] if os.geteuid() == 0 else [RONDO, "engine", "start"]
    )
    subprocess.run(limited, cwd=world.root, env=world.environment, check=True, capture_output=True)
    run_id = started(world)
    before = shown(world, run_id)
    world.runs.chmod(0o555)
    try:
        assert "FolderReadOnly" in problems(world)
        seen = shown(world, run_id)["step"]
        wait_until(lambda: shown(world, run_id)["step"] > seen + 1, "further steps")
    finally:
        world.runs.chmod(0o755)
    wait_until(lambda: "FolderReadOnly" not in problems(world), "the end of the trouble")
    world.runs.chmod(0o555)
    try:
        assert world.rondo("engine", "stop").code == 0
    finally:
        world.runs.chmod(0o755)
    assert "the engine failed" not in (world.runs / "engine.log").read_text()
    goes_on_to_its_end(world, run_id, before)


class Cutter:
    """Stands between clients and the engine, and cuts a connection in the middle of the reply after its first one."""

    def __init__(self, world: World) -> None:
        self._path = world.runs / "engine.sock"
        self._real = world.runs / "real.sock"
        self._path.rename(self._real)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._path))
        self._listening.listen()
        self.cuts_left = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        self._real.rename(self._path)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(str(self._real))
                threading.Thread(target=_pass_on, args=(client, engine), daemon=True).start()
                threading.Thread(target=self._reply, args=(engine, client), daemon=True).start()

    def _reply(self, engine: socket.socket, client: socket.socket) -> None:
        """The reply to hello goes through; of the next message only a half, while there are cuts left."""
        with contextlib.suppress(OSError, struct.error), engine, client, engine.makefile("rb") as replies:
            for number in itertools.count():
                head = replies.read(4)
                body = replies.read(struct.unpack(">I", head)[0])
                if number > 0 and self.cuts_left > 0:
                    self.cuts_left -= 1
                    client.sendall(head + body[: len(body) // 2])
                    client.shutdown(socket.SHUT_RDWR)
                    engine.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(head + body)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def cutter(world: World) -> Iterator[Cutter]:
    world.rondo("engine", "stop")
    # This engine does not look after its socket for as long as the test lasts.
    command = [*engine_command(Workspace.at(world.root)), "--heartbeat", "3600"]
    engine = subprocess.Popen(command, env=world.environment, start_new_session=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: world.engine_pid() == engine.pid and world.rondo("runs").code == 0, "the engine")
    made = Cutter(world)
    yield made
    made.close()
    world.close()
    engine.wait(LIMIT_SECONDS)


@pytest.mark.long
def test_a_connection_that_is_cut_in_the_middle_of_a_reply_costs_nothing(world: World, cutter: Cutter) -> None:
    world.workflow("mark", MARK, "mark")
    cutter.cuts_left = 2
    marked = world.json("run", "mark", "--detach")["run_id"]
    assert cutter.cuts_left == 0
    assert [row["run_id"] for row in world.json("runs", "mark")] == [marked], "the command acted once"
    wait_until(lambda: shown(world, marked)["status"] == "completed", "the end of the run")
    cutter.cuts_left = 100
    refused = world.rondo("show", marked, "--json")
    assert (refused.code, refused.error["type"]) == (5, "EngineLost"), refused
    assert "broke" in refused.error["message"]
    assert "EngineLost" in problems(world)
    cutter.cuts_left = 0
    assert shown(world, marked)["status"] == "completed"
    assert problems(world) == []


@pytest.mark.long
def test_a_node_that_closes_the_pipe_to_the_engine_is_tried_again(world: World) -> None:
    world.workflow("closing", CLOSING, "close", nodes=[{"id": "close", "class": "Close", "retry": {"attempts": 2}}])
    run = world.json("run", "closing")
    assert run["status"] == "completed"
    failed, completed = shown(world, run["run_id"])["steps"]
    assert (failed["attempt"], failed["status"], completed["attempt"]) == (1, "failed", 2)
    assert "connection to the engine" in failed["error"]["message"]
    assert "closed a file descriptor" in failed["error"]["cause"] and "os.closerange" in failed["error"]["next_step"]
    assert problems(world) == []
