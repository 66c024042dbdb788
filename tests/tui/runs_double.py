"""An engine that does what the Runs screen asks for many runs at once."""

from __future__ import annotations

from engine_double import EngineDouble, _difference
from travelling import Travelling

from core.errors import RondoError
from core.link.commands import ManyRuns
from core.link.event_types import PruneChanged
from core.link.retention_types import KeptRun, Prune, PrunedRun, PruneReport
from core.link.types import FINAL, ChangeView, ErrorView, RunOutcome, StatePoint


class ManyRunsDouble(Travelling):
    """An engine with commands for many runs. `writes` are runs whose nodes may act again."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: set[str] = set()

    async def act_on_runs(self, many: ManyRuns) -> list[RunOutcome]:
        self.sent.append(many)
        return [await self._outcome(many, run_id) for run_id in many.runs]

    async def _outcome(self, many: ManyRuns, run_id: str) -> RunOutcome:
        if run_id in self.writes and not many.acknowledge_effects:
            error = ErrorView(type="EffectsNotAcknowledged", message="Going on may repeat: send (once).")
            return RunOutcome(run_id=run_id, status=None, error=error)
        try:
            if many.action == "cancel":
                view = await EngineDouble.cancel_run(self, "", run_id)
            elif many.action == "resume":
                view = await self.continue_run("", run_id)
            else:
                run = self._run(run_id)
                run.status = "paused" if many.action == "pause" else "running"
                self._run_changed(run)
                view = await self.get_run(run_id)
        except RondoError as error:
            return RunOutcome(run_id=run_id, status=None, error=ErrorView(type="RunAtRest", message=error.message))
        return RunOutcome(run_id=run_id, status=view.status)

    async def prune(self, prune: Prune) -> PruneReport:
        self.sent.append(prune)
        runs = [self._run(run_id) for run_id in prune.runs or []]
        gone = [run for run in runs if run.status in FINAL]
        if not prune.dry_run:
            for run in gone:
                del self.runs[run.id]
            self.send(PruneChanged(phase="removing", done=len(gone)))
        return PruneReport(
            dry_run=prune.dry_run,
            removed=[
                PrunedRun(
                    run_id=run.id,
                    workflow=run.workflow,
                    status=run.status,  # type: ignore[arg-type]
                    created_at=run.created_at,
                    ended_at=run.ended_at,
                )
                for run in gone
            ],
            removed_count=len(gone),
            kept=[
                KeptRun(run_id=run.id, workflow=run.workflow, reason=f"it has not ended: {run.status}")
                for run in runs
                if run not in gone
            ],
            kept_count=len(runs) - len(gone),
            bytes_before=2_000_000,
            bytes_after=2_000_000 if prune.dry_run else 1_000_000,
            output_folders=len(gone),
        )

    async def read_difference(self, before: StatePoint, after: StatePoint) -> list[ChangeView]:
        return _difference(self._run(before.run_id).states[-1], self._run(after.run_id).states[-1], [])
