"""What goes wrong on the way to a model: what is tried again, what is not, and what a person reads."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from model_bench import Bench, until
from model_server import KEY, ModelServer, breaks_off, calls, fails, says, slow
from raw_model_server import HOLD, anthropic_event, anthropic_events, openai_chunk, raw_server

from core.errors import (
    ModelKeyRefused,
    ModelProblem,
    ModelRateLimited,
    ModelReplyProblem,
    ModelSettingsProblem,
    ModelUnknown,
    ModelUnreachable,
    NoModelKey,
)
from core.llm.gateway import Gateway
from core.llm.messages import ModelRequest, TextDelta, UserMessage, Waiting

both = pytest.mark.parametrize("wire", ["anthropic", "openai"])


def waits(bench: Bench) -> list[Waiting]:
    return [delta for delta in bench.deltas if isinstance(delta, Waiting)]


@both
async def test_a_provider_that_wants_fewer_calls_is_asked_again_when_it_says(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(fails(429, retry_after=7), fails(529), says("now"))
    reply = await bench.ask(gateway, wire)
    assert (reply.message.text, reply.retries) == ("now", 2)
    assert bench.pauses == [7.0, 1.0]
    assert [wait.seconds for wait in waits(bench)] == bench.pauses
    assert "wants fewer calls" in waits(bench)[0].reason and "busy" in waits(bench)[1].reason


@both
async def test_there_is_one_retry_policy_and_it_ends(wire: str, bench: Bench, model_server: ModelServer) -> None:
    gateway = bench.gateway(model_server.environment(), retries=2)
    model_server.script(*[fails(500, "broken inside") for _ in range(9)])
    with pytest.raises(ModelUnreachable) as caught:
        await bench.ask(gateway, wire)
    assert "broken inside" in caught.value.cause and "tried 3 times" in caught.value.cause
    assert len(model_server.requests()) == 3
    assert bench.pauses == [0.5, 1.0]


@both
async def test_a_wait_that_is_longer_than_the_call_may_take_is_not_begun(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(fails(429, retry_after=3000))
    with pytest.raises(ModelRateLimited) as caught:
        await bench.ask(gateway, wire)
    assert "3000 s" in caught.value.cause
    assert bench.pauses == []


@both
async def test_a_reply_that_breaks_off_is_asked_for_anew(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(breaks_off("this is never heard to its end", after=6), says("whole"))
    reply = await bench.ask(gateway, wire)
    assert reply.message.text == "whole"
    at = next(index for index, delta in enumerate(bench.deltas) if isinstance(delta, Waiting))
    before = "".join(delta.text for delta in bench.deltas[:at] if isinstance(delta, TextDelta))
    assert before and "this is never heard".startswith(before[:4])
    assert waits(bench)[0].again is True
    assert "broke off" in waits(bench)[0].reason


async def test_a_stream_without_an_end_is_no_reply(bench: Bench) -> None:
    done = [openai_chunk({"content": "whole"}), openai_chunk({}, "stop"), b"data: [DONE]\n\n"]
    async with raw_server((200, [openai_chunk({"content": "hal"})]), (200, done)) as server:
        gateway = bench.gateway({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})
        reply = await bench.ask(gateway, "openai")
    assert (reply.message.text, reply.retries) == ("whole", 1)


async def test_a_reply_without_an_end_is_ended_and_not_asked_for_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.llm.wire.MOST_CHARACTERS", 1_000)
    async with raw_server((200, [openai_chunk({"content": "word " * 50})] * 9 + [HOLD])) as server:
        gateway = bench.gateway({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})
        with pytest.raises(ModelReplyProblem, match="can't be read") as caught:
            await bench.ask(gateway, "openai")
        assert "more than 1,000 characters" in caught.value.cause
        async with asyncio.timeout(60):
            await server.closed.wait()


async def test_an_error_in_the_middle_of_a_stream_is_tried_again(bench: Bench) -> None:
    busy = anthropic_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    whole = anthropic_events(({"type": "text", "text": ""}, [{"type": "text_delta", "text": "whole"}]))
    async with raw_server((200, [busy]), (200, [whole])) as server:
        gateway = bench.gateway({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url})
        reply = await bench.ask(gateway, "anthropic")
    assert (reply.message.text, reply.retries) == ("whole", 1)
    assert "busy" in waits(bench)[0].reason


@both
async def test_a_call_that_is_cancelled_ends_at_once_and_its_connection_too(
    wire: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(slow("a text that comes very slowly", chunk_milliseconds=60_000))
    task = asyncio.create_task(bench.ask(gateway, wire))
    await until(lambda: model_server.open_requests)
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(model_server.wait_until_idle)


@both
async def test_a_call_that_is_cancelled_in_the_middle_of_a_text_closes_its_connection(wire: str, bench: Bench) -> None:
    start = anthropic_events(({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Once"}]))
    first = (
        start[: start.index(b"event: content_block_stop")] if wire == "anthropic" else openai_chunk({"content": "Once"})
    )
    async with raw_server((200, [first, HOLD])) as server:
        name = wire.upper()
        gateway = bench.gateway({f"{name}_API_KEY": KEY, f"{name}_BASE_URL": server.url})
        task = asyncio.create_task(bench.ask(gateway, wire))
        async with asyncio.timeout(60):
            await until(lambda: bench.deltas)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.closed.wait()


@both
async def test_silence_before_the_first_word_and_a_call_without_an_end_have_limits(wire: str, bench: Bench) -> None:
    async with raw_server((200, [HOLD]), (200, [HOLD])) as server:
        name = wire.upper()
        environment = {f"{name}_API_KEY": KEY, f"{name}_BASE_URL": server.url}
        gateway = bench.gateway(environment, retries=0, first_word_seconds=1.0)
        with pytest.raises(ModelUnreachable, match="gave no whole answer"):
            await bench.ask(gateway, wire)
        gateway = bench.gateway(environment, first_word_seconds=600.0)
        with pytest.raises(ModelUnreachable, match=r"did not come to an end within 1 s"):
            await bench.ask(gateway, wire, timeout=1.0)


async def test_arguments_that_are_no_json_are_kept_as_they_were_written(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(calls("add", '{"a": 1, "b"'), says("sorry"))
    reply = await bench.ask(gateway, "openai")
    (call,) = reply.message.tool_calls
    assert (call.arguments, call.text) == (None, '{"a": 1, "b"')
    block = {"type": "tool_use", "id": "t1", "name": "add", "input": {}}
    broken = anthropic_events((block, [{"type": "input_json_delta", "partial_json": '{"a": 1, "b"'}]), stop="tool_use")
    async with raw_server((200, [broken])) as server:
        other = bench.gateway({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url})
        reply = await bench.ask(other, "anthropic")
    (call,) = reply.message.tool_calls
    assert (call.arguments, call.text, reply.stop) == (None, '{"a": 1, "b"', "tools")


@pytest.mark.parametrize("written", ["[1]", "7", "null", '"x"', pytest.param("[" * 5000, id="deep")])
async def test_arguments_that_are_no_object_are_kept_as_text_too(
    written: str, gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(calls("add", written))
    (call,) = (await bench.ask(gateway, "openai")).message.tool_calls
    assert (call.arguments, call.text) == (None, written)


@both
@pytest.mark.parametrize(
    ("status", "kind"), [(401, ModelKeyRefused), (403, ModelKeyRefused), (404, ModelUnknown), (400, ModelProblem)]
)
async def test_what_no_repetition_mends_is_said_at_once_and_without_the_key(
    wire: str, status: int, kind: type[ModelProblem], gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(fails(status, f"the key {KEY} or the model is no good"))
    with pytest.raises(kind) as caught:
        await bench.ask(gateway, wire)
    error = caught.value
    assert type(error) is kind
    assert error.message and "[secret]" in error.cause and error.next_step
    assert KEY not in json.dumps(error.to_dict())
    assert (bench.pauses, len(model_server.requests())) == ([], 1)


async def test_a_conversation_that_is_too_long_is_called_that(
    gateway: Gateway, bench: Bench, model_server: ModelServer
) -> None:
    model_server.script(fails(400, "prompt is too long: 9 tokens > 8 maximum", kind="invalid_request_error"))
    with pytest.raises(ModelReplyProblem, match="too long for"):
        await bench.ask(gateway, "anthropic")


async def test_without_a_key_the_error_names_the_variable_and_what_else_there_is(bench: Bench) -> None:
    with pytest.raises(NoModelKey) as caught:
        await bench.ask(bench.gateway({}), "anthropic")
    assert "ANTHROPIC_API_KEY" in caught.value.next_step and "Ollama" in caught.value.next_step
    with pytest.raises(NoModelKey) as caught:
        await bench.ask(bench.gateway({"OPENAI_API_KEY": "another-key"}), "anthropic")
    assert "a model of OpenAI" in caught.value.next_step
    assert "another-key" not in str(caught.value.to_dict())
    with pytest.raises(NoModelKey, match="can't be sent"):
        await bench.ask(bench.gateway({"OPENAI_API_KEY": "two\nlines"}), "openai")


async def test_a_server_on_this_machine_is_asked_directly_whatever_proxy_is_set(
    bench: Bench, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    model_server.script(says("direct"))
    gateway = bench.gateway({"OLLAMA_BASE_URL": model_server.openai_url})
    assert (await bench.ask(gateway, "ollama")).message.text == "direct"


@pytest.mark.parametrize("name", ["lmstudio", "ollama"])
async def test_a_server_on_this_machine_that_does_not_run_is_to_be_started(name: str, bench: Bench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        gateway = bench.gateway({f"{name.upper()}_BASE_URL": url})
        with pytest.raises(ModelUnreachable, match="does not run") as caught:
            await bench.ask(gateway, name)
        assert "Start" in caught.value.next_step and url in caught.value.cause
        with pytest.raises(ModelUnreachable, match="does not run"):
            await gateway.list_models(name)
    assert bench.pauses == []


async def test_a_server_far_away_that_is_not_reached_is_tried_again(bench: Bench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gateway = bench.gateway(
            {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"http://127.0.0.1:{free.getsockname()[1]}/v1"}, retries=2
        )
        with pytest.raises(ModelUnreachable, match="OpenAI can't be reached"):
            await bench.ask(gateway, "openai")
    assert len(bench.pauses) == 2


@pytest.mark.parametrize(
    ("model", "says"),
    [("opus", "is not a model"), ("antropic:x", "no provider 'antropic'"), ("mine:x", "not described whole")],
)
async def test_a_model_that_names_nothing_is_explained(model: str, says: str, bench: Bench) -> None:
    gateway = bench.gateway({})
    bench.provide("mine", wire="openai")
    with pytest.raises(ModelSettingsProblem, match=says) as caught:
        await gateway.complete(ModelRequest((UserMessage("go"),), model=model))
    assert caught.value.next_step


@both
async def test_a_reply_in_another_protocol_is_no_fault_of_the_engine(wire: str, bench: Bench) -> None:
    async with raw_server((200, [b"<html>sign in</html>"])) as server:
        name = wire.upper()
        gateway = bench.gateway({f"{name}_API_KEY": KEY, f"{name}_BASE_URL": server.url}, retries=0)
        with pytest.raises(ModelProblem) as caught:
            await bench.ask(gateway, wire)
    assert caught.value.next_step


async def test_a_listener_that_fails_costs_no_reply(gateway: Gateway, model_server: ModelServer) -> None:
    def fail(delta: object) -> None:
        raise RuntimeError("a fault of the screen")

    model_server.script(says("whole"))
    reply = await gateway.complete(ModelRequest((UserMessage("go"),), model="anthropic:m"), fail)
    assert (reply.message.text, reply.retries) == ("whole", 0)


async def test_after_the_end_no_call_is_made(gateway: Gateway, bench: Bench) -> None:
    await gateway.close()
    with pytest.raises(ModelUnreachable):
        await bench.ask(gateway, "anthropic")
