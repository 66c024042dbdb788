"""What a run is given: inputs checked against the workflow's schema, and texts from the command line read by it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from core.definition.json_text import JsonProblem, Path, parse_json
from core.definition.text import did_you_mean, shortened, visible
from core.errors import InvalidInput
from core.flow.graph import Graph

_PROBLEMS_SHOWN = 20
_VALUES_NOT_SCHEMAS = frozenset({"default", "const", "enum", "examples"})


def check_inputs(graph: Graph, values: dict[str, Any]) -> dict[str, Any]:
    """The state a run starts with: the initial state, then the schema's defaults, then the inputs.

    Raises InvalidInput that names every problem; its `details` are `[{"path": [...], "message": ...}, ...]`.
    """
    if not isinstance(values, dict):
        raise InvalidInput("The inputs must be an object of names and values.", next_step=_how_to_give(graph))
    merged = {**_defaults(graph), **values}
    if graph.inputs is not None:
        problems = _problems(dict(graph.inputs), merged)
        if problems:
            texts = [f"{_spoken(path)}: {message}" if path else message for path, message in problems[:_PROBLEMS_SHOWN]]
            if len(problems) > _PROBLEMS_SHOWN:
                texts.append(f"and {len(problems) - _PROBLEMS_SHOWN} more")
            raise InvalidInput(
                f"The inputs don't fit the workflow {graph.name!r}: {'; '.join(texts)}.",
                cause="The workflow declares which inputs it takes.",
                next_step=_how_to_give(graph),
                details=[{"path": list(path), "message": message} for path, message in problems[:_PROBLEMS_SHOWN]],
            )
    return copy.deepcopy({**graph.initial_state, **merged})


def parse_input_text(graph: Graph, key: str, text: str) -> Any:
    """The value that a text from the command line means, by the type of the input it is for.

    A string stays text, every other type is read as JSON. Without a type, what reads as JSON other than a string is
    that, anything else is the text. Raises InvalidInput where the text is not of the type.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"The input {key!r} is not valid UTF-8.", next_step="Give it as UTF-8 text.") from None
    types = _types_of(graph, key)
    if types == {"string"}:
        return text
    try:
        value = parse_json(text)
    except JsonProblem:
        value = text
    if not types:
        return value if not isinstance(value, str) else text
    if "integer" in types and isinstance(value, float) and value.is_integer():
        value = int(value)
    for name in types - {"string"}:
        if _is_of_type(value, name):
            return value
    if "string" in types:
        return text
    wanted = " or ".join(sorted(types))
    raise InvalidInput(
        f"The input {key!r} must be of type {wanted}, not {shortened(text, 80)!r}.",
        cause="The workflow declares the type of this input.",
        next_step=f"For example: -i {key}={_EXAMPLES[min(types)]}",
    )


def schema_problem(schema: Any) -> tuple[Path, str] | None:
    """Why a value can't be the schema of a workflow's inputs, as (place in it, message); None where it can."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    jsonschema = _jsonschema()
    if not isinstance(schema, dict):
        return (), "inputs must be an object."
    if schema.get("type", "object") != "object":
        return ("type",), "inputs must describe an object: one key for each input."
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return tuple(error.absolute_path), f"inputs is not a JSON Schema: {shortened(error.message, 200)}."
    except (RecursionError, OverflowError):
        return (), "inputs is nested too deeply, or has a pattern that is too large."
    resolver = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()
    for path, reference in _references(schema):
        if not reference.startswith("#"):
            return path, f"{reference!r} is not in this file: only references that begin with # are followed."
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return path, f"{reference!r} leads nowhere."
    return None


def _jsonschema() -> Any:
    # Imported here because it is slow to import, and most workflows declare no inputs.
    import jsonschema  # type: ignore[import-untyped]

    return jsonschema


def _references(schema: Any) -> Iterator[tuple[Path, str]]:
    """Every reference in a schema, with its place."""
    waiting: list[tuple[Path, Any]] = [((), schema)]
    while waiting:
        path, part = waiting.pop()
        if isinstance(part, list):
            waiting += [((*path, index), item) for index, item in enumerate(part)]
        elif isinstance(part, dict):
            for key, item in part.items():
                if key in ("$ref", "$dynamicRef") and isinstance(item, str):
                    yield (*path, key), item
                elif key not in _VALUES_NOT_SCHEMAS:
                    waiting.append(((*path, key), item))


def _problems(schema: dict[str, Any], values: dict[str, Any]) -> list[tuple[Path, str]]:
    """What is wrong with values by a schema, by place."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # A registry of our own: the default one would fetch a reference from the network.
    validator = _jsonschema().Draft202012Validator(schema, registry=Registry())
    try:
        problems = [(tuple(error.absolute_path), _message(error, schema)) for error in validator.iter_errors(values)]
    except RecursionError:
        return [((), "the schema refers to itself without an end, or a value is nested too deeply")]
    except Unresolvable as error:
        return [((), f"the schema has a reference that leads nowhere: {shortened(str(error), 200)}")]
    return sorted(problems, key=lambda problem: [str(part) for part in problem[0]])


def _message(error: Any, schema: dict[str, Any]) -> str:
    """One problem in words, with a guess where an input is not known."""
    message = shortened(str(error.message), 200)
    if error.validator == "additionalProperties" and not error.absolute_path:
        known = list(schema.get("properties", {}))
        hints = [did_you_mean(str(key), known) for key in error.instance if key not in known]
        message = " ".join([message, *(hint for hint in hints if hint)])
    return message


def _properties(graph: Graph) -> dict[str, Any]:
    properties = graph.inputs.get("properties") if graph.inputs is not None else None
    return properties if isinstance(properties, dict) else {}


def _defaults(graph: Graph) -> dict[str, Any]:
    return {
        key: part["default"] for key, part in _properties(graph).items() if isinstance(part, dict) and "default" in part
    }


def _types_of(graph: Graph, key: str) -> set[str]:
    """The JSON types an input may have, by its `type` or the values of its `enum`; empty where nothing is said."""
    part = _properties(graph).get(key)
    if not isinstance(part, dict):
        return set()
    declared = part.get("type")
    if isinstance(declared, str):
        return {declared}
    if isinstance(declared, list):
        return {name for name in declared if isinstance(name, str)}
    values = part.get("enum", [part["const"]] if "const" in part else [])
    return {name for name in _EXAMPLES for value in values if _is_of_type(value, name)}


_EXAMPLES = {
    "string": "text",
    "integer": "3",
    "number": "2.5",
    "boolean": "true",
    "array": "'[1, 2]'",
    "object": """'{"key": "value"}'""",
    "null": "null",
}


def _is_of_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "array": list,
        "object": dict,
        "null": type(None),
    }
    return name in kinds and isinstance(value, kinds[name])


def _how_to_give(graph: Graph) -> str:
    """Which inputs there are, and how to give them."""
    described = []
    for key in _properties(graph):
        types = " or ".join(sorted(_types_of(graph, key)))
        described.append(f"{key} ({types})" if types else key)
    if not described:
        return "Give each input as -i key=value, or all of them as --input-json '{...}'."
    return visible(f"Give inputs as -i key=value. This workflow takes: {', '.join(described)}.")


def _spoken(path: Path) -> str:
    return visible(".".join(str(part) for part in path))
