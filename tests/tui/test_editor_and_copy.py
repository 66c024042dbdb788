"""Handing a file to the person's editor, and text to their clipboard."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tui.clipboard import TERMINAL_LIMIT, copied_text, copy_file, fits_terminal, write_copy
from tui.editor import editor_command


@pytest.mark.parametrize(
    ("environment", "line", "command"),
    [
        ({"EDITOR": "nano"}, 0, ["nano", "/w/nodes.py"]),
        ({"EDITOR": "nano"}, 41, ["nano", "+41", "/w/nodes.py"]),
        ({"VISUAL": "hx", "EDITOR": "nano"}, 41, ["hx", "/w/nodes.py:41"]),
        ({"EDITOR": "/usr/bin/vim -n"}, 3, ["/usr/bin/vim", "-n", "+3", "/w/nodes.py"]),
        ({"EDITOR": "code"}, 3, ["code", "--wait", "--goto", "/w/nodes.py:3"]),
        ({"EDITOR": "code --wait"}, 3, ["code", "--wait", "--goto", "/w/nodes.py:3"]),
        ({"EDITOR": "unknown-editor"}, 3, ["unknown-editor", "/w/nodes.py"]),
    ],
)
def test_the_editor_opens_the_line(environment: dict[str, str], line: int, command: list[str]) -> None:
    assert editor_command("/w/nodes.py", line, environment) == command


def test_without_an_editor_there_is_no_command() -> None:
    assert editor_command("/w/nodes.py", 1, {}) is None
    assert editor_command("/w/nodes.py", 1, {"EDITOR": ""}) is None


def test_a_copy_is_in_a_file_for_the_person_alone() -> None:
    assert write_copy("first\nsecond") == ""
    assert copy_file().read_text(encoding="utf-8") == "first\nsecond"
    assert stat.S_IMODE(copy_file().stat().st_mode) == 0o600
    assert "Copied 2 lines" in copied_text("first\nsecond", "")


def test_a_copy_without_a_file_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    problem = write_copy("text")
    assert problem
    assert problem in copied_text("text", problem)


def test_what_no_terminal_takes_is_said() -> None:
    long = "é" * TERMINAL_LIMIT
    assert not fits_terminal(long)
    assert "Too long" in copied_text(long, "")
