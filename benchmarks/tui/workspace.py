"""A workspace for the measurements, with workflows whose nodes only wait, print or do nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

RONDO = str(Path(sys.executable).with_name("rondo"))

NODES = '''
import time
from core.sdk import Node


class Idle(Node):
    """Does nothing for a moment."""

    async def execute(self, prepared):
        time.sleep({pause})


class Talk(Node):
    """Prints lines evenly for some seconds."""

    async def execute(self, prepared):
        rate, end, count = {rate}, time.monotonic() + {seconds}, 0
        begin = time.monotonic()
        while time.monotonic() < end:
            due = int((time.monotonic() - begin) * rate)
            for number in range(count, due):
                print(f"line {{number}} of a log that says what happens, at some length, again and again")
            count = max(count, due)
            time.sleep(0.005)
'''


class Place:
    """The workspace in a folder, and the `rondo` command in it with user folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "w"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "RONDO_", "SSH_"))}
        own = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("DATA", "STATE", "CONFIG")}
        self.env = {**kept, **own, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parents[2])}
        self.folder.mkdir()
        self.rondo("init", ".", "--no-example")

    def rondo(self, *words: str) -> str:
        """Call the command; what it printed."""
        return subprocess.run(
            [RONDO, *words], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=True, timeout=120,
        ).stdout  # fmt: skip

    def json(self, *words: str) -> Any:
        """The document that the command prints."""
        return json.loads(self.rondo(*words, "--json"))

    def steps(self, name: str, count: int, pause: float) -> None:
        """A workflow of so many nodes in a row, with some edges back and across that are never taken."""
        ids = [f"node_{number}" for number in range(count)]
        edges: list[dict[str, str]] = [{"from": a, "to": b} for a, b in pairwise(ids)]
        edges += [{"from": ids[at], "to": ids[at - 5], "condition": "'back' in shared"} for at in range(9, count, 10)]
        edges += [{"from": ids[at], "to": ids[at + 3], "condition": "'on' in shared"} for at in range(2, count - 3, 10)]
        nodes = [{"id": node, "class": "Idle"} for node in ids]
        self._write(name, {"name": name, "start": ids[0], "nodes": nodes, "edges": edges}, pause=pause)

    def talk(self, name: str, rate: int, seconds: float) -> None:
        """A workflow of one node that prints so many lines a second."""
        nodes = [{"id": "talk", "class": "Talk"}]
        self._write(
            name, {"name": name, "start": "talk", "nodes": nodes, "edges": []}, rate=rate, seconds=seconds
        )  # fmt: skip

    def _write(self, name: str, graph: dict[str, Any], *, pause: float = 0, rate: int = 0, seconds: float = 0) -> None:
        folder = self.folder / "workflows" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.json").write_text(json.dumps(graph))
        (folder / "nodes.py").write_text(NODES.format(pause=pause, rate=rate, seconds=seconds))
