"""Writing in the chat: drafts, completion, commands, what Esc means, and sending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from core.link.chat_types import SendMessage
from tui.actions import registry
from tui.chat_commands import command_of, looks_like_command
from tui.widgets.chat_log import ChatLog
from tui.widgets.chat_messages import Sent
from tui.widgets.composer import Composer, Suggestions

if TYPE_CHECKING:
    from tui.widgets.chat_pane import ChatPane

STOP_SECONDS = 3.0
"""How long the first Esc of an answer that runs waits for the second one, which stops it."""


class ChatWriting:
    """The part of the chat pane that has the composer."""

    composer: Composer
    log_view: ChatLog
    suggestion_list: Suggestions
    replaces: int
    """The number of the message that the next one takes the place of; 0 for none."""
    sending: bool
    stop_asked: float

    @property
    def _pane(self) -> ChatPane:
        return cast("ChatPane", self)

    def write(self, early: str = "") -> None:
        """Put the focus into the composer, with what was typed for it before it was there."""
        self._pane.screen.set_focus(self.composer)
        if early:
            self.composer.insert(early)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Keep the draft, and show what could be completed."""
        event.stop()
        text = self.composer.text
        if bool(text) != (self._pane.desk.draft_key in self._pane.desk.drafts):
            self._pane.call_next(self._pane.refresh_titles)
        if text:
            self._pane.desk.drafts[self._pane.desk.draft_key] = text
        else:
            self._pane.desk.drafts.pop(self._pane.desk.draft_key, None)
        self.composer.suggest()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self.composer.suggest()

    def on_composer_paged(self, event: Composer.Paged) -> None:
        step = max(1, self.log_view.size.height - 1) * event.pages
        self.log_view.scroll_to(y=self.log_view.scroll_offset.y + step, animate=False, force=True)

    def on_composer_left(self) -> None:
        """Esc: out of an edit; of a running answer the first one asks, the second one stops it; else to the screen."""
        now = asyncio.get_running_loop().time()
        if self.replaces:
            self.replaces = 0
            self.composer.put("")
            self._pane.refresh_titles()
        elif self._pane.conversation.busy and now - self.stop_asked > STOP_SECONDS:
            self.stop_asked = now
            self._pane.rondo.say("Esc once more stops the answer; tab leaves the chat", "hint")
        elif self._pane.conversation.busy:
            self.stop_asked = 0.0
            self._pane.stop_turn()
            self._pane.rondo.say("Stopping it", "info")
        else:
            self.leave()

    def on_key(self, event: events.Key) -> None:
        """Tab goes through the parts of the chat, and then out of it."""
        if event.key not in ("tab", "shift+tab"):
            return
        event.stop()
        event.prevent_default()
        pane = self._pane
        if event.key == "tab" and self.composer.has_focus and self.tab_to_what_waits():
            return
        parts = [part for part in (pane.resting, pane.questions, pane.composer) if part.display]
        focused = pane.screen.focused
        around = focused.ancestors_with_self if focused is not None else []
        here = next((place for place, part in enumerate(parts) if part in around), 0)
        wanted = here + (1 if event.key == "tab" else -1)
        if not 0 <= wanted < len(parts):
            pane.screen.tab_out(1 if event.key == "tab" else -1)  # type: ignore[attr-defined]
        elif parts[wanted] is pane.questions:
            pane.questions.begin()
        else:
            pane.screen.set_focus(parts[wanted])

    def tab_to_what_waits(self) -> bool:
        """From the text to the open questions, else to the card that is shown; False where nothing waits."""
        pane = self._pane
        if pane.questions.asks:
            pane.questions.begin()
            return True
        return bool(pane.screen.go_to_card())  # type: ignore[attr-defined]

    def leave(self) -> None:
        """Give the keys back to what stands beside, else to the conversation."""
        self._pane.screen.leave_chat()  # type: ignore[attr-defined]

    def on_composer_submitted(self, event: Composer.Submitted) -> None:
        """A command, or something to say. Nothing written: to what waits for an answer."""
        text = event.text
        if not text:
            self._pane.go_to_what_waits()
            return
        command = command_of(text)
        if command is not None:
            self._do(registry[command[0].action_id], command[1])
        elif looks_like_command(text):
            self.composer.put(text)
            self._pane.rondo.say(f"There is no command {text.split()[0]}; / alone lists them", "hint")
        else:
            self.send(text)

    def _do(self, found: Any, argument: str) -> None:
        target = next((part for part in (self, self._pane.screen) if isinstance(part, found.owner)), None)
        if target is None:
            self._pane.rondo.say(f"{found.title} does not belong to this screen", "hint")
        else:
            self._pane.rondo.perform(found, target, argument)

    def send(self, text: str) -> None:
        """Say something to the assistant."""
        here = self._pane.conversation
        if self.sending or (here.busy and not self.replaces):
            self.composer.put(text)
            self._pane.rondo.say("It is still working; esc esc stops it. Your text stays", "hint")
            return
        message = SendMessage(
            command_id=str(uuid4()),
            text=text,
            chat_id=here.chat_id or None,
            workflow=here.workflow or None,
            replaces=self.replaces or None,
        )
        if text not in self.composer.sent_before[-1:]:
            self.composer.sent_before.append(text)
        self.replaces = 0
        self.sending = True
        self.log_view.follow()
        self._pane.refresh_titles()

        async def call() -> Message:
            return Sent(here, await self._pane.api.send_message(message))

        self._pane.call_engine(call, "sending", group="chat send", text=text)

    def on_sent(self, message: Sent) -> None:
        """The conversation has an id now, and goes on."""
        self.sending = False
        here = message.conversation
        if not here.chat_id:
            here.chat_id = message.row.chat_id
            here.loaded = False
        here.row = message.row
        here.workflow = message.row.workflow or here.workflow
        if here is self._pane.conversation:
            self._pane.refresh_titles()
            self._pane.chat_reader.want()
