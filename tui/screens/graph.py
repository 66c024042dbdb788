"""Screen 2: the graph of a workflow, with a run on it, and what there is to know of the selected node."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.geometry import Size
from textual.widget import Widget

from core.link.event_types import RunChanged, StepChanged, WorkflowChanged
from core.link.status import look_of
from core.link.types import RunView
from core.link.workflow_types import WorkflowDetail
from tui.graph_drawing import Wanted
from tui.graph_feed import RunRead, WorkflowRead, graph_of, read_run, read_workflow
from tui.graph_run import RunTrail, taken_edges
from tui.graph_text import broken_lines, node_lines
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.reader import Reader
from tui.screens.graph_keys import GraphKeys
from tui.text import plural, visible
from tui.widgets.graph_view import GraphView
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList
from tui.widgets.rule import Bar, PaneRule, Title

WIDE = 100
"""From this many columns on the pane stands beside the graph, else below it."""
ABOUT_SHARE, ABOUT_LEAST, ABOUT_MOST = 0.38, 40, 80
"""The pane's width beside the graph: its part of the columns, the fewest and the most."""
WIDE_ROWS, NARROW_ROWS = 3, 11
"""Rows that the graph doesn't get: header, rules, footer and the pane where it stands below."""


class GraphScreen(GraphKeys):
    """The graph. Without `run_id` it follows the workflow's newest run."""

    view = "graph"
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (WIDE, "-wide")]

    DEFAULT_CSS = """
    GraphScreen #panes { layout: horizontal; height: 1fr; }
    GraphScreen #about { width: 38%; min-width: 40; max-width: 80; height: 1fr; }
    GraphScreen #about PaneRule { display: none; }
    GraphScreen.-narrow #panes { layout: vertical; }
    GraphScreen.-narrow #top, GraphScreen.-narrow Bar { display: none; }
    GraphScreen.-narrow #about { width: 1fr; max-width: 100%; min-width: 0; height: 9; }
    GraphScreen.-narrow #about PaneRule { display: block; }
    GraphScreen.-graph-only #about, GraphScreen.-graph-only Bar { display: none; }
    GraphScreen.-pane-only GraphView, GraphScreen.-pane-only Bar { display: none; }
    GraphScreen.-pane-only #about { width: 1fr; max-width: 100%; height: 1fr; }
    GraphScreen.-no-graph GraphView, GraphScreen.-no-graph Bar { display: none; }
    GraphScreen.-no-graph #about { width: 1fr; max-width: 100%; height: 1fr; }
    """

    def __init__(self, workflow: str, run_id: str | None = None) -> None:
        super().__init__()
        self._workflow = workflow
        self._wanted_run = run_id or ""
        self.detail: WorkflowDetail | None = None
        self.run_shown: RunView | None = None
        self.trail: RunTrail | None = None
        self._opened = False
        self._top_rule = PaneRule(id="top")
        self._bar = Bar()
        self._pane_rule = PaneRule()
        self._workflow_reader = Reader(self, "the workflow", self._read_workflow, WorkflowRead, period=0.2)
        self._run_reader = Reader(self, "the run", self._read_run, lambda message: message)

    def compose_body(self) -> ComposeResult:
        yield FilterLine("part of a node's name", id="search")
        yield self._top_rule
        with Container(id="panes"):
            yield self.view_of_graph
            yield self._bar
            with Vertical(id="about"):
                yield self._pane_rule
                yield self.pane

    def on_compose(self) -> None:
        self.draw_what_is_known()

    def draw_what_is_known(self) -> None:
        """Lay the graph out while the widgets are made, where it is known already."""
        self.detail = self.rondo.known.find(self._workflow, self._wanted_run)
        if self.detail is not None and self.detail.nodes:
            self.graph = graph_of(self.detail)
            self.view_of_graph.draw(Wanted(self.graph), self._expected_room())

    def _expected_room(self) -> Size:
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
        self._show_titles()

    @property
    def workflow_name(self) -> str:
        return self._workflow

    @property
    def run_id(self) -> str:
        return self.run_shown.run_id if self.run_shown is not None else self._wanted_run

    @property
    def place(self) -> Place:
        return Place("graph", self._workflow, self._wanted_run)

    @property
    def failed_run(self) -> str:
        run = self.run_shown
        return run.run_id if run is not None and run.status == "failed" else ""

    def crumbs(self) -> tuple[str, ...]:
        return ("workflows", visible(self._workflow), "graph")

    def panes(self) -> list[Widget]:
        return [widget for widget in (self.view_of_graph, self.pane) if widget.display]

    # What the engine says ----------------------------------------------------------------------------------------

    def read_all(self) -> None:
        self._workflow_reader.want()
        self._run_reader.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        self.take_events(message)

    def take_events(self, message: EngineEvents) -> None:
        """Read again what changed. Textual calls the handlers of every class, so that a screen derived from this one
        overrides this in place of the handler."""
        for event in message.events:
            if isinstance(event, WorkflowChanged) and event.name == self._workflow:
                self._workflow_reader.want()
            elif isinstance(event, RunChanged | StepChanged) and self._shows(event):
                self._run_reader.want()

    def _shows(self, event: RunChanged | StepChanged) -> bool:
        if self._wanted_run:
            return event.run_id.endswith(self._wanted_run)
        return event.workflow == self._workflow

    async def _read_workflow(self) -> WorkflowDetail:
        return await read_workflow(self.engine, self._workflow, self._wanted_run)

    async def _read_run(self) -> RunRead:
        return await read_run(self.engine, self._workflow, self._wanted_run, self.trail)

    def on_workflow_read(self, message: WorkflowRead) -> None:
        """Draw the graph again if it changed."""
        before = self.detail
        self.detail = message.detail
        if not self._wanted_run:
            self.rondo.known.note(message.detail)
        graph = graph_of(message.detail)
        if graph != self.graph or before is None:
            self.graph = graph
            if self.near not in graph.nodes:
                self.near = ""
            self.draw()
        self._show_run_on_graph()
        self._show_about()
        self.refresh_footer()

    def on_run_read(self, message: RunRead) -> None:
        """Show how the nodes stand."""
        run = message.run
        self.run_shown = run
        if run is None:
            self.trail = None
        else:
            trail = self.trail
            if trail is None or (trail.run_id, trail.line) != (run.run_id, run.line):
                self.trail = trail = RunTrail(run.run_id, run.line)
            if message.after <= trail.seq:
                trail.add(message.steps)
        self.header.status = self._run_spans()
        self._show_run_on_graph()
        self._show_about()
        self._go_where_the_run_is()

    # Showing -----------------------------------------------------------------------------------------------------

    def _show_run_on_graph(self) -> None:
        trail, run = self.trail, self.run_shown
        if trail is None or run is None:
            self.view_of_graph.set_run({}, (), in_run=False)
        else:
            taken = taken_edges(self.view_of_graph.edges, trail)
            self.view_of_graph.set_run(trail.states(run), taken, in_run=True)

    def _run_spans(self) -> tuple[tuple[str, str], ...]:
        run = self.run_shown
        if run is None:
            return ()
        look = look_of(run.status)
        name = f"  run {run.short_id}" if self.size.width >= WIDE else ""
        return ((look.text, look.ink), (f"  step {run.step}{name}", "dim"))

    def _show_about(self) -> None:
        """Fill the pane: the selected node, or what is wrong where there is no graph."""
        detail = self.detail
        if detail is None:
            return
        node = next((node for node in detail.nodes if node.id == self.view_of_graph.selected), None)
        trail, run = self.trail, self.run_shown
        if self.has_class("-no-graph"):
            self.pane.show("", lambda width: broken_lines(detail, width))
        elif node is not None:
            self.pane.show(node.id, lambda width: node_lines(detail, node, trail, run, width))
        self._show_titles()

    def _show_titles(self) -> None:
        detail = self.detail
        errors = [finding for finding in detail.findings if finding.severity == "error"] if detail else []
        details: list[tuple[str, str]] = []
        if self.near and self.graph is not None and self.view_of_graph.drawing is not None:
            shown = len(self.view_of_graph.drawing.geometry.nodes)
            details.append(
                (f"{shown} of {plural(len(self.graph.nodes), 'node')}, near {visible(self.near)}", "waiting")
            )
        elif self.graph is not None and self.graph.nodes:
            details.append((plural(len(self.graph.nodes), "node"), "dim"))
        if errors:
            details.append((f"✗ {plural(len(errors), 'error')}", "bad"))
        node = visible(self.view_of_graph.selected) if not self.has_class("-no-graph") else "findings"
        on_pane = self.pane.has_focus
        graph_title = Title("graph", 0, not on_pane, details=tuple(details))
        node_title = Title(node, self._split_at + 1 if self._split_at else 0, on_pane)
        top = self._top_rule
        beside = self._split_at > 0
        top.titles = (
            (graph_title, node_title) if beside else (node_title if self.has_class("-no-graph") else graph_title,)
        )
        top.joints = ((self._split_at, "┬"),) if beside else ()
        self._pane_rule.titles = (Title(node, 0, on_pane, details=tuple(details[-1:] if errors or self.near else ())),)

    @property
    def _split_at(self) -> int:
        """The column of the line between graph and pane; 0 where they don't stand side by side."""
        hidden = any(self.has_class(name) for name in ("-narrow", "-graph-only", "-pane-only", "-no-graph"))
        return 0 if hidden else self._bar.region.x

    def on_resize(self) -> None:
        self.header.status = self._run_spans()
        self.call_after_refresh(self._show_titles)

    def on_descendant_focus(self) -> None:
        """The title of the pane with the focus stands out."""
        self._show_titles()

    def on_graph_view_selected(self, event: GraphView.Selected) -> None:
        """Another node, or a new drawing."""
        self._show_run_on_graph()
        self._show_about()
        self._go_where_the_run_is()
        self.refresh_footer()

    def _go_where_the_run_is(self) -> None:
        """Once, when the screen opens: select the node that runs, waits or failed."""
        if self._opened or self.view_of_graph.drawing is None or self.trail is None or self.run_shown is None:
            return
        self._opened = True
        states = self.trail.states(self.run_shown)
        here = [node for node, state in states.items() if state.status != "completed"]
        if here and self.run_shown.status != "completed":
            self.view_of_graph.select(here[0])

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
        alone = self.has_class("-graph-only") or self.has_class("-pane-only")
        on_pane = self.pane.has_focus
        self.remove_class("-graph-only", "-pane-only")
        if not alone:
            self.add_class("-pane-only" if on_pane else "-graph-only")
        self.call_after_refresh(self._show_titles)
        return True

    def code_place(self) -> tuple[str, int]:
        detail = self.detail
        if detail is None:
            return ("", 0)
        line = self.pane.line
        node = next((node for node in detail.nodes if node.id == self.view_of_graph.selected), None)
        file, number = line.place if line is not None and line.place[0] else (node.file, node.line) if node else ("", 0)
        return (f"{detail.folder}/{file}", number) if file else (detail.code_path, 0)

    def code_folder(self) -> str:
        return self.detail.folder if self.detail is not None else ""

    def copied_text(self) -> str:
        if self.pane.has_focus:
            return self.pane.line_text
        return self.view_of_graph.text
