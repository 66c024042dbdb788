"""What is said to a model and what it says, in our own words: no model library is imported here.

A conversation is a list of messages; `message_to_json` gives the plain form in which each is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Effort = Literal["", "low", "medium", "high"]
"""How hard a model is to think; "" leaves that to the provider."""

Stop = Literal["end", "tools", "length", "refusal"]
"""Why a reply ended: said all, wants tools, cut at the limit of tokens, refused."""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the person, or the program for them, said."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. `arguments` is what it wrote, parsed; None where that was no JSON object,
    and then `text` is what it wrote."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """What a model said. `opaque` is what its provider wants back unchanged with the next call, such as signatures."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    opaque: Any = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave, as the text that the model reads."""

    call_id: str
    name: str
    text: str
    failed: bool = False


Message = UserMessage | ModelMessage | ToolResult


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model. Exactly one of `role` and `model` decides which: a role of the settings, or "provider:id".

    With `schema` (JSON Schema of an object) the reply is JSON that fits it. `cache_after` counts the messages after
    which a provider may keep what it has read. `timeout` is in seconds.
    """

    messages: tuple[Message, ...]
    system: str = ""
    role: str = "chat"
    model: str = ""
    effort: Effort = ""
    tools: tuple[ToolSpec, ...] = ()
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None
    timeout: float = 600.0
    cache_after: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used, in tokens; `cost` is in US dollars, None where the price is not known (never taken for 0)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What came back. `value` is the parsed JSON where the request had a schema. `model` is "provider:id"."""

    message: ModelMessage
    stop: Stop
    usage: Usage
    model: str
    seconds: float
    value: Any = None
    retries: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the text, as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The model thinks; what it thinks is not shown, only that it does."""

    characters: int


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A tool call is being written: `characters` of its arguments so far."""

    id: str
    name: str
    characters: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The call is tried again after `seconds`, because of `reason`."""

    seconds: float
    reason: str
    again: bool = True
    """Text that came before is void: the reply begins anew."""


Delta = TextDelta | ThinkingDelta | ToolCallDelta | Waiting


class Listener(Protocol):
    """Called on the event loop with what comes of a reply while it comes."""

    def __call__(self, delta: Delta) -> None: ...


class ModelGateway(Protocol):
    """Where model calls go. Cancelling the task ends the call at once. Raises the ModelProblem family."""

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply: ...


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its provider lists it; prices are US dollars per million tokens, None: not known."""

    id: str
    provider: str
    title: str = ""
    context_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def message_to_json(message: Message) -> dict[str, Any]:
    """The plain form in which a message is kept."""
    if isinstance(message, UserMessage):
        return {"from": "user", "text": message.text}
    if isinstance(message, ToolResult):
        kept: dict[str, Any] = {"from": "tool", "call": message.call_id, "name": message.name, "text": message.text}
        return kept | ({"failed": True} if message.failed else {})
    calls = [
        {"id": call.id, "name": call.name, "arguments": call.arguments} | ({"text": call.text} if call.text else {})
        for call in message.tool_calls
    ]
    form: dict[str, Any] = {"from": "model", "text": message.text}
    return form | ({"calls": calls} if calls else {}) | ({"opaque": message.opaque} if message.opaque else {})


def message_from_json(form: dict[str, Any]) -> Message:
    """A message from its plain form; raises KeyError or ValueError on anything else."""
    match form["from"]:
        case "user":
            return UserMessage(form["text"])
        case "tool":
            return ToolResult(form["call"], form["name"], form["text"], bool(form.get("failed")))
        case "model":
            calls = tuple(
                ToolCall(call["id"], call["name"], call["arguments"], call.get("text", ""))
                for call in form.get("calls", ())
            )
            return ModelMessage(form["text"], calls, form.get("opaque"))
        case sender:
            raise ValueError(f"a message from {sender!r}")
