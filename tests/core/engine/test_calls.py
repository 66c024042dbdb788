"""Calls of models by nodes: made by the engine, recorded, given again, never paid twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from scripted_models import ScriptedGateway, said
from workbench import Workbench

from core.engine import runs
from core.engine.inline import InlinePool
from core.errors import BudgetReached, ModelRateLimited
from core.link.model_types import CallFilter, UsageView
from core.link.types import RunFilter
from core.llm.messages import ModelRequest, UserMessage

ASK = """
class Ask(Node):
    async def execute(self, prepared):
        return await self.llm("What is it?", system="Be brief.")

    def cleanup(self, shared, prepared, result):
        shared["answer"] = result
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def rows(bench: Workbench, columns: str = "status, node, nth, spent") -> list[Any]:
    """The table of calls, as it is on the disk."""
    with sqlite3.connect(bench.workspace.database) as connection:
        return connection.execute(f"SELECT {columns} FROM calls ORDER BY number").fetchall()


async def test_a_node_asks_a_model_and_the_call_is_on_record(bench: Workbench) -> None:
    bench.write("w", ASK)
    gateway = ScriptedGateway()
    async with bench.running(gateway=gateway):
        run = await bench.run("w")

        assert run.status == "completed"
        assert (await bench.state(run.run_id))["answer"] == "re: What is it?"
        assert [(request.system, request.role) for request in gateway.asked] == [("Be brief.", "executor")]
        assert rows(bench, "status, node, visit, model, role, title, input_tokens, cost") == [
            ("done", "ask", 1, "test:one", "executor", "What is it?", 80, 0.01)
        ]
        assert "80 tokens in, 20 out, $0.01 (test:one, 0.5 s)" in await bench.log(run.run_id)
        used = UsageView(calls=1, input_tokens=80, output_tokens=20, cost=0.01)
        assert run.usage == used
        assert [row.usage for row in await bench.engine.list_runs(RunFilter())] == [used]
        assert await bench.engine.get_usage() == used
        assert await bench.engine.get_usage(run.run_id) == used
        (call,) = await bench.engine.list_calls(CallFilter(run_id=run.run_id))
        assert (call.run_id, call.usage, call.title) == (run.run_id, used, "What is it?")
        assert (await bench.engine.read_call(call.number)).reply["text"] == "re: What is it?"


async def test_library_mode_asks_through_the_engine_in_the_program(bench: Workbench) -> None:
    bench.write("w", ASK)
    async with bench.running(gateway=ScriptedGateway(), pool=InlinePool()):
        run = await bench.run("w")

        assert (await bench.state(run.run_id))["answer"] == "re: What is it?"


async def test_a_schema_gives_an_instance_and_what_does_not_fit_is_asked_again_by_a_retry(bench: Workbench) -> None:
    bench.write(
        "w",
        """
        from dataclasses import dataclass

        @dataclass
        class Ticket:
            title: str
            urgent: bool = False

        class Ask(Node):
            async def execute(self, prepared):
                ticket = await self.llm("Read it", schema=Ticket)
                return [type(ticket).__name__, ticket.title, ticket.urgent]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
        nodes=[{"id": "ask", "class": "Ask", "retry": {"attempts": 2}}],
    )
    replies = iter([{"title": 5}, {"title": "Fire", "urgent": True}])
    gateway = ScriptedGateway(lambda request: next(replies))
    async with bench.running(gateway=gateway):
        run = await bench.run("w")

        assert (await bench.state(run.run_id))["answer"] == ["Ticket", "Fire", True]
        assert gateway.asked[0].schema is not None
        assert gateway.asked[0].schema["required"] == ["title"]
        assert rows(bench) == [("done", "ask", 0, 1), ("done", "ask", 0, 0)]


async def test_a_failed_call_fails_the_node_with_the_models_own_error(bench: Workbench) -> None:
    bench.write("w", ASK)
    error = ModelRateLimited("Too many calls.", cause="The provider says so.", next_step="Wait.")
    async with bench.running(gateway=ScriptedGateway(lambda request: error)):
        run = await bench.run("w")

        assert run.status == "failed"
        assert run.error is not None
        assert (run.error.type, run.error.message, run.error.next_step) == ("ModelRateLimited", error.message, "Wait.")
        assert rows(bench, "status, json_extract(error, '$.type')") == [("failed", "ModelRateLimited")]


async def test_a_visit_that_starts_again_after_a_wait_pays_nothing_again(bench: Workbench) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def prepare(self, shared, request_input):
                first = await self.llm("one")
                word = await request_input("Go on?", request_id="go")
                return [first, word, await self.llm("two"), await self.llm("one")]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = prepared
        """,
    )
    gateway = ScriptedGateway()
    async with bench.running(gateway=gateway):
        run = await bench.run("w")
        await bench.until(run.run_id, lambda view: view.status == "waiting_input" and not view.in_flight)
        await bench.answer(run.run_id, "go", "yes")
        run = await bench.until(run.run_id, lambda view: view.status == "completed")

        assert (await bench.state(run.run_id))["answer"] == ["re: one", "yes", "re: two", "re: one"]
        assert [said(request) for request in gateway.asked] == ["one", "two", "one"]
        assert rows(bench, "title, nth") == [("one", 0), ("two", 0), ("one", 1)]


async def test_after_the_end_of_the_engine_the_next_one_gives_what_is_recorded(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(
        "w",
        """
        class Ask(Node):
            async def execute(self, prepared):
                return [await self.llm("one"), await self.llm("two")]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
    )
    monkeypatch.setattr(runs, "CLOSE_GRACE_SECONDS", 0.1)
    first = ScriptedGateway()
    first.held.add("two")
    async with bench.running(gateway=first):
        run = await bench.start("w")
        await first.until_asked(2)
    second = ScriptedGateway(lambda request: "from the second")
    async with bench.running(gateway=second):
        view = await bench.until(run.run_id, lambda view: view.status == "completed")

        assert (await bench.state(view.run_id))["answer"] == ["re: one", "from the second"]
        assert [said(request) for request in second.asked] == ["two"]
        assert rows(bench, "status, title") == [("done", "one"), ("failed", "two"), ("done", "two")]


async def test_each_item_of_a_map_has_its_own_calls_and_a_retry_of_one_leaves_the_others_alone(
    bench: Workbench,
) -> None:
    bench.write(
        "w",
        """
        class Ask(Node):
            async def execute(self, prepared):
                async def one(item):
                    text = await self.llm(f"item {item}")
                    if text == "bad":
                        raise ValueError(text)
                    return text
                return await self.map(one, range(4), attempts=2)

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
    )
    bad = ["bad"]
    gateway = ScriptedGateway(lambda request: bad.pop() if said(request) == "item 2" and bad else said(request))
    async with bench.running(gateway=gateway):
        run = await bench.run("w")

        assert (await bench.state(run.run_id))["answer"] == [f"item {n}" for n in range(4)]
        assert sorted(said(request) for request in gateway.asked) == ["item 0", "item 1", "item 2", "item 2", "item 3"]


async def test_a_retry_asks_anew_but_not_what_was_asked_before_it_also_after_the_process_has_died(
    bench: Workbench,
) -> None:
    bench.write(
        "w",
        """
        import os

        class Ask(Node):
            async def prepare(self, shared, request_input):
                return await self.llm("before")

            async def execute(self, prepared):
                text = await self.llm("in")
                if text == "bad":
                    raise ValueError(text)
                died = self.output_dir / "died"
                if not died.exists():
                    died.touch()
                    os._exit(9)
                return text
        """,
        nodes=[{"id": "ask", "class": "Ask", "retry": {"attempts": 4}}],
    )
    replies = iter(["bad", "deadly"])
    gateway = ScriptedGateway(lambda request: "first" if said(request) == "before" else next(replies))
    async with bench.running(gateway=gateway):
        run = await bench.run("w")

        assert run.status == "completed"
        # The process dies after the second try was answered: the next one has both answers at once.
        assert [said(request) for request in gateway.asked] == ["before", "in", "in"]


async def test_a_run_that_is_cancelled_ends_its_call_at_once(bench: Workbench) -> None:
    bench.write("w", ASK)
    gateway = ScriptedGateway()
    gateway.held.add("What is it?")
    async with bench.running(gateway=gateway):
        run = await bench.start("w")
        await gateway.until_asked(1)
        await bench.engine.cancel_run("c1", run.run_id)
        async with asyncio.timeout(60):
            while rows(bench)[0][0] != "failed":  # noqa: ASYNC110 (the row is written by a task of its own)
                await asyncio.sleep(0.01)
        assert gateway.cancelled == 1


async def test_code_that_gives_a_call_up_ends_it(bench: Workbench) -> None:
    bench.write(
        "w",
        """
        import asyncio, os

        class Ask(Node):
            async def execute(self, prepared):
                slow = asyncio.ensure_future(self.llm("slow"))
                while not os.path.exists("asked"):
                    await asyncio.sleep(0.01)
                slow.cancel()
                return await self.llm("quick")

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
    )
    gateway = ScriptedGateway(said)
    gateway.held.add("slow")
    async with bench.running(gateway=gateway):
        run = await bench.start("w")
        await gateway.until_asked(1)
        (bench.root / "asked").touch()
        run = await bench.rest(run.run_id)

        assert (await bench.state(run.run_id))["answer"] == "quick"
        assert gateway.cancelled == 1


async def test_the_call_goes_on_when_its_process_dies_and_the_next_one_gets_its_result(bench: Workbench) -> None:
    bench.write("w", ASK, nodes=[{"id": "ask", "class": "Ask", "retry": {"attempts": 2}}])
    gateway = ScriptedGateway()
    gateway.held.add("What is it?")
    async with bench.running(gateway=gateway):
        run = await bench.start("w")
        await gateway.until_asked(1)
        actor = bench.engine._runs.active(run.run_id)
        assert actor is not None
        os.kill(actor.process_life.pid, signal.SIGKILL)
        await bench.until(run.run_id, lambda view: any(flight.attempt == 2 for flight in view.in_flight))
        gateway.let_go()
        view = await bench.rest(run.run_id)

        assert view.status == "completed"
        assert len(gateway.asked) == 1


async def test_a_chat_asks_through_the_broker_and_is_on_record(bench: Workbench) -> None:
    gateway = ScriptedGateway()
    heard: list[Any] = []
    async with bench.running(gateway=gateway) as engine:
        request = ModelRequest(messages=(UserMessage("Hello"),))
        reply = await engine._broker.complete(request, chat_id="chat-1", listener=heard.append)

        assert reply.message.text == "re: Hello"
        assert len(heard) == 1
        assert rows(bench, "status, chat, key, run, title, cost") == [("done", "chat-1", "chat-1", None, "Hello", 0.01)]


async def test_a_chat_beyond_the_days_budget_is_refused_with_the_setting_to_change(bench: Workbench) -> None:
    bench.settings("[budget]\nday_calls = 1\n")
    request = ModelRequest(messages=(UserMessage("Hello"),))
    async with bench.running(gateway=ScriptedGateway()) as engine:
        await engine._broker.complete(request, chat_id="chat-1")
        with pytest.raises(BudgetReached) as caught:
            await engine._broker.complete(request, chat_id="chat-1")

        assert "day_calls under [budget] in" in caught.value.next_step
        assert "1 calls of 1 calls" in caught.value.message


async def test_a_run_at_its_budget_waits_and_goes_on_when_it_is_raised(bench: Workbench) -> None:
    bench.settings("[budget]\nrun_dollars = 0.02\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def execute(self, prepared):
                return [await self.llm(f"n{n}") for n in range(3)]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
        nodes=[{"id": "ask", "class": "Ask", "timeout": 300}],
    )
    gateway = ScriptedGateway()
    async with bench.running(gateway=gateway):
        run = await bench.run("w")

        assert run.status == "waiting_input"
        assert run.awaiting_input is not None
        assert (run.awaiting_input.kind, run.awaiting_input.request_id) == ("budget", "run_dollars")
        assert "$0.02 of $0.02" in (run.awaiting_input.prompt or "")
        assert len(gateway.asked) == 2
        await bench.answer(run.run_id, "run_dollars", "raise")
        run = await bench.until(run.run_id, lambda view: view.status == "completed")
        assert (await bench.state(run.run_id))["answer"] == ["re: n0", "re: n1", "re: n2"]


@pytest.mark.parametrize(("answer", "status", "calls"), [("go_on", "completed", 5), ("fail", "failed", 1)])
async def test_a_question_about_the_budget_is_asked_once_for_all_that_wait_also_without_a_process(
    bench: Workbench, answer: str, status: str, calls: int
) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n[workflows.w]\nrun_calls = 1\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def execute(self, prepared):
                return await self.map(lambda item: self.llm(f"n{item}"), range(5))

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
    )
    gateway = ScriptedGateway()
    async with bench.running(gateway=gateway):
        run = await bench.run("w")
        assert len(run.open_requests) == 1
        await bench.until(run.run_id, lambda view: view.status == "waiting_input" and not view.in_flight)
        await bench.answer(run.run_id, "run_calls", answer)
        run = await bench.until(run.run_id, lambda view: view.status == status)

        assert len(gateway.asked) == calls
        if status == "failed":
            assert run.error is not None
            assert "BudgetReached" in run.error.message or run.error.type == "BudgetReached"


async def test_a_key_of_a_provider_is_in_no_row_and_reaches_no_node(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "key-of-a-provider-4711"
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    bench.write("w", ASK)
    gateway = ScriptedGateway(lambda request: f"It is {key}, I heard.")
    async with bench.running(gateway=gateway) as engine:
        run = await bench.run("w")
        (call,) = await engine.list_calls(CallFilter(run_id=run.run_id))

        assert (await engine.read_call(call.number)).reply["text"] == "It is [secret], I heard."
        # What a visit that starts again would be given is what the first was given.
        assert (await bench.state(run.run_id))["answer"] == "It is [secret], I heard."
