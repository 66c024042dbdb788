"""Forms of random JSON Schemas: what is typed for a value gives this value back, and nothing else is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.forms import BadText, FieldSpec, fields_of_schema, places_of, put_together, value_of_entry

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=6) | st.sampled_from(
    ["a.b", "a b", "token", "$ref", "type", "default"]
)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | LINES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LINES, inner, max_size=3),
    max_leaves=6,
)
CHOICES = st.lists(st.sampled_from([0, 1, True, False, 1.5, "", "a", "b", "1", "null", [1], {"a": 1}]), min_size=1)

Case = tuple[dict[str, Any], Any]
"""A schema, and a value that it allows."""


def apart(values: list[Any]) -> list[Any]:
    """The values without those that are there already."""
    return list({json.dumps(value): value for value in values}.values())


def without_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values.filter(lambda value: value is not None)


@st.composite
def plain(draw: st.DrawFn) -> Case:
    """A schema that stands for itself."""
    kind = draw(st.sampled_from(["text", "whole", "number", "boolean", "enum", "const", "several", "array", "any"]))
    match kind:
        case "text":
            return {"type": "string", "title": draw(LINES)}, draw(LINES)
        case "whole":
            return {"type": "integer"}, draw(st.integers(-(2**70), 2**70))
        case "number":
            return {"type": "number", "description": draw(LINES)}, draw(NUMBERS)
        case "boolean":
            return {"type": "boolean"}, draw(st.booleans())
        case "enum":
            options = apart(draw(CHOICES))
            return {"enum": options}, draw(st.sampled_from(options))
        case "const":
            value = draw(st.sampled_from(draw(CHOICES)))
            return {"const": value}, value
        case "several":
            options = apart(draw(CHOICES))
            picked = draw(st.sets(st.integers(0, len(options) - 1)))
            schema = {"type": "array", "items": {"enum": options}}
            return schema, [options[place] for place in sorted(picked)]
        case "array":
            return {"type": "array", "items": {"type": "object"}}, draw(st.lists(ANYTHING, max_size=3))
        case _:
            return draw(st.sampled_from([{}, {"type": ["string", "integer"]}])), draw(without_none(ANYTHING))


@st.composite
def described(draw: st.DrawFn, definitions: dict[str, Any], depth: int) -> tuple[dict[str, Any], Any, bool]:
    """A schema as people and libraries write it: by reference, or with "or null"; with a value, and if null is one."""
    if depth and draw(st.booleans()):
        schema, value = draw(objects(definitions, depth - 1))
    else:
        schema, value = draw(plain())
    for _ in range(draw(st.integers(0, 2))):
        way = draw(st.sampled_from(["$ref", "allOf"]))
        if way == "$ref":
            name = f"D{len(definitions)}/x"
            definitions[name] = schema
            schema = {"$ref": f"#/$defs/{name.replace('/', '~1')}", "title": draw(LINES)}
        else:
            schema = {"allOf": [schema]}
    or_null = draw(st.booleans())
    if or_null:
        null = {"type": "null"}
        schema = {draw(st.sampled_from(["anyOf", "oneOf"])): draw(st.permutations([schema, null]))}
        if draw(st.booleans()):
            value = None
    return schema, value, or_null


@st.composite
def objects(draw: st.DrawFn, definitions: dict[str, Any], depth: int) -> Case:
    """An object's schema and a value with some of what may be left out."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    values: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        properties[name], value, or_null = draw(described(definitions, depth))
        needed = draw(st.booleans())
        if needed:
            required.append(name)
        # A text that has to be there and is empty can't be told from one that was not typed; nor can a null or an
        # empty value that may as well be left out.
        empty = value is None or value in ("", [])
        if needed and value == "" and isinstance(value, str):
            value = None if or_null else "x"
            properties[name] = {"type": "string"} if not or_null else {"type": ["string", "null"]}
        elif needed and or_null and value == []:
            value = None
        if needed or (draw(st.booleans()) and not empty):
            values[name] = value
    schema = {"type": "object", "properties": properties, "required": required}
    return schema, values


@st.composite
def forms(draw: st.DrawFn) -> Case:
    """The schema of a whole form with its definitions, and a value for it."""
    definitions: dict[str, Any] = {}
    schema, value = draw(objects(definitions, 2))
    return {**schema, "$defs": definitions}, value


MISSING = object()


def inside(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def entered(field: FieldSpec, value: Any) -> Any:
    """What a person leaves in the entry of a field who wants this value there."""
    chooses = field.input_type in ("select", "confirm")
    if value is MISSING or value is None:
        return None if chooses else [] if field.input_type == "multiselect" else ""
    if field.input_type == "text":
        return value
    if chooses:
        [place] = places_of(field.choices, [value])
        return field.choices[place][0]
    if field.input_type == "multiselect":
        return [field.choices[place][0] for place in places_of(field.choices, value)]
    return json.dumps(value, ensure_ascii=False)


def standing(field: FieldSpec) -> Any:
    """What stands in the entry of a field that nobody touched."""
    if field.input_type == "multiselect":
        return [field.choices[place][0] for place in places_of(field.choices, field.given or [])]
    if field.input_type in ("select", "confirm"):
        return next(
            (field.choices[place][0] for place in places_of(field.choices, [field.given]) if field.given is not None),
            None,
        )
    return str(field.given or "")


def same(one: Any, other: Any) -> bool:
    """True for equal JSON, where true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def read(fields: list[FieldSpec], entries: list[Any]) -> dict[str, Any]:
    pairs = zip(fields, entries, strict=True)
    return put_together((field, value_of_entry(field, entry)) for field, entry in pairs)


@given(forms(), st.booleans())
def test_what_is_typed_for_a_value_gives_it_back_and_what_is_left_empty_is_left_out(
    case: Case, required_first: bool
) -> None:
    schema, value = case
    fields = fields_of_schema(schema, required_first=required_first)
    assert same(read(fields, [entered(field, inside(value, field.path)) for field in fields]), value)


@given(forms())
def test_inputs_of_an_earlier_run_that_nobody_touches_are_the_same_again(case: Case) -> None:
    schema, value = case
    fields = fields_of_schema(schema, value)
    assert same(read(fields, [standing(field) for field in fields]), value)


@given(forms())
def test_defaults_that_nobody_touches_are_what_is_sent(case: Case) -> None:
    schema, value = case
    whole = {**schema, "properties": dict(schema["properties"])}
    for name, one in value.items():
        if one is not None:
            whole["properties"][name] = {**whole["properties"][name], "default": one}
    fields = fields_of_schema(whole)
    assert same(read(fields, [standing(field) for field in fields]), value)


@given(forms(), st.data())
def test_what_can_not_be_meant_is_refused_and_never_becomes_another_value(case: Case, data: st.DataObject) -> None:
    schema, _ = case
    for field in fields_of_schema(schema):
        typed = data.draw(st.text(max_size=20) | ANYTHING.map(json.dumps))
        if field.input_type not in ("text", "number", "json"):
            continue
        try:
            value = value_of_entry(field, typed)
        except BadText as problem:
            assert str(problem)
            assert field.input_type != "text" or not typed
            continue
        if value is None:
            assert not field.required or typed.strip() == "null"
        elif field.input_type == "text":
            assert value == typed
        else:
            assert field.input_type == "json" or (type(value) is int if field.whole else type(value) in (int, float))
            # It can be sent, and is the same where it arrives.
            assert same(json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()), value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "1e999", "1.5.2", "true", "[1]", "many"])
def test_what_is_no_number_that_can_be_sent_is_refused(text: str) -> None:
    [field] = fields_of_schema({"properties": {"a": {"type": "number"}}})
    with pytest.raises(BadText, match="a number is needed"):
        value_of_entry(field, text)


@pytest.mark.parametrize("text", ["2.5", "1e3", "3.0", "x"])
def test_what_is_not_whole_is_refused_where_a_whole_number_is_needed(text: str) -> None:
    [field] = fields_of_schema({"properties": {"a": {"type": "integer"}}})
    with pytest.raises(BadText, match="a whole number is needed"):
        value_of_entry(field, text)


@pytest.mark.parametrize("text", ["[NaN]", '{"a": -Infinity}', "[1e999]", "{a: 1}", '"\\ud800"', "[" * 100_000])
def test_json_that_can_not_be_sent_is_refused(text: str) -> None:
    [field] = fields_of_schema({"properties": {"a": {}}})
    with pytest.raises(BadText, match=r"JSON|lone surrogate"):
        value_of_entry(field, text)


def test_what_has_to_be_there_and_may_be_null_is_null_where_nothing_is_typed() -> None:
    text, number, choice = (
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": ["integer", "null"]},
        {"enum": ["a", None]},
    )
    schema = {"properties": {"t": text, "n": number, "c": choice}, "required": ["t", "n", "c"]}
    fields = fields_of_schema(schema)
    assert read(fields, ["", "", None]) == {"t": None, "n": None, "c": None}
    assert read(fields, ["x", "1", "a"]) == {"t": "x", "n": 1, "c": "a"}
    assert fields_of_schema({**schema, "required": []})[2].choices == ((None, "leave out"), ("a", "a"))
    assert read(fields_of_schema({**schema, "required": []}), ["", "", None]) == {}


def test_a_schema_that_refers_to_itself_still_has_a_form() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}},
        "required": ["next", "name"],
    }
    schema = {"properties": {"root": {"$ref": "#/$defs/Node"}}, "required": ["root"], "$defs": {"Node": node}}
    assert [field.name for field in fields_of_schema(schema)][-1] == "root.name"
    endless = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert [field.input_type for field in fields_of_schema(endless)] == ["json"]


@given(
    st.recursive(
        ANYTHING,
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["properties", "required", "$ref", "anyOf", "allOf", "enum", "type", "items", "default", "$defs"]
            ),
            inner,
        ),
    )
)
def test_no_schema_breaks_a_form(schema: Any) -> None:
    fields_of_schema({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    fields_of_schema(schema if isinstance(schema, dict) else {})
