"""The versions of a workflow: what each changed in graph and code, and the way back to one."""

from __future__ import annotations

from collections.abc import Iterable

from textual.message import Message
from textual.widget import Widget

from core.link.event_types import RunChanged, WorkflowChanged
from core.link.workflow_types import VersionDiff, VersionView
from tui.actions import action
from tui.diff_text import SHORT_HASH, difference_lines, version_spans
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.reader import Reader
from tui.screens.deeds import DeedDone, DoesDeeds
from tui.spans import Spans
from tui.text import plural, visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.rule import PaneRule, Title
from tui.widgets.text_list import TextList

PAGE = 50
NOW = "now"


class VersionsRead(Message, bubble=False):
    """A page of versions; `after` is the hash of the one before its first, "" at the top."""

    def __init__(self, rows: list[VersionView], after: str) -> None:
        super().__init__()
        self.rows = rows
        self.after = after


class DifferenceRead(Message, bubble=False):
    """What leads to, or from, the version that was selected when it was asked for."""

    def __init__(self, diff: VersionDiff, about: tuple[str, bool]) -> None:
        super().__init__()
        self.diff = diff
        self.about = about


class RollbackRead(Message, bubble=False):
    """What going back to a version would change in the folder."""

    def __init__(self, diff: VersionDiff) -> None:
        super().__init__()
        self.diff = diff


class VersionList(LineList):
    """One version a line, the last seen first."""

    def __init__(self) -> None:
        super().__init__(id="versions")
        self.rows: list[VersionView] = []
        self.now = 0.0

    @property
    def selected(self) -> VersionView | None:
        """The version under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def set_rows(self, rows: list[VersionView], now: float) -> None:
        """Show these; the cursor stays on its version."""
        selected = self.selected
        self.rows, self.now = rows, now
        self.lines_changed()
        hashes = [row.hash for row in rows]
        if selected is not None and selected.hash in hashes:
            self.move_to(hashes.index(selected.hash))
        self.post_message(self.Moved(self, self.cursor))

    def line_count(self) -> int:
        return len(self.rows)

    def line_spans(self, line: int, width: int) -> Spans:
        return version_spans(self.rows[line], self.now, width)


def can_draw(screen: VersionsScreen) -> str:
    """Why there is no difference to draw; "" if there is."""
    row = screen.list.selected
    if row is None:
        return "Select a version first"
    return "" if screen.against_now or row.previous is not None else "It is the first one: there is nothing before it"


def can_go_back(screen: VersionsScreen) -> str:
    """Why the folder can't be made the selected version; "" if it can."""
    row = screen.list.selected
    if row is None:
        return "Select a version first"
    return "This is what the folder is now" if row.present else ""


class VersionsScreen(DoesDeeds):
    """The versions of one workflow."""

    view = "versions"

    DEFAULT_CSS = """
    VersionsScreen #versions { height: 2fr; min-height: 3; }
    VersionsScreen #difference { height: 3fr; }
    VersionsScreen .empty { padding: 1 2; height: 1fr; }
    """

    def __init__(self, workflow: str) -> None:
        super().__init__()
        self._workflow = workflow
        self.list = VersionList()
        self.difference = TextList(id="difference")
        self._rule = PaneRule()
        self._empty = Paragraph("Reading the versions…", "dim", classes="empty")
        self.against_now = False
        """The difference to the folder as it is, and not what the version itself changed."""
        self._shown: tuple[str, bool] | None = None
        self._whole = False
        self._reader = Reader(self, "the versions", self._read, lambda message: message, period=0.5)
        self._difference_reader = Reader(self, "the difference", self._read_difference, lambda message: message)

    def compose_body(self) -> Iterable[Widget]:
        yield self._empty
        yield self.list
        self.list.display = self.difference.display = self._rule.display = False
        yield self._rule
        yield self.difference

    def on_mount(self) -> None:
        self.list.focus()
        self._show_title()

    @property
    def workflow_name(self) -> str:
        return self._workflow

    @property
    def place(self) -> Place:
        return Place("versions", self._workflow)

    def crumbs(self) -> tuple[str, ...]:
        return ("workflows", visible(self._workflow), "versions")

    def copied_text(self) -> str:
        if self.difference.has_focus and self.difference.line_count():
            return self.difference.text_of(self.difference.cursor)
        row = self.list.selected
        return row.hash if row is not None else ""

    # What the engine says --------------------------------------------------------------------------------------------

    def read_all(self) -> None:
        self._reader.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Another version, or a run of one."""
        for event in message.events:
            if isinstance(event, WorkflowChanged) and event.name == self._workflow:
                self._shown = None
                self._reader.want()
            elif isinstance(event, RunChanged) and event.workflow == self._workflow:
                self._reader.want()

    async def _read(self) -> VersionsRead:
        return VersionsRead(await self.engine.list_versions(self._workflow, PAGE), "")

    async def _read_difference(self) -> Message:
        row, against_now = self.list.selected, self.against_now
        assert row is not None
        diff = await self.engine.get_diff(self._workflow, *self._compared(row))
        return DifferenceRead(diff, (row.hash, against_now))

    def _compared(self, row: VersionView) -> tuple[str, str]:
        """The older and the newer side of what is shown of a version."""
        own = row.hash if row.kept else NOW
        return (own, NOW) if self.against_now else (row.previous or own, own)

    def on_versions_read(self, message: VersionsRead) -> None:
        """Show the versions; those further down that were read before stay."""
        rows = message.rows
        known = {row.hash for row in rows}
        if message.after:
            rows = [*self.list.rows, *(row for row in rows if row.hash not in {old.hash for old in self.list.rows})]
            self._whole = len(message.rows) < PAGE
        elif len(rows) >= PAGE:
            rows = [*rows, *(old for old in self.list.rows[PAGE:] if old.hash not in known)]
        else:
            self._whole = True
        self._empty.display = not rows
        self._empty.text = "No version is kept yet: one is once the folder is seen without errors."
        self._show_parts(bool(rows))
        self.list.set_rows(rows, self.rondo.now())
        self.refresh_footer()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another version is selected."""
        if event.lines is not self.list:
            return
        row = self.list.selected
        if row is None:
            return
        if self._shown != (row.hash, self.against_now):
            self._difference_reader.want()
        if not self._whole and self.list.cursor == len(self.list.rows) - 1 and row.kept:
            last = row.hash
            self.ask(
                lambda: self.engine.list_versions(self._workflow, PAGE, last),
                lambda rows: VersionsRead(rows, last),
                group="more versions",
                doing="reading the versions",
            )
        self._show_title()
        self.refresh_footer()

    def on_difference_read(self, message: DifferenceRead) -> None:
        """Show it, where it is still the one that is wanted."""
        row = self.list.selected
        if row is None or message.about != (row.hash, self.against_now):
            self._difference_reader.want()
            return
        if self._shown != message.about:
            self._shown = message.about
            lines = difference_lines(message.diff)
            if row.previous is None and not self.against_now:
                lines = [[("The first version that is kept; = shows what the folder has that it has not.", "dim")]]
            self.difference.set_lines(lines)

    # Showing -------------------------------------------------------------------------------------------------------

    def _show_title(self) -> None:
        row = self.list.selected
        if row is None:
            return
        name = row.hash[:SHORT_HASH]
        text = f"from {name} to the folder as it is" if self.against_now else f"what {name} changed"
        count = plural(len(self.list.rows), "version")
        details = ((f"{count} and more" if not self._whole else count, "dim"),)
        self._rule.titles = (Title(text, active=self.difference.has_focus, details=details),)

    def on_descendant_focus(self) -> None:
        """The title of the pane with the focus stands out."""
        self._show_title()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Into the difference."""
        if event.lines is self.list:
            self.set_focus(self.difference)

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.difference.has_focus:
            self.remove_class("-difference")
            self._show_parts(bool(self.list.rows))
            self.set_focus(self.list)
            return True
        return False

    def zoom_panes(self) -> bool:
        zoomed = self.has_class("-list") or self.has_class("-difference")
        self.remove_class("-list", "-difference")
        if not zoomed:
            self.add_class("-difference" if self.difference.has_focus else "-list")
        self._show_parts(bool(self.list.rows))
        return True

    def _show_parts(self, listed: bool) -> None:
        """Show the list, the difference or both, as the zoom says; neither where there is no version."""
        self.list.display = listed and not self.has_class("-difference")
        self.difference.display = self._rule.display = listed and not self.has_class("-list")

    # Actions -------------------------------------------------------------------------------------------------------

    @action(
        "version.compare",
        "against now",
        keys="equals_sign",
        help="What leads from the version to the folder as it is, or what it changed itself",
        footer=12,
    )
    def compare(self) -> None:
        self.against_now = not self.against_now
        self._shown = None
        self._show_title()
        if self.list.selected is not None:
            self._difference_reader.want()

    @action(
        "version.draw",
        "draw it",
        keys="o",
        help="What changed, drawn on the graph: + ~ - at nodes and edges",
        footer=8,
        when=can_draw,
    )
    def draw_it(self) -> None:
        row = self.list.selected
        assert row is not None
        self.rondo.go(Place("graph", self._workflow, versions="..".join(self._compared(row))))

    @action(
        "version.rollback",
        "go back to it",
        keys="b",
        words="rollback",
        help="Make the folder this version again; what is there goes into backups/, and u takes it back",
        footer=5,
        when=can_go_back,
    )
    def roll_back(self) -> None:
        row = self.list.selected
        assert row is not None
        wanted = row.hash
        self.ask(
            lambda: self.engine.get_diff(self._workflow, NOW, wanted),
            RollbackRead,
            group="rollback",
            doing="reading what would change",
        )

    def on_rollback_read(self, message: RollbackRead) -> None:
        """Show what would change, and ask."""
        if self.app.screen is not self:
            return
        from tui.screens.confirm import ConfirmSheet

        diff, name = message.diff, self._workflow
        version = diff.after.hash

        async def call(command_id: str) -> DeedDone:
            done = await self.engine.rollback(command_id, name, version, diff.before.hash)
            may = "" if done.approved else "; it was never approved to run"
            return DeedDone(f"{name} is version {version[:SHORT_HASH]} again{may}; u takes it back", name)

        def decided(yes: bool | None) -> None:
            if yes:
                self.act(call, f"going back to {version[:SHORT_HASH]}")

        files = plural(len(diff.files), "file")
        self.app.push_screen(
            ConfirmSheet(
                f"Make {visible(name)} version {version[:SHORT_HASH]} again?",
                f"This changes {files}. What is there now goes into backups/.",
                yes="go back",
                lines=difference_lines(diff),
            ),
            decided,
        )
