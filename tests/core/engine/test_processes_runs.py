"""A run in a process of its own: its steps, questions, failures and the engine's word on them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from typing import Any

import pytest
from engine_side import EngineSide, Play, body

HELLO = """
from core.sdk import Node

class Ask(Node):
    def execute(self, prepared):
        print("working")
        return "World"

    def cleanup(self, shared, prepared, result):
        shared["name"] = result

class Greet(Node):
    def cleanup(self, shared, prepared, result):
        shared["greeting"] = f"Hello, {shared['name']}!"
"""

HELLO_GRAPH = {
    "name": "hello",
    "start": "ask",
    "nodes": [{"id": "ask", "class": "Ask"}, {"id": "greet", "class": "Greet"}],
    "edges": [{"from": "ask", "to": "greet", "condition": "shared['name'] == 'World'"}],
}

QUESTION = """
from core.sdk import Node

class A(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Well?", options=["a", "b"], input_type="select", request_id="q")
        shared["again"] = await request_input("And?", request_id="q")
"""

LOOP_GRAPH = {
    "name": "w",
    "start": "a",
    "nodes": [{"id": "a", "class": "A"}],
    "edges": [{"from": "a", "to": "a", "condition": "shared['n'] < 3"}],
}


def changes_of(side: EngineSide) -> list[Any]:
    """What each step changed, as its delta says."""
    return [
        json.loads(payload[: header["delta"]])
        for header, payload in zip(side.frames("step"), side.payloads, strict=True)
    ]


async def test_a_run_reports_each_step_and_ends_when_the_last_is_durable(play: Play) -> None:
    side = await play.run(HELLO, graph=HELLO_GRAPH, next="ask")

    assert side.exits[0][0].code == 0
    assert [header["t"] for kind, header in side.heard if kind == "frame"] == [
        *("ready", "started", "step", "started", "step")
    ]
    first, second = side.frames("step")
    assert (first["seq"], first["node"], first["next"], first["reason"]) == (1, "ask", "greet", "edge")
    assert (second["seq"], second["node"], second["next"]) == (2, "greet", None)
    assert {header["e"] for kind, header in side.heard if kind == "frame"} == {3}
    assert changes_of(side) == [[["set", ["name"], "World"]], [["set", ["greeting"], "Hello, World!"]]]


async def test_the_next_node_waits_until_its_predecessor_is_durable(play: Play) -> None:
    side = await play.start(HELLO, graph=HELLO_GRAPH, next="ask", acknowledge=False)
    await side.frame("step")
    # Another run's whole life goes by; this one has not moved.
    await play.run(HELLO, graph=HELLO_GRAPH, next="ask")
    assert len(side.frames("started")) == 1

    side.acknowledge = True
    side.process.send({"t": "ack", "seq": 1})
    await side.end()
    assert len(side.frames("step")) == 2


async def test_a_run_goes_on_from_its_last_step_and_its_used_up_attempts(play: Play) -> None:
    source = body("shared['n'] = shared.get('n', 0) + 1", "print(self.idempotency_key)")
    side = await play.run(
        source, graph=LOOP_GRAPH, state=b'{"n": 1}', seq=7, visits={"a": 7}, trials={"a": {"attempts": 2}}
    )

    assert [(header["seq"], header["visit"], header["attempt"]) for header in side.frames("step")] == [
        (8, 8, 3),
        (9, 9, 1),
    ]
    other = await play.run(source, graph=LOOP_GRAPH, state=b'{"n": 2}', seq=7, visits={"a": 7})
    assert side.texts("stdout")[0] == other.texts("stdout")[0] != side.texts("stdout")[1]


async def test_a_stepped_run_says_that_it_paused(play: Play) -> None:
    side = await play.run(HELLO, graph=HELLO_GRAPH, next="ask", until="step")
    assert [header["seq"] for header in side.frames("paused")] == [1]
    last = await play.run(HELLO, graph=HELLO_GRAPH, next="greet", until="step", state=b'{"name": "World"}', seq=1)
    assert last.frames("paused") == []
    assert last.frames("step")[0]["next"] is None


async def test_an_answer_goes_to_the_code_that_waits_for_it(play: Play) -> None:
    side = await play.run(QUESTION, answers={"q": "b"})
    first, second = side.frames("request")
    assert (first["node"], first["visit"], first["request_id"], first["nth"]) == ("a", 1, "q", 0)
    assert (first["prompt"], first["options"], first["input_type"]) == ("Well?", ["a", "b"], "select")
    assert second["nth"] == 1
    assert second["hash"] != first["hash"]
    assert changes_of(side) == [[["set", ["answer"], "b"], ["set", ["again"], "b"]]]


async def test_recorded_answers_are_given_at_once(play: Play) -> None:
    asked = (await play.run(QUESTION, answers={"q": "b"})).frames("request")
    answers = [
        {"key": "a:1:q:0", "hash": asked[0]["hash"], "answer": "a"},
        {"key": "a:1:q:1", "hash": "of another question", "answer": "old"},
    ]
    side = await play.run(QUESTION, answers={"q": "new"}, recorded=answers)
    assert [header["nth"] for header in side.frames("request")] == [1]
    assert changes_of(side) == [[["set", ["answer"], "a"], ["set", ["again"], "new"]]]


async def test_a_second_attempt_is_not_asked_again(play: Play) -> None:
    source = """
from core.sdk import Node

class A(Node):
    def prepare(self, shared, request_input):
        self.ask = request_input

    async def execute(self, prepared):
        answer = await self.ask("Well?")
        if self.cur_retry == 0:
            raise ValueError("first try")
        return answer

    def cleanup(self, shared, prepared, result):
        shared["answer"] = result
"""
    graph = LOOP_GRAPH | {"nodes": [{"id": "a", "class": "A", "retry": {"attempts": 2}}], "edges": []}
    side = await play.run(source, graph=graph, answers={"a": 5})
    assert len(side.frames("request")) == 1
    (failed,) = side.frames("attempt")
    assert (failed["attempt"], failed["failure"]["type"], failed["failure"]["message"]) == (
        1,
        "ValueError",
        "first try",
    )
    assert "nodes.py" in failed["failure"]["traceback"]
    assert side.frames("step")[0]["attempt"] == 2


async def test_a_visit_that_fails_for_good_fails_the_run(play: Play) -> None:
    side = await play.run(body("raise KeyError('total')"))
    (failed,) = side.frames("failed")
    assert (failed["node"], failed["visit"], failed["attempt"]) == ("a", 1, 1)
    assert failed["failure"]["type"] == "KeyError"
    assert "line 5" in failed["failure"]["traceback"]
    assert len(side.frames("attempt")) == 1
    assert side.frames("step") == []
    assert side.exits[0][0].code == 0


async def test_sys_exit_in_a_node_fails_that_node(play: Play) -> None:
    side = await play.run(body("sys.exit(3)"))
    (failed,) = side.frames("failed")
    assert "sys.exit" in failed["failure"]["message"]


async def test_a_state_that_is_not_json_fails_the_node_that_made_it(play: Play) -> None:
    side = await play.run(body("shared['when'] = object()"))
    assert side.frames("failed")[0]["failure"]["type"] == "StateValueError"


async def test_a_question_that_is_not_json_or_far_too_long_fails_the_node(play: Play) -> None:
    side = await play.run(body("await request_input('x' * 2_000_000)"))
    assert "2000" in side.frames("failed")[0]["failure"]["message"]
    side = await play.run(body("await request_input('x', options=[object()])"))
    assert side.frames("request") == []
    assert side.frames("failed")


async def test_stop_cancels_the_visit_and_ends_the_process(play: Play) -> None:
    side = await play.start(
        body("print('here')", "try:", "    await asyncio.sleep(600)", "finally:", "    print('over')")
    )
    await side.until(lambda: side.texts("stdout"))
    async with asyncio.timeout(60):
        await side.process.stop(60.0)
    assert side.exits[0][0].code == 0
    assert side.texts("stdout") == ["here", "over"]
    assert side.frames("step") == side.frames("attempt") == side.frames("failed") == []


async def test_stop_ends_a_node_that_will_not_be_cancelled(play: Play) -> None:
    source = body("print('here')", "while True:", "    try: await asyncio.sleep(600)", "    except BaseException: pass")
    side = await play.start(source)
    await side.until(lambda: side.texts("stdout"))
    await side.process.stop(0.1)
    assert side.exits[0][1] == "was killed"
    assert side.process.closed.is_set()


async def test_stop_reaches_a_run_that_waits_for_an_answer_or_an_acknowledgement(play: Play) -> None:
    asking = await play.start(QUESTION)
    await asking.frame("request")
    saving = await play.start(HELLO, graph=HELLO_GRAPH, next="ask", acknowledge=False)
    await saving.frame("step")
    await asyncio.gather(asking.process.stop(60.0), saving.process.stop(60.0))
    assert [side.exits[0][0].code for side in (asking, saving)] == [0, 0]


async def test_a_large_value_is_sent_once_and_named_afterwards(play: Play) -> None:
    source = body("shared['n'] += 1", "shared[f'copy {shared[\"n\"]}'] = 'x' * 100_000")
    side = await play.run(source, graph=LOOP_GRAPH, state=b'{"n": 0}')
    blobs = [header["blobs"] for header in side.frames("step")]
    assert [[length for _, length in step] for step in blobs] == [[100_002], [0], [0]]
    (name,) = {digest for step in blobs for digest, _ in step}
    first = side.payloads[0][side.frames("step")[0]["delta"] :]
    assert hashlib.blake2b(first, digest_size=32).hexdigest() == name
    assert len(side.payloads[1]) < 1000


async def test_a_state_of_many_megabytes_goes_both_ways(play: Play) -> None:
    state = json.dumps({"text": "é" * 6_000_000}).encode()
    side = await play.run(body("shared['size'] = len(shared['text'])", "shared['text'] += '!'"), state=state)
    assert sum(len(payload) for payload in side.payloads) > 12_000_000
    assert ["set", ["size"], 6_000_000] in changes_of(side)[0]


@pytest.mark.parametrize("count", [20])
async def test_many_runs_at_once_do_not_mix(play: Play, count: int) -> None:
    source = body("shared['pid'] = os.getpid()", "print(os.getpid())")
    sides = await asyncio.gather(*(play.start(source) for _ in range(count)))
    for side in sides:
        await side.end()
        pid = side.process.pid
        assert changes_of(side) == [[["set", ["pid"], pid]]]
        assert side.texts("stdout") == [str(pid)]
    assert len({side.process.pid for side in sides}) == count
    assert os.getpid() not in {side.process.pid for side in sides}
