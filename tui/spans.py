"""Coloured text for widgets that draw line by line: a line is a list of (text, ink).

An ink is the name of a colour and not a colour, so that themes, the sixteen colours of a terminal and NO_COLOR decide.
Nothing is ever read as markup, so text of a workflow can't change how the screen looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, str]
"""Text and the name of its ink; the empty name is the widget's own colour."""
Spans = list[Span]

INKS = (
    *("dim", "strong", "accent", "key", "rule", "match", "cursor"),
    *("running", "waiting", "good", "bad", "added", "removed"),
)
INK_CLASSES = frozenset(f"ink--{name}" for name in INKS)


class InkWell(Widget):
    """Where the inks are: the screen of the widgets that draw with them, so that they are worked out once a screen and
    not once a widget. Their colours stand in `styles/app.tcss`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(INK_CLASSES)


class Inked(Widget):
    """A widget that turns spans into strips. Its screen is an `InkWell`."""

    def __init__(self, *children: Widget, **options: Any) -> None:
        super().__init__(*children, **options)
        self._ink_styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        """Forget the colours: a theme or a style changed."""
        self._ink_styles = {}
        super().notify_style_update()

    def ink(self, name: str) -> Style:
        """The colour and weight of an ink, without its background."""
        style = self._ink_styles.get(name)
        if style is None:
            whole = self.screen.get_component_rich_style(f"ink--{name}")
            background = whole.bgcolor if name in ("match", "cursor") else None
            style = Style(
                color=whole.color,
                bgcolor=background,
                bold=whole.bold,
                dim=whole.dim,
                italic=whole.italic,
                underline=whole.underline,
                reverse=whole.reverse,
            )
            self._ink_styles[name] = style
        return style

    def strip(self, spans: Sequence[Span], *, under: str = "") -> Strip:
        """Spans as a strip; `under` is an ink whose background lies below all of them."""
        base = self.rich_style
        if under:
            base = base + self.ink(under)
        return Strip([Segment(text, base + self.ink(ink) if ink else base) for text, ink in spans if text])


def spans_width(spans: Sequence[Span]) -> int:
    """How many cells spans take."""
    return sum(cell_len(text) for text, _ in spans)


def spans_text(spans: Sequence[Span]) -> str:
    """Spans as plain text."""
    return "".join(text for text, _ in spans)
