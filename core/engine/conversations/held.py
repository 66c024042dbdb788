"""The conversations that the engine holds in memory, found again or begun."""

from __future__ import annotations

from collections.abc import Iterator

from core.engine.catalog import Catalog
from core.engine.conversations.conversation import Conversation, Surroundings
from core.engine.conversations.journal import require_name
from core.engine.conversations.naming import free_name, name_after, name_given
from core.errors import UsageError
from core.identifiers import new_run_id
from core.link.chat_types import SendMessage
from core.store.operations import InsertChat, UpdateChat

TITLE_LENGTH = 80
HELD = 16
"""Conversations that are kept in memory while nothing goes on in them."""


class HeldChats:
    """Every conversation in which something happens, and some in which something did."""

    def __init__(self, around: Surroundings, catalog: Catalog) -> None:
        self._around = around
        self._catalog = catalog
        self._chats: dict[str, Conversation] = {}

    def __iter__(self) -> Iterator[Conversation]:
        return iter(list(self._chats.values()))

    def get(self, chat_id: str) -> Conversation | None:
        """The conversation, if it is held."""
        return self._chats.get(chat_id)

    def drop(self, chat_id: str) -> None:
        """Hold a conversation no more: it is gone."""
        chat = self._chats.pop(chat_id, None)
        if chat is not None:
            # Others may wait for its lock.
            chat.gone = True

    async def open(self, chat_id: str) -> Conversation:
        """The conversation, held in memory. Raises UsageError where there is none."""
        held = self._chats.pop(chat_id, None)
        if held is not None:
            # The one that was used last stands last, and is let go last.
            self._chats[chat_id] = held
            return held
        found = await self._around.store.chat(chat_id)
        if found is None:
            raise unknown_chat(chat_id)
        loaded = await Conversation.load(found[0], self._around)
        # Another call may have been quicker.
        chat = self._chats.setdefault(chat_id, loaded)
        self._let_go()
        return chat

    def _let_go(self) -> None:
        idle = [chat for chat in self._chats.values() if not chat.busy and not chat.lock.locked()]
        for chat in idle[: max(0, len(self._chats) - HELD)]:
            del self._chats[chat.id]

    async def for_message(self, message: SendMessage, text: str) -> Conversation:
        """The conversation that a message is for, a new one where it names none."""
        if message.chat_id is not None:
            return await self.open(message.chat_id)
        if message.workflow is not None:
            require_name(message.workflow)
        given = message.workflow or name_given(text)
        name = message.workflow or free_name(given or name_after(text), await self._taken())
        chat = await self.begin(message.workflow, text, name)
        # Until the plan says what it is for.
        chat.memory.name_open = not given
        chat.memory.mode = message.mode or chat.memory.mode
        if message.tries:
            await self._around.store.commit([UpdateChat(chat.id, self._around.now(), tries=True)])
        return chat

    async def begin(self, workflow: str | None, text: str, name: str) -> Conversation:
        """A new conversation about a workflow, or about none yet; `name` is what it would make."""
        chat_id = new_run_id()
        title = " ".join(text.split())[:TITLE_LENGTH]
        mode = self._around.mode()
        await self._around.store.commit([InsertChat(chat_id, workflow, title, mode, self._around.now())])
        chat = await self.open(chat_id)
        chat.memory.workflow, chat.memory.mode = name, mode
        return chat

    async def _taken(self) -> set[str]:
        return {loaded.name for loaded in await self._catalog.all()}


def unknown_chat(chat_id: str) -> UsageError:
    """No conversation has that id."""
    return UsageError(
        f"There is no conversation {chat_id!r}.",
        cause="It was deleted, or the id is misspelt.",
        next_step="See those there are: rondo chat --list",
    )
