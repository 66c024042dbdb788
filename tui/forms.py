"""What a form asks for: fields from a request of a run, or from the inputs that a workflow declares. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.link.tool_types import FieldView
from core.link.types import RequestView
from core.masking import is_marked_secret, is_secret_name
from tui.text import visible

CHOICES = ("select", "multiselect", "confirm")
NESTED_DEPTH, NESTED_AT_MOST = 2, 8
"""How deep objects have fields of their own, and with how many properties at most; others are written as JSON."""
REFERENCES_AT_MOST = 8


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
    path: tuple[str, ...] = ()
    """Where the value stands in the object, where that is not just its name."""
    secret: bool = False
    """True for what is not shown while it is typed."""
    whole: bool = False
    """True for numbers without a fraction."""
    leave_out: bool = False
    """True where nothing typed means no value, not an empty one."""
    or_null: bool = False
    """True for what has to be there but may be null, which is what nothing typed means."""


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


def places_of(choices: tuple[tuple[Any, str], ...], wanted: list[Any]) -> list[int]:
    """Where among choices the wanted values stand; true is not 1 here, as in JSON."""
    texts = {json.dumps(value, sort_keys=True, default=str) for value in wanted}
    return [
        place for place, (value, _) in enumerate(choices) if json.dumps(value, sort_keys=True, default=str) in texts
    ]


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
    """The fields of a workflow's inputs: from its schema, else one for each value it begins with. `given` is what was
    filled in before."""
    fields = fields_of_schema(schema or {}, given, initial_state)
    begins = {**initial_state, **(given or {})}
    return fields or [_field_of_value(name, value) for name, value in begins.items()]


def fields_of_schema(
    schema: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
    fallback: Mapping[str, Any] | None = None,
    *,
    required_first: bool = False,
) -> list[FieldSpec]:
    """The fields of an object by its JSON Schema: one for each property, and one for each of a property that is an
    object of a few. `given` are the values that stand there at first, else the schema's, else those of `fallback`."""
    definitions = schema.get("$defs", schema.get("definitions", {}))
    fields = list(_fields_of_object(schema, given or {}, fallback or {}, (), definitions))
    return sorted(fields, key=lambda field: not field.required) if required_first else fields


def _fields_of_object(
    schema: Mapping[str, Any],
    given: Mapping[str, Any],
    fallback: Mapping[str, Any],
    path: tuple[str, ...],
    definitions: Any,
) -> Iterator[FieldSpec]:
    properties = schema.get("properties")
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    for name, described in properties.items() if isinstance(properties, Mapping) else ():
        field, or_nothing = _resolved(described, definitions)
        if "items" in field:
            field = {**field, "items": _resolved(field["items"], definitions)[0]}
        value = given.get(name, field.get("default", fallback.get(name)))
        inner = field.get("properties")
        here = (*path, str(name))
        few = isinstance(inner, Mapping) and 0 < len(inner) <= NESTED_AT_MOST and len(path) < NESTED_DEPTH
        if few and name in needed and not or_nothing and isinstance(value, Mapping | None):
            yield from _fields_of_object(field, value or {}, {}, here, definitions)
        else:
            yield _field_of_schema(here, field, name in needed, or_nothing, value)


def _resolved(described: Any, definitions: Any) -> tuple[Mapping[str, Any], bool]:
    """A property's schema without references and without "or null", which is what leaving it out means; and whether
    it may be null."""
    field: Mapping[str, Any] = described if isinstance(described, Mapping) else {}
    or_nothing = False
    for _ in range(REFERENCES_AT_MOST):
        reference, choices = field.get("$ref"), field.get("anyOf", field.get("oneOf"))
        if isinstance(reference, str) and isinstance(definitions, Mapping):
            found = definitions.get(reference.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~"))
            meant: Any = found if isinstance(found, Mapping) else {}
        elif isinstance(choices, list):
            real = [one for one in choices if isinstance(one, Mapping) and one.get("type") != "null"]
            or_nothing = or_nothing or len(real) < len(choices)
            if real and all("const" in one for one in real):
                meant = {"enum": [one["const"] for one in real]}
            elif len(real) == 1:
                meant = real[0]
            else:
                break
        elif isinstance(field.get("allOf"), list) and len(field["allOf"]) == 1:
            meant = field["allOf"][0]
        else:
            break
        rest = {key: value for key, value in field.items() if key not in ("$ref", "anyOf", "oneOf", "allOf")}
        field = {**(meant if isinstance(meant, Mapping) else {}), **rest}
    kinds = field.get("type")
    if isinstance(kinds, list):
        real_kinds = [kind for kind in kinds if kind != "null"]
        or_nothing = or_nothing or len(real_kinds) < len(kinds)
        kind = real_kinds[0] if len(real_kinds) == 1 else None
        field = {key: value for key, value in field.items() if key != "type"} | ({"type": kind} if kind else {})
    if "const" in field:
        field = {**field, "enum": [field["const"]]}
    if isinstance(field.get("enum"), list) and None in field["enum"]:
        or_nothing, field = True, {**field, "enum": [one for one in field["enum"] if one is not None]}
    return field, or_nothing


def _field_of_schema(
    path: tuple[str, ...], field: Mapping[str, Any], required: bool, or_nothing: bool, given: Any
) -> FieldSpec:
    kind = field.get("type")
    name = ".".join(path)
    title = str(field.get("title") or path[-1])
    prompt = f"{'.'.join(path[:-1])}: {title}" if len(path) > 1 else title
    hint = " ".join(str(field.get("description") or field.get("format") or "").split())
    or_null = required and or_nothing
    if given is None and required and not or_null and "const" in field:
        given = field["const"]
    spec = FieldSpec(
        name, visible(prompt), "json", (), given, required and not or_null, visible(hint), path, or_null=or_null
    )
    # What is not needed and stands nowhere is left out, and no value is made up for it.
    optional = or_null or (not required and given is None)
    words = "null" if or_null else "leave out"
    leave_out: tuple[tuple[Any, str], ...] = ((None, words),) if optional else ()
    if isinstance(field.get("enum"), list):
        return replace(spec, input_type="select", choices=(*leave_out, *choices_of(list(field["enum"]))))
    if kind == "boolean":
        return replace(spec, input_type="confirm", choices=(*leave_out, (True, "yes"), (False, "no")))
    if kind in ("integer", "number"):
        return replace(spec, input_type="number", given=_as_text(given), whole=kind == "integer")
    if kind == "string":
        secret = is_marked_secret(field) or is_secret_name(path[-1])
        return replace(
            spec, input_type="text", given="" if given is None else str(given), secret=secret, leave_out=optional
        )
    items = field.get("items")
    if kind == "array" and isinstance(items, Mapping) and isinstance(items.get("enum"), list):
        return replace(spec, input_type="multiselect", choices=choices_of(list(items["enum"])), leave_out=optional)
    example = {"array": "as JSON, such as [1, 2]", "object": 'as JSON, such as {"a": 1}'}.get(str(kind), "as JSON")
    return replace(spec, given=_as_text(given), hint=f"{spec.hint} ({example})" if spec.hint else example)


def field_of_account(field: FieldView) -> FieldSpec:
    """The field of something that it takes to connect an account."""
    return FieldSpec(
        name=field.name,
        prompt=visible(field.title or field.name),
        input_type="text",
        given=field.default,
        required=field.required,
        hint=visible(" ".join(field.description.split())),
        secret=field.secret,
    )


def put_together(values: Iterable[tuple[FieldSpec, Any]]) -> dict[str, Any]:
    """The object that a form's values make; what is None is left out where it need not be there."""
    whole: dict[str, Any] = {}
    for spec, value in values:
        *outer, last = spec.path or (spec.name,)
        place = whole
        for name in outer:
            place = place.setdefault(name, {})
        if value is not None or spec.or_null:
            place[last] = value
    return whole


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


def value_of_entry(field: FieldSpec, entered: Any) -> Any:
    """The value that is meant by what stands in an entry: by a typed text, or by what was picked; raises BadText."""
    if field.input_type not in CHOICES:
        return value_of_text(field, entered)
    if entered is None and field.required:
        raise BadText("pick one")
    return None if entered == [] and field.leave_out else entered


def value_of_text(field: FieldSpec, text: str) -> Any:
    """What typed text means in a field; raises BadText. An empty text is an empty text, or nothing where the field
    isn't a text (None)."""
    if field.input_type == "text":
        if not text and field.required:
            raise BadText("needed")
        return None if field.leave_out and not text else text
    if not text.strip():
        if field.required:
            raise BadText("needed")
        return None
    if field.input_type == "number":
        return _number_of_text(text, whole=field.whole)
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadText("this holds half of a character (a lone surrogate), which can't be sent") from None
    except RecursionError:
        raise BadText("this JSON is nested too deep") from None
    except ValueError as error:
        raise BadText(f"this is not JSON: {error}") from None
    return value


def _number_of_text(text: str, *, whole: bool) -> int | float:
    try:
        return int(text)
    except ValueError:
        if whole:
            raise BadText("a whole number is needed, such as 3") from None
    try:
        return _finite(text)
    except ValueError:
        raise BadText("a number is needed, such as 3 or 2.5") from None


def _finite(text: str) -> float:
    """A number that JSON has, too: neither infinite nor none at all."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that can be sent")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that can be sent")
