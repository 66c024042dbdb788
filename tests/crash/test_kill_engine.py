"""The engine is killed again and again under load: what it had acknowledged stays, and nothing is done twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cli_world import is_engine, wait_until

from core.errors import AlreadyAnswered, RunAtRest, UnknownRequest
from core.link.session import EngineSession
from core.link.types import FINAL, Answer, RunFilter, RunView, StartRun, StepChanged
from core.places import Workspace

LIMIT_SECONDS = 60.0
RUNS = 20

NODES = """
import os
import time

from core.sdk import Node


def mark(node, visit):
    '''One line for each time a visit begins; a single write at the end of the file, so lines never mix.'''
    handle = os.open(node.output_dir / "marks.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{node.id} {visit} {node.idempotency_key}\\n".encode())
    os.close(handle)


class Tick(Node):
    def prepare(self, shared, request_input):
        shared["n"] += 1
        mark(self, shared["n"])

    def cleanup(self, shared, prepared, result):
        while int(open("gate.txt").read()) < shared["n"]:
            time.sleep(0.01)


class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["asked"] += 1
        mark(self, shared["asked"])
        shared["answers"].append(await request_input("Which?", ["a", "b"], "select", "pick"))


class Confirm(Node):
    async def prepare(self, shared, request_input):
        mark(self, 1)
        shared["confirmed"] = await request_input("Done?", None, "text", "done")
"""


def write_workflows(workspace: Workspace, rounds: int) -> None:
    """`loop` ticks; `review` ticks and asks in turn, then asks a last question that a person has to answer."""
    for name in ("loop", "review"):
        folder = workspace.workflows_dir / name
        folder.mkdir(parents=True)
        (folder / "nodes.py").write_text(NODES)
    more = f"shared['n'] < {rounds}"
    loop = {
        "name": "loop",
        "nodes": [{"id": "tick", "class": "Tick"}],
        "edges": [{"from": "tick", "to": "tick", "condition": more}],
        "initial_state": {"n": 0},
    }
    review = {
        "name": "review",
        "nodes": [{"id": name.lower(), "class": name} for name in ("Tick", "Ask", "Confirm")],
        "edges": [
            {"from": "tick", "to": "ask"},
            {"from": "ask", "to": "tick", "condition": f"shared['n'] < {rounds // 2}"},
            {"from": "ask", "to": "confirm"},
        ],
        "initial_state": {"n": 0, "asked": 0, "answers": []},
    }
    (workspace.workflows_dir / "loop" / "loop.json").write_text(json.dumps(loop))
    (workspace.workflows_dir / "review" / "review.json").write_text(json.dumps(review))


@dataclass
class Battered:
    """A workspace whose engines are killed, and what was true of it before each kill."""

    workspace: Workspace
    session: EngineSession
    pids: set[int] = field(default_factory=set)
    begun: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """How often each visit had begun when its step was known to be durable."""

    def open_gate(self, rounds: int) -> None:
        """Let every run tick up to that round, so that there is work left for each kill."""
        new = self.workspace.root / "gate.new"
        new.write_text(str(rounds))
        new.replace(self.workspace.root / "gate.txt")

    async def connected(self, other_than: int | None = None) -> int:
        """The pid of the engine, once there is one other than that."""
        async with asyncio.timeout(LIMIT_SECONDS):
            events = self.session.events()
            while (info := self.session.info) is None or info.pid == other_than:
                await anext(events)
        self.pids.add(info.pid)
        return info.pid

    async def kill(self) -> None:
        """Kill the engine and wait for the next one."""
        pid = await self.connected()
        assert is_engine(pid)
        os.kill(pid, signal.SIGKILL)
        await self.connected(other_than=pid)

    async def steps(self, run_id: str) -> list[tuple[int | None, str, int]]:
        """The committed steps of a run: number, node, visit."""
        found: list[tuple[int | None, str, int]] = []
        more = True
        while more:
            page = await self.session.read_steps(run_id, after=len(found))
            done = [(step.step, step.node, step.visit) for step in page.steps if step.status == "completed"]
            found += done
            more = page.more
        return found

    def marks(self, run_id: str) -> list[tuple[str, int, str]]:
        """What the nodes of a run wrote down: node, visit, key."""
        file = self.workspace.output / run_id / "marks.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(node, int(visit), key) for node, visit, key in map(str.split, lines)]

    async def note_what_is_durable(self) -> None:
        rows = await self.session.list_runs(RunFilter(limit=100))
        for row, durable in zip(rows, await asyncio.gather(*(self.steps(row.run_id) for row in rows)), strict=True):
            begun = Counter((node, visit) for node, visit, _ in self.marks(row.run_id))
            for _, node, visit in durable:
                before = self.begun.setdefault((row.run_id, node, visit), begun[node, visit])
                assert begun[node, visit] == before, f"visit {visit} of {node} was run again after its step was durable"

    async def end(self) -> None:
        if self.session.info is not None:
            await self.session.stop_engine()
        await self.session.close()
        for pid in self.pids:
            await asyncio.to_thread(wait_until, lambda pid=pid: not is_engine(pid), "the engine's end")


@pytest.fixture
async def battered(tmp_path: Path) -> AsyncIterator[Battered]:
    workspace = Workspace.at(tmp_path / "ws")
    workspace.root.mkdir()
    session = EngineSession(workspace, "test", wait=LIMIT_SECONDS)
    session.open()
    battered = Battered(workspace, session)
    try:
        yield battered
    finally:
        try:
            await battered.end()
        finally:
            for pid in battered.pids:
                if is_engine(pid):
                    os.kill(pid, signal.SIGKILL)


def key_of(run_id: str, line: int, node: str, visit: int) -> str:
    return hashlib.sha256(json.dumps([run_id, line, node, visit]).encode()).hexdigest()


@pytest.mark.parametrize("kills", [15, pytest.param(100, marks=pytest.mark.long)])
async def test_an_engine_killed_at_any_moment_loses_nothing_and_does_nothing_twice(
    battered: Battered, kills: int
) -> None:
    chance = random.Random(20_260_101 + kills)
    session = battered.session
    write_workflows(battered.workspace, rounds=kills * 2)
    battered.open_gate(0)
    await battered.connected()
    await session.trust_workspace()
    asks = kills
    runs: list[RunView] = await asyncio.gather(
        *(
            session.start_run(
                StartRun(
                    command_id=f"start {number}",
                    workflow=("loop", "review")[number % 2],
                    answers=[("pick", "ab"[count % 2]) for count in range(asks + 1)] if number % 2 else [],
                )
            )
            for number in range(RUNS)
        )
    )
    assert len({run.run_id for run in runs}) == RUNS
    answering = asyncio.create_task(answer_last_questions(session, [run.run_id for run in runs[1::2]]))
    events = session.events()
    for number in range(kills):
        battered.open_gate(2 + number)
        wanted = chance.randint(1, RUNS // 2)
        async with asyncio.timeout(LIMIT_SECONDS):
            while wanted > 0:
                batch = await anext(events)
                wanted -= sum(isinstance(event, StepChanged) and event.status == "completed" for event in batch)
        await battered.note_what_is_durable()
        await asyncio.sleep(chance.random() * 0.03)
        await battered.kill()
    battered.open_gate(kills * 2)
    async with asyncio.timeout(LIMIT_SECONDS * 2):
        await answering
        for run in runs:
            while (view := await session.get_run(run.run_id)).status not in FINAL:
                await anext(events)
            assert (view.status, view.error) == ("completed", None)
    await battered.note_what_is_durable()
    for run in runs:
        steps = await battered.steps(run.run_id)
        assert [seq for seq, _, _ in steps] == list(range(1, len(steps) + 1))
        assert len(steps) == (kills * 2 if run.workflow == "loop" else 2 * asks + 1)
        marks = battered.marks(run.run_id)
        assert {(node, visit) for node, visit, _ in marks} == {(node, visit) for _, node, visit in steps}
        for node, visit, key in marks:
            assert key == key_of(run.run_id, run.line, node, visit)
    assert await session.list_requests() == []


async def answer_last_questions(session: EngineSession, run_ids: list[str]) -> None:
    """Answer each run's last question once it comes; the same command may go out again after a kill."""
    events = session.events()
    waiting = set(run_ids)
    while waiting:
        for request in await session.list_requests():
            assert request.request_id == "done", "a preset answer was lost"
            answer = Answer(
                command_id=f"answer {request.run_id}", run_id=request.run_id, request=request.key, value="yes"
            )
            try:
                await session.answer(answer)
            except (AlreadyAnswered, RunAtRest, UnknownRequest) as error:
                raise AssertionError("an answer was taken twice") from error
            waiting.discard(request.run_id)
        if waiting:
            await anext(events)
