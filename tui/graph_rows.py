"""The rows of a drawn graph in colours: what the run did on it, and the selected node. Pure: facts in, spans out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len

from core.drawing.paint import Drawing, NodeLook
from core.flow.graph import EdgeSpec
from core.link.status import look_of
from tui.graph_run import NodeState
from tui.spans import SIGN_INKS, Spans


class GraphRows:
    """A drawing with everything about it that changes while it is looked at."""

    def __init__(self) -> None:
        self.drawing: Drawing | None = None
        self.selected = ""
        self.selected_edge: int | None = None
        """An edge that is looked at, by its place in the graph."""
        self.in_run = False
        self.edges: Sequence[EdgeSpec] = ()
        """The edges of the drawn graph, in its order."""
        self._states: dict[str, NodeState] = {}
        self._taken: frozenset[int] = frozenset()
        self._marks: dict[str, str] = {}
        self._edge_marks: dict[int, str] = {}
        self._stops: frozenset[str] = frozenset()

    def set_breakpoints(self, nodes: frozenset[str]) -> frozenset[str]:
        """Take the nodes before which runs pause; returns those for which that is new."""
        before, self._stops = self._stops, nodes
        return before ^ nodes

    def set_marks(self, nodes: Mapping[str, str], edges: Mapping[int, str]) -> None:
        """Take what a proposal does to nodes and edges: `+`, `-` or `~`."""
        self._marks, self._edge_marks = dict(nodes), dict(edges)

    def show(self, drawing: Drawing | None, edges: Sequence[EdgeSpec]) -> None:
        """Take another drawing; `edges` are those of its graph."""
        self.drawing = drawing
        self.edges = edges
        self.selected_edge = None

    def set_run(
        self, states: Mapping[str, NodeState], taken: Iterable[int], *, in_run: bool
    ) -> tuple[list[str], frozenset[int]]:
        """Take how the nodes stand and which edges were followed; returns the nodes and edges for which that is new."""
        before, edges_before = self._states, self._taken
        self._states, self._taken, self.in_run = dict(states), frozenset(taken), in_run
        names = before.keys() | self._states.keys()
        changed = [node for node in names if before.get(node) != self._states.get(node)]
        return changed, edges_before ^ self._taken

    def leaving(self, node: str) -> frozenset[int]:
        """The edges that leave a node, by their place in the graph."""
        return frozenset(place for place, edge in enumerate(self.edges) if edge.from_id == node)

    def spans(self, row: int) -> Spans:
        """A row of the drawing."""
        drawing = self.drawing
        if drawing is None:
            return []
        pieces: list[tuple[int, Spans]] = []
        for run in drawing.runs(row):
            pieces.append((run.x, [(run.text, self._edge_ink(run.edge))]))
        for span in drawing.spans(row):
            pieces.append((span.x, self._node_spans(drawing, span.node, row)))
        pieces.sort(key=lambda piece: piece[0])
        spans: Spans = []
        at = 0
        for x, piece in pieces:
            spans.append((" " * (x - at), ""))
            spans += piece
            at = x + sum(cell_len(text) for text, _ in piece)
        return spans

    @property
    def text(self) -> str:
        """The whole drawing as plain text, with the statuses on it."""
        if self.drawing is None:
            return ""
        nodes = {*self._states, *self._marks, *self._stops}
        return "\n".join(self.drawing.text_rows({node: self._look(node) for node in nodes}))

    def _edge_ink(self, edge: int) -> str:
        if edge == self.selected_edge:
            return "accent"
        if edge in self._edge_marks:
            return SIGN_INKS[self._edge_marks[edge]]
        if self.edges[edge].from_id == self.selected and self.selected_edge is None:
            return "key"
        return "" if edge in self._taken else "dim"

    def _node_spans(self, drawing: Drawing, node: str, row: int) -> Spans:
        state = self._states.get(node, NodeState())
        look = look_of(state.status) if state.status else None
        selected = node == self.selected
        border = "dim"
        if selected:
            border = "accent"
        elif look is not None:
            border = "" if state.status == "completed" else look.ink
        stands_out = selected or state.status not in ("", "completed")
        mark = self._marks.get(node, "")
        if mark:
            ink = SIGN_INKS[mark]
            inks = {"border": border if selected else ink, "sign": ink, "name": "strong", "count": "dim", "stop": "bad"}
            return [(text, inks[part]) for text, part in drawing.box_row(node, row, self._look(node))]
        inks = {
            "border": border,
            "sign": look.ink if look is not None else "",
            "name": "strong" if stands_out else "" if look is not None or not self.in_run else "dim",
            "count": "dim",
            "stop": "bad",
        }
        return [(text, inks[part]) for text, part in drawing.box_row(node, row, self._look(node))]

    def _look(self, node: str) -> NodeLook:
        state = self._states.get(node, NodeState())
        sign = look_of(state.status).sign if state.status else self._marks.get(node, "")
        return NodeLook(sign, state.visits, node == self.selected, node in self._stops)
