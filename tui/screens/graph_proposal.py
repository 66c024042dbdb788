"""The graph screen with a proposal on it: + ~ - at nodes and edges."""

from __future__ import annotations

from typing import cast

from textual.message import Message

from core.link.assistant_api import AssistantApi
from core.link.chat_events import ProposalChanged
from core.link.chat_types import (
    ProposalView,
)
from core.link.workflow_types import WorkflowDetail
from tui.chat_words import STATUS_WORDS, size_text
from tui.graph_feed import RunRead
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.proposal_graph import MarkedGraph, marked_graph, node_changes
from tui.reader import Reader
from tui.screens.graph import GraphScreen
from tui.spans import SIGN_INKS
from tui.text import visible
from tui.widgets.rule import Title


class ProposalRead(Message, bubble=False):
    """The proposal that is drawn."""

    def __init__(self, proposal: ProposalView) -> None:
        super().__init__()
        self.proposal = proposal


class ProposalGraphScreen(GraphScreen):
    """A proposal drawn on the graph that it changes; enter and esc lead to the text and back."""

    def __init__(self, workflow: str, proposal_id: str) -> None:
        super().__init__(workflow)
        self._proposal_id = proposal_id
        self.proposal: ProposalView | None = None
        self._marked: MarkedGraph | None = None
        self._proposal_reader = Reader(self, "the proposal", self._read_proposal, ProposalRead)

    def draw_what_is_known(self) -> None:
        """Nothing is known of it yet."""

    @property
    def place(self) -> Place:
        return Place("graph", self._workflow, proposal=self._proposal_id)

    def crumbs(self) -> tuple[str, ...]:
        number = f"proposal {self.proposal.number}" if self.proposal is not None else "proposal"
        return ("workflows", visible(self._workflow), "graph", number)

    def read_all(self) -> None:
        self._proposal_reader.want()

    def take_events(self, message: EngineEvents) -> None:
        for event in message.events:
            if isinstance(event, ProposalChanged) and event.proposal_id == self._proposal_id:
                self._proposal_reader.want()

    async def _read_proposal(self) -> ProposalView:
        return await cast(AssistantApi, self.engine).get_proposal(self._proposal_id)

    async def _read_workflow(self) -> WorkflowDetail:
        raise NotImplementedError

    async def _read_run(self) -> RunRead:
        raise NotImplementedError

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
        self._show_about()

    def _run_spans(self) -> tuple[tuple[str, str], ...]:
        return self.header.status

    def _show_run_on_graph(self) -> None:
        """No run is shown on a proposal."""

    def _show_about(self) -> None:
        proposal, marked, node = self.proposal, self._marked, self.view_of_graph.selected
        if proposal is not None and marked is not None and node in marked.graph.nodes:
            self.pane.show(node, lambda width: node_changes(proposal, marked, node))
        self._show_titles()

    def _show_titles(self) -> None:
        proposal = self.proposal
        signs = (("+ added", SIGN_INKS["+"]), ("- removed", SIGN_INKS["-"]), ("~ changed", SIGN_INKS["~"]))
        details = ((size_text(proposal.groups), "dim"), *signs) if proposal is not None else ()
        node, on_pane = visible(self.view_of_graph.selected), self.pane.has_focus
        graph = Title("proposal", 0, not on_pane, details=details)
        beside = self._split_at > 0
        self._top_rule.titles = (graph, Title(node, self._split_at + 1, on_pane)) if beside else (graph,)
        self._top_rule.joints = ((self._split_at, "┬"),) if beside else ()
        self._pane_rule.titles = (Title(node, 0, on_pane, details=() if beside else signs),)

    def code_place(self) -> tuple[str, int]:
        return ("", 0)

    def show_proposal(self) -> None:
        """From the graph to the card, to decide."""
        self.rondo.go(Place("chat"))
