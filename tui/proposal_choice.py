"""What a person has chosen of a proposal: its groups, risks and assumptions. Pure.

A group that needs others is never accepted without them: taking one away takes away what needs it, and taking one
brings what it needs.
"""

from __future__ import annotations

from core.link.chat_types import AssumptionView, ChangeGroup, ProposalView, RiskView


class ProposalChoice:
    """Everything is accepted at first; no risk is."""

    def __init__(self, proposal: ProposalView) -> None:
        self.proposal = proposal
        self.accepted = {group.id for group in proposal.groups}
        self.consent: set[str] = set()
        self.assumptions = {assumption.id: assumption.text for assumption in proposal.assumptions}

    def renew(self, proposal: ProposalView) -> None:
        """The same proposal was read again."""
        self.proposal = proposal
        known = {group.id for group in proposal.groups}
        self.accepted &= known
        self.consent &= {risk.id for risk in proposal.risks}

    def toggle(self, group_id: str) -> list[ChangeGroup]:
        """Take a group or leave it; returns the other groups that changed with it."""
        before = set(self.accepted)
        taking = group_id not in self.accepted
        changed = [group_id]
        while changed:
            here = changed.pop()
            if taking:
                self.accepted.add(here)
                changed += [need for need in self._group(here).needs if need not in self.accepted]
            else:
                self.accepted.discard(here)
                changed += [
                    group.id for group in self.proposal.groups if here in group.needs and group.id in self.accepted
                ]
        differing = before ^ self.accepted
        return [group for group in self.proposal.groups if group.id in differing and group.id != group_id]

    def toggle_risk(self, risk_id: str) -> None:
        """Say yes to one risk, or take it back."""
        self.consent ^= {risk_id}

    def _group(self, group_id: str) -> ChangeGroup:
        return next(group for group in self.proposal.groups if group.id == group_id)

    @property
    def open_risks(self) -> list[RiskView]:
        """The risks of what is accepted that nobody said yes to."""
        return [risk for risk in self.proposal.risks if self._concerns(risk) and risk.id not in self.consent]

    def _concerns(self, risk: RiskView) -> bool:
        known = {group.id for group in self.proposal.groups}
        return risk.group in self.accepted or risk.group not in known

    @property
    def accept(self) -> list[str] | None:
        """The groups to accept, None for all."""
        if len(self.accepted) == len(self.proposal.groups):
            return None
        return [group.id for group in self.proposal.groups if group.id in self.accepted]

    @property
    def given_consent(self) -> list[str]:
        """The risks of what is accepted that the person said yes to."""
        return [risk.id for risk in self.proposal.risks if risk.id in self.consent and self._concerns(risk)]

    @property
    def edited_assumptions(self) -> list[AssumptionView] | None:
        """The assumptions as they are now, None where none was changed."""
        before = {assumption.id: assumption.text for assumption in self.proposal.assumptions}
        if before == self.assumptions:
            return None
        return [AssumptionView(id=key, text=text) for key, text in self.assumptions.items()]
