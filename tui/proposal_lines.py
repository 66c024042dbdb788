"""A proposal as lines: what it changes on the left, the text of the selected change on the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.link.chat_types import AssumptionView, ChangeGroup, ClassChange, ProposalView, RiskView
from tui.chat_lines import group_sign, group_title
from tui.proposal_choice import ProposalChoice
from tui.spans import SIGN_INKS, Spans
from tui.text import visible

RISK_WORDS = {
    "host": "talks to a new host",
    "import": "imports",
    "process": "starts a process",
    "eval": "runs text as code",
    "file": "reads or writes files",
    "environment": "reads the environment",
    "packages": "installs packages",
    "secret": "uses a secret",
}
DIFF_INKS = {"+": "added", "-": "removed", "@": "dim"}


@dataclass(frozen=True, slots=True)
class CardLine:
    """One line of the left side, and what it is about."""

    kind: Literal["group", "graph", "class", "risk", "assumption", "finding", "text"]
    spans: Spans
    group: ChangeGroup | None = None
    change: ClassChange | None = None
    risk: RiskView | None = None
    assumption: AssumptionView | None = None


def card_lines(choice: ProposalChoice) -> list[CardLine]:
    """The left side: groups with what is in them, risks, assumptions, and what checks found."""
    proposal = choice.proposal
    lines: list[CardLine] = []
    decidable = proposal.status == "open"
    for check in proposal.checks:
        if check.status == "failed" or (check.status == "warned" and check.findings):
            ink = "bad" if check.status == "failed" else "waiting"
            word = f"{'✗' if check.status == 'failed' else '!'} {check.name}: {check.message}"
            lines.append(CardLine("finding", [(visible(word), ink)]))
            lines += [CardLine("finding", [("    " + visible(text), "dim")]) for text in check.findings]
    for risk in proposal.risks:
        box = ("[x] " if risk.id in choice.consent else "[ ] ") if decidable else "  "
        what = f"{RISK_WORDS[risk.kind]}: {visible(risk.what)}"
        lines.append(
            CardLine(
                "risk",
                [(box, "bad"), ("! ", "bad"), (what, "bad"), (f"  {visible(risk.file)}:{risk.line}", "dim")],
                risk=risk,
            )
        )
    for group in proposal.groups:
        lines += _group_lines(choice, group, decidable)
    for assumption in proposal.assumptions:
        text = choice.assumptions.get(assumption.id, assumption.text)
        edited = "  (edited)" if text != assumption.text else ""
        lines.append(
            CardLine(
                "assumption", [("assumes: ", "dim"), (visible(text), ""), (edited, "waiting")], assumption=assumption
            )
        )
    return lines


def _group_lines(choice: ProposalChoice, group: ChangeGroup, decidable: bool) -> list[CardLine]:
    accepted = group.id in choice.accepted
    box = ("[x] " if accepted else "[ ] ") if decidable else ""
    sign = group_sign(choice.proposal, group.id)
    head: Spans = [
        (box, "accent" if accepted else "dim"),
        (f"{sign} ", SIGN_INKS[sign]),
        (visible(group_title(group.title)), "strong" if accepted or not decidable else "dim"),
    ]
    names = {other.id: group_title(other.title).split("  ")[0] for other in choice.proposal.groups}
    if group.needs:
        head.append((f"  needs {', '.join(visible(names.get(need, need)) for need in group.needs)}", "dim"))
    lines = [CardLine("group", head, group)]
    inset = " " * len(box) + "  "
    for change in group.graph:
        text = change.text or f"{change.what} {change.target}"
        spans: Spans = [
            (inset, ""),
            (f"{change.sign} ", SIGN_INKS[change.sign]),
            (visible(text), "" if accepted else "dim"),
        ]
        lines.append(CardLine("graph", spans, group))
    for code in group.classes:
        name = code_name(code)
        spans = [(inset, ""), (f"{code.sign} ", SIGN_INKS[code.sign]), (visible(name), "" if accepted else "dim")]
        spans.append((f"  {visible(code.file)} {_diff_size(code.diff)}", "dim"))
        lines.append(CardLine("class", spans, group, code))
    return lines


def code_name(change: ClassChange) -> str:
    """What a change of code is about: a class, what stands between them, or another file as a whole."""
    if change.name:
        return f"class {change.name}"
    return "imports and the rest" if change.file == "nodes.py" else "the file"


def _diff_size(diff: str) -> str:
    added = sum(1 for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++"))
    removed = sum(1 for line in diff.splitlines() if line.startswith("-") and not line.startswith("---"))
    return " ".join(part for part in (f"+{added}" if added else "", f"-{removed}" if removed else "") if part)


def diff_lines(line: CardLine | None, proposal: ProposalView) -> list[Spans]:
    """The right side: the text of what the line is about."""
    if line is None:
        return []
    if line.kind == "risk" and line.risk is not None:
        risk = line.risk
        group = next((group for group in proposal.groups if group.id == risk.group), None)
        lead: list[Spans] = [
            [("! ", "bad"), (visible(risk.what), "bad")],
            [("space: say yes to it, or take it back", "dim")],
            [],
        ]
        return lead + (_classes_lines(group.classes, risk) if group is not None else [])
    if line.kind == "assumption":
        return [
            [("enter changes what is assumed", "dim")],
            [],
            [("It stays on the workflow, visible and editable.", "dim")],
        ]
    if line.change is not None:
        return _classes_lines([line.change])
    if line.group is not None and line.group.classes:
        return _classes_lines(line.group.classes)
    if line.group is not None:
        return [
            [("No code changes here, only the graph:", "dim")],
            *([*part.spans] for part in _graph_only(line.group)),
        ]
    return []


def _graph_only(group: ChangeGroup) -> list[CardLine]:
    return [
        CardLine("graph", [(f"{change.sign} ", SIGN_INKS[change.sign]), (visible(change.text or change.target), "")])
        for change in group.graph
    ]


def _classes_lines(classes: Sequence[ClassChange], risk: RiskView | None = None) -> list[Spans]:
    lines: list[Spans] = []
    for change in classes:
        if lines:
            lines.append([])
        name = code_name(change)
        lines.append(
            [
                (f"{change.sign} ", SIGN_INKS[change.sign]),
                (visible(name), "strong"),
                (f"  {visible(change.file)}", "dim"),
            ]
        )
        for text in change.diff.splitlines():
            if text.startswith(("+++", "---")):
                continue
            marked = risk is not None and text.startswith("+") and risk.what and risk.what in text
            lines.append([("!" if marked else " ", "bad"), (visible(text), DIFF_INKS.get(text[:1], ""))])
    return lines


def group_line(group: ChangeGroup) -> CardLine:
    """The line of a group, for its text alone."""
    return CardLine("group", [], group)
