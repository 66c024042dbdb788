"""One conversation while the engine holds it: its memory, its entries, and the turn that is going on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from core.assistant.events import TurnEnd
from core.assistant.memory import Memory, Mode
from core.assistant.proposal import Proposal
from core.assistant.session import Session, SessionLimits
from core.assistant.workbench import Workbench
from core.engine.conversations.entries import INTERRUPTED, STOPPED, Entry, EntryWriter
from core.engine.events import EventBus
from core.errors import RondoError
from core.llm.messages import ModelGateway
from core.store.operations import Operation, PutMemory, UpdateChat
from core.store.records import ChatRecord
from core.store.store import Store

log = structlog.get_logger()

Act = Callable[[Session], Awaitable[TurnEnd]]
"""What a turn does: say something, answer, or go on."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What conversations need of the engine."""

    store: Store
    bus: EventBus
    now: Callable[[], float]
    redact: Callable[[str], str]
    """Takes secrets out of what a person or a model says."""
    gateway: Callable[[str], ModelGateway]
    """The way to the models for a chat."""
    workbench: Callable[[str, str], Workbench]
    """What the assistant may ask of the program, for a chat and its workflow."""
    limits: Callable[[], SessionLimits]
    mode: Callable[[], Mode]
    """How a conversation begins where nobody says it."""
    keep_proposal: Callable[[str, Proposal], Awaitable[tuple[str, list[Operation]]]]
    ended: Callable[[Conversation, Proposal | None, str | None], Awaitable[None]]
    """Called when a turn is over, with its proposal and that one's id."""


class Conversation:
    """One chat. At most one turn runs at a time; `lock` is held by whoever changes it otherwise."""

    def __init__(self, record: ChatRecord, memory: Memory, writer: EntryWriter, around: Surroundings) -> None:
        self.id = record.id
        self.workflow = record.workflow
        self.memory = memory
        self.writer = writer
        self.lock = asyncio.Lock()
        self.gone = False
        """It was deleted."""
        self._around = around
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def load(cls, record: ChatRecord, around: Surroundings) -> Conversation:
        """The conversation as it was kept. Raises DatabaseDamaged where its memory is."""
        kept = await around.store.memory(record.id)
        if kept is None:
            memory = Memory(workflow=record.workflow or "")
        else:
            memory = await asyncio.to_thread(lambda: Memory.from_json(json.loads(zlib.decompress(kept))))
        last = await around.store.last_entry(record.id)
        revision = await around.store.chat_revision(record.id)
        writer = EntryWriter(
            record.id, around.store, around.bus, around.now, around.redact, last=last, revision=revision
        )
        writer.workflow = record.workflow
        return cls(record, memory, writer, around)

    @property
    def busy(self) -> bool:
        """True while a turn goes on."""
        return self.writer.busy

    # Turns --------------------------------------------------------------------------------------------------------

    async def start(self, act: Act, asker: Entry | None, *others: Operation) -> None:
        """Make durable that a turn begins, with other operations, and let it run."""
        self.writer.begin_turn(asker)
        self.writer.busy = True
        try:
            await self.writer.flush(UpdateChat(self.id, self._around.now(), busy=True), *others)
        except BaseException as error:
            self.writer.busy = False
            if isinstance(error, RondoError):
                # It was not said: neither shown nor written later.
                self.writer.take_out(asker)
            raise
        self._task = asyncio.create_task(self._turn(act), name=f"turn of chat {self.id}")

    async def stop(self) -> None:
        """End the turn at once; what was said stays."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def close(self) -> None:
        """End the turn because the engine ends."""
        self._closing = True
        await self.stop()

    async def settled(self) -> None:
        """Wait until no turn goes on."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _turn(self, act: Act) -> None:
        keeping = asyncio.create_task(self.writer.keep_text(), name=f"text of chat {self.id}")
        proposal: Proposal | None = None
        why = ""
        try:
            session = Session(
                self.memory,
                self._around.gateway(self.id),
                self._around.workbench(self.id, self.memory.workflow),
                self.writer.hear,
                self._keep,
                self._around.limits(),
            )
            end = await act(session)
            proposal = end.proposal
            if end.status == "stopped":
                why = INTERRUPTED if self._closing else STOPPED
        except asyncio.CancelledError:
            why = INTERRUPTED if self._closing else STOPPED
        except RondoError as error:
            self.writer.fail(error)
        except Exception as error:
            # A defect of ours ends this turn, and is said in it: the conversation goes on.
            log.exception("a turn failed", chat=self.id)
            self.writer.fail(
                RondoError(
                    "The assistant itself failed.",
                    cause=f"{type(error).__name__}: {error}",
                    next_step="Try again with retry; the traceback is in runs/engine.log.",
                )
            )
        keeping.cancel()
        await asyncio.wait([keeping])
        finishing = asyncio.ensure_future(self._finish(proposal, why))
        # A second cancellation must not leave the conversation half ended.
        while not finishing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(finishing)

    async def _finish(self, proposal: Proposal | None, why: str) -> None:
        id: str | None = None
        try:
            self.writer.end_turn(why)
            operations: list[Operation] = []
            if proposal is not None:
                id, operations = await self._around.keep_proposal(self.id, proposal)
                self.writer.add("proposal", proposal=id, text=proposal.title)
                self.workflow = self.writer.workflow = proposal.workflow
            await self.writer.flush(*operations, *await self.state_operations(busy=False))
        except RondoError as error:
            log.error("the end of a turn could not be kept", chat=self.id, **error.to_dict())
        except Exception:
            # Nobody waits for this; the chat must not count as busy for ever.
            log.exception("the end of a turn could not be kept", chat=self.id)
        finally:
            self.writer.busy = False
            self.writer.forget()
        self.writer.tell()
        await self._around.ended(self, proposal if id is not None else None, id)

    # Keeping ------------------------------------------------------------------------------------------------------

    async def state_operations(self, **changes: Any) -> list[Operation]:
        """What keeps the memory and what the chat's row says of it."""
        packed = await asyncio.to_thread(packed_memory, self.memory.to_json(), self._around.redact)
        return [
            PutMemory(self.id, packed),
            UpdateChat(
                self.id,
                self._around.now(),
                workflow=self.workflow,
                mode=self.memory.mode,
                tainted=self.memory.tainted,
                **changes,
            ),
        ]

    async def _keep(self, memory: dict[str, Any]) -> None:
        await self.writer.flush(PutMemory(self.id, await asyncio.to_thread(packed_memory, memory, self._around.redact)))


def packed_memory(memory: dict[str, Any], redact: Callable[[str], str]) -> bytes:
    """The memory as it is stored: of a reply that was stopped it holds what came, as it came."""
    for message in memory["messages"]:
        message["text"] = redact(message["text"])
    return zlib.compress(json.dumps(memory, ensure_ascii=False).encode(errors="surrogatepass"), 1)
