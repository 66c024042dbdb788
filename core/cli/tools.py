"""`rondo list-tools`, `tool-details`, `authenticate-tool`, `workflow-tools`, `tools`: services and their accounts."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import msgspec
import typer

from core.cli.call import (
    Call,
    Client,
    JsonOption,
    NameArgument,
    WorkspaceOption,
    new_command_id,
    open_call,
    parse_pairs,
)
from core.cli.connecting import connect
from core.cli.installing import install_command, uninstall_command
from core.cli.output import Part, ago, duration, one_line, until
from core.errors import UsageError
from core.link.tool_api import whole_tool
from core.link.tool_types import ActionView, ConnectionView, ToolChange, ToolDetail, ToolList, ToolRow, WorkflowTool

tools_app = typer.Typer()

SIGNS: dict[str, Part] = {
    "ACTIVE": ("● connected", "green"),
    "INITIATED": ("◐ begun", "yellow"),
    "INITIALIZING": ("◐ begun", "yellow"),
    "EXPIRED": ("✗ expired", "red"),
    "FAILED": ("✗ failed", "red"),
    "INACTIVE": ("✗ inactive", "red"),
    "REVOKED": ("✗ taken back", "red"),
}
ARGUMENTS_LIMIT = 4 * 1024 * 1024

ToolArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The tool's name, such as gmail.", show_default=False)
]
ProviderOption = Annotated[
    str, typer.Option("--provider", help="composio, composio-core, direct or mcp; without it the first that has it.")
]
RefreshOption = Annotated[bool, typer.Option("--refresh", help="Ask the providers anew.")]
AccountOption = Annotated[str, typer.Option("--account", help="The id of an account, as tool-details shows it.")]


AddOption = Annotated[
    list[str] | None,
    typer.Option("--add", metavar="TOOL,...", help="Let it call these tools, too.", show_default=False),
]
RemoveOption = Annotated[
    list[str] | None,
    typer.Option("--remove", metavar="TOOL,...", help="Let it call these no more.", show_default=False),
]
PinOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pin", metavar="TOOL,...", help="Fix provider, version and account as they are.", show_default=False
    ),
]
UnpinOption = Annotated[
    list[str] | None,
    typer.Option("--unpin", metavar="TOOL,...", help="Find these anew with every call.", show_default=False),
]
FIELDS = ("account", "version", "provider", "app")
"""What a workflow's tools.json can fix of a tool."""


@tools_app.callback()
def tools_group(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Call a tool by hand, give accounts up, install what a provider needs."""


def list_tools_command(
    context: typer.Context,
    connected: Annotated[bool, typer.Option("--connected", help="Only those with an account.")] = False,
    search: Annotated[str, typer.Option("--search", help="Only those that fit these words.")] = "",
    refresh: RefreshOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the tools of all providers: whether an account is connected, and which workflows use them."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        listing = await client.ask(lambda engine: engine.list_tools(search, connected, refresh))
        if call.as_json:
            call.output.document(msgspec.to_builtins(listing))
        else:
            _show_list(call, listing)
        return 0

    return call.with_engine(work)


def tool_details_command(
    context: typer.Context,
    name: ToolArgument,
    action: Annotated[
        str | None, typer.Argument(metavar="[ACTION]", help="Show what this action takes.", show_default=False)
    ] = None,
    provider: ProviderOption = "",
    refresh: RefreshOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a tool: its accounts, how one is connected, and its actions; or what one action takes."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        if action is not None:
            view = await client.ask(lambda engine: engine.get_action(name, action, provider))
            if call.as_json:
                call.output.document(msgspec.to_builtins(view))
            else:
                _show_action(call, view)
            return 0
        detail = await client.ask(lambda engine: whole_tool(engine, name, provider, refresh))
        if call.as_json:
            call.output.document(msgspec.to_builtins(detail))
        else:
            _show_detail(call, detail)
        return 0

    return call.with_engine(work)


def authenticate_tool_command(
    context: typer.Context,
    name: ToolArgument,
    provider: ProviderOption = "",
    scheme: Annotated[str, typer.Option("--scheme", help="How to connect, where there are several ways.")] = "",
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read what is to be filled in from stdin, as a JSON object.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the account is connected.")] = True,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Connect an account: over a link that is opened in any browser, or with a key that is asked for and not shown."""
    call = open_call(context, workspace, as_json)
    given = _object(_read_stdin(), "what is to be filled in") if stdin else {}
    if any(not isinstance(value, str) for value in given.values()):
        raise UsageError("Each value is a text.", cause="stdin has others.", next_step='{"NAME": "value"}')

    async def work(client: Client) -> int:
        return await connect(call, client, name, provider, scheme, given, wait=wait)

    return call.with_engine(work)


def workflow_tools_command(
    context: typer.Context,
    name: NameArgument,
    add: AddOption = None,
    remove: RemoveOption = None,
    pin: PinOption = None,
    unpin: UnpinOption = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TOOL.FIELD=VALUE", help=f"Fix one of: {', '.join(FIELDS)}.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List or change the tools that a workflow's tools.json names, and say what keeps each from being called.

    Exit 4 where something does.
    """
    call = open_call(context, workspace, as_json)
    changes = _changes(add or [], remove or [], pin or [], unpin or [], parse_pairs(fields or [], "--set"))
    command_id = new_command_id()

    async def work(client: Client) -> int:
        if changes:
            tools = await client.ask(lambda engine: engine.change_tools(command_id, name, changes))
        else:
            tools = await client.ask(lambda engine: engine.workflow_tools(name))
        if call.as_json:
            call.output.document([msgspec.to_builtins(tool) for tool in tools])
        else:
            if changes:
                call.output.note((f"Changed; the way back: {call.command_line('undo', name)}", "dim"))
            _show_workflow_tools(call, name, tools)
        return 4 if any(tool.problem for tool in tools) else 0

    return call.with_engine(work)


@tools_app.command("call")
def call_command(
    context: typer.Context,
    name: ToolArgument,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="The action.", show_default=False)],
    arguments: Annotated[
        str, typer.Argument(metavar="JSON", help="Its arguments as a JSON object; - reads them from stdin.")
    ] = "{}",
    provider: ProviderOption = "",
    account: AccountOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Call an action now, and print what it gave."""
    call = open_call(context, workspace, as_json)
    given = _object(_read_stdin() if arguments == "-" else arguments, "the arguments")
    command_id = new_command_id()

    async def work(client: Client) -> int:
        reply = await client.ask(lambda engine: engine.call_tool(command_id, name, action, given, provider, account))
        if call.as_json:
            call.output.document(msgspec.to_builtins(reply))
            return 0
        text = reply.value if isinstance(reply.value, str) else json.dumps(reply.value, ensure_ascii=False, indent=2)
        call.output.lines([line] for line in text.splitlines())
        note = f", log {reply.log_id}" if reply.log_id else ""
        call.output.note((f"{name}.{action} by {reply.provider}, {duration(reply.seconds)}{note}", "dim"))
        return 0

    return call.with_engine(work)


@tools_app.command("disconnect")
def disconnect_command(
    context: typer.Context,
    name: ToolArgument,
    provider: ProviderOption = "",
    account: AccountOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give up the accounts of a tool, or one of them; an MCP server is not trusted any more."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        gone = await client.ask(lambda engine: engine.disconnect_tool(name, provider, account))
        if call.as_json:
            call.output.document([msgspec.to_builtins(one) for one in gone])
        else:
            for one in gone:
                call.output.line((name, "bold"), f": the account {one.account or one.id} is given up.")
        return 0

    return call.with_engine(work)


tools_app.command("install")(install_command)
tools_app.command("uninstall")(uninstall_command)


# For people -------------------------------------------------------------------------------------------------------


def _show_list(call: Call, listing: ToolList) -> None:
    if listing.tools:
        call.output.table(["~NAME", "PROVIDER", "ACCOUNT", ">ACTIONS", "WORKFLOWS", "WHAT"], map(_row, listing.tools))
    else:
        call.output.line("No tools fit.")
    if listing.left_out:
        call.output.note(f"{listing.left_out} more; narrow it down: rondo list-tools --search WORDS")
    _notes(call, listing.notes, listing.age)


def _row(row: ToolRow) -> list[Part | list[Part]]:
    return [
        row.name,
        row.provider,
        _state(row.connection) if row.connection is not None or row.needs_connection else ("not needed", "dim"),
        str(row.actions) if row.actions is not None else "",
        ", ".join(row.workflows),
        (one_line(row.description)[:60], "dim"),
    ]


def _state(connection: ConnectionView | None) -> Part:
    return SIGNS.get(connection.state, connection.state) if connection is not None else ("○ none", "dim")


def _show_detail(call: Call, detail: ToolDetail) -> None:
    row = detail.row
    call.output.line((row.title, "bold"), f"  {row.name}, by {row.provider}")
    if row.description:
        call.output.line((one_line(row.description), "dim"))
    if row.workflows:
        call.output.line(("used by  ", "dim"), ", ".join(row.workflows))
    if not row.needs_connection:
        call.output.line(("account  ", "dim"), "none is needed")
    for one in detail.connections:
        parts: list[Part] = [("account  ", "dim"), _state(one), f"  {one.account or one.id}"]
        if one.account and one.account != one.id:
            parts.append((f"  {one.id}", "dim"))
        if one.created_at is not None:
            parts.append((f"  connected {ago(one.created_at)}", "dim"))
        if one.expires_at is not None:
            parts.append((f"  ends {until(one.expires_at)}", "dim"))
        if one.reason:
            parts.append(f"  {one.reason}")
        call.output.line(*parts)
    for scheme in detail.schemes:
        words = "over a link" if scheme.managed else ", ".join(field.title for field in scheme.fields) or "over a link"
        call.output.line(("connect  ", "dim"), f"{scheme.name}: {words}")
    if detail.actions:
        call.output.line("")
        call.output.table(
            ["ACTION", "EFFECTS", "WHAT"],
            [[one.name, one.effects, (one_line(one.description)[:80], "dim")] for one in detail.actions],
        )
    _notes(call, detail.notes, detail.age)


def _show_action(call: Call, view: ActionView) -> None:
    call.output.line((f"{view.app}.{view.row.name}", "bold"), f"  {view.row.effects}, by {view.provider}")
    if view.row.description:
        call.output.line((one_line(view.row.description), "dim"))
    if view.row.deprecated:
        call.output.note(("! ", "yellow"), "It is deprecated.")
    needed = view.inputs.get("required") or []
    properties = view.inputs.get("properties")
    rows: list[list[Part | list[Part]]] = []
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        known = schema if isinstance(schema, dict) else {}
        types = known.get("type")
        kind = (" or ".join(map(str, types)) if isinstance(types, list) else types) or (
            "one of " + ", ".join(map(str, known["enum"])) if "enum" in known else ""
        )
        words = one_line(str(known.get("description", "")))[:80]
        rows.append([name, "needed" if name in needed else "", one_line(str(kind)), (words, "dim")])
    if rows:
        call.output.line("")
        call.output.table(["ARGUMENT", "", "TYPE", "WHAT"], rows)


def _show_workflow_tools(call: Call, workflow: str, tools: list[WorkflowTool]) -> None:
    if not tools:
        call.output.line(f"{workflow} names no tools in its tools.json.")
        return
    for tool in tools:
        pinned = [f"version {tool.version}" if tool.version else "", f"account {tool.account}" if tool.account else ""]
        parts: list[Part] = [(tool.name, "bold"), f"  {tool.provider}"]
        if tool.connection is not None:
            parts += ["  ", _state(tool.connection), f" {tool.connection.account}"]
        parts += [(f"  {', '.join(filter(None, pinned))}", "dim")]
        call.output.line(*parts)
        if tool.problem:
            call.output.line(("  ! ", "yellow"), tool.problem)
            call.output.line(("  next: ", "bold"), tool.next_step)


def _notes(call: Call, notes: list[str], age: float) -> None:
    for note in notes:
        call.output.note(("! ", "yellow"), note)
    if age > 60:
        call.output.note((f"Kept from {duration(age)} ago; ask anew with --refresh.", "dim"))


def _changes(
    add: list[str], remove: list[str], pin: list[str], unpin: list[str], fields: list[tuple[str, str]]
) -> list[ToolChange]:
    """What the options ask for, one change a tool; raises UsageError."""
    changes: dict[str, ToolChange] = {}
    for names, values in (
        (add, {}),
        (remove, {"remove": True}),
        (pin, {"pin": True}),
        (unpin, {"provider": "", "version": "", "account": ""}),
    ):
        for name in [part.strip() for text in names for part in text.split(",") if part.strip()]:
            changes[name] = msgspec.structs.replace(changes.get(name, ToolChange(name=name)), **values)
    for key, value in fields:
        name, _, field = key.rpartition(".")
        if not name or field not in FIELDS:
            raise UsageError(
                f"--set knows no {key!r}.",
                cause=f"Of a tool can be fixed: {', '.join(FIELDS)}.",
                next_step="Write it like this: --set gmail.account=ca_123 (an empty value: found anew with every call)",
            )
        changes[name] = msgspec.structs.replace(changes.get(name, ToolChange(name=name)), **{field: value})
    return list(changes.values())


# What is read -----------------------------------------------------------------------------------------------------


def _read_stdin() -> str:
    text = sys.stdin.read(ARGUMENTS_LIMIT + 1)
    if len(text) > ARGUMENTS_LIMIT:
        raise UsageError(
            f"stdin has more than {ARGUMENTS_LIMIT} characters.",
            cause="Arguments are kept whole.",
            next_step="Give less.",
        )
    return text


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{what.capitalize()} can't be read: {error}.",
            cause="A JSON object is expected.",
            next_step='Write it like this: \'{"name": "value"}\'',
        ) from error
    if not isinstance(value, dict):
        raise UsageError(
            f"{what.capitalize()} must be a JSON object, not {type(value).__name__}.",
            cause="Each is given by its name.",
            next_step='Write it like this: \'{"name": "value"}\'',
        )
    return value
