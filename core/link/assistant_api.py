"""The part of the engine's interface that is about models, conversations and proposals."""

from __future__ import annotations

from typing import Protocol

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
from core.link.model_types import (
    BudgetView,
    CallFilter,
    CallRow,
    CallView,
    ExportedCalls,
    ModelsStatus,
    ModelView,
    UsageView,
)
from core.link.tool_api import ToolApi


class ModelApi(Protocol):
    """Models and their providers; see `core.link.api.EngineApi`: the same rules hold for errors."""

    async def models_status(self) -> ModelsStatus: ...

    async def list_models(self, provider: str) -> list[ModelView]:
        """Ask a provider for its models."""
        ...


class CallApi(Protocol):
    """Calls of models, what they used, and the budgets."""

    async def list_budgets(self, run_id: str | None = None) -> list[BudgetView]: ...

    async def get_usage(self, run_id: str | None = None, chat_id: str | None = None) -> UsageView:
        """What a run or a chat used; without either, all of this workspace since midnight, local time."""
        ...

    async def list_calls(self, query: CallFilter) -> list[CallRow]: ...

    async def read_call(self, number: int) -> CallView: ...

    async def export_calls(self, run_id: str) -> ExportedCalls:
        """Write what a run called and was answered into a JSON file of its own, which the caller moves away."""
        ...


class ChatApi(Protocol):
    """Conversations; commands carry a `command_id` and act once."""

    async def list_chats(self, workflow: str | None = None, limit: int = 50) -> list[ChatRow]:
        """Conversations (of one workflow), the last changed first."""
        ...

    async def read_chat(self, query: ChatQuery) -> ChatPage: ...

    async def send_message(self, message: SendMessage) -> ChatRow:
        """Say something and return at once; what follows comes as `ChatChanged` and `ChatText`.

        While the model works on a turn it is refused with UsageError, unless it `replaces` an earlier message.
        """
        ...

    async def answer_questions(self, answer: AnswerQuestions) -> ChatRow: ...

    async def stop_chat(self, chat_id: str) -> ChatRow:
        """End the turn at once; what was said stays."""
        ...

    async def retry_chat(self, command_id: str, chat_id: str) -> ChatRow:
        """Take back what followed the last message of the user and ask again."""
        ...

    async def set_chat_mode(self, chat_id: str, mode: ChatMode) -> ChatRow: ...

    async def allow_tries(self, chat_id: str, allowed: bool) -> ChatRow:
        """Let the assistant run dry what it proposes in this conversation, in an isolated process, or no longer."""
        ...

    async def delete_chat(self, command_id: str, chat_id: str) -> None: ...

    async def fix_run(self, command_id: str, run_id: str) -> ChatRow:
        """Open a conversation of the run's workflow that begins with what failed, and let the model repair it."""
        ...


class ProposalApi(Protocol):
    """Proposals, applied changes and the way back, and workflows made without a model."""

    async def list_proposals(self, workflow: str | None = None, status: str = "open") -> list[ProposalView]: ...

    async def get_proposal(self, proposal_id: str) -> ProposalView: ...

    async def try_proposal(self, command_id: str, proposal_id: str) -> ProposalView:
        """Import the proposed code and run it dry in an isolated process, and wait for it: the call is the consent."""
        ...

    async def decide_proposal(self, decide: Decide) -> Decided: ...

    async def list_edits(self, workflow: str, limit: int = 50) -> list[EditRow]: ...

    async def undo_edit(self, command_id: str, workflow: str, edit: int | None = None) -> Undone:
        """Take back an applied change (the last one that is not undone); raises UndoConflict with both sides."""
        ...

    async def redo_edit(self, command_id: str, workflow: str) -> Undone: ...

    async def list_templates(self) -> list[TemplateView]: ...

    async def create_from_template(self, command_id: str, name: str, template: str) -> EditRow:
        """Make a workflow's folder from a template; refuses a name that is taken."""
        ...


class AssistantApi(ModelApi, ToolApi, CallApi, ChatApi, ProposalApi, Protocol):
    """All of it."""
