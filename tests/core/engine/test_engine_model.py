"""Any sequence of commands, crashes and restarts leaves every run where a simple model says."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from workbench import LIMIT_SECONDS

from core.engine import runs
from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.errors import InvalidAnswer, RunAtRest
from core.link.commands import Fork, ManyRuns, Rerun, Retry, Rewind, StateEdit
from core.link.types import FINAL, Answer, RunFilter, RunView, StartRun
from core.places import Workspace
from core.store.operation import Operation
from core.store.transaction import Transaction

NODES = '''
import asyncio
import os

from core.sdk import Node


class Planned(Node):
    """A node of a plan: when it is done the next of the plan is chosen."""

    def cleanup(self, shared, prepared, result):
        shared["at"] += 1
        if shared["at"] < len(shared["plan"]):
            self.goto(shared["plan"][shared["at"]])


class Begin(Planned):
    pass


class Add(Planned):
    def prepare(self, shared, request_input):
        shared["out"].append(shared["at"])


class Ask(Planned):
    async def prepare(self, shared, request_input):
        shared["out"].append(await request_input("How many?", {"min": 0, "max": 9}, "number", "q"))


class Fail(Planned):
    def execute(self, prepared):
        if not os.path.exists("FLAGS/mended"):
            raise ValueError("not mended yet")


class Hold(Planned):
    async def execute(self, prepared):
        while not os.path.exists("FLAGS/open"):
            await asyncio.sleep(0.002)
'''

PLANS = st.lists(st.sampled_from(["add", "ask", "hold", "hold", "fail"]), min_size=1, max_size=4)
ANSWERS = st.integers(0, 9)


@dataclass(frozen=True, slots=True)
class CopyFiles(Operation):
    """Copies the database's files between two transactions: what a kill would leave at that moment."""

    source: Path
    target: Path

    def apply(self, transaction: Transaction) -> None:
        self.target.mkdir()
        for file in self.source.glob("rondo.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, self.target / file.name)


@dataclass
class ModelRun:
    """What a run should be: the states after each step of its present line, and what it does next."""

    states: list[dict[str, Any]]
    until: str = "end"
    status: str = "running"
    answer: int | None = None
    """Given, and not taken up by a step yet."""
    edits: frozenset[int] = frozenset()
    """Steps at which a person changed the state: after them the next node is chosen again, also where none was."""

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    @property
    def next(self) -> str | None:
        plan, at = self.state["plan"], self.state["at"]
        return plan[at] if at < len(plan) else None

    def upto(self, step: int, paused: bool) -> ModelRun:
        """What goes on from a step of this run."""
        edits = frozenset(edit for edit in self.edits if edit <= step)
        return ModelRun(deepcopy(self.states[: step + 1]), "end", "paused" if paused else "running", edits=edits)

    @property
    def over(self) -> bool:
        """True where nothing follows, and nothing can."""
        return self.next is None and len(self.states) - 1 not in self.edits

    def go_on(self, world: World) -> None:
        """Go as far as can be without a person."""
        if self.status == "running" and self.next is None:
            self.status = "completed"
        if self.status == "running" and self.until == "pause" and self.next != "hold":
            raise AssertionError("only what holds can be about to pause")
        while self.status == "running" and self.next is not None:
            state = deepcopy(self.state)
            match self.next:
                case "add":
                    state["out"].append(state["at"])
                case "ask":
                    if self.answer is None:
                        self.status = "waiting_input"
                        return
                    state["out"].append(self.answer)
                    self.answer = None
                case "fail" if not world.mended:
                    self.status = "failed"
                    return
                case "hold" if not world.opened:
                    return
            state["at"] += 1
            self.states.append(state)
            if self.next is None:
                self.status = "completed"
            elif self.until in ("step", "pause"):
                self.status = "paused"
                self.until = "end"

    def ended(self) -> bool:
        return self.status in FINAL


@dataclass
class World:
    """What stands outside of the engine."""

    mended: bool = False
    opened: bool = True
    runs: dict[str, ModelRun] = field(default_factory=dict)

    def go_on(self) -> None:
        for run in self.runs.values():
            run.go_on(self)


Command = Callable[[], Coroutine[Any, Any, RunView]]


class EngineMachine(RuleBasedStateMachine):
    """Hypothesis calls the rules; each settles before the next."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(prefix="rondo-model-"))
        self.generation = itertools.count()
        self.world = World()
        self.last: tuple[Command, str] | None = None
        self.patches = patch.object(runs, "CLOSE_GRACE_SECONDS", 0.01)
        self.patches.start()
        folder = self.root / "workflows" / "plan"
        folder.mkdir(parents=True)
        (self.root / "flags").mkdir()
        (folder / "nodes.py").write_text(NODES.replace("FLAGS", str(self.root / "flags")))
        ids = ["begin", "add", "ask", "fail", "hold"]
        graph = {
            "name": "plan",
            "start": "begin",
            "nodes": [{"id": name, "class": name.capitalize()} for name in ids],
            "edges": [{"from": "begin", "to": name, "condition": "False"} for name in ids[1:]],
            "initial_state": {"plan": ["begin"], "at": 0, "out": []},
        }
        (folder / "plan.json").write_text(json.dumps(graph))
        self.open_gate(False)
        self.runs_dir = self.root / f"runs-{next(self.generation)}"
        self.runs_dir.mkdir()
        self.run(self.start_engine())

    def run(self, work: Awaitable[Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(LIMIT_SECONDS * 2):
                return await work

        return self.runner.run(bounded())

    async def start_engine(self) -> None:
        workspace = Workspace.at(self.root, runs_dir=self.runs_dir)
        self.engine = Engine(workspace, pool=InlinePool(), consent=True)
        await self.engine.start()

    def teardown(self) -> None:
        try:
            self.run(self.read_everything())
        finally:
            self.run(self.engine.close())
            self.runner.close()
            self.patches.stop()
            shutil.rmtree(self.root)

    # The world outside --------------------------------------------------------------------------------------------

    def open_gate(self, opened: bool) -> None:
        self.world.opened = opened
        flag = self.root / "flags" / "open"
        if opened:
            flag.touch()
        else:
            flag.unlink(missing_ok=True)

    @precondition(lambda self: self.any_in("running") or self.world.opened)
    @rule(opened=st.booleans())
    def the_gate(self, opened: bool) -> None:
        self.open_gate(opened)
        self.world.go_on()

    @precondition(lambda self: not self.world.mended and self.any_in("failed"))
    @rule()
    def mend(self) -> None:
        (self.root / "flags" / "mended").touch()
        self.world.mended = True

    @precondition(lambda self: bool(self.world.runs))
    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.engine.close()
            await self.start_engine()

        self.run(again())
        self.came_up()

    @precondition(lambda self: bool(self.world.runs))
    @rule()
    def crash(self) -> None:
        self.run(self.crashed())
        self.came_up()

    async def crashed(self) -> None:
        """Go on with another engine on what a kill would leave."""
        target = self.root / f"runs-{next(self.generation)}"
        await self.engine._store.commit([CopyFiles(self.runs_dir, target)])
        await self.engine.close()
        shutil.rmtree(self.runs_dir)
        self.runs_dir = target
        await self.start_engine()

    def came_up(self) -> None:
        """An engine that takes runs up pauses at once those that were about to."""
        for run in self.world.runs.values():
            if run.status == "running" and run.until == "pause":
                run.status, run.until = "paused", "end"

    # Commands -----------------------------------------------------------------------------------------------------

    def command(self, command: Command, dies: bool) -> str:
        """Give a command, also one whose engine dies under it, so that it is given again; return the run's id."""

        async def given() -> RunView:
            if not dies:
                return await command()
            task = asyncio.ensure_future(command())
            for _ in range(len(self.world.runs) % 5):
                await asyncio.sleep(0)
            await self.crashed()
            await asyncio.gather(task, return_exceptions=True)
            return await command()

        view: RunView = self.run(given())
        self.last = (command, view.run_id)
        return view.run_id

    def pick(self, data: st.DataObject, *statuses: str) -> tuple[str, ModelRun]:
        fitting = [run_id for run_id, run in self.world.runs.items() if run.status in statuses]
        run_id = data.draw(st.sampled_from(fitting))
        return run_id, self.world.runs[run_id]

    def any_in(self, *statuses: str) -> bool:
        return any(run.status in statuses for run in self.world.runs.values())

    @initialize(plans=st.lists(PLANS, min_size=2, max_size=3))
    def start_some(self, plans: list[list[str]]) -> None:
        for plan in plans:
            self.start(plan, "end", False)

    @rule(plan=PLANS, until=st.sampled_from(["end", "end", "step"]), dies=st.booleans())
    def start(self, plan: list[str], until: Any, dies: bool) -> None:
        start = StartRun(command_id=uuid.uuid4().hex, workflow="plan", inputs={"plan": ["begin", *plan]}, until=until)
        run_id = self.command(lambda: self.engine.start_run(start), dies)
        assert run_id not in self.world.runs
        self.world.runs[run_id] = ModelRun([{"plan": ["begin", *plan], "at": 0, "out": []}], until)
        self.settle_after(dies)

    def settle_after(self, dies: bool) -> None:
        self.world.go_on()
        if dies:
            self.came_up()

    @precondition(lambda self: self.any_in("waiting_input"))
    @rule(data=st.data(), value=ANSWERS, dies=st.booleans())
    def answer(self, data: st.DataObject, value: int, dies: bool) -> None:
        run_id, run = self.pick(data, "waiting_input")
        answer = Answer(command_id=uuid.uuid4().hex, run_id=run_id, request="q", value=value)
        self.command(lambda: self.engine.answer(answer), dies)
        run.answer, run.status = value, "running"
        self.settle_after(dies)

    @precondition(lambda self: self.any_in("waiting_input"))
    @rule(data=st.data())
    def answer_wrongly(self, data: st.DataObject) -> None:
        run_id, _ = self.pick(data, "waiting_input")
        answer = Answer(command_id=uuid.uuid4().hex, run_id=run_id, request="q", value="many")
        with pytest.raises(InvalidAnswer):
            self.run(self.engine.answer(answer))

    @precondition(lambda self: self.any_in("paused"))
    @rule(data=st.data(), until=st.sampled_from(["step", "end"]), dies=st.booleans())
    def go_on(self, data: st.DataObject, until: str, dies: bool) -> None:
        run_id, run = self.pick(data, "paused")
        own = uuid.uuid4().hex
        if until == "step":
            self.command(lambda: self.engine.step_run(own, run_id, []), dies)
        else:
            self.command(lambda: self.engine.continue_run(own, run_id), dies)
        run.until, run.status = until, "running"
        self.settle_after(dies)

    @precondition(lambda self: self.any_in("running", "waiting_input"))
    @rule(data=st.data(), now=st.booleans(), dies=st.booleans())
    def pause(self, data: st.DataObject, now: bool, dies: bool) -> None:
        run_id, run = self.pick(data, "running", "waiting_input")
        # An engine that comes up pauses what was about to pause: then a pause is refused.
        dies = dies and run.until != "pause"
        own = uuid.uuid4().hex
        self.command(lambda: self.engine.pause_run(own, run_id, now), dies)
        if dies:
            self.came_up()
        # Where the engine died, nobody can tell whether it had the command before: then the run is paused by now.
        if now or run.status == "waiting_input" or (dies and self.run(self.is_paused(run_id))):
            run.status, run.until = "paused", "end"
        else:
            run.until = "pause"
        self.world.go_on()

    async def is_paused(self, run_id: str) -> bool:
        """Wait until the run is paused, or in its visit again; True where it is paused."""
        events = self.engine.events()
        while (view := await self.engine.get_run(run_id)).status != "paused" and not view.in_flight:
            await anext(events)
        return view.status == "paused"

    @precondition(lambda self: self.any_in("running"))
    @rule(dies=st.booleans())
    def pause_all_that_hold_and_open_the_gate(self, dies: bool) -> None:
        many = ManyRuns(
            command_id=uuid.uuid4().hex,
            action="pause",
            runs=[run_id for run_id, run in self.world.runs.items() if run.status == "running"],
        )
        for outcome in self.run(self.engine.act_on_runs(many)):
            assert outcome.error is None
            self.world.runs[outcome.run_id].until = "pause"
        if dies:
            self.run(self.crashed())
            self.came_up()
        self.the_gate(True)

    @precondition(lambda self: self.any_in("running", "waiting_input", "paused"))
    @rule(data=st.data(), dies=st.booleans())
    def cancel(self, data: st.DataObject, dies: bool) -> None:
        run_id, run = self.pick(data, "running", "waiting_input", "paused")
        own = uuid.uuid4().hex
        self.command(lambda: self.engine.cancel_run(own, run_id), dies)
        run.status = "cancelled"
        self.settle_after(dies)

    @precondition(lambda self: self.any_in(*FINAL))
    @rule(data=st.data())
    def command_what_has_ended(self, data: st.DataObject) -> None:
        run_id, _ = self.pick(data, *FINAL)
        with pytest.raises(RunAtRest):
            self.run(self.engine.cancel_run(uuid.uuid4().hex, run_id))
        with pytest.raises(RunAtRest):
            self.run(self.engine.continue_run(uuid.uuid4().hex, run_id))

    @precondition(lambda self: self.any_in("failed", "cancelled"))
    @rule(data=st.data(), dies=st.booleans())
    def retry(self, data: st.DataObject, dies: bool) -> None:
        run_id, run = self.pick(data, "failed", "cancelled")
        retry = Retry(command_id=uuid.uuid4().hex, run_id=run_id)
        self.command(lambda: self.engine.retry_run(retry), dies)
        run.status, run.until, run.answer = "running", "end", None
        self.settle_after(dies)

    def pick_step(self, data: st.DataObject) -> tuple[str, ModelRun, int]:
        """A run and one of its steps after which something follows."""
        run_id, run = self.pick(data, "running", "waiting_input", "paused", *FINAL)
        return run_id, run, data.draw(st.integers(0, len(run.states) - 1))

    @precondition(lambda self: bool(self.world.runs))
    @rule(data=st.data(), paused=st.booleans(), dies=st.booleans())
    def rewind(self, data: st.DataObject, paused: bool, dies: bool) -> None:
        run_id, run, step = self.pick_step(data)
        rewind = Rewind(command_id=uuid.uuid4().hex, run_id=run_id, step=step, paused=paused)
        after = run.upto(step, paused)
        if after.over:
            with pytest.raises(RunAtRest):
                self.run(self.engine.rewind_run(rewind))
            return
        self.command(lambda: self.engine.rewind_run(rewind), dies)
        self.world.runs[run_id] = after
        self.settle_after(dies)

    @precondition(lambda self: bool(self.world.runs))
    @rule(data=st.data(), paused=st.booleans(), edit=st.none() | st.integers(100, 109), dies=st.booleans())
    def fork(self, data: st.DataObject, paused: bool, edit: int | None, dies: bool) -> None:
        run_id, run, step = self.pick_step(data)
        edits = [] if edit is None else [StateEdit(path=["out"], value=[edit])]
        fork = Fork(command_id=uuid.uuid4().hex, run_id=run_id, step=step, paused=paused, edits=edits)
        after = run.upto(step, paused)
        if after.over and edit is None:
            with pytest.raises(RunAtRest):
                self.run(self.engine.fork_run(fork))
            return
        if edit is not None:
            after.states.append({**deepcopy(after.state), "out": [edit]})
            after.edits |= {len(after.states) - 1}
        new = self.command(lambda: self.engine.fork_run(fork), dies)
        assert new not in self.world.runs
        self.world.runs[new] = after
        self.settle_after(dies)

    @precondition(lambda self: bool(self.world.runs))
    @rule(data=st.data(), dies=st.booleans())
    def rerun(self, data: st.DataObject, dies: bool) -> None:
        run_id, run = self.pick(data, "running", "waiting_input", "paused", *FINAL)
        rerun = Rerun(command_id=uuid.uuid4().hex, run_id=run_id)
        new = self.command(lambda: self.engine.rerun(rerun), dies)
        assert new not in self.world.runs
        self.world.runs[new] = ModelRun([deepcopy(run.states[0])])
        self.settle_after(dies)

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_the_last_command(self) -> None:
        assert self.last is not None
        command, run_id = self.last
        assert self.run(command()).run_id == run_id

    # What must be so ----------------------------------------------------------------------------------------------

    @invariant()
    def every_run_is_where_the_model_says(self) -> None:
        self.run(self.settled())

    async def settled(self) -> None:
        assert len(await self.engine.list_runs(RunFilter(limit=200))) == len(self.world.runs)
        events = self.engine.events()
        for run_id, run in self.world.runs.items():
            try:
                async with asyncio.timeout(LIMIT_SECONDS):
                    while not self.fits(view := await self.engine.get_run(run_id), run):
                        await anext(events)
            except TimeoutError:
                raise AssertionError(f"the model has {run}, the engine {view}") from None
            assert view.step == len(run.states) - 1
            assert (await self.state(run_id)) == run.state
            asked = [request.key.split(":")[0] for request in view.open_requests]
            assert (asked == ["ask"]) if run.status == "waiting_input" else run.status == "paused" or not asked

    def fits(self, view: RunView, run: ModelRun) -> bool:
        if view.status != run.status or view.step < len(run.states) - 1:
            return False
        return run.status != "running" or [flight.node for flight in view.in_flight] == ["hold"]

    async def state(self, run_id: str, seq: int | None = None) -> Any:
        return json.loads((await self.engine.read_state_chunk(run_id, seq)).data)

    async def read_everything(self) -> None:
        for run_id, run in self.world.runs.items():
            for seq, state in enumerate(run.states):
                assert await self.state(run_id, seq) == state


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.mark.parametrize(
    ("examples", "steps"), [(20, 16), pytest.param(80, 30, marks=pytest.mark.long)], ids=["daily", "long"]
)
def test_any_sequence_of_commands_and_crashes_leaves_every_run_where_the_model_says(examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        EngineMachine,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET),
    )
