"""Arguments of an action against its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ToolArguments


def check_arguments(name: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise ToolArguments, naming the first few places, where the arguments don't fit. No value is shown."""
    if not schema:
        return
    # Not before a tool is called: it is a large import.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError, UnknownType  # type: ignore[import-untyped]
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        # With a registry of its own, references to other addresses are never fetched.
        validator = Draft202012Validator(dict(schema), registry=Registry())
        found = sorted(validator.iter_errors(dict(arguments)), key=lambda one: list(map(str, one.path)))
    except (SchemaError, UnknownType, Unresolvable, AttributeError, TypeError):
        return  # The schema itself is odd: whoever carries the action out judges the arguments.
    if found:
        raise ToolArguments(
            f"The arguments don't fit {name}: " + "; ".join(_words(one) for one in found[:3]),
            cause=f"{len(found)} of its rules are not kept; nothing was called.",
            next_step=f"See what it takes: rondo tool-details {name.partition('.')[0]}",
        )


def _words(error: Any) -> str:
    place = ".".join(map(str, error.path))
    rule, value = error.validator, error.validator_value
    if rule == "required":
        missing = [name for name in value if name not in error.instance]
        return f"{place + ': ' if place else ''}{', '.join(missing)} is missing"
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [name for name in error.instance if name not in known]
        return f"{', '.join(unknown)} is not known"
    if rule == "type":
        return f"{place or 'the whole'} is not of type {value if isinstance(value, str) else ' or '.join(value)}"
    if rule == "enum":
        return f"{place} is none of {', '.join(map(str, value))}"
    return f"{place or 'the whole'} breaks {rule} {value}"[:200]
