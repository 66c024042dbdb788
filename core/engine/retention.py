"""Removing runs: which ones go, in which order, and what is deleted of them while others go on."""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import structlog

from core.crash_points import crash_point
from core.engine.events import EventBus
from core.errors import EngineStopping, RondoError, UsageError
from core.link.event_types import PruneChanged
from core.link.retention_types import KeptRun, Prune, PrunedRun, PruneReport
from core.link.types import FINAL
from core.places import Workspace
from core.store.operations import Operation, RecordCommand
from core.store.pruning import (
    DeletePrunedRows,
    ForgetOutput,
    GiveBackPages,
    PruneRun,
    RunAge,
    SweepBlobs,
    TrackBlobs,
)
from core.store.store import Store

log = structlog.get_logger()

NAMED = 500
"""Runs that a report names; it counts the others."""
RUNS_AT_ONCE = 20
BLOBS_AT_ONCE = 100_000
FOLDERS_AT_ONCE = 200
ROUNDS = 20
"""How often a prune by size looks again: how much a run takes is only estimated."""


@dataclass(slots=True)
class Choice:
    """The runs that go, and those that would go but for a reason."""

    selected: list[RunAge] = field(default_factory=list)
    kept: list[tuple[RunAge, str]] = field(default_factory=list)


class Chooser:
    """Which runs may go: a run goes only when every run that needs it goes too."""

    def __init__(self, runs: Sequence[RunAge], forks: Iterable[tuple[int, int]], prune: Prune, now: float) -> None:
        self._prune = prune
        self._now = now
        self._by_number = {run.number: run for run in runs}
        self._forks: dict[int, set[int]] = defaultdict(set)
        self._parents: dict[int, set[int]] = defaultdict(set)
        for child, parent in forks:
            self._forks[parent].add(child)
            self._parents[child].add(parent)
        named = None if prune.runs is None else set(prune.runs)
        wanted = [run for run in runs if prune.workflow in (None, run.workflow)]
        wanted = [run for run in wanted if named is None or run.id in named]
        self._unfinished = [run for run in wanted if named is not None and run.status not in FINAL]
        """Runs that are named and have not ended."""
        spared = _newest(wanted, prune.keep or 0)
        self.eligible = [run for run in wanted if run.status in FINAL and run.number not in spared]
        """Those that have ended and are not among the newest, the oldest end first."""
        self.eligible.sort(key=lambda run: (_ended(run), run.number))

    def by_age(self) -> Choice:
        """Those that age, or `keep` alone, lets go."""
        prune, choice = self._prune, Choice()
        choice.kept = [(run, f"it has not ended: {run.status}") for run in self._unfinished]
        if prune.older_than_seconds is not None:
            limit = self._now - prune.older_than_seconds
            wanted = [run for run in self.eligible if _ended(run) < limit]
        else:
            wanted = self.eligible if prune.max_bytes is None else []
        gone = {run.number for run in wanted}
        stays = [number for number in self._parents if number not in gone]
        while stays:
            needed = self._parents[stays.pop()] & gone
            gone -= needed
            stays += [number for number in needed if number in self._parents]
        # A fork has a higher number than the run it comes from, and goes first.
        for run in sorted(wanted, key=lambda run: run.number, reverse=True):
            holder = self.held_by(run.number, gone)
            if run.number in gone:
                choice.selected.append(run)
            elif holder is not None:
                choice.kept.append((run, _reason(run, holder)))
        return choice

    def held_by(self, number: int, gone: set[int]) -> RunAge | None:
        """A run that stays and reads the history of this one."""
        return next((self._by_number[fork] for fork in self._forks[number] if fork not in gone), None)

    def released_by(self, number: int, gone: set[int], waiting: set[int]) -> list[RunAge]:
        """The runs among `waiting` that nobody needs any more now that this one is gone."""
        return [
            self._by_number[parent]
            for parent in self._parents[number]
            if parent in waiting and self.held_by(parent, gone) is None
        ]


def _newest(runs: Sequence[RunAge], count: int) -> set[int]:
    """The numbers of the newest runs of each workflow."""
    if not count:
        return set()
    by_workflow: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        by_workflow[run.workflow].append(run.number)
    return {number for numbers in by_workflow.values() for number in sorted(numbers)[-count:]}


def _reason(run: RunAge, holder: RunAge) -> str:
    """Why a run stays: a fork, which is younger, reads its history, or the run above it, which is older, goes on."""
    if holder.number < run.number:
        return f"run {holder.id[-8:]} waits for it, its subflow"
    return f"the fork {holder.id[-8:]} reads its history"


def _ended(run: RunAge) -> float:
    return run.ended_at if run.ended_at is not None else run.created_at


class Retention:
    """Removes runs on request, one request at a time, and finishes what an engine before this one began."""

    def __init__(self, store: Store, workspace: Workspace, bus: EventBus, now: Callable[[], float]) -> None:
        self._store = store
        self._output = workspace.output
        self._bus = bus
        self._now = now
        self._clearing: asyncio.Task[int] | None = None
        self._closing = False
        self.exclusive = asyncio.Lock()
        """Held by whoever adds or deletes many rows in several transactions."""

    @property
    def busy(self) -> bool:
        """True while something is being deleted or taken in."""
        return self.exclusive.locked() or self._clearing is not None

    async def start(self) -> None:
        """Go on deleting what was left over, without waiting for it."""
        if await self._store.anything_to_prune():
            log.info("what was pruned or half imported before is being deleted")
            self.clear_soon()

    async def close(self) -> None:
        """Stop between two slices."""
        self._closing = True
        if self._clearing is not None:
            await asyncio.wait([self._clearing])

    async def prune(self, prune: Prune, command: RecordCommand) -> PruneReport:
        """Remove what the request names; see `EngineApi.prune`."""
        named = prune.runs is not None
        if not named and prune.older_than_seconds is None and prune.keep is None and prune.max_bytes is None:
            raise UsageError(
                "Nothing says which runs are meant.",
                cause="Neither runs, an age, a number to keep nor a size are given.",
                next_step="Give at least one: rondo prune --run RUN, --older-than 30d, --keep 20 or --max-size 500MB",
            )
        async with self.exclusive:
            earlier = await self._store.command(command.id)
            if earlier is not None and earlier.result is not None:
                return msgspec.json.decode(earlier.result, type=PruneReport)
            await self.wait_for_clearing()
            if prune.runs is not None:
                found = [(await self._store.run(ref)).id for ref in prune.runs]
                prune = msgspec.structs.replace(prune, runs=found)
            if prune.dry_run:
                return await self._dry_run(prune)
            report = await self._carry_out(prune)
            await self._store.commit([replace(command, result=msgspec.json.encode(report).decode())])
            return report

    async def _dry_run(self, prune: Prune) -> PruneReport:
        choice = await self._choose(prune, set())
        folders = await asyncio.to_thread(_count_folders, self._output, [run.id for run in choice.selected])
        size = await self._store.bytes_on_disk()
        return _report(True, choice, size, size, folders)

    async def _carry_out(self, prune: Prune) -> PruneReport:
        await self._store.empty_log()
        before = await self._store.bytes_on_disk()
        removed: list[RunAge] = []
        refused: dict[int, str] = {}
        folders = 0
        for _ in range(ROUNDS):
            choice = await self._choose(prune, set(refused))
            gone, refused_now = await self._remove(choice.selected)
            refused |= refused_now
            removed += gone
            folders += await self._clear_now()
            if prune.max_bytes is None or not gone:
                break
        kept = choice.kept + [(run, refused[run.number]) for run in choice.selected if run.number in refused]
        await self._store.empty_log()
        after = await self._store.bytes_on_disk()
        return _report(False, Choice(removed, kept), before, after, folders)

    # Choosing -----------------------------------------------------------------------------------------------------

    async def _choose(self, prune: Prune, refused: set[int]) -> Choice:
        runs = [run for run in await self._store.run_ages() if run.number not in refused]
        forks = await self._store.forks()
        chooser = await asyncio.to_thread(Chooser, runs, [f for f in forks if f[0] not in refused], prune, self._now())
        choice = await asyncio.to_thread(chooser.by_age)
        if prune.max_bytes is not None:
            await self._choose_by_size(chooser, choice, prune.max_bytes)
        return choice

    async def _choose_by_size(self, chooser: Chooser, choice: Choice, max_bytes: int) -> None:
        """Add the oldest runs until what is left is about small enough."""
        used, _ = await self._store.used_pages()
        excess = used - max_bytes
        seen: set[bytes] = set()
        gone: set[int] = set()
        for run in choice.selected:
            gone.add(run.number)
            if excess > 0:
                excess -= await self._store.run_bytes(run.number, seen)
        ended = [pair for pair in choice.kept if pair[0].status in FINAL]
        choice.kept = [pair for pair in choice.kept if pair[0].status not in FINAL]
        held = {run.number: run for run, _ in ended}
        for run in chooser.eligible:
            if excess <= 0:
                break
            if run.number in gone:
                continue
            if chooser.held_by(run.number, gone) is not None:
                held[run.number] = run
                continue
            due = [run]
            while due:
                next_run = due.pop()
                gone.add(next_run.number)
                held.pop(next_run.number, None)
                choice.selected.append(next_run)
                excess -= await self._store.run_bytes(next_run.number, seen)
                due += [r for r in chooser.released_by(next_run.number, gone, set(held)) if r.number not in gone]
        for run in held.values():
            holder = chooser.held_by(run.number, gone)
            if holder is not None:
                choice.kept.append((run, _reason(run, holder)))
        # Forks go before the runs whose history they read.
        choice.selected.sort(key=lambda run: run.number, reverse=True)

    # Deleting -----------------------------------------------------------------------------------------------------

    async def _remove(self, runs: Sequence[RunAge]) -> tuple[list[RunAge], dict[int, str]]:
        """Take runs away, forks first; returns those that are gone, and why others stay."""
        gone: list[RunAge] = []
        refused: dict[int, str] = {}
        for start in range(0, len(runs), RUNS_AT_ONCE):
            self._refuse_when_closing()
            some = runs[start : start + RUNS_AT_ONCE]
            outcomes = await self._store.commit([PruneRun(run.number) for run in some])
            for run, outcome in zip(some, outcomes, strict=True):
                if outcome is None:
                    gone.append(run)
                elif outcome == "going on":
                    refused[run.number] = "it goes on again"
                elif outcome != "gone":
                    refused[run.number] = f"run {outcome[-8:]} needs it"
            self._progress("removing runs", start + len(some), len(runs))
        return gone, refused

    async def _clear_now(self) -> int:
        """Delete what is left over; a caller that goes away stops nothing. Returns how many folders went."""
        if self._clearing is None:
            self.clear_soon()
        assert self._clearing is not None
        return await asyncio.shield(self._clearing)

    async def wait_for_clearing(self) -> None:
        """Wait until nothing is being deleted."""
        if self._clearing is not None:
            with suppress(RondoError):
                await asyncio.shield(self._clearing)

    def clear_soon(self) -> None:
        """Begin to delete what is left over; nobody waits for it."""
        task = asyncio.create_task(self._clear(), name="delete what was pruned")
        self._clearing = task
        task.add_done_callback(self._cleared)

    def _cleared(self, task: asyncio.Task[int]) -> None:
        self._clearing = None
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, EngineStopping):
            log.error("what was pruned could not be deleted whole; the next start goes on", error=str(error))

    async def _clear(self) -> int:
        """Delete rows, files, large values; then give the free pages back. Each slice is a commit of its own."""
        rows = 0
        while count := await self._commit_slice(DeletePrunedRows()):
            rows += count
            self._progress("deleting steps and logs", rows)
        folders = await self._delete_output()
        await self._sweep()
        while left := await self._commit_slice(GiveBackPages()):
            self._progress("giving space back", 0, left)
        await self._store.empty_log()
        self._progress("done", 1, 1)
        return folders

    async def _delete_output(self) -> int:
        folders = 0
        while names := await self._store.pruning("output", FOLDERS_AT_ONCE):
            ids = tuple(str(name) for name in names)
            folders += await asyncio.to_thread(_delete_folders, self._output, ids)
            crash_point("prune.output.deleted")
            await self._commit_slice(ForgetOutput(ids))
        return folders

    async def _sweep(self) -> None:
        """Delete the large values of what was pruned that nobody else names."""
        while names := await self._store.pruning("blob", BLOBS_AT_ONCE):
            candidates = {name for name in names if isinstance(name, bytes)}
            await self._commit_slice(TrackBlobs(True))
            try:
                used = await self._store.names_in_use(candidates)
                unused = sorted(candidates - used)
                done = 0
                for some in await self._store.blob_slices(unused):
                    await self._commit_slice(SweepBlobs(some))
                    done += len(some)
                    self._progress("deleting large values", done, len(unused))
                kept = sorted(used)
                for start in range(0, len(kept), 1000):
                    await self._commit_slice(SweepBlobs((), tuple(kept[start : start + 1000])))
            finally:
                await self._store.commit([TrackBlobs(False)])

    async def _commit_slice(self, operation: Operation) -> Any:
        self._refuse_when_closing()
        return (await self._store.commit([operation]))[0]

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise EngineStopping(
                "The engine is about to end.",
                cause="What is not deleted yet is deleted when it starts again.",
                next_step="Call again in a moment.",
            )

    def _progress(self, phase: str, done: int, total: int = 0) -> None:
        self._bus.publish(PruneChanged(phase=phase, done=done, total=total))


def _report(dry_run: bool, choice: Choice, before: int, after: int, folders: int) -> PruneReport:
    removed = sorted(choice.selected, key=lambda run: run.number)
    kept = sorted(choice.kept, key=lambda pair: pair[0].number)
    return PruneReport(
        dry_run=dry_run,
        removed=[
            PrunedRun(
                run_id=run.id,
                workflow=run.workflow,
                status=run.status,  # type: ignore[arg-type]
                created_at=run.created_at,
                ended_at=run.ended_at,
            )
            for run in removed[:NAMED]
        ],
        removed_count=len(removed),
        kept=[KeptRun(run_id=run.id, workflow=run.workflow, reason=reason) for run, reason in kept[:NAMED]],
        kept_count=len(kept),
        bytes_before=before,
        bytes_after=after,
        output_folders=folders,
    )


def _count_folders(output: Path, ids: Sequence[str]) -> int:
    return sum((output / run_id).is_dir() for run_id in ids)


def _delete_folders(output: Path, ids: Sequence[str]) -> int:
    """Remove the folders of runs; a link is removed and not followed. What can't be removed stays and is said."""
    count = 0
    for run_id in ids:
        folder = output / run_id
        try:
            if folder.is_symlink():
                folder.unlink()
            elif folder.is_dir():
                shutil.rmtree(folder)
                count += 1
        except OSError as error:
            log.warning("the files of a pruned run could not be removed", folder=str(folder), error=str(error))
    return count
