"""Budgets: what counts, what a raise adds, what a dag and a chat do at the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_models import ScriptedGateway
from workbench import Workbench

from core.engine.inline import InlinePool
from core.errors import BudgetReached
from core.llm.messages import ModelRequest, UserMessage

TWO = """
class Ask(Node):
    async def execute(self, prepared):
        return [await self.llm("one"), await self.llm("two")]

    def cleanup(self, shared, prepared, result):
        shared["answer"] = result
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def test_tokens_hold_where_the_cost_is_not_known(bench: Workbench) -> None:
    bench.settings("[budget]\nrun_dollars = 0.01\nrun_tokens = 100\n")
    bench.write("w", TWO)
    async with bench.running(gateway=ScriptedGateway(cost=None), pool=InlinePool()) as engine:
        run = await bench.run("w")

        assert run.awaiting_input is not None
        assert run.awaiting_input.request_id == "run_tokens"
        assert "1 calls of unknown cost" in (run.awaiting_input.prompt or "")
        views = {f"{view.scope}_{view.what}": (view.limit, view.used) for view in await engine.list_budgets(run.run_id)}
        assert views["run_tokens"] == (100, 100)
        assert views["run_dollars"] == (0.01, 0)
        assert views["day_calls"] == (0, 1)


async def test_a_raise_of_the_days_budget_holds_for_all_runs_and_chats_of_the_day(bench: Workbench) -> None:
    bench.settings("[budget]\nday_calls = 1\n")
    bench.write("w", TWO)
    request = ModelRequest(messages=(UserMessage("Hello"),))
    async with bench.running(gateway=ScriptedGateway(), pool=InlinePool()) as engine:
        run = await bench.run("w")
        with pytest.raises(BudgetReached):
            await engine._broker.complete(request, chat_id="c")
        await bench.answer(run.run_id, "day_calls", "raise")
        await bench.until(run.run_id, lambda view: view.status == "completed")

        assert {view.what: view.limit for view in await engine.list_budgets()}["calls"] == 2
        with pytest.raises(BudgetReached, match="2 calls of 2 calls"):
            await engine._broker.complete(request, chat_id="c")


async def test_a_call_under_way_counts(bench: Workbench) -> None:
    bench.settings("[workflows.w]\nrun_calls = 2\n")
    bench.write(
        "w",
        """
        import asyncio

        class Ask(Node):
            async def execute(self, prepared):
                await asyncio.gather(*(self.llm(f"n{n}") for n in range(3)))
        """,
    )
    gateway = ScriptedGateway()
    gateway.held |= {"n0", "n1", "n2"}
    async with bench.running(gateway=gateway, pool=InlinePool()):
        run = await bench.start("w")
        view = await bench.until(run.run_id, lambda view: bool(view.open_requests))

        assert len(gateway.asked) == 2
        await bench.answer(view.run_id, "run_calls", "go_on")
        await gateway.until_asked(3)
        gateway.let_go()
        await bench.until(run.run_id, lambda view: view.status == "completed")


async def test_in_a_dag_other_nodes_go_on_while_one_waits_for_its_budget(bench: Workbench) -> None:
    bench.settings("[workflows.w]\nrun_calls = 1\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def execute(self, prepared):
                return [await self.llm("one"), await self.llm("two")]

        class Other(Node):
            async def execute(self, prepared):
                return 1

            def cleanup(self, shared, prepared, result):
                shared["other"] = result
        """,
        mode="dag",
    )
    async with bench.running(gateway=ScriptedGateway()):
        run = await bench.start("w")
        view = await bench.until(run.run_id, lambda view: view.status == "waiting_input" and view.step == 1)

        assert (await bench.state(view.run_id)) == {"other": 1}
        await bench.answer(view.run_id, "run_calls", "raise")
        await bench.until(run.run_id, lambda view: view.status == "completed")


async def test_a_question_about_a_budget_that_a_setting_makes_needless_is_not_asked_again(bench: Workbench) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n[budget]\nrun_calls = 1\n")
    bench.write("w", TWO)
    async with bench.running(gateway=ScriptedGateway()):
        run = await bench.run("w")
        await bench.until(run.run_id, lambda view: not view.in_flight)
        await bench.engine.cancel_run("c", run.run_id)
        again = await bench.run("w")
        assert again.status == "waiting_input"
    bench.settings("[engine]\nkeep_process_seconds = 0\n[budget]\nrun_calls = 0\n")
    async with bench.running(gateway=ScriptedGateway()):
        await bench.answer(again.run_id, "run_calls", "fail")
        view = await bench.until(again.run_id, lambda view: view.status in ("completed", "failed"))

        # A person said no while there was a budget; there is none any more.
        assert view.status == "completed"
