"""What a chat says in few words: costs, tokens, checks, understanding. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from core.link.chat_types import ChangeGroup, CheckView, ProposalView, Understanding
from core.link.model_types import UsageView
from tui.spans import Spans
from tui.text import plural, visible

CHECK_LOOKS = {
    "passed": ("✓", "good"),
    "warned": ("!", "waiting"),
    "failed": ("✗", "bad"),
    "not_run": ("-", "dim"),
    "skipped": ("-", "dim"),
}
STATUS_WORDS = {
    "open": ("◐ open", "waiting"),
    "applied": ("✓ applied", "good"),
    "rejected": ("⊘ rejected", "dim"),
    "revised": ("⊘ revised", "dim"),
    "broken": ("✗ broken", "bad"),
    "stale": ("! stale", "bad"),
}


def tokens_text(count: int) -> str:
    """Tokens in a short form: `812 tokens`, `4.1k tokens`, `1.2M tokens`."""
    if count < 1000:
        return plural(count, "token")
    if count < 999_500:
        return f"{count / 1000:.1f}k tokens" if count < 99_950 else f"{count / 1000:.0f}k tokens"
    return f"{count / 1_000_000:.1f}M tokens"


def money(cost: float) -> str:
    """Dollars as one reads them: `$0.42`, `$0.012`, `<$0.001`; nothing is `$0`."""
    if cost <= 0:
        return "$0"
    if cost < 0.001:
        return "<$0.001"
    return f"${cost:.3f}" if cost < 0.1 else f"${cost:.2f}"


def cost_text(usage: UsageView) -> str:
    """What calls cost, with what is not known: `$0.012`, `cost unknown`, `$0.012 + 2 calls of unknown cost`."""
    if not usage.unpriced:
        return money(usage.cost)
    if usage.cost <= 0:
        return "cost unknown"
    return f"{money(usage.cost)} + {plural(usage.unpriced, 'call')} of unknown cost"


def usage_text(usage: UsageView) -> str:
    """Tokens and cost: `4.1k tokens $0.012`."""
    return f"{tokens_text(usage.input_tokens + usage.output_tokens)} {cost_text(usage)}"


def understanding_text(understanding: Understanding) -> str:
    """How much was understood: `understood 64 %, asks below 70 %`."""
    return f"understood {understanding.score * 100:.0f} %, asks below {understanding.threshold * 100:.0f} %"


def check_spans(checks: Iterable[CheckView]) -> Spans:
    """The checks in one line: `✓ schema  ✓ lint  - import (not run)`."""
    spans: Spans = []
    for check in checks:
        sign, ink = CHECK_LOOKS[check.status]
        word = " not run" if check.status in ("not_run", "skipped") else " failed" if check.status == "failed" else ""
        name = visible(check.name.replace("_", " "))
        spans += [("  " if spans else "", ""), (sign, ink), (f" {name}{word}", "dim" if word == " not run" else "")]
    return spans


def size_text(groups: Iterable[ChangeGroup]) -> str:
    """How much a proposal changes: `2 nodes, 3 edges, 1 class`."""
    counts = {"node": 0, "edge": 0, "setting": 0, "class": 0}
    for group in groups:
        for change in group.graph:
            counts["setting" if change.what == "settings" else change.what] += 1
        counts["class"] += sum(1 for change in group.classes if change.name)
    words = [plural(count, name, "classes" if name == "class" else "") for name, count in counts.items() if count]
    return ", ".join(words) or "no changes"


def proposal_title(proposal: ProposalView) -> str:
    """`proposal 3 · 2 nodes, 3 edges, 1 class`."""
    return f"proposal {proposal.number} · {size_text(proposal.groups)}"
