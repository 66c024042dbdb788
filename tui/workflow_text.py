"""What a workflow's table row and detail pane say, as spans. Pure: rows in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len

from core.link.status import look_of, run_seconds
from core.link.tool_types import WorkflowTool
from core.link.types import RunRow
from core.link.usage_types import money
from core.link.workflow_types import FindingView, WorkflowDetail, WorkflowRow
from tui.spans import Spans
from tui.text import duration, plural, time_ahead, visible

HEIGHTS = "▁▂▃▄▅▆▇█"
SEVERITY_INKS = {"error": "bad", "warning": "waiting", "note": "dim"}
SEVERITY_SIGNS = {"error": "✗", "warning": "!", "note": "·"}
SOON_SECONDS = 3 * 86_400.0
"""A connection that ends within this time is told of."""
SEVERITY_ORDER = {"error": 0, "warning": 1, "note": 2}


def worst_first(findings: Sequence[FindingView]) -> list[FindingView]:
    """Errors, then warnings, then notes."""
    return sorted(findings, key=lambda finding: SEVERITY_ORDER.get(finding.severity, 3))


def finding_place(finding: FindingView) -> str:
    """Where a finding stands: `nodes.py:41`, or the node's id, or ""."""
    if finding.file:
        return f"{visible(finding.file)}:{finding.line}" if finding.line else visible(finding.file)
    return visible(finding.node or "")


def row_remark(row: WorkflowRow) -> tuple[str, str]:
    """The last column of a row and its ink: the worst finding, or that it is not approved, or nothing."""
    findings = worst_first(row.findings)
    if findings and findings[0].severity == "error":
        first = findings[0]
        return (" ".join(part for part in (first.code, finding_place(first), visible(first.message)) if part), "bad")
    if not row.approved:
        return ("! not approved", "waiting")
    warnings = [finding for finding in findings if finding.severity == "warning"]
    if warnings:
        return (f"{plural(len(warnings), 'warning')}  {visible(warnings[0].message)}", "waiting")
    return ("", "")


def tool_sign(tool: WorkflowTool, now: float) -> tuple[str, str]:
    """How a tool stands, as a sign and its ink: ready, ready but not for long, or not to be called."""
    if tool.problem:
        return ("✗", "bad")
    return ("!", "waiting") if _ends_soon(tool, now) else ("✓", "good")


def tools_spans(names: Sequence[str], known: Sequence[WorkflowTool] | None, now: float, width: int) -> Spans:
    """The column of tools: `gmail ✓  slack ✗`, without signs while it isn't known; cut to the width."""
    signs = {tool.name: tool_sign(tool, now) for tool in known or ()}
    spans: Spans = []
    left = width
    for name in names:
        text = visible(name)
        sign, ink = signs.get(name, ("", ""))
        needed = cell_len(text) + (2 if sign else 0) + (2 if spans else 0)
        if needed > left:
            if left > 1:
                spans.append((" …", "dim"))
                left -= 2
            break
        spans += [("  " if spans else "", ""), (text, "")]
        if sign:
            spans += [(" ", ""), (sign, ink)]
        left -= needed
    return [*spans, (" " * max(0, left), "")]


def tool_remark(known: Sequence[WorkflowTool] | None, now: float) -> tuple[str, str]:
    """What is to be said of a workflow's tools beside its findings: the first that is missing or that ends soon."""
    for tool in known or ():
        if tool.problem:
            return (f"{visible(tool.name)}: {visible(tool.problem)}", "bad")
    for tool in known or ():
        if _ends_soon(tool, now):
            return (f"{visible(tool.name)}: connection {_end_words(tool, now)}", "waiting")
    return ("", "")


def tool_lines(known: Sequence[WorkflowTool], now: float) -> list[Spans]:
    """A line for each tool: how it stands, as whom, and what to do where it can't be called."""
    lines: list[Spans] = []
    for tool in known:
        sign, ink = tool_sign(tool, now)
        words = "no account needed"
        if tool.problem:
            words = tool.problem
        elif tool.connection is not None:
            account = f" as {tool.connection.account}" if tool.connection.account else ""
            words = f"connected{account}{', ' + _end_words(tool, now) if _ends_soon(tool, now) else ''}"
        lines.append([("tool   ", "dim"), (visible(tool.name), ""), (f" {sign} ", ink), (visible(words), "dim")])
        if tool.next_step:
            lines.append([("       ", ""), (visible(tool.next_step), "dim")])
    return lines


def _ends_soon(tool: WorkflowTool, now: float) -> bool:
    ends = tool.connection.expires_at if tool.connection is not None else None
    return ends is not None and ends - now < SOON_SECONDS


def _end_words(tool: WorkflowTool, now: float) -> str:
    ends = tool.connection.expires_at if tool.connection is not None else None
    if ends is None or ends <= now:
        return "has expired"
    return f"expires in {time_ahead(ends, now).removeprefix('in ')}"


def cost_of_runs(runs: Sequence[RunRow]) -> str:
    """What a run cost in the mean, of those that called models: `$0.03 a run`; "" where none did."""
    used = [run.usage for run in runs if run.usage is not None and run.usage.calls]
    if not used:
        return ""
    unpriced = sum(usage.unpriced for usage in used)
    cost = sum(usage.cost for usage in used)
    if unpriced and not cost:
        return "cost unknown"
    more = " and unknown" if unpriced else ""
    return f"{money(cost / len(used))}{more} a run"


def took(started: float | None, ended: float | None, now: float) -> str:
    """How long a run took, or takes so far; nothing where it hasn't started."""
    seconds = run_seconds(started, ended, now)
    return "" if seconds is None else duration(seconds)


def node_path(detail: WorkflowDetail) -> str:
    """The way through the nodes from the start, `fetch → sort ⇄ critic → post`, and how many lie beside it."""
    after: dict[str, list[str]] = {node.id: [] for node in detail.nodes}
    for edge in detail.edges:
        if edge.from_id in after and edge.to_id in after and edge.to_id not in after[edge.from_id]:
            after[edge.from_id].append(edge.to_id)
    if not after:
        return ""
    node = detail.start if detail.start in after else next(iter(after))
    path = [node]
    while True:
        choices = [target for target in after[node] if target not in path]
        if not choices:
            break
        node = max(choices, key=lambda target: _reach(after, target, set(path)))
        path.append(node)
    text = visible(path[0])
    for before, here in pairwise(path):
        text += f" {'⇄' if before in after[here] else '→'} {visible(here)}"
    beside = len(after) - len(path)
    return f"{text}  + {beside} beside" if beside else text


def _reach(after: dict[str, list[str]], start: str, without: set[str]) -> int:
    """How many nodes can be reached from a node."""
    seen = {start}
    waiting = [start]
    while waiting:
        for target in after[waiting.pop()]:
            if target not in seen and target not in without:
                seen.add(target)
                waiting.append(target)
    return len(seen)


def input_names(detail: WorkflowDetail) -> list[str]:
    """The inputs with their types: `since (date)`, `channel (text)`; a star for those that must be given."""
    schema = detail.inputs or {}
    required = schema.get("required", [])
    names = []
    for name, field in (schema.get("properties") or {}).items():
        kind = (field.get("format") or field.get("type") or "any") if isinstance(field, dict) else "any"
        names.append(f"{visible(name)}{'*' if name in required else ''} ({visible(str(kind))})")
    return names


def history_spans(runs: Sequence[RunRow], now: float) -> Spans:
    """The last runs as a row of bars, oldest first, with the usual and the slow time they took."""
    if not runs:
        return [("No run yet: r starts one; f3 leads through a first run.", "dim")]
    ordered = list(reversed(runs))
    times = [run_seconds(run.started_at, run.ended_at, now) or 0.0 for run in ordered]
    longest = max(times) or 1.0
    spans: Spans = [(f"last {len(runs)}  ", "dim")]
    for run, seconds in zip(ordered, times, strict=True):
        if run.status == "completed":
            spans.append((HEIGHTS[min(7, int(seconds / longest * 7.99))], "good"))
        else:
            look = look_of(run.status)
            spans.append((look.sign, look.ink))
    done = sorted(seconds for run, seconds in zip(ordered, times, strict=True) if run.status == "completed")
    if done:
        middle = (done[(len(done) - 1) // 2] + done[len(done) // 2]) / 2
        slow = done[min(len(done) - 1, int(len(done) * 0.95))]
        spans.append((f"   median {duration(middle)}", "dim"))
        if len(done) > 4:
            spans.append((f"   p95 {duration(slow)}", "dim"))
    cost = cost_of_runs(runs)
    if cost:
        spans.append((f"   {cost}", "dim"))
    return spans
