"""The command line, called in this process on an engine in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cli_double import DoubleEngine, Moment

from core.cli.main import main


@dataclass
class Outcome:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that is all of stdout."""
        return json.loads(self.out)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which the command line is called."""
    (tmp_path / "workflows").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engine(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> DoubleEngine:
    """The engine that every connection of the test reaches."""
    double = DoubleEngine()

    async def connect(*_: Any, **__: Any) -> DoubleEngine:
        double.connections += 1
        return double

    monkeypatch.setattr("core.link.start.connect", connect)
    return double


@pytest.fixture
def rondo(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call the command line in this process."""

    def call(*words: str) -> Outcome:
        code = main(list(words))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def hello(engine: DoubleEngine) -> DoubleEngine:
    """A workflow that asks a name and greets."""
    engine.scripts["hello"] = [
        Moment(lines=[("INFO", "starting")], step="talk", state={"n": 1}),
        Moment(status="waiting_input", ask={"request_id": "name", "prompt": "Who?"}),
        Moment(lines=[("INFO", "greeting"), ("WARNING", "\x1b[31mred\x1b[0m")], step="greet", state={"n": 2}),
        Moment(status="completed"),
    ]
    return engine


@pytest.fixture
def done(engine: DoubleEngine) -> DoubleEngine:
    """A workflow that completes by itself."""
    engine.scripts["done"] = [Moment(step="only", state={"big": 2**62, "text": "süß\x9b"}), Moment(status="completed")]
    return engine
