"""A workspace of its own, with the real `rondo` command and real engine processes, all ended with the test."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RONDO = str(Path(sys.executable).with_name("rondo"))
LIMIT_SECONDS = 120.0
"""How long anything may take before a test fails; generous, because machines are slow at times."""


@dataclass
class Outcome:
    """How a call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that is all of stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error document of a call that failed."""
        error: dict[str, Any] = self.document["error"]
        assert error["message"], "an error without a message"
        assert error["next_step"], f"{error['type']} says no next step"
        return error


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition gives something true, and return that."""
    end = time.monotonic() + LIMIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {LIMIT_SECONDS:.0f} s"
        time.sleep(0.05)
    return value


def is_engine(pid: int) -> bool:
    """True while that process is an engine; a number that another process got meanwhile is none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"core.engine.main" in words


class World:
    """A workspace with user folders of its own, so that it outlasts one test's environment."""

    def __init__(self, root: Path) -> None:
        self.root = root / "ws"
        self.root.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "RONDO_"))}
        names = ("DATA", "STATE", "CONFIG", "CACHE")
        folders = {f"XDG_{name}_HOME": str(root / "user" / name.lower()) for name in names}
        # Sockets may go there, and their paths must be short; a test's own folder is deep.
        self._state = tempfile.mkdtemp(prefix="rondo-")
        folders["XDG_STATE_HOME"] = self._state
        self.environment = {**kept, **folders, "RONDO_ENGINE_IDLE_SECONDS": "120", "LC_ALL": "C.UTF-8"}
        self._engines: set[int] = set()

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def rondo(self, *words: str, cwd: Path | None = None, **options: Any) -> Outcome:
        """Call the command without a terminal and wait for its end."""
        done = subprocess.run(
            [RONDO, *words],
            cwd=cwd or self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            **options,
        )
        self.engine_pid()
        return Outcome(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str) -> Any:
        """The document of a call that succeeds."""
        outcome = self.rondo(*words, "--json")
        assert outcome.code == 0, outcome
        return outcome.document

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start the command and leave it running."""
        return subprocess.Popen(
            [RONDO, *words],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def workflow(self, name: str, code: str, *nodes: str, **more: Any) -> Path:
        """Write a workflow whose nodes ("id" or "id:Class") follow each other; returns its folder."""
        folder = self.root / "workflows" / name
        folder.mkdir(parents=True, exist_ok=True)
        pairs = [node.partition(":") for node in nodes]
        graph = {
            "name": name,
            "nodes": [{"id": node_id, "class": class_name or node_id.capitalize()} for node_id, _, class_name in pairs],
            "edges": [{"from": before, "to": after} for (before, _, _), (after, _, _) in itertools.pairwise(pairs)],
            **more,
        }
        (folder / "nodes.py").write_text(code, encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps(graph, indent=2), encoding="utf-8")
        return folder

    def engine_pid(self) -> int | None:
        """The process that the engine's file names, if there is one; it is ended with the test."""
        try:
            pid = int(json.loads((self.runs / "engine.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None
        self._engines.add(pid)
        return pid

    def kill_engine(self) -> None:
        """End the engine as a crash does."""
        pid = self.engine_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_engine(pid), "the engine's end")

    def close(self) -> None:
        """End every engine that was started here: asked first, then killed."""
        self.engine_pid()
        if any(is_engine(pid) for pid in self._engines):
            self.rondo("engine", "stop")
        for pid in self._engines:
            if is_engine(pid):
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not is_engine(pid), "the engine's end")  # noqa: B023
        shutil.rmtree(self._state, ignore_errors=True)
