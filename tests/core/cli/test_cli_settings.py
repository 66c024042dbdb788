"""`rondo settings`: what holds, and changing it from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Rondo = Callable[..., Any]


@pytest.fixture
def user(tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kind in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    return tmp_path / "CONFIG" / "rondo" / "settings.toml"


def test_a_setting_is_set_read_unset_and_brought_back(user: Path, rondo: Rondo) -> None:
    assert rondo("settings", "get", "limits.memory_mb").out.strip() == "4000"
    assert "limits.memory_mb is 250" in rondo("settings", "set", "limits.memory_mb", "250").out
    assert "memory_mb = 250" in user.read_text()
    document = rondo("settings", "get", "limits.memory_mb", "--json").document
    assert (document["value"], document["default"], document["source"]) == (250, 4000, str(user))
    assert rondo("settings", "unset", "limits.memory_mb", "--json").document["value"] == 4000
    assert rondo("settings", "undo", "--json").document["value"] == 250
    assert rondo("settings", "redo", "--json").document["value"] == 4000


def test_the_workspace_s_own_file_goes_over_and_that_is_said(user: Path, workspace: Path, rondo: Rondo) -> None:
    rondo("settings", "set", "engine.max_runs", "3", "--here")
    assert "max_runs = 3" in (workspace / "rondo.toml").read_text()
    said = rondo("settings", "set", "engine.max_runs", "5")
    assert said.code == 0
    assert "says 3, and goes over it here" in " ".join(said.err.split())
    assert rondo("settings", "get", "engine.max_runs").out.strip() == "3"


def test_settings_without_a_word_and_list_are_the_same(user: Path, rondo: Rondo) -> None:
    alone = rondo("settings", "--json").document
    assert alone == rondo("settings", "list", "--json").document
    assert {"app.theme", "llm.retries"} <= {entry["key"] for entry in alone["settings"]}
    assert "rondo settings set KEY VALUE" in rondo("settings").out


@pytest.mark.parametrize(
    "words",
    [
        ("get", "limits.nothing"),
        ("set", "limits.nothing", "1"),
        ("set", "limits.memory_mb", "-5"),
        ("set", "app.theme", "pink"),
        ("unset", "limits.memory_mb"),
        ("undo",),
        ("redo",),
    ],
)
def test_what_can_not_be_done_is_wrong_usage_with_a_next_step(user: Path, rondo: Rondo, words: tuple[str, ...]) -> None:
    outcome = rondo("settings", *words, "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["next_step"]


def test_wrong_and_unknown_entries_are_shown_with_their_line_and_stay(user: Path, rondo: Rondo) -> None:
    user.parent.mkdir(parents=True)
    user.write_text("[limits]\nmemory_mb = 'much'\nfuture = 1\n")
    shown = rondo("settings")
    err = "".join(shown.err.split("\n"))
    assert f"{user}:2: limits.memory_mb must be a whole number" in err
    assert f"{user}:3: there is no setting limits.future" in err
    rondo("settings", "set", "limits.log_lines", "500")
    assert "future = 1" in user.read_text() and "'much'" in user.read_text()
