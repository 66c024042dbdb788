"""The sheet behind `?`: every action that works on the screen below, with its keys; Enter does one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual.screen import Screen
from textual.widget import Widget

from tui.actions import EVERYWHERE, MOVING, Action, action, registry
from tui.filtering import keep
from tui.screens.base import RondoScreen
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit
from tui.widgets.line_input import FilterLine
from tui.widgets.line_list import LineList

Chosen = tuple[Action, str]
PART_TITLES = {"conversation": "The chat", "proposal": "The proposal"}
"""What the parts of a screen are called that have keys of their own."""


class HelpList(LineList):
    """Actions by section. A line is an action, or the title of a section."""

    DEFAULT_CSS = """
    HelpList { height: auto; min-height: 8; }
    """

    def __init__(self, sections: list[tuple[str, list[Action]]]) -> None:
        super().__init__(classes="tall")
        self._sections = sections
        self._entries: list[tuple[str, Action | None]] = []
        self.show_matching("")

    def show_matching(self, text: str) -> int:
        """Keep the actions that match; returns how many."""
        self._entries = []
        count = 0
        for title, actions in self._sections:
            kept = keep(actions, text, lambda found: f"{found.title} {found.help} {found.command}")
            if kept:
                self._entries += [(title, None), *((title, found) for found in kept)]
                count += len(kept)
        if self.is_mounted:
            self.lines_changed()
            self.move_to(0)
        return count

    def on_mount(self) -> None:
        self.lines_changed()
        self.move_to(1)

    def chosen(self) -> Action | None:
        """The action under the cursor."""
        return self._entries[self.cursor][1] if self._entries else None

    def selectable(self, line: int) -> bool:
        return self._entries[line][1] is not None

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._entries)

    def line_count(self) -> int:
        return len(self._entries)

    def line_spans(self, line: int, width: int) -> Spans:
        title, found = self._entries[line]
        if found is None:
            return [(title, "dim")]
        command_width = 24 if width >= 100 else 0
        return [
            (fit(found.key_signs, 14, right=True), "key"),
            ("  ", ""),
            (fit(found.title, 22), ""),
            (fit(found.help, max(0, width - 38 - command_width)), "dim"),
            (fit(f"  :{found.command}", command_width), "dim"),
        ]


class HelpSheet(Sheet[Chosen]):
    """What the keys of a view do."""

    view = "help"

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__("keys of this view")
        view = getattr(screen, "view", "")
        part = screen.inner_part() if isinstance(screen, RondoScreen) else None
        inner = [(PART_TITLES.get(part.view, "Here"), registry.of_view(part.view))] if part is not None else []
        self._sections = [
            *inner,
            ("This view", registry.of_view(view)),
            ("Everywhere", registry.of_view(EVERYWHERE)),
            ("Moving", registry.of_view(MOVING)),
        ]

        self._filter_line = FilterLine("words of an action")
        self.help_list = HelpList(self._sections)

    def compose_body(self) -> Iterable[Widget]:
        yield self._filter_line
        yield self.help_list

    def on_mount(self) -> None:
        self.help_list.focus()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        count = self.help_list.show_matching(event.text)
        event.line.show_count(f"{count} found")

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept:
            event.line.close()
        self.set_focus(self.help_list)

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        found = self.help_list.chosen()
        self.dismiss((found, "") if found is not None else None)

    @action("help.filter", "find", keys="slash", help="Find an action by its words", footer=2)
    def filter(self) -> None:
        self._filter_line.open()

    @action("help.close", "close", keys="escape,q,question_mark,f1", help="Back to the screen", footer=3)
    def close(self) -> None:
        self.dismiss(None)
