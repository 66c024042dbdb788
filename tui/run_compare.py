"""Two runs side by side: what they were, the way each went, and in what their states differ. Pure but for reading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from core.link.api import EngineApi
from core.link.status import look_of, run_seconds
from core.link.types import ChangeView, RunView, StatePoint, StepView
from tui.chat_words import usage_text
from tui.spans import SIGN_INKS, Spans
from tui.state_tree import path_text
from tui.text import duration, exact_time, fit, plural, shorten, visible

STEPS_AT_MOST = 500
"""Attempts of each run that are laid side by side, the first ones."""
CHANGES_AT_MOST = 500
HEAD_WIDTH = 10
COLUMN_WIDTH = 34


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, the older one first."""

    runs: tuple[RunView, RunView]
    steps: tuple[list[StepView], list[StepView]]
    changes: list[ChangeView]
    """What must change in the first one's last state to get the second one's."""
    now: float

    @property
    def title(self) -> str:
        """What is compared."""
        one, other = self.runs
        return f"{one.short_id} and {other.short_id} of {visible(one.workflow)}" + (
            "" if one.workflow == other.workflow else f" and {visible(other.workflow)}"
        )


async def compare_runs(engine: EngineApi, one: str, other: str, now: float) -> Comparison:
    """Read two runs, and what is to be said of both."""
    first, second = sorted([await engine.get_run(one), await engine.get_run(other)], key=lambda run: run.created_at)
    steps = [(await engine.read_steps(run.run_id, limit=STEPS_AT_MOST)).steps for run in (first, second)]
    changes = await engine.read_difference(StatePoint(run_id=first.run_id), StatePoint(run_id=second.run_id))
    return Comparison((first, second), (steps[0], steps[1]), changes, now)


async def comparison_lines(comparison: Comparison) -> list[Spans]:
    """The lines to read; long ways are laid side by side in a thread."""
    return await asyncio.to_thread(_lines, comparison)


def _lines(comparison: Comparison) -> list[Spans]:
    return [*_head(comparison), [], *_path(comparison), [], *_state(comparison.changes)]


def _head(comparison: Comparison) -> list[Spans]:
    one, other = comparison.runs
    lines: list[Spans] = [_row("", (one.short_id, "strong"), (other.short_id, "strong"))]
    if one.workflow != other.workflow:
        lines.append(_row("workflow", (visible(one.workflow), ""), (visible(other.workflow), "")))
    looks = look_of(one.status), look_of(other.status)
    lines.append(_row("status", (looks[0].text, looks[0].ink), (looks[1].text, looks[1].ink)))
    facts = [
        ("version", [run.version[:12] for run in comparison.runs]),
        ("started", [exact_time(run.created_at) for run in comparison.runs]),
        ("took", [_took(run, comparison.now) for run in comparison.runs]),
        ("steps", [str(run.step) for run in comparison.runs]),
        ("models", [usage_text(run.usage) if run.usage is not None else "-" for run in comparison.runs]),
    ]
    for name, (left, right) in facts:
        lines.append(_row(name, (left, ""), (right, "" if left == right else "waiting")))
    return lines


def _row(name: str, left: tuple[str, str], right: tuple[str, str]) -> Spans:
    return [(fit(name, HEAD_WIDTH), "dim"), (fit(left[0], COLUMN_WIDTH), left[1]), ("  ", ""), right]


def _took(run: RunView, now: float) -> str:
    seconds = run_seconds(run.started_at, run.ended_at, now)
    return "-" if seconds is None else duration(seconds)


def _path(comparison: Comparison) -> list[Spans]:
    """The way of both, node by node: what one did alone stands alone on its side."""
    ways = [[step.node for step in steps] for steps in comparison.steps]
    same = ways[0] == ways[1]
    lines: list[Spans] = [[("path", "strong"), ("   the same nodes" if same else "", "dim")]]
    left, right = comparison.steps
    for kind, first, first_end, second, second_end in SequenceMatcher(None, *ways, autojunk=False).get_opcodes():
        if kind == "equal":
            pairs = zip(left[first:first_end], right[second:second_end], strict=True)
            lines += [_step_row(" ", one, other) for one, other in pairs]
        else:
            lines += [_step_row("-", one, None) for one in left[first:first_end]]
            lines += [_step_row("+", None, other) for other in right[second:second_end]]
    for run, steps in zip(comparison.runs, comparison.steps, strict=True):
        shown = sum(step.step is not None for step in steps)
        if shown < run.step:
            lines.append([(f"  {run.short_id}: the first {shown} of {plural(run.step, 'step')}", "dim")])
    return lines


def _step_row(sign: str, one: StepView | None, other: StepView | None) -> Spans:
    ink = SIGN_INKS.get(sign, "")
    spans: Spans = [(fit(sign, HEAD_WIDTH - 2, right=True), ink), ("  ", "")]
    for step in (one, other):
        if step is None:
            spans.append((" " * (COLUMN_WIDTH + 2), ""))
            continue
        look = look_of(step.status)
        name = visible(step.node) + (f"#{step.visit}" if step.visit > 1 else "")
        time = duration(step.ended_at - step.started_at) if step.ended_at is not None else "now"
        spans += [(fit(name, COLUMN_WIDTH - 10), ink), (f"{look.sign} ", look.ink)]
        spans += [(fit(time, 6, right=True), "dim"), ("    ", "")]
    return spans


def _state(changes: Sequence[ChangeView]) -> list[Spans]:
    count = f"   {plural(len(changes), 'path differs', 'paths differ')}" if changes else ""
    lines: list[Spans] = [[("state", "strong"), (count, "dim")]]
    if not changes:
        return [*lines, [("  the same in both", "dim")]]
    for change in changes[:CHANGES_AT_MOST]:
        sign = "-" if change.op == "del" else "+" if change.before is None else "~"
        spans: Spans = [(f"  {sign} ", SIGN_INKS[sign]), (visible(path_text(tuple(change.path))), "strong"), ("  ", "")]
        if change.before is not None:
            spans.append((shorten(visible(change.before), 60), "removed"))
        if change.before is not None and change.after is not None:
            spans.append((" → ", "dim"))
        if change.after is not None:
            spans.append((shorten(visible(change.after), 60), "added"))
        lines.append(spans)
    if len(changes) > CHANGES_AT_MOST:
        lines.append([(f"  … and {len(changes) - CHANGES_AT_MOST} more", "dim")])
    return lines
