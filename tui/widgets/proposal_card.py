"""The card of a proposal: what it changes on the left, the text on the right, and the keys to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.link.chat_types import ProposalView
from tui.chat_words import STATUS_WORDS, check_spans, size_text, usage_text
from tui.proposal_choice import ProposalChoice
from tui.proposal_lines import CardLine, card_lines, diff_lines
from tui.spans import Inked, Spans, cut_spans
from tui.text import visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.proposal_keys import STATUS_HINTS, ProposalKeys
from tui.widgets.rule import Bar, PaneRule, Title
from tui.widgets.text_list import TextList

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi
    from tui.app import RondoApp

GRACE_SECONDS = 0.5
"""How long a card that gets the focus decides nothing: nobody agrees by what they typed for something else."""


class ChangeList(LineList):
    """The left side."""

    DEFAULT_CSS = """
    ChangeList { width: 45%; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="changes")
        self.lines: list[CardLine] = []

    def show(self, lines: list[CardLine]) -> None:
        """Show other lines; the cursor stays where it is."""
        self.lines = lines
        self.lines_changed()

    @property
    def line(self) -> CardLine | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    def line_count(self) -> int:
        return len(self.lines)

    def lines_width(self) -> int:
        return max((sum(len(text) for text, _ in line.spans) for line in self.lines), default=0) + 2

    def line_spans(self, line: int, width: int) -> Spans:
        return self.lines[line].spans


class CheckLine(Inked):
    """The checks and what the proposal cost, in one row."""

    DEFAULT_CSS = """
    CheckLine { height: 1; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.spans: Spans = []

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return self.strip([(" ", ""), *cut_spans(self.spans, max(1, width - 2))]).crop_extend(0, width, self.rich_style)


class ProposalCard(ProposalKeys, Vertical):
    """One proposal. Decisions count from half a second after it got the focus on."""

    view = "proposal"

    DEFAULT_CSS = """
    ProposalCard { height: 1fr; background: $background; }
    ProposalCard .why { max-height: 3; }
    ProposalCard #sides { layout: horizontal; height: 1fr; }
    ProposalCard #diff { width: 1fr; height: 1fr; overflow-x: auto; scrollbar-size-horizontal: 0; }
    ProposalCard #changes { overflow-x: auto; scrollbar-size-horizontal: 0; }
    ProposalCard #between { display: none; }
    ProposalCard.-stacked #sides { layout: vertical; }
    ProposalCard.-stacked #changes { width: 1fr; height: 45%; }
    ProposalCard.-stacked #between { display: block; }
    ProposalCard.-stacked Bar { display: none; }
    """
    STACKED_BELOW: ClassVar[int] = 100
    """With fewer columns than this the sides stand one below the other."""

    class Applied(Message):
        """Something was applied, and a run is wanted now."""

        def __init__(self, proposal: ProposalView) -> None:
            super().__init__()
            self.proposal = proposal

    class Closed(Message):
        """The card has nothing more to decide, or is to be put away."""

    class Shown(Message):
        """The proposal is to be drawn on the graph."""

        def __init__(self, proposal: ProposalView) -> None:
            super().__init__()
            self.proposal = proposal

    def __init__(self) -> None:
        super().__init__(id="card")
        self.choice: ProposalChoice | None = None
        self.changes = ChangeList()
        self.diff = TextList(id="diff")
        self.armed = False
        self._arming: Timer | None = None
        self._rule = PaneRule()
        self._why = Paragraph("", "", classes="why")
        self._checks = CheckLine()
        self._between = PaneRule(id="between")

    def compose(self) -> ComposeResult:
        yield self._rule
        yield self._why
        yield self._checks
        with Container(id="sides"):
            yield self.changes
            yield Bar()
            yield self._between
            yield self.diff

    # App and engine ----------------------------------------------------------------------------------------------

    @property
    def rondo(self) -> RondoApp:
        """The app, by its own type."""
        return cast("RondoApp", self.app)

    @property
    def api(self) -> AssistantApi:
        """The engine, as far as proposals are concerned."""
        return cast("AssistantApi", self.rondo.engine)

    @property
    def proposal(self) -> ProposalView | None:
        """The one that is shown."""
        return self.choice.proposal if self.choice is not None else None

    def show(self, proposal: ProposalView) -> None:
        """Show a proposal; what was chosen of the same one stays."""
        if self.choice is not None and self.choice.proposal.proposal_id == proposal.proposal_id:
            if self.choice.proposal is not proposal:
                self.choice.renew(proposal)
        else:
            self.choice = ProposalChoice(proposal)
            self.changes.set_reactive(LineList.cursor, 0)
            self._disarm()
        self.refresh_lines()

    def refresh_lines(self) -> None:
        """Show everything of the proposal again."""
        choice, proposal = self.choice, self.proposal
        if choice is None or proposal is None:
            return
        word, ink = STATUS_WORDS[proposal.status]
        details = [(size_text(proposal.groups), "dim"), (word, ink)]
        active = self.changes.has_focus or self.diff.has_focus
        end = visible(proposal.workflow)
        self._rule.titles = (Title(f"proposal {proposal.number}", active=active, details=tuple(details), end=end),)
        hint = STATUS_HINTS.get(proposal.status, "")
        why = "; ".join(visible(line) for line in proposal.why.splitlines() if line.strip())
        self._why.text = "\n".join(text for text in (visible(proposal.title), why, hint) if text)
        usage: Spans = [("   ", ""), (usage_text(proposal.usage), "dim")] if proposal.usage is not None else []
        self._checks.spans = [*check_spans(proposal.checks), *usage]
        self._checks.refresh()
        self.changes.show(card_lines(choice))
        self._show_diff()

    def _show_diff(self) -> None:
        proposal = self.proposal
        if proposal is None:
            return
        self.diff.set_lines(diff_lines(self.changes.line, proposal))
        self._between.titles = (Title("text", active=self.diff.has_focus),)

    def on_resize(self) -> None:
        self.set_class(self.size.width < self.STACKED_BELOW, "-stacked")

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        if event.lines is self.changes:
            event.stop()
            self._show_diff()

    def on_descendant_focus(self) -> None:
        if not self.armed and self._arming is None:
            self._arming = self.set_timer(GRACE_SECONDS, self._arm)
        self.refresh_lines()

    def on_descendant_blur(self) -> None:
        self._disarm()
        self.refresh_lines()

    def _arm(self) -> None:
        self.armed = True
        self._arming = None

    def _disarm(self) -> None:
        self.armed = False
        if self._arming is not None:
            self._arming.stop()
            self._arming = None
        if self.is_attached and self.changes.is_attached and self.screen.focused in (self.changes, self.diff):
            self._arming = self.set_timer(GRACE_SECONDS, self._arm)

    def begin(self) -> None:
        """Put the focus on the card."""
        self.screen.set_focus(self.changes)

    def panes(self) -> list[Widget]:
        """What tab goes through here."""
        return [self.changes, self.diff]
