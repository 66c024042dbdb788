"""The one line at the bottom, the keys of this view, and the lines above it that say what happened."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.timer import Timer

from tui.actions import Action
from tui.spans import Inked, Spans, spans_width
from tui.text import wrap


class Footer(Inked):
    """Keys of the view: ` r run  R run with inputs  ...  ? help  : command`. What doesn't fit is found under `?`."""

    DEFAULT_CSS = """
    Footer { height: 1; width: 1fr; dock: bottom; }
    """

    keys: reactive[tuple[tuple[str, str], ...]] = reactive(())
    """Signs of keys and titles, first things first."""

    entry_keys: reactive[tuple[tuple[str, str], ...]] = reactive(())
    """While something is entered, the keys that work there: the view's own don't."""

    TAIL: ClassVar[tuple[tuple[str, str], ...]] = (("?", "help"), (":", "command"))

    def show_actions(self, actions: list[Action]) -> None:
        """Show the keys of these actions."""
        self.keys = tuple((found.key_sign, found.title) for found in actions)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        tail = self._spans(() if self.entry_keys else self.TAIL)
        spans: Spans = [(" ", "")]
        for pair in self.entry_keys or self.keys:
            part = self._spans((pair,))
            if spans_width(spans) + spans_width(part) + spans_width(tail) > width:
                break
            spans += part
        return self.strip([*spans, *tail]).crop_extend(0, width, self.rich_style)

    def _spans(self, pairs: tuple[tuple[str, str], ...]) -> Spans:
        spans: Spans = []
        for sign, title in pairs:
            spans += [(sign, "key"), (f" {title}  ", "dim")]
        return spans


class Notice(Inked):
    """A few lines above the footer: what happened, why, and what to do next. Esc or time takes them away."""

    DEFAULT_CSS = """
    Notice { height: auto; width: 1fr; dock: bottom; display: none; margin-bottom: 1; }
    """

    SIGNS: ClassVar[dict[str, tuple[str, str]]] = {
        "info": ("·", "accent"),
        "good": ("✓", "good"),
        "problem": ("✗", "bad"),
        "hint": ("!", "waiting"),
        "guide": ("→", "key"),
    }
    HIDE_AFTER: ClassVar[dict[str, float]] = {"info": 5.0, "good": 5.0, "hint": 8.0}
    """Seconds; a problem stays until it was seen."""

    kind: reactive[str] = reactive("info")
    text: reactive[str] = reactive("", layout=True)

    def __init__(self) -> None:
        super().__init__()
        self._hide_timer: Timer | None = None

    def say(self, text: str, kind: str = "info") -> None:
        """Show text (a line each for what, why and what next)."""
        self.kind = kind
        self.text = text
        self.display = bool(text)
        if self._hide_timer is not None:
            self._hide_timer.stop()
        seconds = self.HIDE_AFTER.get(kind)
        self._hide_timer = self.set_timer(seconds, self.clear) if text and seconds is not None else None

    def clear(self) -> bool:
        """Take the text away; True if there was any."""
        was = bool(self.text)
        self.text = ""
        self.display = False
        return was

    def _wrapped(self, width: int) -> list[str]:
        return wrap(self.text, max(10, width - 4))[:8]

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._wrapped(width)) if self.text else 0

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self._wrapped(width)
        sign, ink = self.SIGNS[self.kind]
        text = lines[y] if y < len(lines) else ""
        head: Spans = [(f" {sign} ", ink)] if y == 0 else [("   ", "")]
        return self.strip([*head, (text, "" if y == 0 else "dim")]).crop_extend(0, width, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        self.clear()
