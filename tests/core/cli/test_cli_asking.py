"""`rondo run` with a person at the terminal: it asks, takes answers, and can be left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_double import Moment

from core.cli.output import Output

Rondo = Callable[..., Any]


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A terminal as stdin: what is typed into it waits there, line by line."""
    keyboard, terminal = os.openpty()
    with os.fdopen(keyboard, "wb", buffering=0) as keys, os.fdopen(terminal, "r", encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr(Output, "can_ask", property(lambda output: not output.as_json))
        yield lambda text: keys.write(text.encode())  # type: ignore[func-returns-value]


@pytest.fixture
def asks(engine: Any) -> Callable[..., Any]:
    """A workflow that asks questions, one after the other, and completes."""

    def make(*questions: dict[str, Any]) -> Any:
        moments = [Moment(status="waiting_input", ask={"request_id": "q", **question}) for question in questions]
        engine.scripts["asks"] = [*moments, Moment(status="completed")]
        return engine

    return make


def answers(engine: Any) -> list[Any]:
    return [(argument.value, argument.parse) for method, argument in engine.calls if method == "answer"]


def test_a_question_is_answered_at_the_prompt(asks: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine = asks({"prompt": "Who?\nReally?"})
    typing("Ada Löve\n")
    outcome = rondo("run", "asks")
    assert outcome.code == 0
    assert answers(engine) == [("Ada Löve", True)]
    assert outcome.out.index("Who?") < outcome.out.index("Really?") < outcome.out.index("✓ completed")


def test_options_are_chosen_by_number(asks: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine = asks(
        {"input_type": "select", "options": ["approve", "revise"]},
        {"input_type": "multiselect", "options": [{"value": 1, "label": "one"}, {"value": 2, "label": "two"}, 3]},
    )
    typing("2\n1,3\n")
    outcome = rondo("run", "asks")
    assert outcome.code == 0
    assert answers(engine) == [("revise", False), ([1, 3], False)]
    assert "2) revise" in outcome.out


def test_an_invalid_answer_asks_again(asks: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine = asks({"input_type": "number"}, {"input_type": "select", "options": ["a", "b"]})
    typing("many\n7\nc\nb\n")
    outcome = rondo("run", "asks")
    assert outcome.code == 0
    assert answers(engine) == [("many", True), ("7", True), ("b", False)]
    assert "That is no number." in outcome.err
    assert "'c' is none of the options." in outcome.err


def test_ctrl_d_leaves_the_question_open(asks: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    asks({"prompt": "Who?"})
    typing("\x04")
    outcome = rondo("run", "asks")
    assert outcome.code == 3
    assert "rondo answer 00000001 q VALUE" in outcome.err


def test_a_question_answered_elsewhere_is_asked_no_more(
    asks: Any, rondo: Rondo, typing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = asks({"prompt": "Who?"})

    def answer_elsewhere() -> None:
        view = engine.runs[0].view
        view.open_requests, view.awaiting_input, view.status = [], None, "running"

    def prompt_shown(*_: Any) -> None:
        # From the next look on, somebody else has answered.
        engine.before["get_run"] = answer_elsewhere

    monkeypatch.setattr("core.cli.prompt.ask", prompt_shown)
    outcome = rondo("run", "asks")
    assert outcome.code == 0
    assert "Answered elsewhere." in outcome.err
    assert answers(engine) == []


def test_with_json_nothing_is_ever_asked(asks: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine = asks({"prompt": "Who?"})
    typing("Ada\n")
    outcome = rondo("run", "asks", "--json")
    assert outcome.code == 3
    assert outcome.document["awaiting_input"]["prompt"] == "Who?"
    assert answers(engine) == []


@pytest.mark.parametrize("json", [False, True])
def test_ctrl_c_says_that_the_run_goes_on(asks: Any, rondo: Rondo, json: bool) -> None:
    engine = asks({"prompt": "Who?"})
    engine.scripts["asks"] = [Moment() for _ in range(1000)]
    engine.before["get_run"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    outcome = rondo("run", "asks", *(["--json"] if json else []))
    assert outcome.code == 130
    words = outcome.document["error"]["next_step"] if json else outcome.err
    assert "rondo logs 00000001 -f" in words


def test_ctrl_c_at_the_prompt_leaves_the_run_waiting(
    asks: Any, rondo: Rondo, typing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = asks({"prompt": "Who?"})
    monkeypatch.setattr("core.cli.prompt.ask", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    outcome = rondo("run", "asks")
    assert outcome.code == 130
    assert engine.runs[0].view.status == "waiting_input"


def test_approval_is_asked_with_what_would_run(engine: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine.scripts["new"] = []
    typing("\n")
    outcome = rondo("approve", "new")
    assert outcome.code == 4
    assert "added nodes.py" in outcome.out
    assert engine.approved == set()
    typing("y\n")
    assert rondo("approve", "new").code == 0
    assert engine.approved == {"new"}


def test_approval_with_yes_asks_nothing(engine: Any, rondo: Rondo, typing: Callable[[str], None]) -> None:
    engine.scripts["new"] = []
    assert rondo("approve", "new", "--yes").code == 0
    assert engine.approved == {"new"}
