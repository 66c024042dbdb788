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

from tui.text import fit

Span = tuple[str, str]
"""Text and the name of its ink; the empty name is the widget's own colour."""
Spans = list[Span]

INKS = (
    *("dim", "strong", "emphasis", "code", "accent", "key", "rule", "match", "cursor"),
    *("running", "waiting", "good", "bad", "added", "removed"),
)
SIGN_INKS = {"+": "added", "-": "removed", "~": "waiting"}
"""The inks of what a change does."""
FILLED = ("match", "cursor")
"""Inks that colour blanks too."""
INK_CLASSES = {f"ink--{name}" for name in INKS}


class InkWell:
    """Mixin for screens: the inks are worked out once a screen and not once a widget.

    Mixins here are no widgets, because Textual takes styles from the first of several widget classes only.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = INK_CLASSES

    def __init_subclass__(cls, **options: Any) -> None:
        # Textual looks at what each class of its own defines.
        cls.COMPONENT_CLASSES = INK_CLASSES | vars(cls).get("COMPONENT_CLASSES", set())
        super().__init_subclass__(**options)


class Inking:
    """Mixin for widgets that turn spans into strips; stands before the Textual class among the bases.

    Their screen is an `InkWell`; on another one all inks are the widget's own colour.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._ink_styles: dict[str, Style] = {}
        super().__init__(*arguments, **options)

    def notify_style_update(self) -> None:
        """Forget the colours: a theme or a style changed."""
        self._ink_styles = {}
        super().notify_style_update()  # type: ignore[misc]

    def ink(self, name: str) -> Style:
        """The colour and weight of an ink, without its background."""
        style = self._ink_styles.get(name)
        if style is None:
            whole = self.screen.get_component_rich_style(  # type: ignore[attr-defined]
                f"ink--{name}", default=Style.null()
            )
            background = whole.bgcolor if name in FILLED else None
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
        base: Style = self.rich_style  # type: ignore[attr-defined]
        if under:
            base = base + self.ink(under)
        return Strip([Segment(text, base + self.ink(ink) if ink else base) for text, ink in joined(spans)])


def joined(spans: Sequence[Span]) -> Spans:
    """The same to look at in fewer pieces, since each piece costs the terminal a change of colour: blanks take the ink
    of what stands before them."""
    pieces: Spans = []
    for text, ink in spans:
        if pieces and (ink == pieces[-1][1] or (ink not in FILLED and pieces[-1][1] not in FILLED and text.isspace())):
            pieces[-1] = (pieces[-1][0] + text, pieces[-1][1])
        elif text:
            pieces.append((text, ink))
    return pieces


class Inked(Inking, Widget):
    """A widget that draws with inks."""


def spans_width(spans: Sequence[Span]) -> int:
    """How many cells spans take."""
    return sum(cell_len(text) for text, _ in spans)


def cut_spans(spans: Spans, width: int) -> Spans:
    """The spans in at most `width` cells; what is cut ends in an ellipsis."""
    left = width
    kept: Spans = []
    for number, (text, ink) in enumerate(spans):
        more = any(later for later, _ in spans[number + 1 :])
        if cell_len(text) > left or (more and cell_len(text) == left):
            return [*kept, (fit(text + "  ", left), ink)] if left > 0 else kept
        kept.append((text, ink))
        left -= cell_len(text)
    return kept


def marked(spans: Sequence[Span], needle: str) -> Spans:
    """The spans with every place marked in which the words stand, in whatever case, within one span."""
    if not needle:
        return list(spans)
    found: Spans = []
    wanted = needle.lower()
    for text, ink in spans:
        low, start = text.lower(), 0
        # A text that is longer in small letters has its places elsewhere.
        while len(low) == len(text) and (at := low.find(wanted, start)) >= 0:
            found += [(text[start:at], ink), (text[at : at + len(wanted)], "match")]
            start = at + len(wanted)
        found.append((text[start:], ink))
    return found


def spans_text(spans: Sequence[Span]) -> str:
    """Spans as plain text."""
    return "".join(text for text, _ in spans)
