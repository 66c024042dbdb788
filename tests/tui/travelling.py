"""An engine whose runs can be led back and on."""

from __future__ import annotations

from typing import Any

from engine_double import EngineDouble

from core.errors import EffectsNotAcknowledged
from core.link.commands import Fork, Rerun, Retry, Rewind
from core.link.types import RunView


class Travelling(EngineDouble):
    """An engine that notes the commands; a node that writes is asked about once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    async def pause_run(self, command_id: str, run_id: str, now: bool = False) -> RunView:
        self.sent.append("pause")
        view = await self.get_run(run_id)
        view.pausing = True
        return view

    async def rewind_run(self, rewind: Rewind) -> RunView:
        if not rewind.acknowledge_effects:
            raise EffectsNotAcknowledged("Going on may repeat: send (once).", cause="It declares effects: write.")
        self.sent.append(rewind)
        return await self.get_run(rewind.run_id)

    async def fork_run(self, fork: Fork) -> RunView:
        self.sent.append(fork)
        return await self.get_run(self.run("mail_digest").id)

    async def rerun(self, rerun: Rerun) -> RunView:
        self.sent.append(rerun)
        return await self.get_run(self.run("mail_digest").id)

    async def retry_run(self, retry: Retry) -> RunView:
        self.sent.append(retry)
        return await self.get_run(retry.run_id)
