"""Golden conversations once more, with the model library between: its FunctionModel says what the script says."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage as LibraryMessage
from pydantic_ai.messages import ModelRequest as LibraryRequest
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
    FunctionStreamedResponse,
)
from scripted import Conversation, filled, revision_in
from test_golden import outcome_of_case

from core.llm import wire
from core.llm.keys import Access
from core.llm.messages import Listener, ModelReply, ModelRequest
from core.llm.providers import provider_named, providers

GOLDEN = Path(__file__).parent / "golden"
CASES = (
    "create_from_nothing",
    "change_a_class",
    "ambiguous_request_asks",
    "arguments_that_are_no_json",
    "injected_run_output_does_nothing",
    "stale_revision",
)


class LibraryGateway:
    """The same script behind `core.llm.wire`: messages and tools go through the library's form and back."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.tools: list[list[str]] = []
        self._wire = wire.ProviderWire()

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply:
        provider = provider_named(providers({}), "anthropic")
        access = Access("http://127.0.0.1:9", "none")
        return await self._wire.complete(provider, access, "scripted", "", request, listener or (lambda _: None), 30)

    async def stream(self, messages: list[LibraryMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        """What the library's model says next."""
        assert self.replies, "the model was asked once more than the script has replies"
        reply = self.replies.pop(0)
        self.tools.append([tool.name for tool in info.function_tools])
        texts = [
            str(part.content)
            for message in messages
            if isinstance(message, LibraryRequest)
            for part in message.parts
            if hasattr(part, "content")
        ]
        if reply.get("text"):
            yield reply["text"]
        for position, call in enumerate(reply.get("calls", ())):
            written = call.get("raw") or json.dumps(filled(call.get("arguments", {}), revision_in(texts)))
            name, call_id = call["name"], f"call-{len(self.tools)}-{position}"
            yield {position: DeltaToolCall(name=name, json_args=written[:5], tool_call_id=call_id)}
            yield {position: DeltaToolCall(json_args=written[5:])}
        if not reply.get("text") and not reply.get("calls"):
            yield " "


@pytest.mark.parametrize("name", CASES)
async def test_golden_conversation_through_the_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = GOLDEN.glob(f"*_{name}.json")
    gateway = LibraryGateway()
    begin = FunctionStreamedResponse.__post_init__

    def ends_well(response: FunctionStreamedResponse) -> None:
        # A FunctionModel gives no reason for its end, which the wire takes for a cut connection.
        begin(response)
        response.finish_reason = "stop"

    monkeypatch.setattr(FunctionStreamedResponse, "__post_init__", ends_well)
    monkeypatch.setattr(wire, "_model", lambda *_: FunctionModel(stream_function=gateway.stream))
    case, found, ending = await outcome_of_case(path, functools.partial(Conversation.through, gateway))
    assert [step["expect"] for step in case["steps"]] == found
    assert case["end"] == ending
    assert all(len(tools) == 9 for tools in gateway.tools)
