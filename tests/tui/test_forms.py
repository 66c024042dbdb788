"""Forms: what is asked for, and what typed text means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.link.types import RequestView
from tui.forms import BadText, FieldSpec, choices_of, field_of_request, fields_of_inputs, value_of_text


def request(input_type: str, options: Any = None, prompt: str | None = "What?") -> RequestView:
    return RequestView(
        key="n:1:q:0",
        run_id="r",
        workflow="w",
        node="n",
        visit=1,
        request_id="q",
        nth=0,
        kind="input",
        input_type=input_type,
        prompt=prompt,
        options=options,
        status="open",
        opened_at=0.0,
    )


def test_every_input_type_has_its_field() -> None:
    assert field_of_request(request("text")).input_type == "text"
    assert field_of_request(request("number")).input_type == "number"
    assert field_of_request(request("json")).input_type == "json"
    assert field_of_request(request("confirm")).choices == ((True, "yes"), (False, "no"))
    assert field_of_request(request("select", ["a", {"value": 2, "label": "two"}])).choices == (("a", "a"), (2, "two"))
    assert field_of_request(request("multiselect", [1, 2])).input_type == "multiselect"


def test_what_is_not_known_can_still_be_answered() -> None:
    assert field_of_request(request("date")).input_type == "text"
    assert field_of_request(request("select", None)).input_type == "json"
    assert field_of_request(request("select", "nonsense")).input_type == "json"


def test_labels_are_shown_without_control_characters() -> None:
    assert choices_of(["\x1b[2J"]) == (("\x1b[2J", "␛[2J"),)


def test_inputs_come_from_the_schema() -> None:
    schema = {
        "type": "object",
        "required": ["channel"],
        "properties": {
            "since": {"type": "string", "format": "date"},
            "channel": {"enum": ["#a", "#b"], "default": "#a"},
            "dry": {"type": "boolean", "default": True},
            "limit": {"type": "integer", "default": 5},
            "tags": {"type": "array", "items": {"enum": ["x", "y"]}},
            "extra": {"type": "object"},
            "odd": True,
        },
    }
    fields = {field.name: field for field in fields_of_inputs(schema, {"since": "2026-01-01"})}
    assert {name: field.input_type for name, field in fields.items()} == {
        "since": "text",
        "channel": "select",
        "dry": "confirm",
        "limit": "number",
        "tags": "multiselect",
        "extra": "json",
        "odd": "json",
    }
    assert fields["since"].given == "2026-01-01"
    assert fields["channel"].required
    assert fields["limit"].given == "5"


def test_without_a_schema_each_value_of_the_beginning_can_be_changed() -> None:
    fields = fields_of_inputs(None, {"name": "Ada", "n": 3, "ok": False, "list": [1]})
    assert [(field.name, field.input_type, field.given) for field in fields] == [
        ("name", "text", "Ada"),
        ("n", "number", "3"),
        ("ok", "confirm", False),
        ("list", "json", "[1]"),
    ]
    assert fields_of_inputs({"type": "object"}, {}) == []


@pytest.mark.parametrize(
    ("input_type", "text", "value"),
    [
        ("text", " as it is ", " as it is "),
        ("text", "", ""),
        ("number", "42", 42),
        ("number", "2.5", 2.5),
        ("number", "1e3", 1000.0),
        ("number", "  ", None),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", "null", None),
    ],
)
def test_typed_text_means_a_value(input_type: str, text: str, value: Any) -> None:
    assert value_of_text(FieldSpec("f", "f", input_type), text) == value


@pytest.mark.parametrize(("input_type", "text"), [("number", "many"), ("number", "[1]"), ("json", "{a: 1}")])
def test_text_that_means_nothing_says_what_is_expected(input_type: str, text: str) -> None:
    with pytest.raises(BadText, match=r"number|JSON"):
        value_of_text(FieldSpec("f", "f", input_type), text)


def test_a_needed_value_is_asked_for() -> None:
    with pytest.raises(BadText, match="needed"):
        value_of_text(FieldSpec("f", "f", "number", required=True), "")


@given(st.sampled_from(["text", "number", "json"]), st.text(max_size=30))
def test_no_typed_text_breaks_a_form(input_type: str, text: str) -> None:
    try:
        value_of_text(FieldSpec("f", "f", input_type), text)
    except BadText:
        assert input_type != "text"
