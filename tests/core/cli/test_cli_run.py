"""Commands that make a run go: their documents, their exit codes, their words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_double import Moment

from core.errors import DatabaseDamaged, DefinitionError, NotApproved
from core.link.types import ErrorView

Rondo = Callable[..., Any]

RUN_FIELDS = {"run_id", "workflow", "version", "status", "awaiting_input", "open_requests", "state", "error"}


# run ----------------------------------------------------------------------------------------------------------------


def test_a_run_that_completes_gives_its_document(done: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "done", "--json")
    assert outcome.code == 0
    document = outcome.document
    assert document.keys() >= RUN_FIELDS
    assert document["status"] == "completed"
    assert document["state"] == {"big": 2**62, "text": "süß\x9b"}
    assert document["awaiting_input"] is None
    assert document["error"] is None
    assert document["created_at"] == "2026-01-02T03:04:05.678Z"
    assert outcome.err == ""


def test_inputs_reach_the_run_with_their_types(done: Any, rondo: Rondo) -> None:
    done.inputs = {"type": "object", "properties": {"n": {"type": "integer"}, "word": {"type": "string"}}}
    outcome = rondo("run", "done", "--input-json", '{"n": 1, "other": [1]}', "-i", "n=7", "-i", "word=12=12", "--json")
    assert outcome.code == 0
    (start,) = [argument for method, argument in done.calls if method == "start_run"]
    assert start.inputs == {"n": 7, "word": "12=12", "other": [1]}


def test_answers_given_at_the_start_keep_their_order(done: Any, rondo: Rondo) -> None:
    rondo("run", "done", "-a", "ok=no", "-a", "ok=yes", "--json")
    (start,) = [argument for method, argument in done.calls if method == "start_run"]
    assert start.answers == [("ok", "no"), ("ok", "yes")]


def test_a_stored_version_can_be_run(done: Any, rondo: Rondo) -> None:
    rondo("run", "done", "--version", "abc", "--json")
    assert [argument.version for method, argument in done.calls if method == "start_run"] == ["abc"]


@pytest.mark.parametrize(
    "words",
    [
        ("-i", "novalue"),
        ("-i", "=x"),
        ("-a", "novalue"),
        ("--input-json", "{"),
        ("--input-json", "[1]"),
        ("--input-json", "[" * 100_000),
        ("--nonsense",),
        ("another",),
    ],
)
def test_words_that_make_no_sense_start_nothing(done: Any, rondo: Rondo, words: tuple[str, ...]) -> None:
    outcome = rondo("run", "done", *words, "--json")
    assert outcome.code == 2
    error = outcome.document["error"]
    assert error["message"]
    assert error["next_step"]
    assert [method for method, _ in done.calls if method == "start_run"] == []


def test_a_run_that_asks_without_a_terminal_says_how_to_answer(hello: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "hello")
    assert outcome.code == 3
    assert "rondo answer 00000001 name VALUE" in outcome.err
    assert "Who?" in outcome.err


def test_a_waiting_run_names_its_question_in_the_document(hello: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "hello", "--json")
    assert outcome.code == 3
    awaiting = outcome.document["awaiting_input"]
    assert awaiting.keys() >= {"node_id", "request_id", "key", "prompt", "options", "input_type"}
    assert (awaiting["node_id"], awaiting["request_id"], awaiting["prompt"]) == ("talk", "name", "Who?")
    assert outcome.document["open_requests"] == [awaiting]
    assert outcome.document["next_step"] == "rondo answer 00000001 name VALUE"
    assert outcome.document["state"] == {"n": 1}


def test_an_ambiguous_request_is_named_by_its_key(engine: Any, rondo: Rondo) -> None:
    ask = {"request_id": "it's", "prompt": "?"}
    engine.scripts["twice"] = [Moment(ask=ask), Moment(status="waiting_input", ask=ask)]
    outcome = rondo("run", "twice")
    assert outcome.code == 3
    assert """rondo answer 00000001 'talk:1:it'"'"'s:0' VALUE""" in outcome.err


def test_the_answer_line_names_a_workspace_that_is_elsewhere(
    hello: Any, rondo: Rondo, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("else where"))
    outcome = rondo("run", "hello", "--workspace", str(workspace))
    assert f"rondo answer 00000001 name VALUE --workspace {workspace}" in outcome.err
    monkeypatch.setenv("RONDO_WORKSPACE", str(workspace))
    outcome = rondo("run", "hello")
    assert "rondo answer 00000002 name VALUE\n" in outcome.err


def test_lines_and_steps_are_printed_once_and_in_order(hello: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "hello")
    assert outcome.out.count("starting") == 1
    assert outcome.out.index("starting") < outcome.out.index("step 1: talk")


def test_what_a_node_prints_cannot_command_the_terminal(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello")
    outcome = rondo("answer", "00000001", "name", "Ada")
    assert "^[[31mred^[[0m" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err


def test_failed_attempts_are_shown_with_why(engine: Any, rondo: Rondo) -> None:
    engine.scripts["flaky"] = [
        Moment(failed_attempt="parse"),
        Moment(failed_attempt="parse"),
        Moment(step="parse"),
        Moment(status="completed"),
    ]
    outcome = rondo("run", "flaky")
    assert outcome.code == 0
    assert outcome.out.count("parse attempt 1 failed") == 1
    assert outcome.out.count("parse attempt 2 failed") == 1
    assert "ValueError: not yet" in outcome.out
    assert "attempt 3" in outcome.out


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 0), ("failed", 1), ("cancelled", 1), ("waiting_input", 3), ("blocked", 4), ("paused", 0)],
)
def test_the_exit_code_says_how_the_run_came_to_rest(engine: Any, rondo: Rondo, status: str, code: int) -> None:
    engine.scripts["any"] = [Moment(status=status)]
    assert rondo("run", "any", "--json").code == code
    assert rondo("run", "any").code == code


def test_a_failed_run_says_why_and_what_to_do(engine: Any, rondo: Rondo) -> None:
    error = ErrorView(
        type="ZeroDivisionError",
        message="division by zero",
        cause="the list is empty",
        next_step="look at nodes.py",
        node="mean",
        traceback='  File "nodes.py", line 3\n',
    )
    engine.scripts["bad"] = [Moment(status="failed", error=error)]
    outcome = rondo("run", "bad")
    assert outcome.code == 1
    for words in ("ZeroDivisionError in mean: division by zero", "the list is empty", "look at nodes.py", "line 3"):
        assert words in outcome.err
    document = rondo("run", "bad", "--json").document
    assert {name: document["error"][name] for name in ("node", "type", "message", "cause", "next_step")} == {
        "node": "mean",
        "type": "ZeroDivisionError",
        "message": "division by zero",
        "cause": "the list is empty",
        "next_step": "look at nodes.py",
    }


def test_a_detached_run_returns_at_once(hello: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "hello", "--detach")
    assert outcome.code == 0
    assert outcome.out == "00000001\n"
    assert "rondo logs 00000001 -f" in outcome.err
    document = rondo("run", "hello", "--detach", "--json").document
    assert document["status"] == "queued"


def test_an_unknown_workflow_is_wrong_usage(done: Any, rondo: Rondo) -> None:
    outcome = rondo("run", "nope", "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["type"] == "UnknownWorkflow"


def test_a_version_that_nobody_approved_shows_its_changes(done: Any, rondo: Rondo) -> None:
    done.refuse_start = NotApproved(
        "done changed since it was last approved.",
        cause="A person has to look at it first.",
        next_step="Look at it and let it run: rondo approve done",
        details=[{"path": "nodes.py", "status": "changed", "diff": "-old\n+new \x1b[2J\n"}],
    )
    outcome = rondo("run", "done")
    assert outcome.code == 4
    assert "changed nodes.py" in outcome.err
    assert "+new ^[[2J" in outcome.err
    assert "rondo approve done" in outcome.err
    assert outcome.out == ""
    document = rondo("run", "done", "--json").document
    assert document["error"]["details"][0]["diff"] == "-old\n+new \x1b[2J\n"


def test_a_broken_definition_shows_its_findings(done: Any, rondo: Rondo) -> None:
    finding = {
        "code": "E104",
        "severity": "error",
        "file": "nodes.py",
        "line": 41,
        "message": "unknown class",
        "hint": "Spell it so",
    }
    done.refuse_start = DefinitionError(
        "done has errors.", cause="One error.", next_step="rondo validate done", details=[finding]
    )
    outcome = rondo("run", "done")
    assert outcome.code == 1
    assert "E104 nodes.py:41" in outcome.err
    assert "Spell it so" in outcome.err


def test_an_environment_problem_is_exit_code_5(done: Any, rondo: Rondo) -> None:
    done.refuse_start = DatabaseDamaged("The database is damaged.", cause="Page 3.", next_step="Restore a backup.")
    outcome = rondo("run", "done")
    assert outcome.code == 5
    assert outcome.err.splitlines() == [
        "error: The database is damaged.",
        "cause: Page 3.",
        "next:  Restore a backup.",
    ]


# An engine that ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["start_run", "get_run", "read_logs", "read_steps", "read_state_chunk"])
def test_an_engine_that_ends_is_found_again(done: Any, rondo: Rondo, method: str) -> None:
    done.break_on = [method]
    outcome = rondo("run", "done", *(["--json"] if method == "read_state_chunk" else []))
    assert outcome.code == 0
    assert "starting it again" in outcome.err
    assert len(done.runs) == 1


def test_an_engine_that_ends_again_and_again_is_given_up(done: Any, rondo: Rondo) -> None:
    done.break_on = ["start_run"] * 50
    outcome = rondo("run", "done", "--json")
    assert outcome.code == 5
    assert outcome.document["error"]["type"] == "EngineLost"


def test_an_engine_that_was_stopped_is_not_started_again(hello: Any, rondo: Rondo) -> None:
    hello.scripts["long"] = [Moment() for _ in range(1000)]
    hello.stopping = True
    hello.break_on = ["read_steps"]
    outcome = rondo("run", "long")
    assert outcome.code == 5
    assert "The engine was stopped." in outcome.err
    assert hello.connections == 0


def test_every_connection_is_closed(done: Any, rondo: Rondo) -> None:
    done.break_on = ["get_run"]
    rondo("run", "done")
    rondo("run", "nope")
    rondo("runs")
    assert done.connections == 0


# answer, step -------------------------------------------------------------------------------------------------------


def test_an_answer_is_followed_to_the_end(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    outcome = rondo("answer", "00000001", "name", "Ada", "--json")
    assert outcome.code == 0
    assert outcome.document["status"] == "completed"
    assert outcome.document["state"] == {"n": 2, "name": "Ada"}


def test_an_answer_shows_only_what_happens_after_it(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello")
    outcome = rondo("answer", "00000001", "name", "Ada")
    assert "starting" not in outcome.out
    assert "greeting" in outcome.out
    assert "step 1:" not in outcome.out
    assert "step 2: greet" in outcome.out


@pytest.mark.parametrize("value", ["-5", "--weird", "-1.5e3", "a b", ""])
def test_any_text_can_be_an_answer(hello: Any, rondo: Rondo, value: str) -> None:
    rondo("run", "hello", "--json")
    assert rondo("answer", "00000001", "name", value, "--json").code == 0
    assert hello.runs[0].states[-1]["name"] == value


def test_an_invalid_answer_changes_nothing(engine: Any, rondo: Rondo) -> None:
    engine.scripts["n"] = [Moment(status="waiting_input", ask={"request_id": "n", "input_type": "number"})]
    rondo("run", "n", "--json")
    outcome = rondo("answer", "00000001", "n", "many", "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["type"] == "InvalidAnswer"
    assert rondo("show", "00000001", "--json").document["status"] == "waiting_input"


def test_an_unknown_request_or_run_is_wrong_usage(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    assert rondo("answer", "00000001", "nome", "Ada", "--json").document["error"]["type"] == "UnknownRequest"
    assert rondo("answer", "00000001", "nome", "Ada").code == 2
    assert rondo("answer", "ffffffff", "name", "Ada").code == 2
    assert rondo("answer", "00000001", "name").code == 2


def test_a_detached_answer_returns_at_once(hello: Any, rondo: Rondo) -> None:
    rondo("run", "hello", "--json")
    outcome = rondo("answer", "00000001", "name", "Ada", "--detach", "--json")
    assert outcome.code == 0
    assert outcome.document["status"] == "running"


def test_a_step_pauses_and_says_how_to_go_on(engine: Any, rondo: Rondo) -> None:
    engine.scripts["two"] = [Moment(step="a"), Moment(status="paused"), Moment(step="b"), Moment(status="completed")]
    outcome = rondo("step", "two")
    assert outcome.code == 0
    assert "rondo step two --run 00000001" in outcome.err
    (start,) = [argument for method, argument in engine.calls if method == "start_run"]
    assert start.until == "step"
    outcome = rondo("step", "two", "--run", "00000001", "-a", "x=1")
    assert outcome.code == 0
    assert "step 2: b" in outcome.out
    assert "step 1: a" not in outcome.out
    assert [argument[1] for method, argument in engine.calls if method == "step_run"] == [[("x", "1")]]


def test_a_step_of_another_workflow_is_refused(engine: Any, rondo: Rondo) -> None:
    engine.scripts.update(one=[Moment(status="paused")], two=[])
    rondo("step", "one")
    outcome = rondo("step", "two", "--run", "00000001")
    assert outcome.code == 2
    assert "rondo step one --run 00000001" in outcome.err
    assert [method for method, _ in engine.calls if method == "step_run"] == []
