"""Screen 1: the workflows of this workspace, how their last run went and what lint finds in them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.message import Message
from textual.widget import Widget

from core.errors import UnknownWorkflow
from core.link.event_types import EngineChanged, RunChanged, WorkflowChanged
from core.link.types import RunFilter, RunRow
from core.link.workflow_types import ApprovalView, WorkflowDetail, WorkflowRow
from tui.actions import action
from tui.messages import EngineEvents
from tui.reader import Reader
from tui.screens.base import needs_workflow
from tui.screens.workflows_shelf import WorkflowsShelf
from tui.screens.workflows_tools import ReadsTools
from tui.text import home_path, plural, visible
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.rule import PaneRule, Title
from tui.widgets.workflow_table import WorkflowHead, WorkflowPane, WorkflowTable

HISTORY_LENGTH = 20


class WorkflowsRead(Message, bubble=False):
    """The list of workflows."""

    def __init__(self, rows: list[WorkflowRow]) -> None:
        super().__init__()
        self.rows = rows


class WorkflowGone(Message, bubble=False):
    """The workflow that was selected is not there any more."""


class WorkflowRead(Message, bubble=False):
    """One workflow with its last runs, and what approving it would mean where it may not run."""

    def __init__(self, detail: WorkflowDetail, runs: list[RunRow], approval: ApprovalView | None) -> None:
        super().__init__()
        self.detail = detail
        self.runs = runs
        self.approval = approval


class WorkflowsScreen(WorkflowsShelf, ReadsTools):
    """The first screen."""

    view = "workflows"

    DEFAULT_CSS = """
    WorkflowsScreen #workflows { height: 1fr; min-height: 4; }
    WorkflowsScreen #workflow-pane { height: auto; max-height: 45%; }
    WorkflowsScreen .empty { padding: 1 2; height: 1fr; }
    WorkflowsScreen.-zoomed #workflow-pane { height: 1fr; max-height: 100%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.filter_line = FilterLine("part of a name, or !part to leave out", id="filter")
        self.table = WorkflowTable(self._now)
        self._head = WorkflowHead(self.table)
        self._rule = PaneRule()
        self.pane = WorkflowPane(self._now)
        self._empty = Paragraph("Connecting to the engine…", "dim", classes="empty")
        self._list_reader: Reader[list[WorkflowRow]] | None = None
        self._detail_reader: Reader[Message] | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield self.filter_line
        yield self._head
        yield self.table
        yield self._empty
        # Nothing is there yet; widgets that come and go before the first paint would be painted for nothing.
        self.table.display = self._rule.display = self.pane.display = False
        yield self._rule
        yield self.pane

    def _now(self) -> float:
        return self.rondo.now()

    def on_mount(self) -> None:
        self._list_reader = Reader(
            self, "the workflows", lambda: self.engine.list_workflows(), WorkflowsRead, period=0.2
        )
        self._detail_reader = Reader(self, "the workflow", self._read_detail, lambda message: message)
        self.table.focus()
        self._show_emptiness()
        self.set_interval(1.0, self.table.redraw_running)
        self.set_interval(20.0, self.table.refresh)

    def crumbs(self) -> tuple[str, ...]:
        return (home_path(str(self.rondo.workspace.root)), "workflows")

    @property
    def workflow_name(self) -> str:
        selected = self.table.selected
        return selected.name if selected is not None else ""

    @property
    def known_names(self) -> list[str]:
        return [row.name for row in self.table.rows]

    @property
    def run_id(self) -> str:
        selected = self.table.selected
        return selected.last_run.run_id if selected is not None and selected.last_run is not None else ""

    @property
    def failed_run(self) -> str:
        selected = self.table.selected
        last = selected.last_run if selected is not None else None
        return last.run_id if last is not None and last.status == "failed" else ""

    # What the engine says ----------------------------------------------------------------------------------------

    def read_all(self) -> None:
        self._want_list()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read the list again where a workflow or a run changed."""
        for event in message.events:
            if isinstance(event, WorkflowChanged):
                self.forget_tools(event.name)
            if isinstance(event, WorkflowChanged | RunChanged):
                self._want_list()
        if any(isinstance(event, EngineChanged) for event in message.events):
            self._show_emptiness()

    def _want_list(self) -> None:
        if self._list_reader is not None:
            self._list_reader.want()

    def on_workflows_read(self, message: WorkflowsRead) -> None:
        self.table.set_rows(message.rows, self.selected_next)
        if self.table.selected is not None and self.table.selected.name == self.selected_next:
            self.selected_next = ""
        self.rondo.command_words["workflow"] = tuple(row.name for row in message.rows)
        runs = [row.last_run.short_id for row in message.rows if row.last_run is not None]
        self.rondo.command_words["run"] = tuple(runs)
        self._head.refresh()
        self._show_count()
        self._show_emptiness()
        self.want_tools(message.rows, self.workflow_name)
        self.refresh_footer()

    def show_tools(self) -> None:
        self.table.set_tools(self.tools)
        self.pane.set_tools(self.tools.get(self.workflow_name, ()))

    async def _read_detail(self) -> Message:
        name = self.workflow_name
        try:
            detail = await self.engine.get_workflow(name)
            runs = await self.engine.list_runs(RunFilter(workflow=name, limit=HISTORY_LENGTH))
            approval = None
            if not detail.approved and detail.version is not None:
                approval = await self.engine.approval(name)
        except UnknownWorkflow:
            # It went while it was asked about; the list says so, and nobody else need.
            return WorkflowGone()
        return WorkflowRead(detail, runs, approval)

    def on_workflow_gone(self) -> None:
        """The list may not know it yet."""
        self._want_list()

    def on_workflow_read(self, message: WorkflowRead) -> None:
        self.rondo.known.note(message.detail, message.runs)
        if message.detail.name == self.workflow_name:
            self.pane.show(message.detail, message.runs, message.approval)
            self.pane.set_tools(self.tools.get(message.detail.name, ()))

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another workflow is selected: show what there is to know of it."""
        if event.lines is not self.table:
            return
        name = self.workflow_name
        self._rule.titles = (Title(visible(name), active=self.pane.has_focus),) if name else ()
        if not name:
            self.pane.show(None, [], None)
        elif self._detail_reader is not None:
            self._detail_reader.want()
        self.refresh_footer()

    def on_descendant_focus(self) -> None:
        """The title of the pane with the focus stands out."""
        name = self.workflow_name
        self._rule.titles = (Title(visible(name), active=self.pane.has_focus),) if name else ()

    def _show_emptiness(self) -> None:
        table = self.table
        empty = self._empty
        empty.display = not table.shown
        self._show_parts()
        if not table.loaded:
            connection = self.rondo.headline.connection
            empty.text = "Connecting to the engine…" if connection != "lost" else "The engine is lost; reconnecting…"
        elif not table.rows:
            folder = home_path(str(self.rondo.workspace.workflows_dir))
            empty.text = (
                f"No workflows yet.\n\nA folder with a graph and its nodes in {folder} appears here by itself."
                f"\nn makes one, by describing it in chat or from a template."
                f"\nf3 leads to a first run, step by step; no key of a model is needed."
            )
        else:
            empty.text = "Nothing matches. Esc shows all workflows again."
        if empty.display and self.focused is None:
            self.set_focus(table)

    # The filter --------------------------------------------------------------------------------------------------

    @action(
        "list.filter", "filter", keys="slash", help="Keep workflows whose name matches; !text leaves out", footer=50
    )
    def filter(self) -> None:
        self.filter_line.open()
        self._show_count()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        self.table.set_filter(event.text)
        self._show_count()
        self._show_emptiness()

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.set_focus(self.table)

    def _show_count(self) -> None:
        shown, total = len(self.table.shown), len(self.table.rows)
        self.filter_line.show_count(f"{shown} of {plural(total, 'workflow')}")

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.filter_line.display:
            self.filter_line.close()
            self.set_focus(self.table)
            return True
        return False

    # Actions -----------------------------------------------------------------------------------------------------

    @action("list.open", "open", keys="o", help="To its last run, else to its graph", footer=20, when=needs_workflow)
    def open_selected(self) -> None:
        if self.run_id:
            self.rondo.go_run(self.run_id)
        else:
            self.go_graph()

    @action("list.new", "new", keys="n", help="A new workflow: described in chat, or from a template", footer=45)
    def new_here(self) -> None:
        self.new_workflow()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        if event.lines is self.pane and self.pane.finding is not None:
            self.edit_code()
        else:
            self.open_selected()

    def code_place(self) -> tuple[str, int]:
        detail, finding = self.pane.detail, self.pane.finding
        if detail is None:
            return ("", 0)
        if finding is not None and finding.file:
            return (f"{detail.folder}/{finding.file}", finding.line)
        return (detail.code_path, 0)

    def code_folder(self) -> str:
        return self.pane.detail.folder if self.pane.detail is not None else ""

    def copied_text(self) -> str:
        finding = self.pane.finding
        if finding is None:
            return self.workflow_name
        return f"{finding.file}:{finding.line} {finding.code} {finding.message}"

    def zoom_panes(self) -> bool:
        focused_pane = self.pane.has_focus
        zoomed = self.has_class("-zoomed") or self.has_class("-table")
        self.remove_class("-zoomed", "-table")
        if not zoomed:
            self.add_class("-zoomed" if focused_pane else "-table")
        self._show_parts()
        return True

    def _show_parts(self) -> None:
        """Show the table, the pane or both, as the zoom says; neither of them where there is nothing to list."""
        listed, zoomed, alone = bool(self.table.shown), self.has_class("-zoomed"), self.has_class("-table")
        self._head.display = not (listed and zoomed)
        self.table.display = listed and not zoomed
        self.pane.display = self._rule.display = listed and not alone
