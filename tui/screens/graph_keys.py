"""The keys of the graph screen: moving from node to node, searching, and how large and which way it is drawn."""

from __future__ import annotations

from textual.message import Message

from core.drawing.geometry import Direction, Zoom
from core.drawing.parts import neighbourhood
from core.flow.graph import Graph
from core.link.chat_types import ProposalView
from tui.actions import action
from tui.graph_drawing import Wanted
from tui.navigation import Place
from tui.screens.base import RondoScreen
from tui.text import plural
from tui.widgets.graph_pane import NodePane
from tui.widgets.graph_view import GraphView
from tui.widgets.line_input import FilterLine

NEAR_HOPS = 2
"""How many edges away a node is still near."""


class ProposalsRead(Message, bubble=False):
    """The proposals that wait for a workflow."""

    def __init__(self, proposals: list[ProposalView]) -> None:
        super().__init__()
        self.proposals = proposals


def has_graph(screen: GraphKeys) -> str:
    """Why there is nothing to move in; "" if there is."""
    return "" if screen.view_of_graph.drawing is not None else "There is no graph to show"


class GraphKeys(RondoScreen):
    """A screen with a graph, a pane beside it and a line to search in; it knows what to draw and how."""

    view = "graph"

    def __init__(self) -> None:
        super().__init__()
        self.view_of_graph = GraphView(id="graph")
        self.pane = NodePane(id="node")
        self.graph: Graph | None = None
        self.near = ""
        """The node whose neighbourhood is drawn alone, or ""."""
        self._zoom: Zoom | None = None
        self._direction: Direction = "down"

    def draw(self, focus: str = "") -> None:
        """Draw the graph, or what is near, and select `focus` then; without a graph the pane stands alone."""
        if self.graph is None or not self.graph.nodes:
            self.view_of_graph.clear_drawing()
            self.add_class("-no-graph")
            self.pane.focus()
            return
        if self.has_class("-no-graph"):
            self.remove_class("-no-graph")
            self.view_of_graph.focus()
        shown = neighbourhood(self.graph, self.near, NEAR_HOPS) if self.near else self.graph
        self.view_of_graph.draw(Wanted(shown, self._zoom, self._direction, focus))

    # Search ------------------------------------------------------------------------------------------------------

    @property
    def search_line(self) -> FilterLine:
        """The line that `/` opens."""
        return self.query_exactly_one("#search", FilterLine)

    def _found(self) -> list[str]:
        """The nodes of the drawing whose id or class has the searched text, in the order of the drawing."""
        text = self.search_line.text.lower()
        drawing, graph = self.view_of_graph.drawing, self.graph
        if not text or drawing is None or graph is None:
            return []
        return [
            node
            for node in drawing.geometry.order
            if text in node.lower() or text in graph.nodes[node].class_name.lower()
        ]

    @action(
        "graph.search",
        "search",
        keys="slash",
        help="To the nodes whose name or class has a text",
        footer=14,
        when=has_graph,
    )
    def search(self) -> None:
        self.search_line.open()

    @action("graph.next-match", "next match", keys="n", help="To the next node that was found")
    def next_match(self) -> None:
        self._to_match(1)

    @action("graph.previous-match", "match before", keys="N", help="To the node found before")
    def previous_match(self) -> None:
        self._to_match(-1)

    def _to_match(self, step: int) -> None:
        found = self._found()
        if not found:
            self.say("Nothing found: / searches for a node", "hint")
            return
        here = self.view_of_graph.selected
        place = found.index(here) + step if here in found else (0 if step > 0 else -1)
        self.view_of_graph.select(found[place % len(found)])

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        found = self._found()
        self.search_line.show_count(plural(len(found), "node") if event.text else "")
        if found and self.view_of_graph.selected not in found:
            self.view_of_graph.select(found[0])

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.view_of_graph.focus()

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.search_line.display:
            self.search_line.close()
            self.view_of_graph.focus()
            return True
        if self.pane.has_focus and self.view_of_graph.display:
            self.view_of_graph.focus()
            return True
        if self.view_of_graph.selected_edge is not None:
            self.view_of_graph.select_edge(None)
            return True
        if self.near:
            self.show_near()
            return True
        return False

    # Moving ------------------------------------------------------------------------------------------------------

    @action("graph.left", "left", keys="h,left", help="To the nearest node on the left", when=has_graph)
    def move_left(self) -> None:
        self.view_of_graph.move(-1, 0)

    @action("graph.down", "down", keys="j,down", help="To the nearest node below", when=has_graph)
    def move_down(self) -> None:
        self.view_of_graph.move(0, 1)

    @action("graph.up", "up", keys="k,up", help="To the nearest node above", when=has_graph)
    def move_up(self) -> None:
        self.view_of_graph.move(0, -1)

    @action("graph.right", "right", keys="l,right", help="To the nearest node on the right", when=has_graph)
    def move_right(self) -> None:
        self.view_of_graph.move(1, 0)

    @action("graph.next", "next node", keys="tab", help="To the next node, in the order from the start", when=has_graph)
    def next_node(self) -> None:
        self.view_of_graph.step(1)

    @action("graph.previous", "node before", keys="shift+tab", help="To the node before", when=has_graph)
    def previous_node(self) -> None:
        self.view_of_graph.step(-1)

    @action("graph.first", "start", keys="g g,home", help="To the start node", when=has_graph)
    def first_node(self) -> None:
        self.view_of_graph.select_end(last=False)

    @action("graph.last", "last", keys="G,end", help="To the last node", when=has_graph)
    def last_node(self) -> None:
        self.view_of_graph.select_end(last=True)

    @action("graph.page-down", "page down", keys="pagedown,ctrl+d", help="Half a page down", when=has_graph)
    def page_down(self) -> None:
        self.view_of_graph.page(0.5)

    @action("graph.page-up", "page up", keys="pageup,ctrl+u", help="Half a page up", when=has_graph)
    def page_up(self) -> None:
        self.view_of_graph.page(-0.5)

    # Edges -------------------------------------------------------------------------------------------------------

    @action(
        "graph.next-edge",
        "edges",
        keys="greater_than_sign",
        help="To the next edge of the node: its condition, what it saw, how often it was taken; enter follows it",
        footer=42,
        when=has_graph,
    )
    def next_edge(self) -> None:
        self._to_edge(1)

    @action(
        "graph.previous-edge",
        "edge before",
        keys="less_than_sign",
        help="To the edge before among those of the node",
        when=has_graph,
    )
    def previous_edge(self) -> None:
        self._to_edge(-1)

    def _to_edge(self, step: int) -> None:
        view = self.view_of_graph
        edges = view.edges_of(view.selected)
        if not edges:
            self.say("No edge leads to this node or away from it", "hint")
            return
        here = edges.index(view.selected_edge) + step if view.selected_edge in edges else 0 if step > 0 else -1
        view.select_edge(edges[here % len(edges)])

    def _follow_edge(self) -> bool:
        """To the other end of the selected edge; False where none is selected."""
        view = self.view_of_graph
        if view.selected_edge is None:
            return False
        edge = view.edges[view.selected_edge]
        other = edge.to_id if edge.from_id == view.selected else edge.from_id
        if other == view.selected:
            view.select_edge(None)
        else:
            view.select(other)
        return True

    # Actions -----------------------------------------------------------------------------------------------------

    @action("graph.open-node", "details", keys="enter", help="To the details of the node; esc comes back", footer=12)
    def open_node(self) -> None:
        if self._follow_edge():
            return
        if self.has_class("-graph-only"):
            self.zoom_panes()
        self.pane.focus()

    @action("graph.size", "size", keys="z", help="Draw nodes as boxes or as one row each", footer=16, when=has_graph)
    def change_size(self) -> None:
        self.draw_in("chip" if self.view_of_graph.zoom == "box" else "box")

    def draw_in(self, zoom: Zoom) -> None:
        """Draw the nodes as boxes or chips from now on, whatever fits."""
        self._zoom = zoom
        self.draw()

    @action("graph.turn", "turn", keys="t", help="Draw the graph downwards or to the right", footer=18, when=has_graph)
    def turn(self) -> None:
        self._direction = "right" if self._direction == "down" else "down"
        self.draw()

    @action("graph.near", "near", keys="o", help="Only the nodes near the selected one, or all again", when=has_graph)
    def show_near(self) -> None:
        selected = self.view_of_graph.selected
        self.near = "" if self.near else selected
        self.draw(selected)

    @action(
        "graph.proposal",
        "proposal",
        keys="p",
        help="The open proposal drawn on the graph; from there, its card",
        footer=20,
    )
    def show_proposal(self) -> None:
        name = self.workflow_name

        async def call() -> list[ProposalView]:
            return await self.api.list_proposals(name)

        self.ask(call, ProposalsRead, group="proposals", doing="reading the proposals")

    def on_proposals_read(self, message: ProposalsRead) -> None:
        if message.proposals:
            newest = max(message.proposals, key=lambda proposal: proposal.created_at)
            self.rondo.go(Place("graph", self.workflow_name, proposal=newest.proposal_id))
        else:
            self.say("No proposal waits for this workflow: c asks for a change", "hint")
