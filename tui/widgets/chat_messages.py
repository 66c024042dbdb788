"""What the chat's calls lead to, told to its pane and its screen."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from core.errors import RondoError
from core.link.chat_types import ChatRow
from core.link.model_types import ModelsStatus
from tui.chat_commands import References
from tui.conversation import Conversation, Read


class ChatRead(Message, bubble=False):
    """Entries of a conversation."""

    def __init__(self, conversation: Conversation, read: Read) -> None:
        super().__init__()
        self.conversation = conversation
        self.read = read


class ChatFound(Message, bubble=False):
    """The conversation to show for a workflow; None where there is none yet."""

    def __init__(self, workflow: str, row: ChatRow | None) -> None:
        super().__init__()
        self.workflow = workflow
        self.row = row


class Sent(Message, bubble=False):
    """The engine took what was sent."""

    def __init__(self, conversation: Conversation, row: ChatRow) -> None:
        super().__init__()
        self.conversation = conversation
        self.row = row


class NotSent(Message, bubble=False):
    """The engine did not take what was sent."""

    def __init__(self, error: RondoError, text: str, doing: str) -> None:
        super().__init__()
        self.error = error
        self.text = text
        self.doing = doing


@dataclass(frozen=True, slots=True)
class About:
    """What the chat knows besides its conversation: the models, and what can be referred to."""

    status: ModelsStatus | None
    references: References


class AboutRead(Message, bubble=False):
    """The models and references were read."""

    def __init__(self, about: About) -> None:
        super().__init__()
        self.about = about


class ProposalOpened(Message):
    """The person wants to see a proposal."""

    def __init__(self, proposal_id: str) -> None:
        super().__init__()
        self.proposal_id = proposal_id


class ConversationChanged(Message, bubble=False):
    """What is shown of the conversation changed: for the screen that shows the proposal too."""
