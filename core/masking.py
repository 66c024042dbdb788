"""What of an action's arguments nobody is shown and nothing keeps: what is named like a secret, or marked as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "•••"
"""What stands in the place of a secret."""
SECRET_NAMES = ("token", "secret", "password", "passphrase", "api_key", "apikey", "access_key", "private_key")
PARTS_AT_MOST = 64
"""So many schemas are looked at for one value: references may lead round in circles."""


def is_secret_name(name: str) -> bool:
    """True for the names of what nobody should read over a shoulder."""
    return any(word in name.lower() for word in SECRET_NAMES)


def is_marked_secret(schema: Mapping[str, Any]) -> bool:
    """True where a JSON Schema says that its value is a secret."""
    return schema.get("format") == "password" or schema.get("writeOnly") is True


def without_secrets(value: Any, schema: Mapping[str, Any] | None = None) -> Any:
    """A JSON value with nothing of what is a secret by its name, or by its JSON Schema, at any depth."""
    whole = schema or {}
    return _without(value, list(_parts([whole], whole)), whole)


def _without(value: Any, parts: list[Mapping[str, Any]], whole: Mapping[str, Any]) -> Any:
    """`parts` are all the schemas that say something of this value."""
    if value is not None and any(map(is_marked_secret, parts)):
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            name: HIDDEN
            if is_secret_name(str(name))
            else _without(item, list(_parts(_of_property(parts, name), whole)), whole)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        inner = list(_parts(_of_items(parts), whole))
        return [_without(item, inner, whole) for item in value]
    return value


def _of_property(parts: list[Mapping[str, Any]], name: Any) -> Iterator[Any]:
    for part in parts:
        properties = part.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            yield properties[name]
        else:
            yield part.get("additionalProperties")
        patterns = part.get("patternProperties")
        # Which pattern fits is not worked out: rather too much is hidden than too little.
        yield from patterns.values() if isinstance(patterns, Mapping) else ()


def _of_items(parts: list[Mapping[str, Any]]) -> Iterator[Any]:
    for part in parts:
        for word in ("items", "prefixItems", "contains"):
            found = part.get(word)
            yield from found if isinstance(found, list) else [found]


def _parts(schemas: Any, whole: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas with all that they refer to and are put together from, whichever of them would fit."""
    waiting = [one for one in schemas if isinstance(one, Mapping)]
    for _ in range(PARTS_AT_MOST):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        more = [part.get("then"), part.get("else")]
        if isinstance(part.get("$ref"), str):
            more.append(_referred(part["$ref"], whole))
        for word in ("anyOf", "oneOf", "allOf"):
            more += part[word] if isinstance(part.get(word), list) else []
        waiting += [one for one in more if isinstance(one, Mapping)]


def _referred(reference: str, whole: Mapping[str, Any]) -> Any:
    """What a reference within the same document means; None for any other."""
    head, _, path = reference.partition("#")
    found: Any = whole if not head else None
    for step in path.split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found
