"""A link as a QR code, as large as it is and not there where it has no room."""

from __future__ import annotations

from itertools import groupby

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from core.drawing.qr import PAINTS, qr_lines

STYLES = {sign: (text, Style.parse(colours)) for sign, (text, colours) in PAINTS.items()}


class QrCode(Widget):
    """The code of a link."""

    DEFAULT_CSS = """
    QrCode { width: auto; height: auto; }
    """

    lines: reactive[tuple[str, ...]] = reactive((), layout=True)

    def show(self, link: str, width: int, height: int) -> bool:
        """Draw a link in that room; False where it doesn't fit."""
        self.lines = tuple(qr_lines(link, width, height)) if link else ()
        self.display = bool(self.lines)
        return self.display

    def get_content_width(self, container: object, viewport: object) -> int:
        return len(self.lines[0]) if self.lines else 0

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.lines)

    def render_line(self, y: int) -> Strip:
        if y >= len(self.lines):
            return Strip.blank(self.size.width, self.rich_style)
        pieces = []
        for sign, same in groupby(self.lines[y]):
            text, style = STYLES[sign]
            pieces.append(Segment(text * len(list(same)), style))
        return Strip(pieces)
