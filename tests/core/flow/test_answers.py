"""Answers: from a command line and as JSON values."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidAnswer
from core.flow.answers import check_answer, parse_answer, request_hash
from core.flow.journal import Request

LABELLED = [{"value": "y", "label": "Yes, go on"}, {"value": 2, "label": "Two"}, {"value": True, "label": "On"}]


@pytest.mark.parametrize(
    ("input_type", "options", "text", "value"),
    [
        ("text", None, "a, b ", "a, b "),
        ("text", None, "", ""),
        ("text", None, "5", "5"),
        ("select", ["red", "blue"], "red", "red"),
        ("select", ["red", "blue"], " RED ", "red"),
        ("select", [1, 2.5], "2.5", 2.5),
        ("select", LABELLED, "y", "y"),
        ("select", LABELLED, "Yes, go on", "y"),
        ("select", LABELLED, "two", 2),
        ("select", LABELLED, "true", True),
        ("select", None, "anything", "anything"),
        ("multiselect", ["a", "b", "c"], "c, a", ["c", "a"]),
        ("multiselect", ["a", "b"], "a,a", ["a"]),
        ("multiselect", ["a", "b"], "", []),
        ("multiselect", ["a, b", "c"], '["a, b", "c"]', ["a, b", "c"]),
        ("multiselect", [1, 2], "[2, 1]", [2, 1]),
        ("multiselect", None, "x,y", ["x", "y"]),
        ("confirm", None, "yes", True),
        ("confirm", None, " Y ", True),
        ("confirm", None, "TRUE", True),
        ("confirm", None, "no", False),
        ("confirm", None, "n", False),
        ("confirm", None, "false", False),
        ("number", None, "3", 3),
        ("number", None, " -2.5 ", -2.5),
        ("number", None, "1e3", 1000.0),
        ("json", None, '{"a": [1, null]}', {"a": [1, None]}),
        ("json", None, "false", False),
        ("markdown", None, "# x", "# x"),
    ],
)
def test_a_text_is_read_by_input_type(input_type: str, options: Any, text: str, value: Any) -> None:
    answer = parse_answer(input_type, options, text)
    assert answer == value
    assert type(answer) is type(value)
    assert check_answer(input_type, options, answer) == answer


@pytest.mark.parametrize(
    ("input_type", "options", "text", "expected"),
    [
        ("select", ["red", "blue"], "green", "one of red, blue"),
        ("select", ["A", "a"], "x", "one of A, a"),
        ("select", LABELLED, "z", r"y \(Yes, go on\)"),
        ("multiselect", ["a", "b"], "a,z", "one of a, b"),
        ("multiselect", ["a", "b"], "[1", "JSON"),
        ("confirm", None, "maybe", "yes or no"),
        ("confirm", None, "", "yes or no"),
        ("number", None, "three", "a number"),
        ("number", None, "nan", "a number"),
        ("number", None, "inf", "a number"),
        ("number", None, "99999999999999999999", "64 bits"),
        ("json", None, "{", "JSON"),
        ("json", None, "null", "no answer"),
        ("json", None, "[NaN]", "nan"),
        ("json", None, "[" * 100_000, "JSON"),
        ("text", None, "a\udcff", "surrogates"),
        ("select", None, "a\udcff", "surrogates"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_what_was_expected(
    input_type: str, options: Any, text: str, expected: str
) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        parse_answer(input_type, options, text)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    assert caught.match(expected)


@pytest.mark.parametrize(
    ("input_type", "options", "value"),
    [
        ("text", None, 5),
        ("text", None, ["x"]),
        ("select", ["a"], "b"),
        ("select", [1], True),
        ("select", [1], "1"),
        ("multiselect", ["a"], "a"),
        ("multiselect", ["a"], ["a", "b"]),
        ("confirm", None, "yes"),
        ("confirm", None, 1),
        ("number", None, "3"),
        ("number", None, True),
        ("number", None, float("nan")),
        ("json", None, {1: 2}),
        ("json", None, object()),
        ("text", None, None),
        ("json", None, None),
        ("anything", None, None),
    ],
)
def test_a_value_that_does_not_fit_is_refused(input_type: str, options: Any, value: Any) -> None:
    with pytest.raises(InvalidAnswer):
        check_answer(input_type, options, value)


@pytest.mark.parametrize(("input_type", "value"), [("anything", {"a": 1}), ("form", [1]), ("json", 0), ("json", "")])
def test_unknown_input_types_take_any_json_value(input_type: str, value: Any) -> None:
    assert check_answer(input_type, None, value) == value


def test_the_hash_tells_questions_apart_and_nothing_else() -> None:
    asked = Request("node", 1, "id", 0, "Go on?", ["a", 1.0], "select")
    assert request_hash(asked) == request_hash(Request("other", 7, "another", 3, "Go on?", ["a", 1.0], "select"))
    for other in (
        Request("node", 1, "id", 0, "Go on!", ["a", 1.0], "select"),
        Request("node", 1, "id", 0, None, ["a", 1.0], "select"),
        Request("node", 1, "id", 0, "Go on?", ["a"], "select"),
        Request("node", 1, "id", 0, "Go on?", ["a", 1.0], "multiselect"),
        Request("node", 1, "id", 0, "Go on?", ["a", 1.0], "select", "consent"),
    ):
        assert request_hash(other) != request_hash(asked)
