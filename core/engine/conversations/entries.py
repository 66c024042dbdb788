"""The entries of one conversation as they are written: text in batches, everything else as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.assistant import events
from core.engine.conversations.views import error_view_of, question_view, understanding_view, usage_of
from core.engine.events import EventBus
from core.errors import RondoError
from core.link.chat_events import ChatChanged, ChatText
from core.link.chat_types import ToolUse
from core.store.operations import Operation, PutEntry
from core.store.store import Store

LARGE = 32 * 1024
"""Characters from which on secrets are looked for in a thread."""
KEEP_SECONDS = 0.7
"""How often text that streams is made durable."""

ASK = "ask_user"
INTERRUPTED = "The engine ended while this was going on. What was said stays; retry asks again."
STOPPED = "Stopped."


@dataclass(slots=True)
class Entry:
    """One entry while it may still change; `content` are the fields of `ChatEntry` but those of the row itself."""

    number: int
    kind: str
    at: float
    content: dict[str, Any] = field(default_factory=dict)
    dirty: bool = True
    new: bool = False
    """It has no row yet."""


class EntryWriter:
    """Adds entries to a conversation and changes the last ones. One writer at a time stands for a chat."""

    def __init__(
        self,
        chat_id: str,
        store: Store,
        bus: EventBus,
        now: Callable[[], float],
        redact: Callable[[str], str],
        *,
        last: int,
        revision: int,
    ) -> None:
        self.chat_id = chat_id
        self.workflow: str | None = None
        self.busy = False
        self.revision = revision
        self.last = last
        self.turn = 0
        self._store = store
        self._bus = bus
        self._now = now
        self._redact = redact
        self._entries: dict[int, Entry] = {}
        self._text: Entry | None = None
        self._pieces: list[str] = []
        self._length = 0
        self._tools: dict[str, Entry] = {}
        self._plan: Entry | None = None
        self._asker: Entry | None = None
        self._understanding: Any = None
        self._writing = asyncio.Lock()

    # Entries ------------------------------------------------------------------------------------------------------

    def add(self, kind: str, **content: Any) -> Entry:
        """A new entry at the end; it is durable after `flush`."""
        self.last += 1
        entry = Entry(self.last, kind, self._now(), content, new=True)
        self._entries[entry.number] = entry
        return entry

    def take_out(self, asker: Entry | None) -> None:
        """Forget a new entry that could not be made durable, and what was changed in entries that are."""
        self._entries = {number: entry for number, entry in self._entries.items() if entry.new and entry is not asker}
        if asker is not None and asker.new and asker.number == self.last:
            self.last -= 1

    def note(self, text: str) -> None:
        """Something that the program itself has to say."""
        self.add("note", text=text)

    def fail(self, error: RondoError) -> None:
        """Why it did not go on."""
        self.add("error", error=msgspec.to_builtins(error_view_of(error)))

    def texts(self) -> dict[int, str]:
        """The texts of entries that are further than their rows."""
        found = {entry.number: entry.content.get("text", "") for entry in self._entries.values() if entry.dirty}
        return found | ({} if self._text is None else {self._text.number: "".join(self._pieces)})

    async def flush(self, *others: Operation) -> None:
        """Make durable what changed, after other operations in one transaction, and tell of it."""
        async with self._writing:
            await self._settle()
            dirty = [entry for entry in self._entries.values() if entry.dirty]
            if not dirty and not others:
                return
            writes = [
                PutEntry(self.chat_id, entry.number, entry.kind, entry.at, json.dumps(entry.content).encode())
                for entry in dirty
            ]
            for entry in dirty:
                entry.dirty = False
            try:
                results = await self._store.commit([*others, *writes])
            except BaseException:
                for entry in dirty:
                    entry.dirty = True
                raise
            for entry in dirty:
                entry.new = False
            if dirty:
                self.revision = max(self.revision, *results[len(others) :])
        self.tell()

    def tell(self) -> None:
        """Say that the conversation changed."""
        self._bus.publish(
            ChatChanged(chat_id=self.chat_id, workflow=self.workflow, revision=self.revision, busy=self.busy)
        )

    async def keep_text(self) -> None:
        """Make durable what streams, again and again, until cancelled."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            await self.flush()

    # A turn -------------------------------------------------------------------------------------------------------

    def begin_turn(self, asker: Entry | None) -> None:
        """What follows belongs to a turn that `asker` began."""
        self._asker, self._text, self._plan = asker, None, None
        self._tools.clear()
        self._understanding = None

    def hear(self, event: events.Event) -> None:
        """Take what happens in a turn into the entries."""
        match event:
            case events.TurnStarted(turn=turn):
                self.turn = turn
                if self._asker is not None:
                    self._change(self._asker, turn=turn)
            case events.TextGrew(text=text):
                self._grow(text)
            case events.TextVoid(seconds=seconds, reason=reason):
                if self._text is not None:
                    self._pieces, self._length = [], 0
                    self._change(self._text, text="")
                self.note(f"Trying again in {seconds:.0f} s: {reason}")
            case events.ModelSaid():
                self._said(event)
            case (
                events.ToolWriting(name="ask_user")
                | events.ToolBegan(name="ask_user")
                | events.ToolEnded(name="ask_user")
            ):
                pass  # The questions are an entry of their own.
            case events.ToolWriting(call_id=call_id, name=name):
                self._tool(call_id, ToolUse(name=name, title="", status="writing"))
            case events.ToolBegan(call_id=call_id, name=name, title=title):
                self._tool(call_id, ToolUse(name=name, title=title, status="running"))
            case events.ToolEnded(call_id=call_id, name=name, title=title, failed=failed, summary=summary):
                use = ToolUse(name=name, title=title, status="failed" if failed else "done", result=summary)
                self._tool(call_id, use)
            case events.Asked(questions=questions, understanding=understanding):
                views = [question_view(question) for question in questions]
                self.add(
                    "questions",
                    questions=msgspec.to_builtins(views),
                    understanding=msgspec.to_builtins(understanding_view(understanding)),
                )
            case events.Understood(understanding=understanding):
                self._understanding = understanding_view(understanding)
            case events.Planned(tasks=tasks):
                self._planned(tasks)
            case events.Noted(text=text):
                self.note(text)
            case events.TurnFailed(error=error):
                self.fail(error)
            case _:
                pass  # A proposal is kept by whoever runs the turn, once it has ended.

    def end_turn(self, why: str = "") -> None:
        """Nothing more comes of the turn: what was under way is closed, with a word why where it was cut."""
        for entry in self._entries.values():
            if entry is self._text:
                self._change(entry, text=self._redact("".join(self._pieces)))
            if entry.content.get("streaming"):
                self._change(entry, streaming=False)
            tool = entry.content.get("tool")
            if tool is not None and tool["status"] in ("writing", "running"):
                self._change(
                    entry, tool={**tool, "status": "failed", "result": tool["result"] or why or "not finished"}
                )
        self._text = None
        if why:
            self.note(why)

    def forget(self) -> None:
        """Let go of entries that are durable and will not change."""
        self._entries = {number: entry for number, entry in self._entries.items() if entry.dirty}

    def take_in(self, entry: Entry) -> None:
        """Have an entry that was written earlier among those that may change."""
        self._entries.setdefault(entry.number, entry)

    # Inside -------------------------------------------------------------------------------------------------------

    def _change(self, entry: Entry, **content: Any) -> None:
        entry.content.update(content)
        entry.dirty = True

    def _grow(self, text: str) -> None:
        if self._text is None:
            self._text = self.add("model", text="", streaming=True)
            self._pieces, self._length = [], 0
        offset = self._length
        self._pieces.append(text)
        self._length += len(text)
        self._text.dirty = True
        self._bus.publish(ChatText(chat_id=self.chat_id, number=self._text.number, offset=offset, text=text))

    async def _settle(self) -> None:
        """Put what has come of a text into its entry: as it is kept, without secrets."""
        entry, length = self._text, self._length
        if entry is None or not entry.dirty:
            return
        self._pieces = ["".join(self._pieces)]
        text = self._pieces[0]
        clean = await asyncio.to_thread(self._redact, text) if length > LARGE else self._redact(text)
        if self._text is entry and self._pieces and self._pieces[0] is text:
            # Else its end has come meanwhile, and with it the whole text.
            self._change(entry, text=clean)

    def _said(self, event: events.ModelSaid) -> None:
        entry, self._text = self._text, None
        if entry is None:
            if not event.text:
                return
            entry = self.add("model")
        self._change(
            entry,
            text=event.text,
            streaming=False,
            model=event.model,
            seconds=event.seconds,
            usage=msgspec.to_builtins(usage_of(event.usage)),
        )

    def _tool(self, call_id: str, use: ToolUse) -> None:
        entry = self._tools.get(call_id)
        if entry is None:
            entry = self._tools[call_id] = self.add("tool")
        self._change(entry, tool=msgspec.to_builtins(use))

    def _planned(self, tasks: Sequence[events.Task]) -> None:
        if self._plan is None:
            self._plan = self.add("note")
        lines = [f"- [{'x' if task.done else ' '}] {task.title}" for task in tasks]
        self._change(self._plan, text="\n".join(["Plan:", *lines]))
