"""The card of a proposal: what it changes on the left, the text on the right, and the keys to decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import uuid4

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.errors import RondoError
from core.link.chat_types import Decide, Decided, ProposalView
from tui.actions import Acting, action
from tui.chat_lines import group_title
from tui.chat_words import STATUS_WORDS, check_spans, size_text, usage_text
from tui.messages import EngineFailed
from tui.proposal_choice import ProposalChoice
from tui.proposal_lines import CardLine, card_lines, diff_lines
from tui.spans import Inked, Spans, cut_spans
from tui.text import plural, visible
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.rule import Bar, PaneRule, Title
from tui.widgets.text_list import TextList

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi
    from tui.app import RondoApp

GRACE_SECONDS = 0.5
"""How long a card that gets the focus decides nothing: nobody agrees by what they typed for something else."""
STATUS_HINTS = {
    "applied": "applied: u takes it back",
    "rejected": "rejected: nothing was changed",
    "revised": "a later proposal took its place",
    "broken": "checks fail, so it can't be applied: m sends it back with a comment",
    "stale": "the workflow has changed since: m asks for it anew",
}


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


class ProposalRead(Message, bubble=False):
    """The proposal as it is now."""

    def __init__(self, proposal: ProposalView, said: str = "") -> None:
        super().__init__()
        self.proposal = proposal
        self.said = said


class ProposalDecided(Message, bubble=False):
    """What became of a decision; `then` says that a run was asked for too."""

    def __init__(self, decided: Decided, decide: Decide, then: bool) -> None:
        super().__init__()
        self.decided = decided
        self.decide = decide
        self.then = then


def _open(card: ProposalCard) -> str:
    if card.proposal is None:
        return "There is no proposal"
    return "" if card.proposal.status == "open" else STATUS_HINTS[card.proposal.status]


def _commentable(card: ProposalCard) -> str:
    if card.proposal is None:
        return "There is no proposal"
    return "" if card.proposal.status in ("open", "broken", "stale") else STATUS_HINTS[card.proposal.status]


class ProposalCard(Acting, Vertical):
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
        self._sending = False
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
        self._why.text = "\n".join(text for text in (visible(proposal.title), visible(proposal.why), hint) if text)
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

    # Choosing ----------------------------------------------------------------------------------------------------

    @action(
        "proposal.toggle",
        "toggle",
        keys="space",
        help="Take this change or leave it; say yes to a risk",
        footer=1,
        when=_open,
    )
    def toggle(self) -> None:
        choice, line = self.choice, self.changes.line
        if choice is None or line is None:
            return
        if line.risk is not None:
            choice.toggle_risk(line.risk.id)
        elif line.group is not None:
            others = choice.toggle(line.group.id)
            if others:
                word = "Also taken" if line.group.id in choice.accepted else "Also left out"
                self.rondo.say(f"{word}: {', '.join(visible(group_title(group.title)) for group in others)}", "info")
        elif line.assumption is not None:
            self.edit_assumption()
            return
        self.refresh_lines()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter: the text of a change, or another text for an assumption."""
        event.stop()
        line = self.changes.line
        if event.lines is self.diff:
            self.screen.set_focus(self.changes)
        elif line is not None and line.assumption is not None:
            self.edit_assumption()
        else:
            self.screen.set_focus(self.diff)

    def edit_assumption(self) -> None:
        """Change what is assumed."""
        from tui.screens.chats import LineSheet

        choice, line = self.choice, self.changes.line
        reason = _open(self)
        if choice is None or line is None or line.assumption is None or reason:
            self.rondo.say(reason, "hint")
            return
        key = line.assumption.id

        def written(text: str | None) -> None:
            if text:
                choice.assumptions[key] = text
                self.refresh_lines()

        self.rondo.push_screen(LineSheet("what is assumed", given=choice.assumptions[key], enter="keep"), written)

    @action("proposal.next", "next", keys="n", help="To the next change", footer=7)
    def next_change(self) -> None:
        self._to_change(1)

    @action("proposal.previous", "before", keys="p", help="To the change before", footer=8)
    def previous_change(self) -> None:
        self._to_change(-1)

    def _to_change(self, step: int) -> None:
        places = [
            place for place, line in enumerate(self.changes.lines) if line.kind in ("group", "risk", "assumption")
        ]
        here = self.changes.cursor
        ahead = [place for place in places if (place - here) * step > 0]
        if ahead:
            self.changes.move_to(min(ahead) if step > 0 else max(ahead))
        self.screen.set_focus(self.changes)

    # Deciding ----------------------------------------------------------------------------------------------------

    @action(
        "proposal.apply",
        "apply",
        keys="a",
        words="apply",
        help="Apply what is marked, with a backup; u takes it back",
        footer=2,
        when=_open,
    )
    def apply(self) -> None:
        self._accept(then=False)

    @action(
        "proposal.apply-and-run",
        "apply and run",
        keys="A",
        words="apply and run",
        help="Apply, then run; after a repair the failed run goes on",
        footer=3,
        when=_open,
    )
    def apply_and_run(self) -> None:
        self._accept(then=True)

    def _accept(self, *, then: bool) -> None:
        choice = self.choice
        if choice is None or not self._may_decide():
            return
        if not choice.accepted:
            self.rondo.say("Nothing is marked: space marks a change, x rejects all", "hint")
            return
        risks = choice.open_risks
        if risks:
            place = next(
                n for n, line in enumerate(self.changes.lines) if line.risk is not None and line.risk.id == risks[0].id
            )
            self.changes.move_to(place)
            self.screen.set_focus(self.changes)
            count = plural(len(risks), "risk wants", "risks want")
            self.rondo.say(f"{count} a yes of their own: read the text, then space on each", "hint")
            return
        decide = Decide(
            command_id=str(uuid4()),
            proposal_id=choice.proposal.proposal_id,
            decision="accept",
            accept=choice.accept,
            consent=choice.given_consent,
            assumptions=choice.edited_assumptions,
        )
        self._decide(decide, "applying", then=then)

    def _may_decide(self) -> bool:
        if self._sending:
            self.rondo.say("It is being decided", "hint")
            return False
        if not self.armed:
            self.rondo.say("That came too soon to be meant: press it once more", "hint")
            return False
        return True

    @action(
        "proposal.reject",
        "reject",
        keys="x",
        words="reject",
        help="Reject all of it; you may say why",
        footer=5,
        when=_commentable,
    )
    def reject(self) -> None:
        self._with_comment(
            "Reject this proposal?", "Why not? It may stay empty. Nothing is changed.", "reject", "reject"
        )

    @action(
        "proposal.revise",
        "comment",
        keys="m",
        words="revise",
        help="Send it back with a comment, for another proposal",
        footer=4,
        when=_commentable,
    )
    def revise(self) -> None:
        self._with_comment("What should be different?", "The assistant makes another proposal.", "send", "revise")

    def _with_comment(self, title: str, text: str, enter: str, decision: Any) -> None:
        from tui.screens.chats import LineSheet

        proposal = self.proposal
        if proposal is None or not self._may_decide():
            return
        command = str(uuid4())

        def written(comment: str | None) -> None:
            if comment is None:
                return
            if decision == "revise" and not comment:
                self.rondo.say("Nothing was sent: a comment says what should be different", "hint")
                return
            decide = Decide(command_id=command, proposal_id=proposal.proposal_id, decision=decision, comment=comment)
            self._decide(decide, "rejecting" if decision == "reject" else "sending the comment", then=False)

        self.rondo.push_screen(LineSheet(title, text, enter=enter), written)

    @action(
        "proposal.try",
        "try",
        keys="t",
        words="try",
        help="Import the code and run it dry in an isolated process; asks first",
        footer=6,
        when=_open,
    )
    def try_it(self) -> None:
        from tui.screens.confirm import ConfirmSheet

        proposal = self.proposal
        if proposal is None:
            return
        command = str(uuid4())

        def decided(yes: bool | None) -> None:
            if yes:
                self.rondo.say("Trying it…", "info")

                async def call() -> Message:
                    tried = await self.api.try_proposal(command, proposal.proposal_id)
                    return ProposalRead(tried, "Tried: the checks say how it went")

                self._call(call, "trying it")

        text = "This runs code that a model wrote, in a process of its own: an import, and a run with stubbed calls."
        self.rondo.push_screen(ConfirmSheet("Try this proposal?", text, yes="try it"), decided)

    @action(
        "proposal.graph",
        "on the graph",
        keys="g",
        help="The proposal drawn on the graph: + - ~ at nodes and edges",
        footer=9,
    )
    def show_on_graph(self) -> None:
        if self.proposal is not None:
            self.post_message(self.Shown(self.proposal))

    @action("proposal.close", "close", keys="escape", help="Back to the conversation", footer=12)
    def close(self) -> None:
        self.post_message(self.Closed())

    # What comes of it --------------------------------------------------------------------------------------------

    def _decide(self, decide: Decide, doing: str, *, then: bool) -> None:
        self._sending = True

        async def call() -> Message:
            return ProposalDecided(await self.api.decide_proposal(decide), decide, then)

        self._call(call, doing)

    def _call(self, call: Callable[[], Awaitable[Message]], doing: str) -> None:
        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                message = EngineFailed(error, doing)
            self.post_message(message)

        self.run_worker(work, group="proposal", name=doing)  # type: ignore[arg-type]

    def on_engine_failed(self, message: EngineFailed) -> None:
        """Say why it was not done, and read how the proposal stands: it may be stale or decided elsewhere."""
        self._sending = False
        self.screen.post_message(EngineFailed(message.error, message.doing))
        proposal = self.proposal

        async def work() -> None:
            if proposal is None:
                return
            try:
                self.post_message(ProposalRead(await self.api.get_proposal(proposal.proposal_id)))
            except RondoError:
                return

        self.run_worker(work, group="proposal read", exclusive=True)  # type: ignore[arg-type]

    def on_proposal_read(self, message: ProposalRead) -> None:
        if self.proposal is not None and message.proposal.proposal_id == self.proposal.proposal_id:
            self._take(message.proposal)
            if message.said:
                self.rondo.say(message.said, "good")

    def _take(self, proposal: ProposalView) -> None:
        """Show the proposal as it is now, and let the conversation know it so."""
        self.rondo.desk.conversation.proposals[proposal.proposal_id] = proposal
        self.show(proposal)

    def on_proposal_decided(self, message: ProposalDecided) -> None:
        """Say what became of it."""
        self._sending = False
        proposal, decide = message.decided.proposal, message.decide
        self._take(proposal)
        match decide.decision:
            case "accept":
                backup = f", backup {visible(message.decided.backup)}" if message.decided.backup else ""
                self.rondo.say(f"Applied to {visible(proposal.workflow)}{backup}; u takes it back", "good")
                if message.then:
                    self.post_message(self.Applied(proposal))
            case "reject":
                self.rondo.say("Rejected; nothing was changed", "good")
            case "revise":
                self.rondo.say("Sent back with your comment", "good")
        self.post_message(self.Closed())
