"""Calls of a run process, as frames: many at once, given up, answered with a question first."""

from __future__ import annotations

import json

import pytest
from engine_side import EngineSide, Play

from core.errors import ModelRateLimited

GRAPH = {"name": "w", "start": "a", "nodes": [{"id": "a", "class": "A"}], "edges": []}

THREE = """
import asyncio
from core.sdk import Node

class A(Node):
    async def execute(self, prepared):
        return await asyncio.gather(self.llm("x"), self.llm("y"), self.llm("x"))

    def cleanup(self, shared, prepared, result):
        shared["said"] = result
"""

GIVES_UP = """
import asyncio
from core.sdk import Node

class A(Node):
    async def execute(self, prepared):
        try:
            await asyncio.wait_for(self.llm("x"), 0.05)
        except TimeoutError:
            return "gave up"

    def cleanup(self, shared, prepared, result):
        shared["said"] = result
"""


def reply(side: EngineSide, number: int, text: str) -> None:
    side.process.send({"t": "result", "id": number, "e": 3}, json.dumps({"text": text}).encode())


async def test_several_calls_are_under_way_at_once_and_answered_in_any_order(play: Play) -> None:
    side = await play.start(THREE, graph=GRAPH, next="a")
    await side.until(lambda: len(side.frames("call")) == 3)
    calls = side.frames("call")

    assert len({call["key"] for call in calls}) == 1
    assert [call["nth"] for call in calls] == [0, 0, 1]
    assert calls[0]["hash"] == calls[2]["hash"] != calls[1]["hash"]
    for call in reversed(calls):
        reply(side, call["id"], f"reply {call['id']}")
    await side.frame("step")
    assert json.loads(side.payloads[0][: side.frames("step")[0]["delta"]]) == [
        ["set", ["said"], ["reply 1", "reply 2", "reply 3"]]
    ]


async def test_a_call_that_the_code_gives_up_is_said_so(play: Play) -> None:
    side = await play.start(GIVES_UP, graph=GRAPH, next="a")
    dropped = await side.frame("dropped")
    await side.frame("step")

    assert dropped["id"] == side.frames("call")[0]["id"]


async def test_an_end_that_the_engine_wants_gives_no_call_up(play: Play) -> None:
    side = await play.start(THREE, graph=GRAPH, next="a")
    await side.until(lambda: len(side.frames("call")) == 3)
    await side.process.stop(60.0)
    await side.until(lambda: side.exits)

    assert side.frames("dropped") == []


async def test_a_question_comes_first_once_for_all_calls_that_need_it(play: Play) -> None:
    side = await play.start(THREE, graph=GRAPH, next="a", answers={"run_calls": "go_on"})
    await side.until(lambda: len(side.frames("call")) == 3)
    ask = {"node": "a", "visit": 1, "request_id": "run_calls", "nth": 0, "prompt": "May it?", "kind": "budget"}
    for call in side.frames("call"):
        side.process.send({"t": "result", "id": call["id"], "e": 3, "ask": {**ask, "options": None}})
    await side.until(lambda: len(side.frames("call")) == 6)

    assert len(side.frames("request")) == 1
    for call in side.frames("call")[3:]:
        reply(side, call["id"], "ok")
    await side.frame("step")


@pytest.mark.parametrize("attempts", [1, 2])
async def test_an_error_of_a_call_is_that_of_the_node_and_a_retry_spends_what_was_given(
    play: Play, attempts: int
) -> None:
    code = THREE.replace('self.llm("y")', 'self.llm("y")')
    graph = {**GRAPH, "nodes": [{"id": "a", "class": "A", "retry": {"attempts": attempts}}]}
    side = await play.start(code, graph=graph, next="a")
    await side.until(lambda: len(side.frames("call")) == 3)
    error = ModelRateLimited("Too many.", next_step="Wait.").to_dict()
    for call in side.frames("call"):
        side.process.send({"t": "result", "id": call["id"], "e": 3, "error": error})
    failed = await side.frame("attempt")

    assert failed["failure"]["type"] == "ModelRateLimited"
    assert side.frames("spent")[0]["key"] == side.frames("call")[0]["key"]
    order = [what["t"] for kind, what in side.heard if kind == "frame"]
    assert order.index("spent") < order.index("attempt")
    if attempts == 2:
        await side.until(lambda: len(side.frames("call")) == 6)
        assert [call["nth"] for call in side.frames("call")[3:]] == [0, 0, 1]
