"""`rondo proposals`, `proposal`, `edits`, `undo`, `redo`: what waits for a yes, what was applied, and the way back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, new_command_id, open_call
from core.cli.card import proposal_document, short, show_card
from core.cli.documents import Document
from core.cli.output import Part, ago, iso_time
from core.cli.talk import allowed_risks, chosen_groups, tell_applied
from core.errors import UndoConflict, UsageError
from core.link.chat_types import Decide, Decided, EditRow, ProposalView, Undone

NameFilter = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this workflow.", show_default=False)]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The proposal's id, or its last characters.", show_default=False)
]


def proposals_command(
    context: typer.Context,
    name: NameFilter = None,
    status: Annotated[
        str, typer.Option("--status", metavar="S", help="open, applied, rejected, revised, broken, stale, or all.")
    ] = "open",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the changes that wait for a decision."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        views = await client.ask(lambda engine: engine.list_proposals(name, status))
        if call.as_json:
            call.output.document([proposal_document(view) for view in views])
        elif not views:
            call.output.note("No proposal waits." if status == "open" else f"No proposal is {status}.")
        else:
            cells: list[list[Part | list[Part]]] = [
                [
                    short(view.proposal_id),
                    view.workflow,
                    view.status,
                    ago(view.created_at),
                    str(len(view.groups)),
                    str(len(view.risks)) if view.risks else "",
                    view.title,
                ]
                for view in views
            ]
            call.output.table(["ID", "~WORKFLOW", "STATUS", "WHEN", ">CHANGES", ">RISKS", "TITLE"], cells)
        return 0

    return call.with_engine(work)


def proposal_command(
    context: typer.Context,
    proposal: IdArgument,
    accept: Annotated[bool, typer.Option("--accept", help="Apply it.")] = False,
    groups: Annotated[
        str | None,
        typer.Option("--groups", metavar="1,3", help="With --accept: only these changes.", show_default=False),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="RISK", help="With --accept: allow a kind of risk, or all.", show_default=False
        ),
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Refuse it.")] = False,
    comment: Annotated[
        str | None,
        typer.Option(
            "--comment", metavar="TEXT", help="Send it back with this, or why it is refused.", show_default=False
        ),
    ] = None,
    tries: Annotated[bool, typer.Option("--try", help="Run it dry, in an isolated process.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Show every line of the diffs.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a proposed change, try it, accept or refuse it."""
    call = open_call(context, workspace, as_json)
    if accept and reject:
        raise UsageError("--accept and --reject don't go together.", next_step="Leave one out.")
    if (groups is not None or allow) and not accept:
        raise UsageError("--groups and --allow are for --accept.", next_step="Add --accept, or leave them out.")

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_proposal(proposal))
        if tries:
            command_id = new_command_id()
            view = await client.ask(lambda engine: engine.try_proposal(command_id, proposal))
        if accept:
            chosen = chosen_groups(view, groups) if groups is not None else None
            fields: dict[str, Any] = {"accept": chosen, "consent": allowed_risks(view, allow or [])}
            return _tell(call, await _decide(client, view, "accept", **fields))
        if reject:
            return _tell(call, await _decide(client, view, "reject", comment=comment or ""))
        if comment is not None:
            return _tell(call, await _decide(client, view, "revise", comment=comment))
        if call.as_json:
            call.output.document(proposal_document(view))
        else:
            show_card(call.output, view, whole=whole)
            if view.status in ("open", "stale"):
                words = call.command_line("proposal", short(view.proposal_id), "--accept")
                call.output.note(("next:  ", "bold"), words, ("   or --reject, --comment TEXT, --try", "dim"))
        return 0

    return call.with_engine(work)


async def tell_of_proposals(call: Call, client: Client, name: str) -> None:
    """Say that a workflow runs as its folder is, where a change to it waits for a decision."""
    waiting = await client.ask(lambda engine: engine.list_proposals(name))
    if waiting:
        words = call.command_line("proposal", short(waiting[0].proposal_id))
        call.output.note(
            ("! ", "yellow"), f"A proposed change of {name} waits; this run is without it. See it: {words}"
        )


async def _decide(client: Client, view: ProposalView, decision: Any, **fields: Any) -> Decided:
    decide = Decide(command_id=new_command_id(), proposal_id=view.proposal_id, decision=decision, **fields)
    return await client.ask(lambda engine: engine.decide_proposal(decide))


def _tell(call: Call, decided: Decided) -> int:
    if call.as_json:
        call.output.document(
            {
                "proposal": proposal_document(decided.proposal),
                "version": decided.version,
                "backup": decided.backup,
                "edit": decided.edit,
                "approved": decided.approved,
            }
        )
    elif decided.edit is not None:
        tell_applied(call, decided)
    elif decided.proposal.status == "revised":
        call.output.line("It goes back to the assistant.")
        call.output.note(("next:  ", "bold"), call.command_line("chat", decided.proposal.workflow))
    else:
        call.output.line("Rejected; nothing was changed.")
    return 0


# Applied changes --------------------------------------------------------------------------------------------------


def edits_command(
    context: typer.Context,
    name: NameArgument,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many, the newest first.")] = 20,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List what Rondo changed in a workflow's files, the newest first."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        rows = await client.ask(lambda engine: engine.list_edits(name, limit))
        if call.as_json:
            call.output.document([edit_document(row) for row in rows])
        elif not rows:
            call.output.note(f"Nothing was applied to {name} yet.")
        else:
            cells: list[list[Part | list[Part]]] = [
                [
                    str(row.number),
                    ago(row.at),
                    row.author,
                    (row.after or "-")[:12],
                    "undone" if row.undone else "",
                    row.title,
                ]
                for row in rows
            ]
            call.output.table([">EDIT", "WHEN", "BY", "VERSION", "", "TITLE"], cells)
        return 0

    return call.with_engine(work)


def undo_command(
    context: typer.Context,
    name: NameArgument,
    edit: Annotated[
        int | None,
        typer.Option("--edit", metavar="N", help="Which one (default: the last).", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take back an applied change; what was changed by hand since then is kept, or the undo is refused."""
    call = open_call(context, workspace, as_json)
    command_id = new_command_id()

    async def work(client: Client) -> int:
        try:
            done = await client.ask(lambda engine: engine.undo_edit(command_id, name, edit))
        except UndoConflict as error:
            _show_conflict(call, error)
            raise
        return _tell_undone(call, name, done, "undone")

    return call.with_engine(work)


def redo_command(
    context: typer.Context, name: NameArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Apply again what was undone last."""
    call = open_call(context, workspace, as_json)
    command_id = new_command_id()

    async def work(client: Client) -> int:
        try:
            done = await client.ask(lambda engine: engine.redo_edit(command_id, name))
        except UndoConflict as error:
            _show_conflict(call, error)
            raise
        return _tell_undone(call, name, done, "done again")

    return call.with_engine(work)


def edit_document(row: EditRow) -> Document:
    """One applied change."""
    return {
        "edit": row.number,
        "workflow": row.workflow,
        "at": iso_time(row.at),
        "author": row.author,
        "title": row.title,
        "before": row.before,
        "after": row.after,
        "chat_id": row.chat_id,
        "proposal_id": row.proposal_id,
        "undone": row.undone,
    }


def _tell_undone(call: Call, name: str, done: Undone, what: str) -> int:
    if call.as_json:
        call.output.document(
            {
                "edit": edit_document(done.edit),
                "version": done.version,
                "written": done.written,
                "removed": done.removed,
                "kept_later_changes": done.kept_later_changes,
            }
        )
        return 0
    version = f"version {done.version[:12]}" if done.version is not None else "gone"
    call.output.line(
        ("✓ ", "green"), f"{done.edit.title.partition(': ')[2] or done.edit.title}: {what}; {name} is {version}"
    )
    for path in done.written:
        call.output.line(("  ~ ", "yellow"), path)
    for path in done.removed:
        call.output.line(("  - ", "red"), path)
    if done.kept_later_changes:
        call.output.line(("  what was changed since then is kept", "dim"))
    return 0


def _show_conflict(call: Call, error: UndoConflict) -> None:
    """Both sides of what an undo and later changes touch."""
    if call.as_json or not isinstance(error.details, list):
        return
    for entry in error.details:
        if not isinstance(entry, dict):
            continue
        call.output.note((str(entry.get("unit", "")), "bold"))
        for side, title in (("edit", "what the edit made of it"), ("later", "as it is now")):
            call.output.note((f"  {title}:", "dim"))
            for line in str(entry.get(side) or "").splitlines():
                call.output.note(f"    {line}")
