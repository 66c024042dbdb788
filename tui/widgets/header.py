"""The one line at the top: where you are on the left, the engine and open questions on the right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.reactive import reactive
from textual.strip import Strip

from tui.spans import Inked, Spans, cut_spans, spans_width
from tui.text import number


@dataclass(frozen=True, slots=True)
class Headline:
    """What every header says of the engine; `connection` is connecting, connected, silent, lost,
    trouble, stopping or stopped."""

    connection: str = "connecting"
    message: str = ""
    running: int = 0
    questions: int = 0
    cost: str = ""
    """What model calls cost today."""
    read_only: bool = False
    """Nothing may change."""

    def spans(self) -> Spans:
        """The right side of the header."""
        spans: Spans = [("read-only", "waiting"), ("   ", "")] if self.read_only else []
        match self.connection:
            case "connected":
                spans += [("engine ", "dim"), ("●", "good")]
                spans += [(f" {self.running} running", "")] if self.running else [(" idle", "dim")]
            case "lost" if self.read_only:
                spans += [("engine ", "dim"), ("○ none", "bad")]
            case "lost":
                spans += [("engine ", "dim"), ("✗ lost, reconnecting", "bad")]
            case "silent":
                spans += [("engine ", "dim"), ("✗ not responding", "bad")]
            case "trouble":
                spans += [("engine ", "dim"), ("! trouble", "bad")]
            case "stopped":
                spans += [("engine ", "dim"), ("○ stopped", "dim")]
            case "stopping":
                spans += [("engine ", "dim"), ("… stopping", "waiting")]
            case _:
                spans += [("engine ", "dim"), ("… connecting", "waiting")]
        if self.questions:
            spans += [("   ", ""), ("◐", "waiting"), (f" {number(self.questions)} ", ""), ("(i)", "dim")]
        if self.cost:
            spans += [("   ", ""), (self.cost, "dim")]
        return spans


class Header(Inked):
    """Crumbs left, engine right; `status` stands between them where a screen has something of its own to say."""

    DEFAULT_CSS = """
    Header { height: 1; width: 1fr; dock: top; }
    """

    crumbs: reactive[tuple[str, ...]] = reactive(("rondo",))
    status: reactive[tuple[tuple[str, str], ...]] = reactive(())
    headline: reactive[Headline] = reactive(Headline())

    def on_mount(self) -> None:
        self.watch(self.app, "headline", self._headline_changed)

    def _headline_changed(self, headline: Headline) -> None:
        self.headline = headline

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        left, right = self._fitting(width)
        fill = width - spans_width(left) - spans_width(right)
        if fill < 1:
            return self.strip(cut_spans(left, width)).crop_extend(0, width, self.rich_style)
        return self.strip([*left, (" " * fill, ""), *right])

    def _fitting(self, width: int) -> tuple[Spans, Spans]:
        """Both sides with as much as there is room for. The first crumbs go first, then the day's cost, then `… ›`:
        what the screen is about stays longest."""
        crumbs = self.crumbs
        shorter = [("…", *crumbs[first:]) for first in range(2, len(crumbs))]
        ways = [(way, self.headline) for way in (crumbs, *shorter)]
        without_cost = replace(self.headline, cost="")
        ways += [(way, without_cost) for way in (*shorter[-1:], crumbs[-1:], ("…",))]
        for way, headline in ways:
            left, right = self._left(list(way)), [*headline.spans(), (" ", "")]
            if spans_width(left) + spans_width(right) + 1 <= width:
                break
        return left, right

    def _left(self, crumbs: list[str]) -> Spans:
        spans: Spans = [(" ", "")]
        for place, crumb in enumerate(crumbs):
            if place:
                spans.append((" › ", "dim"))
            spans.append((crumb, "strong" if place == len(crumbs) - 1 else "dim"))
        if self.status:
            spans += [("   ", ""), *self.status]
        return spans
