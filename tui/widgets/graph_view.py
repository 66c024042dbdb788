"""The drawn graph: nodes with their statuses, lines, conditions, and one selected node.

The drawing itself is made in a thread by `core.drawing`; here its rows become strips when they come into view, and a
status redraws the rows of its node and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rich.cells import cell_len
from textual import events
from textual.geometry import Offset, Region, Size, Spacing
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.drawing.geometry import Direction, Zoom
from core.drawing.geometry import Region as Box
from core.drawing.paint import Drawing, NodeLook
from core.flow.graph import Graph
from tui.graph_run import NodeState
from tui.spans import Inked, Spans
from tui.status import look_of

KEPT_ROWS = 500
"""How many rows are kept as strips."""
AUTO_ZOOM_NODES = 60
"""With more nodes than this the size of boxes isn't chosen by trying both."""
LOW_VIEW = 24
"""A view with fewer rows than this shows chips where boxes don't fit."""
MARGIN = 1
"""Free cells at both sides of the drawing."""
ROUND_NODE = Spacing(1, 4, 1, 4)
"""What stays visible around the selected node."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be drawn; a zoom of None is chosen by what fits. `focus` names the node to select then."""

    graph: Graph
    zoom: Zoom | None = None
    direction: Direction = "down"
    focus: str = ""


def make_drawing(wanted: Wanted, room: Size) -> Drawing:
    """Lay out and paint; takes up to a second for 500 nodes, so it runs in a thread."""
    from core.drawing.layout import layout_graph

    def drawn(zoom: Zoom) -> Drawing:
        return Drawing(layout_graph(wanted.graph, zoom=zoom, direction=wanted.direction, counted=True))

    def fits(drawing: Drawing) -> bool:
        return drawing.geometry.width + 2 * MARGIN <= room.width and drawing.geometry.height <= room.height

    if wanted.zoom is not None:
        return drawn(wanted.zoom)
    if len(wanted.graph.nodes) > AUTO_ZOOM_NODES:
        return drawn("chip")
    boxes = drawn("box")
    if fits(boxes):
        return boxes
    chips = drawn("chip")
    return chips if fits(chips) or room.height < LOW_VIEW else boxes


class GraphView(Inked, ScrollView, can_focus=True, inherit_bindings=False):
    """The canvas. Its screen has the keys and calls what they mean here."""

    DEFAULT_CSS = """
    GraphView {
        width: 1fr; height: 1fr; overflow: auto auto; background: $background; scrollbar-size: 1 1;
        scrollbar-color: $border; scrollbar-color-hover: $accent; scrollbar-color-active: $accent;
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-background-active: $background; scrollbar-corner-color: $background;
    }
    """

    class Selected(Message):
        """Another node is selected, or the same one on a new drawing."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    class Chosen(Message):
        """A click on the node that was selected already."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    class LaidOut(Message, bubble=False):
        """A thread has made the drawing that was asked for."""

        def __init__(self, drawing: Drawing, wanted: Wanted) -> None:
            super().__init__()
            self.drawing = drawing
            self.wanted = wanted

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.drawing: Drawing | None = None
        self.selected = ""
        self._wanted: Wanted | None = None
        self._states: dict[str, NodeState] = {}
        self._in_run = False
        self._taken: frozenset[int] = frozenset()
        self._strips: dict[int, Strip] = {}

    # What is drawn -----------------------------------------------------------------------------------------------

    def draw(self, wanted: Wanted) -> None:
        """Draw a graph; what is on the screen stays until the new drawing is ready. Without a size it is drawn later."""
        self._wanted = wanted
        room = self.outer_size
        if not room:
            return
        self.run_worker(
            lambda: self._make(wanted, room), thread=True, exclusive=True, group="layout", name="laying out"
        )

    def _make(self, wanted: Wanted, room: Size) -> None:
        self.post_message(self.LaidOut(make_drawing(wanted, room), wanted))

    def on_graph_view_laid_out(self, message: LaidOut) -> None:
        """Show the drawing; the selected node stays where it was on the screen as far as the edges allow."""
        if message.wanted is not self._wanted:
            return
        if self.drawing is not None and self.drawing.geometry is message.drawing.geometry:
            return
        place = self._place_on_screen(self.selected)
        self.drawing = message.drawing
        nodes = message.drawing.geometry.nodes
        wished = message.wanted.focus or self.selected
        self.selected = wished if wished in nodes else message.drawing.geometry.start
        self._strips.clear()
        self._measure()
        if place is not None and self.selected in nodes:
            region = self._region(self.selected)
            self.scroll_to(region.x - place.x, region.y - place.y, animate=False, force=True)
        self._show(self.selected)
        self.refresh()
        self.post_message(self.Selected(self.selected))

    def clear_drawing(self) -> None:
        """Show nothing."""
        self.drawing = None
        self._wanted = None
        self._strips.clear()
        self.virtual_size = Size(0, 0)
        self.refresh()

    @property
    def zoom(self) -> Zoom:
        """How large nodes are drawn now."""
        return self.drawing.geometry.zoom if self.drawing is not None else "box"

    def set_run(self, states: Mapping[str, NodeState], taken: Iterable[int], *, in_run: bool) -> None:
        """Show how the nodes stand and which edges were followed; only rows that changed are drawn again."""
        new_states, new_taken = dict(states), frozenset(taken)
        if in_run != self._in_run:
            self._in_run = in_run
            self._states, self._taken = new_states, new_taken
            self._strips.clear()
            self.refresh()
            return
        names = self._states.keys() | new_states.keys()
        changed = [node for node in names if self._states.get(node) != new_states.get(node)]
        edges = self._taken ^ new_taken
        self._states, self._taken = new_states, new_taken
        for node in changed:
            self._redraw_node(node)
        self._redraw_edges(edges)

    # Drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """The drawing may stand elsewhere now, and where its size is chosen by what fits, be another one."""
        self._strips.clear()
        self._measure()
        if self._wanted is not None and (self._wanted.zoom is None or self.drawing is None):
            self.draw(replace(self._wanted, focus=self.selected or self._wanted.focus))

    def notify_style_update(self) -> None:
        """Forget the strips: their colours changed."""
        self._strips.clear()
        super().notify_style_update()

    @property
    def _margin(self) -> int:
        """Free cells left of the drawing: it stands in the middle where it is narrower than the view."""
        if self.drawing is None:
            return 0
        return max(MARGIN, (self.size.width - self.drawing.geometry.width) // 2)

    def _measure(self) -> None:
        if self.drawing is not None:
            geometry = self.drawing.geometry
            self.virtual_size = Size(geometry.width + 2 * MARGIN, geometry.height)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        width = self.size.width
        if self.drawing is None or row >= self.drawing.geometry.height:
            return Strip.blank(width, self.rich_style)
        strip = self._strips.get(row)
        if strip is None:
            if len(self._strips) >= KEPT_ROWS:
                self._strips.clear()
            strip = self.strip([(" " * self._margin, ""), *self._row_spans(self.drawing, row)])
            self._strips[row] = strip
        left = self.scroll_offset.x
        return strip.crop_extend(left, left + width, self.rich_style)

    def _row_spans(self, drawing: Drawing, row: int) -> Spans:
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

    def _edge_ink(self, edge: int) -> str:
        if self._wanted is not None and self._wanted.graph.edges[edge].from_id == self.selected:
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
        inks = {
            "border": border,
            "sign": look.ink if look is not None else "",
            "name": "strong" if stands_out else "" if look is not None or not self._in_run else "dim",
            "count": "dim",
        }
        return [(text, inks[part]) for text, part in drawing.box_row(node, row, self._look(node))]

    def _look(self, node: str) -> NodeLook:
        state = self._states.get(node, NodeState())
        sign = look_of(state.status).sign if state.status else ""
        return NodeLook(sign, state.visits, node == self.selected)

    @property
    def text(self) -> str:
        """The whole drawing as plain text, with the statuses on it."""
        if self.drawing is None:
            return ""
        return "\n".join(self.drawing.text_rows({node: self._look(node) for node in self._states}))

    # Redrawing ---------------------------------------------------------------------------------------------------

    def _region(self, node: str) -> Region:
        """Where a node's box is on the whole canvas."""
        box = self.drawing.geometry.nodes[node] if self.drawing is not None else Box(0, 0, 0, 0)
        return Region(box.x + self._margin, box.y, box.width, box.height)

    def _place_on_screen(self, node: str) -> Offset | None:
        if self.drawing is None or node not in self.drawing.geometry.nodes:
            return None
        return self._region(node).offset - self.scroll_offset

    def _redraw_node(self, node: str) -> None:
        if self.drawing is None or node not in self.drawing.geometry.nodes:
            return
        self._redraw(self._region(node))

    def _redraw_edges(self, edges: Iterable[int]) -> None:
        if self.drawing is None:
            return
        wanted = set(edges)
        for path in self.drawing.geometry.edges if wanted else ():
            if path.index not in wanted:
                continue
            xs = [point.x for point in path.points]
            ys = [point.y for point in path.points]
            if path.label is not None:
                xs += [path.label.x, path.label.x + cell_len(path.label.text) - 1]
                ys.append(path.label.y)
            region = Region(min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
            self._redraw(region.translate((self._margin, 0)))

    def _redraw(self, region: Region) -> None:
        """Make the rows of a region of the canvas again, where they can be seen."""
        for row in range(region.y, region.bottom):
            self._strips.pop(row, None)
        visible = region.translate(-self.scroll_offset).intersection(Region(0, 0, *self.size))
        if visible:
            self.refresh(visible)

    # Selecting ---------------------------------------------------------------------------------------------------

    def select(self, node: str) -> None:
        """Select a node and scroll as little as it takes to see it."""
        if self.drawing is None or node not in self.drawing.geometry.nodes or node == self.selected:
            return
        before, self.selected = self.selected, node
        graph = self._wanted.graph if self._wanted is not None else None
        edges = graph.edges if graph is not None else ()
        self._redraw_node(before)
        self._redraw_node(node)
        self._redraw_edges(place for place, edge in enumerate(edges) if edge.from_id in (before, node))
        self._show(node)
        self.post_message(self.Selected(node))

    def _show(self, node: str) -> None:
        if self.drawing is not None and node in self.drawing.geometry.nodes:
            self.scroll_to_region(self._region(node), spacing=ROUND_NODE, animate=False, force=True, immediate=True)

    def step(self, count: int) -> None:
        """Select the next (or an earlier) node in the order from the start onwards, around at the end."""
        if self.drawing is None or not self.drawing.geometry.order:
            return
        order = self.drawing.geometry.order
        here = order.index(self.selected) if self.selected in order else 0
        self.select(order[(here + count) % len(order)])

    def select_end(self, *, last: bool) -> None:
        """Select the start, or the last node."""
        if self.drawing is not None and self.drawing.geometry.order:
            geometry = self.drawing.geometry
            self.select(geometry.order[-1] if last else geometry.start)

    def move(self, step_x: int, step_y: int) -> None:
        """Select the nearest node in a direction; where there is none, scroll."""
        if self.drawing is None:
            return
        node = nearest(self.drawing.geometry.nodes, self.selected, step_x, step_y)
        if node:
            self.select(node)
        else:
            x, y = self.scroll_offset
            self.scroll_to(x + 8 * step_x, y + 3 * step_y, animate=False, force=True)

    def page(self, step: float) -> None:
        """Scroll by a part of the view's height and select the node that is then nearest to where the last one was."""
        if self.drawing is None:
            return
        height = max(1, self.scrollable_content_region.height)
        region = self._region(self.selected)
        target = region.y + step * height
        self.scroll_to(y=self.scroll_offset.y + step * height, animate=False, force=True)
        nodes = self.drawing.geometry.nodes
        middle = self.drawing.geometry.nodes[self.selected].middle.x
        self.select(min(nodes, key=lambda node: (abs(nodes[node].y - target), abs(nodes[node].middle.x - middle))))

    def on_click(self, event: events.Click) -> None:
        """Select the node under the pointer; a second click chooses it."""
        if self.drawing is None:
            return
        node = self.drawing.node_at(event.x + self.scroll_offset.x - self._margin, event.y + self.scroll_offset.y)
        if node is None:
            return
        if node == self.selected:
            self.post_message(self.Chosen(node))
        self.select(node)


def nearest(nodes: Mapping[str, Box], here: str, step_x: int, step_y: int) -> str:
    """The node nearest to another one in a direction (one of the steps is 0), or "".

    What lies straight ahead comes before what lies aside; a row counts twice, because cells are twice as high as wide.
    """
    if here not in nodes:
        return next(iter(nodes), "")
    box = nodes[here]

    def distance(other: Box) -> float | None:
        if step_y:
            ahead = 2 * (other.y - box.bottom if step_y > 0 else box.y - other.bottom)
            aside = max(other.x - box.right + 1, box.x - other.right + 1, 0)
            bend = abs(other.middle.x - box.middle.x)
        else:
            ahead = other.x - box.right if step_x > 0 else box.x - other.right
            aside = 2 * max(other.y - box.bottom + 1, box.y - other.bottom + 1, 0)
            bend = 2 * abs(other.middle.y - box.middle.y)
        return None if ahead < 0 else ahead + 2.0 * aside + bend / 10

    found = [(far, node) for node, other in nodes.items() if node != here and (far := distance(other)) is not None]
    return min(found)[1] if found else ""
