"""What every screen with a graph has: the drawing, a pane beside or below it, a line to search in. It reads nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.geometry import Size
from textual.widget import Widget

from tui.screens.graph_keys import GraphKeys
from tui.spans import SIGN_INKS
from tui.widgets.graph_view import GraphView
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList
from tui.widgets.rule import Bar, PaneRule, Title

WIDE = 100
"""From this many columns on the pane stands beside the graph, else below it."""
ABOUT_SHARE, ABOUT_LEAST, ABOUT_MOST = 0.38, 40, 80
"""The pane's width beside the graph: its part of the columns, the fewest and the most."""
SIGNS_EXPLAINED = (("+ added", SIGN_INKS["+"]), ("- removed", SIGN_INKS["-"]), ("~ changed", SIGN_INKS["~"]))
"""What the signs on a drawing with changes mean."""
WIDE_ROWS, NARROW_ROWS = 3, 11
"""Rows that the graph doesn't get: header, rules, footer and the pane where it stands below."""


class GraphBase(GraphKeys):
    """A graph with a pane. What is drawn and what the pane says is for those that derive from it: `show_about` fills
    the pane, `graph_title` and `pane_title` name both; they read by `read_all` and a handler of `EngineEvents`.

    Textual calls the handlers of every class in a line of descent, so this one has none for what the engine says.
    """

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (WIDE, "-wide")]

    DEFAULT_CSS = """
    GraphBase #panes { layout: horizontal; height: 1fr; }
    GraphBase #about { width: 38%; min-width: 40; max-width: 80; height: 1fr; }
    GraphBase #about PaneRule { display: none; }
    GraphBase.-narrow #panes { layout: vertical; }
    GraphBase.-narrow #top, GraphBase.-narrow Bar { display: none; }
    GraphBase.-narrow #about { width: 1fr; max-width: 100%; min-width: 0; height: 9; }
    GraphBase.-narrow #about PaneRule { display: block; }
    GraphBase.-graph-only #about, GraphBase.-graph-only Bar { display: none; }
    GraphBase.-pane-only GraphView, GraphBase.-pane-only Bar { display: none; }
    GraphBase.-pane-only #about { width: 1fr; max-width: 100%; height: 1fr; }
    GraphBase.-no-graph GraphView, GraphBase.-no-graph Bar { display: none; }
    GraphBase.-no-graph #about { width: 1fr; max-width: 100%; height: 1fr; }
    """

    def __init__(self, workflow: str) -> None:
        super().__init__()
        self._workflow = workflow
        self._top_rule = PaneRule(id="top")
        self._bar = Bar()
        self._pane_rule = PaneRule()

    def compose_body(self) -> ComposeResult:
        yield FilterLine("part of a node's name", id="search")
        yield self._top_rule
        with Container(id="panes"):
            yield self.view_of_graph
            yield self._bar
            with Vertical(id="about"):
                yield self._pane_rule
                yield self.pane

    def expected_room(self) -> Size:
        """About how large the graph's view will be, which isn't laid out yet."""
        width, height = self.app.size
        if width < WIDE:
            return Size(width, max(1, height - NARROW_ROWS))
        about = min(max(round(width * ABOUT_SHARE), ABOUT_LEAST), ABOUT_MOST)
        return Size(width - about - 1, max(1, height - WIDE_ROWS))

    def on_mount(self) -> None:
        if not self.view_of_graph.is_attached:
            # Left again before it stood: a quick typist's `g`, `q`.
            return
        # Before the first layout, so that the graph isn't laid out for a view it never has.
        self.set_class(self.app.size.width < WIDE, "-narrow")
        self.view_of_graph.focus()
        self.show_titles()

    @property
    def workflow_name(self) -> str:
        return self._workflow

    def panes(self) -> list[Widget]:
        return [widget for widget in (self.view_of_graph, self.pane) if widget.display]

    # What a subclass says --------------------------------------------------------------------------------------------

    def show_about(self) -> None:
        """Fill the pane: another node is selected, or there is news of it."""
        raise NotImplementedError

    def graph_title(self) -> Title:
        """The title above the graph."""
        raise NotImplementedError

    def pane_title(self) -> Title:
        """The title of the pane; its details stand there only where it lies below the graph."""
        raise NotImplementedError

    def show_selected(self) -> None:
        """Another node is selected, or there is a new drawing."""
        self.show_about()

    # Titles ----------------------------------------------------------------------------------------------------------

    def show_titles(self) -> None:
        """Say above the graph and the pane what they show, side by side or one below the other."""
        graph, pane = self.graph_title(), self.pane_title()
        on_pane = self.pane.has_focus
        beside = self._split_at > 0
        graph = replace(graph, active=not on_pane)
        if beside:
            titles: tuple[Title, ...] = (graph, replace(pane, at=self._split_at + 1, active=on_pane, details=()))
        else:
            titles = (replace(pane, active=on_pane) if self.has_class("-no-graph") else graph,)
        self._top_rule.titles = titles
        self._top_rule.joints = ((self._split_at, "┬"),) if beside else ()
        self._pane_rule.titles = (replace(pane, active=on_pane),)

    @property
    def _split_at(self) -> int:
        """The column of the line between graph and pane; 0 where they don't stand side by side."""
        hidden = any(self.has_class(name) for name in ("-narrow", "-graph-only", "-pane-only", "-no-graph"))
        return 0 if hidden else self._bar.region.x

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_titles)

    def on_descendant_focus(self) -> None:
        """The title of the pane with the focus stands out."""
        self.show_titles()

    # Selecting and zooming -------------------------------------------------------------------------------------------

    def on_graph_view_selected(self, event: GraphView.Selected) -> None:
        """Another node, or a new drawing."""
        self.show_selected()
        self.refresh_footer()

    def on_graph_view_chosen(self, event: GraphView.Chosen) -> None:
        self.open_node()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """An edge leads to its node, a finding or a line of code to the editor."""
        line = self.pane.line
        if line is None:
            return
        if line.node and line.node != self.view_of_graph.selected:
            self.view_of_graph.select(line.node)
        elif line.place[0]:
            self.edit_code()

    def zoom_panes(self) -> bool:
        """On the graph: chips, boxes, boxes on the whole screen, and from the start again; on the pane: it alone."""
        if self.pane.has_focus:
            self._show_alone("-pane-only")
        elif self.has_class("-graph-only"):
            self.remove_class("-graph-only")
            self.draw_in("chip")
        elif self.view_of_graph.zoom == "chip" and self.view_of_graph.drawing is not None:
            self.draw_in("box")
        else:
            self._show_alone("-graph-only")
        self.call_after_refresh(self.show_titles)
        return True

    def _show_alone(self, name: str) -> None:
        alone = self.has_class("-graph-only") or self.has_class("-pane-only")
        self.remove_class("-graph-only", "-pane-only")
        if not alone:
            self.add_class(name)

    def copied_text(self) -> str:
        if self.pane.has_focus:
            return self.pane.line_text
        return self.view_of_graph.text
