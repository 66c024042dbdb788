"""Changed files and what changed between two versions, as lines of spans. Pure: rows in, text out."""

from __future__ import annotations

from collections.abc import Sequence

from core.link.workflow_types import FileChange, VersionDiff, VersionView
from tui.spans import SIGN_INKS, Spans
from tui.text import fit, plural, relative_time, visible

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
INKS = {"+": "added", "-": "removed", "@": "dim"}
SHORT_HASH = 12


def file_lines(changes: Sequence[FileChange]) -> list[Spans]:
    """The files and their differences, line by line; nothing in them reaches the terminal but as text."""
    lines: list[Spans] = []
    for change in changes:
        sign = SIGNS.get(change.status, "?")
        ink = SIGN_INKS.get(sign, "dim")
        lines.append([(f"{sign} ", ink), (visible(change.path), "strong"), (f"  {change.status}", "dim")])
        for text in change.diff.splitlines():
            if not text.startswith(("+++", "---")):
                lines.append([("  " + visible(text), INKS.get(text[:1], ""))])
    return lines


def difference_lines(diff: VersionDiff) -> list[Spans]:
    """What leads from one version to another: the graph in words, then the files."""
    if not diff.files:
        return [[("No file differs.", "dim")]]
    lines: list[Spans] = []
    for change in diff.graph:
        sign = SIGNS.get(change.kind, "?")
        lines.append([(f"{sign} ", SIGN_INKS.get(sign, "dim")), ("graph  ", "dim"), (visible(change.text), "")])
    if diff.note:
        lines.append([("! ", "waiting"), ("graph  ", "dim"), (visible(diff.note), "")])
    return [*lines, *([[]] if lines else []), *file_lines(diff.files)]


def version_spans(row: VersionView, now: float, width: int) -> Spans:
    """One version in a list: which it is, since when, how often it ran, whether it may run, what it changed."""
    seen = relative_time(row.first_seen_at, now) if row.first_seen_at is not None else "not kept"
    may: tuple[str, str] = ("✓ approved", "good") if row.approved else ("! not approved", "waiting")
    if not row.kept:
        may = ("", "")
    head: Spans = [
        ("● " if row.present else "  ", "running"),
        (fit(row.hash[:SHORT_HASH], SHORT_HASH + 2), "strong"),
        (fit("now" if row.present else "", 5), "running"),
        (fit(seen, 10), "dim"),
        (fit(plural(row.runs, "run"), 9, right=True), "" if row.runs else "dim"),
        ("  ", ""),
        (fit(may[0], 16), may[1]),
    ]
    used = sum(len(text) for text, _ in head)
    return [*head, (fit(visible("; ".join(row.changes)), max(0, width - used)), "")]
