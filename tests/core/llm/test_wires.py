"""Both wires, against a server that speaks the real protocols: what a person and the parts above see of a call."""

from __future__ import annotations

import json

import pytest
from model_bench import MODELS, Bench
from model_server import KEY, ModelServer, calls, calls_all, says
from raw_model_server import openai_chunk, raw_server

from core.errors import ModelProblem, ModelRefusal, ModelReplyProblem
from core.llm.gateway import Gateway
from core.llm.messages import (
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolResult,
    ToolSpec,
    UserMessage,
    message_from_json,
    message_to_json,
)

both = pytest.mark.parametrize("wire", ["anthropic", "openai"])
ADD = ToolSpec(
    "add",
    "Adds.",
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@both
async def test_text_comes_piece_by_piece_and_the_reply_holds_all_of_it(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(says("one two three four", thinking="hm hm", usage=(1000, 200), chunkSize=5))
    reply = await bench.ask(gateway, wire, system="Be brief.")
    pieces = [delta.text for delta in bench.deltas if isinstance(delta, TextDelta)]
    assert "".join(pieces) == reply.message.text == "one two three four"
    assert len(pieces) > 1
    assert sum(delta.characters for delta in bench.deltas if isinstance(delta, ThinkingDelta)) == 5
    assert (reply.stop, reply.model, reply.retries) == ("end", MODELS[wire], 0)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1000, 200)
    assert reply.usage.cost == pytest.approx({"anthropic": 0.008, "openai": 0.004}[wire])
    assert reply.request_id
    assert "Be brief." in json.dumps(model_server.requests()[0])
    assert model_server.journal()[0]["headers"]["authorization"] == f"Bearer {KEY}"


@both
async def test_a_tool_loop_goes_on_over_turns_after_its_messages_were_kept(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(
        calls("add", {"a": 1, "b": 2}, text="First.", thinking="I must add."),
        calls("add", {"a": 3, "b": 4}),
        says("10"),
    )
    messages = [UserMessage("add")]
    for result in ("3", "7"):
        reply = await bench.ask(gateway, wire, messages=tuple(messages), tools=(ADD,), effort="medium")
        assert reply.stop == "tools"
        (call,) = reply.message.tool_calls
        kept = message_from_json(json.loads(json.dumps(message_to_json(reply.message))))
        messages += [kept, ToolResult(call.id, call.name, result, failed=result == "7")]
    reply = await bench.ask(gateway, wire, messages=tuple(messages), tools=(ADD,))
    assert (reply.message.text, reply.stop) == ("10", "end")
    told = [delta for delta in bench.deltas if isinstance(delta, ToolCallDelta)]
    assert told[0].name == "add" and told[-1].characters > 0
    sent = model_server.requests()[2]["messages"]
    if wire == "anthropic":
        thought, text, called = sent[1]["content"]
        assert (thought["thinking"], bool(thought["signature"]), text["text"]) == ("I must add.", True, "First.")
        assert called["input"] == {"a": 1, "b": 2}
        assert sent[4]["content"][0]["is_error"] is True
    else:
        assert sent[1]["content"] == "First."
        assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"a": 1, "b": 2}
        assert (sent[2]["role"], sent[2]["content"]) == ("tool", "3")


async def test_what_one_provider_thought_is_not_sent_to_another(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(says("hello", thinking="a secret thought"), says("again"))
    reply = await bench.ask(gateway, "anthropic")
    await bench.ask(gateway, "openai", messages=(UserMessage("go"), reply.message, UserMessage("go on")))
    sent = json.dumps(model_server.requests()[1])
    assert "hello" in sent
    assert "a secret thought" not in sent and "signature" not in sent


@both
async def test_a_schema_gives_a_value_that_fits_it(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(says('{"n": 7}'), says('```json\n{"n": 8}\n```'), says('{"m": 1}'), says("seven"))
    assert (await bench.ask(gateway, wire, schema=SCHEMA)).value == {"n": 7}
    assert (await bench.ask(gateway, wire, schema=SCHEMA)).value == {"n": 8}
    for _ in range(2):
        with pytest.raises(ModelReplyProblem) as caught:
            await bench.ask(gateway, wire, schema=SCHEMA)
        assert caught.value.details["output_tokens"] == 5
    form = model_server.requests()[0]["output_config" if wire == "anthropic" else "response_format"]
    assert "json_schema" in json.dumps(form)


@both
async def test_a_schema_with_free_fields_is_asked_for_in_words(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    free = {"type": "object", "properties": {"by_name": {"type": "object"}}, "required": ["by_name"]}
    model_server.script(says('{"by_name": {"x": 1}}'))
    assert (await bench.ask(gateway, wire, schema=free, system="S.")).value == {"by_name": {"x": 1}}
    sent = model_server.requests()[0]
    assert "by_name" in json.dumps(sent["system"] if wire == "anthropic" else sent["messages"][0])
    assert "json_schema" not in json.dumps(sent)


@both
async def test_a_refusal_ends_a_reply_and_is_an_error_where_a_value_was_wanted(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    turn = {"response": {"content": "I", "finishReason": "refusal" if wire == "anthropic" else "content_filter"}}
    model_server.script(turn, turn)
    assert (await bench.ask(gateway, wire)).stop == "refusal"
    with pytest.raises(ModelRefusal) as caught:
        await bench.ask(gateway, wire, schema=SCHEMA)
    assert caught.value.details["model"] == MODELS[wire]


@both
async def test_a_reply_that_is_cut_says_so(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    turn = {"response": {"content": '{"n":', "finishReason": "length"}}
    model_server.script(turn, turn)
    assert (await bench.ask(gateway, wire, max_tokens=50)).stop == "length"
    with pytest.raises(ModelReplyProblem, match="is cut"):
        await bench.ask(gateway, wire, schema=SCHEMA)
    assert 50 in [model_server.requests()[0].get(name) for name in ("max_tokens", "max_completion_tokens")]


async def test_effort_and_marks_for_the_cache_reach_the_provider(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(says("a"), says("b"), says("c"))
    messages = (UserMessage("kept"), (await bench.ask(gateway, "anthropic")).message, UserMessage("new"))
    await bench.ask(gateway, "anthropic", messages=messages, system="S", tools=(ADD,), effort="high", cache_after=2)
    await bench.ask(gateway, "openai", effort="low")
    _, sent, low = model_server.requests()
    assert sent["output_config"]["effort"] == "high"
    assert sent["system"][-1]["cache_control"] == sent["tools"][-1]["cache_control"]
    assert sent["messages"][0]["content"][0]["cache_control"]["type"] == "ephemeral"
    assert "cache_control" not in json.dumps(sent["messages"][2])
    assert low["reasoning_effort"] == "low"


async def test_several_calls_in_one_reply_are_kept_in_their_order(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(calls_all(("add", {"a": 1, "b": 1}, "c1"), ("add", {"a": 2, "b": 2}, "c2")))
    reply = await bench.ask(gateway, "anthropic", tools=(ADD,))
    assert [(call.id, call.arguments) for call in reply.message.tool_calls] == [
        ("c1", {"a": 1, "b": 1}),
        ("c2", {"a": 2, "b": 2}),
    ]


async def test_a_provider_without_tools_is_not_asked_for_them(bench: Bench, model_server: ModelServer) -> None:
    gateway = bench.gateway({"PERPLEXITY_API_KEY": KEY, "PERPLEXITY_BASE_URL": model_server.openai_url})
    model_server.script(says('<think>Let me see {"n": 0}</think>\n{"n": 3}'), says("<think>Hm.</think>Hello."))
    with pytest.raises(ModelProblem, match="Perplexity does not take this call"):
        await bench.ask(gateway, "perplexity", tools=(ADD,))
    assert model_server.requests() == []
    assert (await bench.ask(gateway, "perplexity", schema=SCHEMA)).value == {"n": 3}
    assert (await bench.ask(gateway, "perplexity")).message.text == "Hello."


async def test_marks_that_a_provider_puts_on_calls_go_back_to_it(bench: Bench) -> None:
    mark = {"google": {"thought_signature": "c2lnbmVk"}}
    function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    call = {"index": 0, "id": "c1", "type": "function", "function": function, "extra_content": mark}
    first = [openai_chunk({"tool_calls": [call]}), openai_chunk({}, "stop"), b"data: [DONE]\n\n"]
    last = [openai_chunk({"content": "3"}), openai_chunk({}, "stop"), b"data: [DONE]\n\n"]
    async with raw_server((200, first), (200, last)) as server:
        gateway = bench.gateway({"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": server.url})
        reply = await bench.ask(gateway, "google", tools=(ADD,))
        assert (reply.stop, len(reply.message.tool_calls)) == ("tools", 1)
        kept = message_from_json(json.loads(json.dumps(message_to_json(reply.message))))
        messages = (UserMessage("go"), kept, ToolResult("c1", "add", "3"))
        await bench.ask(gateway, "google", messages=messages, tools=(ADD,))
    (sent,) = server.bodies[1]["messages"][1]["tool_calls"]
    assert sent["extra_content"] == mark


async def test_references_in_schemas_are_written_out_where_a_provider_takes_none(bench: Bench) -> None:
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}},
        "required": ["node"],
        "$defs": {"Node": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}},
    }
    done = [openai_chunk({"content": '{"node": {"id": "a"}}'}), openai_chunk({}, "stop"), b"data: [DONE]\n\n"]
    async with raw_server((200, done)) as server:
        gateway = bench.gateway({"GEMINI_API_KEY": KEY, "GEMINI_BASE_URL": server.url})
        tools = (ToolSpec("put", "Puts.", schema),)
        assert (await bench.ask(gateway, "google", schema=schema, tools=tools)).value == {"node": {"id": "a"}}
    assert "$ref" not in json.dumps(server.bodies[0])


async def test_a_broken_call_in_the_past_does_not_stop_the_conversation(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(calls("add", "{broken"), says("sorry"), says("sorry too"))
    reply = await bench.ask(gateway, "openai", tools=(ADD,))
    (call,) = reply.message.tool_calls
    messages = (UserMessage("go"), reply.message, ToolResult(call.id, "add", "That was no JSON.", failed=True))
    assert (await bench.ask(gateway, "openai", messages=messages, tools=(ADD,))).message.text == "sorry"
    assert (await bench.ask(gateway, "anthropic", messages=messages, tools=(ADD,))).message.text == "sorry too"
    _, openai_sent, anthropic_sent = model_server.requests()
    assert "{broken" in json.loads(openai_sent["messages"][1]["tool_calls"][0]["function"]["arguments"]).values()
    assert "{broken" in anthropic_sent["messages"][1]["content"][0]["input"].values()
