"""Conversations, proposals and templates as calls to the engine; see `core.link.assistant_api`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import NoneType
from typing import TypeVar

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

T = TypeVar("T")


class ChatCalls(ABC):
    """The methods of `ChatApi` and `ProposalApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def list_chats(self, workflow: str | None = None, limit: int = 50) -> list[ChatRow]:
        return await self._call(list[ChatRow], "list_chats", workflow=workflow, limit=limit)

    async def read_chat(self, query: ChatQuery) -> ChatPage:
        return await self._call(ChatPage, "read_chat", query=query)

    async def send_message(self, message: SendMessage) -> ChatRow:
        return await self._call(ChatRow, "send_message", message=message)

    async def answer_questions(self, answer: AnswerQuestions) -> ChatRow:
        return await self._call(ChatRow, "answer_questions", answer=answer)

    async def stop_chat(self, chat_id: str) -> ChatRow:
        return await self._call(ChatRow, "stop_chat", chat_id=chat_id)

    async def retry_chat(self, command_id: str, chat_id: str) -> ChatRow:
        return await self._call(ChatRow, "retry_chat", command_id=command_id, chat_id=chat_id)

    async def set_chat_mode(self, chat_id: str, mode: ChatMode) -> ChatRow:
        return await self._call(ChatRow, "set_chat_mode", chat_id=chat_id, mode=mode)

    async def allow_tries(self, chat_id: str, allowed: bool) -> ChatRow:
        return await self._call(ChatRow, "allow_tries", chat_id=chat_id, allowed=allowed)

    async def delete_chat(self, command_id: str, chat_id: str) -> None:
        return await self._call(NoneType, "delete_chat", command_id=command_id, chat_id=chat_id)

    async def fix_run(self, command_id: str, run_id: str) -> ChatRow:
        return await self._call(ChatRow, "fix_run", command_id=command_id, run_id=run_id)

    async def list_proposals(self, workflow: str | None = None, status: str = "open") -> list[ProposalView]:
        return await self._call(list[ProposalView], "list_proposals", workflow=workflow, status=status)

    async def get_proposal(self, proposal_id: str) -> ProposalView:
        return await self._call(ProposalView, "get_proposal", proposal_id=proposal_id)

    async def try_proposal(self, command_id: str, proposal_id: str) -> ProposalView:
        return await self._call(ProposalView, "try_proposal", command_id=command_id, proposal_id=proposal_id)

    async def decide_proposal(self, decide: Decide) -> Decided:
        return await self._call(Decided, "decide_proposal", decide=decide)

    async def list_edits(self, workflow: str, limit: int = 50) -> list[EditRow]:
        return await self._call(list[EditRow], "list_edits", workflow=workflow, limit=limit)

    async def undo_edit(self, command_id: str, workflow: str, edit: int | None = None) -> Undone:
        return await self._call(Undone, "undo_edit", command_id=command_id, workflow=workflow, edit=edit)

    async def redo_edit(self, command_id: str, workflow: str) -> Undone:
        return await self._call(Undone, "redo_edit", command_id=command_id, workflow=workflow)

    async def list_templates(self) -> list[TemplateView]:
        return await self._call(list[TemplateView], "list_templates")

    async def create_from_template(self, command_id: str, name: str, template: str) -> EditRow:
        return await self._call(EditRow, "create_from_template", command_id=command_id, name=name, template=template)
