"""Calls that leave a run: as a recording that others are answered from, with an exported run, by pruning."""

# ruff: noqa: ASYNC240 (small files, and nothing else runs meanwhile)

from __future__ import annotations

import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from scripted_models import ScriptedGateway, said
from workbench import Workbench

from core.engine.inline import InlinePool
from core.errors import DatabaseDamaged, TransferProblem, UnknownRun
from core.link.model_types import CallFilter
from core.link.retention_types import Prune

TWICE = """
class Ask(Node):
    async def execute(self, prepared):
        return [await self.llm("one"), await self.llm("one"), await self.llm("two")]

    def cleanup(self, shared, prepared, result):
        shared["answer"] = result
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def counting() -> ScriptedGateway:
    """Each answer is another one."""
    numbers = iter(range(100))
    return ScriptedGateway(lambda request: f"{said(request)} {next(numbers)}")


def count(bench: Workbench, condition: str = "1") -> int:
    with sqlite3.connect(bench.workspace.database) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM calls WHERE {condition}").fetchone()[0]
    return found


@pytest.mark.parametrize("source", ["file", "run"])
async def test_a_replayed_run_is_answered_from_the_recording_and_nothing_goes_out(
    bench: Workbench, source: str
) -> None:
    bench.write("w", TWICE)
    gateway = counting()
    async with bench.running(gateway=gateway) as engine:
        first = await bench.run("w")
        recorded = await engine.export_calls(first.run_id)
        asked = len(gateway.asked)
        if source == "file":
            again = await bench.run("w", replay_file=recorded.path)
        else:
            again = await bench.run("w", replay_run=first.run_id)

        assert recorded.calls == 3
        assert again.status == "completed"
        assert (await bench.state(again.run_id))["answer"] == ["one 0", "one 1", "two 2"]
        assert len(gateway.asked) == asked
        assert again.usage is None
        assert [row.status for row in await engine.list_calls(CallFilter(run_id=again.run_id))] == ["replayed"] * 3
        log = await bench.log(again.run_id)
        assert log[0].startswith("replay: calls are answered from")
        assert "is not covered" in log[1]


async def test_a_call_that_the_recording_does_not_have_fails_its_node_and_says_what_there_is(
    bench: Workbench,
) -> None:
    bench.write("w", TWICE)
    async with bench.running(gateway=counting()):
        first = await bench.run("w")
        bench.write("w", TWICE.replace('"two"', '"three"'))
        again = await bench.run("w", replay_run=first.run_id)

        assert again.status == "failed"
        assert again.error is not None
        assert again.error.type == "CallNotRecorded"
        assert "three" in again.error.message
        assert "Left of ask: two" in again.error.cause


async def test_a_replayed_run_stays_one_under_the_next_engine(bench: Workbench) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def prepare(self, shared, request_input):
                first = await self.llm("one")
                await request_input("Go on?", request_id="go")
                return [first, await self.llm("two")]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = prepared
        """,
    )
    async with bench.running(gateway=counting()):
        first = await bench.run("w", answers=[("go", "yes")])
        again = await bench.run("w", replay_run=first.run_id)
        assert again.status == "waiting_input"
    silent = ScriptedGateway()
    async with bench.running(gateway=silent):
        await bench.answer(again.run_id, "go", "yes")
        again = await bench.until(again.run_id, lambda view: view.status == "completed")

        assert (await bench.state(again.run_id))["answer"] == ["one 0", "two 1"]
        assert silent.asked == []


async def test_a_subflow_of_a_replayed_run_is_answered_from_the_same_recording(bench: Workbench) -> None:
    bench.write("inner", TWICE)
    bench.write(
        "outer",
        """
        class Call(Node):
            async def execute(self, prepared):
                return (await self.run_workflow("inner"))["answer"]

            def cleanup(self, shared, prepared, result):
                shared["answer"] = result
        """,
    )
    gateway = counting()
    async with bench.running(gateway=gateway) as engine:
        first = await bench.until((await bench.start("outer")).run_id, lambda view: view.status == "completed")
        recorded = await engine.export_calls(first.run_id)
        again = await bench.start("outer", replay_file=recorded.path)
        again = await bench.until(again.run_id, lambda view: view.status in ("completed", "failed"))

        assert (await bench.state(again.run_id))["answer"] == ["one 0", "one 1", "two 2"]
        assert len(gateway.asked) == 3


@pytest.mark.parametrize("text", ["", "[]", '{"format": "rondo.run"}', '{"format": "x", "calls": []}'])
async def test_what_is_no_recording_is_refused_and_nothing_starts(bench: Workbench, text: str) -> None:
    bench.write("w", TWICE)
    path = bench.root / "calls.json"
    path.write_text(text)
    async with bench.running(gateway=counting(), pool=InlinePool()):
        with pytest.raises(TransferProblem, match="is no recording"):
            await bench.start("w", replay_file=str(path))
        with pytest.raises(UnknownRun):
            await bench.start("w", replay_run="ffffffff")


async def test_the_recording_has_what_was_said_and_no_secret_of_a_header(bench: Workbench) -> None:
    bench.write("w", TWICE)
    async with bench.running(gateway=counting(), pool=InlinePool()) as engine:
        run = await bench.run("w")
        document = json.loads(Path((await engine.export_calls(run.run_id)).path).read_text())

        assert [call["reply"]["text"] for call in document["calls"]] == ["one 0", "one 1", "two 2"]
        assert [(call["node"], call["visit"], call["nth"]) for call in document["calls"]] == [
            ("ask", 1, 0),
            ("ask", 1, 1),
            ("ask", 1, 0),
        ]


async def test_an_exported_run_takes_its_calls_along(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench.write("w", TWICE)
    other = Workbench(tmp_path_factory.mktemp("other"))
    async with bench.running(gateway=counting(), pool=InlinePool()) as engine:
        run = await bench.run("w")
        path = (await engine.export_run(uuid.uuid4().hex, run.run_id)).path
        before = await engine.list_calls(CallFilter(run_id=run.run_id))
        spoken = [(await engine.read_call(row.number)).reply for row in before]
    async with other.running(pool=InlinePool()) as engine:
        imported = await engine.import_run(uuid.uuid4().hex, path)
        after = await engine.list_calls(CallFilter(run_id=imported.run_id))

        def facts(rows: list[Any]) -> list[Any]:
            return [(row.kind, row.status, row.node, row.title, row.usage, row.started_at) for row in rows]

        assert facts(after) == facts(before)
        assert [(await engine.read_call(row.number)).reply for row in after] == spoken
        assert (await engine.get_run(imported.run_id)).usage == (await engine.get_usage(imported.run_id))


async def test_a_file_of_the_format_before_calls_is_still_taken(bench: Workbench) -> None:
    bench.write("w", "class A(Node):\n    pass\n")
    async with bench.running(pool=InlinePool()) as engine:
        run = await bench.run("w")
        path = Path((await engine.export_run(uuid.uuid4().hex, run.run_id)).path)
        text = path.read_text().replace('"format_version":2', '"format_version":1').replace('"calls":[\n],\n', "")
        old = bench.root / "old.json"
        old.write_text(text.replace(',"replay":""', ""))

        assert '"calls"' not in old.read_text()
        assert (await engine.import_run(uuid.uuid4().hex, str(old))).status == "completed"


async def test_a_pruned_run_leaves_no_call_behind(bench: Workbench) -> None:
    bench.write("w", TWICE)
    async with bench.running(gateway=counting(), pool=InlinePool()) as engine:
        first = await bench.run("w")
        again = await bench.run("w", replay_run=first.run_id)
        await engine.prune(Prune(command_id=uuid.uuid4().hex, keep=0))
        await engine._retention.wait_for_clearing()

        with pytest.raises(UnknownRun):
            await engine.get_run(again.run_id)
        assert count(bench) == 0


async def test_a_damaged_row_costs_the_run_that_reads_it_and_doctor_names_it(bench: Workbench) -> None:
    bench.settings("[engine]\nkeep_process_seconds = 0\n")
    bench.write(
        "w",
        """
        class Ask(Node):
            async def prepare(self, shared, request_input):
                await self.llm("one")
                await request_input("Go on?", request_id="go")
        """,
    )
    async with bench.running(gateway=counting()) as engine:
        run = await bench.run("w")
        await bench.until(run.run_id, lambda view: view.status == "waiting_input" and not view.in_flight)
        with sqlite3.connect(bench.workspace.database) as connection:
            connection.execute("UPDATE calls SET crc = crc + 1")
        await bench.answer(run.run_id, "go", "yes")
        view = await bench.until(run.run_id, lambda view: view.status == "failed")

        assert view.error is not None
        assert view.error.type == "DatabaseDamaged"
        assert any("calls" in problem.message for problem in (await engine.doctor()).problems)
        (row,) = await engine.list_calls(CallFilter(run_id=run.run_id))
        with pytest.raises(DatabaseDamaged):
            await engine.read_call(row.number)
