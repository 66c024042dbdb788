"""The single line between two panes, with their titles in it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.reactive import reactive
from textual.strip import Strip

from tui.spans import Inked, Span, Spans, spans_width
from tui.text import shorten


@dataclass(frozen=True, slots=True)
class Title:
    """A title in a rule from column `at` on; `end` is set at the right end of its part, `active` says that the pane
    below it has the focus."""

    text: str
    at: int = 0
    active: bool = False
    end: str = ""
    details: tuple[Span, ...] = ()
    ink: str = "strong"
    """The ink of the text while the pane has not the focus."""


class PaneRule(Inked):
    """One line across the screen: `─ steps ───┬─ state ──────── changed: 2 paths ─`."""

    DEFAULT_CSS = """
    PaneRule { height: 1; width: 1fr; }
    """

    titles: reactive[tuple[Title, ...]] = reactive(())
    joints: reactive[tuple[tuple[int, str], ...]] = reactive(())
    """Columns at which another character than `─` stands."""

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        spans: Spans = []
        column = 0
        titles = sorted(self.titles, key=lambda title: title.at) or [Title("")]
        for number, title in enumerate(titles):
            stop = titles[number + 1].at if number + 1 < len(titles) else width
            part = self._part(title, stop - max(column, title.at))
            spans += part
            column = stop
        return self._with_joints(self.strip(spans).crop_extend(0, width, self.rich_style))

    def _part(self, title: Title, width: int) -> Spans:
        if width <= 0:
            return []
        text = shorten(title.text, max(1, width - 4)) if title.text else ""
        spans: Spans = []
        if text:
            spans = [("─ ", "rule"), (text, "accent" if title.active else title.ink), (" ", "")]
            for detail, ink in title.details:
                if spans_width(spans) + len(detail) + 4 <= width:
                    spans += [("─ ", "rule"), (detail, ink), (" ", "")]
        end: Spans = []
        if title.end and spans_width(spans) + len(title.end) + 4 <= width:
            end = [(" ", ""), (title.end, "dim"), (" ─", "rule")]
        fill = width - spans_width(spans) - spans_width(end)
        return [*spans, ("─" * fill, "rule"), *end]

    def _with_joints(self, strip: Strip) -> Strip:
        for column, sign in self.joints:
            # A title is worth more than a joint.
            if strip.crop(column, column + 1).text == "─":
                strip = Strip.join([strip.crop(0, column), self.strip([(sign, "rule")]), strip.crop(column + 1)])
        return strip


class Bar(Inked):
    """The vertical line between two panes."""

    DEFAULT_CSS = """
    Bar { width: 1; height: 1fr; }
    """

    def render_line(self, y: int) -> Strip:
        return self.strip([("│", "rule")])
