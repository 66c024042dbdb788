"""Screen 3: all runs, the newest first, with filters, marks and commands for many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget

from core.link.event_types import EngineChanged, PruneChanged, RequestChanged, RunChanged
from core.link.types import RunFilter, RunRow
from tui.actions import action
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.reader import Reader
from tui.run_filter import HINT, BadFilter, complete_filter, is_narrow, parse_filter
from tui.screens.code import OpensCode
from tui.screens.runs_many import ManyRunsActions, needs_runs
from tui.text import home_path, plural
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.run_table import RunHead, RunTable, Where

PAGE = 120
ROWS_AT_ONCE = 500
"""Runs that one call reads again."""

Kind = Literal["all", "older", "newer", "last", "changed"]


class RowsRead(Message, bubble=False):
    """Rows of the list. `query` is what was asked for: rows of an older filter are of no use."""

    def __init__(self, kind: Kind, query: RunFilter, rows: list[RunRow], asked: list[str]) -> None:
        super().__init__()
        self.kind = kind
        self.query = query
        self.rows = rows
        self.asked = asked


class FilterWords(Suggester):
    """What the word that is being typed could become."""

    def __init__(self, screen: RunsScreen) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._screen = screen

    async def get_suggestion(self, value: str) -> str | None:
        return complete_filter(value, self._screen.known_workflows())


class RunsScreen(OpensCode, ManyRunsActions):
    """All runs of the workspace."""

    view = "runs"

    DEFAULT_CSS = """
    RunsScreen #runs { height: 1fr; min-height: 4; }
    RunsScreen .empty { padding: 1 2; height: 1fr; }
    """

    def __init__(self, workflow: str = "") -> None:
        super().__init__()
        self._workflow = workflow
        """The workflow whose runs were asked for, "" for all."""
        self.filter_line = FilterLine(HINT, id="filter", suggester=FilterWords(self))
        self.table = RunTable(lambda: self.rondo.now())
        self._head = RunHead()
        self._empty = Paragraph("Connecting to the engine…", "dim", classes="empty")
        self._query = RunFilter(workflow=workflow or None)
        self._problem = ""
        """Why the text of the filter means nothing."""
        self._changed: dict[str, None] = {}
        """Runs that are to be read again, in the order in which they changed."""
        self._whole: Reader[RowsRead] | None = None
        self._rows: Reader[RowsRead] | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield self.filter_line
        yield self._head
        yield self.table
        yield self._empty
        self.table.display = False

    def on_compose(self) -> None:
        # This comes before the base class asks for everything.
        self._whole = Reader(self, "the runs", self._read_first, lambda message: message, period=0.2)
        self._rows = Reader(self, "the runs", self._read_changed, lambda message: message, period=0.1)

    def on_mount(self) -> None:
        if self._workflow:
            self.filter_line.open_with(f"workflow:{self._workflow}")
        self.table.focus()
        self._show_emptiness()
        self.set_interval(1.0, self.table.redraw_running)
        self.set_interval(20.0, self.table.refresh)

    # What is shown and selected ----------------------------------------------------------------------------------

    def crumbs(self) -> tuple[str, ...]:
        return (home_path(str(self.rondo.workspace.root)), "runs")

    @property
    def place(self) -> Place:
        return Place("runs", self._workflow)

    @property
    def workflow_name(self) -> str:
        return self.table.selected.workflow if self.table.selected is not None else ""

    @property
    def run_id(self) -> str:
        return self.table.selected.run_id if self.table.selected is not None else ""

    @property
    def failed_run(self) -> str:
        selected = self.table.selected
        return selected.run_id if selected is not None and selected.status == "failed" else ""

    def copied_text(self) -> str:
        """The ids of the marked runs, else of the one under the cursor."""
        return "\n".join(row.run_id for row in self.meant())

    def known_workflows(self) -> list[str]:
        """The workflows that a filter may name: those of the list, and those that were seen on the first screen."""
        names = {row.workflow for row in self.table.window.rows}
        return sorted(names.union(self.rondo.command_words.get("workflow", ())))

    # Reading -----------------------------------------------------------------------------------------------------

    def read_all(self) -> None:
        if self._whole is None or self._rows is None:
            return
        if not len(self.table.window):
            self._whole.want()
            return
        # What is loaded is read again, and what came before it.
        self._changed.update((row.run_id, None) for row in self.table.window.rows)
        self._rows.want()
        if self.table.window.at_start:
            self._want_beyond("newer")

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read the rows again that changed; one that is not loaded may belong into the list now."""
        for event in message.events:
            if isinstance(event, RunChanged | RequestChanged):
                self._changed[event.run_id] = None
            elif isinstance(event, PruneChanged):
                self._changed.update((row.run_id, None) for row in self.table.window.rows)
            elif isinstance(event, EngineChanged):
                self._show_emptiness()
        if self._changed and self._rows is not None:
            self._rows.want()

    async def _read_first(self) -> RowsRead:
        query = self._query
        return RowsRead("all", query, await self.engine.list_runs(replace(query, limit=PAGE)), [])

    async def _read_changed(self) -> RowsRead:
        """Read what changed, a call's worth at a time."""
        query, asked = self._query, list(self._changed)[:ROWS_AT_ONCE]
        for run_id in asked:
            del self._changed[run_id]
        if not asked:
            return RowsRead("changed", query, [], [])
        try:
            rows = await self.engine.list_runs(replace(query, ids=asked, limit=ROWS_AT_ONCE))
        except BaseException:
            self._changed.update(dict.fromkeys(asked))
            raise
        return RowsRead("changed", query, rows, asked)

    def on_run_table_wanted(self, event: RunTable.Wanted) -> None:
        """The list comes near the edge of its window."""
        self._want_beyond(event.where)

    def _want_beyond(self, where: Where) -> None:
        window, query = self.table.window, self._query
        if where == "first":
            if self._whole is not None:
                self._whole.want()
            return
        wanted = {
            "older": replace(query, below=window.oldest, limit=PAGE),
            "newer": replace(query, above=window.newest, limit=PAGE),
            "last": replace(query, above=0, limit=PAGE),
        }[where]
        kind: Kind = where

        async def call() -> Message:
            return RowsRead(kind, query, await self.engine.list_runs(wanted), [])

        self.ask(call, lambda message: message, group=f"runs {where}", doing="reading the runs")

    def on_rows_read(self, message: RowsRead) -> None:
        table, rows = self.table, message.rows
        if message.query is not self._query:
            return
        more = len(rows) >= PAGE
        match message.kind:
            case "all":
                table.show_stretch(rows, at_start=True, at_end=not more)
            case "last":
                # The oldest ones, unless there are more before the first of them than a page.
                table.show_stretch(rows, at_start=not more, at_end=True, last=True)
            case "older":
                table.show_older(rows, at_end=not more)
            case "newer":
                table.show_newer(rows, at_start=not more)
            case "changed":
                table.update_rows(message.asked, rows)
                if self._changed and self._rows is not None:
                    self._rows.want()
        self.rondo.command_words["run"] = tuple(row.short_id for row in table.window.rows[:PAGE])
        self._show_count()
        self._show_emptiness()
        self.refresh_footer()

    # Showing -----------------------------------------------------------------------------------------------------

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self.refresh_footer()

    def _show_count(self) -> None:
        window = self.table.window
        if self._problem:
            self.filter_line.show_count(self._problem, "bad")
            return
        more = "" if window.at_start and window.at_end else " shown, more beyond"
        self.filter_line.show_count(f"{plural(len(window), 'run')}{more}")
        self.show_marks()

    def show_marks(self) -> None:
        """Say in the header how many runs are marked."""
        count = len(self.table.marked)
        self.header.status = ((f"* {count} marked", "accent"),) if count else ()
        self.refresh_footer()

    def _show_emptiness(self) -> None:
        table, empty = self.table, self._empty
        empty.display = not len(table.window)
        table.display = self._head.display = not empty.display
        if not table.loaded:
            lost = self.rondo.headline.connection == "lost"
            empty.text = "The engine is lost; reconnecting…" if lost else "Connecting to the engine…"
        elif is_narrow(self._query):
            empty.text = "No run matches. Esc shows all runs again."
        else:
            empty.text = (
                "No runs yet.\n\nr on a workflow starts one: 1 goes to the workflows, or :run NAME from anywhere."
                "\nRuns stay here until they are removed with d."
            )
        if self.focused is None and not empty.display:
            self.set_focus(table)

    # The filter --------------------------------------------------------------------------------------------------

    @action(
        "runs.filter",
        "filter",
        keys="slash",
        help="Keep some: words, status:failed, workflow:name, after:1d, before:2026-01-31; → takes what is offered",
        footer=2,
    )
    def filter(self) -> None:
        self.filter_line.open()
        self._show_count()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        """Read the runs that the text means; what is no filter yet changes nothing."""
        try:
            query = parse_filter(event.text, self.rondo.now())
        except BadFilter as problem:
            self._problem = str(problem)
            self._show_count()
            return
        self._problem = ""
        self._show_count()
        if query != self._query:
            self._query = query
            if self._whole is not None:
                self._whole.want()

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.set_focus(self.table)

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.table.clear_marks():
            self.show_marks()
            return True
        if self.filter_line.display:
            self.filter_line.close()
            self.set_focus(self.table)
            return True
        return False

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        self.rondo.go_run(self.run_id)

    @action("runs.open", "open", keys="o", words="open", help="To the run, as Enter", footer=9, when=needs_runs)
    def open_selected(self) -> None:
        self.rondo.go_run(self.run_id)
