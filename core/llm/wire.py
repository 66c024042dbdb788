"""What speaks to providers: model libraries are imported here and in `wire_*`, and this is imported by `load` alone.

Importing it takes a second or more; `core.llm.gateway` has that done in a thread when a model is first needed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import anthropic
import httpx2
import jsonschema  # type: ignore[import-untyped]
import openai
from pydantic_ai import direct
from pydantic_ai.messages import (
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters, create_async_httpx2_client
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import InlineDefsJsonSchemaTransformer, ModelProfile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider as LibraryProvider
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from core.llm import wire_history as history
from core.llm.keys import Access
from core.llm.messages import (
    Effort,
    Listener,
    ModelInfo,
    ModelReply,
    ModelRequest,
    Stop,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from core.llm.problems import Trouble, WireTrouble
from core.llm.providers import Provider
from core.llm.wire_prices import price_of, prices_of
from core.llm.wire_troubles import translated

CONNECT_SECONDS = 10.0
MOST_CHARACTERS = 2_000_000
"""What a reply may have; no model writes that much at once, and what never ends is ended."""
SILENCE_SECONDS = 120.0
"""How long nothing may come in the middle of a reply."""
LIST_SECONDS = 30.0


@dataclass(slots=True)
class Connection:
    """The clients for one provider under one address and key; `users` counts the calls that go through it."""

    provider: Provider
    access: Access
    http: httpx2.AsyncClient
    users: int = 0

    def matches(self, provider: Provider, access: Access) -> bool:
        return self.provider == provider and self.access == access


class ProviderWire:
    """Speaks to providers. Bound to one event loop; `close` ends every connection."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """End the connections; calls that go on are cut."""
        connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            await connection.http.aclose()

    async def complete(
        self,
        provider: Provider,
        access: Access,
        model_id: str,
        effort: Effort,
        request: ModelRequest,
        listener: Listener,
        first_word_seconds: float,
    ) -> ModelReply:
        """Make one call, once; raises WireTrouble. Cancelling ends it and closes its connection."""
        connection = await self._take(provider, access)
        try:
            model = _model(connection, model_id)
            started = asyncio.get_running_loop().time()
            with translated():
                reply = await self._stream(model, provider, model_id, effort, request, listener, first_word_seconds)
            seconds = asyncio.get_running_loop().time() - started
            return _reply(reply, provider, model_id, request, seconds)
        finally:
            await self._release(connection)

    async def list_models(self, provider: Provider, access: Access) -> list[ModelInfo]:
        """Ask a provider for its models, in its own order; raises WireTrouble."""
        connection = await self._take(provider, access)
        try:
            with translated():
                async with asyncio.timeout(LIST_SECONDS):
                    if provider.wire == "anthropic":
                        listed = [item async for item in _anthropic_client(connection).models.list(limit=100)]
                        return [_anthropic_info(provider, item) for item in listed]
                    found = [item async for item in _openai_client(connection).models.list()]
                    return [_openai_info(provider, item) for item in found]
        finally:
            await self._release(connection)

    async def _stream(
        self,
        model: Model[Any],
        provider: Provider,
        model_id: str,
        effort: Effort,
        request: ModelRequest,
        listener: Listener,
        first_word_seconds: float,
    ) -> ModelResponse:
        parameters, instructions = _parameters(model, provider, request)
        settings = _settings(provider, effort, request, first_word_seconds)
        past = history.to_library(request, provider.name, cached=provider.wire == "anthropic")
        told = _Told(listener)
        async with direct.model_request_stream(
            model,
            [*past],
            model_settings=settings,
            model_request_parameters=history.with_instructions(parameters, instructions),
            instrument=False,
        ) as stream:
            async for event in stream:
                told.take(event)
            return stream.get()

    async def _take(self, provider: Provider, access: Access) -> Connection:
        async with self._making:
            found = self._connections.get(provider.name)
            if found is None or not found.matches(provider, access):
                # In a thread: reading the certificates of the system takes a tenth of a second.
                http = await asyncio.to_thread(_http_client, access.base_url)
                found, before = Connection(provider, access, http), found
                self._connections[provider.name] = found
                if before is not None and not before.users:
                    await before.http.aclose()
            found.users += 1
            return found

    async def _release(self, connection: Connection) -> None:
        connection.users -= 1
        if not connection.users and self._connections.get(connection.provider.name) is not connection:
            await connection.http.aclose()


class _Told:
    """Says to a listener, in our words, what comes of a reply."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._characters = 0
        self._calls: dict[int, tuple[str, str, int]] = {}

    def take(self, event: object) -> None:
        match event:
            case PartStartEvent(part=TextPart(content=text)) if text:
                self._count(text)
                self._listener(TextDelta(text))
            case PartStartEvent(part=ThinkingPart(content=thought)):
                self._listener(ThinkingDelta(len(thought)))
            case PartStartEvent(index=index, part=ToolCallPart() as part):
                self._call(index, part.tool_call_id, part.tool_name, len(_written(part.args)))
            case PartDeltaEvent(delta=TextPartDelta(content_delta=text)) if text:
                self._count(text)
                self._listener(TextDelta(text))
            case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=thought)) if thought:
                self._listener(ThinkingDelta(len(thought)))
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta() as delta) if index in self._calls:
                self._count(_written(delta.args_delta))
                call_id, name, characters = self._calls[index]
                self._call(
                    index,
                    delta.tool_call_id or call_id,
                    name + (delta.tool_name_delta or ""),
                    characters + len(_written(delta.args_delta)),
                )

    def _count(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise WireTrouble(Trouble("unreadable", f"It has more than {MOST_CHARACTERS:,} characters."))

    def _call(self, index: int, call_id: str, name: str, characters: int) -> None:
        self._calls[index] = (call_id, name, characters)
        self._listener(ToolCallDelta(call_id, name, characters))


def _written(arguments: str | Mapping[str, Any] | None) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


# Clients ---------------------------------------------------------------------------------------------------------


def _http_client(base_url: str) -> httpx2.AsyncClient:
    """A client of HTTP; a server on this machine is asked directly, whatever proxy is set for the rest of the world."""
    address = urlsplit(base_url)
    here = address.hostname in ("localhost", "127.0.0.1", "::1")
    transport = httpx2.AsyncHTTPTransport(verify=address.scheme == "https") if here else None
    return create_async_httpx2_client(
        timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS), transport=transport
    )


def _anthropic_client(connection: Connection) -> anthropic.AsyncAnthropic:
    token = connection.access.name == "ANTHROPIC_AUTH_TOKEN"
    key = connection.access.key or "none"
    return anthropic.AsyncAnthropic(
        api_key=None if token else key,
        auth_token=key if token else None,
        base_url=connection.access.base_url,
        max_retries=0,
        open_telemetry=False,
        http_client=connection.http,
    )


def _openai_client(connection: Connection) -> openai.AsyncOpenAI:
    client = openai.AsyncOpenAI(
        api_key=connection.access.key or "none",
        base_url=connection.access.base_url,
        max_retries=0,
        http_client=connection.http,
    )
    if connection.provider.name != "openai":
        # The library takes these from the environment, and they are nobody else's business.
        client.organization = client.project = None
    return client


def _model(connection: Connection, model_id: str) -> Model[Any]:
    provider = connection.provider
    profile = _profile(provider)
    if provider.wire == "anthropic":
        reached = AnthropicProvider(anthropic_client=_anthropic_client(connection))
        return AnthropicModel(model_id, provider=reached, profile=profile)
    client = _openai_client(connection)
    spoken: LibraryProvider[openai.AsyncOpenAI]
    match provider.name:
        case "openai":
            spoken = OpenAIProvider(openai_client=client)
        case "deepseek":
            spoken = DeepSeekProvider(openai_client=client)
        case "ollama":
            spoken = OllamaProvider(openai_client=client)
        case name:
            spoken = OpenAICompatibleProvider(name, openai_client=client)
    return OpenAIChatModel(model_id, provider=spoken, profile=profile)


def _profile(provider: Provider) -> ModelProfile | None:
    changes: dict[str, Any] = {}
    if provider.wire == "openai" and not provider.custom:
        # A stream that ends without saying why is one that was cut; servers that nobody knows may never say it.
        changes["openai_chat_streaming_requires_finish_reason"] = True
    if provider.inline_schemas:
        changes["json_schema_transformer"] = InlineDefsJsonSchemaTransformer
    if provider.wire == "openai" and provider.name != "openai":
        changes |= {"openai_supports_strict_tool_definition": False, "supports_json_object_output": True}
        if provider.name != "deepseek":
            changes["openai_chat_supports_max_completion_tokens"] = False
    return OpenAIModelProfile(**changes) if changes else None  # type: ignore[typeddict-item]


# What is asked ---------------------------------------------------------------------------------------------------


def _parameters(model: Model[Any], provider: Provider, request: ModelRequest) -> tuple[ModelRequestParameters, str]:
    """Tools and form of the reply, with the instructions; they hold the schema where the provider can't take it."""
    if request.tools and not provider.tools:
        raise WireTrouble(Trouble("rejected", f"{provider.title} has no models that call tools."))
    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=tool.schema,
            strict=None if provider.name == "openai" else False,
        )
        for tool in request.tools
    ]
    if request.schema is None:
        return ModelRequestParameters(function_tools=tools), request.system
    native = (
        provider.json == "schema"
        and _closed(request.schema)
        and (provider.wire == "openai" or bool(model.profile.get("supports_json_schema_output")))
    )
    wanted = OutputObjectDefinition(
        json_schema=request.schema, name="reply", strict=True if provider.wire == "anthropic" else None
    )
    if native:
        return ModelRequestParameters(
            function_tools=tools, output_mode="native", output_object=wanted, prompted_output_template=False
        ), request.system
    words = (
        "Reply with one JSON object and nothing else: no words before or after it, no fences. "
        f"It fits this JSON Schema:\n{json.dumps(request.schema, ensure_ascii=False)}"
    )
    instructions = f"{request.system}\n\n{words}" if request.system else words
    if provider.json == "text" or provider.wire == "anthropic":
        return ModelRequestParameters(function_tools=tools), instructions
    return ModelRequestParameters(
        function_tools=tools, output_mode="prompted", output_object=wanted, prompted_output_template=False
    ), instructions


def _closed(schema: Any) -> bool:
    """True where every object of a schema names its fields: strict forms allow no others, and would lose them."""
    if isinstance(schema, list):
        return all(_closed(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (not schema.get("properties") or schema.get("additionalProperties")):
        return False
    return all(_closed(item) for item in schema.values())


def _settings(provider: Provider, effort: Effort, request: ModelRequest, first_word_seconds: float) -> ModelSettings:
    settings: dict[str, Any] = {"max_retries": 0, "framing_announcement": "never"}
    settings["first_event_timeout"] = first_word_seconds
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    if effort and provider.effort:
        settings["thinking"] = effort
    if headers := provider.headers(request):
        settings["extra_headers"] = headers
    if body := provider.body(request):
        settings["extra_body"] = body
    if provider.wire == "anthropic" and request.cache_after:
        settings |= {"anthropic_cache_instructions": True, "anthropic_cache_tool_definitions": True}
    return cast(ModelSettings, settings)


# What came back --------------------------------------------------------------------------------------------------


def _reply(
    response: ModelResponse, provider: Provider, model_id: str, request: ModelRequest, seconds: float
) -> ModelReply:
    message = history.from_library(response, provider.name, think_block=provider.think_block)
    stop = _stop(response, bool(message.tool_calls))
    used = response.usage
    usage = Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_tokens=used.cache_read_tokens,
        cache_write_tokens=used.cache_write_tokens,
        cost=price_of(provider.price_id, model_id, used),
    )
    reply = ModelReply(
        message=message,
        stop=stop,
        usage=usage,
        model=f"{provider.name}:{model_id}",
        seconds=seconds,
        request_id=response.provider_response_id or "",
    )
    if request.schema is None or stop == "tools":
        return reply
    if stop == "refusal":
        raise WireTrouble(Trouble("refusal", message.text[:300], reply=reply))
    if stop == "length":
        raise WireTrouble(Trouble("cut", "It came to the limit of tokens before its end.", reply=reply))
    return _with_value(reply, request.schema)


def _with_value(reply: ModelReply, schema: dict[str, Any]) -> ModelReply:
    text = history.without_fences(reply.message.text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireTrouble(Trouble("form", f"The reply is not JSON: {error}.", reply=reply)) from error
    try:
        wrong = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(value)), None)
    except (jsonschema.SchemaError, RecursionError) as error:
        raise WireTrouble(Trouble("form", f"The schema itself is wrong: {error}.", reply=reply)) from error
    if wrong is not None:
        place = "/".join(str(part) for part in wrong.absolute_path) or "the whole"
        raise WireTrouble(Trouble("form", f"At {place}: {wrong.message[:200]}.", reply=reply))
    return ModelReply(
        message=reply.message,
        stop=reply.stop,
        usage=reply.usage,
        model=reply.model,
        seconds=reply.seconds,
        value=value,
        request_id=reply.request_id,
    )


def _stop(response: ModelResponse, has_calls: bool) -> Stop:
    if response.finish_reason is None:
        raise WireTrouble(Trouble("connection", "The reply broke off before its end."))
    if response.finish_reason == "length":
        return "length"
    if response.finish_reason == "content_filter":
        return "refusal"
    return "tools" if has_calls else "end"


def _anthropic_info(provider: Provider, item: Any) -> ModelInfo:
    # Servers that only speak like this provider leave out what they don't know.
    created = getattr(item, "created_at", None)
    extra = {} if created is None else {"created": created.timestamp()}
    return _priced(
        provider, item.id, getattr(item, "display_name", None) or "", getattr(item, "max_input_tokens", None), extra
    )


def _openai_info(provider: Provider, item: Any) -> ModelInfo:
    # Google puts "models/" before its ids, and takes them without.
    identifier = item.id.removeprefix("models/")
    created = getattr(item, "created", None)
    context = getattr(item, "context_window", None) or getattr(item, "max_context_length", None)
    title = getattr(item, "display_name", None) or ""
    extra = {"created": float(created)} if isinstance(created, int | float) and created > 0 else {}
    return _priced(provider, identifier, title, context, extra)


def _priced(provider: Provider, identifier: str, title: str, context: Any, extra: dict[str, Any]) -> ModelInfo:
    prices = prices_of(provider.price_id, identifier)
    return ModelInfo(
        id=identifier,
        provider=provider.name,
        title=title or prices.title,
        context_tokens=context if isinstance(context, int) else prices.context_tokens,
        input_price=prices.input_price,
        output_price=prices.output_price,
        extra=extra,
    )
