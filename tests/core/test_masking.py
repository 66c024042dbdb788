"""What is hidden of the arguments of an action: by their names, and by what its schema says of them."""

from __future__ import annotations

from typing import Any

import pytest

from core.masking import HIDDEN, without_secrets

SECRET: dict[str, Any] = {"type": "string", "format": "password"}
WRITE_ONLY: dict[str, Any] = {"type": "string", "writeOnly": True}


def test_what_is_named_like_a_secret_is_hidden_at_any_depth() -> None:
    given = {"subject": "hi", "API_KEY": "k", "deep": [{"access_token": {"a": 1}, "n": 2}]}
    assert without_secrets(given) == {"subject": "hi", "API_KEY": HIDDEN, "deep": [{"access_token": HIDDEN, "n": 2}]}
    assert given["API_KEY"] == "k"


@pytest.mark.parametrize("marked", [SECRET, WRITE_ONLY], ids=["password", "writeOnly"])
@pytest.mark.parametrize(
    "described",
    [
        lambda marked: marked,
        lambda marked: {"anyOf": [{"type": "null"}, marked]},
        lambda marked: {"oneOf": [{"type": "integer"}, {"allOf": [marked]}]},
        lambda marked: {"$ref": "#/$defs/one"},
        lambda marked: {"type": "string", **marked, "description": "harmless"},
    ],
    ids=["plain", "or null", "put together", "referred to", "described"],
)
def test_what_the_schema_marks_is_hidden_under_a_harmless_name(described: Any, marked: dict[str, Any]) -> None:
    one = described(marked)
    schema = {
        "type": "object",
        "properties": {
            "pin": one,
            "list": {"type": "array", "items": one},
            "deep": {"type": "object", "properties": {"pin": one, "n": {"type": "integer"}}},
            "any": {"type": "object", "additionalProperties": one},
        },
        "$defs": {"one": marked},
    }
    given = {"pin": "1", "list": ["2", "3"], "deep": {"pin": "4", "n": 5, "m": 6}, "any": {"x": "7"}, "more": "8"}
    assert without_secrets(given, schema) == {
        "pin": HIDDEN,
        "list": [HIDDEN, HIDDEN],
        "deep": {"pin": HIDDEN, "n": 5, "m": 6},
        "any": {"x": HIDDEN},
        "more": "8",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": []},
        {"properties": {"a": 1}, "items": "x", "anyOf": {"a": 1}, "allOf": [None, 3]},
        {"$ref": "#"},
        {"$ref": "#/properties/a", "properties": {"a": {"$ref": "#/properties/a"}}},
        {"$ref": "https://elsewhere.example/schema"},
        {"properties": {"a": True}, "additionalProperties": False, "patternProperties": 3},
    ],
)
def test_an_odd_schema_hides_nothing_and_harms_nothing(schema: Any) -> None:
    given = {"a": [1, {"a": None}], "b": "x"}
    assert without_secrets(given, schema) == given
