"""Screen 6: the chat, and below it the card of the proposal that waits."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import msgspec
from textual.message import Message
from textual.widget import Widget

from core.errors import EffectsNotAcknowledged
from core.link.chat_types import ProposalView
from core.link.commands import Rewind
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.screens.base import RondoScreen
from tui.starting import RunStarted
from tui.text import visible
from tui.widgets.chat_messages import ConversationChanged, ProposalOpened
from tui.widgets.chat_pane import ChatPane
from tui.widgets.proposal_card import ProposalCard

LOW = 32
"""With fewer rows than this the card and the conversation take turns."""


class ResumeAsked(Message, bubble=False):
    """Nodes that write may act again when the repaired run goes on."""

    def __init__(self, text: str, rewind: Rewind) -> None:
        super().__init__()
        self.text = text
        self.rewind = rewind


class ProposalFound(Message, bubble=False):
    """A proposal that is to be shown."""

    def __init__(self, proposal: ProposalView) -> None:
        super().__init__()
        self.proposal = proposal


class ChatScreen(RondoScreen):
    """The conversation of the desk over the whole width."""

    view = "chat"

    DEFAULT_CSS = """
    ChatScreen ChatPane { height: 1fr; }
    ChatScreen ProposalCard { height: 60%; display: none; }
    ChatScreen.-card-alone ChatPane { display: none; }
    ChatScreen.-card-alone ProposalCard { height: 1fr; }
    ChatScreen.-no-room ProposalCard { height: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.pane = ChatPane()
        self.chat = self.pane
        self.card = ProposalCard()
        self.early_keys = ""
        self._zoomed = False

    def compose_body(self) -> Iterable[Widget]:
        yield self.pane
        yield self.card

    def on_mount(self) -> None:
        self.call_after_refresh(self.begin_writing)

    def read_all(self) -> None:
        if self.pane.is_mounted:
            self.pane.read_all()

    def crumbs(self) -> tuple[str, ...]:
        name = self.rondo.desk.conversation.workflow
        return ("workflows", visible(name), "chat") if name else ("chat",)

    @property
    def workflow_name(self) -> str:
        return self.rondo.desk.conversation.workflow

    @property
    def place(self) -> Place:
        return Place("chat")

    def inner_parts(self) -> list[Widget]:
        return [self.pane, *([self.card] if self.card.display else [])]

    def chat_panes(self) -> list[Widget]:
        return []

    def panes(self) -> list[Widget]:
        pane = self.pane.panes() if self.pane.display else []
        return [*pane, *(self.card.panes() if self.card.display else [])]

    # The chat is the screen ----------------------------------------------------------------------------------------

    def begin_writing(self) -> None:
        if self.early_keys is None:
            return
        if not self.pane.composer.is_mounted:
            if self.is_attached:
                self.call_after_refresh(self.begin_writing)
            return
        early, self.early_keys = self.early_keys, None
        self.pane.open_about("")
        self.pane.write(early)

    def toggle_chat(self) -> None:
        self._show_pane()
        self.pane.write()

    def go_to_card(self) -> bool:
        proposal = self.rondo.desk.conversation.open_proposal
        if proposal is not None:
            self.open_card(proposal)
        return proposal is not None

    def tab_out(self, step: int) -> None:
        pane = [self.pane.resting, self.pane.composer]
        panes = self.card.panes() if self.card.display and self.size.height >= LOW else pane
        self.set_focus(panes[0 if step > 0 else -1])

    def sync_chat(self) -> None:
        if self.pane.is_mounted:
            self.pane.show_desk()

    def leave_chat(self) -> None:
        """Esc while writing: to the conversation, where letters are keys."""
        self.early_keys = None
        self.set_focus(self.pane.resting)

    def hear_chat(self, message: EngineEvents) -> None:
        if self.pane.is_mounted:
            for event in message.events:
                self.pane.hear(event)

    def on_conversation_changed(self, message: ConversationChanged) -> None:
        """Show the card where a proposal waits, and what it has become."""
        self.refresh_crumbs()
        here = self.rondo.desk.conversation
        shown = self.card.proposal
        waiting = here.open_proposal
        if shown is not None and shown.proposal_id in here.proposals and self.card.display:
            self.card.show(here.proposals[shown.proposal_id])
        if waiting is not None and (shown is None or shown.status != "open" or not self.card.display):
            self.card.show(waiting)
            self.card.display = True
            self._fit_card()
        elif waiting is None and self.card.display and not self._card_focused:
            self.card.display = False
            self._fit_card()
        self.refresh_footer()

    # The card ------------------------------------------------------------------------------------------------------

    @property
    def _card_focused(self) -> bool:
        return self.focused in (self.card.changes, self.card.diff)

    def _fit_card(self) -> None:
        """Where there is no room for both, the one with the focus is shown."""
        alone = self.card.display and (self._zoomed or (self.size.height < LOW and self._card_focused))
        self.set_class(alone, "-card-alone")
        self.set_class(self.size.height < LOW and not alone, "-no-room")

    def on_resize(self) -> None:
        self._fit_card()

    def on_proposal_opened(self, event: ProposalOpened) -> None:
        """From the conversation to its card."""
        event.stop()
        proposal = self.rondo.desk.conversation.proposals.get(event.proposal_id)
        if proposal is not None:
            self.open_card(proposal)

    def open_card(self, proposal: ProposalView) -> None:
        """Show a proposal and give it the keys."""
        self.card.show(proposal)
        self.card.display = True
        low = self.size.height < LOW
        self.remove_class("-no-room")
        self.set_class(self._zoomed or low, "-card-alone")
        self.card.begin()

    def _show_pane(self) -> None:
        self._zoomed = False
        self.remove_class("-card-alone")

    def on_proposal_card_closed(self, event: ProposalCard.Closed) -> None:
        event.stop()
        self._show_pane()
        proposal = self.card.proposal
        if proposal is None or proposal.status not in ("open", "broken", "stale"):
            self.card.display = False
        self.set_focus(self.pane.log_view if self.pane.log_view.display else self.pane.composer)
        self._fit_card()
        self.pane.read_all()

    def on_proposal_card_shown(self, event: ProposalCard.Shown) -> None:
        event.stop()
        proposal = event.proposal
        self.rondo.go(Place("graph", proposal.workflow, proposal=proposal.proposal_id))

    def on_proposal_card_applied(self, event: ProposalCard.Applied) -> None:
        """Applied, and a run is wanted: the failed one goes on, else a new one begins."""
        event.stop()
        offer = event.proposal.resume
        if offer is None:
            self.rondo.start_run(event.proposal.workflow)
        elif not self.rondo.is_repeat():
            self._resume(Rewind(command_id=str(uuid4()), run_id=offer.run_id, step=offer.seq))

    def _resume(self, rewind: Rewind) -> None:
        async def call() -> Message:
            try:
                started = RunStarted(await self.engine.rewind_run(rewind))
            except EffectsNotAcknowledged as error:
                again = msgspec.structs.replace(rewind, acknowledge_effects=True)
                return ResumeAsked(f"{error.message}\n{error.cause}", again)
            started.asked_at = self.rondo.whereabouts
            return started

        self.ask(call, lambda message: message, group="resume", doing="going on")

    def on_run_started(self, message: RunStarted) -> None:
        self.app.post_message(message)

    def on_resume_asked(self, message: ResumeAsked) -> None:
        from tui.screens.confirm import ConfirmSheet

        def decided(yes: bool | None) -> None:
            if yes:
                self._resume(message.rewind)

        self.rondo.push_screen(ConfirmSheet("May they act again?", message.text, yes="they may"), decided)

    # Layers ----------------------------------------------------------------------------------------------------------

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self._card_focused:
            self.on_proposal_card_closed(ProposalCard.Closed())
            return True
        return False

    def zoom_panes(self) -> bool:
        if not self.card.display:
            return False
        self._zoomed = not self._zoomed and self._card_focused
        self._fit_card()
        return True

    def copied_text(self) -> str:
        if self.focused is self.card.diff:
            return self.card.diff.text_of(self.card.diff.cursor)
        item = self.pane.log_view.selected
        return item.plain() if item is not None else ""
