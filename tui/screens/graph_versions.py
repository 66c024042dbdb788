"""The graph screen with the difference of two versions on it: + ~ - at nodes and edges."""

from __future__ import annotations

from textual.message import Message

from core.link.event_types import WorkflowChanged
from core.link.workflow_types import WorkflowDetail
from tui.diff_text import SHORT_HASH
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.proposal_graph import MarkedGraph
from tui.reader import Reader
from tui.screens.graph_base import SIGNS_EXPLAINED, GraphBase
from tui.text import visible
from tui.version_graph import marked_versions, version_node_lines
from tui.widgets.rule import Title

NOW = "now"


class BothRead(Message, bubble=False):
    """The two versions that are compared."""

    def __init__(self, before: WorkflowDetail, after: WorkflowDetail) -> None:
        super().__init__()
        self.before = before
        self.after = after


class VersionsGraphScreen(GraphBase):
    """What leads from one version to another, drawn. Each is a hash, or `now` for the folder as it is."""

    def __init__(self, workflow: str, before: str, after: str) -> None:
        super().__init__(workflow)
        self._versions = (before, after)
        self._both: BothRead | None = None
        self._marked: MarkedGraph | None = None
        self._reader = Reader(self, "the versions", self._read, lambda message: message, period=0.2)

    @property
    def place(self) -> Place:
        return Place("graph", self._workflow, versions="..".join(self._versions))

    def crumbs(self) -> tuple[str, ...]:
        before, after = (version[:SHORT_HASH] for version in self._versions)
        return ("workflows", visible(self._workflow), "versions", f"{before} → {after}")

    def read_all(self) -> None:
        self._reader.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Only the folder as it is can change."""
        for event in message.events:
            if isinstance(event, WorkflowChanged) and event.name == self._workflow and NOW in self._versions:
                self._reader.want()

    async def _read(self) -> BothRead:
        before, after = (None if version == NOW else version for version in self._versions)
        return BothRead(
            await self.engine.get_workflow(self._workflow, before),
            await self.engine.get_workflow(self._workflow, after),
        )

    def on_both_read(self, message: BothRead) -> None:
        """Draw them as one."""
        self._both = message
        self._marked = marked = marked_versions(message.before, message.after)
        self.graph = marked.graph
        self.view_of_graph.set_marks(marked.nodes, marked.edges)
        self.draw()
        self.show_about()

    def show_about(self) -> None:
        both, marked, node = self._both, self._marked, self.view_of_graph.selected
        if both is not None and marked is not None and node in marked.graph.nodes:
            self.pane.show(node, lambda width: version_node_lines(both.before, both.after, marked, node))
        self.show_titles()

    def graph_title(self) -> Title:
        marked = self._marked
        if marked is None:
            return Title("what changed")
        count = len(marked.nodes) + len(marked.edges)
        words = "the graph is the same" if not count else f"{len(marked.nodes)} nodes, {len(marked.edges)} edges"
        return Title("what changed", details=((words, "dim"), *SIGNS_EXPLAINED))

    def pane_title(self) -> Title:
        return Title(visible(self.view_of_graph.selected), details=SIGNS_EXPLAINED)
