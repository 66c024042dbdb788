"""`rondo check`, and what is said before a run begins: what a workflow needs that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, open_call
from core.errors import RondoError
from core.link.tool_types import Lack

CHECK_SECONDS = 15.0
"""How long the check before a run may take."""
BLOCKED = 4
"""Exit code where something is missing."""
WORDS = {
    "waits": "a run comes to it and waits",
    "fails": "a run fails there",
    "refused": "no run begins",
}

CheckOption = Annotated[
    bool, typer.Option("--check", help="Begin only if nothing is missing that the workflow needs; else exit 4.")
]


def check_command(
    context: typer.Context,
    name: NameArgument,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="HASH", help="Check this stored version.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say what a run would lack: tools, actions, accounts, keys, secrets. Runs nothing; exit 4 if anything."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        lacks = await client.ask(lambda engine: engine.check_workflow(name, version))
        if call.as_json:
            call.output.document({"workflow": name, "missing": [msgspec.to_builtins(lack) for lack in lacks]})
        elif lacks:
            _show(call, name, lacks, note=False)
        else:
            call.output.line(("✓ ", "green"), f"{name} has all that it needs.")
        return BLOCKED if lacks else 0

    return call.with_engine(work)


async def is_ready(call: Call, client: Client, workflow: str, version: str | None) -> bool:
    """Whether nothing is missing; what is, is said. For documents the engine refuses the run itself."""
    if call.as_json:
        return True
    lacks = await client.ask(lambda engine: engine.check_workflow(workflow, version))
    if lacks:
        _show(call, workflow, lacks, note=True)
        call.output.note("Nothing was started, because of --check.")
    return not lacks


async def tell_of_lacks(call: Call, client: Client, workflow: str, version: str | None = None) -> None:
    """Say before a run begins what it lacks, in one message. It begins all the same, and waits where it can."""
    if call.as_json:
        return
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            lacks = await client.ask(lambda engine: engine.check_workflow(workflow, version))
    except TimeoutError:
        call.output.note(("! ", "yellow"), "What the workflow needs could not be checked in time; the run begins.")
        return
    except RondoError:
        return  # What is wrong with the workflow itself is said by whoever starts it.
    # What keeps a run from beginning is said by whoever refuses it.
    if lacks := [lack for lack in lacks if lack.then != "refused"]:
        _show(call, workflow, lacks, note=True)


def _show(call: Call, workflow: str, lacks: Sequence[Lack], *, note: bool) -> None:
    say = call.output.note if note else call.output.line
    things = "1 thing is" if len(lacks) == 1 else f"{len(lacks)} things are"
    say(("! ", "yellow"), (workflow, "bold"), f": {things} missing")
    for lack in lacks:
        whose = f"{lack.workflow}: " if lack.workflow != workflow else ""
        place = f" ({lack.place})" if lack.place else ""
        say("  ", (f"{lack.kind} {lack.name}", "bold"), (f"  {WORDS.get(lack.then, '')}", "dim"))
        say(f"    {whose}{lack.message}{place}")
        if lack.next_step:
            say(("    next: ", "bold"), lack.next_step)
