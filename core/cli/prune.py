"""`rondo prune`: runs that have ended are removed, by age, number and size."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import typer

from core.cli import prompt
from core.cli.call import (
    Call,
    Client,
    JsonOption,
    WorkspaceOption,
    complete_workflow,
    end_task,
    new_command_id,
    open_call,
)
from core.cli.documents import Document
from core.cli.output import Part, ago, byte_size, iso_time, status_part
from core.errors import UsageError
from core.link.event_types import Event, PruneChanged
from core.link.retention_types import Prune, PruneReport

AGE_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
SHOWN = 20
"""Runs that people see listed of each kind."""
PROGRESS_SECONDS = 1.0
"""Between two lines that say how far it is; a quick prune says nothing."""


def parse_age(text: str) -> float:
    """Seconds of a text such as 30d, 12h, 2w; raises UsageError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in AGE_UNITS:
        raise UsageError(
            f"{text!r} is not an age.",
            cause=f"An age is a number with a unit: {', '.join(AGE_UNITS)}.",
            next_step="Write it like 30d, 12h or 2w.",
        )
    return float(match[1]) * AGE_UNITS[match[2]]


def parse_size(text: str) -> int:
    """Bytes of a text such as 500MB, 2GB; raises UsageError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    unit = (match[2].upper() or "B") if match is not None else ""
    unit = unit if unit.endswith("B") else f"{unit}B"
    if match is None or unit not in SIZE_UNITS:
        raise UsageError(
            f"{text!r} is not a size.",
            cause="A size is a number of bytes, or a number with a unit: KB, MB, GB, KiB, MiB, GiB.",
            next_step="Write it like 500MB or 2GB.",
        )
    return int(float(match[1]) * SIZE_UNITS[unit])


def prune_command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Only runs of this workflow.",
            autocompletion=complete_workflow,
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="This run; may be given again. Alone, it goes.", show_default=False),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Runs that ended longer ago: 30d, 12h.", show_default=False),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="N",
            min=0,
            help="The newest N runs of each workflow stay; without another criterion all others go.",
            show_default=False,
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            help="The oldest go until the database holds no more than this: 500MB, 2GB.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Remove runs that have ended; what other runs need stays."""
    call = open_call(context, workspace, as_json)
    if not runs and older_than is None and keep is None and max_size is None:
        raise UsageError(
            "Which runs should go?",
            cause="Neither runs, an age, a number to keep nor a size are given.",
            next_step="Give at least one: rondo prune --run RUN, --older-than 30d, --keep 20 or --max-size 500MB",
        )
    prune = Prune(
        command_id=new_command_id(),
        workflow=name,
        older_than_seconds=parse_age(older_than) if older_than is not None else None,
        keep=keep,
        max_bytes=parse_size(max_size) if max_size is not None else None,
        dry_run=True,
        runs=runs or None,
    )

    async def work(client: Client) -> int:
        if not yes or dry_run:
            plan = await client.ask(lambda engine: engine.prune(prune))
            if dry_run or not plan.removed_count:
                _tell(call, plan)
                return 0
            if not await _agreed(call, plan):
                call.output.note("Nothing was removed.")
                return 1
        prune.dry_run = False
        prune.command_id = new_command_id()
        watching = asyncio.create_task(client.watch(_Progress(call)))
        try:
            report = await client.ask(lambda engine: engine.prune(prune))
        finally:
            await end_task(watching)
        _tell(call, report)
        return 0

    return call.with_engine(work)


class _Progress:
    """Says on stderr how far a long prune is, no more often than once a second."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._said = asyncio.get_running_loop().time()

    def __call__(self, events: list[Event]) -> None:
        found = [event for event in events if isinstance(event, PruneChanged)]
        now = asyncio.get_running_loop().time()
        if not found or self._call.as_json or now - self._said < PROGRESS_SECONDS:
            return
        self._said = now
        event = found[-1]
        count = f" {event.done} of {event.total}" if event.total and event.done else f" {event.done or event.total}"
        self._call.output.note((f"{event.phase}{count}", "dim"))


async def _agreed(call: Call, plan: PruneReport) -> bool:
    """Show what would go and ask once; raises UsageError where nobody can be asked."""
    runs = _runs(plan.removed_count)
    if not call.output.can_ask:
        raise UsageError(
            f"This would remove {runs} for good, and nobody can be asked whether it should.",
            cause="There is no terminal to ask at, or --json is given.",
            next_step="See the list with --dry-run, then say that it is meant: --yes",
        )
    _show_lists(call, plan)
    return await prompt.confirm(call.output, f"Remove {runs} for good?")


def prune_document(report: PruneReport) -> Document:
    """What went and what stayed; the lists hold the first 500, the counts all of them."""
    return {
        "dry_run": report.dry_run,
        "removed": [
            {
                "run_id": run.run_id,
                "workflow": run.workflow,
                "status": run.status,
                "created_at": iso_time(run.created_at),
                "ended_at": iso_time(run.ended_at),
            }
            for run in report.removed
        ],
        "removed_count": report.removed_count,
        "kept": [{"run_id": run.run_id, "workflow": run.workflow, "reason": run.reason} for run in report.kept],
        "kept_count": report.kept_count,
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "output_folders": report.output_folders,
    }


def _tell(call: Call, report: PruneReport) -> None:
    if call.as_json:
        call.output.document(prune_document(report))
        return
    _show_lists(call, report)
    if report.dry_run:
        size = byte_size(report.bytes_before)
        call.output.line(f"{_runs(report.removed_count)} would go, with {_folders(report)}; the database has {size}")
        return
    call.output.line(
        ("✓ ", "green"),
        f"{_runs(report.removed_count)} removed, with {_folders(report)}; the database went from"
        f" {byte_size(report.bytes_before)} to {byte_size(report.bytes_after)}",
    )


def _show_lists(call: Call, report: PruneReport) -> None:
    rows: list[list[Part | list[Part]]] = [
        [run.run_id[-8:], run.workflow, status_part(run.status), ago(run.ended_at or run.created_at)]
        for run in report.removed[:SHOWN]
    ]
    if rows:
        call.output.table(["RUN", "WORKFLOW", "STATUS", "ENDED"], rows)
    if report.removed_count > len(rows):
        call.output.note((f"… and {report.removed_count - len(rows)} more", "dim"))
    for run in report.kept[:SHOWN]:
        call.output.note(("kept  ", "bold"), f"{run.run_id[-8:]}  {run.workflow}: {run.reason}")
    if report.kept_count > SHOWN:
        call.output.note((f"… and {report.kept_count - SHOWN} more are kept", "dim"))


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _folders(report: PruneReport) -> str:
    return f"{report.output_folders} folder{'' if report.output_folders == 1 else 's'} of files"
