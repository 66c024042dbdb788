"""The log's part of the Run screen: following, searching, filtering, selecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.actions import action
from tui.run_feed import LogFound, LogRead, RunFeed
from tui.screens.base import RondoScreen
from tui.spans import Span
from tui.text import number, plural, visible
from tui.widgets.line_input import FilterLine
from tui.widgets.log_view import LEVELS, LogView
from tui.widgets.rule import Title
from tui.widgets.window_list import WindowList

if TYPE_CHECKING:
    from core.link.types import LogLine


class LogActions(RondoScreen):
    """What can be done with the log. The screen has a feed."""

    feed: RunFeed

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.log_view = LogView()
        self.search_line = FilterLine("text in the log", id="search")

    def run_ended(self) -> bool:
        """True where no more lines will come."""
        raise NotImplementedError

    def refresh_titles(self) -> None:
        """Show the titles of the panes again."""
        raise NotImplementedError

    def log_title(self) -> Title:
        """The log's title: whether it follows, what it leaves out, and what is below."""
        log = self.log_view
        details: list[Span] = []
        if not self.run_ended():
            details.append(("following", "good") if log.following else ("not following", "waiting"))
        if self.feed.log_dropped:
            details.append((f"{plural(self.feed.log_dropped, 'line')} dropped", "waiting"))
        details.append(
            (f"{self.feed.minimum_level.lower()} and above" if self.feed.minimum_level else "all levels", "dim")
        )
        if self.feed.node:
            details.append((f"only {visible(self.feed.node)}", "waiting"))
        if log.selection_start is not None:
            details.append((f"{len(log.selected_rows)} selected", "accent"))
        below = self.feed.log_last - log.window.last
        if not log.following and below > 0:
            end = f"{number(below)} newer below"
        elif log.selected is not None and not log.following:
            end = f"{number(log.selected.row)} of {number(self.feed.log_last)}"
        else:
            end = plural(self.feed.log_last, "line") if self.feed.log_last else ""
        return Title("log", active=log.has_focus, details=tuple(details), end=end)

    # Rows ------------------------------------------------------------------------------------------------------

    def logs_grew(self, last: int) -> None:
        """The run has rows up to `last`: read them while following, else only say that they are there."""
        self.feed.log_last = max(self.feed.log_last, last)
        log = self.log_view
        if log.following:
            self.feed.log.want()
        elif self.feed.log_last > log.window.last:
            log.window.at_end = False
        self.refresh_titles()

    def on_log_read(self, message: LogRead) -> None:
        page, log, feed = message.page, self.log_view, self.feed
        feed.log_last = max(feed.log_last, page.last)
        feed.log_dropped = max(feed.log_dropped, page.dropped)
        lines = page.lines
        complete = not lines or lines[-1].row >= page.last
        match message.kind:
            case "newer":
                if not log.has_older and not log.window.rows:
                    log.show_rows(lines, at_start=True, at_end=complete)
                else:
                    log.add_newer(lines, at_end=complete)
            case "older":
                log.add_older(lines, at_start=not lines or lines[0].row <= 1)
            case "last":
                log.show_rows(lines, at_start=not lines or lines[0].row <= 1, at_end=True)
            case "first" | "around":
                at_start = message.kind == "first" or not lines or lines[0].row <= 1
                log.show_rows(lines, at_start=at_start, at_end=complete, row=message.row)
        feed.log_after = max(log.window.last, page.last if complete or message.kind == "last" else 0)
        if log.following and (not complete or feed.log_after < feed.log_last):
            feed.log.want()
        self.refresh_titles()

    def on_window_list_wanted(self, event: WindowList.Wanted) -> None:
        """The log comes near the edge of its window."""
        if event.lines is self.log_view:
            window = self.log_view.window
            self.feed.want_log(event.where, window.first if event.where == "older" else window.last)

    def on_window_list_following_changed(self, event: WindowList.FollowingChanged) -> None:
        self.refresh_titles()

    def _read_log_again(self) -> None:
        self.feed.log_after = 0
        self.log_view.show_rows([], at_start=True, at_end=True)
        self.log_view.follow(True)
        self.feed.log.want()
        self.refresh_titles()

    # Actions ---------------------------------------------------------------------------------------------------

    @action(
        "logs.follow",
        "follow",
        keys="b",
        words="logs follow",
        help="Keep the newest log lines in view, or stop",
        footer=9,
    )
    def toggle_follow(self) -> None:
        self.log_view.follow(not self.log_view.following)

    @action(
        "logs.level", "level", keys="L", words="logs level", help="Show all levels, or info, warnings, errors and above"
    )
    def next_level(self) -> None:
        place = LEVELS.index(self.feed.minimum_level or "")
        self.feed.minimum_level = LEVELS[(place + 1) % len(LEVELS)] or None
        self._read_log_again()

    @action(
        "logs.node",
        "only this node",
        keys="o",
        words="logs node",
        help="Show the log of the selected step's node alone, or all",
    )
    def toggle_node(self) -> None:
        node = self.selected_node()
        self.feed.node = None if self.feed.node else node or None
        self._read_log_again()

    def selected_node(self) -> str:
        """The node of the selected line."""
        raise NotImplementedError

    @action(
        "logs.wrap", "wrap", keys="z", words="logs wrap", help="Break long log lines, or scroll sideways with h and l"
    )
    def toggle_wrap(self) -> None:
        self.log_view.set_wrap(not self.log_view.wrapped)

    @action(
        "logs.select",
        "select lines",
        keys="v",
        words="logs select",
        help="Select log lines from here on; y copies them",
    )
    def toggle_selection(self) -> None:
        self.set_focus(self.log_view)
        self.log_view.toggle_selection()
        self.refresh_titles()

    # Searching -------------------------------------------------------------------------------------------------

    @action("logs.search", "search", keys="slash", words="logs search", help="Search the log; n and N go on", footer=9)
    def open_search(self) -> None:
        self.search_line.open()

    @action("logs.next-match", "next match", keys="n", words="logs next match", help="The next line that matches")
    def next_match(self) -> None:
        self._find(backwards=False)

    @action(
        "logs.previous-match", "match before", keys="N", words="logs previous match", help="The matching line before"
    )
    def previous_match(self) -> None:
        self._find(backwards=True)

    def _find(self, *, backwards: bool) -> None:
        log = self.log_view
        if not log.search:
            self.say("Nothing was searched for: / searches", "hint")
            return
        selected: LogLine | None = log.selected
        self.feed.find(log.search, selected.row if selected is not None else 0, backwards=backwards)

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        """Matches in view are marked while one types."""
        self.log_view.search = event.text
        self.log_view.refresh()

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        self.search_line.display = False
        if event.kept and event.line.text:
            self.set_focus(self.log_view)
            self._find(backwards=False)
        else:
            event.line.close()
            self.set_focus(self.log_view)

    def on_log_found(self, message: LogFound) -> None:
        if message.line is None:
            self.say(f"Nothing in the log contains {self.log_view.search!r}", "hint")
            return
        if message.around:
            self.say("Went on at the other end of the log")
        log = self.log_view
        log.follow(False)
        place = log.window.index_of(message.line.row)
        if place is not None and log.window.rows[place].row == message.line.row:
            log.go_place(place)
        else:
            self.feed.want_log("around", message.line.row)
        self.refresh_titles()
