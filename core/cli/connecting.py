"""Connecting an account at the terminal: a link with a countdown, or fields that are asked for."""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from core.cli.call import Call, Client
from core.cli.output import duration
from core.cli.prompt import TypedLines
from core.errors import ConnectFailed
from core.link.tool_types import ConnectionView, ConnectView, FieldView

WAITS = 3
"""Exit code where something is left to be done by a person."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds between two looks at an account."""
LONGEST_WAIT = 600.0
"""Seconds that a link holds where nobody says how long it does."""
INSET = "  "
"""Before a link and its code."""
ROWS_BETWEEN = 4
"""Rows that a code leaves free: for the empty lines around it and the link, and for the countdown."""
SMALLEST_CODE = 13
"""Rows of the smallest code there is: 21 modules with a margin of 2."""
ENDED = ("FAILED", "EXPIRED", "INACTIVE", "REVOKED")


async def connect(
    call: Call, client: Client, name: str, provider: str, scheme: str, values: dict[str, str], *, wait: bool
) -> int:
    """Connect an account of a tool; returns the exit code. Raises the ToolProblem family, among them ConnectFailed."""
    given = dict(values)
    view = await client.ask(lambda engine: engine.connect_tool(name, provider, scheme, given or None))
    if view.state != "ACTIVE" and view.fields:
        if values or not call.output.can_ask or not sys.stdin.isatty():
            return _needs(call, view, values)
        given = await _ask(call, view.fields)
        chosen = view.scheme
        view = await client.ask(lambda engine: engine.connect_tool(name, provider, chosen, given))
    if view.state == "ACTIVE":
        return _done(call, name, view, None)
    if not view.link:
        return _needs(call, view, given)
    _show_link(call, view, wait=wait)
    if not wait:
        if call.as_json:
            call.output.document(msgspec.to_builtins(view))
        return WAITS
    connection = await _wait(call, client, name, provider, view)
    return _done(call, name, view, connection)


def _show_link(call: Call, view: ConnectView, *, wait: bool) -> None:
    if call.as_json and not wait:
        return
    # The person may sit at the other end of an SSH line: nothing is opened here.
    words = f"Open this in a browser, on any machine, to connect {view.app}:"
    link = INSET + view.link
    call.output.note(words)
    call.output.note("")
    call.output.note((link, "bold"))
    call.output.note("")
    if not call.as_json:
        _show_code(call, view.link, above=(words, link))


def _show_code(call: Call, link: str, above: tuple[str, ...]) -> None:
    """Draw the link for a phone where the terminal has room for it, for what stands above it, and for a countdown."""
    columns, rows = call.output.canvas
    if columns < SMALLEST_CODE or rows < SMALLEST_CODE:
        return
    taken = ROWS_BETWEEN + sum(-(-len(text) // columns) for text in above)
    room = columns - len(INSET), rows - taken
    from core.drawing.qr import PAINTS, qr_lines

    lines = qr_lines(link, *room)
    for line in lines:
        call.output.note(INSET, *(PAINTS[sign] for sign in line))
    if lines:
        call.output.note("")


async def _wait(call: Call, client: Client, name: str, provider: str, view: ConnectView) -> ConnectionView:
    """Look at the account until it is active; raises ConnectFailed where it will not be."""
    ends_at = view.expires_at if view.expires_at is not None else time.time() + LONGEST_WAIT
    pause = FIRST_PAUSE
    countdown = sys.stderr.isatty()
    try:
        while True:
            found = await client.ask(lambda engine: engine.check_connection(name, view.connection_id, provider))
            if found.state == "ACTIVE":
                return found
            left = ends_at - time.time()
            if found.state in ENDED or left <= 0:
                raise _failed(name, found, left)
            until = time.monotonic() + pause
            while (rest := until - time.monotonic()) > 0:
                if countdown:
                    sys.stderr.write(f"\r  waiting; the link ends in {duration(max(0.0, ends_at - time.time()))}   ")
                    sys.stderr.flush()
                await asyncio.sleep(min(1.0, rest))
            pause = min(pause * 1.3, LONGEST_PAUSE)
    finally:
        if countdown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _failed(name: str, found: ConnectionView, left: float) -> ConnectFailed:
    if found.state in ENDED:
        message = f"{name} could not be connected: the account is {found.state}."
    else:
        message = f"{name} was not connected before the link ended."
    return ConnectFailed(
        message,
        cause=found.reason or ("The link holds for a few minutes only." if left <= 0 else "The service says so."),
        next_step=f"Begin again: rondo authenticate-tool {name}",
        details={"state": found.state},
    )


def _done(call: Call, name: str, view: ConnectView, connection: ConnectionView | None) -> int:
    if call.as_json:
        document = msgspec.to_builtins(view)
        document["state"] = "ACTIVE"
        document["connection"] = msgspec.to_builtins(connection) if connection is not None else None
        call.output.document(document)
        return 0
    account = f" as {connection.account}" if connection is not None and connection.account else ""
    call.output.line(("● ", "green"), (name, "bold"), f" is connected{account}.")
    return 0


def _needs(call: Call, view: ConnectView, values: dict[str, str]) -> int:
    """Say what is to be filled in."""
    if call.as_json:
        call.output.document(msgspec.to_builtins(view))
        return WAITS
    missing = [field for field in view.fields if field.required and not values.get(field.name)]
    call.output.note(f"To connect {view.app} ({view.scheme}) this is needed:")
    for field in missing or view.fields:
        call.output.note(("  " + field.name, "bold"), f"  {field.description or field.title}")
    call.output.note("Call it at a terminal, or give it as JSON: rondo authenticate-tool ", view.app, " --stdin")
    return WAITS


async def _ask(call: Call, fields: list[FieldView]) -> dict[str, str]:
    """Ask for each field; secrets are not shown."""
    values: dict[str, str] = {}
    lines = TypedLines(call.output)
    for field in fields:
        if field.description:
            call.output.note((field.description, "dim"))
        title = field.title or field.name
        hint = f" [{field.default}]" if field.default else "" if field.required else " (may be empty)"
        call.output.ask(f"{title}{hint}{' (not shown)' if field.secret else ''}: ")
        typed = await (lines.next_hidden() if field.secret else lines.next())
        if typed is None:
            break
        values[field.name] = typed.strip() or field.default
    return {name: value for name, value in values.items() if value}
