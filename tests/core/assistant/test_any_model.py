"""Whatever a model does, the conversation stays whole and what may not happen does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Conversation, ask, graph, plan, source

from core.assistant.events import Answer
from core.assistant.memory import Memory
from core.assistant.session import RunData, SessionLimits
from core.errors import UsageError
from core.llm.messages import ModelMessage, ToolResult, UserMessage

_retry = {"op": "update_node", "id": "fetch", "set": {"retry": {"attempts": 3}}}
_CALLS: list[dict[str, Any]] = [
    plan("Do it"),
    plan("Do it", "medium"),
    plan("Guess", "low", assumptions=[{"text": "it is so"}], slots=[{"name": "x", "value": None}]),
    graph(_retry),
    graph(_retry, rev=0),
    graph({"op": "remove_node", "id": "sort"}),
    graph({"op": "rename_node", "id": "fetch", "to": "get"}),
    source("Sort", "delete"),
    source("Sort", "replace", "class Sort(Node):\n    pass\n"),
    source("Sort", "replace", "class Sort(Node:\n"),
    source("Extra", "add", "import os\n\nclass Extra(Node):\n    x = os.environ['A']\n"),
    ask("Which?"),
    ask("1?", "2?", "3?", "4?"),
    {"name": "validate"},
    {"name": "dry_run"},
    {"name": "read_workflow", "arguments": {"detail": "nodes", "ids": ["fetch", "nowhere"]}},
    {"name": "read_node_source", "arguments": {"class": "Nowhere"}},
    {"name": "search_node_types", "arguments": {"query": "retry mails"}},
    {"name": "propose_graph", "raw": "{"},
    {"name": "rm", "arguments": {"path": "/"}},
]
_replies = st.lists(
    st.fixed_dictionaries(
        {"text": st.sampled_from(["", "Well."]), "calls": st.lists(st.sampled_from(_CALLS), max_size=3)},
        optional={"stop": st.sampled_from(["length", "refusal"])},
    ),
    min_size=1,
    max_size=8,
)
_steps = st.lists(
    st.sampled_from(["say", "say with data", "answer", "revise", "reject", "die", "back", "edit"]), max_size=4
)


def _well_formed(memory: Memory) -> None:
    """Every call has one result right after it, but for those of questions that are open."""
    waiting: list[str] = []
    for message in memory.messages:
        if isinstance(message, ToolResult):
            assert message.call_id in waiting
            waiting.remove(message.call_id)
        else:
            assert waiting == [], "a call was left without a result"
            if isinstance(message, ModelMessage):
                waiting = [call.id for call in message.tool_calls]
            assert isinstance(message, UserMessage | ModelMessage)
    assert bool(waiting) == memory.asking


async def _converse(mode: str, steps: list[str], replies: list[dict[str, Any]]) -> None:
    talk = Conversation(limits=SessionLimits(model_calls=6))
    memory_mode: Any = mode
    talk.memory.mode = memory_mode
    before = dict(talk.desk.present)
    for step in ["say", *steps]:
        talk.gateway.replies = [dict(reply) for reply in replies] + [{"text": "Done."} for _ in range(8)]
        end = None
        match step:
            case "say":
                end = await talk.session.send("Do something with @fetch.")
            case "say with data":
                end = await talk.session.send("Why?", [RunData("run", "a log")])
            case "answer":
                try:
                    end = await talk.session.answer(
                        [Answer(question.id, text="so") for question in talk.memory.questions]
                    )
                except UsageError:
                    assert not talk.memory.asking
            case "revise":
                end = await talk.session.revise("Different.")
            case "reject":
                if not talk.memory.asking:
                    talk.memory.decided("rejected")
            case "die":
                talk.die(len(talk.kept) // 2)
                end = await talk.session.go_on()
            case "back":
                talk.memory.back_to(1)
            case "edit":
                graph_file = talk.desk.present["triage.json"]
                talk.desk.present["triage.json"] = graph_file.replace(b'"limit": 50', b'"limit": 60')
                before = dict(talk.desk.present)
        memory = talk.memory
        _well_formed(memory)
        assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
        assert talk.desk.present == before, "nothing is written but by a decision"
        assert talk.desk.dry_runs == 0 or mode != "ask"
        if mode == "ask":
            assert memory.draft is None
        if end is None:
            continue
        assert end.status in ("done", "asking", "failed")
        proposal = end.proposal
        if proposal is not None:
            assert mode != "ask"
            assert memory.understanding is not None
            assert not proposal.apply or (
                mode == "auto"
                and memory.understanding.enough
                and not (proposal.broken or proposal.risks or proposal.tainted)
            )
            assert proposal.changes.files(None) == proposal.changes.after


@given(st.sampled_from(["ask", "propose", "auto"]), _steps, _replies)
@settings(max_examples=40)
def test_whatever_a_model_does(mode: str, steps: list[str], replies: list[dict[str, Any]]) -> None:
    asyncio.run(_converse(mode, steps, replies))
