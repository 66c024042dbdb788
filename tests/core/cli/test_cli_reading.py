"""Commands that look, and the words of all: their documents, their exit codes, their words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_double import Moment

from core.cli.main import app
from core.link.types import ErrorView

Rondo = Callable[..., Any]

RUN_FIELDS = {"run_id", "workflow", "version", "status", "awaiting_input", "open_requests", "state", "error"}


# runs, show, logs ---------------------------------------------------------------------------------------------------


def test_runs_are_listed_the_newest_first(done: Any, rondo: Rondo) -> None:
    for _ in range(3):
        rondo("run", "done", "--json")
    rows = rondo("runs", "--json").document
    assert [row["short_id"] for row in rows] == ["00000003", "00000002", "00000001"]
    assert rows[0].keys() >= {"run_id", "workflow", "version", "status", "step", "created_at", "started_at", "ended_at"}
    assert [row["short_id"] for row in rondo("runs", "done", "--limit", "1", "--json").document] == ["00000003"]
    assert rondo("runs", "--status", "failed", "--json").document == []
    assert "✓ completed" in rondo("runs").out


def test_a_long_list_of_runs_is_read_in_pages(done: Any, rondo: Rondo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.cli.show.PAGE", 2)
    for _ in range(5):
        rondo("run", "done", "--detach", "--json")
    assert [row["short_id"][-1] for row in rondo("runs", "--limit", "4", "--json").document] == ["5", "4", "3", "2"]
    assert len(rondo("runs", "--json").document) == 5


def test_runs_of_an_unknown_workflow_are_wrong_usage(done: Any, rondo: Rondo, workspace: Path) -> None:
    assert rondo("runs", "nope", "--json").document["error"]["type"] == "UnknownWorkflow"
    (workspace / "workflows" / "fresh").mkdir()
    assert rondo("runs", "fresh", "--json").document == []


@pytest.mark.parametrize("words", [("--status", "happy"), ("--limit", "0"), ("--limit", "x")])
def test_runs_refuse_filters_that_make_no_sense(done: Any, rondo: Rondo, words: tuple[str, str]) -> None:
    outcome = rondo("runs", *words, "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["type"] == "UsageError"


def test_show_has_the_steps_and_the_state_at_any_of_them(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    rondo("answer", "00000001", "name", "Ada", "--json")
    document = rondo("show", "00000001", "--json").document
    assert document.keys() >= RUN_FIELDS
    assert [(step["step"], step["node"], step["attempt"], step["status"]) for step in document["steps"]] == [
        (1, "talk", 1, "completed"),
        (2, "greet", 1, "completed"),
    ]
    assert document["steps"][0].keys() >= {"started_at", "ended_at"}
    assert document["state"] == {"n": 2, "name": "Ada"}
    assert rondo("show", "00000001", "--step", "0", "--json").document["state"] == {}
    assert rondo("show", "00000001", "--step", "1", "--json").document["step"] == 1
    outcome = rondo("show", "00000001", "--step", "9", "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == (2, "UnknownStep")


def test_show_of_a_failed_run_succeeds(engine: Any, rondo: Rondo) -> None:
    engine.scripts["bad"] = [Moment(status="failed", error=ErrorView(type="E", message="no"))]
    rondo("run", "bad", "--json")
    outcome = rondo("show", "00000001")
    assert outcome.code == 0
    assert "✗ failed" in outcome.out
    assert "E: no" in outcome.err


def test_show_for_people_has_everything_at_a_glance(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    outcome = rondo("show", "00000001", "--step", "1")
    for words in ("◐ waiting", "talk", "✓ completed", '"n": 1', "changed by step 1", "shared['n'] = 2  was 1"):
        assert words in outcome.out
    assert "rondo answer 00000001 name VALUE" in outcome.err


def test_logs_are_one_document(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    rondo("answer", "00000001", "name", "Ada", "--json")
    document = rondo("logs", "00000001", "--json").document
    assert document["run_id"].endswith("01")
    assert [(line["row"], line["level"], line["text"]) for line in document["lines"]] == [
        (1, "INFO", "starting"),
        (2, "INFO", "greeting"),
        (3, "WARNING", "\x1b[31mred\x1b[0m"),
    ]
    assert document["lines"][0]["at"].endswith("Z")


def test_logs_are_read_in_pages(hello: Any, rondo: Rondo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.cli.follow.LOG_PAGE", 2)
    hello.scripts["chatty"] = [Moment(lines=[("INFO", f"line {n}") for n in range(7)]), Moment(status="completed")]
    rondo("run", "chatty", "--json")
    out = rondo("logs", "00000001").out
    assert [line.split()[-1] for line in out.splitlines()] == [str(n) for n in range(7)]


def test_logs_follow_until_the_run_is_at_rest(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--detach", "--json")
    outcome = rondo("logs", "00000001", "-f")
    assert outcome.code == 0
    assert "starting" in outcome.out
    assert "◐ waiting" in outcome.err
    assert "rondo answer 00000001 name VALUE" in outcome.err


# list, approve, engine, doctor --------------------------------------------------------------------------------------


def test_workflows_are_listed_with_their_last_run(done: Any, rondo: Rondo) -> None:
    assert rondo("list", "--json").document[0]["last_run"] is None
    rondo("run", "done", "--json")
    (row,) = rondo("list", "--json").document
    assert row.keys() >= {"name", "nodes", "edges", "findings", "last_run"}
    assert row["last_run"]["status"] == "completed"
    outcome = rondo("list")
    assert "done" in outcome.out
    assert "✓ completed" in outcome.out
    assert "! not approved" in outcome.out


def test_an_empty_workspace_says_how_to_get_a_workflow(engine: Any, rondo: Rondo) -> None:
    assert rondo("list", "--json").document == []
    assert "rondo init" in rondo("list").err


def test_approve_without_a_terminal_approves_what_was_there(done: Any, rondo: Rondo) -> None:
    outcome = rondo("approve", "done", "--json")
    assert outcome.code == 0
    assert outcome.document["approved"] is True
    assert ("approve", ("done", "a" * 64)) in done.calls


def test_the_diff_alone_approves_nothing(done: Any, rondo: Rondo) -> None:
    outcome = rondo("approve", "done", "--diff")
    assert outcome.code == 0
    assert "added nodes.py" in outcome.out
    assert "\x1b" not in outcome.out
    assert rondo("approve", "done", "--diff", "--json").document["approved"] is False
    assert done.approved == set()


def test_approving_twice_is_no_error(done: Any, rondo: Rondo) -> None:
    rondo("approve", "done")
    assert rondo("approve", "done").code == 0
    assert len([1 for method, _ in done.calls if method == "approve"]) == 1


def test_engine_start_gives_its_status(engine: Any, rondo: Rondo) -> None:
    document = rondo("engine", "start", "--json").document
    assert document.keys() >= {"running", "pid", "workspace", "version", "runs"}
    assert document["runs"] == {"running": 2, "waiting_input": 1}
    assert "pid 4711" in rondo("engine", "start").out


def test_engine_status_without_an_engine_starts_none(engine: Any, rondo: Rondo, workspace: Path) -> None:
    outcome = rondo("engine", "status", "--json")
    assert outcome.code == 0
    assert outcome.document["running"] is False
    assert outcome.document["pid"] is None
    assert engine.connections == 0


def test_doctor_lists_what_is_where(engine: Any, rondo: Rondo, workspace: Path) -> None:
    outcome = rondo("doctor", "--json")
    document = outcome.document
    assert outcome.code == 0
    assert document["places"]["database"] == str(workspace / "runs" / "rondo.db")
    assert document["engine"] == {"sqlite": "3.99"}
    assert document["packages"]["typer"]
    assert document["problems"] == []
    assert document["models"]["Anthropic"] == "key given by a terminal; never tried against the live service"
    assert document["models"]["Groq"] == "key not set: GROQ_API_KEY; never tried against the live service"
    assert "nothing is wrong" in rondo("doctor").out


def test_doctor_fails_when_something_is_broken(engine: Any, rondo: Rondo) -> None:
    engine.trouble = ErrorView(type="DatabaseReplaced", message="The database was replaced.", cause="c", next_step="n")
    outcome = rondo("doctor", "--json")
    assert outcome.code == 5
    assert [problem["type"] for problem in outcome.document["problems"]] == ["DatabaseReplaced"]
    assert "The database was replaced." in rondo("doctor").out


def test_doctor_works_where_there_is_no_workspace(rondo: Rondo, tmp_path: Path) -> None:
    outcome = rondo("doctor", "--workspace", str(tmp_path / "nowhere"), "--json")
    assert outcome.code == 5
    assert [problem["type"] for problem in outcome.document["problems"]] == ["WorkspaceMissing"]
    assert outcome.document["python"]["version"]


# The words themselves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("nope",),
        ("run",),
        ("engine",),
        ("engine", "nope"),
        ("show", "a", "b"),
        ("run", "x", "--workspace"),
    ],
)
def test_wrong_usage_is_exit_code_2_for_people_and_programs(rondo: Rondo, words: tuple[str, ...]) -> None:
    outcome = rondo(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert "next:" in outcome.err
    outcome = rondo("--json", *words)
    assert outcome.code == 2
    assert outcome.document["error"].keys() == {"type", "message", "cause", "next_step"}


@pytest.mark.parametrize("place", ["before", "after", "group"])
def test_the_workspace_may_be_named_before_and_after_the_command(
    engine: Any,
    rondo: Rondo,
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    option = ["--workspace", str(workspace), "--json"]
    words = {
        "before": [*option, "engine", "start"],
        "after": ["engine", "start", *option],
        "group": ["engine", *option, "start"],
    }[place]
    assert rondo(*words).document["running"] is True
    assert rondo("engine", "start", "--json").document["error"]["type"] == "WorkspaceMissing"


def test_nothing_is_started_in_a_folder_that_is_no_workspace(engine: Any, rondo: Rondo, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    outcome = rondo("list", "--workspace", str(bare))
    assert outcome.code == 5
    assert f"rondo init {bare}" in outcome.err
    assert list(bare.iterdir()) == []
    assert engine.connections == 0


def test_help_and_version_succeed(rondo: Rondo) -> None:
    assert rondo("--help").code == 0
    assert rondo("run", "--help").code == 0
    outcome = rondo("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("rondo ")


def test_json_after_a_double_dash_is_a_value(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    outcome = rondo("answer", "--", "00000001", "name", "--json")
    assert outcome.code == 0
    assert hello.runs[0].states[-1]["name"] == "--json"
    with pytest.raises(json.JSONDecodeError):
        _ = outcome.document


@pytest.mark.parametrize("json", [False, True])
def test_a_defect_of_our_own_is_a_message_too(done: Any, rondo: Rondo, json: bool) -> None:
    def defect() -> None:
        raise ZeroDivisionError("oh")

    done.before["list_runs"] = defect
    outcome = rondo("runs", *(["--json"] if json else []))
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    if json:
        assert outcome.document["error"]["cause"] == "ZeroDivisionError: oh"


def test_the_readme_names_every_command() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    table = readme.split("## The command line", 1)[1].split("Exit codes", 1)[0]
    named = set(re.findall(r"`(?:rondo )?([a-z-]+)", table))
    commands = set(typer.main.get_group(app).commands)
    assert commands - named == set()
