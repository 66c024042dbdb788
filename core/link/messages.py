"""What the messages say, and the table of methods made from the signatures of `EngineApi`.

Client to engine: `{id, method, params}`, where `params` is an object by parameter name; `{id, method: "cancel"}` gives
up the read of that id. Engine to client: `{id, result}` or `{id, error}` with the error as `RondoError.to_dict()` gives
it, and, after the method `events` was called, `{events: [...]}`. An error with `id` null is about the connection.
`{id, method: "ping"}` is answered at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import msgspec

from core.errors import RondoError, UsageError
from core.link.api import EngineApi
from core.link.event_types import Event
from core.link.framing import encode_frame

NOT_DECODABLE = (ValueError, RecursionError)
"""What msgspec raises on bytes that are not what they should be: broken, of another type, not UTF-8, or too deep."""

CANCEL = "cancel"
SUBSCRIBE = "events"
PING = "ping"


class Call(msgspec.Struct):
    """One call from a client."""

    id: int
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Incoming(msgspec.Struct):
    """Anything an engine sends: a reply with `id`, or a batch of events."""

    id: int | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


call_decoder = msgspec.json.Decoder(Call)
incoming_decoder = msgspec.json.Decoder(Incoming)
events_decoder = msgspec.json.Decoder(list[Event])


LOOKS = frozenset({"hello", "engine_status", "doctor", "approval", "models_status", "workflow_tools", "check_workflow"})
"""Methods that change nothing, beside those whose names say so."""


def may_change(method: str, arguments: Mapping[str, object]) -> bool:
    """True where a call may change something; a dry run of `prune` doesn't."""
    if method in LOOKS or method.startswith(("read_", "list_", "get_")):
        return False
    return not getattr(arguments.get("prune"), "dry_run", False)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the interface with what its parameters must be."""

    name: str
    decoder: msgspec.json.Decoder[Any]

    def may_change(self, arguments: Mapping[str, object]) -> bool:
        """True where a call with these arguments may change something, so that no read-only client may make it."""
        return may_change(self.name, arguments)

    @property
    def is_read(self) -> bool:
        """True where the call changes nothing, so that it may be given up half-way."""
        return self.name.startswith(("read_", "list_", "get_"))

    def arguments(self, params: msgspec.Raw) -> dict[str, Any]:
        """The call's parameters, decoded and checked; raises UsageError that says which one is wrong and how."""
        try:
            decoded = self.decoder.decode(params)
        except NOT_DECODABLE as error:
            raise UsageError(
                f"The call of '{self.name}' is not well-formed.",
                cause=str(error),
                next_step="Compare it with the signature in core/link/api.py.",
            ) from error
        return {field: getattr(decoded, field) for field in decoded.__struct_fields__}


def method_table(interface: type) -> dict[str, Method]:
    """Every coroutine method of an interface class and its bases, with a decoder for its parameters."""
    table: dict[str, Method] = {}
    declared = {name: function for part in reversed(interface.__mro__) for name, function in vars(part).items()}
    for name, function in declared.items():
        if not inspect.iscoroutinefunction(function):
            continue
        hints = get_type_hints(function)
        fields: list[Any] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            kind = hints[parameter.name]
            has_default = parameter.default is not inspect.Parameter.empty
            fields.append((parameter.name, kind, parameter.default) if has_default else (parameter.name, kind))
        params = msgspec.defstruct(f"{name}_params", fields, kw_only=True, forbid_unknown_fields=True)
        table[name] = Method(name, msgspec.json.Decoder(params))
    return table


def engine_methods() -> dict[str, Method]:
    """The methods of the engine."""
    return method_table(EngineApi)


def unknown_method(name: str) -> UsageError:
    """The error for a method that the engine does not have."""
    return UsageError(
        f"The engine has no method '{name}'.",
        cause="The client is of another version, or the name is misspelt.",
        next_step="See core/link/api.py for what there is.",
    )


def error_frame(call_id: int | None, error: RondoError) -> bytes:
    """A failed call's reply; details that are not JSON are sent as text."""
    try:
        return encode_frame({"id": call_id, "error": error.to_dict()})
    except (TypeError, ValueError, RecursionError):
        return encode_frame({"id": call_id, "error": {**error.to_dict(), "details": repr(error.details)}})
