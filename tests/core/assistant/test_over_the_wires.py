"""Turns of the assistant over both real protocols, against the scripted server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from model_bench import MODELS, Bench, bench, until  # noqa: F401
from model_server import ModelServer, Turn, calls_all, fails, says, slow
from scripted import Conversation, ask, graph, plan

from core.assistant.events import Answer, Noted, TextGrew, TextVoid, ToolEnded
from core.assistant.memory import Memory
from core.llm.messages import ModelMessage, ToolResult

both = pytest.mark.parametrize("wire", ["anthropic", "openai"])
RETRY = {"op": "update_node", "id": "fetch", "set": {"retry": {"attempts": 3}}}


def _turn(*wanted: dict[str, Any], text: str = "") -> Turn:
    """A reply of the model that makes these calls."""
    listed = [(call["name"], call.get("raw") or call.get("arguments", {}), "") for call in wanted]
    return calls_all(*listed, text=text)


@pytest.fixture
def talk(wire: str, bench: Bench, model_server: ModelServer) -> Conversation:  # noqa: F811
    """A conversation about the workflow triage whose model is the scripted server."""
    return Conversation.through(bench.gateway(model_server.environment(), model=MODELS[wire]))


@both
async def test_from_a_vague_request_by_questions_to_a_proposal(talk: Conversation, model_server: ModelServer) -> None:
    model_server.script(
        _turn(plan("Better", "low"), graph(RETRY, rev=0), text="Let me see."),
        _turn(ask("What is to be better?")),
        _turn(plan("More reliable"), graph(RETRY, rev=0)),
        says("Three times."),
    )
    assert (await talk.session.send("Make it better.")).status == "asking"
    talk.die()
    (question,) = talk.memory.questions
    end = await talk.session.answer([Answer(question.id, ("yes",))])
    assert end.proposal is not None and not end.proposal.broken
    assert end.usage.input_tokens == 20
    assert [event.failed for event in talk.told(ToolEnded)] == [False, True, False, False, False]
    requests = model_server.requests()
    assert len(requests[0]["tools"]) == 9
    assert "b0undary" in json.dumps(requests[0]["messages"])
    assert "What is to be better? -> yes" in json.dumps(requests[2]["messages"])
    assert [len(request["tools"]) for request in requests] == [9] * 4


@both
async def test_a_tool_that_is_called_for_ever_ends_in_a_note(talk: Conversation, model_server: ModelServer) -> None:
    model_server.script(*[_turn({"name": "validate"}) for _ in range(6)])
    end = await talk.session.send("Look at it.")
    assert end.status == "done" and end.proposal is None
    assert "the same tool 4 times" in talk.told(Noted)[0].text
    assert len(model_server.requests()) == 4


@both
async def test_arguments_that_are_no_json_are_written_again(talk: Conversation, model_server: ModelServer) -> None:
    broken = {"name": "propose_graph", "raw": '{"base_rev": 0, "ops": ['}
    model_server.script(_turn(plan("Retry")), _turn(broken), _turn(graph(RETRY, rev=0)), says("Done."))
    end = await talk.session.send("Retry fetch.")
    assert end.proposal is not None
    failed = [message for message in talk.memory.messages if isinstance(message, ToolResult) and message.failed]
    # One of the servers turns arguments that it can't read into none at all.
    (result,) = failed
    assert result.text.startswith("The arguments ")


@both
async def test_a_refusal_ends_the_turn_and_the_conversation_goes_on(
    wire: str, talk: Conversation, model_server: ModelServer
) -> None:
    reason = "refusal" if wire == "anthropic" else "content_filter"
    model_server.script({"response": {"content": "No.", "finishReason": reason}}, says("Four nodes."))
    end = await talk.session.send("Do something forbidden.")
    assert end.error is not None and end.error.type_name == "ModelRefusal"
    assert (await talk.session.send("How many nodes?")).status == "done"


@both
async def test_a_busy_provider_is_waited_for_in_the_middle_of_a_turn(
    talk: Conversation, model_server: ModelServer
) -> None:
    model_server.script(_turn(plan("Retry"), graph(RETRY, rev=0)), fails(429, retry_after=3), says("Done."))
    end = await talk.session.send("Retry fetch.")
    assert end.proposal is not None
    assert len(talk.told(TextVoid)) + len(talk.told(Noted)) == 1


@both
async def test_a_stopped_turn_keeps_what_was_said(talk: Conversation, model_server: ModelServer) -> None:
    model_server.script(slow("one two three four " * 50, chunk_milliseconds=200), says("Yes."))
    turn = asyncio.create_task(talk.session.send("Count."))
    await until(lambda: talk.told(TextGrew))
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    kept = Memory.from_json(talk.kept[-1]).messages[-1]
    assert isinstance(kept, ModelMessage) and kept.text.startswith("one")
    assert kept.text.endswith("[stopped by the person]")
    assert (await talk.session.send("Still there?")).status == "done"
