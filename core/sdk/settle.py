"""Calling what authors write, plain or async."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

from core.errors import NodeExit


async def in_thread(function: Any, argument: Any, out_of_time: Callable[[], bool] = lambda: False) -> Any:
    """Call a plain function in a thread of its own and return what it comes to; the event loop goes on meanwhile.

    Where nobody waits for it any more the thread is left behind: nothing can end it but the end of its process. In a
    process of the run's own a thread that is `out_of_time` is therefore waited for: its attempt has not ended while it
    acts, and whoever watches the time limit ends the process (docs/workflows.md).
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Any] = loop.create_future()
    ended = asyncio.Event()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            found = context.run(function, argument)
        except StopIteration as error:
            tell(result.set_exception, RuntimeError(f"the code raised StopIteration: {error}"))
        except BaseException as error:
            # Whoever waits in another thread gets all that this one got.
            tell(result.set_exception, error)
        else:
            tell(result.set_result, found)

    def tell(settle_result: Callable[[Any], None], value: Any) -> None:
        def take() -> None:
            ended.set()
            if not result.done():
                settle_result(value)

        with contextlib.suppress(RuntimeError):  # The loop is closed: the program ends.
            loop.call_soon_threadsafe(take)

    threading.Thread(target=work, name=getattr(function, "__qualname__", "node"), daemon=True).start()
    try:
        found = await result
    except asyncio.CancelledError:
        if Interrupts.own and out_of_time():
            await ended.wait()
        raise
    return await found if inspect.isawaitable(found) else found


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
