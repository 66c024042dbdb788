"""Attempts of a visit: their limits of time, their waits, and what follows the last of them. Without an engine."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from recording import Recorder, fails, interpreter, node

from core.flow.graph import EdgeSpec, Graph, NodeSpec, RetrySpec
from core.flow.interpreter import Interpreter
from core.flow.journal import Failure, Request
from core.flow.position import Position, Trial
from core.flow.visit import VisitFailed
from core.sdk import Node


def run_of(specs: list[NodeSpec], nodes: dict[str, Node], *edges: tuple[str, str], **more: Any) -> Interpreter:
    graph = Graph("test", {spec.id: spec for spec in specs}, tuple(EdgeSpec(*edge) for edge in edges), specs[0].id)
    more.setdefault("journal", Recorder())
    position = more.pop("position", Position(0, graph.start))
    return Interpreter(graph, nodes, more["journal"], more.get("state", {}), position=position)


def limited(seconds: float = 0.05, **settings: Any) -> NodeSpec:
    return NodeSpec("a", "A", timeout=seconds, **settings)


async def forever(self: Any, prepared: Any) -> None:
    await asyncio.sleep(3600)


async def test_an_attempt_that_takes_too_long_says_where_it_stood() -> None:
    journal = Recorder()
    with pytest.raises(VisitFailed) as caught:
        await run_of([limited()], {"a": node(execute=forever)}, journal=journal).run()
    failure = caught.value.failure
    assert (failure.type, failure.message) == ("NodeTimeout", "a took longer than 0.05 s.")
    assert "test_attempts.py, line" in failure.cause
    assert "in forever" in failure.traceback


async def test_each_attempt_has_the_whole_time() -> None:
    journal = Recorder()
    tries: list[int] = []

    async def execute(self: Any, prepared: Any) -> None:
        tries.append(1)
        await asyncio.sleep(3600 if len(tries) < 3 else 0)

    spec = limited(1.0, retry=RetrySpec(3, 5.0, 2.0, jitter=0.5, max_wait=8.0))
    await run_of([spec], {"a": node(execute=execute)}, journal=journal).run()
    assert [act for act in journal.acts if act[0] == "sleep"] == [("sleep", 5.0), ("sleep", 8.0)]
    assert [record.failure.type for record in journal.failed] == ["NodeTimeout", "NodeTimeout"]


@pytest.mark.parametrize("phase", ["prepare", "cleanup"])
async def test_where_another_phase_takes_too_long_the_visit_starts_again(phase: str) -> None:
    tries: list[int] = []

    async def body(self: Any, shared: Any, *rest: Any) -> None:
        tries.append(1)
        shared["n"] = shared.get("n", 0) + 1
        if len(tries) == 1:
            await asyncio.sleep(3600)

    state: dict[str, Any] = {}
    journal = Recorder()
    spec = limited(1.0, retry=RetrySpec(2))
    await run_of([spec], {"a": node(**{phase: body})}, journal=journal, state=state).run()
    assert state == {"n": 1}
    assert journal.steps[0].attempt == 2


async def test_code_that_ends_late_has_failed_all_the_same() -> None:
    async def swallow(self: Any, prepared: Any) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "late"
        return ""

    def block(self: Any, prepared: Any) -> None:
        time.sleep(0.1)

    for execute in (swallow, block):
        with pytest.raises(VisitFailed, match="NodeTimeout"):
            await run_of([limited()], {"a": node(execute=execute)}).run()


async def test_a_run_that_is_stopped_at_its_time_limit_is_stopped() -> None:
    async def execute(self: Any, prepared: Any) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            task.cancel()  # The engine's stop comes while the node is being cancelled for its limit.
            raise

    journal = Recorder()
    task = asyncio.ensure_future(run_of([limited()], {"a": node(execute=execute)}, journal=journal).run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal.failed == []


async def test_a_wait_for_an_answer_takes_nothing_of_the_time() -> None:
    class Slow(Recorder):
        async def request(self, request: Request) -> Any:
            await asyncio.sleep(0.6)
            return "yes"

    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        shared["said"] = [await request_input("?"), await request_input("?")]

    state: dict[str, Any] = {}
    await run_of([limited(1.0)], {"a": node(prepare)}, journal=Slow(), state=state).run()
    assert state == {"said": ["yes", "yes"]}


# After the last attempt ---------------------------------------------------------------------------------------------


def spoil(self: Any, shared: Any, request_input: Any) -> None:
    shared["spoilt"] = True


async def test_a_skipped_visit_changes_nothing_and_its_edges_are_followed() -> None:
    journal, state = Recorder(), {"n": 1}
    specs = [NodeSpec("a", "A", on_error="skip"), NodeSpec("b", "B")]
    broken = node(spoil, fails(9))
    run = run_of(specs, {"a": broken, "b": node()}, ("a", "b"), journal=journal, state=state)
    await run.advance()
    step = journal.steps[0]
    assert (step.outcome, step.delta.operations, step.routing.next, step.routing.reason) == (
        "skipped",
        b"[]",
        "b",
        "default",
    )
    assert step.failure is not None
    assert step.failure.message == "try 0"
    assert state == {"n": 1}


async def test_the_node_that_a_failure_leads_to_knows_it_and_the_next_does_not() -> None:
    seen: list[Any] = []

    def look(self: Any, shared: Any, prepared: Any, result: Any) -> None:
        seen.append(self.last_error)

    specs = [NodeSpec("a", "A", on_error="goto: c"), NodeSpec("b", "B"), NodeSpec("c", "C")]
    nodes = {"a": node(execute=fails(9)), "b": node(cleanup=look), "c": node(cleanup=look)}
    journal = Recorder()
    await run_of(specs, nodes, ("a", "b"), ("c", "b"), journal=journal).run()
    assert seen == [("a", "ValueError", "try 0"), None]
    assert [(step.node, step.routing.reason) for step in journal.steps] == [
        ("a", "on_error"),
        ("c", "default"),
        ("b", "end"),
    ]


async def test_a_retry_by_a_person_is_another_round_under_further_numbers() -> None:
    journal = Recorder({"a:1:on_error:2": "retry", "a:1:on_error:4": "fail"})
    spec = NodeSpec("a", "A", on_error="ask", retry=RetrySpec(2))
    with pytest.raises(VisitFailed):
        await run_of([spec], {"a": node(execute=fails(9))}, journal=journal).run()
    assert [record.attempt for record in journal.failed] == [1, 2, 3, 4]
    assert [request.kind for request in journal.asked] == ["error", "error"]


async def test_what_earlier_processes_used_up_is_asked_about_and_not_tried_again() -> None:
    journal = Recorder({"a:1:on_error:3": "skip"})
    trial = Trial(3, 1, Failure("RunProcessDied", "The run process ended with exit code 1."))
    spec = NodeSpec("a", "A", on_error="ask", retry=RetrySpec(2))
    position = Position(0, "a", {}, {"a": trial})
    await run_of([spec], {"a": node(execute=fails(9))}, journal=journal, position=position).run()
    assert journal.asked[0].prompt == "a failed: RunProcessDied: The run process ended with exit code 1."
    assert [act[0] for act in journal.acts] == ["step"]
    assert journal.steps[0].attempt == 3


async def test_nobody_else_asks_under_the_name_of_that_question() -> None:
    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        await request_input("?", request_id="on_error")

    with pytest.raises(VisitFailed, match="'on_error' is taken"):
        await interpreter({"a": node(prepare)}).run()


# Maps ----------------------------------------------------------------------------------------------------------------


async def test_items_have_keys_and_questions_of_their_own_the_same_in_every_try() -> None:
    keys: list[list[str]] = []

    async def execute(self: Any, prepared: Any) -> Any:
        async def one(item: int) -> str:
            await asyncio.sleep(0.001 * (3 - item))
            await self._visit.request_input("?", request_id="say")
            return self.idempotency_key

        keys.append([*await self.map(one, [0, 1, 2]), *await self.map(one, [0, 1])])
        if len(keys) == 1:
            raise ValueError("again")

    answers = {f"a:1:say{place}:0": "x" for place in ("[0]", "[1]", "[2]", "[1:0]", "[1:1]")}
    journal = Recorder(answers)
    await run_of([NodeSpec("a", "A", retry=RetrySpec(2))], {"a": node(execute=execute)}, journal=journal).run()
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 5
    assert {request.key for request in journal.asked} == set(answers)
    assert [text for level, text in journal.logs if level == "INFO"][2] == "map one: 3 of 3 done"
