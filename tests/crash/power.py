"""A power cut, worked out from a record of a real engine's writes and syncs.

`record` runs an engine under strace. `Disk` is what stands on the disk at a moment: what was synced for certain, and
of what was written since then anything, also single sectors of a write, in any order. An acknowledgement counts from
the moment at which the engine began to send it: to the run process (the next node may begin) or to a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from core.errors import RondoError
from core.link.client import RemoteEngine
from core.link.start import connect, engine_command
from core.link.types import FINAL, StartRun
from core.places import Workspace
from core.runner.wire import FrameReader
from core.store.opening import open_database

SECTOR = 512
LIMIT_SECONDS = 120.0
CALLS = "openat,pwrite64,write,ftruncate,fsync,fdatasync,rename,unlink,unlinkat,sendto,sendmsg"
DATABASE = "rondo.db"

NODES = """
from core.sdk import Node


class Tick(Node):
    def execute(self, prepared):
        print("tick")

    def cleanup(self, shared, prepared, result):
        shared["n"] += 1
        if shared["n"] % 3 == 0:
            shared["text"] = f"{shared['n']:08}" * 1500
"""


def missing_tool() -> str:
    """Why nothing can be recorded here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, timeout=30, check=False)
    return "" if tried.returncode == 0 else f"strace can't trace here: {tried.stderr.decode(errors='replace').strip()}"


# Recording --------------------------------------------------------------------------------------------------------


async def record(root: Path, steps: int) -> list[Path]:
    """Run an engine under strace for so many steps, kill it in the middle, go on with another; return their records."""
    workspace = Workspace.at(root / "ws")
    folder = workspace.workflows_dir / "loop"
    folder.mkdir(parents=True)
    (folder / "nodes.py").write_text(NODES)
    edge = {"from": "tick", "to": "tick", "condition": f"shared['n'] < {steps // 4}"}
    nodes = [{"id": "tick", "class": "Tick"}]
    graph = {"name": "loop", "nodes": nodes, "edges": [edge], "initial_state": {"n": 0}}
    (folder / "loop.json").write_text(json.dumps(graph))
    workspace.runs_dir.mkdir()
    first, second = root / "first.strace", root / "second.strace"
    async with _traced(workspace, first) as (engine, pid):
        await engine.trust_workspace()
        runs = [await engine.start_run(StartRun(command_id=f"start {number}", workflow="loop")) for number in range(4)]
        await _until(engine, [run.run_id for run in runs], lambda view: view.step >= steps // 8)
        os.kill(pid, signal.SIGKILL)
    async with _traced(workspace, second) as (engine, _):
        await _until(engine, [run.run_id for run in runs], lambda view: view.status in FINAL)
        await engine.stop_engine()
    return [first, second]


async def _until(engine: RemoteEngine, runs: Sequence[str], condition: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        events = engine.events()
        for run in runs:
            while not condition(await engine.get_run(run)):
                await anext(events)


@contextlib.asynccontextmanager
async def _traced(workspace: Workspace, target: Path) -> Any:
    """An engine under strace and its pid; it has ended when this is left."""
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none"]
    process = await asyncio.create_subprocess_exec(
        *[*command, "-o", str(target), *engine_command(workspace)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                engine = await connect(workspace, kind="test", start=False, timeout=60)
                break
            except RondoError:
                if time.monotonic() > end or process.returncode is not None:
                    raise
                await asyncio.sleep(0.05)
        try:
            yield engine, engine.info.pid
        finally:
            await engine.close()
        await asyncio.wait_for(process.wait(), LIMIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# Reading the record -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A system call that has ended well: its arguments as strace shows them, when it began and when it ended."""

    name: str
    arguments: str
    result: str
    began: int
    ended: int


def calls(files: Sequence[Path]) -> list[Call]:
    """The calls of the records, in the order in which they ended; the moments go on over all records."""
    found: list[Call] = []
    moment = 0
    for file in files:
        begun: dict[str, tuple[str, int]] = {}
        with file.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                moment += 1
                pid, _, rest = line.rstrip("\n").partition(" ")
                rest = rest.lstrip()
                began = moment
                if rest.endswith("<unfinished ...>"):
                    begun[pid] = (rest.removesuffix("<unfinished ...>"), moment)
                    continue
                if match := re.match(r"<\.\.\. \w+ resumed>", rest):
                    start, began = begun.pop(pid)
                    rest = start.rstrip() + rest[match.end() :]
                if match := re.match(r"(\w+)\((.*)\)\s+= (\d+\S*)", rest):
                    arguments, ended = (NAME.sub(_name, shown) for shown in (match[2], match[3]))
                    found.append(Call(match[1], arguments, ended, began, moment))
    return found


NAME = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")


def _name(match: re.Match[str]) -> str:
    return f"<{_text(match[1]).decode(errors='replace')}>"


def _text(shown: str) -> bytes:
    """The bytes of a string that strace shows in hexadecimal."""
    return bytes.fromhex(shown.replace("\\x", ""))


FILE = re.compile(r"^\d+<([^>]*)>")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass
class Content:
    """One file: what is on the disk for certain, and what was done to it since, in order."""

    sure: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(place, data) of writes, (size, None) of cuts."""

    def sync(self) -> None:
        for place, data in self.pending:
            _apply(self.sure, place, data)
        self.pending.clear()

    def after_cut(self, chance: random.Random | None, everything: bool) -> bytes:
        """What may be found: the sure part, and of the rest all, nothing, or sectors as chance has it."""
        found = bytearray(self.sure)
        for place, data in self.pending:
            if everything:
                _apply(found, place, data)
            elif chance is not None and data is None:
                if chance.random() < 0.5:
                    _apply(found, place, None)
            elif chance is not None and data is not None:
                start = 0
                while start < len(data):
                    end = min(len(data), start + SECTOR - (place + start) % SECTOR)
                    if chance.random() < 0.5:
                        _apply(found, place + start, data[start:end])
                    start = end
        return bytes(found)


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    if len(content) < place + len(data or b""):
        content.extend(bytes(place + len(data or b"") - len(content)))
    if data is None:
        del content[place:]
    else:
        content[place : place + len(data)] = data


class Disk:
    """The database's files and their folder, followed call by call."""

    def __init__(self) -> None:
        self.files: dict[str, Content] = {}
        self.sure_names: dict[str, Content] = {}

    def follow(self, call: Call) -> None:
        """Take a call in."""
        match call.name:
            case "openat":
                name = _name_in(call.result.partition("<")[2].rstrip(">"))
                if name and "O_CREAT" in call.arguments:
                    content = self.files.setdefault(name, Content())
                    if "O_TRUNC" in call.arguments:
                        content.pending.append((0, None))
            case "pwrite64" | "ftruncate" if content := self._content(call):
                if call.name == "ftruncate":
                    content.pending.append((int(call.arguments.rpartition(",")[2]), None))
                else:
                    string = STRING.search(call.arguments)
                    assert string is not None and not string[2], "strace has cut a write"
                    content.pending.append((int(call.arguments.rpartition(",")[2]), _text(string[1])))
            case "fsync" | "fdatasync":
                if content := self._content(call):
                    content.sync()
                elif _is_folder(call):
                    self.sure_names = dict(self.files)
            case "rename":
                old, new = (_name_in(_text(text[0]).decode()) for text in STRING.findall(call.arguments))
                if old and new:
                    self.files[new] = self.files.pop(old)
            case "unlink" | "unlinkat":
                if (string := STRING.search(call.arguments)) and (name := _name_in(_text(string[1]).decode())):
                    self.files.pop(name, None)

    def is_sync(self, call: Call) -> bool:
        """True for a sync of one of the files, or of the folder."""
        return call.name in ("fsync", "fdatasync") and (self._content(call) is not None or _is_folder(call))

    def _content(self, call: Call) -> Content | None:
        found = FILE.match(call.arguments)
        return self.files.get(_name_in(found[1])) if found else None

    def write_to(self, folder: Path, chance: random.Random | None, everything: bool) -> None:
        """Write the files as they may be found after a cut at this moment."""
        # Names change in the journal of the file system, in order: before this moment all, or those that were synced.
        names = self.files if everything or (chance is not None and chance.random() < 0.5) else self.sure_names
        for name, content in names.items():
            (folder / name).write_bytes(content.after_cut(chance, everything))


def _is_folder(call: Call) -> bool:
    return "/runs>" in call.arguments


def _name_in(path: str) -> str:
    """The name of one of the database's files; empty for every other path. Shared memory never reaches the disk."""
    name = os.path.basename(path)
    return name if name.startswith(DATABASE) and not name.endswith("-shm") else ""


# What was acknowledged --------------------------------------------------------------------------------------------


def acknowledged(found: Sequence[Call]) -> list[tuple[int, str, int]]:
    """(moment, run, step) of each step, as soon as anybody could know that it is durable; step 0 is the run itself."""
    readers: dict[str, FrameReader] = {}
    of_run: dict[str, str] = {}
    told: list[tuple[int, str, int]] = []
    clients: dict[str, bytes] = {}
    for call in sorted(found, key=lambda call: call.began):
        if call.name not in ("sendto", "sendmsg", "write") or not (peer := FILE.match(call.arguments)):
            continue
        if not peer[1].startswith("socket:") or not (string := STRING.search(call.arguments)):
            continue
        data = _text(string[1])[: int(re.match(r"\d+", call.result)[0])]  # type: ignore[index]
        socket = peer[1]
        if b'"events"' in data or b'"result"' in data or socket in clients:
            clients[socket] = clients.get(socket, b"") + data
            for run, step in _told_to_client(data):
                told.append((call.began, run, step))
            continue
        try:
            frames = readers.setdefault(socket, FrameReader()).feed(data)
        except Exception:
            continue
        for header, _ in frames:
            if header.get("t") == "init":
                of_run[socket] = header["run"]
                told.append((call.began, header["run"], header["seq"]))
            elif header.get("t") == "ack":
                told.append((call.began, of_run[socket], header["seq"]))
    return told


CHANGED = re.compile(rb'\{[^{}]*"run_id":"([^"]+)"[^{}]*\}')


def _told_to_client(data: bytes) -> Iterator[tuple[str, int]]:
    """The steps that events and replies name, each as the newest one of its run."""
    for match in CHANGED.finditer(data):
        document = json.loads(match[0])
        if document.get("status") == "completed" and document.get("seq") is not None:
            yield document["run_id"], document["seq"]
        elif isinstance(document.get("step"), int):
            yield document["run_id"], document["step"]


# Cutting ----------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of the cuts."""

    cuts: int = 0
    syncs: int = 0
    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def cut_everywhere(files: Sequence[Path], folder: Path, seed: int, most: int) -> Result:
    """Cut the power around every sync (or `most` of them, spread evenly), in several ways each, and look."""
    found = calls(files)
    told = sorted(acknowledged(found))
    chance = random.Random(seed)
    result = Result(acknowledged=len({(run, step) for _, run, step in told}))
    probe = Disk()
    for call in found:
        result.syncs += probe.is_sync(call)
        probe.follow(call)
    every = max(1, result.syncs // most)
    disk = Disk()
    newest: dict[str, int] = {}
    waiting = iter(told)
    following = next(waiting, None)
    number = 0
    for call in found:
        while following is not None and following[0] < call.ended:
            newest[following[1]] = max(newest.get(following[1], -1), following[2])
            following = next(waiting, None)
        if not disk.is_sync(call):
            disk.follow(call)
            continue
        if number % every == 0:
            _look(disk, folder, newest, chance, False, result, f"before sync {number}")
        disk.follow(call)
        if number % every == 0:
            _look(disk, folder, newest, None, False, result, f"after sync {number}")
            _look(disk, folder, newest, None, True, result, f"after sync {number}, all written")
        number += 1
    return result


def _look(
    disk: Disk,
    folder: Path,
    newest: dict[str, int],
    chance: random.Random | None,
    everything: bool,
    result: Result,
    where: str,
) -> None:
    """Open the database as a cut at this moment leaves it, and compare."""
    result.cuts += 1
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    disk.write_to(folder, chance, everything)
    path = folder / DATABASE
    if not path.exists() and not newest:
        return
    try:
        connection = open_database(path, check=True)
    except (RondoError, sqlite3.Error) as error:
        result.damaged.append(f"{where}: {error} {getattr(error, 'cause', '')}")
        return
    try:
        there = dict(
            connection.execute(
                "SELECT runs.id, max(steps.seq) FROM runs JOIN steps ON steps.line = runs.line GROUP BY runs.id"
            ).fetchall()
        )
        for run, seq, delta, crc in connection.execute("SELECT line, seq, delta, crc FROM steps"):
            if crc32(delta) != crc:
                result.damaged.append(f"{where}: the row of line {run}, step {seq}")
        counts = dict(
            connection.execute(
                "SELECT runs.id, count(*) - 1 FROM runs JOIN steps ON steps.line = runs.line GROUP BY runs.id"
            ).fetchall()
        )
    finally:
        connection.close()
    for run, step in newest.items():
        if there.get(run, -1) < step or counts.get(run) != there.get(run):
            result.missing.append(f"{where}: {run} was told step {step}, and {there.get(run)} is there")
