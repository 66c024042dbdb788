"""Screen 2: the graph of a workflow, with a run on it, and what there is to know of the selected node."""

from __future__ import annotations

from core.link.event_types import RunChanged, StepChanged, WorkflowChanged
from core.link.routing_types import ConditionsView
from core.link.status import look_of
from core.link.types import RunView
from core.link.workflow_types import WorkflowDetail
from tui.actions import action
from tui.edge_text import edge_lines
from tui.graph_drawing import Wanted
from tui.graph_feed import ConditionsRead, RunRead, WorkflowRead, graph_of, read_run, read_workflow
from tui.graph_run import RunTrail, taken_edges
from tui.graph_text import broken_lines, node_lines
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.reader import Reader
from tui.screens.graph_base import WIDE, GraphBase
from tui.screens.run_breaks import BreakActions, needs_node
from tui.text import plural, visible
from tui.widgets.rule import Title

KEPT_CONDITIONS = 64
"""Steps of which it is kept what their conditions saw."""

Visited = tuple[str, int, int]
"""A step, by its run, line and number."""


class GraphScreen(GraphBase, BreakActions):
    """The graph. Without `run_id` it follows the workflow's newest run."""

    view = "graph"

    def __init__(self, workflow: str, run_id: str | None = None) -> None:
        super().__init__(workflow)
        self._wanted_run = run_id or ""
        self.detail: WorkflowDetail | None = None
        self.run_shown: RunView | None = None
        self.trail: RunTrail | None = None
        self._opened = False
        self._seen: dict[Visited, ConditionsView] = {}
        self._asked: Visited | None = None
        self._workflow_reader = Reader(self, "the workflow", self._read_workflow, WorkflowRead, period=0.2)
        self._run_reader = Reader(self, "the run", self._read_run, lambda message: message)
        self._conditions_reader = Reader(self, "the conditions", self._read_conditions, ConditionsRead)

    def on_compose(self) -> None:
        """Lay the graph out while the widgets are made, where it is known already."""
        self.detail = self.rondo.known.find(self._workflow, self._wanted_run)
        if self.detail is not None and self.detail.nodes:
            self.graph = graph_of(self.detail)
            self.view_of_graph.draw(Wanted(self.graph), self.expected_room())

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

    # What the engine says ----------------------------------------------------------------------------------------

    def read_all(self) -> None:
        self._asked = None
        self._workflow_reader.want()
        self._run_reader.want()
        self.breaks.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read again what changed."""
        self.breaks.hear(message)
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

    async def _read_conditions(self) -> ConditionsView:
        assert self._asked is not None
        run_id, line, step = self._asked
        return await self.engine.read_conditions(run_id, step, line)

    def on_conditions_read(self, message: ConditionsRead) -> None:
        """Say what the conditions saw."""
        view = message.conditions
        if len(self._seen) >= KEPT_CONDITIONS:
            self._seen.clear()
        self._seen[view.run_id, view.line, view.step] = view
        self.show_about()

    def _conditions_of(self, node: str) -> ConditionsView | None:
        """What the conditions of a node's edges saw in its last visit; where that isn't known, it is read."""
        trail = self.trail
        step = trail.last.get(node) if trail is not None else None
        conditional = self.graph is not None and any(
            edge.from_id == node and edge.condition.strip() for edge in self.graph.edges
        )
        if trail is None or step is None or step.step is None or not conditional:
            return None
        wanted = (trail.run_id, trail.line, step.step)
        if wanted not in self._seen and wanted != self._asked:
            self._asked = wanted
            self._conditions_reader.want()
        return self._seen.get(wanted)

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
        self.show_about()
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
        self.show_about()
        self._go_where_the_run_is()

    # Showing -----------------------------------------------------------------------------------------------------

    @action(
        "graph.break",
        "breakpoint",
        keys="B",
        words="break",
        help="Let all runs of the workflow pause before the node, or not any more",
        when=needs_node,
    )
    def break_before_node(self) -> None:
        self.toggle_break()

    def break_node(self) -> str:
        return self.view_of_graph.selected

    def show_breaks(self, nodes: frozenset[str]) -> None:
        self.view_of_graph.set_breakpoints(nodes)

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

    def show_about(self) -> None:
        """Fill the pane: the selected node, or what is wrong where there is no graph."""
        detail = self.detail
        if detail is None:
            return
        node = next((node for node in detail.nodes if node.id == self.view_of_graph.selected), None)
        trail, run = self.trail, self.run_shown
        edge = self.view_of_graph.selected_edge
        if self.has_class("-no-graph"):
            self.pane.show("", lambda width: broken_lines(detail, width))
        elif edge is not None:
            shown = self.view_of_graph.edges[edge]
            ends = (shown.from_id, shown.to_id, shown.condition)
            same = (at for at, e in enumerate(detail.edges) if (e.from_id, e.to_id, e.condition) == ends)
            place = next(same, None)
            if place is not None:
                saw, now = self._conditions_of(shown.from_id), self.rondo.now()
                self.pane.show(f"edge {place}", lambda width: edge_lines(detail, place, trail, saw, now, width))
        elif node is not None:
            seen = self._conditions_of(node.id)
            self.pane.show(node.id, lambda width: node_lines(detail, node, trail, run, width, seen))
        self.show_titles()

    def graph_title(self) -> Title:
        return Title("graph", details=tuple(self._title_details()))

    def pane_title(self) -> Title:
        view = self.view_of_graph
        about = visible(view.selected) if not self.has_class("-no-graph") else "findings"
        if view.selected_edge is not None:
            edge = view.edges[view.selected_edge]
            about = f"{visible(edge.from_id)} → {visible(edge.to_id)}"
        return Title(about, details=tuple(self._title_details()[-1:] if self._errors or self.near else ()))

    @property
    def _errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.detail.findings) if self.detail is not None else 0

    def _title_details(self) -> list[tuple[str, str]]:
        details: list[tuple[str, str]] = []
        if self.near and self.graph is not None and self.view_of_graph.drawing is not None:
            shown = len(self.view_of_graph.drawing.geometry.nodes)
            details.append(
                (f"{shown} of {plural(len(self.graph.nodes), 'node')}, near {visible(self.near)}", "waiting")
            )
        elif self.graph is not None and self.graph.nodes:
            details.append((plural(len(self.graph.nodes), "node"), "dim"))
        if self._errors:
            details.append((f"✗ {plural(self._errors, 'error')}", "bad"))
        return details

    def on_resize(self) -> None:
        self.header.status = self._run_spans()

    def show_selected(self) -> None:
        self._show_run_on_graph()
        self.show_about()
        self._go_where_the_run_is()

    def _go_where_the_run_is(self) -> None:
        """Once, when the screen opens: select the node that runs, waits or failed."""
        if self._opened or self.view_of_graph.drawing is None or self.trail is None or self.run_shown is None:
            return
        self._opened = True
        states = self.trail.states(self.run_shown)
        here = [node for node, state in states.items() if state.status != "completed"]
        if here and self.run_shown.status != "completed":
            self.view_of_graph.select(here[0])

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
