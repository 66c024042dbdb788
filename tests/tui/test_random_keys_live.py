"""Any keys and clicks on a real engine: no exception, and nothing that was acknowledged is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from looking import LIMIT_SECONDS, until
from random_keys import SIZES, burst, go_home, is_home

from core.link.commands import Rerun
from core.link.event_types import Event, StepChanged
from core.link.retention_types import Prune, PruneReport
from core.link.session import EngineSession
from core.link.start import stop_engine
from core.link.types import Answer, RunFilter, RunView, StartRun
from core.places import Workspace
from tui.app import RondoApp

EXAMPLES = Path(__file__).parents[2] / "workflows"
WORKFLOWS = ("hello", "onboarding", "review_loop", "fan_out")


class Witness(EngineSession):
    """The app's way to the engine, which keeps in mind what the engine acknowledged."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace, "tui", wait=LIMIT_SECONDS)
        self.removed: set[str] = set()
        """Runs that the keys removed for good."""
        self.runs: set[str] = set()
        self.answered: set[tuple[str, str]] = set()
        self.steps: set[tuple[str, int, int]] = set()

    async def start_run(self, start: StartRun) -> RunView:
        return self._seen(await super().start_run(start))

    async def rerun(self, rerun: Rerun) -> RunView:
        return self._seen(await super().rerun(rerun))

    async def answer(self, answer: Answer) -> RunView:
        run = self._seen(await super().answer(answer))
        self.answered.add((answer.run_id, answer.request))
        return run

    async def prune(self, prune: Prune) -> PruneReport:
        report = await super().prune(prune)
        if not prune.dry_run:
            self.removed |= {run.run_id for run in report.removed}
        return report

    async def events(self) -> AsyncIterator[list[Event]]:
        async for batch in super().events():
            for event in batch:
                if isinstance(event, StepChanged) and event.seq is not None:
                    self.steps.add((event.run_id, event.line, event.seq))
            yield batch

    def forget_removed(self) -> None:
        """Nothing is to be there of runs that were removed."""
        self.runs -= self.removed
        self.answered = {one for one in self.answered if one[0] not in self.removed}
        self.steps = {one for one in self.steps if one[0] not in self.removed}

    def _seen(self, run: RunView) -> RunView:
        self.runs.add(run.run_id)
        return run


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may save a log, and the folder that is offered for it is the present one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for variable in ("VISUAL", "EDITOR"):
        monkeypatch.setenv(variable, "true")
    for name in WORKFLOWS:
        shutil.copytree(EXAMPLES / name, tmp_path / "w" / "workflows" / name)
    return Workspace.at(tmp_path / "w")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_keys_and_clicks_on_a_live_engine_lose_nothing(seed: int, workspace: Workspace) -> None:
    await use_wildly(seed, 400, workspace)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
async def test_many_random_keys_and_clicks_on_a_live_engine_lose_nothing(seed: int, workspace: Workspace) -> None:
    await use_wildly(seed, 1000, workspace)


async def use_wildly(seed: int, count: int, workspace: Workspace) -> None:
    rng = random.Random(seed)
    witness = Witness(workspace)
    app = RondoApp(workspace, make_client=lambda _: witness)
    done: list[str] = []
    try:
        async with app.run_test(size=rng.choice(SIZES)) as pilot:
            await until(pilot, lambda: app.connected_once)
            await app.engine.trust_workspace()
            leave = app.leave
            app.leave = lambda: None  # type: ignore[method-assign]
            for name in WORKFLOWS:
                await app.engine.start_run(StartRun(command_id=f"{seed}-{name}", workflow=name))
            while len(done) < count:
                done += await burst(pilot, rng)
            await go_home(pilot, app)
            await until(pilot, lambda: is_home(app), f"back home after {done}")
            app.leave = leave  # type: ignore[method-assign]
        await check_nothing_lost(workspace, witness)
    finally:
        await stop_engine(workspace)


async def check_nothing_lost(workspace: Workspace, witness: Witness) -> None:
    """What the engine acknowledged is there for the next client, and its files are sound."""
    session = EngineSession(workspace, "test", wait=LIMIT_SECONDS)
    witness.forget_removed()
    session.open()
    try:
        kept: dict[str, Any] = {run.run_id: run for run in await session.list_runs(RunFilter(limit=1000))}
        assert witness.runs <= set(kept)
        assert {f"{run}-{line}-{seq}" for run, line, seq in witness.steps} <= await steps_of(session, witness)
        for run_id, key in witness.answered:
            assert (await session.read_request(run_id, key)).status != "open"
        doctor = await session.doctor()
        assert doctor.problems == [] and doctor.unclean_ends == []
    finally:
        await session.close()


async def steps_of(session: EngineSession, witness: Witness) -> set[str]:
    """All steps of the lines in which a step was told."""
    found = set()
    for run_id, line in {(run_id, line) for run_id, line, _ in witness.steps}:
        page = await session.read_steps(run_id, line=line)
        found |= {f"{run_id}-{line}-{step.step}" for step in page.steps}
    return found
