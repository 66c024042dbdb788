"""The environment of one run: got ready before its process starts, held while the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from core.engine.environments.cache import Environment, Held, Need
from core.errors import RondoError

if TYPE_CHECKING:
    from core.engine.actor import RunActor

MAKING = "making the environment"


class OwnEnvironment:
    """What a run has of its workflow's packages; nothing where it needs none."""

    def __init__(self, actor: RunActor) -> None:
        self._actor = actor
        self._held: Held | None = None
        self._preparing: asyncio.Task[None] | None = None
        self.activity = ""
        """What is done for the run while it has no process, in words; empty where nothing is."""

    @property
    def found(self) -> Environment | None:
        """The environment that the run's process starts under; None for the engine's own Python."""
        return self._held.environment if self._held is not None else None

    def prepare(self, ready: Callable[[], None]) -> None:
        """Call `ready` once the run's packages are there: at once where it needs none. A failure fails the run."""
        need = self._actor.world.need_of(self._actor)
        if self._held is not None and (need is None or need.key != self._held.environment.key):
            self._held.release()
            self._held = None
        if need is None or self._held is not None:
            ready()
        elif self._preparing is None:
            preparing = self._prepare(need, ready)
            self._preparing = asyncio.create_task(preparing, name=f"packages of {self._actor.short_id}")

    def release(self) -> None:
        """The run needs it no more, or not now: what is being made for it alone is given up."""
        self.activity = ""
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
        if self._held is not None:
            self._held.release()
            self._held = None

    async def _prepare(self, need: Need, ready: Callable[[], None]) -> None:
        actor = self._actor
        try:
            self._held = await actor.world.hold_environment(actor, need, self._say)
        except RondoError as error:
            actor.post(partial(_fail, error))
        else:
            ready()
        finally:
            self._preparing = None
            self.activity = ""

    def _say(self, line: str) -> None:
        """A line of the installer: it goes to the run's log; with the first one everybody hears what is going on."""
        actor = self._actor
        if not self.activity:
            self.activity = MAKING
            actor.entered(actor.status)
        level = next((word for word in ("ERROR", "WARNING") if line.startswith(word)), "INFO")
        actor.log.line(actor.world.now(), level, line, "")


async def _fail(error: RondoError) -> None:
    """Raise it in the actor's queue, which fails the run for it."""
    raise error
