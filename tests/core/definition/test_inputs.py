"""What a run is given: defaults, checks that name every problem, and texts from the command line."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.definition.inputs import check_inputs, parse_input_text, schema_problem
from core.errors import InvalidInput
from core.flow.graph import Graph, NodeSpec

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["count"],
    "additionalProperties": False,
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "ratio": {"type": "number"},
        "name": {"type": "string", "default": "x"},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "flag": {"type": "boolean"},
        "more": {"type": "object"},
        "maybe": {"type": ["string", "null"]},
        "size": {"enum": ["S", "M", 3]},
        "any": {},
        "nothing": {"type": "null"},
    },
}


def graph(inputs: dict[str, Any] | None = None, **initial_state: Any) -> Graph:
    return Graph("demo", {"a": NodeSpec("a", "A")}, (), "a", inputs=inputs, initial_state=initial_state)


def test_inputs_lie_over_defaults_and_those_over_the_initial_state() -> None:
    state = check_inputs(graph(SCHEMA, name="initial", count=0, kept=1), {"count": 2})
    assert state == {"name": "x", "tags": [], "count": 2, "kept": 1}
    assert check_inputs(graph(SCHEMA), {"count": 2, "name": "y"})["name"] == "y"


def test_without_a_schema_anything_goes() -> None:
    assert check_inputs(graph(a=1, b=1), {"b": 2, "c": [None]}) == {"a": 1, "b": 2, "c": [None]}


def test_two_runs_share_nothing_with_each_other_or_the_workflow() -> None:
    the_graph = graph(SCHEMA, items=[1])
    values = {"count": 1, "more": {"a": []}}
    first = check_inputs(the_graph, values)
    first["items"].append(2)
    first["tags"].append("t")
    first["more"]["a"].append(3)
    assert check_inputs(the_graph, values) == {"items": [1], "tags": [], "name": "x", "count": 1, "more": {"a": []}}


def test_every_problem_is_named_with_what_can_be_given() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_inputs(graph(SCHEMA), {"ratio": "much", "tags": ["a", 3], "nmae": "y"})
    error = caught.value
    for part in ("'count' is a required property", "ratio: 'much' is not of type 'number'", "tags.1: 3 is not", "nmae"):
        assert part in error.message
    assert "Did you mean 'name'?" in error.message
    assert "count (integer)" in error.next_step
    assert [problem["path"] for problem in error.details] == [[], [], ["ratio"], ["tags", 1]]


def test_a_flood_of_problems_and_long_values_stay_short_and_printable() -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    with pytest.raises(InvalidInput) as caught:
        check_inputs(graph(schema), {"a": ["\x1b" * 5_000] * 1_000})
    assert "and 980 more" in caught.value.message
    assert len(caught.value.message) < 6_000
    assert caught.value.message.isprintable()


def test_inputs_that_are_no_object_are_refused() -> None:
    with pytest.raises(InvalidInput):
        check_inputs(graph(), [1])  # type: ignore[arg-type]


def test_a_schema_without_an_end_or_with_a_reference_outside_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    endless = {"properties": {"a": {"$ref": "#/properties/a"}}}
    away = {"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    for schema, word in ((endless, "without an end"), (away, "leads nowhere")):
        with pytest.raises(InvalidInput, match=word):
            check_inputs(graph(schema), {"a": 1})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "3", 3),
        ("count", " 3 ", 3),
        ("count", "3.0", 3),
        ("ratio", "1e3", 1000.0),
        ("ratio", "2", 2),
        ("name", "3", "3"),
        ("name", '"quoted"', '"quoted"'),
        ("name", "", ""),
        ("tags", '["a"]', ["a"]),
        ("flag", "true", True),
        ("more", '{"a": 1}', {"a": 1}),
        ("maybe", "null", None),
        ("maybe", "12", "12"),
        ("maybe", "text", "text"),
        ("size", "S", "S"),
        ("size", "3", 3),
        ("any", "[1]", [1]),
        ("any", '"quoted"', '"quoted"'),
        ("any", "NaN", "NaN"),
        ("nothing", "null", None),
        ("unknown", "1.5", 1.5),
        ("unknown", "free text", "free text"),
    ],
)
def test_texts_are_read_by_the_type_of_the_input(key: str, text: str, value: Any) -> None:
    read = parse_input_text(graph(SCHEMA), key, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("count", "three"),
        ("count", "3.5"),
        ("count", "true"),
        ("count", ""),
        ("count", "9" * 30),
        ("ratio", "NaN"),
        ("flag", "yes"),
        ("tags", '{"a": 1}'),
        ("tags", "[" * 100_000),
        ("more", "[]"),
        ("nothing", ""),
        ("any", "\udcff"),
    ],
)
def test_a_text_that_is_not_of_the_type_is_refused_with_an_example(key: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_input_text(graph(SCHEMA), key, text)
    assert key in caught.value.message
    assert caught.value.next_step


def test_without_a_schema_json_is_read_and_the_rest_is_text() -> None:
    assert parse_input_text(graph(), "a", "[1, 2]") == [1, 2]
    assert parse_input_text(graph(), "a", "true") is True
    assert parse_input_text(graph(), "a", "hello") == "hello"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["type", "properties", "items", "enum", "$ref", "default", "pattern", "anyOf", "minimum", "required"]
)
SCHEMAS = st.recursive(
    st.booleans() | st.sampled_from(["object", "string", "#", "#/properties/a", "(", "x"]) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from("ab"), inner, max_size=3),
    max_leaves=12,
)


@given(SCHEMAS, JSON, st.text(max_size=10))
def test_any_schema_and_any_value_give_a_state_or_a_clear_error(schema: Any, value: Any, text: str) -> None:
    if schema_problem(schema) is not None:
        return
    for inputs in ({"a": value}, {}):
        try:
            assert check_inputs(graph(schema), inputs).keys() >= inputs.keys()
        except InvalidInput as error:
            assert error.next_step
    try:
        parse_input_text(graph(schema), "a", text)
    except InvalidInput as error:
        assert error.next_step
