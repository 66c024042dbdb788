"""Who takes part in the benchmark, and how each is started."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".benchmarks" / "peers"
PEER_NAMES = ("langgraph", "dbos", "burr")


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that does the verbs of `benchmarks.contract`, with its own interpreter."""

    name: str
    module: str
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """True for Rondo's own modes."""
        return self.name.startswith("rondo")

    def command(self, verb: str, folder: Path, *numbers: int) -> list[str]:
        """The words that start it."""
        return [self.python, "-m", self.module, verb, str(folder), *map(str, numbers)]

    def variables(self) -> dict[str, str]:
        """The environment it runs in."""
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}


FLOOR = Contender("plain SQLite", "benchmarks.contenders.sqlite_floor")
OURS = [
    Contender("rondo library", "benchmarks.contenders.rondo", environment={"BENCHMARK_LIBRARY_MODE": "1"}),
    Contender("rondo processes", "benchmarks.contenders.rondo"),
]


def peer(name: str) -> Contender:
    """A peer in an environment of its own, which is made on first use.

    Raises CalledProcessError where it can't be made.
    """
    requirements = Path(__file__).parents[1] / "peers" / f"{name}.txt"
    home = PEERS / name
    made = home / "made-from.txt"
    if not made.exists() or made.read_text() != requirements.read_text():
        print(f"making the environment of {name} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        made.write_text(requirements.read_text())
    return Contender(name, f"benchmarks.peers.{name}_contender", str(home / "bin" / "python"))
