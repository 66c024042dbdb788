"""Kills under load, one after the other, and what came of them."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import core
from core.crash_points import VARIABLE
from core.errors import RondoError
from core.link.session import EngineSession
from core.link.start import stop_engine
from core.places import Workspace
from core.runner.process_tree import children_of
from tests.crash.load import Load, answer_calls, write_workflows
from tests.crash.truth import Truth

LIMIT_SECONDS = 60.0
"""How long anything may take before it counts as stuck; machines are slow at times."""
REACH_SECONDS = 60.0
"""How long a point may take to be reached before it counts as not reached."""

RANDOM = "random"
FIRST = ("store.create.made", "store.create.named")
"""Reached only where there is no database yet."""
ELSEWHERE = ("prune.", "import.", "edit.", "folder.")
"""What the load does not do: take runs away and bring them in (tests/e2e kills at each place), change a workflow
(test_edit_kills.py), copy one or throw it away (tests/core/engine/test_shelf.py)."""


def crash_points() -> list[str]:
    """The names of all crash points in the code."""
    found: set[str] = set()
    for file in Path(core.__file__).parent.rglob("*.py"):
        found |= set(re.findall(r'crash_point\("([^"]+)"\)', file.read_text(encoding="utf-8")))
    return sorted(found)


def plan(count: int, seed: int) -> list[str]:
    """Which points are killed at, a quarter random kills among them; following seeds go on through the points."""
    points = [point for point in crash_points() if point not in FIRST and not point.startswith(ELSEWHERE)]
    random.Random(0).shuffle(points)
    named = count - count // 4
    chosen = [points[(seed * named + number) % len(points)] for number in range(named)]
    targets = chosen + [RANDOM] * (count - named)
    random.Random(seed).shuffle(targets)
    return targets


@dataclass
class Kill:
    """One kill: how long it took until work went on, None where that can't be said."""

    point: str
    recovery: float | None = None
    reached: bool = True


@dataclass
class Outcome:
    """What a campaign came to."""

    kills: list[Kill] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stuck: int = 0
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0

    @property
    def recoveries(self) -> list[float]:
        return sorted(kill.recovery for kill in self.kills if kill.recovery is not None)

    @property
    def not_reached(self) -> list[str]:
        return [kill.point for kill in self.kills if not kill.reached]

    @property
    def sound(self) -> bool:
        return not (self.lost or self.repeated or self.problems or self.stuck or self.not_reached)


class Campaign:
    """A workspace under load whose processes are killed."""

    def __init__(self, root: Path, seed: int, players: int) -> None:
        self.workspace = Workspace.at(root / "ws")
        self.arms = root / "arms"
        self.arms.mkdir(parents=True)
        # Engines are started from this process and take it over.
        os.environ[VARIABLE] = str(self.arms)
        self.chance = random.Random(seed)
        self.session = EngineSession(self.workspace, "test", wait=LIMIT_SECONDS)
        self.truth = Truth(self.workspace.root / "effects")
        self.load = Load(self.session, self.truth, self.chance)
        self.players = players
        self.pids: set[int] = set()
        self.outcome = Outcome()

    async def run(self, targets: Sequence[str], tell: Callable[[Kill], None] = lambda _: None) -> Outcome:
        """Kill at each target; return what was lost, repeated or stuck."""
        begun = time.monotonic()
        server = await asyncio.start_server(answer_calls, "127.0.0.1", 0)
        write_workflows(self.workspace, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for point in FIRST:
            self._arm(point, 1)
        try:
            self.session.open()
            await self._engine(other_than=0)
            await self.session.trust_workspace()
            for point in FIRST:
                self.outcome.kills.append(Kill(point, None, self._hit(point) is not None))
            self.load.begin(self.players)
            for target in targets:
                kill = await (self._kill_somebody() if target == RANDOM else self._kill_at(target))
                self.outcome.kills.append(kill)
                self.load.check()
                tell(kill)
            self.outcome.stuck = await self.load.end(LIMIT_SECONDS * 2)
            await self.truth.compare(self.session)
        finally:
            await self._end()
            server.close()
        truth, outcome = self.truth, self.outcome
        outcome.lost, outcome.repeated, outcome.problems = truth.lost, truth.repeated, truth.problems
        outcome.runs, outcome.steps = len(truth.runs), truth.steps_seen
        outcome.seconds = time.monotonic() - begun
        return outcome

    # Kills --------------------------------------------------------------------------------------------------------

    async def _kill_at(self, point: str) -> Kill:
        """Have a process die at a point, with what it takes to come there."""
        engine = await self._engine()
        self._arm(point, self.chance.randint(1, _most_arrivals(point)))
        if point.startswith(("engine.start", "engine.recover", "zygote.start")):
            _kill(engine)
            self.outcome.kills.append(Kill(RANDOM))
        elif point.startswith(("engine.stop", "writer.checkpoint")):
            await self.session.stop_engine()
        hit = await self._wait_for_hit(point)
        if hit is None:
            (self.arms / point).unlink(missing_ok=True)
            return Kill(point, None, reached=False)
        pid, at = hit
        if point.startswith("process."):
            return Kill(point, await self._run_goes_on(pid, at))
        if not point.startswith("zygote."):
            await self._engine(other_than=pid)
        return Kill(point, await self._work_goes_on(at))

    async def _kill_somebody(self) -> Kill:
        """Kill the engine, its zygote or a run process at any moment."""
        await asyncio.sleep(self.chance.random() * 0.5)
        engine = await self._engine()
        zygotes = children_of(engine)
        processes = [pid for zygote in zygotes for pid in children_of(zygote)]
        dice = self.chance.random()
        at = time.time()
        if dice < 0.2 and processes:
            victim = self.chance.choice(processes)
            run_id = self.truth.run_of(victim)
            _kill(victim)
            return Kill(RANDOM, None if run_id is None else await self._run_goes_on(victim, at))
        if dice < 0.35 and zygotes:
            _kill(zygotes[0])
        else:
            _kill(engine)
            await self._engine(other_than=engine)
        return Kill(RANDOM, await self._work_goes_on(at))

    async def _work_goes_on(self, at: float) -> float:
        """Seconds from a kill to the end of the first step that was made after it."""
        end = time.monotonic() + LIMIT_SECONDS
        while self.truth.newest_end <= at:
            if time.monotonic() > end:
                self.truth.problems.append("no step was made after a kill")
                return LIMIT_SECONDS
            await asyncio.sleep(0.01)
        return self.truth.newest_end - at

    async def _run_goes_on(self, pid: int, at: float) -> float | None:
        """Seconds from a process's death to the next step of its run; None where the run isn't known or has ended."""
        run_id = self.truth.run_of(pid)
        if run_id is None:
            return None
        seen = self.truth.runs[run_id]
        end = time.monotonic() + LIMIT_SECONDS
        while not seen.end and time.monotonic() < end:
            ends = [step_end for _, _, step_end, _ in seen.steps.values() if step_end > at]
            if ends:
                return min(ends) - at
            await asyncio.sleep(0.01)
        return None

    # Arming -------------------------------------------------------------------------------------------------------

    def _arm(self, point: str, arrivals: int) -> None:
        for ending in (".taken", ".hit"):
            (self.arms / f"{point}{ending}").unlink(missing_ok=True)
        new = self.arms / f"{point}.new"
        new.write_text(str(arrivals))
        new.rename(self.arms / point)

    def _hit(self, point: str) -> tuple[int, float] | None:
        """The process that died there, and when."""
        hit = self.arms / f"{point}.hit"
        try:
            return int(hit.read_text()), hit.stat().st_ctime
        except OSError:
            return None

    async def _wait_for_hit(self, point: str) -> tuple[int, float] | None:
        end = time.monotonic() + REACH_SECONDS
        while (hit := self._hit(point)) is None and time.monotonic() < end:
            self.load.check()
            await asyncio.sleep(0.01)
        return hit

    # The engine ---------------------------------------------------------------------------------------------------

    async def _engine(self, other_than: int = 0) -> int:
        """The pid of the engine, once there is one other than that."""
        async with asyncio.timeout(LIMIT_SECONDS):
            events = self.session.events()
            while (info := self.session.info) is None or info.pid == other_than:
                await anext(events)
        self.pids.add(info.pid)
        return info.pid

    async def _end(self) -> None:
        """End what was started here; a failure before this one is what counts."""
        os.environ.pop(VARIABLE, None)
        await self.load.give_up()
        await self.session.close()
        try:
            await stop_engine(self.workspace)
        except RondoError as error:
            self.truth.problems.append(f"the engine did not end when it was asked to: {error.message}")
        for pid in self.pids:
            if is_engine(pid):
                _kill(pid)


def _most_arrivals(point: str) -> int:
    """How often a process that is to die at a point may have come there before."""
    if point.startswith(("writer.checkpoint", "engine.", "zygote.start")):
        return 1
    if point.startswith("process."):
        # Each process counts for itself, and some make a few steps only.
        return 3 if point.startswith(("process.step", "process.visit")) else 1
    return 30 if point.startswith(("writer.", "run.step", "run.started", "link.")) else 3


def is_engine(pid: int) -> bool:
    """True while that process is an engine; a number that another process got meanwhile is none."""
    try:
        return b"core.engine.main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
