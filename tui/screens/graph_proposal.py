"""The graph screen with a proposal on it: + ~ - at nodes and edges."""

from __future__ import annotations

from typing import cast

from textual.message import Message

from core.link.assistant_api import AssistantApi
from core.link.chat_events import ProposalChanged
from core.link.chat_types import ProposalView
from tui.actions import registry
from tui.chat_words import STATUS_WORDS, size_text
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.proposal_graph import MarkedGraph, marked_graph, node_changes
from tui.reader import Reader
from tui.screens.graph_base import SIGNS_EXPLAINED, GraphBase
from tui.text import visible
from tui.widgets.rule import Title


class ProposalRead(Message, bubble=False):
    """The proposal that is drawn."""

    def __init__(self, proposal: ProposalView) -> None:
        super().__init__()
        self.proposal = proposal


class ProposalGraphScreen(GraphBase):
    """A proposal drawn on the graph that it changes; enter and esc lead to the text and back."""

    def __init__(self, workflow: str, proposal_id: str) -> None:
        super().__init__(workflow)
        self._proposal_id = proposal_id
        self.proposal: ProposalView | None = None
        self._marked: MarkedGraph | None = None
        self._proposal_reader = Reader(self, "the proposal", self._read_proposal, ProposalRead)

    @property
    def place(self) -> Place:
        return Place("graph", self._workflow, proposal=self._proposal_id)

    def crumbs(self) -> tuple[str, ...]:
        number = f"proposal {self.proposal.number}" if self.proposal is not None else "proposal"
        return ("workflows", visible(self._workflow), "graph", number)

    def read_all(self) -> None:
        self._proposal_reader.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read the proposal again where it changed."""
        for event in message.events:
            if isinstance(event, ProposalChanged) and event.proposal_id == self._proposal_id:
                self._proposal_reader.want()

    async def _read_proposal(self) -> ProposalView:
        return await cast(AssistantApi, self.engine).get_proposal(self._proposal_id)

    def on_proposal_read(self, message: ProposalRead) -> None:
        """Draw it."""
        self.proposal = message.proposal
        self._marked = marked = marked_graph(message.proposal)
        self.graph = marked.graph
        self.view_of_graph.set_marks(marked.nodes, marked.edges)
        self.draw()
        word, ink = STATUS_WORDS[message.proposal.status]
        self.header.status = ((word, ink),)
        self.refresh_crumbs()
        self.show_about()

    def refresh_footer(self) -> None:
        """The way to the card comes first: there it is decided."""
        super().refresh_footer()
        title = registry["graph.proposal"].title
        self.footer.keys = tuple(sorted(self.footer.keys, key=lambda pair: pair[1] != title))

    def show_about(self) -> None:
        proposal, marked, node = self.proposal, self._marked, self.view_of_graph.selected
        if proposal is not None and marked is not None and node in marked.graph.nodes:
            self.pane.show(node, lambda width: node_changes(proposal, marked, node))
        self.show_titles()

    def graph_title(self) -> Title:
        details = ((size_text(self.proposal.groups), "dim"), *SIGNS_EXPLAINED) if self.proposal is not None else ()
        return Title("proposal", details=details)

    def pane_title(self) -> Title:
        return Title(visible(self.view_of_graph.selected), details=SIGNS_EXPLAINED)

    def code_place(self) -> tuple[str, int]:
        return ("", 0)

    def show_proposal(self) -> None:
        """From the graph to the card, to decide."""
        self.rondo.go(Place("chat"))
