"""What a form asks for: fields from a request of a run, or from the inputs that a workflow declares. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.link.types import RequestView
from tui.text import visible

CHOICES = ("select", "multiselect", "confirm")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One thing to fill in. `input_type` is text, number, json, select, multiselect or confirm; `choices` are values
    with their labels; `given` is what stands there at first (a text, a value, or a list of values)."""

    name: str
    prompt: str
    input_type: str
    choices: tuple[tuple[Any, str], ...] = ()
    given: Any = None
    required: bool = False
    hint: str = ""


class BadText(Exception):
    """What was typed can't be read as what is asked for; the text says what is expected."""


def choices_of(options: Any) -> tuple[tuple[Any, str], ...]:
    """Values and labels of a request's options: texts, numbers, or `{value, label}`."""
    if not isinstance(options, list):
        return ()
    made = []
    for option in options:
        if isinstance(option, Mapping) and "value" in option:
            made.append((option["value"], visible(str(option.get("label", option["value"])))))
        else:
            made.append((option, visible(option if isinstance(option, str) else json.dumps(option))))
    return tuple(made)


def field_of_request(request: RequestView) -> FieldSpec:
    """The field that answers a request; an input type that is not known is asked as text."""
    known = request.input_type in (*CHOICES, "text", "number", "json")
    input_type = request.input_type if known else "text"
    choices = choices_of(request.options)
    if input_type == "confirm":
        choices = ((True, "yes"), (False, "no"))
    elif input_type in CHOICES and not choices:
        input_type = "json"
    return FieldSpec(name=request.request_id, prompt=request.prompt or "", input_type=input_type, choices=choices)


def fields_of_inputs(
    schema: Mapping[str, Any] | None, initial_state: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> list[FieldSpec]:
    """The fields of a workflow's inputs: from its schema, else one for each value it begins with.

    What is `given` stands there in place of the defaults.
    """
    properties = (schema or {}).get("properties")
    values = {**initial_state, **(given or {})}
    if isinstance(properties, Mapping) and properties:
        required = (schema or {}).get("required", [])
        known = {
            name: field["default"]
            for name, field in properties.items()
            if isinstance(field, Mapping) and "default" in field
        }
        values = {**initial_state, **known, **(given or {})}
        return [_field_of_schema(name, field, name in required, values) for name, field in properties.items()]
    return [_field_of_value(name, value) for name, value in values.items()]


def _field_of_schema(name: str, schema: Any, required: bool, values: Mapping[str, Any]) -> FieldSpec:
    field: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
    given = values.get(name)
    kind = field.get("type")
    prompt = str(field.get("title") or name)
    hint = str(field.get("description") or field.get("format") or "")
    if isinstance(field.get("enum"), list):
        return FieldSpec(name, prompt, "select", choices_of(list(field["enum"])), given, required, hint)
    if kind == "boolean":
        return FieldSpec(name, prompt, "confirm", ((True, "yes"), (False, "no")), given, required, hint)
    if kind in ("integer", "number"):
        return FieldSpec(name, prompt, "number", (), _as_text(given), required, hint)
    if kind == "string":
        return FieldSpec(name, prompt, "text", (), "" if given is None else str(given), required, hint)
    items = field.get("items")
    if kind == "array" and isinstance(items, Mapping) and isinstance(items.get("enum"), list):
        return FieldSpec(name, prompt, "multiselect", choices_of(list(items["enum"])), given, required, hint)
    return FieldSpec(
        name, prompt, "json", (), _as_text(given), required, hint or (f"as JSON ({kind})" if kind else "as JSON")
    )


def _field_of_value(name: str, value: Any) -> FieldSpec:
    if isinstance(value, bool):
        return FieldSpec(name, name, "confirm", ((True, "yes"), (False, "no")), value)
    if isinstance(value, (int, float)):
        return FieldSpec(name, name, "number", (), _as_text(value))
    if isinstance(value, str):
        return FieldSpec(name, name, "text", (), value)
    return FieldSpec(name, name, "json", (), _as_text(value), hint="as JSON")


def _as_text(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def value_of_text(field: FieldSpec, text: str) -> Any:
    """What typed text means in a field; raises BadText. An empty text is an empty text, or nothing where the field
    isn't a text (None)."""
    if field.input_type == "text":
        return text
    if not text.strip():
        if field.required:
            raise BadText("needed")
        return None
    if field.input_type == "number":
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return json.loads(text) if _is_number(text) else float(text)
        except ValueError:
            raise BadText("a number is needed, such as 3 or 2.5") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadText(f"this is not JSON: {error}") from None


def _is_number(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, (int, float)) and not isinstance(value, bool)
