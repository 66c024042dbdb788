"""The engine's part in tests of runs: acknowledges steps, answers requests, keeps what it hears."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from core.engine.inline import InlinePool
from core.engine.logpipe import LogRecord
from core.engine.processes import ExitStatus, ProcessPool
from core.runner.process_tree import start_ticks

LIMIT = 60.0
"""Seconds before a test gives up on something that should happen at once."""


class EngineSide:
    """A listener that plays the engine for one run."""

    def __init__(self, answers: dict[str, Any] | None = None, *, acknowledge: bool = True) -> None:
        self.answers = answers or {}
        self.acknowledge = acknowledge
        self.process: Any = None
        self.heard: list[tuple[str, Any]] = []
        """Everything in order: ("frame", header), ("line", record)."""
        self.payloads: list[bytes] = []
        self.dropped = 0
        self.exits: list[tuple[ExitStatus, str]] = []
        self._news = asyncio.Event()

    def on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        self.heard.append(("frame", header))
        self._news.set()
        if header["t"] == "step":
            self.payloads.append(payload)
            if self.acknowledge:
                self.process.send({"t": "ack", "seq": header["seq"]})
        if header["t"] == "request" and header["request_id"] in self.answers:
            key = f"{header['node']}:{header['visit']}:{header['request_id']}:{header['nth']}"
            self.process.send({"t": "answer", "key": key, "value": self.answers[header["request_id"]]})

    def on_log_records(self, records: Sequence[LogRecord]) -> None:
        self.heard += [("line", record) for record in records]
        self._news.set()

    def on_log_dropped(self, count: int) -> None:
        self.dropped += count

    def on_exit(self, status: ExitStatus, description: str) -> None:
        self.exits.append((status, description))
        self._news.set()

    def frames(self, kind: str) -> list[dict[str, Any]]:
        return [what for which, what in self.heard if which == "frame" and what["t"] == kind]

    def lines(self, stream: str | None = None) -> list[LogRecord]:
        return [what for which, what in self.heard if which == "line" and stream in (None, what[2])]

    def texts(self, stream: str | None = None) -> list[str]:
        return [line[6] for line in self.lines(stream)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for news until the condition holds."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def frame(self, kind: str) -> dict[str, Any]:
        """The first frame of that kind; it fails at once where the run has ended without it."""
        await self.until(lambda: self.frames(kind) or self.exits)
        assert self.frames(kind), f"no {kind} frame: {self.exits} {self.heard}"
        return self.frames(kind)[0]

    async def end(self) -> tuple[ExitStatus, str]:
        """How the run ended."""
        await self.until(lambda: self.exits)
        return self.exits[0]


def init_frame(folder: Path, source: str | dict[str, str], **changes: Any) -> dict[str, Any]:
    """An init frame for a workflow whose only node is `a` of class `A`, unless `graph` says otherwise."""
    workflow = folder / "workflows" / "w"
    workflow.mkdir(parents=True, exist_ok=True)
    return {
        "t": "init",
        "e": 3,
        "run": "run-1",
        "line": 1,
        "workflow": "w",
        "version": "v",
        "graph": {"name": "w", "start": "a", "nodes": [{"id": "a", "class": "A"}], "edges": []},
        "sources": {"nodes.py": source} if isinstance(source, str) else source,
        "folder": str(workflow),
        "output_dir": str(folder / "runs" / "output" / "run-1"),
        "workspace": str(folder),
        "run_key": "run-1",
        "seq": 0,
        "next": "a",
        "visits": {},
        "trials": {},
        "answers": [],
        "until": "end",
        "deltas_since_snapshot": [0, 0],
        "limits": {},
        **changes,
    }


def body(*lines: str) -> str:
    """A nodes.py whose class A runs these lines in `prepare`."""
    return "\n".join(
        [
            "import asyncio, logging, os, signal, subprocess, sys, threading, time",
            "from core.sdk import Node",
            "class A(Node):",
            "    async def prepare(self, shared, request_input):",
            *(f"        {line}" for line in lines),
            "        return None",
        ]
    )


class Play:
    """Starts runs in a pool and listens to them."""

    def __init__(self, pool: ProcessPool | InlinePool, folder: Path) -> None:
        self.pool = pool
        self.folder = folder

    async def start(
        self,
        source: str | dict[str, str],
        *,
        state: bytes = b"{}",
        answers: dict[str, Any] | None = None,
        acknowledge: bool = True,
        python: str | None = None,
        recorded: list[dict[str, Any]] | None = None,
        **changes: Any,
    ) -> EngineSide:
        """Start a run and return its engine side."""
        side = EngineSide(answers, acknowledge=acknowledge)
        init = init_frame(self.folder, source, **changes) | {"answers": recorded or []}
        side.process = await self.pool.spawn(init, state, side, python=python)
        return side

    async def run(self, source: str | dict[str, str], **options: Any) -> EngineSide:
        """Start a run and wait for its end."""
        side = await self.start(source, **options)
        await side.end()
        return side


@asynccontextmanager
async def process_play(folder: Path) -> AsyncIterator[Play]:
    """Runs in processes, in a workspace at `folder`."""
    pool = ProcessPool()
    try:
        yield Play(pool, folder)
    finally:
        await pool.close()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until something outside of this process has come true."""
    async with asyncio.timeout(LIMIT):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    """True while a process runs; one that only waits to be reaped is gone."""
    return start_ticks(pid) is not None


def parent_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text[text.rindex(")") + 2 :].split()[1])


def begin(code: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python program of the test's own."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)


def number_in(path: Path) -> int | None:
    """The number that a process wrote into a file, once it is there as a whole (with its line end)."""
    text = path.read_text() if os.path.exists(path) else ""
    return int(text) if text.endswith("\n") else None
