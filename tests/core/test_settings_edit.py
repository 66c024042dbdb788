"""Changing settings files: one value becomes another, and nothing else in the file does."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import EnvironmentProblem, UsageError
from core.places import Workspace
from core.settings import read_settings
from core.settings_edit import (
    SettingsChanged,
    SettingsNotEdited,
    find_setting,
    known_keys,
    parse_value,
    put_back,
    set_value,
    unset_value,
)
from core.settings_fields import default_of
from core.settings_journal import NothingToUndo, SettingsJournal

COMMENTED = """# mine
[limits]   # for each run
# how much
memory_mb = 100     # little

[from_the_future]
unknown = "kept"    # and this

[workflows."my flow"]
max_runs = 1
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "rondo" / "settings.toml"


def set_text(path: Path, key: str, text: str) -> None:
    setting = find_setting(key)
    set_value(path, setting, parse_value(setting, text))


def test_a_value_is_changed_and_every_comment_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(COMMENTED)
    set_text(path, "limits.memory_mb", "250")
    assert path.read_text() == COMMENTED.replace("memory_mb = 100 ", "memory_mb = 250 ")
    set_text(path, "workflows.my flow.log_lines", "500")
    set_text(path, "app.theme", "ansi-dark")
    read = tomllib.loads(path.read_text())
    assert read["from_the_future"] == {"unknown": "kept"}
    assert read["workflows"]["my flow"] == {"max_runs": 1, "log_lines": 500}
    assert read["app"] == {"theme": "ansi-dark"}
    for comment in ("# mine", "# for each run", "# how much", "# little", "# and this"):
        assert comment in path.read_text()


def test_a_file_is_made_where_there_is_none_and_removed_by_undo(path: Path) -> None:
    setting = find_setting("llm.roles.chat.effort")
    edit = set_value(path, setting, "high")
    assert path.read_text().strip() == '[llm.roles.chat]\neffort = "high"'
    put_back(edit)
    assert not path.exists()


def test_what_is_unset_is_gone_and_its_neighbours_stay(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[limits]\nmemory_mb = 1 # a\nlog_lines = 200 # b\n")
    assert unset_value(path, find_setting("limits.memory_mb")) is not None
    assert path.read_text() == "[limits]\nlog_lines = 200 # b\n"
    assert unset_value(path, find_setting("limits.memory_mb")) is None


@pytest.mark.parametrize(
    ("key", "text", "cause"),
    [
        ("limits.memory", "1", "Did you mean limits.memory_mb?"),
        ("nothing.at.all", "1", "Settings stand in"),
        ("workflows.x", "1", "Settings stand in"),
        ("llm.roles.nobody.effort", "high", ""),
        ("limits.memory_mb", "much", "Memory of a run's process"),
        ("limits.memory_mb", "1.5", "Memory of a run's process"),
        ("limits.cpu_seconds", "nan", "CPU time"),
        ("app.theme", "ansi-drak", "The app's colours"),
        ("llm.model", "gpt", "The model of the profiles"),
        ("engine.max_runs", "0", "Run processes at once"),
    ],
)
def test_what_can_not_be_is_refused_with_a_hint(path: Path, key: str, text: str, cause: str) -> None:
    with pytest.raises(UsageError) as refused:
        set_text(path, key, text)
    assert cause in refused.value.cause
    assert refused.value.next_step
    assert not path.exists()


def test_a_file_that_is_not_toml_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[limits\nx = 1\n")
    with pytest.raises(SettingsNotEdited, match="is not TOML"):
        set_text(path, "limits.memory_mb", "5")
    assert path.read_text() == "[limits\nx = 1\n"


def test_a_value_in_the_place_of_a_table_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("limits = 3\n")
    with pytest.raises(SettingsNotEdited, match="must be a table"):
        set_text(path, "limits.memory_mb", "5")
    assert path.read_text() == "limits = 3\n"


def test_a_folder_that_can_not_be_written_is_named(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem) as refused:
        set_text(path, "limits.memory_mb", "5")
    assert str(path) in refused.value.message


def test_rights_and_links_stay(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("[limits]\n")
    real.chmod(0o600)
    path.parent.mkdir()
    path.symlink_to(real)
    set_text(path, "limits.memory_mb", "5")
    assert path.is_symlink()
    assert real.read_text() == "[limits]\nmemory_mb = 5\n"
    assert os.stat(real).st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["dotfiles.toml", "rondo"]


def test_undo_and_redo_go_back_and_forth_but_never_over_what_others_wrote(path: Path, tmp_path: Path) -> None:
    journal = SettingsJournal(tmp_path / "journal.json")
    with pytest.raises(NothingToUndo):
        journal.undo()
    for text in ("100", "200"):
        setting = find_setting("limits.memory_mb")
        journal.note(set_value(path, setting, parse_value(setting, text)))
    assert os.stat(tmp_path / "journal.json").st_mode & 0o077 == 0
    assert journal.undo().key == "limits.memory_mb"
    assert "memory_mb = 100" in path.read_text()
    journal.redo()
    assert "memory_mb = 200" in path.read_text()
    with pytest.raises(NothingToUndo):
        journal.redo()
    path.write_text(path.read_text() + "# by hand\n")
    with pytest.raises(SettingsChanged):
        journal.undo()
    assert "# by hand" in path.read_text()


@pytest.mark.parametrize("key", known_keys())
def test_every_setting_can_be_written_as_its_default_and_read_again(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    workspace = Workspace.at(tmp_path)
    setting = find_setting(key)
    set_value(tmp_path / "rondo.toml", setting, default_of(setting.entry))
    read = read_settings(workspace)
    assert read.problems == ()
    assert read.sources == {key: str(tmp_path / "rondo.toml")}


LINES = st.lists(
    st.sampled_from(
        [
            "# a comment",
            "",
            "[limits]",
            "[engine] # e",
            "[llm.roles.chat]",
            "[later]",
            "memory_mb = 3",
            "max_runs = 2  # x",
            'effort = "low"',
            "odd = [1,\n 2]",
            "[[many]]",
            "llm.retries = 2",
            "limits = {log_mb = 1.0}",
        ]
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=LINES, key=st.sampled_from(["limits.memory_mb", "llm.retries", "llm.roles.chat.effort", "engine.max_runs"])
)
def test_any_file_is_changed_in_one_value_or_not_at_all(tmp_path: Path, lines: list[str], key: str) -> None:
    path = tmp_path / "any.toml"
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    setting = find_setting(key)
    value = "low" if key.endswith("effort") else 7
    try:
        edit = set_value(path, setting, value)
    except SettingsNotEdited:
        assert path.read_text() == text
        return
    place = tomllib.loads(path.read_text())
    for name in setting.path:
        place = place[name]
    assert place == value
    assert [line for line in lines if line.startswith("#")] == [
        line for line in path.read_text().splitlines() if line.startswith("# a")
    ]
    put_back(edit)
    assert path.read_text() == text
