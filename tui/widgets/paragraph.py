"""Text that is read: wrapped to the width, as tall as it needs to be."""

from __future__ import annotations

from textual.reactive import reactive
from textual.strip import Strip

from tui.spans import Inked, Spans
from tui.text import wrap


class Paragraph(Inked):
    """Wrapped text in one ink, with one cell of margin at both sides."""

    DEFAULT_CSS = """
    Paragraph { height: auto; width: 1fr; }
    """

    text: reactive[str] = reactive("", layout=True)
    used_ink: reactive[str] = reactive("")

    def __init__(self, text: str = "", ink: str = "", *, remark: str = "", **options: str) -> None:
        """`remark` follows the last line, dim, as far as there is room."""
        super().__init__(**options)
        self._remark = remark
        self.set_reactive(Paragraph.text, text)
        self.set_reactive(Paragraph.used_ink, ink)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(wrap(self.text, max(1, width - 2))) if self.text else 0

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = wrap(self.text, max(1, width - 2)) if self.text else []
        text = lines[y] if y < len(lines) else ""
        spans: Spans = [(" ", ""), (text, self.used_ink)]
        if self._remark and y == len(lines) - 1:
            spans.append((f"   {self._remark}", "dim"))
        return self.strip(spans).crop_extend(0, width, self.rich_style)
