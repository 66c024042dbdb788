"""The load under which processes are killed: workflows of every kind, players who start, answer, step and cancel."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from core.errors import EngineLost, EngineStopping, EngineUnreachable, RunAtRest, WorkspaceLocked
from core.link.commands import Fork, Rewind, StateEdit
from core.link.event_types import EngineChanged, RequestChanged, Resync, RunChanged, StepChanged
from core.link.session import EngineSession
from core.link.types import FINAL, Answer, RunView, StartRun
from core.places import Workspace
from tests.crash.truth import Truth

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 5.0
"""A player that missed an event looks by itself; nothing is concluded from how long that takes."""

NODES = '''
import asyncio
import json
import os

from core.sdk import Node


def act(node, shared):
    """A side effect in the world outside: a line, on the disk before the node goes on; returns how many there are."""
    shared["n"] += 1
    path = f"effects/{node.output_dir.name}"
    with open(path, "a+", encoding="ascii") as file:
        file.write(json.dumps([shared["n"], node.id, node.idempotency_key, os.getpid()]) + "\\n")
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        return sum(json.loads(line)[0] == shared["n"] for line in file)


class Tick(Node):
    def prepare(self, shared, request_input):
        act(self, shared)

    async def execute(self, prepared):
        await asyncio.sleep(0.03)

    def cleanup(self, shared, prepared, result):
        shared["text"] = f"{shared['n']:08}" * 2500
        shared.setdefault("rows", []).append(shared["n"])


class Ask(Node):
    async def prepare(self, shared, request_input):
        act(self, shared)
        shared.setdefault("picked", []).append(await request_input("Which?", ["a", "b"], "select", "pick"))


class Confirm(Node):
    async def prepare(self, shared, request_input):
        act(self, shared)
        shared.setdefault("confirmed", []).append(await request_input("Sure?", None, "text", "sure"))


class Flaky(Node):
    tries = 0

    def prepare(self, shared, request_input):
        act(self, shared)

    def execute(self, prepared):
        self.tries += 1
        if self.tries == 1:
            raise RuntimeError("the first attempt of each visit fails")


class Dies(Node):
    def prepare(self, shared, request_input):
        if act(self, shared) == 1:
            os._exit(9)


class Waits(Node):
    async def prepare(self, shared, request_input):
        act(self, shared)
        await self.wait_for(0.2)


class Nests(Node):
    def prepare(self, shared, request_input):
        act(self, shared)

    async def execute(self, prepared):
        await self.run_workflow("inner", {"n": 0})


class Calls(Node):
    tries = 0

    def prepare(self, shared, request_input):
        act(self, shared)

    async def execute(self, prepared):
        said = (await self.http("GET", f"{ADDRESS}/{self.idempotency_key}")).text
        self.tries += 1
        if self.tries == 1:
            raise RuntimeError("the first attempt of each visit fails, and calls anew")
        return said


class Fails(Node):
    def prepare(self, shared, request_input):
        act(self, shared)

    def execute(self, prepared):
        raise ValueError("always")


def note(node, name=None):
    """A side effect of a node among several at once: which step it becomes, nobody knows yet."""
    with open(f"effects/{node.output_dir.name}", "a", encoding="ascii") as file:
        file.write(json.dumps([0, name or node.id, node.idempotency_key, os.getpid()]) + "\\n")
        file.flush()
        os.fsync(file.fileno())


class Part(Node):
    def prepare(self, shared, request_input):
        note(self)

    async def execute(self, prepared):
        await asyncio.sleep(0.05)

    def cleanup(self, shared, prepared, result):
        shared.setdefault("parts", []).append(self.id)


class Later(Part):
    async def execute(self, prepared):
        await self.wait_for(0.1)


class Items(Part):
    async def execute(self, prepared):
        return await self.map(self.work, range(4), concurrency=2)

    async def work(self, number):
        note(self, f"{self.id}[{number}]")
        await asyncio.sleep(0.02)
        return number

    def cleanup(self, shared, prepared, result):
        shared["items"] = result


class Join(Part):
    def cleanup(self, shared, prepared, result):
        shared["joined"] = [shared["parts"], shared["items"], shared.get("edit")]
'''

ATTEMPTS = 50
"""A killed run process uses up an attempt of the node in flight; kills alone must never fail a run."""

WORKFLOWS: dict[str, tuple[list[str], str]] = {
    "loop": (["Tick"], "shared['n'] < 25"),
    "review": (["Tick", "Ask", "Confirm"], "shared['n'] < 9"),
    "mixed": (["Tick", "Flaky", "Dies"], "shared['n'] < 9"),
    "timed": (["Tick", "Waits"], "shared['n'] < 6"),
    "nested": (["Tick", "Nests"], "shared['n'] < 6"),
    "calling": (["Tick", "Calls"], "shared['n'] < 6"),
    "inner": (["Tick"], "shared['n'] < 3"),
    "fails": (["Tick", "Fails"], "False"),
    "stepped": (["Tick"], "shared['n'] < 4"),
    "endless": (["Tick"], "True"),
}
"""For each workflow its classes, in a ring, and the condition to go round again."""

DAG = {"first": "Part", "left": "Part", "right": "Part", "later": "Later", "items": "Items", "join": "Join"}
"""The nodes of the workflow of mode dag: all but the first and the last run at once."""
PARTS = ["first", "left", "right", "later"]
EDIT = 7
"""What a fork of a dag has in its state under "edit"."""


async def answer_calls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what nodes call, one request a connection."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # Who called was killed.
    finally:
        writer.close()


def write_workflows(workspace: Workspace, address: str) -> None:
    """Write the workflows and make the folder for their side effects; nodes call `address`."""
    nodes_text = NODES.replace("{ADDRESS}", address)
    (workspace.root / "effects").mkdir(parents=True)
    for name, (classes, again) in WORKFLOWS.items():
        folder = workspace.workflows_dir / name
        folder.mkdir(parents=True)
        ids = [kind.lower() for kind in classes]
        nodes = [
            {"id": kind.lower(), "class": kind, **({} if kind == "Fails" else {"retry": {"attempts": ATTEMPTS}})}
            for kind in classes
        ]
        edges: list[dict[str, str]] = [{"from": one, "to": other} for one, other in itertools.pairwise(ids)]
        edges.append({"from": ids[-1], "to": ids[0], "condition": again})
        graph = {"name": name, "nodes": nodes, "edges": edges, "initial_state": {"n": 0}}
        (folder / "nodes.py").write_text(nodes_text)
        (folder / f"{name}.json").write_text(json.dumps(graph))
    _write_dag(workspace.workflows_dir / "dag")


def _write_dag(folder: Path) -> None:
    middle = [node for node in DAG if node not in ("first", "join")]
    graph = {
        "name": "dag",
        "mode": "dag",
        "reducers": {"parts": "append"},
        "nodes": [{"id": node, "class": kind, "retry": {"attempts": ATTEMPTS}} for node, kind in DAG.items()],
        "edges": [{"from": "first", "to": node} for node in middle] + [{"from": node, "to": "join"} for node in middle],
    }
    folder.mkdir()
    (folder / "nodes.py").write_text(NODES)
    (folder / "dag.json").write_text(json.dumps(graph))


@dataclass
class Load:
    """Players on one session. Each keeps one run going until `over`; then it brings its last run to the end."""

    session: EngineSession
    truth: Truth
    chance: random.Random
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: dict[str, asyncio.Event] = field(default_factory=dict)
    _players: list[asyncio.Task[None]] = field(default_factory=list)
    _listener: asyncio.Task[None] | None = None

    def begin(self, players: int) -> None:
        """Start the players."""
        self._listener = asyncio.create_task(self._listen())
        self._players = [asyncio.create_task(self._play(number)) for number in range(players)]

    async def end(self, seconds: float) -> int:
        """Let every player come to the end of its run; return how many runs had not ended by then."""
        self.over.set()
        _, stuck = await asyncio.wait(self._players, timeout=seconds)
        self.check()
        return len(stuck)

    async def give_up(self) -> None:
        """End players and listener wherever they are."""
        tasks = [task for task in (*self._players, self._listener) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a player met that should not be."""
        for task in self._players:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _listen(self) -> None:
        async for batch in self.session.events():
            for event in batch:
                match event:
                    case StepChanged():
                        self.truth.step_seen(event)
                    case RunChanged(run_id=run_id) | RequestChanged(run_id=run_id):
                        if run_id in self._changed:
                            self._changed[run_id].set()
                        elif isinstance(event, RunChanged) and event.status in FINAL and run_id in self.truth.runs:
                            # A run that no player started is nested in one.
                            self.truth.end_seen(run_id, event.status)
                    case Resync() | EngineChanged():
                        for changed in self._changed.values():
                            changed.set()

    async def _call(self, act: Callable[[], Awaitable[T]]) -> T:
        """Call the engine with the same command until one answers."""
        while True:
            try:
                return await act()
            except (EngineStopping, EngineLost, EngineUnreachable, WorkspaceLocked):
                await asyncio.sleep(0.1)

    async def _until(self, run_id: str, condition: Callable[[RunView], bool]) -> RunView:
        changed = self._changed.setdefault(run_id, asyncio.Event())
        while True:
            changed.clear()
            view = await self._call(lambda: self.session.get_run(run_id))
            if condition(view):
                return view
            try:
                await asyncio.wait_for(changed.wait(), LOOK_AGAIN_SECONDS)
            except TimeoutError:
                continue

    # Players ------------------------------------------------------------------------------------------------------

    async def _play(self, number: int) -> None:
        kinds = [*WORKFLOWS, "dag"]
        for turn in itertools.count():
            workflow = kinds[(number + turn) % len(kinds)]
            start = StartRun(
                command_id=f"start {number}/{turn}",
                workflow=workflow,
                answers=[("pick", "ab"[count % 2]) for count in range(3)] if workflow == "review" else [],
                until="step" if workflow == "stepped" else "end",
            )
            view = await self._call(lambda start=start: self.session.start_run(start))  # type: ignore[misc]
            self.truth.start_seen(view.run_id, workflow)
            self._changed.setdefault(view.run_id, asyncio.Event())
            play: Callable[[str], Awaitable[str]] = getattr(self, f"_play_{workflow}", self._play_to_the_end)
            self.truth.end_seen(view.run_id, await play(view.run_id))
            self._changed.pop(view.run_id, None)
            if self.over.is_set():
                return

    async def _play_to_the_end(self, run_id: str) -> str:
        return (await self._until(run_id, lambda view: view.status in FINAL)).status

    async def _play_review(self, run_id: str) -> str:
        for visit in itertools.count(1):
            view = await self._until(
                run_id,
                lambda view, visit=visit: view.status in FINAL or _asks(view, visit),  # type: ignore[misc]
            )
            if view.status in FINAL:
                return view.status
            value: Any = f"yes {visit}"
            answer = Answer(
                command_id=f"answer {run_id} {visit}", run_id=run_id, request=f"confirm:{visit}:sure:0", value=value
            )
            await self._call(lambda answer=answer: self.session.answer(answer))  # type: ignore[misc]
            self.truth.answer_seen(run_id, value)
        raise AssertionError

    async def _play_stepped(self, run_id: str) -> str:
        for step in itertools.count(1):
            view = await self._until(run_id, lambda view: view.status in FINAL or view.status == "paused")
            if view.step != step:
                self.truth.wrong(run_id, f"step command {step} left the run at step {view.step}")
            if view.status in FINAL:
                return view.status
            await self._call(lambda step=step: self.session.step_run(f"step {run_id} {step}", run_id, []))  # type: ignore[misc]
        raise AssertionError

    async def _play_dag(self, run_id: str) -> str:
        """Pause and go on, rewind, fork with an edit: each line comes to its end."""
        if self.chance.random() < 0.6:
            now = self.chance.random() < 0.5
            await self._until(run_id, lambda view: view.status in FINAL or view.step > 0)
            try:
                await self._call(lambda: self.session.pause_run(f"pause {run_id}", run_id, now))
            except RunAtRest:
                pass  # It had ended before.
            view = await self._until(run_id, lambda view: view.status in FINAL or view.status == "paused")
            if view.status == "paused":
                await self._call(lambda: self.session.continue_run(f"go on {run_id}", run_id))
        await self._until(run_id, lambda view: view.status in FINAL)
        step = self.chance.randint(0, 4)
        rewind = Rewind(command_id=f"rewind {run_id}", run_id=run_id, step=step)
        await self._call(lambda: self.session.rewind_run(rewind))
        view = await self._until(run_id, lambda view: view.status in FINAL)
        self.truth.joined_seen(run_id, [PARTS, [0, 1, 2, 3], None])
        edits = [StateEdit(path=["edit"], value=EDIT)]
        fork = Fork(command_id=f"fork {run_id}", run_id=run_id, step=step, edits=edits)
        forked = await self._call(lambda: self.session.fork_run(fork))
        self.truth.start_seen(forked.run_id, "dag")
        self._changed.setdefault(forked.run_id, asyncio.Event())
        forked = await self._until(forked.run_id, lambda view: view.status in FINAL)
        page = await self._call(lambda: self.session.read_steps(forked.run_id))
        before = {row.node for row in page.steps if row.step is not None and row.step <= step}
        # What was done before the edit comes before it, and so before all that was done after it.
        parts = [node for node in PARTS if node in before] + [node for node in PARTS if node not in before]
        self.truth.joined_seen(forked.run_id, [parts, [0, 1, 2, 3], EDIT])
        self.truth.end_seen(forked.run_id, forked.status)
        return view.status

    async def _play_endless(self, run_id: str) -> str:
        wanted = self.chance.randint(1, 12)
        await self._until(run_id, lambda view: view.status == "running")
        await asyncio.sleep(wanted * 0.05)
        view = await self._call(lambda: self.session.cancel_run(f"cancel {run_id}", run_id))
        self.truth.cancel_seen(run_id)
        return view.status


def _asks(view: RunView, visit: int) -> bool:
    return any(request.request_id == "sure" and request.visit == visit for request in view.open_requests)
