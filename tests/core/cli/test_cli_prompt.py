"""Questions at the terminal: what is shown, and what is made of what was typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.prompt import option_list, prompt_part, question_lines, read_typed
from core.errors import InvalidAnswer
from core.link.types import RequestView


def request(input_type: str = "text", options: Any = None, **fields: Any) -> RequestView:
    return RequestView(
        key="talk:1:name:0",
        run_id="r",
        workflow="hello",
        node="talk",
        visit=1,
        request_id="name",
        nth=0,
        kind="input",
        input_type=input_type,
        options=options,
        status="open",
        opened_at=0.0,
        **{"prompt": "Who?", **fields},
    )


def shown(view: RequestView) -> str:
    return "\n".join(
        "".join(part if isinstance(part, str) else part[0] for part in line) for line in question_lines(view)
    )


def test_the_question_names_who_asks_and_what() -> None:
    assert "talk asks (name)" in shown(request())
    assert "Who?" in shown(request())


def test_options_have_numbers_and_labels() -> None:
    text = shown(request("select", ["approve", {"value": "no", "label": "Reject it"}]))
    assert "1) approve" in text
    assert "2) Reject it  no" in text


def test_a_preset_that_was_not_taken_is_explained() -> None:
    assert "'x' is no number" in shown(request(problem="'x' is no number"))


@pytest.mark.parametrize("kind", ["confirm", "number", "json", "select", "multiselect"])
def test_each_kind_says_how_to_answer(kind: str) -> None:
    assert prompt_part(request(kind)) != prompt_part(request("text"))


@pytest.mark.parametrize(
    ("typed", "value"), [("1", "approve"), ("2", "no"), ("approve", "approve"), ("no", "no"), (" Reject it ", "no")]
)
def test_an_option_is_named_by_number_label_or_value(typed: str, value: str) -> None:
    options = ["approve", {"value": "no", "label": "Reject it"}]
    assert read_typed(request("select", options), typed) == (value, False)


def test_options_that_are_numbers_are_meant_before_their_positions() -> None:
    options = [3, 2, 1]
    assert read_typed(request("select", options), "1") == (1, False)
    assert read_typed(request("select", options), "3") == (3, False)


@pytest.mark.parametrize("typed", ["0", "3", "-1", "", "aprove", "²"])
def test_what_is_no_option_is_refused_with_what_there_is(typed: str) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        read_typed(request("select", ["approve", "reject"]), typed)
    assert "approve, reject" in caught.value.cause


@pytest.mark.parametrize(("typed", "value"), [("1,3", ["a", "c"]), ("c, a", ["c", "a"]), ("", []), (" 2 ", ["b"])])
def test_several_options_are_parted_by_commas(typed: str, value: list[str]) -> None:
    assert read_typed(request("multiselect", ["a", "b", "c"]), typed) == (value, False)


def test_a_json_list_of_options_is_left_to_the_engine() -> None:
    assert read_typed(request("multiselect", ["a", "b"]), '["a"]') == ('["a"]', True)


@given(st.text(), st.sampled_from(["text", "confirm", "number", "json"]))
def test_other_kinds_are_read_by_the_engine(typed: str, kind: str) -> None:
    assert read_typed(request(kind), typed) == (typed, True)


@given(st.lists(st.text() | st.integers() | st.booleans(), min_size=1, max_size=12, unique_by=str))
def test_every_option_can_be_named(options: list[Any]) -> None:
    labels = [label for _, label in option_list(options)]
    for option, label in zip(options, labels, strict=True):
        if label.strip() != label or labels.count(label) > 1:
            continue
        value, parse = read_typed(request("select", options), label)
        assert (value, parse) == (option, False)


@pytest.mark.parametrize("options", [None, "approve", 7, {}, []])
def test_options_of_no_known_form_leave_the_answer_to_the_engine(options: Any) -> None:
    assert option_list(options) == []
    assert read_typed(request("select", options), "x") == ("x", True)
