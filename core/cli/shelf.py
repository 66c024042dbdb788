"""`rondo duplicate`, `rondo trash`, `rondo restore`: whole workflow folders, copied, put away and taken out again."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from core.cli import prompt
from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, new_command_id, open_call
from core.cli.documents import Document
from core.cli.output import Part, ago, iso_time
from core.cli.prune import parse_age
from core.errors import UsageError
from core.link.shelf_api import TrashedWorkflow


def duplicate_command(
    context: typer.Context,
    name: NameArgument,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="What the copy is called.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Copy a workflow under another name, without its backups and output."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        command_id = new_command_id()
        done = await client.ask(lambda engine: engine.duplicate_workflow(command_id, name, new_name))
        if call.as_json:
            call.output.document(
                {
                    "workflow": done.workflow,
                    "source": done.source,
                    "version": done.version,
                    "approved": done.approved,
                }
            )
            return 0
        call.output.line(("✓ ", "green"), f"{done.workflow} is a copy of {done.source}")
        if not done.approved:
            approve = call.command_line("approve", done.workflow)
            call.output.note(("! ", "yellow"), f"{done.source} may not run, nor may its copy: {approve}")
        return 0

    return call.with_engine(work)


def trash_command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The workflow; without it, what is in the trash.", show_default=False),
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Remove what is in the trash for good; asks first.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="With --empty: what was put there longer ago: 30d, 12h.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put a workflow into the trash, from which `rondo restore` takes it out; without a name, list the trash."""
    call = open_call(context, workspace, as_json)
    if (empty and name is not None) or (older_than is not None and not empty):
        raise UsageError(
            "--empty removes what is in the trash, and --older-than says what of it.",
            cause="A workflow's name puts it there.",
            next_step="Empty it: rondo trash --empty [--older-than 30d]",
        )
    age = parse_age(older_than) if older_than is not None else None

    async def work(client: Client) -> int:
        if empty:
            return await _empty(call, client, age, yes=yes)
        if name is None:
            found = await client.ask(lambda engine: engine.list_trash())
            if call.as_json:
                call.output.document([trashed_document(one) for one in found])
            elif found:
                cells: list[list[Part | list[Part]]] = [
                    [one.workflow, one.id, ago(one.trashed_at), (one.version or "")[:12]] for one in found
                ]
                call.output.table(["~WORKFLOW", "ID", "PUT THERE", "VERSION"], cells)
            else:
                call.output.note("The trash is empty.")
            return 0
        command_id, wanted = new_command_id(), name
        done = await client.ask(lambda engine: engine.trash_workflow(command_id, wanted))
        if call.as_json:
            call.output.document(trashed_document(done))
        else:
            back = call.command_line("restore", done.workflow)
            call.output.line(("✓ ", "green"), f"{done.workflow} is in the trash", (f"   back: {back}", "dim"))
        return 0

    return call.with_engine(work)


async def _empty(call: Call, client: Client, age: float | None, *, yes: bool) -> int:
    """Remove what is in the trash, or what is there for so long, once a person agreed to the list."""
    found = await client.ask(lambda engine: engine.list_trash())
    old = [one for one in found if age is None or time.time() - one.trashed_at > age]
    count = f"{len(old)} workflow{'' if len(old) == 1 else 's'}"
    if old and not yes:
        if not call.output.can_ask:
            raise UsageError(
                f"This would remove {count} for good, and nobody can be asked whether it should.",
                cause="There is no terminal to ask at, or --json is given.",
                next_step="See the list with rondo trash, then say that it is meant: --yes",
            )
        for one in old:
            call.output.line(f"  {one.workflow}", (f"  {one.id}  {ago(one.trashed_at)}", "dim"))
        if not await prompt.confirm(call.output, f"Remove {count} for good?"):
            call.output.note("Nothing was removed.")
            return 1
    command_id, ids = new_command_id(), [one.id for one in old]
    gone = set((await client.ask(lambda engine: engine.empty_trash(command_id, ids))).removed) if ids else set()
    if call.as_json:
        call.output.document([trashed_document(one) for one in old if one.id in gone])
    elif not gone:
        call.output.note("Nothing in the trash was to be removed.")
    else:
        call.output.line(("✓ ", "green"), f"{len(gone)} removed from the trash for good")
    return 0


def restore_command(
    context: typer.Context,
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID", help="A workflow (the one put there last) or an id of the trash.", show_default=False
        ),
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take a workflow out of the trash, back to where it was."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        trash_id = _named(await client.ask(lambda engine: engine.list_trash()), wanted)
        command_id = new_command_id()
        done = await client.ask(lambda engine: engine.restore_workflow(command_id, trash_id))
        if call.as_json:
            call.output.document(
                {"id": done.id, "workflow": done.workflow, "version": done.version, "approved": done.approved}
            )
            return 0
        call.output.line(("✓ ", "green"), f"{done.workflow} is back")
        if not done.approved:
            approve = call.command_line("approve", done.workflow)
            call.output.note(("! ", "yellow"), f"This version was never approved to run: {approve}")
        return 0

    return call.with_engine(work)


def _named(found: list[TrashedWorkflow], wanted: str) -> str:
    """The id of what is meant: by its id, else the last that was put there under the name. Raises UsageError."""
    for one in found:
        if one.id == wanted:
            return one.id
    for one in found:
        if one.workflow == wanted:
            return one.id
    names = ", ".join(dict.fromkeys(one.workflow for one in found))
    raise UsageError(
        f"The trash has no workflow {wanted!r}.",
        cause=f"It has {names}." if names else "It is empty.",
        next_step="See what is in it: rondo trash",
    )


def trashed_document(one: TrashedWorkflow) -> Document:
    """One workflow in the trash."""
    return {
        "id": one.id,
        "workflow": one.workflow,
        "trashed_at": iso_time(one.trashed_at),
        "version": one.version,
        "path": one.path,
    }
