"""What a terminal that is too small is told: in a line where the screen still works, else in place of it."""

from __future__ import annotations

from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip

from tui.spans import Inked
from tui.text import wrap

COLUMNS, ROWS = 80, 24
"""What every screen is made for."""
LEAST_COLUMNS, LEAST_ROWS = 40, 10
"""Below this nothing on a screen could be read."""


class SizeNote(Inked):
    """One line below the header, or the whole screen; not there where the terminal is large enough."""

    DEFAULT_CSS = """
    SizeNote { height: 1; width: 1fr; dock: top; margin-top: 1; display: none; background: $background; }
    SizeNote.-alone { layer: size; dock: none; margin: 0; width: 100%; height: 100%; }
    """

    text: reactive[str] = reactive("")

    def fit_terminal(self, size: Size) -> None:
        """Say what is missing, if anything is."""
        small = size.width < COLUMNS or size.height < ROWS
        alone = size.width < LEAST_COLUMNS or size.height < LEAST_ROWS
        self.display = small
        self.set_class(alone, "-alone")
        if small:
            needs = f"{size.width}x{size.height} cells are too few: Rondo needs {COLUMNS}x{ROWS}"
            whole = f"{needs}. Nothing is lost"
            self.text = whole if alone or len(whole) <= size.width - 2 else needs

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        rows = wrap(self.text, max(8, width - 2))
        text = rows[y] if y < len(rows) else ""
        return self.strip([(f" {text}", "waiting")]).crop_extend(0, width, self.rich_style)
