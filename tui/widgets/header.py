"""The one line at the top: where you are on the left, the engine and open questions on the right."""

from __future__ import annotations

from dataclasses import dataclass

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
        right: Spans = [*self.headline.spans(), (" ", "")]
        left = self._left(list(self.crumbs))
        crumbs = list(self.crumbs)
        while len(crumbs) > 1 and spans_width(left) + spans_width(right) + 1 > width:
            del crumbs[0 if len(crumbs) > 2 or crumbs[0] != "…" else 1]
            if crumbs and crumbs[0] != "…" and len(crumbs) > 1:
                crumbs[0] = "…"
            left = self._left(crumbs)
        fill = width - spans_width(left) - spans_width(right)
        if fill < 1:
            return self.strip(cut_spans(left, width)).crop_extend(0, width, self.rich_style)
        return self.strip([*left, (" " * fill, ""), *right])

    def _left(self, crumbs: list[str]) -> Spans:
        spans: Spans = [(" ", "")]
        for place, crumb in enumerate(crumbs):
            if place:
                spans.append((" › ", "dim"))
            spans.append((crumb, "strong" if place == len(crumbs) - 1 else "dim"))
        if self.status:
            spans += [("   ", ""), *self.status]
        return spans
