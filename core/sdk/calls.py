"""What `self.llm`, `self.http` and `self.tool` send, and what they make of the answer. Standard library only."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.errors import ModelReplyProblem

LLM, HTTP, TOOL = "llm", "http", "tool"
"""The kinds of calls."""
EFFORTS = ("", "low", "medium", "high")
_SPEAKERS = {"user": "user", "assistant": "model", "model": "model"}


# Models -----------------------------------------------------------------------------------------------------------


def llm_request(
    prompt: str | None,
    *,
    schema: Any,
    system: str,
    role: str,
    model: str,
    effort: str,
    max_tokens: int | None,
    messages: Iterable[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """The request of a model call as JSON values; raises TypeError and ValueError for what can't be meant."""
    said = [_message(message) for message in messages or ()]
    if prompt is not None:
        if not isinstance(prompt, str):
            raise TypeError(f"the prompt of self.llm is a text, not {type(prompt).__name__}")
        said.append({"from": "user", "text": prompt})
    if not said or said[-1]["from"] != "user":
        raise ValueError("self.llm needs a prompt, or messages of which the last is the user's")
    if effort not in EFFORTS:
        raise ValueError(f"effort is one of low, medium and high, not {effort!r}")
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1):
        raise ValueError(f"max_tokens is a whole number from 1 on, not {max_tokens!r}")
    return {
        "messages": said,
        "system": str(system),
        "role": str(role),
        "model": str(model),
        "effort": effort,
        "schema": json_schema(schema) if schema is not None else None,
        "max_tokens": max_tokens,
    }


def llm_value(reply: Mapping[str, Any], schema: Any) -> Any:
    """What `self.llm` returns: the text, or with a schema an instance of it; raises ModelReplyProblem."""
    if schema is None:
        return reply["text"]
    try:
        return instance_of(schema, reply.get("value"))
    except Exception as error:
        raise ModelReplyProblem(
            f"The model's reply is no {_name_of(schema)}: {error}",
            cause=f"It said: {json.dumps(reply.get('value'), ensure_ascii=False)[:500]}",
            next_step="Say in the prompt what is wanted, make the schema simpler, or let the node retry: "
            "a retry asks anew.",
        ) from error


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    speaker, text = message.get("role", message.get("from")), message.get("content", message.get("text"))
    if speaker not in _SPEAKERS or not isinstance(text, str):
        raise ValueError(
            f'a message is {{"role": "user" or "assistant", "content": text}}, not {dict(message)!r}; '
            "what the system says goes into system="
        )
    return {"from": _SPEAKERS[speaker], "text": text}


# Schemas ----------------------------------------------------------------------------------------------------------


def json_schema(schema: Any) -> dict[str, Any]:
    """The JSON Schema of a pydantic model, a dataclass, a TypedDict, or a schema as it is; raises TypeError."""
    if isinstance(schema, Mapping):
        return dict(schema)
    if hasattr(schema, "model_json_schema"):
        made: dict[str, Any] = schema.model_json_schema()
        return made
    if isinstance(schema, type) and (dataclasses.is_dataclass(schema) or typing.is_typeddict(schema)):
        return _schema_of(schema)
    raise TypeError(
        "schema= takes a pydantic model class, a dataclass, a TypedDict or a JSON Schema as a dict, "
        f"not {_name_of(schema)}"
    )


def instance_of(kind: Any, value: Any) -> Any:
    """A value of parsed JSON as what the schema was made from; raises ValueError and what its class raises."""
    if isinstance(kind, Mapping):
        return value
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    return _made(kind, value, "the reply")


_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    list: {"type": "array"},
    Any: {},
}


def _schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type hint."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        texts = [text for text in arguments[1:] if isinstance(text, str)]
        return _schema_of(arguments[0]) | ({"description": texts[0]} if texts else {})
    if origin in (typing.Required, typing.NotRequired):
        return _schema_of(arguments[0])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(argument) for argument in arguments]}
    if origin in (list, Sequence, set, frozenset):
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    if hasattr(kind, "model_json_schema"):
        return json_schema(kind)
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return _schema_of_fields(kind)
    raise TypeError(f"schema= knows no JSON Schema for {kind!r}; use a pydantic model, or give the schema as a dict")


def _schema_of_fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        fields = [field for field in dataclasses.fields(kind) if field.init]
        needed = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        names = [field.name for field in fields]
    else:
        names = list(hints)
        needed = _needed_keys(kind, hints)
    schema: dict[str, Any] = {
        "type": "object",
        "title": kind.__name__,
        "properties": {name: _schema_of(hints[name]) for name in names},
        "required": needed,
        "additionalProperties": False,
    }
    text = (kind.__doc__ or "").strip()
    if text and not text.startswith(f"{kind.__name__}("):  # That one is made by @dataclass.
        schema["description"] = text
    return schema


def _needed_keys(kind: Any, hints: Mapping[str, Any]) -> list[str]:
    """The keys that a TypedDict must have; where its hints are texts, it does not know that itself."""
    marks = {typing.Required: True, typing.NotRequired: False}
    return [name for name, hint in hints.items() if marks.get(get_origin(hint), name in kind.__required_keys__)]


def _made(kind: Any, value: Any, place: str) -> Any:
    """The value as that type, checked on the way."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _made(arguments[0], value, place)
    if origin in (typing.Union, types.UnionType):
        return _made_of_union(arguments, value, place)
    if origin is Literal:
        return value if value in arguments else _refuse(place, f"one of {', '.join(map(repr, arguments))}", value)
    if kind in _PLAIN:
        return _made_plain(kind, value, place)
    if origin in (list, Sequence, set, frozenset, tuple):
        items = [_made(arguments[0], item, f"{place}[{n}]") for n, item in enumerate(_listed(value, place))]
        return items if origin in (list, Sequence) else origin(items)
    if origin in (dict, Mapping):
        return {key: _made(arguments[1], item, f"{place}.{key}") for key, item in _object(value, place).items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    hints = get_type_hints(kind, include_extras=True)
    given = _object(value, place)
    if unknown := given.keys() - hints.keys():
        raise ValueError(f"{place} has {', '.join(sorted(unknown))}, and {kind.__name__} has not")
    made = {name: _made(hints[name], item, f"{place}.{name}") for name, item in given.items()}
    if typing.is_typeddict(kind):
        if missing := set(_needed_keys(kind, hints)) - made.keys():
            raise ValueError(f"{place} has no {', '.join(sorted(missing))}")
        return made
    return kind(**made)


def _made_of_union(kinds: Sequence[Any], value: Any, place: str) -> Any:
    problems = []
    for kind in kinds:
        try:
            return _made(kind, value, place)
        except (ValueError, TypeError) as error:
            problems.append(str(error))
    raise ValueError("; or ".join(problems))


def _made_plain(kind: Any, value: Any, place: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    return value if fits else _refuse(place, _PLAIN[kind]["type"], value)


def _listed(value: Any, place: str) -> list[Any]:
    listed: list[Any] = value if isinstance(value, list) else _refuse(place, "array", value)
    return listed


def _object(value: Any, place: str) -> dict[str, Any]:
    found: dict[str, Any] = value if isinstance(value, dict) else _refuse(place, "object", value)
    return found


def _refuse(place: str, wanted: str, value: Any) -> typing.NoReturn:
    raise ValueError(f"{place} must be {wanted}, not {json.dumps(value, ensure_ascii=False)[:100]}")


def _name_of(schema: Any) -> str:
    return getattr(schema, "__name__", None) or type(schema).__name__


# Addresses --------------------------------------------------------------------------------------------------------


class Response:
    """What an address answered. Header names are in lower case; cookies are neither kept nor shown."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self.status: int = reply["status"]
        self.url: str = reply["url"]
        """Where the answer is from, after redirects."""
        self.headers: dict[str, str] = dict(reply["headers"])
        self.content: bytes = base64.b64decode(reply["base64"]) if "base64" in reply else reply["text"].encode()
        self.text: str = reply["text"] if "text" in reply else self.content.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<Response {self.status} of {self.url}>"

    @property
    def ok(self) -> bool:
        """True for a status below 400."""
        return self.status < 400

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.text)


def http_request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None,
    params: Mapping[str, Any] | None,
    json: Any,
    data: str | bytes | Mapping[str, str] | None,
    timeout: float,
) -> dict[str, Any]:
    """The request of an HTTP call as JSON values; raises TypeError and ValueError for what can't be meant."""
    if json is not None and data is not None:
        raise ValueError("self.http takes json= or data=, not both")
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"an address begins with http:// or https://; got {url!r}")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600:
        raise ValueError(f"timeout is a number of seconds up to 3600, not {timeout!r}")
    request: dict[str, Any] = {
        "method": str(method).upper(),
        "url": url,
        "headers": {str(name): str(value) for name, value in (headers or {}).items()},
        "params": _pairs(params or {}),
        "timeout": timeout,
    }
    if json is not None:
        request["json"] = json
    elif isinstance(data, bytes):
        request["base64"] = base64.b64encode(data).decode()
    elif isinstance(data, str):
        request["text"] = data
    elif data is not None:
        request["form"] = _pairs(data)
    return request


def _pairs(values: Mapping[str, Any]) -> list[list[str]]:
    """Parameters as pairs: a list stands for several of one name."""
    pairs = []
    for name, value in values.items():
        several = value if isinstance(value, list | tuple) else [value]
        pairs += [[str(name), _as_text(item)] for item in several if item is not None]
    return pairs


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
