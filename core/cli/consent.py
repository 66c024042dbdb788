"""Asking before nodes that act outside may act again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from core.cli import prompt
from core.cli.call import Call, Client
from core.errors import EffectsNotAcknowledged
from core.link.api import EngineApi
from core.link.types import RunView

Command = TypeVar("Command", bound=Any)

AcknowledgeOption = Annotated[
    bool, typer.Option("--acknowledge-effects", help="Nodes that declare effects: write may act again.")
]
SameVersionOption = Annotated[
    bool, typer.Option("--same-version", help="Go on under the version of then, not the folder as it is now.")
]


async def acknowledged(
    call: Call, client: Client, command: Command, given: bool, send: Callable[[EngineApi, Command], Awaitable[RunView]]
) -> RunView:
    """Send a command that may let nodes act again; ask once where a person is there, and raise the refusal if not."""
    try:
        return await client.ask(
            lambda engine: send(engine, msgspec.structs.replace(command, acknowledge_effects=given))
        )
    except EffectsNotAcknowledged as error:
        if not call.output.can_ask:
            raise
        tell_effects(call, error.message, error.cause)
        if not await prompt.confirm(call.output, "May they act again?"):
            raise EffectsNotAcknowledged(
                "Nothing was done.", cause="Nodes that write were not to act again.", next_step=error.next_step
            ) from error
    return await client.ask(lambda engine: send(engine, msgspec.structs.replace(command, acknowledge_effects=True)))


def tell_effects(call: Call, message: str, cause: str = "") -> None:
    """Say what may be repeated."""
    call.output.note(("! ", "yellow"), message)
    if cause:
        call.output.note(("  " + cause, "dim"))
