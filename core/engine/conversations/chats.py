"""The conversations of a workspace: what a person says, answers, stops and takes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from core.assistant import events
from core.assistant.draft import Draft
from core.assistant.events import TurnEnd
from core.assistant.repair import repair_words
from core.assistant.session import RunData, Session
from core.definition.load import load_sources
from core.engine.catalog import Catalog
from core.engine.conversations.conversation import Act, Conversation, Surroundings
from core.engine.conversations.entries import INTERRUPTED, Entry
from core.engine.conversations.held import HeldChats, unknown_chat
from core.engine.conversations.journal import Journal
from core.engine.conversations.proposals import Proposals
from core.engine.conversations.references import References
from core.engine.conversations.views import chat_entry, chat_row, fitting, usage_view
from core.engine.tools_file import with_tools
from core.errors import AlreadyAnswered, InvalidAnswer, RondoError, UsageError
from core.link.chat_types import (
    AnswerQuestions,
    ChatMode,
    ChatPage,
    ChatQuery,
    ChatRow,
    Question,
    QuestionAnswer,
    SendMessage,
)
from core.store.operations import (
    DeleteChat,
    Operation,
    RecordCommand,
    ReplaceEntries,
    UpdateChat,
)
from core.store.records import EntryRow
from core.store.store import Store

log = structlog.get_logger()

TEXT_LIMIT = 100_000
"""Characters of one message."""
Command = Callable[[str], RecordCommand]
"""A record of the command with this result (JSON)."""


class Chats:
    """Every conversation; those in which something happens are held in memory."""

    def __init__(
        self,
        around: Surroundings,
        catalog: Catalog,
        journal: Journal,
        proposals: Proposals,
        references: References,
    ) -> None:
        self._around = around
        self._store: Store = around.store
        self._journal = journal
        self._proposals = proposals
        self._references = references
        self._held = HeldChats(around, catalog)

    @property
    def busy(self) -> bool:
        """True while a turn goes on anywhere."""
        return any(chat.busy for chat in self._held)

    async def recover(self) -> None:
        """Close what a killed engine left in the middle: it is said, and nothing goes on by itself."""
        for chat_id in await self._store.busy_chats():
            try:
                chat = await self.open(chat_id)
                for row in await self._last_turn(chat_id):
                    entry = chat_entry(row)
                    under_way = entry.tool is not None and entry.tool.status in ("writing", "running")
                    if (entry.streaming or under_way) and row.content is not None:
                        chat.writer.take_in(Entry(row.number, row.kind, row.at, msgspec.json.decode(row.content)))
                chat.writer.end_turn(INTERRUPTED)
                await chat.writer.flush(UpdateChat(chat_id, self._around.now(), busy=False))
                chat.writer.forget()
            except RondoError as error:
                log.error("a conversation could not be taken up", chat=chat_id, **error.to_dict())
                await self._store.commit([UpdateChat(chat_id, self._around.now(), busy=False)])

    async def _last_turn(self, chat_id: str) -> list[EntryRow]:
        """What came of a conversation after the person's last words."""
        found: list[EntryRow] = []
        before: int | None = None
        while rows := await self._store.entries(chat_id, before=before, limit=200):
            found += rows
            before = min(row.number for row in rows)
            if any(row.kind == "user" for row in rows):
                break
        return found

    async def close(self) -> None:
        """End every turn; what was said stays."""
        for chat in self._held:
            await chat.close()

    # Reading ------------------------------------------------------------------------------------------------------

    async def row(self, chat_id: str) -> ChatRow:
        """One conversation. Raises UsageError where it is gone."""
        found = await self._store.chat(chat_id)
        if found is None:
            raise unknown_chat(chat_id)
        used = await self._store.chat_usages([chat_id])
        return self._row(*found, used.get(chat_id))

    async def all(self, workflow: str | None, limit: int) -> list[ChatRow]:
        """Conversations, the last changed first."""
        found = await self._store.chats(workflow, max(1, min(limit, 200)))
        used = await self._store.chat_usages([record.id for record, _, _ in found])
        return [self._row(record, entries, waiting, used.get(record.id)) for record, entries, waiting in found]

    async def page(self, query: ChatQuery) -> ChatPage:
        """Entries of a conversation, with text that is not durable yet."""
        chat = await self.row(query.chat_id)
        revision = await self._store.chat_revision(query.chat_id)
        rows = await self._store.entries(
            query.chat_id, before=query.before, since=query.since, limit=max(1, min(query.limit, 200))
        )
        views = [chat_entry(row) for row in rows]
        held = self._held.get(query.chat_id)
        for number, text in (held.writer.texts() if held is not None else {}).items():
            for view in views:
                if view.number == number and view.kind == "model":
                    view.text = text
        entries = fitting(views, from_end=query.since is None)
        if query.since is not None and len(entries) < len(views):
            # What is left out comes with the next call.
            revision = max(entry.revision for entry in entries)
        return ChatPage(chat=chat, entries=entries, first=min(1, chat.entries), last=chat.entries, revision=revision)

    def _row(self, record: Any, entries: int, waiting: str | None, used: Any) -> ChatRow:
        view = chat_row(record, entries, waiting, usage_view(used))
        held = self._held.get(record.id)
        view.busy = held is not None and held.busy
        return view

    # Saying -------------------------------------------------------------------------------------------------------

    async def send(self, message: SendMessage, command: Command) -> ChatRow:
        """Say something; the turn goes on after this returns."""
        text = self._around.redact(message.text.strip())
        if not text or len(text) > TEXT_LIMIT:
            raise UsageError(
                "The message is empty." if not text else "The message is too long.",
                cause=f"A message has 1 to {TEXT_LIMIT:,} characters.",
                next_step="Say what you want in a few sentences.",
            )
        chat = await self._held.for_message(message, text)
        try:
            await self._say(chat, message, text, command)
        except RondoError:
            if message.chat_id is None:
                # Nothing was said in it.
                await self._store.commit([DeleteChat(chat.id)])
                self._held.drop(chat.id)
            raise
        return await self.row(chat.id)

    async def _say(self, chat: Conversation, message: SendMessage, text: str, command: Command) -> None:
        async with chat.lock:
            if message.replaces is not None:
                await chat.stop()
            _refuse_busy(chat)
            said = text
            data = await self._data(chat, text)
            operations: list[Operation] = [command(msgspec.json.encode(chat.id).decode())]
            if message.replaces is not None:
                operations += await self._take_back(chat, message.replaces, with_asker=True)
            tools = [self._around.redact(tool) for tool in message.tools]
            if tools:
                await self._name_tools(chat, tools)
                text = f"{text}\n\nTools to use: {', '.join(tools)}"
            await self._answered_by_words(chat, text)
            entry = chat.writer.add("user", text=said)
            await chat.start(
                lambda session: session.send(text, data), entry, *operations, *await chat.state_operations()
            )

    async def answer(self, answer: AnswerQuestions, command: Command) -> ChatRow:
        """Answer the open questions; the turn goes on."""
        chat = await self.open(answer.chat_id)
        async with chat.lock:
            _refuse_busy(chat)
            row = await self._store.entry(chat.id, answer.number)
            view = chat_entry(row) if row is not None else None
            if row is None or view is None or view.questions is None or row.content is None:
                raise UsageError(
                    f"Entry {answer.number} asks nothing.", next_step="See what was asked: read the conversation."
                )
            if view.answers is not None or view.replaced or not chat.memory.asking:
                raise AlreadyAnswered(
                    "These questions are not open any more.",
                    cause="They were answered, skipped or taken back.",
                    next_step="Say it in words instead.",
                )
            answers = [msgspec.structs.replace(one, text=self._around.redact(one.text)) for one in answer.answers]
            given = _checked(view.questions, answers)
            entry = Entry(row.number, row.kind, row.at, msgspec.json.decode(row.content))
            entry.content["answers"] = msgspec.to_builtins(given)
            chat.writer.take_in(entry)
            told = [events.Answer(one.id, tuple(one.chosen), one.text) for one in given]

            async def act(session: Session) -> TurnEnd:
                return await session.answer(told)

            await chat.start(act, None, command(msgspec.json.encode(chat.id).decode()))
        return await self.row(chat.id)

    async def stop(self, chat_id: str) -> ChatRow:
        """End the turn at once."""
        await (await self.open(chat_id)).stop()
        return await self.row(chat_id)

    async def retry(self, chat_id: str, command: Command) -> ChatRow:
        """Take back what followed the last message of the person and ask again."""
        chat = await self.open(chat_id)
        async with chat.lock:
            _refuse_busy(chat)
            asked = await self._store.entries_of_kind(chat_id, "user")
            if not asked or asked[-1].content is None:
                raise UsageError("There is nothing to ask again.", next_step="Say something first.")
            last = asked[-1]
            content = msgspec.json.decode(asked[-1].content or b"{}")
            operations = await self._take_back(chat, last.number, with_asker=False)
            entry = Entry(last.number, last.kind, last.at, content)
            chat.writer.take_in(entry)
            act = await self._again(chat, content)
            record = command(msgspec.json.encode(chat.id).decode())
            await chat.start(act, entry, record, *operations, *await chat.state_operations())
        return await self.row(chat_id)

    async def fix(self, run_id: str, command: Command) -> ChatRow:
        """Open a conversation that begins with a failed run, and let the model repair it."""
        view, failure = await self._references.failed_run(run_id)
        words, _ = repair_words(failure)
        chat = await self._held.begin(view.workflow, f"Repair run {view.short_id}", view.workflow)
        # Whoever asks for a repair wants one proposed.
        chat.memory.mode = "propose"
        async with chat.lock:
            entry = chat.writer.add("user", text=words, run=view.run_id)
            record = command(msgspec.json.encode(chat.id).decode())
            await chat.start(lambda session: session.repair(failure), entry, record, *await chat.state_operations())
        return await self.row(chat.id)

    async def set_mode(self, chat_id: str, mode: ChatMode) -> ChatRow:
        """Change what the assistant may do; it holds at once."""
        chat = await self.open(chat_id)
        chat.memory.mode = mode
        await chat.writer.flush(*await chat.state_operations())
        chat.writer.tell()
        return await self.row(chat_id)

    async def allow_tries(self, chat_id: str, allowed: bool) -> ChatRow:
        """Let the assistant run dry what it proposes here, or no longer."""
        chat = await self.open(chat_id)
        await chat.writer.flush(UpdateChat(chat_id, self._around.now(), tries=allowed))
        chat.writer.tell()
        return await self.row(chat_id)

    async def delete(self, chat_id: str, command: RecordCommand) -> None:
        """Take a conversation away for good."""
        chat = await self.open(chat_id)
        async with chat.lock:
            if chat.gone:
                raise unknown_chat(chat_id)
            await chat.stop()
            await self._store.commit([DeleteChat(chat_id), command])
            self._held.drop(chat_id)
            chat.writer.tell()

    async def revise(self, chat_id: str, comment: str) -> None:
        """Give a comment on a proposal back to the model; raises UsageError while it works."""
        chat = await self.open(chat_id)
        comment = self._around.redact(comment)
        async with chat.lock:
            _refuse_busy(chat)
            entry = chat.writer.add("user", text=comment, revises=True)
            await chat.start(lambda session: session.revise(comment), entry)

    async def decided(self, chat_id: str, what: str, detail: str, note: str, assumptions: Any = None) -> None:
        """Tell a conversation what became of its proposal."""
        found = await self._store.chat(chat_id)
        if found is None:
            return
        chat = await self.open(chat_id)
        detail, note = self._around.redact(detail), self._around.redact(note)
        chat.memory.decided("applied" if what == "applied" else "rejected", detail)
        if assumptions is not None:
            known = {assumption.id: assumption for assumption in chat.memory.assumptions}
            chat.memory.assumptions = [
                events.Assumption(view.id, view.text, known[view.id].question if view.id in known else "")
                for view in assumptions
            ]
            chat.memory.notes.append("The person set the assumptions to: " + "; ".join(a.text for a in assumptions))
        chat.writer.note(note)
        await chat.writer.flush(*await chat.state_operations())
        chat.writer.forget()

    async def open(self, chat_id: str) -> Conversation:
        """The conversation, held in memory. Raises UsageError where there is none."""
        return await self._held.open(chat_id)

    # Inside -------------------------------------------------------------------------------------------------------

    async def _data(self, chat: Conversation, text: str) -> list[RunData]:
        files = await self._journal.files(chat.memory.workflow)
        loaded = await asyncio.to_thread(load_sources, chat.memory.workflow, files) if files else None
        graph = loaded.graph if loaded is not None else None
        return await self._references.resolve(text, chat.workflow or "", set(graph.nodes) if graph else set())

    async def _again(self, chat: Conversation, content: dict[str, Any]) -> Act:
        """What says once more what an entry of the person said."""
        text = content["text"]
        if "run" in content:
            _, failure = await self._references.failed_run(content["run"])
            return lambda session: session.repair(failure)
        if content.get("revises"):
            return lambda session: session.revise(text)
        data = await self._data(chat, text)
        return lambda session: session.send(text, data)

    async def _take_back(self, chat: Conversation, number: int, *, with_asker: bool) -> list[Operation]:
        """Undo a turn in the memory; returns what marks its entries as replaced, and its proposals as revised."""
        row = await self._store.entry(chat.id, number)
        if row is None or row.kind != "user" or row.replaced or row.content is None:
            raise UsageError(
                f"Entry {number} is no message that can be replaced.",
                cause="Only a message of yours that was not replaced before can be.",
                next_step="Name one of those that are shown.",
            )
        turn = msgspec.json.decode(row.content).get("turn")
        if turn is not None:
            chat.memory.back_to(turn)
        await chat.writer.flush()
        return [ReplaceEntries(chat.id, number if with_asker else number + 1), *await self._proposals.drop(chat.id)]

    async def _answered_by_words(self, chat: Conversation, text: str) -> None:
        """Note at open questions that words answered them."""
        if not chat.memory.asking:
            return
        for row in reversed(await self._store.entries_of_kind(chat.id, "questions")):
            view = chat_entry(row)
            if view.questions is not None and view.answers is None and row.content is not None:
                entry = Entry(row.number, row.kind, row.at, msgspec.json.decode(row.content))
                answers = [QuestionAnswer(id=question.id, text=text) for question in view.questions]
                entry.content["answers"] = msgspec.to_builtins(answers)
                chat.writer.take_in(entry)
                return

    async def _name_tools(self, chat: Conversation, tools: Sequence[str]) -> None:
        """Put tools into the draft's tools.json, beside those that are there."""
        files = await self._journal.files(chat.memory.workflow)
        if chat.memory.draft is not None:
            draft = Draft.from_json(chat.memory.draft)
        else:
            draft = Draft.of(chat.memory.workflow, files)
        known = load_sources(draft.name, draft.files).tools
        added = [tool for tool in tools if tool not in known]
        if added:
            text = with_tools(draft.name, draft.files.get("tools.json"), [(tool, {}) for tool in added]).decode()
            draft.apply_files(draft.rev, {"tools.json": text}, f"Use {', '.join(tools)}")
            chat.memory.draft = draft.to_json()


def _refuse_busy(chat: Conversation) -> None:
    if chat.gone:
        raise unknown_chat(chat.id)
    if chat.busy:
        raise UsageError(
            "The assistant is still working on this conversation.",
            cause="One turn goes on at a time.",
            next_step="Wait for it, or stop it first.",
        )


def _checked(questions: Sequence[Question], answers: Sequence[QuestionAnswer]) -> list[QuestionAnswer]:
    """The answers in the order of the questions, those without one skipped; raises InvalidAnswer."""
    by_id = {answer.id: answer for answer in answers}
    known = {question.id: question for question in questions}
    for id, answer in by_id.items():
        question = known.get(id)
        if question is None:
            raise InvalidAnswer(
                f"There is no question {id!r}.", cause=f"There are {', '.join(known)}.", next_step="Name one of them."
            )
        labels = [option.label for option in question.options]
        strange = [label for label in answer.chosen if label not in labels]
        if strange or (len(answer.chosen) > 1 and not question.several):
            raise InvalidAnswer(
                f"{strange[0]!r} is none of the options of {id!r}." if strange else f"{id!r} takes one option.",
                cause=f"They are {', '.join(labels)}.",
                next_step="Choose among them, or answer with text.",
            )
    return [by_id.get(question.id, QuestionAnswer(id=question.id)) for question in questions]
