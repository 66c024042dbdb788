"""Calling what authors write, plain or async."""

from __future__ import annotations

import inspect
from typing import Any

from core.errors import NodeExit


class Interrupts:
    """Whose a KeyboardInterrupt is; `own` is set where a process has nothing but one run, and no terminal."""

    own = False


async def settle(function: Any, *arguments: Any) -> Any:
    """Call a plain or async function and return what it comes to; a `sys.exit` in it becomes a `NodeExit`.

    So does a KeyboardInterrupt, where only the code itself can have raised it.
    """
    try:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result
    except SystemExit as error:
        raise NodeExit(
            f"The node's code called sys.exit({error.code!r}).",
            cause="A node can't end the program it runs in.",
            next_step="Return from the method to go on, or raise an exception to make the node fail.",
        ) from error
    except KeyboardInterrupt as error:
        if not Interrupts.own:
            raise
        raise NodeExit(
            "The node's code raised KeyboardInterrupt.",
            cause="Nobody pressed Ctrl+C: a run has no terminal.",
            next_step="Raise another exception to make the node fail.",
        ) from error
