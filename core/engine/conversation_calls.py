"""The part of the EngineApi that is about conversations, proposals, applied changes and templates."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import structlog

from core.assistant.proposal import Proposal
from core.assistant.templates import read_template, templates
from core.engine.call_forms import redacted
from core.engine.catalog import Catalog
from core.engine.conversations.chats import Chats
from core.engine.conversations.conversation import Conversation
from core.engine.conversations.journal import Applied, Journal, require_name
from core.engine.conversations.proposals import Proposals
from core.engine.conversations.trying import Tries
from core.engine.secrets import Secrets
from core.errors import RondoError, UsageError
from core.link.chat_types import (
    AnswerQuestions,
    ChatMode,
    ChatPage,
    ChatQuery,
    ChatRow,
    Decide,
    Decided,
    EditRow,
    ProposalView,
    SendMessage,
    TemplateView,
    Undone,
)
from core.store.operations import EndChange, Operation, RecordCommand
from core.store.store import Store

log = structlog.get_logger()

T = TypeVar("T")
Said = TypeVar("Said", SendMessage, AnswerQuestions, Decide)


class ConversationCalls(ABC):
    """What an engine does in conversations; the engine itself makes the parts."""

    _catalog: Catalog
    _chats: Chats
    _journal: Journal
    _proposals: Proposals
    _secrets: Secrets
    _store: Store
    _tries: Tries

    @abstractmethod
    def _refuse_in_trouble(self) -> None: ...

    @abstractmethod
    def _command(self, command_id: str, method: str, run: str | None, arguments: dict[str, Any]) -> RecordCommand: ...

    @abstractmethod
    def _redacted(self, text: str) -> str: ...

    # Conversations ------------------------------------------------------------------------------------------------

    async def list_chats(self, workflow: str | None = None, limit: int = 50) -> list[ChatRow]:
        return await self._chats.all(workflow, limit)

    async def read_chat(self, query: ChatQuery) -> ChatPage:
        return await self._chats.page(query)

    async def send_message(self, message: SendMessage) -> ChatRow:
        command = self._command_of(message.command_id, "send_message", {"chat": message.chat_id})
        clean = await self._without_secrets(message)
        return await self._once(message.command_id, lambda: self._chats.send(clean, command))

    async def answer_questions(self, answer: AnswerQuestions) -> ChatRow:
        command = self._command_of(answer.command_id, "answer_questions", {"chat": answer.chat_id})
        clean = await self._without_secrets(answer)
        return await self._once(answer.command_id, lambda: self._chats.answer(clean, command))

    async def stop_chat(self, chat_id: str) -> ChatRow:
        return await self._chats.stop(chat_id)

    async def retry_chat(self, command_id: str, chat_id: str) -> ChatRow:
        command = self._command_of(command_id, "retry_chat", {"chat": chat_id})
        return await self._once(command_id, lambda: self._chats.retry(chat_id, command))

    async def set_chat_mode(self, chat_id: str, mode: ChatMode) -> ChatRow:
        self._refuse_in_trouble()
        return await self._chats.set_mode(chat_id, mode)

    async def allow_tries(self, chat_id: str, allowed: bool) -> ChatRow:
        self._refuse_in_trouble()
        return await self._chats.allow_tries(chat_id, allowed)

    async def delete_chat(self, command_id: str, chat_id: str) -> None:
        self._refuse_in_trouble()
        if await self._store.command(command_id) is None:
            await self._chats.delete(chat_id, self._command(command_id, "delete_chat", None, {"chat": chat_id}))

    async def fix_run(self, command_id: str, run_id: str) -> ChatRow:
        command = self._command_of(command_id, "fix_run", {"run": run_id})
        return await self._once(command_id, lambda: self._chats.fix(run_id, command))

    async def _without_secrets(self, said: Said) -> Said:
        """What a person says, without the values of secrets: neither the database nor a model gets them."""
        await asyncio.to_thread(self._secrets.learn)
        plain = msgspec.to_builtins(said)
        clean = redacted(plain, self._redacted)
        return said if clean == plain else msgspec.convert(clean, type(said))

    async def _once(self, command_id: str, carry_out: Callable[[], Awaitable[ChatRow]]) -> ChatRow:
        """Carry out what is said in a conversation once; a repeated command only shows the conversation."""
        earlier = await self._store.command(command_id)
        if earlier is not None and earlier.result is not None:
            return await self._chats.row(msgspec.json.decode(earlier.result, type=str))
        self._refuse_in_trouble()
        return await carry_out()

    def _command_of(self, command_id: str, method: str, arguments: dict[str, Any]) -> Callable[[str], RecordCommand]:
        return lambda result: replace(self._command(command_id, method, None, arguments), result=result)

    # Proposals ----------------------------------------------------------------------------------------------------

    async def list_proposals(self, workflow: str | None = None, status: str = "open") -> list[ProposalView]:
        return await self._proposals.all(workflow, status)

    async def get_proposal(self, proposal_id: str) -> ProposalView:
        return await self._proposals.view(proposal_id)

    async def try_proposal(self, command_id: str, proposal_id: str) -> ProposalView:
        self._refuse_in_trouble()
        record = await self._proposals.record(proposal_id)
        draft = await self._proposals.draft(record)
        checks = await self._tries.checks(record.workflow, draft.files)
        await self._proposals.put_checks(await self._proposals.record(record.id), checks)
        return await self._proposals.view(record.id)

    async def decide_proposal(self, decide: Decide) -> Decided:
        self._refuse_in_trouble()
        decide = await self._without_secrets(decide)
        command = self._command_of(decide.command_id, "decide_proposal", msgspec.to_builtins(decide))
        async with self._journal.writing:
            earlier = await self._repeated(decide.command_id, Decided)
            if earlier is not None:
                return earlier
            record = await self._proposals.record(decide.proposal_id)
            chat = await self._chat_at_rest(record.chat)
            match decide.decision:
                case "accept":
                    decided = await self._proposals.accept(record, decide, command)
                case "reject":
                    decided = await self._proposals.dismiss(record, "rejected", command)
                case "revise":
                    _require_comment(decide, chat)
                    decided = await self._proposals.dismiss(record, "revised", command)
        if decide.decision == "revise":
            await self._chats.revise(record.chat, decide.comment.strip())
        else:
            await self._tell_chat(record.chat, decide, decided)
        return decided

    async def _chat_at_rest(self, chat_id: str) -> Conversation | None:
        """The conversation of a proposal; None where it is gone. Raises UsageError while a turn goes on in it."""
        if await self._store.chat(chat_id) is None:
            return None
        chat = await self._chats.open(chat_id)
        if chat.busy:
            raise UsageError(
                "The assistant is still working on this conversation.",
                cause="What it proposes may change yet.",
                next_step="Wait for it, or stop it first.",
            )
        return chat

    async def _tell_chat(self, chat_id: str, decide: Decide, decided: Decided) -> None:
        if decide.decision == "reject":
            comment = decide.comment.strip()
            await self._chats.decided(chat_id, "rejected", comment, f"Rejected{f': {comment}' if comment else ''}.")
            return
        proposal = decided.proposal
        accepted = decide.accept
        some = accepted is not None and len(accepted) < len(proposal.groups)
        titles = [group.title for group in proposal.groups if accepted is None or group.id in accepted]
        detail = f"only {'; '.join(titles)}" if some else ""
        note = f"Applied as edit {decided.edit}{f' ({detail})' if detail else ''}; undo takes it back."
        if not decided.approved:
            note += " The folder also holds changes that nobody approved: running it shows them and asks first."
        await self._chats.decided(chat_id, "applied", detail, note, decide.assumptions)

    async def _turn_ended(self, chat: Conversation, proposal: Proposal | None, proposal_id: str | None) -> None:
        """Tell of a turn's proposal; in mode auto, apply what is beyond doubt."""
        if proposal is None or proposal_id is None:
            return
        await self._proposals.tell(proposal_id)
        if not proposal.apply:
            return
        try:
            await self.decide_proposal(
                Decide(command_id=f"auto/{proposal_id}", proposal_id=proposal_id, decision="accept")
            )
        except RondoError as error:
            chat.writer.note(f"It was not applied by itself: {error.message}")
            await chat.writer.flush()

    # Applied changes ----------------------------------------------------------------------------------------------

    async def list_edits(self, workflow: str, limit: int = 50) -> list[EditRow]:
        return await self._journal.all(workflow, limit)

    async def undo_edit(self, command_id: str, workflow: str, edit: int | None = None) -> Undone:
        command = self._command_of(command_id, "undo_edit", {"workflow": workflow, "edit": edit})
        return await self._written(command_id, Undone, lambda: self._journal.take_back(workflow, edit, command))

    async def redo_edit(self, command_id: str, workflow: str) -> Undone:
        command = self._command_of(command_id, "redo_edit", {"workflow": workflow})
        return await self._written(command_id, Undone, lambda: self._journal.do_again(workflow, command))

    # Templates ----------------------------------------------------------------------------------------------------

    async def list_templates(self) -> list[TemplateView]:
        return [
            TemplateView(name=one.name, title=one.title, description=one.description, nodes=one.nodes, asks=one.asks)
            for one in templates()
        ]

    async def create_from_template(self, command_id: str, name: str, template: str) -> EditRow:
        return await self._from_template(command_id, name, template, written=False)

    async def _from_template(self, command_id: str, name: str, template: str, *, written: bool) -> EditRow:
        """Make a workflow of a template; `written` where its files are there and only to be noted."""
        command = self._command_of(command_id, "create_from_template", {"workflow": name, "template": template})

        async def carry_out() -> EditRow:
            files = read_template(template, name)
            present = await self._journal.files(name)
            if present and not written:
                raise UsageError(
                    f"There is a workflow {name!r} already.",
                    cause="Nothing is ever overwritten by a template.",
                    next_step=f"Choose another name, or see it: rondo graph {name}",
                )

            def others(applied: Applied) -> list[Operation]:
                return [command(msgspec.json.encode(applied.row).decode())]

            title = f"From the template {template}"
            applied = await self._journal.apply(
                name, present, files, author="template", title=title, before={}, command=command, others=others
            )
            return applied.row

        require_name(name)
        return await self._written(command_id, EditRow, carry_out)

    async def _note_left_over(self) -> None:
        """Make the commands again whose files an engine wrote that died before it noted them: now they are noted."""
        for change in await self._journal.left_over():
            arguments = json.loads(change.arguments)
            try:
                match change.method:
                    case "decide_proposal":
                        await self.decide_proposal(msgspec.convert(arguments, Decide))
                    case "undo_edit":
                        await self.undo_edit(change.command, change.workflow, arguments["edit"])
                    case "redo_edit":
                        await self.redo_edit(change.command, change.workflow)
                    case "create_from_template":
                        await self._from_template(change.command, change.workflow, arguments["template"], written=True)
            except RondoError as error:
                log.error("a change that was written could not be noted", workflow=change.workflow, **error.to_dict())
                await self._store.commit([EndChange(change.workflow)])

    async def _written(self, command_id: str, kind: type[T], carry_out: Callable[[], Awaitable[T]]) -> T:
        """Write a workflow's files once, one writer after the other."""
        self._refuse_in_trouble()
        async with self._journal.writing:
            earlier = await self._repeated(command_id, kind)
            return earlier if earlier is not None else await carry_out()

    async def _repeated(self, command_id: str, kind: type[T]) -> T | None:
        earlier = await self._store.command(command_id)
        if earlier is None or earlier.result is None:
            return None
        return msgspec.json.decode(earlier.result, type=kind)


def _require_comment(decide: Decide, chat: Conversation | None) -> None:
    if not decide.comment.strip():
        raise UsageError(
            "A proposal goes back to the assistant with a comment.", next_step="Say what should be different."
        )
    if chat is None:
        raise UsageError(
            "The conversation of this proposal is gone.",
            cause="It was deleted.",
            next_step="Apply the proposal, or reject it and begin a new conversation.",
        )
