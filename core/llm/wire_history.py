"""Our messages in the library's form and back; imported by `core.llm.wire` alone.

What a provider wants back with the next call (thoughts with their signatures, marks on calls) goes into `opaque`: the
parts of the reply in their order, by reference to text and calls, so that nothing is kept twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    CachePoint,
    InstructionPart,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import (
    ModelMessage as LibraryMessage,
)
from pydantic_ai.messages import (
    ModelRequest as LibraryRequest,
)
from pydantic_ai.models import ModelRequestParameters

from core.llm.messages import ModelMessage, ModelRequest, ToolCall, ToolResult

_FENCES = re.compile(r"\s*```[A-Za-z0-9_-]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_THINK = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL)


def to_library(request: ModelRequest, provider: str, *, cached: bool) -> list[LibraryMessage]:
    """The conversation for a provider; thoughts of another provider are left out, they are sealed for that one."""
    messages: list[LibraryMessage] = []
    parts: list[ModelRequestPart] = []
    mark = _mark(request) if cached else -1

    def said() -> None:
        if parts:
            messages.append(LibraryRequest(parts=list(parts)))
            parts.clear()

    for index, message in enumerate(request.messages):
        if isinstance(message, ModelMessage):
            said()
            if response := _response(message, provider):
                messages.append(response)
        elif isinstance(message, ToolResult):
            parts.append(
                ToolReturnPart(
                    message.name, message.text, message.call_id, outcome="failed" if message.failed else "success"
                )
            )
            if index == mark:
                parts.append(UserPromptPart([CachePoint()]))
        else:
            parts.append(UserPromptPart([message.text, CachePoint()] if index == mark else message.text))
    said()
    return messages


def with_instructions(parameters: ModelRequestParameters, instructions: str) -> ModelRequestParameters:
    """The parameters with the instructions of the call."""
    return replace(parameters, instruction_parts=[InstructionPart(content=instructions)] if instructions else [])


def from_library(response: ModelResponse, provider: str, *, think_block: bool) -> ModelMessage:
    """What a model said, in our form; arguments that are no JSON object are kept as the text that they are."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    order: list[dict[str, Any]] = []
    needed = False
    for part in response.parts:
        details = {"details": part.provider_details} if getattr(part, "provider_details", None) else {}
        if isinstance(part, TextPart):
            texts.append(part.content)
            order.append({"kind": "text", "length": len(part.content), **details})
        elif isinstance(part, ToolCallPart):
            calls.append(_call(part))
            order.append({"kind": "call", "id": part.tool_call_id, **details})
        elif isinstance(part, ThinkingPart):
            needed = True
            seal = {"signature": part.signature} if part.signature else {}
            named = {"id": part.id} if part.id else {}
            order.append({"kind": "thinking", "text": part.content, **seal, **named, **details})
        needed = needed or bool(details)
    text = "".join(texts)
    if think_block and (cut := without_thoughts(text)) != text:
        text, needed = cut, False
    opaque = {
        "ours": provider,
        "provider": response.provider_name,
        "system": response.canonical_system,
        "model": response.model_name,
        "parts": order,
    }
    return ModelMessage(text, tuple(calls), opaque if needed else None)


def without_thoughts(text: str) -> str:
    """The text without a block of thoughts at its beginning."""
    found = _THINK.match(text)
    return text[found.end() :] if found else text


def without_fences(text: str) -> str:
    """The JSON in a reply that wraps it into a fence or puts thoughts before it."""
    text = without_thoughts(text)
    found = _FENCES.fullmatch(text)
    return (found[1] if found else text).strip()


def _mark(request: ModelRequest) -> int:
    """The message after which a mark for the cache can stand: the last of ours up to the wanted one; -1: none."""
    for index in range(min(request.cache_after, len(request.messages)) - 1, -1, -1):
        if not isinstance(request.messages[index], ModelMessage):
            return index
    return -1


def _call(part: ToolCallPart) -> ToolCall:
    written = part.args
    if isinstance(written, Mapping):
        return ToolCall(part.tool_call_id, part.tool_name, dict(written))
    text = written or ""
    try:
        # A call without arguments may come without any text.
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return ToolCall(part.tool_call_id, part.tool_name, value)
    return ToolCall(part.tool_call_id, part.tool_name, None, text)


def _response(message: ModelMessage, provider: str) -> ModelResponse | None:
    calls = {call.id: call for call in message.tool_calls}
    opaque = message.opaque if isinstance(message.opaque, dict) else {}
    if opaque.get("ours") != provider:
        opaque = {}
    order = _order(message, opaque) if opaque else None
    parts: list[ModelResponsePart] = []
    for entry in order if order is not None else _plain(message):
        details = (
            {"provider_name": opaque["provider"], "provider_details": entry["details"]} if entry.get("details") else {}
        )
        match entry["kind"]:
            case "text":
                parts.append(TextPart(entry["text"], **details))
            case "call":
                call = calls[entry["id"]]
                arguments = call.arguments if call.arguments is not None else {"not_an_object": call.text[:2000]}
                parts.append(ToolCallPart(call.name, arguments, call.id, **details))
            case "thinking":
                parts.append(
                    ThinkingPart(
                        entry["text"],
                        id=entry.get("id"),
                        signature=entry.get("signature"),
                        provider_name=opaque["provider"],
                        provider_details=entry.get("details"),
                    )
                )
    if not parts:
        return None
    return ModelResponse(
        parts=parts,
        model_name=opaque.get("model"),
        provider_name=opaque.get("provider"),
        canonical_system=opaque.get("system"),
    )


def _plain(message: ModelMessage) -> Iterable[dict[str, Any]]:
    if message.text:
        yield {"kind": "text", "text": message.text}
    for call in message.tool_calls:
        yield {"kind": "call", "id": call.id}


def _order(message: ModelMessage, opaque: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The parts in their order; None where text or calls are no longer what came, so that no order holds."""
    order: list[dict[str, Any]] = []
    at = 0
    try:
        for entry in opaque["parts"]:
            if entry["kind"] == "text":
                order.append(entry | {"text": message.text[at : at + entry["length"]]})
                at += entry["length"]
            else:
                order.append(entry)
        calls = [entry["id"] for entry in order if entry["kind"] == "call"]
    except (KeyError, TypeError):
        return None
    return order if at == len(message.text) and calls == [call.id for call in message.tool_calls] else None
