"""Calls in their forms: as a node asks, as a model is asked, as they are kept, and as clients see them."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import orjson

from core.assistant.marking import nested_deeper, storable
from core.engine.http_calls import kept_request
from core.engine.tool_calls import kept_tool_request
from core.errors import ModelReplyProblem, ToolReplyProblem
from core.link.model_types import CallRow, CallView
from core.link.types import ErrorView
from core.link.usage_types import UsageView, money
from core.llm.messages import (
    Delta,
    Effort,
    Listener,
    ModelMessage,
    ModelReply,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    message_from_json,
    message_to_json,
)
from core.sdk.calls import HTTP, LLM, TOOL
from core.store.call_operations import CallCost
from core.store.call_reads import CallTotals
from core.store.records import CallRecord

TITLE_LENGTH = 80
SIDE_LIMIT = 64 * 1024
"""Bytes of what was asked, or answered, that a client is sent at once."""

DEPTH = 100
"""Deepest nesting of what a model writes; what nobody can write out again can't be kept."""

Redact = Callable[[str], str]
"""Takes secrets out of a text."""


def model_request(asked: dict[str, Any]) -> ModelRequest:
    """What a node asks of a model; raises KeyError, TypeError or ValueError where it is no such request."""
    return ModelRequest(
        messages=tuple(message_from_json(form) for form in asked["messages"]),
        system=asked.get("system", ""),
        role=asked.get("role", "executor"),
        model=asked.get("model", ""),
        effort=cast(Effort, asked.get("effort", "")),
        schema=asked.get("schema"),
        max_tokens=asked.get("max_tokens"),
    )


def request_form(request: ModelRequest) -> dict[str, Any]:
    """A model's request as JSON values, the same way round."""
    return {
        "messages": [message_to_json(message) for message in request.messages],
        "system": request.system,
        "role": request.role,
        "model": request.model,
        "effort": request.effort,
        "schema": request.schema,
        "max_tokens": request.max_tokens,
        **({"tools": [asdict(tool) for tool in request.tools]} if request.tools else {}),
    }


def without_secrets(request: ModelRequest, redact: Redact) -> ModelRequest:
    """The request with what it says redacted; the same one where there is nothing to hide. May take a while."""
    said = [message_to_json(message) for message in request.messages]
    clean = redacted(said, redact)
    system = redact(request.system)
    if clean == said and system == request.system:
        return request
    return replace(request, messages=tuple(message_from_json(form) for form in clean), system=system)


def fit_to_keep(reply: ModelReply, redact: Redact) -> ModelReply:
    """A reply without secrets and without lone surrogates, which small servers send. May take a while.

    Raises ModelReplyProblem where its value is nested too deeply.
    """

    def clean(text: str) -> str:
        return redact(str(storable(text)))

    def clean_call(call: ToolCall) -> ToolCall:
        name, id = clean(call.name), clean(call.id)
        if nested_deeper(call.arguments, DEPTH):
            return ToolCall(id, name, None, "(nested too deeply)")
        return ToolCall(id, name, redacted(call.arguments, clean), clean(call.text))

    if nested_deeper(reply.value, DEPTH):
        raise ModelReplyProblem(
            "The model's reply can't be used.",
            cause=f"Its JSON is nested more than {DEPTH} times.",
            next_step="Ask for a simpler form.",
        )
    said = reply.message
    opaque = None if nested_deeper(said.opaque, DEPTH) else redacted(said.opaque, clean)
    message = ModelMessage(clean(said.text), tuple(map(clean_call, said.tool_calls)), opaque)
    return replace(reply, message=message, value=redacted(reply.value, clean), model=clean(reply.model))


def heard(listener: Listener | None) -> Listener | None:
    """The listener, told what can be sent on: a character that is only half there is replaced."""
    if listener is None:
        return None

    def hear(delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            delta = TextDelta(storable(delta.text))
        elif isinstance(delta, ToolCallDelta):
            delta = ToolCallDelta(storable(delta.id), storable(delta.name), delta.characters)
        listener(delta)

    return hear


def reply_form(reply: ModelReply) -> dict[str, Any]:
    """A model's reply as JSON values."""
    calls = message_to_json(reply.message).get("calls")
    return {
        "text": reply.message.text,
        "value": reply.value,
        "stop": reply.stop,
        "model": reply.model,
        "seconds": round(reply.seconds, 3),
        "usage": asdict(reply.usage),
        **({"calls": calls} if calls else {}),
        **({"retries": reply.retries} if reply.retries else {}),
    }


def cost_of(reply: ModelReply) -> CallCost:
    """What a reply used, as it is kept."""
    usage = reply.usage
    return CallCost(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cost)


def title_of(kind: str, asked: dict[str, Any]) -> str:
    """A call in a few words."""
    if kind == LLM:
        texts = [form["text"] for form in asked.get("messages", ()) if form.get("from") == "user"]
        title = texts[-1] if texts else ""
    elif kind == HTTP:
        title = f"{asked['method']} {kept_request(asked)['url']}"
    else:
        title = f"{asked.get('tool')}.{asked.get('action')}"
    title = " ".join(title.split())
    return title if len(title) <= TITLE_LENGTH else f"{title[: TITLE_LENGTH - 1]}…"


# As they are kept -------------------------------------------------------------------------------------------------


def pack(text: bytes) -> bytes:
    """JSON text as it is kept."""
    return zlib.compress(text, 6)


def kept(kind: str, asked: dict[str, Any], redact: Redact, schema: Mapping[str, Any]) -> bytes:
    """The JSON text of a request as it is kept: without secrets. `schema` says what a tool's action takes."""
    if kind == HTTP:
        asked = kept_request(asked)
    elif kind == TOOL:
        asked = kept_tool_request(asked, schema)
    return orjson.dumps(redacted(asked, redact))


def tool_reply(reply: dict[str, Any], redact: Redact) -> dict[str, Any]:
    """A tool's reply as it can be kept: without secrets and lone surrogates; a number that JSON has no way to write
    is null, and a whole number of more than 64 bits the text of its digits. May take a while.

    Raises ToolReplyProblem where its value is nested too deeply.
    """
    if nested_deeper(reply["value"], DEPTH):
        raise ToolReplyProblem(
            "What the tool gave can't be kept.",
            cause=f"Its JSON is nested more than {DEPTH} times. The call itself was carried out.",
            next_step="Ask it for something simpler.",
        )
    kept_reply: dict[str, Any] = redacted(_numbers(reply), lambda text: redact(str(storable(text))))
    return kept_reply


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole and not -(2**63) <= value < 2**64 else value


def redacted(value: Any, redact: Redact) -> Any:
    """A value with each of its texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(name): redacted(item, redact) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, redact) for item in value]
    return value


# As clients see them ----------------------------------------------------------------------------------------------


def usage_view(totals: CallTotals) -> UsageView:
    return UsageView(
        calls=totals.calls,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cache_read_tokens=totals.cache_read_tokens,
        cost=totals.cost,
        unpriced=totals.unpriced,
        tool_calls=totals.tool_calls,
        tool_cost=totals.tool_cost,
    )


def call_row(record: CallRecord, run_id: str | None) -> CallRow:
    usage = None
    if record.kind == LLM and record.status in ("done", "replayed"):
        usage = UsageView(
            calls=1,
            input_tokens=record.input_tokens,
            output_tokens=record.output_tokens,
            cache_read_tokens=record.cache_read_tokens,
            cost=record.cost or 0.0,
            unpriced=int(record.cost is None),
        )
    elif record.kind == TOOL and record.cost is not None:
        usage = UsageView(cost=record.cost, tool_calls=1, tool_cost=record.cost)
    return CallRow(
        number=record.number,
        kind=record.kind,
        status=record.status,
        started_at=record.started_at,
        seconds=record.ended_at - record.started_at if record.ended_at is not None else None,
        run_id=run_id,
        chat_id=record.chat,
        node=record.node,
        visit=record.visit,
        nth=record.nth,
        model=record.model,
        role=record.role,
        title=record.title,
        usage=usage,
        error=error_of(record),
    )


def error_of(record: CallRecord) -> ErrorView | None:
    """What a call failed with."""
    if not record.error:
        return None
    known = {name: str(value) for name, value in json.loads(record.error).items() if name in _ERROR_FIELDS}
    return ErrorView(**{"type": "RondoError", "message": "", **known})


_ERROR_FIELDS = ("type", "message", "cause", "next_step")


def call_view(row: CallRow, request: bytes, reply: bytes) -> CallView:
    """A call with what was said, each side cut where it is long. May take a while."""
    sides: list[Any] = []
    cut = False
    for text in (request, reply):
        if len(text) > SIDE_LIMIT:
            cut = True
            sides.append(text[:SIDE_LIMIT].decode("utf-8", "replace"))
        else:
            sides.append(orjson.loads(text) if text else None)
    return CallView(row=row, request=sides[0], reply=sides[1], cut=cut)


def used_text(cost: CallCost) -> str:
    """What a call used, as a line of the log says it."""
    price = money(cost.cost) if cost.cost is not None else "cost unknown"
    return f"{cost.input_tokens:,} tokens in, {cost.output_tokens:,} out, {price}"
