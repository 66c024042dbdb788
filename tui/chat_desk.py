"""What the app keeps of its chats while one goes from screen to screen: the conversation, drafts, the open pane."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.link.model_types import ModelsStatus
from tui.conversation import Conversation


@dataclass
class ChatDesk:
    """One for the app; the pane of the screen that is on top shows it."""

    conversation: Conversation = field(default_factory=Conversation)
    shown: bool = False
    """Whether the pane stands beside the screens."""
    drafts: dict[str, str] = field(default_factory=dict)
    """What was written and not sent, by chat or workflow."""
    sent: dict[str, list[str]] = field(default_factory=dict)
    """What was sent from here, by workflow."""
    status: ModelsStatus | None = None

    @property
    def draft_key(self) -> str:
        """Where the draft of the present conversation is kept."""
        return self.conversation.chat_id or f"new {self.conversation.workflow}"
