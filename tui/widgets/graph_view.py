"""The drawn graph: nodes with their statuses, lines, conditions, and one selected node.

The drawing itself is made in a thread by `core.drawing`; here its rows become strips when they come into view, and a
status redraws the rows of its node and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from rich.cells import cell_len
from textual import events
from textual.geometry import Offset, Region, Size, Spacing
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.drawing.geometry import Region as Box
from core.drawing.geometry import Zoom
from core.drawing.paint import Drawing
from core.flow.graph import EdgeSpec
from tui.graph_drawing import MARGIN, Wanted, depends_on_room, make_drawing, nearest
from tui.graph_rows import GraphRows
from tui.graph_run import NodeState
from tui.spans import Inked

KEPT_ROWS = 500
"""How many rows are kept as strips."""
ROUND_NODE = Spacing(1, 4, 1, 4)
"""What stays visible around the selected node."""


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
        """A thread has made the drawing that was asked for, for a view of a size."""

        def __init__(self, drawing: Drawing, wanted: Wanted, room: Size) -> None:
            super().__init__()
            self.drawing = drawing
            self.wanted = wanted
            self.room = room

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows = GraphRows()
        self._wanted: Wanted | None = None
        self._in_work: Wanted | None = None
        """What a thread lays out just now."""
        self._sized = False
        self._strips: dict[int, Strip] = {}

    @property
    def drawing(self) -> Drawing | None:
        """What is shown."""
        return self._rows.drawing

    @property
    def selected(self) -> str:
        """The selected node, or ""."""
        return self._rows.selected

    @property
    def selected_edge(self) -> int | None:
        """The edge that is looked at, by its place in the graph."""
        return self._rows.selected_edge

    @property
    def edges(self) -> Sequence[EdgeSpec]:
        """The edges of the graph that is shown, in its order."""
        return self._rows.edges

    @property
    def text(self) -> str:
        """The whole drawing as plain text, with the statuses on it."""
        return self._rows.text

    # What is drawn -----------------------------------------------------------------------------------------------

    def draw(self, wanted: Wanted, expected: Size | None = None) -> None:
        """Draw a graph; what is on the screen stays until the new drawing is ready. Before the view has a size, the
        drawing is made for the one that is expected, else later."""
        self._wanted = wanted
        room = self.outer_size or expected
        if not room:
            return
        self._in_work = wanted
        self.run_worker(partial(self._make, wanted, room), exclusive=True, group="layout", name="laying out")

    async def _make(self, wanted: Wanted, room: Size) -> None:
        drawing = await asyncio.to_thread(make_drawing, wanted, room)
        self.post_message(self.LaidOut(drawing, wanted, room))

    def on_graph_view_laid_out(self, message: LaidOut) -> None:
        """Show the drawing; the selected node stays where it was on the screen as far as the edges allow."""
        if message.wanted is not self._wanted:
            return
        self._in_work = None
        if message.room != self.outer_size:
            # Another size was expected; what was laid out for it is kept and not made again.
            self._draw_for_size()
        if self.drawing is not None and self.drawing.geometry is message.drawing.geometry:
            return
        place = self._place_on_screen(self.selected)
        nodes = message.drawing.geometry.nodes
        wished = message.wanted.focus or self.selected
        self._rows.show(message.drawing, message.wanted.graph.edges)
        self._rows.selected = wished if wished in nodes else message.drawing.geometry.start
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
        self._rows.show(None, ())
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
        if in_run != self._rows.in_run:
            self._rows.set_run(states, taken, in_run=in_run)
            self._strips.clear()
            self.refresh()
            return
        nodes, edges = self._rows.set_run(states, taken, in_run=in_run)
        for node in nodes:
            self._redraw_node(node)
        self._redraw_edges(edges)

    def set_breakpoints(self, nodes: frozenset[str]) -> None:
        """Show before which nodes runs pause."""
        for node in self._rows.set_breakpoints(nodes):
            self._redraw_node(node)

    def set_marks(self, nodes: Mapping[str, str], edges: Mapping[int, str]) -> None:
        """Show what a proposal does to nodes and edges: `+`, `-` or `~`."""
        self._rows.set_marks(nodes, edges)
        self._strips.clear()
        self.refresh()

    # Drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """The drawing may stand elsewhere now, and where its size is chosen by what fits, be another one."""
        self._strips.clear()
        self._measure()
        if not self._sized:
            self._sized = True
            self._show(self.selected)
        if self._in_work is None or self._in_work is not self._wanted:
            self._draw_for_size()

    def _draw_for_size(self) -> None:
        """Draw again where the size decides what is drawn, or nothing is drawn yet."""
        wanted = self._wanted
        if wanted is not None and self.outer_size and (self.drawing is None or depends_on_room(wanted)):
            self.draw(replace(wanted, focus=self.selected or wanted.focus))

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

    def _place_scrollbars(self) -> None:
        """Scrollbars that came only now have not heard of scrolling that was done before."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y
        if self.show_horizontal_scrollbar:
            self.horizontal_scrollbar.position = self.scroll_x

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        width = self.size.width
        if self.drawing is None or row >= self.drawing.geometry.height:
            return Strip.blank(width, self.rich_style)
        strip = self._strips.get(row)
        if strip is None:
            if len(self._strips) >= KEPT_ROWS:
                self._strips.clear()
            strip = self.strip([(" " * self._margin, ""), *self._rows.spans(row)])
            self._strips[row] = strip
        left = self.scroll_offset.x
        return strip.crop_extend(left, left + width, self.rich_style)

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
        edges = self._rows.leaving(self.selected) | self._rows.leaving(node) | self._edge_looked_at()
        self._rows.selected_edge = None
        self._redraw_node(self.selected)
        self._redraw_node(node)
        self._redraw_edges(edges)
        self._rows.selected = node
        self._show(node)
        self.post_message(self.Selected(node))

    def edges_of(self, node: str) -> list[int]:
        """The drawn edges that leave a node, then those that lead to it, by their place in the graph."""
        drawn = [path.index for path in self.drawing.geometry.edges] if self.drawing is not None else []
        leaving = [place for place in drawn if self.edges[place].from_id == node]
        return leaving + [place for place in drawn if self.edges[place].to_id == node and place not in leaving]

    def select_edge(self, edge: int | None) -> None:
        """Look at an edge of the selected node, or at the node itself again."""
        if edge == self.selected_edge:
            return
        changed = self._edge_looked_at() | self._rows.leaving(self.selected)
        self._rows.selected_edge = edge
        self._redraw_edges(changed | self._edge_looked_at())
        self.post_message(self.Selected(self.selected))

    def _edge_looked_at(self) -> frozenset[int]:
        return frozenset(() if self.selected_edge is None else (self.selected_edge,))

    def _show(self, node: str) -> None:
        if self.drawing is not None and node in self.drawing.geometry.nodes:
            self.scroll_to_region(self._region(node), spacing=ROUND_NODE, animate=False, force=True, immediate=True)
            self.call_after_refresh(self._place_scrollbars)

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
        """Select the node or edge under the pointer; a second click on a node chooses it."""
        if self.drawing is None:
            return
        place = event.x + self.scroll_offset.x - self._margin, event.y + self.scroll_offset.y
        node = self.drawing.node_at(*place)
        if node is None:
            edge = self.drawing.edge_at(*place)
            if edge is not None:
                self.select(self.edges[edge].from_id)
                self.select_edge(edge)
            return
        if node == self.selected:
            self.post_message(self.Chosen(node))
        self.select(node)
