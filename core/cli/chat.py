"""`rondo chat`: a conversation in plain lines, which a screen reader can follow."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from core.cli import prompt
from core.cli.call import Call, Client, JsonOption, WorkspaceOption, complete_workflow, new_command_id, open_call
from core.cli.card import short, usage_text
from core.cli.create import mode_of, open_proposal
from core.cli.documents import Document
from core.cli.output import Part, ago, iso_time
from core.cli.talk import Printer, Talk, Wishes, require_model
from core.errors import RondoError, UsageError
from core.link.chat_types import ChatEntry, ChatQuery, ChatRow, SendMessage

HISTORY = 20
HELP = "/mode ask|propose|auto   /retry   /new   /history   /cost   /quit   @node and @run refer to nodes and runs"


def chat_command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="About this workflow.", autocompletion=complete_workflow, show_default=False
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", metavar="TEXT", help="Say this and return.", show_default=False),
    ] = None,
    chat_id: Annotated[
        str | None, typer.Option("--chat", metavar="ID", help="Go on with this conversation.", show_default=False)
    ] = None,
    fresh: Annotated[bool, typer.Option("--new", help="Begin a new conversation.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the conversations.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what was said, and return.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the conversation of --chat.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop what the assistant does now.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Have the last message answered again.")] = False,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="M", help="Set it to ask, propose or auto.", show_default=False)
    ] = None,
    tries: Annotated[
        bool | None, typer.Option("--tries/--no-tries", help="Whether it may run proposals dry.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Talk with the assistant in the terminal; without --new it goes on with the last conversation."""
    call = open_call(context, workspace, as_json)
    if delete and chat_id is None:
        raise UsageError("--delete needs --chat.", next_step="See the conversations: rondo chat --list")

    async def work(client: Client) -> int:
        rows = await client.ask(lambda engine: engine.list_chats(name, 50))
        if listed:
            _list(call, rows)
            return 0
        row = None if fresh else _chosen(rows, chat_id)
        if delete and row is not None:
            await _delete(call, client, row)
            return 0
        if (stop or retry or mode is not None or tries is not None) and row is not None:
            return await _change(call, client, row, stop=stop, retry=retry, mode=mode, tries=tries)
        if history or stop or retry or mode is not None or tries is not None:
            if row is None:
                raise UsageError("There is no conversation yet.", next_step="Begin one: rondo chat")
            await _history(call, client, row)
            return 0
        if message is not None:
            await require_model(client, name or "")
            return await _say_once(call, client, row, name, message)
        if not call.output.can_ask:
            raise UsageError(
                "There is no terminal to talk at.",
                cause="rondo chat reads what you type.",
                next_step="Say something with --message TEXT, or read with --history.",
            )
        await require_model(client, name or "")
        return await _converse(call, client, row, name)

    return call.with_engine(work)


def _chosen(rows: list[ChatRow], chat_id: str | None) -> ChatRow | None:
    if chat_id is None:
        return rows[0] if rows else None
    found = [row for row in rows if row.chat_id.endswith(chat_id)]
    if len(found) != 1:
        raise UsageError(
            f"{chat_id!r} names no conversation." if not found else f"{chat_id!r} names several conversations.",
            next_step="See them: rondo chat --list",
        )
    return found[0]


def _list(call: Call, rows: list[ChatRow]) -> None:
    if call.as_json:
        call.output.document([chat_document(row) for row in rows])
        return
    if not rows:
        call.output.note("No conversations yet.")
        return
    cells: list[list[Part | list[Part]]] = [
        [
            short(row.chat_id),
            row.workflow or "-",
            ago(row.updated_at),
            row.mode,
            "working" if row.busy else "proposal waits" if row.open_proposal else "",
            row.title,
        ]
        for row in rows
    ]
    call.output.table(["ID", "~WORKFLOW", "WHEN", "MODE", "", "TITLE"], cells)


async def _delete(call: Call, client: Client, row: ChatRow) -> None:
    command_id = new_command_id()
    await client.ask(lambda engine: engine.delete_chat(command_id, row.chat_id))
    if call.as_json:
        call.output.document({"chat_id": row.chat_id, "deleted": True})
    else:
        call.output.line("Deleted. What was applied from it stays, and can be undone.")


async def _change(
    call: Call, client: Client, row: ChatRow, *, stop: bool, retry: bool, mode: str | None, tries: bool | None
) -> int:
    """Do what the options say to a conversation, and show how it is then."""
    chat_id = row.chat_id
    if stop:
        row = await client.ask(lambda engine: engine.stop_chat(chat_id))
    if mode is not None:
        wanted = mode_of(mode)
        row = await client.ask(lambda engine: engine.set_chat_mode(chat_id, wanted))
    if tries is not None:
        row = await client.ask(lambda engine: engine.allow_tries(chat_id, tries))
    if retry:
        since = (await _entries(client, chat_id, 1))[1]
        command_id = new_command_id()
        await client.ask(lambda engine: engine.retry_chat(command_id, chat_id))
        return await Talk(call, client, chat_id, Wishes(ask=False), since=since).through()
    if call.as_json:
        call.output.document(chat_document(row))
    else:
        call.output.line(f"Chat {short(chat_id)}: mode {row.mode}{', working' if row.busy else ''}")
    return 0


async def _entries(client: Client, chat_id: str, limit: int) -> tuple[list[ChatEntry], int]:
    query = ChatQuery(chat_id=chat_id, limit=limit)
    page = await client.ask(lambda engine: engine.read_chat(query))
    return [entry for entry in page.entries if not entry.replaced], page.revision


async def _history(call: Call, client: Client, row: ChatRow) -> None:
    entries, _ = await _entries(client, row.chat_id, 200)
    if call.as_json:
        documents = [{**msgspec.to_builtins(entry), "at": iso_time(entry.at)} for entry in entries]
        call.output.document({"chat": chat_document(row), "entries": documents})
        return
    printer = Printer(call.output, quiet=False)
    for entry in entries:
        printer.show(entry, past=True)
    call.output.line((usage_text(row.usage), "dim"))


async def _say_once(call: Call, client: Client, row: ChatRow | None, name: str | None, text: str) -> int:
    talk = await _send(call, client, row, name, text, Wishes(ask=False))
    code = await talk.through()
    if call.as_json:
        call.output.document(talk.document(code, await open_proposal(client, talk.chat_id)))
    return code


async def _send(call: Call, client: Client, row: ChatRow | None, name: str | None, text: str, wishes: Wishes) -> Talk:
    since = 0
    if row is not None:
        since = (await _entries(client, row.chat_id, 1))[1]
    message = SendMessage(
        command_id=new_command_id(), text=text, chat_id=row.chat_id if row else None, workflow=None if row else name
    )
    sent = await client.ask(lambda engine: engine.send_message(message))
    return Talk(call, client, sent.chat_id, wishes, since=since)


async def _converse(call: Call, client: Client, row: ChatRow | None, name: str | None) -> int:
    """Lines of the person's, one after the other, until the input ends."""
    output = call.output
    if row is not None:
        output.line((f"{row.title}  ({row.workflow or 'no workflow yet'}, mode {row.mode})", "bold"))
        printer = Printer(output, quiet=False)
        for entry in (await _entries(client, row.chat_id, HISTORY))[0]:
            printer.show(entry, past=True)
    output.line((HELP, "dim"))
    typed = prompt.TypedLines(output)
    while True:
        output.ask("you: ")
        text = await typed.next()
        if text is None or text.strip() in ("/quit", "/q"):
            output.line("")
            return 0
        if not text.strip():
            continue
        try:
            row = await _line(call, client, row, name, text.strip())
        except RondoError as error:
            output.error(error)
            if row is not None:
                row = await _fresh(client, row.chat_id)


async def _line(call: Call, client: Client, row: ChatRow | None, name: str | None, text: str) -> ChatRow | None:
    """Do what a line says; returns the conversation it goes on with."""
    word, _, rest = text.partition(" ")
    if word == "/new":
        return None
    if word.startswith("/"):
        if row is None and word != "/help":
            call.output.note("Say something first.")
            return None
        if row is not None and word == "/mode":
            mode = mode_of(rest.strip())
            changed = await client.ask(lambda engine: engine.set_chat_mode(row.chat_id, mode))
            call.output.line(f"The mode is {changed.mode}.")
            return changed
        if row is not None and word == "/retry":
            since = (await _entries(client, row.chat_id, 1))[1]
            command_id = new_command_id()
            await client.ask(lambda engine: engine.retry_chat(command_id, row.chat_id))
            await Talk(call, client, row.chat_id, Wishes(), since=since).through()
            return await _fresh(client, row.chat_id)
        if row is not None and word == "/history":
            await _history(call, client, row)
            return row
        if row is not None and word == "/cost":
            call.output.line(usage_text((await _fresh(client, row.chat_id)).usage))
            return row
        call.output.line((HELP, "dim"))
        return row
    talk = await _send(call, client, row, name, text, Wishes())
    await talk.through()
    return await _fresh(client, talk.chat_id)


async def _fresh(client: Client, chat_id: str) -> ChatRow:
    query = ChatQuery(chat_id=chat_id, limit=1)
    return (await client.ask(lambda engine: engine.read_chat(query))).chat


def chat_document(row: ChatRow) -> Document:
    """One conversation."""
    document: Document = msgspec.to_builtins(row)
    return {**document, "created_at": iso_time(row.created_at), "updated_at": iso_time(row.updated_at)}
