"""Settings: what a file says holds, the workspace's over the user's; nothing in them can stop Rondo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.places import Workspace
from core.settings import DEFAULT, LimitSettings, LiveSettings, Settings, read_settings


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    user = tmp_path / "config" / "rondo" / "settings.toml"
    user.parent.mkdir(parents=True)
    workspace = Workspace.at(tmp_path / "space")
    workspace.root.mkdir()
    return user, workspace.root / "rondo.toml", workspace


def test_without_files_the_defaults_hold(files: tuple[Path, Path, Workspace]) -> None:
    read = read_settings(files[2])
    assert (read.engine, read.limits, read.problems) == (Settings().engine, LimitSettings(), ())
    assert {entry.source for entry in read.effective()} == {DEFAULT}


def test_the_workspace_goes_over_the_user_and_a_workflow_over_both(files: tuple[Path, Path, Workspace]) -> None:
    user, own, workspace = files
    user.write_text("[engine]\nmax_runs = 3\n[limits]\nmemory_mb = 100\ncpu_seconds = 5\n")
    own.write_text('[limits]\nmemory_mb = 200\n[workflows."my flow"]\nmemory_mb = 300\nmax_runs = 1\n')
    read = read_settings(workspace)
    assert read.problems == ()
    assert read.engine.max_runs == 3
    assert (read.limits_of("other").memory_mb, read.limits_of("other").cpu_seconds) == (200, 5)
    assert (read.limits_of("my flow").memory_mb, read.limits_of("my flow").max_runs) == (300, 1)
    sources = {entry.key: entry.source for entry in read.effective()}
    assert sources["engine.max_runs"] == sources["limits.cpu_seconds"] == str(user)
    assert sources["limits.memory_mb"] == sources["workflows.my flow.memory_mb"] == str(own)
    assert sources["limits.log_lines"] == DEFAULT
    assert read.limit_place("my flow", "memory_mb") == f"memory_mb under [workflows.my flow] in {own}"
    assert read.limit_place("my flow", "cpu_seconds") == f"cpu_seconds under [limits] in {user}"
    assert read.limit_place("my flow", "log_lines") == f"log_lines under [limits] in {own}"


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    [
        ("\n[limits]\nmemory = 5\n", 3, "limits.memory", "there is no setting", "Did you mean memory_mb?"),
        ("[limit]\nx = 1\n", 1, "limit", "there is no section", "Did you mean limits?"),
        ("[engine]\n\nmax_runs = 0\n", 3, "engine.max_runs", "between 1 and 1000; got 0", "from before holds"),
        ("[engine]\nmax_runs = true\n", 2, "engine.max_runs", "whole number; got True", "from before holds"),
        ("[limits]\ncpu_seconds = nan\n", 2, "limits.cpu_seconds", "must be a number; got nan", "from before"),
        ("[limits]\ncpu_seconds = '5'\n", 2, "limits.cpu_seconds", "must be a number; got '5'", "from before"),
        ("limits = 3\n", 1, "limits", "must be a table", "Write [limits]"),
        ("[workflows]\na = 3\n", 2, "workflows.a", "must be a table", "[workflows.NAME]"),
        ("[workflows.a]\nmax = 3\n", 2, "workflows.a.max", "there is no setting", "There are: max_runs"),
        ("[llm]\nprofil = 'fast'\n", 2, "llm.profil", "there is no setting", "Did you mean profile?"),
        ("[llm]\nprofile = 'fats'\n", 2, "llm.profile", "must be one of default,", "Did you mean fast?"),
        ("[llm]\nmodel = 'opus'\n", 2, "llm.model", "a provider and a model", "from before holds"),
        ("[llm]\nmodel = 5\n", 2, "llm.model", "must be a text; got 5", "from before holds"),
        ("[llm.role.chat]\neffort = 'low'\n", 1, "llm.role", "there is no setting", "Did you mean roles?"),
        ("[llm.roles.chats]\neffort = 'low'\n", 1, "llm.roles.chats", "there is no table", "Did you mean chat?"),
        ("[llm.roles]\nchat = 'x'\n", 2, "llm.roles.chat", "must be a table", "[llm.roles.NAME]"),
        ("[llm.roles.chat]\neffort = 'hgih'\n", 2, "llm.roles.chat.effort", "must be one of", "Did you mean high?"),
        ("[llm]\nroles = 3\n", 2, "llm.roles", "must be a table", "[llm.roles.NAME]"),
        ("[llm.providers.'A b']\nwire = 'openai'\n", 1, "llm.providers.A b", "can't be used", "small letters"),
        ("[llm.providers.x]\nbase_url = 'ftp:'\n", 2, "llm.providers.x.base_url", "must begin with http", "before"),
        ("[llm.providers.x]\ntools = 1\n", 2, "llm.providers.x.tools", "must be true or false", "from before"),
        ("[engine]\nmax_runs 3\n", 2, "", "the file is not TOML", "Mend that line"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    files: tuple[Path, Path, Workspace], text: str, line: int, key: str, message: str, hint: str
) -> None:
    files[1].write_text(text)
    read = read_settings(files[2])
    (problem,) = read.problems
    assert (problem.file, problem.line, problem.key) == (str(files[1]), line, key)
    assert message in problem.message
    assert hint in problem.hint
    assert (read.engine, read.limits) == (Settings().engine, LimitSettings())


def test_models_and_providers_are_settings_with_texts_words_and_tables(files: tuple[Path, Path, Workspace]) -> None:
    user, own, workspace = files
    user.write_text('[llm]\nprofile = "fast"\n[llm.roles.chat]\nmodel = "openai:x"\neffort = "high"\n')
    own.write_text(
        '[llm.roles.chat]\neffort = "low"\n'
        '[llm.providers.mine]\nwire = "openai"\nbase_url = "http://box:8000/v1"\nkey = "secret:BOX"\ntools = false\n'
    )
    read = read_settings(workspace)
    assert read.problems == ()
    assert read.llm.profile == "fast"
    assert read.table("llm.roles") == {"chat": {"model": "openai:x", "effort": "low"}}
    assert read.table("llm.providers")["mine"] == {
        "wire": "openai",
        "base_url": "http://box:8000/v1",
        "key": "secret:BOX",
        "tools": False,
    }
    shown = {entry.key: (entry.value, entry.source) for entry in read.effective()}
    assert shown["llm.roles.chat.model"] == ("openai:x", str(user))
    assert shown["llm.roles.chat.effort"] == ("low", str(own))


def test_a_key_that_somebody_wrote_into_a_file_is_refused_and_never_repeated(
    files: tuple[Path, Path, Workspace],
) -> None:
    files[1].write_text('[llm.providers.mine]\nkey = "sk-verysecret-123"\n')
    (problem,) = read_settings(files[2]).problems
    assert "never be the key" in problem.message
    assert "verysecret" not in str(problem)


def test_a_wrong_value_leaves_the_users_value_and_the_others_of_its_file(files: tuple[Path, Path, Workspace]) -> None:
    user, own, workspace = files
    user.write_text("[limits]\nmemory_mb = 100\n")
    own.write_text("[limits]\nmemory_mb = -1\nlog_lines = 500\n")
    read = read_settings(workspace)
    assert (read.limits.memory_mb, read.limits.log_lines, len(read.problems)) == (100, 500, 1)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[engine]\nmax_runs = 4\n" + b"#" * 2**20, b"[" * 100_000])
def test_a_file_that_is_no_text_or_endless_sets_nothing(files: tuple[Path, Path, Workspace], content: bytes) -> None:
    files[1].write_bytes(content)
    read = read_settings(files[2])
    assert read.engine == Settings().engine
    assert len(read.problems) == 1


def test_a_folder_in_the_files_place_is_a_problem(files: tuple[Path, Path, Workspace]) -> None:
    files[1].mkdir()
    assert "can't be read" in read_settings(files[2]).problems[0].message


def test_a_saved_change_holds_without_a_restart(files: tuple[Path, Path, Workspace]) -> None:
    moment = 0.0
    live = LiveSettings(files[2], monotonic=lambda: moment)
    assert live.now.engine.max_runs == 16
    files[1].write_text("[engine]\nmax_runs = 2\n")
    moment = 2.0
    assert live.now.engine.max_runs == 2
    files[1].unlink()
    moment = 4.0
    assert live.now.engine.max_runs == 16


toml_values = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers()))
words = st.sampled_from(
    [
        "engine",
        "limits",
        "workflows",
        "llm",
        "llm.roles",
        "llm.roles.chat",
        "profile",
        "model",
        "max_runs",
        "memory_mb",
        "log_mb",
        "x",
        "a.b",
        '"q"',
        "[",
        "=",
    ]
)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "").replace("\n", "") + "'"
    return str(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.one_of(words.map("[{}]".format), st.tuples(words, toml_values)), max_size=8))
def test_no_text_whatever_breaks_the_reading(
    files: tuple[Path, Path, Workspace], lines: list[str | tuple[str, Any]]
) -> None:
    text = "\n".join(line if isinstance(line, str) else f"{line[0]} = {_toml(line[1])}" for line in lines)
    files[1].write_text(text, errors="replace")
    read = read_settings(files[2])
    assert 1 <= read.engine.max_runs <= 1000
    assert read.limits_of("x").memory_mb >= 0
    assert list(read.effective())


def test_the_assistant_s_weights_and_threshold_are_settings(files: tuple[Path, Path, Workspace]) -> None:
    from core.assistant.session import SessionLimits

    assert SessionLimits.of(Settings().assistant) == SessionLimits()
    files[0].write_text('[assistant]\nthreshold = 0.5\nclarity = 1\nmode = "ask"\nturn_tokens = 5000\n')
    read = read_settings(files[2])
    limits = SessionLimits.of(read.assistant)
    assert (limits.threshold, limits.weights.clarity, limits.tokens) == (0.5, 1, 5000)
    assert read.assistant.mode == "ask"
    files[0].write_text('[assistant]\nmode = "yolo"\nthreshold = 2\n')
    assert [problem.key for problem in read_settings(files[2]).problems] == ["assistant.mode", "assistant.threshold"]
