"""`--read-only`: commands look, and what would change something is refused, by the command and by the engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from core.cli.main import app
from core.read_only import READING_COMMANDS, VARIABLE

Rondo = Callable[..., Any]


@pytest.fixture(autouse=True)
def variable_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, words: list[str]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words), command
        for name, below in (inner or {}).items():
            yield from walk(below, [*words, name])

    yield from walk(typer.main.get_command(app), [])


LEAVES = dict(commands())


def arguments_of(command: Any) -> list[str]:
    """Words for every argument that the command needs."""
    return [
        "x" for entry in command.params if entry.param_type_name == "argument" and (entry.required or entry.nargs == -1)
    ]


@pytest.mark.parametrize("words", [words for words in LEAVES if words not in READING_COMMANDS])
def test_a_command_that_changes_something_is_refused(words: str, workspace: Path, rondo: Rondo) -> None:
    before = sorted(workspace.rglob("*"))
    needed = ["--step", "1"] if words in ("rewind", "fork") else []
    outcome = rondo("--read-only", *words.split(), *arguments_of(LEAVES[words]), *needed, "--json")
    assert outcome.code == 4, outcome.out
    error = outcome.document["error"]
    assert error["type"] == "ReadOnly"
    assert f"`rondo {words}` was not done" in error["message"]
    assert "without --read-only" in error["next_step"]
    assert sorted(workspace.rglob("*")) == before


def test_every_command_is_looked_at() -> None:
    for words, command in LEAVES.items():
        assert "open_call(" in inspect.getsource(command.callback), words
    groups = {"settings", "engine", "secrets", "tools"}
    assert {words for words in READING_COMMANDS if words not in LEAVES} <= groups | {"keys"}


def test_looking_works_and_the_flag_may_stand_anywhere(done: Any, rondo: Rondo) -> None:
    rondo("run", "done", "--json")
    for words in (("runs", "--read-only", "--json"), ("--read-only", "runs", "--json")):
        assert len(rondo(*words).document) == 1
    assert rondo("settings", "--read-only", "--json").code == 0
