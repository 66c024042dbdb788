"""`rondo versions`, `rondo diff`, `rondo rollback`: what a workflow was, what changed, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, new_command_id, open_call
from core.cli.documents import Document
from core.cli.output import Part, ago, iso_time
from core.cli.prompt import TypedLines
from core.cli.workflows import print_changes
from core.errors import UsageError
from core.link.workflow_types import VersionDiff, VersionRef, VersionView

PAGE = 50
SHORT = 12
KIND_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}

VersionArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="The beginning of a hash, or -1 for the version before the present one.",
        show_default=False,
    ),
]


def versions_command(
    context: typer.Context,
    name: NameArgument,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many, the last seen first.")] = PAGE,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the versions of a workflow that are kept."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        rows: list[VersionView] = []
        while len(rows) < limit:
            last = rows[-1].hash if rows and rows[-1].kept else None
            page = await client.ask(
                lambda engine: engine.list_versions(name, min(PAGE, limit - len(rows)), last)  # noqa: B023
            )
            rows += page
            if not page or not page[-1].kept:
                break
        rows = rows[:limit]
        if call.as_json:
            call.output.document([version_document(row) for row in rows])
        else:
            _show_versions(call, name, rows)
        return 0

    return call.with_engine(work)


def diff_command(
    context: typer.Context,
    name: NameArgument,
    before: Annotated[
        str, typer.Argument(metavar="A", help="The older one: a hash, -1, or now. Default: -1.", show_default=False)
    ] = "-1",
    after: Annotated[str, typer.Argument(metavar="B", help="The newer one. Default: now.", show_default=False)] = "now",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what changed between two versions: the graph in words, the files as a diff."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        diff = await client.ask(lambda engine: engine.get_diff(name, before, after))
        if call.as_json:
            call.output.document(diff_document(diff))
        else:
            _show_diff(call, diff)
        return 0

    return call.with_engine(work)


def rollback_command(
    context: typer.Context,
    name: NameArgument,
    version: VersionArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a workflow's folder an earlier version again; what is there now goes into backups/."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        diff = await client.ask(lambda engine: engine.get_diff(name, "now", version))
        if not call.as_json:
            _show_diff(call, diff)
        if not yes and diff.files and not await _consents(call, name, diff):
            call.output.note(f"Nothing was written: {name} is as it was.")
            return 0
        command_id = new_command_id()
        done = await client.ask(
            lambda engine: engine.rollback(command_id, name, diff.after.hash, expected=diff.before.hash)
        )
        if call.as_json:
            call.output.document(
                {
                    "workflow": done.workflow,
                    "version": done.version,
                    "previous": done.previous,
                    "backup": done.backup,
                    "written": done.written,
                    "removed": done.removed,
                    "approved": done.approved,
                }
            )
            return 0
        call.output.line(("✓ ", "green"), f"{name} is version {done.version[:SHORT]} again")
        if done.backup is not None:
            call.output.line(("  what was there: ", "dim"), done.backup)
        if not done.approved:
            approve = call.command_line("approve", name)
            call.output.note(("! ", "yellow"), f"This version was never approved to run: {approve}")
        return 0

    return call.with_engine(work)


async def _consents(call: Call, name: str, diff: VersionDiff) -> bool:
    if not call.output.can_ask:
        raise UsageError(
            f"Rolling {name} back changes {len(diff.files)} file{'' if len(diff.files) == 1 else 's'}.",
            cause="There is no terminal to ask at; nothing was written.",
            next_step=f"Say that it is meant: {call.command_line('rollback', name, diff.after.hash[:SHORT], '--yes')}",
        )
    call.output.ask(f"Make {name} version {diff.after.hash[:SHORT]} again? What is there goes into backups/. [y/N] ")
    typed = await TypedLines(call.output).next()
    return (typed or "").strip().lower() in ("y", "yes")


# Documents --------------------------------------------------------------------------------------------------------


def version_document(row: VersionView) -> Document:
    """One version; `kept` is false for a folder that is no stored version now."""
    return {
        "version": row.hash,
        "first_seen_at": iso_time(row.first_seen_at),
        "runs": row.runs,
        "last_run_at": iso_time(row.last_run_at),
        "approved": row.approved,
        "present": row.present,
        "kept": row.kept,
        "previous": row.previous,
        "changes": row.changes,
    }


def diff_document(diff: VersionDiff) -> Document:
    """What leads from one version to another."""
    return {
        "workflow": diff.workflow,
        "before": _side_document(diff.before),
        "after": _side_document(diff.after),
        "graph": [
            {"kind": change.kind, "subject": change.subject, "name": change.name, "text": change.text}
            for change in diff.graph
        ],
        "files": [{"path": file.path, "status": file.status, "diff": file.diff} for file in diff.files],
        "note": diff.note,
    }


def _side_document(side: VersionRef) -> Document:
    return {"version": side.hash, "kept": side.kept, "first_seen_at": iso_time(side.first_seen_at)}


# For people -------------------------------------------------------------------------------------------------------


def _show_versions(call: Call, name: str, rows: list[VersionView]) -> None:
    cells: list[list[Part | list[Part]]] = []
    for row in rows:
        mark: Part = ("● now", "cyan") if row.present else ""
        seen = ago(row.first_seen_at) if row.kept else "not kept"
        may_run: Part = ("approved", "green") if row.approved else ("not approved", "yellow") if row.kept else ""
        cells.append([row.hash[:SHORT], mark, seen, str(row.runs), may_run, "; ".join(row.changes)])
    if not cells:
        call.output.note(f"No version of {name} is kept yet.")
        return
    call.output.table(["VERSION", "", "FIRST SEEN", ">RUNS", "MAY RUN", "CHANGED"], cells)


def _show_diff(call: Call, diff: VersionDiff) -> None:
    call.output.line((f"{diff.workflow}: from {_named(diff.before)} to {_named(diff.after)}", "bold"))
    if not diff.files:
        call.output.line(("no file differs", "dim"))
        return
    for change in diff.graph:
        call.output.line(("  graph  ", "dim"), (change.text, KIND_STYLES.get(change.kind, "")))
    if diff.note:
        call.output.line(("  graph  ", "dim"), diff.note)
    print_changes(call.output.line, [(file.path, file.status, file.diff) for file in diff.files])


def _named(side: VersionRef) -> str:
    """The name of one side for people: its hash, and the word where that says something else."""
    if side.word == "now":
        return f"the folder as it is ({side.hash[:SHORT]})"
    return side.hash[:SHORT]
