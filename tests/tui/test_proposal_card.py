"""The card of a proposal: choosing, deciding, trying, and the graph with the proposal on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from chat_double import Chat, weekday_proposal
from engine_double import EngineDouble
from hypothesis import given
from hypothesis import strategies as st
from looking import line_with, press_twice, screen_text, shows, until
from textual.pilot import Pilot

from core.errors import ProposalStale, UndoConflict
from core.link.chat_types import ChangeGroup, ProposalView, ResumeOffer
from tui.app import RondoApp
from tui.proposal_choice import ProposalChoice
from tui.screens.chat import ChatScreen
from tui.widgets import proposal_card

AppOn = Callable[[EngineDouble], RondoApp]


def proposed(double: EngineDouble, **how: Any) -> Chat:
    """A chat about mail_digest with a proposal at its end."""
    scenes.mail(double)
    chat = double.chat("mail_digest", title="weekdays")
    double.add(chat, "user", "only post on weekdays")
    double.propose(chat, weekday_proposal(chat, **how))
    return chat


async def on_card(pilot: Pilot[Any]) -> ChatScreen:
    """To the card, as soon as it decides."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await shows(pilot, "mail_digest")
    await pilot.press("j")
    await until(pilot, lambda: app.screen.workflow_name == "mail_digest")  # type: ignore[attr-defined]
    await pilot.press("6")
    await until(pilot, lambda: isinstance(app.screen, ChatScreen) and app.screen.pane.composer.has_focus)
    screen = app.screen
    assert isinstance(screen, ChatScreen)
    await until(pilot, lambda: screen.card.proposal is not None)
    # Nothing written: Enter leads to what waits.
    await pilot.press("enter")
    await until(pilot, lambda: screen.card.changes.has_focus)
    return screen


async def armed(pilot: Pilot[Any], screen: ChatScreen) -> None:
    await until(pilot, lambda: screen.card.armed)


async def test_groups_risks_and_assumptions_are_decided_one_by_one(double: EngineDouble, app_on: AppOn) -> None:
    proposed(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_card(pilot)
        await armed(pilot, screen)
        await pilot.press("a")
        await shows(pilot, "2 risks want a yes of their own")
        assert not double.decided
        # Taking the gate away takes away what needs it; the risks are of the third group.
        await pilot.press("n", "n", "space")
        await shows(pilot, "Also left out: many_mails")
        assert "[ ] + weekday_gate" in screen_text(app)
        assert "[x] ~ post" in screen_text(app)
        await pilot.press("G", "enter")
        await until(pilot, lambda: app.screen.view == "line")  # type: ignore[attr-defined]
        await pilot.press("ctrl+u", *"it is UTC", "enter")
        await shows(pilot, "assumes: it is UTC  (edited)")
        await press_twice(pilot, "g")
        await pilot.press("space", "j", "space")
        await armed(pilot, screen)
        await pilot.press("a")
        await until(pilot, lambda: double.decided)
        decide = double.decided[0]
        assert (decide.decision, decide.accept, decide.consent) == ("accept", ["g3"], ["r1", "r2"])
        assert [entry.text for entry in decide.assumptions or []] == ["it is UTC"]
        await shows(pilot, "Applied to mail_digest, backup in backups/2026-01-02; u takes it back")
        await shows(pilot, "✓ applied")
        await pilot.press("u")
        await until(pilot, lambda: getattr(app.screen, "armed", False) and app.screen.view == "confirm")  # type: ignore[attr-defined]
        await pilot.press("y")
        await shows(pilot, "Taken back: Post on weekdays only")
        double.problems["redo_edit"] = UndoConflict("Both changed Post.", details={"yours": "a", "theirs": "b"})
        await pilot.press("colon", *"redo", "enter")
        await shows(pilot, "Both changed Post.")


async def test_keys_that_come_too_soon_decide_nothing(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed(double, risky=False)
    # Long enough for any machine; then as short as it is.
    monkeypatch.setattr(proposal_card, "GRACE_SECONDS", 3600)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await on_card(pilot)
        await pilot.press("a")
        assert not double.decided
        await shows(pilot, "too soon to be meant")
        monkeypatch.setattr(proposal_card, "GRACE_SECONDS", 0.5)
        await pilot.press("enter", "enter")
        assert "a apply" in line_with(app, "space toggle")
        await armed(pilot, screen)
        await pilot.press("t")
        await shows(pilot, "Try this proposal?")
        assert "try_proposal" not in double.calls
        await until(pilot, lambda: getattr(app.screen, "armed", False))
        await pilot.press("y")
        await shows(pilot, "✓ dry run")
        await armed(pilot, screen)
        await pilot.press("m")
        await until(pilot, lambda: app.screen.view == "line")  # type: ignore[attr-defined]
        await pilot.press(*"no gate", "enter")
        await until(pilot, lambda: double.decided)
        assert (double.decided[0].decision, double.decided[0].comment) == ("revise", "no gate")
        # The card goes, the conversation has the keys again.
        await until(pilot, lambda: not screen.card.display and screen.pane.log_view.has_focus)
        assert "⊘ revised" in screen_text(app)


async def test_what_can_not_be_applied_says_why(double: EngineDouble, app_on: AppOn) -> None:
    chat = proposed(double, risky=False)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_card(pilot)
        await armed(pilot, screen)
        problem = ProposalStale("mail_digest has changed since.", next_step="Send it back with m.")
        double.problems["decide_proposal"] = problem
        double.proposals["proposal-3"].status = "stale"
        await pilot.press("a")
        await shows(pilot, "mail_digest has changed since.")
        await shows(pilot, "m asks for it anew")
        await pilot.press("a")
        assert not double.decided
        await pilot.press("x")
        await until(pilot, lambda: app.screen.view == "line")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: double.decided)
        double.propose(chat, weekday_proposal(chat, number=4, status="broken"))
        await shows(pilot, "proposal 4")
        await until(pilot, lambda: screen.pane.log_view.has_focus)
        await pilot.press("G", "enter")
        await shows(pilot, "E104 nodes.py:41 unknown class")
        await shows(pilot, "checks fail, so it can't be applied")


async def test_a_repair_is_applied_and_its_run_goes_on(double: EngineDouble, app_on: AppOn) -> None:
    proposed(double, risky=False)
    failed = next(run for run in double.runs.values() if run.status == "failed")
    double.proposals["proposal-3"].resume = ResumeOffer(run_id=failed.id, node="parse", seq=1)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_card(pilot)
        await armed(pilot, screen)
        await pilot.press("A")
        await until(pilot, lambda: "rewind_run" in double.calls)
        assert double.decided[0].accept is None
        await until(pilot, lambda: app.screen.view == "run")  # type: ignore[attr-defined]
        await shows(pilot, "run bbbb0002")


async def test_the_proposal_is_drawn_on_the_graph(double: EngineDouble, app_on: AppOn) -> None:
    proposed(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await on_card(pilot)
        await pilot.press("g")
        await shows(pilot, "+ weekday_gate")
        await shows(pilot, "~ post")
        await shows(pilot, "+ n > 50")
        assert "- removed" in screen_text(app)
        await shows(pilot, "weekday_gate  is added")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: line_with(app, "? help").strip().startswith("p proposal"))


@given(st.data())
def test_no_group_is_accepted_without_what_it_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    groups = []
    for number in range(count):
        needs = data.draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        groups.append(ChangeGroup(id=str(number), title="", graph=[], classes=[], needs=[str(need) for need in needs]))
    choice = ProposalChoice(_only(groups))
    for toggled in data.draw(st.lists(st.integers(0, count - 1), max_size=12)):
        before = str(toggled) in choice.accepted
        choice.toggle(str(toggled))
        assert (str(toggled) in choice.accepted) is not before
        for group in groups:
            assert group.id not in choice.accepted or set(group.needs) <= choice.accepted


def _only(groups: list[ChangeGroup]) -> ProposalView:
    double = EngineDouble()
    proposal = weekday_proposal(double.chat("mail_digest"), risky=False)
    proposal.groups = groups
    return proposal
