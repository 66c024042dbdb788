"""Screen 7: the apps that workflows can act on, their accounts, and what each can do."""

from __future__ import annotations

from collections.abc import Iterable

from textual.message import Message
from textual.widget import Widget

from core.link.event_types import EngineChanged, ToolsChanged, WorkflowChanged
from core.link.tool_api import whole_tool
from core.link.tool_types import ConnectionView, ToolDetail, ToolList, ToolRow
from tui.actions import action
from tui.messages import EngineEvents, EngineFailed
from tui.reader import Reader
from tui.screens.tools_acting import ToolActions, needs_app
from tui.text import home_path, number, plural, visible
from tui.tool_rows import joined, tool_key
from tui.tool_text import kept_words
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.rule import PaneRule, Title
from tui.widgets.tool_pane import ToolPane
from tui.widgets.tool_table import ToolHead, ToolTable

FILTER_HINT = "words of an app, its kind, provider or workflow"
ACTION_HINT = "words of an action"
WORTH_SAYING = 3600.0
"""Age from which on it is said of the list; providers are asked for it every few hours only, so less is no news."""
NO_APPS = (
    "No apps yet.\n\nWith a key of Composio all its apps are here. In a terminal:  rondo secrets set COMPOSIO_API_KEY"
    "\nMCP servers come from mcp.json in the workspace or in your settings folder."
    "\nA looks again."
)


class ToolsRead(Message, bubble=False):
    """A page of the list, from the `offset`-th app on; `turn` counts the readings of the whole list."""

    def __init__(self, turn: int, offset: int, listing: ToolList) -> None:
        super().__init__()
        self.turn = turn
        self.offset = offset
        self.listing = listing


class ToolRead(Message, bubble=False):
    """All that is known of an app."""

    def __init__(self, key: tuple[str, str], detail: ToolDetail) -> None:
        super().__init__()
        self.key = key
        self.detail = detail


class ToolsScreen(ToolActions):
    """All apps, and the one under the cursor."""

    view = "tools"

    DEFAULT_CSS = """
    ToolsScreen #tools { height: 1fr; min-height: 3; }
    ToolsScreen #tool-pane { height: 1fr; min-height: 3; }
    ToolsScreen #notes { max-height: 4; }
    ToolsScreen .empty { padding: 1 2; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.filter_line = FilterLine(FILTER_HINT, id="filter")
        self.action_line = FilterLine(ACTION_HINT, id="action-filter")
        self.table = ToolTable(lambda: self.rondo.now())
        self.pane = ToolPane(lambda: self.rondo.now())
        self._head = ToolHead()
        self._notes = Paragraph("", "waiting", id="notes")
        self._rule = PaneRule()
        self._empty = Paragraph("Connecting to the engine…", "dim", classes="empty")
        self._reader: Reader[ToolsRead] | None = None
        self._turn = 0
        self._anew = False
        """True where the providers are to be asked, whatever is kept."""
        self._more_at = 0
        """Where the next page begins that was not read yet, 0 where there is none."""
        self._coming: list[ToolRow] = []
        self._details: dict[tuple[str, str], ToolDetail] = {}
        self._opened: tuple[str, str] | None = None
        """The app whose details were asked for."""
        self._zoomed = False

    def compose_body(self) -> Iterable[Widget]:
        yield self.filter_line
        yield self._notes
        yield self._head
        yield self.table
        yield self._empty
        yield self._rule
        yield self.action_line
        yield self.pane
        for part in (self._head, self.table, self._rule, self.pane, self._notes):
            part.display = False

    def on_compose(self) -> None:
        # This comes before the base class asks for everything.
        self._reader = Reader(self, "the tools", self._read, lambda message: message, period=0.3)

    def on_mount(self) -> None:
        self.table.focus()
        self._show()
        self.set_interval(20.0, self.table.refresh)

    # What is shown and selected ----------------------------------------------------------------------------------

    def crumbs(self) -> tuple[str, ...]:
        return (home_path(str(self.rondo.workspace.root)), "tools")

    @property
    def selected(self) -> ToolRow | None:
        return self.table.selected

    @property
    def detail(self) -> ToolDetail | None:
        """All that is known of the selected app, once it was asked for."""
        selected = self.table.selected
        return self._details.get(tool_key(selected)) if selected is not None else None

    @property
    def account(self) -> ConnectionView | None:
        return self.pane.account if self.pane.has_focus else None

    def copied_text(self) -> str:
        """The command that does what the cursor stands on."""
        row = self.selected
        if row is None:
            return ""
        if self.pane.has_focus and self.pane.action is not None:
            return f"rondo tools call {row.name} {self.pane.action.name} '{{}}'"
        if self.pane.has_focus and self.pane.account is not None:
            return self.pane.account.id
        return row.name

    def panes(self) -> list[Widget]:
        return [pane for pane in (self.table, self.pane) if pane.display]

    def zoom_panes(self) -> bool:
        self._zoomed = not self._zoomed
        self._show()
        return True

    # Reading -----------------------------------------------------------------------------------------------------

    def read_all(self) -> None:
        if self._reader is not None:
            self._turn += 1
            self._more_at = 0
            # What stands in the pane stays until it is read again, and the cursor on its line.
            self._details = {key: detail for key, detail in self._details.items() if key == self._opened}
            self._reader.want()
            self._want_detail()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read again where an account or a workflow's tools changed."""
        for event in message.events:
            if isinstance(event, ToolsChanged | WorkflowChanged):
                self.read_all()
                break
        if any(isinstance(event, EngineChanged) for event in message.events):
            self._show()

    async def _read(self) -> ToolsRead:
        turn, offset, anew = self._turn, self._more_at, self._anew
        self._anew = False
        return ToolsRead(turn, offset, await self.engine.list_tools("", False, anew, offset))

    def on_tools_read(self, message: ToolsRead) -> None:
        """Show a page; the list as it was stays until the new one is as long."""
        if message.turn != self._turn or message.offset != self._more_at:
            return
        listing = message.listing
        self._coming = joined(self._coming if message.offset else (), listing.tools)
        self._more_at = message.offset + len(listing.tools) if listing.left_out and listing.tools else 0
        rows = self._coming if not self._more_at else joined(self._coming, self.table.rows)
        self.table.set_rows(rows)
        self.rondo.command_words["tool"] = tuple(row.name for row in rows)
        notes = list(listing.notes)
        if listing.age >= WORTH_SAYING:
            words = kept_words(listing.age)
            notes.append(f"The list is {words}; A asks anew.")
        self._notes.text = "\n".join(f"! {visible(note)}" for note in notes)
        if self._more_at and self._reader is not None:
            self._reader.want()
        self._show()

    def _want_detail(self) -> None:
        """Ask for all of the app that is open."""
        key = self._opened
        if key is None:
            return
        provider, name = key

        async def call() -> Message:
            return ToolRead(key, await whole_tool(self.engine, name, provider))

        self.ask(call, lambda message: message, group="tool", doing=f"reading {name}")

    def on_tool_read(self, message: ToolRead) -> None:
        first = message.key not in self._details
        self._details[message.key] = message.detail
        self._show_selected()
        if first and message.key == self._opened and self.pane.has_focus and not self.pane.cursor:
            self.pane.go_to_actions()

    def on_engine_failed(self, message: EngineFailed) -> None:
        """Where it can't be read what an app can do, nothing waits for it any more."""
        super().on_engine_failed(message)
        if message.doing.startswith("reading "):
            self._opened = None if self.detail is None else self._opened
            self._show_selected()

    # Showing -----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Bring everything in line with the list and its cursor."""
        table, empty = self.table, self._empty
        empty.display = not table.shown
        alone = self._zoomed and not empty.display
        table.display = self._head.display = not empty.display and not (alone and self.pane.has_focus)
        self._rule.display = self.pane.display = not empty.display and not (alone and not self.pane.has_focus)
        self._notes.display = bool(self._notes.text) and not alone
        if not table.loaded:
            lost = self.rondo.headline.connection == "lost"
            empty.text = "The engine is lost; reconnecting…" if lost else "Asking for the apps…"
        elif not table.rows:
            empty.text = NO_APPS
        elif table.mine and not self.filter_line.text:
            empty.text = "No app has an account, and no workflow uses one. m shows all apps again."
        else:
            empty.text = "No app fits. Esc shows all of them again."
        if self.focused is None and not empty.display:
            self.set_focus(table)
        self._show_count()
        self._show_selected()

    def _show_count(self) -> None:
        table = self.table
        more = ", more are being read" if self._more_at else ""
        if len(table.shown) < len(table.rows):
            self.filter_line.show_count(f"{number(len(table.shown))} of {plural(len(table.rows), 'app')}{more}")
        else:
            self.filter_line.show_count(f"{plural(len(table.rows), 'app')}{more}")
        self.header.status = (("only mine", "accent"),) if table.mine else ()

    def _show_selected(self) -> None:
        row, detail = self.selected, self.detail
        reading = row is not None and self._opened == tool_key(row)
        self.pane.show(row, detail, reading=reading)
        self._show_rule()
        self.refresh_footer()

    def _show_rule(self) -> None:
        row, detail = self.selected, self.detail
        if row is None:
            self._rule.titles = ()
            return
        end = kept_words(detail.age) if detail is not None else ""
        count = len(detail.actions) if detail is not None else row.actions or 0
        details = ((plural(count, "action"), "dim"),) if count else ()
        name = visible(row.title or row.name)
        self._rule.titles = (Title(name, active=self.pane.has_focus, details=details, end=end),)

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another app is selected: what was asked for of the last one stays with that."""
        if event.lines is self.table:
            row = self.selected
            if row is None or self._opened != tool_key(row):
                self._opened = None
                self.action_line.close()
            self._show_selected()
        else:
            self.refresh_footer()

    def on_descendant_focus(self) -> None:
        """Who goes to the pane wants to know what the app can do."""
        if self.pane.has_focus:
            self._open_selected()
        if self._zoomed:
            self._show()
        self._show_rule()
        self.refresh_footer()

    def _open_selected(self) -> None:
        row = self.selected
        if row is None or (self._opened == tool_key(row) and self.detail is not None):
            return
        self._opened = tool_key(row)
        self._want_detail()
        self._show_selected()

    # Filters -----------------------------------------------------------------------------------------------------

    @action(
        "tools.filter",
        "filter",
        keys="slash",
        help="Keep the apps in which all words occur; among the actions of an app: those",
        footer=4,
    )
    def filter(self) -> None:
        line = self.action_line if self.pane.has_focus else self.filter_line
        line.open()
        self._show_count()

    @action("tools.mine", "only mine", keys="m", help="Only apps with an account or a workflow, or all", footer=6)
    def toggle_mine(self) -> None:
        self.table.set_filter(self.filter_line.text, mine=not self.table.mine)
        self._show()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        if event.line is self.action_line:
            self.pane.set_words(event.text)
        else:
            self.table.set_filter(event.text, mine=self.table.mine)
            self._show()

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.set_focus(self.pane if event.line is self.action_line else self.table)

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.action_line.display:
            self.action_line.close()
            return True
        if self.pane.has_focus:
            self.set_focus(self.table)
            return True
        if self.filter_line.display:
            self.filter_line.close()
            return True
        return False

    # Actions -----------------------------------------------------------------------------------------------------

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        if event.lines is self.pane:
            self.choose_in_pane()
        else:
            self.open_app()

    def choose_in_pane(self) -> None:
        """Enter on an action tries it."""
        if self.pane.action is not None:
            self.try_action()

    @action("tools.open", "open", keys="o", words="tool-details", help="What the app can do, as Enter", when=needs_app)
    def open_app(self) -> None:
        self.set_focus(self.pane)

    @action("tools.refresh", "ask anew", keys="A", words="refresh tools", help="Ask the providers anew", footer=7)
    def refresh_tools(self) -> None:
        self._anew = True
        self.read_all()
        self.say("Asking the providers…")
