"""A proposal as text: what changes, why, what was checked, what it may reach; and as a document."""

from __future__ import annotations

import msgspec

from core.cli.documents import Document
from core.cli.output import Output, Part, duration, iso_time
from core.cli.workflows import DIFF_STYLES
from core.link.chat_types import CheckView, ProposalView, RiskView, Understanding
from core.link.model_types import UsageView

SIGN_STYLES = {"+": "green", "-": "red", "~": "yellow"}
CHECK_SIGNS: dict[str, Part] = {
    "passed": ("✓", "green"),
    "warned": ("!", "yellow"),
    "failed": ("✗", "red"),
    "not_run": ("-", "dim"),
    "skipped": ("-", "dim"),
}
DIFF_LINES = 60
"""Lines of one class's diff that are shown unless all are asked for."""


def show_card(output: Output, proposal: ProposalView, *, whole: bool = False) -> None:
    """Print a proposal for a person to decide about."""
    output.line("")
    output.line((f"Proposal {proposal.number} for {proposal.workflow}: {proposal.title}", "bold"))
    output.line((f"  {short(proposal.proposal_id)}, {proposal.status}", "dim"))
    for line in proposal.why.splitlines():
        output.line(f"  {line}")
    for number, group in enumerate(proposal.groups, 1):
        needs = [str(place) for place, other in enumerate(proposal.groups, 1) if other.id in group.needs]
        output.line("")
        with_them = f"  (needs {', '.join(needs)})" if needs else ""
        output.line((f"{number}. {group.title}", "bold"), (with_them, "dim"))
        for change in group.graph:
            output.line((f"   {change.sign} {change.what} {change.text}", SIGN_STYLES[change.sign]))
        for code in group.classes:
            rest = "imports and the rest" if code.file.endswith(".py") else ""
            output.line((f"   {code.sign} {code.file} {code.name or rest}".rstrip(), SIGN_STYLES[code.sign]))
            _show_diff(output, code.diff, whole)
    output.line("")
    _show_checks(output, proposal.checks)
    if proposal.understanding is not None:
        output.line(("understood: ", "dim"), understood_text(proposal.understanding))
    for number, assumption in enumerate(proposal.assumptions, 1):
        output.line(("assumed: ", "yellow"), f"{number}. {assumption.text}")
    for risk in proposal.risks:
        output.line(("needs a yes of its own: ", "bold yellow"), risk_text(risk))
    if proposal.usage is not None:
        output.line((usage_text(proposal.usage), "dim"))


def _show_diff(output: Output, diff: str, whole: bool) -> None:
    lines = diff.splitlines()
    for row in lines if whole else lines[:DIFF_LINES]:
        output.line((f"     {row}", DIFF_STYLES.get(row[:1], "")))
    if not whole and len(lines) > DIFF_LINES:
        output.line((f"     … {len(lines) - DIFF_LINES} more lines: rondo proposal ID --whole", "dim"))


def _show_checks(output: Output, checks: list[CheckView]) -> None:
    for check in checks:
        took = f" {duration(check.seconds)}" if check.seconds is not None else ""
        status = check.status.replace("_", " ")
        message = f"  {check.message}" if check.message else ""
        output.line(CHECK_SIGNS[check.status], f" {check.name}: {status}", (took, "dim"), message)
        for finding in check.findings if check.status in ("failed", "warned") else ():
            output.line((f"    {finding}", "dim"))


def short(proposal_id: str) -> str:
    """The ending of a proposal's id that people use."""
    return proposal_id[-8:]


def risk_text(risk: RiskView) -> str:
    """What a risk is, where it stands, and the word that allows it."""
    return f"{risk.kind}: {risk.what} ({risk.file}:{risk.line})"


def understood_text(understanding: Understanding) -> str:
    """The score in one line, with the facts that lowered it."""
    facts = f" ({'; '.join(understanding.facts)})" if understanding.facts else ""
    return f"{understanding.score:.2f} of 1, {understanding.threshold:.2f} is needed{facts}"


def usage_text(usage: UsageView) -> str:
    """What models used: tokens and cost; what is not known is not called 0."""
    if usage.unpriced and not usage.cost:
        cost = "cost unknown"
    else:
        more = f" and {usage.unpriced} calls of unknown cost" if usage.unpriced else ""
        cost = f"${usage.cost:.4f}{more}"
    return f"{usage.input_tokens:,} tokens read, {usage.output_tokens:,} written, {cost}"


def proposal_document(proposal: ProposalView) -> Document:
    """A proposal whole, as the engine gives it."""
    document: Document = msgspec.json.decode(msgspec.json.encode(proposal))
    return {**document, "created_at": iso_time(proposal.created_at)}
