"""The keys that decide a proposal, and what comes of them: a part of its card."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from textual.message import Message

from core.errors import RondoError
from core.link.chat_types import Decide, Decided, ProposalView
from tui.actions import Acting, action
from tui.chat_lines import group_title
from tui.messages import EngineFailed
from tui.text import visible
from tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from tui.widgets.proposal_card import ProposalCard

STATUS_HINTS = {
    "applied": "applied: u takes it back",
    "rejected": "rejected: nothing was changed",
    "revised": "a later proposal took its place",
    "broken": "checks fail, so it can't be applied: m sends it back with a comment",
    "stale": "the workflow has changed since: m asks for it anew",
}


class ProposalRead(Message, bubble=False):
    """The proposal as it is now."""

    def __init__(self, proposal: ProposalView, said: str = "") -> None:
        super().__init__()
        _card(self).proposal = proposal
        self.said = said


class ProposalDecided(Message, bubble=False):
    """What became of a decision; `then` says that a run was asked for too."""

    def __init__(self, decided: Decided, decide: Decide, then: bool) -> None:
        super().__init__()
        self.decided = decided
        self.decide = decide
        self.then = then


def _card(keys: ProposalKeys) -> ProposalCard:
    return cast("ProposalCard", keys)


def _open(keys: ProposalKeys) -> str:
    if _card(keys).proposal is None:
        return "There is no proposal"
    return "" if _card(keys).proposal.status == "open" else STATUS_HINTS[_card(keys).proposal.status]


def _commentable(keys: ProposalKeys) -> str:
    if _card(keys).proposal is None:
        return "There is no proposal"
    return (
        "" if _card(keys).proposal.status in ("open", "broken", "stale") else STATUS_HINTS[_card(keys).proposal.status]
    )


class ProposalKeys(Acting):
    """What can be done with a proposal. Its class is the card."""

    sending = False
    """True while a decision is on its way."""

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
        choice, line = _card(self).choice, _card(self).changes.line
        if choice is None or line is None:
            return
        if line.risk is not None:
            choice.toggle_risk(line.risk.id)
        elif line.group is not None:
            others = choice.toggle(line.group.id)
            if others:
                word = "Also taken" if line.group.id in choice.accepted else "Also left out"
                _card(self).rondo.say(
                    f"{word}: {', '.join(visible(group_title(group.title)) for group in others)}", "info"
                )
        elif line.assumption is not None:
            self.edit_assumption()
            return
        _card(self).refresh_lines()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter: the text of a change, or another text for an assumption."""
        event.stop()
        line = _card(self).changes.line
        if event.lines is _card(self).diff:
            _card(self).screen.set_focus(_card(self).changes)
        elif line is not None and line.assumption is not None:
            self.edit_assumption()
        else:
            _card(self).screen.set_focus(_card(self).diff)

    def edit_assumption(self) -> None:
        """Change what is assumed."""
        from tui.screens.chats import LineSheet

        choice, line = _card(self).choice, _card(self).changes.line
        reason = _open(self)
        if choice is None or line is None or line.assumption is None or reason:
            _card(self).rondo.say(reason, "hint")
            return
        key = line.assumption.id

        def written(text: str | None) -> None:
            if text:
                choice.assumptions[key] = text
                _card(self).refresh_lines()

        _card(self).rondo.push_screen(
            LineSheet("what is assumed", given=choice.assumptions[key], enter="keep"), written
        )

    @action("proposal.next", "next", keys="n", help="To the next change", footer=10)
    def next_change(self) -> None:
        self._to_change(1)

    @action("proposal.previous", "before", keys="p", help="To the change before", footer=11)
    def previous_change(self) -> None:
        self._to_change(-1)

    def _to_change(self, step: int) -> None:
        places = [
            place
            for place, line in enumerate(_card(self).changes.lines)
            if line.kind in ("group", "risk", "assumption")
        ]
        here = _card(self).changes.cursor
        ahead = [place for place in places if (place - here) * step > 0]
        if ahead:
            _card(self).changes.move_to(min(ahead) if step > 0 else max(ahead))
        _card(self).screen.set_focus(_card(self).changes)

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
        choice = _card(self).choice
        if choice is None or not self._may_decide():
            return
        if not choice.accepted:
            _card(self).rondo.say("Nothing is marked: space marks a change, x rejects all", "hint")
            return
        risks = choice.open_risks
        if risks:
            place = next(
                n
                for n, line in enumerate(_card(self).changes.lines)
                if line.risk is not None and line.risk.id == risks[0].id
            )
            _card(self).changes.move_to(place)
            _card(self).screen.set_focus(_card(self).changes)
            text = "1 risk wants a yes of its own: read the text, then press space on it"
            if len(risks) > 1:
                text = f"{len(risks)} risks want a yes of their own: read the text, then press space on each"
            _card(self).rondo.say(text, "hint")
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
        if self.sending:
            _card(self).rondo.say("It is being decided", "hint")
            return False
        if not _card(self).armed:
            _card(self).rondo.say("That came too soon to be meant: press it once more", "hint")
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

        proposal = _card(self).proposal
        if proposal is None or not self._may_decide():
            return
        command = str(uuid4())

        def written(comment: str | None) -> None:
            if comment is None:
                return
            if decision == "revise" and not comment:
                _card(self).rondo.say("Nothing was sent: a comment says what should be different", "hint")
                return
            decide = Decide(command_id=command, proposal_id=proposal.proposal_id, decision=decision, comment=comment)
            self._decide(decide, "rejecting" if decision == "reject" else "sending the comment", then=False)

        _card(self).rondo.push_screen(LineSheet(title, text, enter=enter), written)

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

        proposal = _card(self).proposal
        if proposal is None:
            return
        command = str(uuid4())

        def decided(yes: bool | None) -> None:
            if yes:
                _card(self).rondo.say("Trying it…", "info")

                async def call() -> Message:
                    tried = await _card(self).api.try_proposal(command, proposal.proposal_id)
                    return ProposalRead(tried, "Tried: the checks say how it went")

                self._call(call, "trying it")

        text = "This runs code that a model wrote, in a process of its own: an import, and a run with stubbed calls."
        _card(self).rondo.push_screen(ConfirmSheet("Try this proposal?", text, yes="try it"), decided)

    @action(
        "proposal.graph",
        "on the graph",
        keys="g",
        help="The proposal drawn on the graph: + - ~ at nodes and edges",
        footer=7,
    )
    def show_on_graph(self) -> None:
        if _card(self).proposal is not None:
            _card(self).post_message(_card(self).Shown(_card(self).proposal))

    @action("proposal.close", "close", keys="escape", help="Back to the conversation", footer=12)
    def close(self) -> None:
        _card(self).post_message(_card(self).Closed())

    # What comes of it --------------------------------------------------------------------------------------------

    def _decide(self, decide: Decide, doing: str, *, then: bool) -> None:
        self.sending = True

        async def call() -> Message:
            return ProposalDecided(await _card(self).api.decide_proposal(decide), decide, then)

        self._call(call, doing)

    def _call(self, call: Callable[[], Awaitable[Message]], doing: str) -> None:
        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                message = EngineFailed(error, doing)
            _card(self).post_message(message)

        _card(self).run_worker(work, group="proposal", name=doing)  # type: ignore[arg-type]

    def on_engine_failed(self, message: EngineFailed) -> None:
        """Say why it was not done, and read how the proposal stands: it may be stale or decided elsewhere."""
        self.sending = False
        _card(self).screen.post_message(EngineFailed(message.error, message.doing))
        proposal = _card(self).proposal

        async def work() -> None:
            if proposal is None:
                return
            try:
                _card(self).post_message(ProposalRead(await _card(self).api.get_proposal(proposal.proposal_id)))
            except RondoError:
                return

        _card(self).run_worker(work, group="proposal read", exclusive=True)  # type: ignore[arg-type]

    def on_proposal_read(self, message: ProposalRead) -> None:
        if _card(self).proposal is not None and message.proposal.proposal_id == _card(self).proposal.proposal_id:
            self._take(message.proposal)
            if message.said:
                _card(self).rondo.say(message.said, "good")

    def _take(self, proposal: ProposalView) -> None:
        """Show the proposal as it is now, and let the conversation know it so."""
        _card(self).rondo.desk.conversation.proposals[proposal.proposal_id] = proposal
        _card(self).show(proposal)

    def on_proposal_decided(self, message: ProposalDecided) -> None:
        """Say what became of it."""
        self.sending = False
        proposal, decide = message.decided.proposal, message.decide
        self._take(proposal)
        match decide.decision:
            case "accept":
                backup = (
                    f", backup in backups/{visible(PurePath(message.decided.backup).name)}"
                    if message.decided.backup
                    else ""
                )
                _card(self).rondo.say(f"Applied to {visible(proposal.workflow)}{backup}; u takes it back", "good")
                if message.then:
                    _card(self).post_message(_card(self).Applied(proposal))
            case "reject":
                _card(self).rondo.say("Rejected; nothing was changed", "good")
            case "revise":
                _card(self).rondo.say("Sent back with your comment", "good")
        _card(self).post_message(_card(self).Closed())
