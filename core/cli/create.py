"""`rondo create`, `update`, `fix`, `new`: workflows made and changed in words, or from a template."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli import prompt
from core.cli.call import (
    Call,
    Client,
    JsonOption,
    NameArgument,
    RunArgument,
    WorkspaceOption,
    new_command_id,
    open_call,
)
from core.cli.consent import AcknowledgeOption, acknowledged
from core.cli.documents import Document
from core.cli.run import announce, follow_and_ask, follower_of, report
from core.cli.talk import Talk, Wishes, require_model
from core.errors import UnknownWorkflow, UsageError
from core.link.chat_types import ChatMode, ChatRow, ProposalView, ResumeOffer, SendMessage, TemplateView
from core.link.commands import Rewind

NewName = Annotated[str, typer.Argument(metavar="NAME", help="The new workflow's name.", show_default=False)]
ToolsOption = Annotated[
    str | None, typer.Option("--tools", metavar="A,B", help="Tools that it is to use.", show_default=False)
]
YesOption = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Ask nothing: questions are skipped, what passes its checks is applied."),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="RISK",
        help="Allow a kind of risk beforehand: host, import, process, eval, file, ..., or all.",
        show_default=False,
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option("--mode", metavar="MODE", help="ask (change nothing), propose, or auto.", show_default=False),
]
TryOption = Annotated[
    bool, typer.Option("--try", help="Let the assistant run dry what it proposes, in an isolated process.")
]
MODES: tuple[ChatMode, ...] = ("ask", "propose", "auto")


def create_command(
    context: typer.Context,
    name: NewName,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What it is to do.", show_default=False)],
    tools: ToolsOption = None,
    mode: ModeOption = None,
    allow: AllowOption = None,
    tries: TryOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a workflow of a description: the assistant asks, proposes, and applies what you accept."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        rows = await client.ask(lambda engine: engine.list_workflows())
        if any(row.name == name for row in rows):
            raise UsageError(
                f"There is a workflow {name!r} already.",
                cause="Nothing is made over it.",
                next_step=f"Change it: {call.command_line('update', name, task)}",
            )
        return await _say(call, client, name, task, tools, mode, Wishes(yes, allow or []), tries)

    return call.with_engine(work)


def update_command(
    context: typer.Context,
    name: NameArgument,
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="What is to be different.", show_default=False)],
    tools: ToolsOption = None,
    mode: ModeOption = None,
    allow: AllowOption = None,
    tries: TryOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Change a workflow in words; what was there is kept in backups/."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        rows = await client.ask(lambda engine: engine.list_workflows())
        if all(row.name != name for row in rows):
            raise UnknownWorkflow(
                f"There is no workflow {name!r} in this workspace.",
                cause="There is nothing to change.",
                next_step=f"Make it: {call.command_line('create', name, change)}",
            )
        return await _say(call, client, name, change, tools, mode, Wishes(yes, allow or []), tries)

    return call.with_engine(work)


def fix_command(
    context: typer.Context,
    run: RunArgument,
    allow: AllowOption = None,
    yes: YesOption = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Once it is applied, rewind the run to its failed node and go on.")
    ] = False,
    acknowledge: AcknowledgeOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let the assistant repair what made a run fail; then the run can go on from its failed node."""
    call = open_call(context, workspace, as_json)
    command_id = new_command_id()

    async def work(client: Client) -> int:
        await require_model(client)
        row = await client.ask(lambda engine: engine.fix_run(command_id, run))
        talk = Talk(call, client, row.chat_id, Wishes(yes, allow or []))
        code = await talk.through()
        offer = talk.decided.proposal.resume if talk.decided is not None and talk.decided.edit is not None else None
        if offer is not None and await _wants_to_go_on(call, offer, go_on):
            return await _go_on(call, client, offer, acknowledge)
        if call.as_json:
            call.output.document(talk.document(code, await open_proposal(client, row.chat_id)))
        elif offer is not None:
            words = call.command_line("rewind", offer.run_id[-8:], "--step", str(offer.seq))
            call.output.note(("next:  ", "bold"), f"let the run go on before {offer.node}: {words}")
        return code

    return call.with_engine(work)


async def _say(
    call: Call, client: Client, name: str, text: str, tools: str | None, mode: str | None, wishes: Wishes, tries: bool
) -> int:
    """Say it in a new conversation and follow that to its decision."""
    chosen = mode_of(mode) if mode is not None else None
    await require_model(client, name)
    named = [tool.strip() for tool in (tools or "").split(",") if tool.strip()]
    message = SendMessage(command_id=new_command_id(), text=text, workflow=name, tools=named, mode=chosen, tries=tries)
    row = await client.ask(lambda engine: engine.send_message(message))
    talk = Talk(call, client, row.chat_id, wishes)
    code = await talk.through()
    if call.as_json:
        call.output.document(talk.document(code, await open_proposal(client, row.chat_id)))
    return code


def mode_of(text: str) -> ChatMode:
    for mode in MODES:
        if text == mode:
            return mode
    raise UsageError(f"{text!r} is no mode.", cause=f"The modes are {', '.join(MODES)}.", next_step="--mode propose")


async def open_proposal(client: Client, chat_id: str) -> ProposalView | None:
    rows: list[ChatRow] = await client.ask(lambda engine: engine.list_chats())
    waiting = next((row.open_proposal for row in rows if row.chat_id == chat_id), None)
    if waiting is None:
        return None
    return await client.ask(lambda engine: engine.get_proposal(waiting))


async def _wants_to_go_on(call: Call, offer: ResumeOffer, go_on: bool) -> bool:
    if go_on or not call.output.can_ask:
        return go_on
    return await prompt.confirm(call.output, f"Rewind run {offer.run_id[-8:]} to before {offer.node} and go on?")


async def _go_on(call: Call, client: Client, offer: ResumeOffer, acknowledge: bool) -> int:
    before = await client.ask(lambda engine: engine.get_run(offer.run_id))
    rewind = Rewind(command_id=new_command_id(), run_id=offer.run_id, step=offer.seq)
    view = await acknowledged(call, client, rewind, acknowledge, lambda engine, command: engine.rewind_run(command))
    follower = follower_of(call, client, view)
    follower.skip_to(offer.seq, before.log_last)
    call.following = view.short_id
    announce(call, view)
    return await report(call, client, await follow_and_ask(call, client, follower))


# Templates --------------------------------------------------------------------------------------------------------


def new_command(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The new workflow's name.", show_default=False)
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="T", help="Which template.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a workflow from a template: no model, no account and no network is needed."""
    call = open_call(context, workspace, as_json)
    if not listed and name is None:
        raise UsageError("A new workflow needs a name.", next_step="rondo new NAME --template T, or rondo new --list")
    command_id = new_command_id()

    async def work(client: Client) -> int:
        offered = await client.ask(lambda engine: engine.list_templates())
        chosen = template
        if not listed and chosen is None and call.output.can_ask:
            chosen = await _choose(call, offered)
        if listed or chosen is None or name is None:
            _show_templates(call, offered)
            if listed:
                return 0
            raise UsageError("No template was named.", next_step=f"rondo new {name} --template {offered[0].name}")
        edit = await client.ask(lambda engine: engine.create_from_template(command_id, name, chosen))
        folder = str(call.workspace.workflows_dir / name)
        if call.as_json:
            call.output.document({"workflow": name, "template": chosen, "version": edit.after, "folder": folder})
        else:
            call.output.line(("✓ ", "green"), f"{name} is made: {folder}")
            call.output.line(("  next: ", "bold"), call.command_line("run", name))
        return 0

    return call.with_engine(work)


async def _choose(call: Call, offered: list[TemplateView]) -> str | None:
    for number, template in enumerate(offered, 1):
        call.output.line(f"{number}) {template.name}: {template.description}")
    call.output.ask("Which? ")
    text = (await prompt.TypedLines(call.output).next() or "").strip()
    if text.isascii() and text.isdigit() and 1 <= int(text) <= len(offered):
        return offered[int(text) - 1].name
    return text or None


def _show_templates(call: Call, offered: list[TemplateView]) -> None:
    if call.as_json:
        documents: list[Document] = [
            {
                "name": template.name,
                "title": template.title,
                "description": template.description,
                "nodes": template.nodes,
                "asks": template.asks,
            }
            for template in offered
        ]
        call.output.document(documents)
        return
    for template in offered:
        call.output.line((template.name, "bold"), f"  {template.title}")
        call.output.line((f"  {template.description}", "dim"))
        call.output.line((f"  {template.nodes} nodes; asks for {', '.join(template.asks)}", "dim"))
