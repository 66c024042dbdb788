"""Sheets: what comes up from the bottom edge over a screen, for a question or a choice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.actions import Acting, registry
from tui.spans import InkWell
from tui.widgets.footer import Footer
from tui.widgets.rule import PaneRule, Title

Answer = TypeVar("Answer")

GRACE_SECONDS = 0.5
"""How long a sheet that asks for consent hears no key: nobody agrees by what they typed for something else."""


ROWS_BESIDE = 6
"""Rows of a sheet beside its tall part: title, text, filter, keys, and a rest of the screen below."""


class SheetFooter(Footer):
    """The keys of a sheet."""

    DEFAULT_CSS = """
    SheetFooter { dock: none; }
    """
    TAIL: ClassVar[tuple[tuple[str, str], ...]] = ()


class Sheet(Acting, InkWell, ModalScreen[Answer], Generic[Answer]):
    """A sheet with a title in its upper line and its keys in its last one. Subclasses name their `view`."""

    DEFAULT_CSS = """
    Sheet { align: left bottom; background: $background 55%; }
    Sheet > Vertical { height: auto; max-height: 100%; background: $background; }
    """

    guarded = False
    """True for sheets that ask for consent: keys count after the grace period only."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.sheet_title = title
        self.armed = not self.guarded
        self._keys = SheetFooter()

    def compose(self) -> ComposeResult:
        with Vertical():
            rule = PaneRule()
            rule.titles = (Title(self.sheet_title, active=True),)
            yield rule
            yield from self.compose_body()
            yield self._keys

    def compose_body(self) -> Iterable[Widget]:
        """The widgets between title and keys."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.refresh_keys()
        if not self.armed:
            self.set_timer(GRACE_SECONDS, self._arm)

    def on_resize(self) -> None:
        """The tall part of a sheet takes what the rest leaves."""
        for widget in self.query(".tall"):
            widget.styles.max_height = max(4, self.size.height - ROWS_BESIDE)

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close the sheet with an answer. Where it is closed already, or lies under another screen, nothing happens:
        Textual would take the screen on top away, and no later key could close the sheet."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

    def _arm(self) -> None:
        self.armed = True
        self.refresh_keys()

    def refresh_keys(self) -> None:
        """Show the keys that work now."""
        shown = registry.footer(self.view) if self.armed else []
        actions = [found for found in shown if found.view == self.view and not found.why_not(self)]
        self._keys.show_actions(actions)

    def on_key(self, event: events.Key) -> None:
        self.press_passed(event)

    def action_press(self, key: str) -> None:
        if self.armed:
            super().action_press(key)
