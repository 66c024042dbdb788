"""The keys and commands of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from textual.message import Message

from core.link.chat_types import ChatMode, ChatQuery, ChatRow
from tui.actions import Acting, action
from tui.chat_lines import plain_entry
from tui.conversation import Conversation
from tui.text import plural, visible

if TYPE_CHECKING:
    from core.link.model_types import BudgetView, ModelsStatus
    from tui.widgets.chat_pane import ChatPane


class ChatsRead(Message, bubble=False):
    """The conversations of a workflow."""

    def __init__(self, rows: list[ChatRow]) -> None:
        super().__init__()
        self.rows = rows


class ModelsRead(Message, bubble=False):
    """How models stand."""

    def __init__(self, status: ModelsStatus, budgets: list[BudgetView]) -> None:
        super().__init__()
        self.status = status
        self.budgets = budgets


class ChatDeleted(Message, bubble=False):
    """A conversation is gone."""

    def __init__(self, chat_id: str) -> None:
        super().__init__()
        self.chat_id = chat_id


class ChatSaved(Message, bubble=False):
    """The conversation was written to a file, or why it was not."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__()
        self.text = text
        self.kind = kind


def _pane(keys: ChatKeys) -> ChatPane:
    return cast("ChatPane", keys)


def needs_busy(keys: ChatKeys) -> str:
    return "" if _pane(keys).conversation.busy else "Nothing is being written"


def needs_idle(keys: ChatKeys) -> str:
    if _pane(keys).conversation.busy:
        return "It is still working; s stops it"
    return "" if _pane(keys).conversation.said_by_user() else "Nothing was said yet"


def needs_chat(keys: ChatKeys) -> str:
    return "" if _pane(keys).conversation.chat_id else "The chat has not begun yet"


def needs_questions(keys: ChatKeys) -> str:
    return "" if _pane(keys).questions.asks else "Nothing is asked"


def needs_proposal(keys: ChatKeys) -> str:
    return "" if _pane(keys).conversation.open_proposal is not None else "No proposal waits"


class ChatKeys(Acting):
    """What can be done with a conversation: a part of the chat pane."""

    @action("chat.write", "write", keys="i", help="To where you write", footer=1)
    def to_composer(self) -> None:
        _pane(self).write()

    @action(
        "chat.answer", "answer", keys="a", words="chat answer", help="To the questions", footer=2, when=needs_questions
    )
    def to_questions(self) -> None:
        _pane(self).questions.begin()

    @action(
        "chat.proposal",
        "proposal",
        keys="p",
        words="proposal",
        help="To the proposal that waits",
        footer=3,
        when=needs_proposal,
    )
    def to_proposal(self) -> None:
        from tui.widgets.chat_messages import ProposalOpened

        proposal = _pane(self).conversation.open_proposal
        if proposal is not None:
            self.post_message(ProposalOpened(proposal.proposal_id))

    @action(
        "chat.stop",
        "stop",
        keys="s",
        words="chat stop",
        help="End the answer; what was said stays",
        footer=4,
        when=needs_busy,
    )
    def stop_turn(self) -> None:
        pane = _pane(self)
        here = pane.conversation
        self._change(lambda: pane.api.stop_chat(here.chat_id), "stopping")

    @action(
        "chat.retry",
        "ask again",
        keys="t",
        words="chat retry",
        help="Ask again from your last message",
        footer=5,
        when=needs_idle,
    )
    def retry_turn(self) -> None:
        pane = _pane(self)
        here, command = pane.conversation, str(uuid4())
        pane.log_view.follow()
        self._change(lambda: pane.api.retry_chat(command, here.chat_id), "asking again")

    @action(
        "chat.edit",
        "edit message",
        keys="E",
        words="chat edit",
        help="Change the selected message of yours (else the last) and send it again",
        footer=6,
        when=needs_idle,
    )
    def edit_message(self) -> None:
        pane = _pane(self)
        said = pane.conversation.said_by_user()
        item = pane.log_view.selected if pane.log_view.has_focus else None
        chosen = item.entry if item is not None and item.entry.kind == "user" else said[-1]
        pane.replaces = chosen.number
        pane.composer.put(chosen.text)
        pane.write()
        pane.refresh_titles()

    @action("chat.new", "new chat", keys="n", words="chat new", help="Another chat about this workflow", footer=7)
    def new_chat(self) -> None:
        _pane(self).begin_new()
        _pane(self).write()

    @action("chat.list", "chats", keys="o", words="chats", help="All chats: open or delete one", footer=8)
    def list_chats(self) -> None:
        pane = _pane(self)
        workflow = pane.conversation.workflow

        async def call() -> Message:
            return ChatsRead(await pane.api.list_chats(workflow or None))

        pane.call_engine(call, "reading the chats", group="chats")

    @action(
        "chat.mode",
        "mode",
        keys="M",
        words="chat mode",
        argument="text",
        help="What the assistant may do: ask, propose, auto",
        when=needs_chat,
    )
    def change_mode(self, mode: str = "") -> None:
        from tui.chat_commands import MODES

        pane = _pane(self)
        here = pane.conversation
        names = [name for name, _ in MODES]
        if mode and mode not in names:
            pane.rondo.say(f"Modes are {', '.join(names)}", "hint")
            return
        if not here.chat_id:
            pane.rondo.say("The chat has not begun yet: say something first, then change the mode", "hint")
            return
        present = here.row.mode if here.row is not None else "propose"
        wanted = cast(ChatMode, mode or names[(names.index(present) + 1) % len(names)])
        self._change(lambda: pane.api.set_chat_mode(here.chat_id, wanted), "changing the mode")
        pane.rondo.say(f"Mode {wanted}: {dict(MODES)[wanted]}", "good")

    @action(
        "chat.tries",
        "tries",
        words="chat tries",
        argument="text",
        help="Let the assistant run dry what it proposes in this chat, or no longer: on, off",
    )
    def change_tries(self, word: str = "") -> None:
        from tui.screens.confirm import ConfirmSheet

        pane = _pane(self)
        here = pane.conversation
        row = here.row
        if word not in ("", "on", "off") or row is None:
            pane.rondo.say("Say on or off, in a chat that has begun", "hint")
            return
        wanted = word == "on" if word else not row.tries

        def decided(yes: bool | None) -> None:
            if yes:
                self._change(lambda: pane.api.allow_tries(here.chat_id, wanted), "changing what it may try")

        if not wanted:
            decided(True)
            return
        text = (
            "Code that a model wrote is then run, dry and in a process of its own, whenever it makes a proposal here."
        )
        pane.rondo.push_screen(ConfirmSheet("Let it try what it proposes?", text, yes="let it"), decided)

    @action("chat.models", "models", words="models", help="Which models are used, their keys and budgets")
    def show_models(self) -> None:
        pane = _pane(self)

        async def call() -> Message:
            return ModelsRead(await pane.api.models_status(), await pane.api.list_budgets())

        pane.call_engine(call, "reading the models", group="models")

    @action("chat.copy", "copy answer", keys="Y", words="chat copy", help="Copy the last answer")
    def copy_answer(self) -> None:
        pane = _pane(self)
        item = next((item for item in reversed(pane.conversation.items) if item.entry.kind == "model"), None)
        if item is None:
            pane.rondo.say("There is no answer yet", "hint")
        else:
            pane.rondo.copy(item.text)

    @action("chat.save", "save", words="chat save", argument="text", help="Write the whole chat to a file")
    def save_chat(self, name: str = "") -> None:
        pane = _pane(self)
        here = pane.conversation
        if not here.chat_id:
            pane.rondo.say("The chat has not begun yet", "hint")
            return
        path = pane.rondo.workspace.root / (name or f"chat-{here.workflow or 'new'}-{here.chat_id[-8:]}.md")
        pane.call_engine(lambda: self._save(here, path), "saving the chat", group="chat save")

    async def _save(self, conversation: Conversation, path: Path) -> Message:
        api = _pane(self).api
        parts: list[str] = []
        before: int | None = None
        while True:
            page = await api.read_chat(ChatQuery(chat_id=conversation.chat_id, before=before, limit=200))
            said = []
            for entry in page.entries:
                if entry.replaced:
                    continue
                proposal = await api.get_proposal(entry.proposal) if entry.proposal else None
                said.append(f"## {entry.number} {entry.kind}\n\n{plain_entry(entry, entry.text, proposal)}\n")
            parts = said + parts
            if not page.entries or page.entries[0].number <= page.first:
                break
            before = page.entries[0].number
        head = f"# {page.chat.title or 'Chat'}\n\n"
        try:
            await asyncio.to_thread(_write_new, path, head + "\n".join(parts))
        except FileExistsError:
            return ChatSaved(f"{path.name} is there already. Nothing was written.\nName another: /save FILE", "problem")
        except OSError as error:
            return ChatSaved(
                f"The chat was not written: {error.strerror or error}.\nName another place: /save FILE", "problem"
            )
        return ChatSaved(f"Written to {path}: {plural(len(parts), 'entry', 'entries')}", "good")

    @action(
        "chat.delete", "delete chat", words="chat delete", help="Delete this conversation; asks first", when=needs_chat
    )
    def delete_chat(self) -> None:
        row = _pane(self).conversation.row
        if row is not None:
            self.ask_to_delete(row)

    def ask_to_delete(self, row: ChatRow) -> None:
        """Ask, then delete a conversation."""
        from tui.screens.confirm import ConfirmSheet

        pane, command = _pane(self), str(uuid4())

        def decided(yes: bool | None) -> None:
            if yes:

                async def call() -> Message:
                    await pane.api.delete_chat(command, row.chat_id)
                    return ChatDeleted(row.chat_id)

                pane.call_engine(call, "deleting the chat", group="chats")

        size = plural(row.entries, "entry", "entries")
        text = f"“{visible(row.title or 'no title')}”, {size}. Changes that it made stay."
        pane.rondo.push_screen(ConfirmSheet("Delete this chat?", text, yes="delete it"), decided)

    # What comes of it --------------------------------------------------------------------------------------------

    def _change(self, call: Callable[[], Awaitable[ChatRow]], doing: str) -> None:
        from tui.widgets.chat_messages import Sent

        pane = _pane(self)
        here = pane.conversation

        async def work() -> Message:
            return Sent(here, await call())

        pane.call_engine(work, doing, group="chat change")

    def on_chats_read(self, message: ChatsRead) -> None:
        from tui.screens.chats import ChatsSheet, Choice

        pane = _pane(self)
        if not message.rows:
            pane.rondo.say("There is no chat yet: write something", "hint")
            return

        def chosen(choice: Choice | None) -> None:
            if choice is None:
                return
            what, row = choice
            if what == "delete":
                self.ask_to_delete(row)
            else:
                pane.open(Conversation(row.workflow or "", row.chat_id))
                pane.write()

        here = pane.conversation
        pane.rondo.push_screen(ChatsSheet(message.rows, here.workflow, here.chat_id, pane.rondo.now()), chosen)

    def on_models_read(self, message: ModelsRead) -> None:
        from tui.screens.chats import models_lines
        from tui.screens.read import ReadSheet

        _pane(self).rondo.push_screen(ReadSheet("models", models_lines(message.status, message.budgets)))

    def on_chat_deleted(self, message: ChatDeleted) -> None:
        pane = _pane(self)
        pane.rondo.say("The chat is deleted", "good")
        if pane.conversation.chat_id == message.chat_id:
            pane.open(Conversation(pane.conversation.workflow))

    def on_chat_saved(self, message: ChatSaved) -> None:
        _pane(self).rondo.say(message.text, message.kind)


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; blocking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
