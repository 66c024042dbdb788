"""What the pane beside a graph says of a node, as lines of spans. Pure: rows in, text out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from core.drawing.labels import in_short
from core.link.routing_types import ConditionsView, SeenValue
from core.link.status import look_of
from core.link.types import RunView, StepView
from core.link.workflow_types import EdgeView, FindingView, NodeView, WorkflowDetail
from tui.graph_run import NodeState, RunTrail, edge_verdicts, taken_edges
from tui.spans import Span, Spans
from tui.text import duration, fit, plural, shorten, visible, wrap
from tui.workflow_text import SEVERITY_INKS, SEVERITY_SIGNS, finding_place, worst_first

LABEL_WIDTH = 8
NAME_WIDTH = 16
VERDICTS = {"taken": ("yes", "good"), "no": ("no", "dim"), "error": ("error", "bad"), "not asked": ("not asked", "dim")}
PROMPT_LINES = 3
"""How much of a question is shown; the whole stands on the run's screen."""
BRIEF_VALUE = 16
"""Characters of a value that stands beside the verdict."""
NO_PLACE = ("", 0)

_CODE = re.compile(
    r"(?P<text>[rbfRBF]{0,2}(?:\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?))"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<word>\b(?:and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if"
    r"|import|in|is|lambda|match|case|nonlocal|not|or|pass|raise|return|try|while|with|yield|None|True|False|self)\b)",
    re.DOTALL,
)
CODE_INKS = {"text": "added", "comment": "dim", "word": "key"}


@dataclass(frozen=True, slots=True)
class PaneLine:
    """One line of the pane: `node` is where Enter leads, `place` the file and line that an editor should open."""

    spans: Spans
    node: str = ""
    place: tuple[str, int] = NO_PLACE


def node_lines(
    detail: WorkflowDetail,
    node: NodeView,
    trail: RunTrail | None,
    run: RunView | None,
    width: int,
    seen: ConditionsView | None = None,
) -> list[PaneLine]:
    """All there is to say of a node: what it is, how it stands in the run, its edges, its findings, its source."""
    lines = [*_kind(node, width), *_settings(node, width)]
    if trail is not None and run is not None:
        lines += _run_lines(node, trail, run, width)
    lines += _edge_lines(detail, node.id, trail, seen, width)
    known = {other.id for other in detail.nodes}
    findings = [finding for finding in detail.findings if finding.node == node.id]
    # An error that belongs to no node stops every run, so it is told beside all of them.
    findings += [finding for finding in detail.findings if finding.node not in known and finding.severity == "error"]
    if findings:
        lines += [PaneLine([]), *finding_lines(findings, width)]
    if node.source:
        lines += [PaneLine([]), *_source_lines(node)]
    return lines


def broken_lines(detail: WorkflowDetail, width: int) -> list[PaneLine]:
    """What to say where there is no graph: the findings, and what to do."""
    findings = detail.findings
    if not findings:
        return [
            PaneLine([("The graph has no nodes yet.", "strong")]),
            PaneLine([]),
            PaneLine(
                [("e", "key"), (" opens the code in your editor; the graph is ", "dim"), (f"{detail.name}.json", "")]
            ),
        ]
    hints: Spans = [("e", "key"), (" opens the file at the finding", "dim")]
    if detail.last_good:
        hints += [("   ", ""), ("r", "key"), (" runs the last good version, ", "dim"), (detail.last_good[:8], "")]
    head = f"There is no graph to show: {plural(len(findings), 'finding')}."
    return [PaneLine([(head, "strong")]), PaneLine([]), *finding_lines(findings, width), PaneLine([]), PaneLine(hints)]


def finding_lines(findings: Sequence[FindingView], width: int) -> list[PaneLine]:
    """Findings, the worst first, each with its place and hint."""
    lines: list[PaneLine] = []
    for finding in worst_first(findings):
        place = (finding.file, finding.line) if finding.file else NO_PLACE
        ink = SEVERITY_INKS.get(finding.severity, "dim")
        head = f"{SEVERITY_SIGNS.get(finding.severity, '·')} {finding.code} "
        where = finding_place(finding)
        lines.append(
            PaneLine([(head, ink), (shorten(where, max(8, width - len(head))), "dim")], finding.node or "", place)
        )
        for text in wrap(finding.message, max(16, width - 2)):
            lines.append(PaneLine([("  ", ""), (text, "")], finding.node or "", place))
        for text in wrap(finding.hint, max(16, width - 2)) if finding.hint else []:
            lines.append(PaneLine([("  ", ""), (text, "dim")], finding.node or "", place))
    return lines


def labelled(label: str, rows: Sequence[Spans], place: tuple[str, int] = NO_PLACE, *, node: str = "") -> list[PaneLine]:
    """Rows with a label before the first of them."""
    heads = [label] + [""] * (len(rows) - 1)
    return [
        PaneLine([(head.ljust(LABEL_WIDTH), "dim"), *row], node, place) for head, row in zip(heads, rows, strict=True)
    ]


def seen_values(seen: ConditionsView | None, step: StepView | None, edge: EdgeView) -> list[SeenValue]:
    """What the places held that an edge's condition names, when `step` was routed; nothing while that isn't read."""
    if seen is None or step is None or (seen.step, seen.node) != (step.step, step.node):
        return []
    same = (known.values for known in seen.conditions if (known.to_id, known.condition) == (edge.to_id, edge.condition))
    return next(same, [])


def seen_lines(values: Sequence[SeenValue], node: str, width: int) -> list[PaneLine]:
    """A line for each value: where it stood and what it was."""
    rows: list[Spans] = []
    room = max(16, width - LABEL_WIDTH - 6)
    for value in values:
        name = shorten(visible(in_short(value.place)), max(8, room * 2 // 3))
        held: Span = ("was not there", "dim")
        if value.value is not None:
            held = (shorten(visible(value.value), max(6, room - cell_len(name) - 3)), "strong")
        rows.append([("  saw ", "dim"), (name, ""), (" = " if value.value is not None else " ", "dim"), held])
    return [PaneLine([(" " * LABEL_WIDTH, ""), *row], node) for row in rows]


def _kind(node: NodeView, width: int) -> list[PaneLine]:
    place = (node.file, node.line) if node.file else NO_PLACE
    where = f"   {visible(node.file)}:{node.line}" if node.file else "   not in the code"
    rows: list[Spans] = [[(visible(node.class_name), "strong"), (where, "dim" if node.file else "bad")]]
    first = node.doc.strip().split("\n\n")[0]
    rows += [[(text, "dim")] for text in wrap(" ".join(first.split()), max(16, width - LABEL_WIDTH))] if first else []
    return labelled("class", rows, place)


def _settings(node: NodeView, width: int) -> list[PaneLine]:
    lines: list[PaneLine] = []
    room = max(16, width - LABEL_WIDTH)
    if node.config:
        lines += labelled("config", list(_config_rows(node.config, room)))
    if node.retry:
        lines += labelled("retry", [[(text, "")] for text in wrap(_retry_text(node.retry), room)])
    rest = [f"timeout {duration(node.timeout)}" if node.timeout else ""]
    rest += [f"on error {visible(node.on_error)}" if node.on_error not in ("", "fail") else ""]
    rest += [f"effects {visible(node.effects)}" if node.effects else ""]
    text = ", ".join(part for part in rest if part)
    return lines + (labelled("rules", [[(row, "")] for row in wrap(text, room)]) if text else [])


def _config_rows(config: Mapping[str, Any], width: int) -> Iterator[Spans]:
    names = {key: shorten(visible(key), NAME_WIDTH) for key in config}
    longest = max(cell_len(name) for name in names.values())
    for key, value in config.items():
        text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        yield [(fit(names[key], longest), ""), (" ", ""), (shorten(text, max(6, width - longest - 1)), "strong")]


def _retry_text(retry: Mapping[str, Any]) -> str:
    text = plural(int(retry.get("attempts", 1)), "attempt")
    if retry.get("wait"):
        text += f", wait {duration(float(retry['wait']))}"
    if retry.get("backoff", 1) != 1:
        text += f", each wait ×{retry['backoff']:g}"
    return text


def _run_lines(node: NodeView, trail: RunTrail, run: RunView, width: int) -> list[PaneLine]:
    """How the node stands: one row as a rule, so that the rows below stay where they are while the run goes on."""
    state = trail.states(run).get(node.id, NodeState())
    if not state.status:
        return labelled("run", [[("not reached yet", "dim")]])
    room = max(16, width - LABEL_WIDTH)
    rows: list[Spans] = [_standing(node, state, trail, run)]
    for request in run.open_requests:
        if request.node == node.id and request.prompt:
            prompt = wrap(request.prompt, room)
            rows += [[(text, "")] for text in prompt[:PROMPT_LINES]]
            if len(prompt) > PROMPT_LINES:
                rows.append([("…", "dim")])
    errors = [step.error for step in trail.open_rows if step.node == node.id and step.error is not None]
    if not errors and state.status == "failed" and run.error is not None:
        errors = [run.error]
    for error in errors[-1:]:
        rows += [[(text, "bad")] for text in wrap(f"{error.type}: {error.message}", room)]
    return labelled("run", rows)


def _standing(node: NodeView, state: NodeState, trail: RunTrail, run: RunView) -> Spans:
    """The present status with visit and attempt, and how long the last completed visit took."""
    look = look_of(state.status)
    last = trail.last.get(node.id)
    took = f" {duration(last.ended_at - last.started_at)}" if last is not None and last.ended_at is not None else ""
    flight = next((flight for flight in run.in_flight if flight.node == node.id), None)
    if state.status == "completed":
        spans: Spans = [(look.sign, look.ink), (took, "")]
    else:
        spans = [(look.text, look.ink)]
    if state.visits > 1:
        spans.append((f"   visit {state.visits}", "dim"))
    attempt = flight.attempt if flight is not None else last.attempt if last is not None else 1
    if attempt > 1:
        spans.append((f"   attempt {attempt}", "dim"))
    if state.status != "completed" and took:
        spans.append((f"   last{took}", "dim"))
    return spans


def _edge_lines(
    detail: WorkflowDetail, node: str, trail: RunTrail | None, seen: ConditionsView | None, width: int
) -> list[PaneLine]:
    """The edges that leave the node, with what they came to in its last visit, and where it is reached from."""
    leaving = [edge for edge in detail.edges if edge.from_id == node]
    step = trail.last.get(node) if trail is not None else None
    counts = taken_edges(detail.edges, trail) if trail is not None else {}
    known = {other.id for other in detail.nodes}
    lines: list[PaneLine] = []
    verdicts = edge_verdicts(leaving, step)
    places = [place for place, edge in enumerate(detail.edges) if edge.from_id == node]
    for edge, place, (verdict, error) in zip(leaving, places, verdicts, strict=True):
        head = "edges" if not lines else ""
        values = seen_values(seen, step, edge)
        facts = _EdgeFacts(
            verdict, error, counts.get(place, 0), step is not None, len(leaving) > 1, edge.to_id not in known, values
        )
        lines += _edge_rows(head, edge, facts, width)
    if step is not None and step.reason in ("goto", "on_error"):
        target = visible(step.next_node or "")
        text = f"the node chose {target} itself" if step.reason == "goto" else f"on_error led to {target}"
        lines.append(PaneLine([(" " * LABEL_WIDTH, ""), (text, "waiting")], step.next_node or ""))
    sources = list(dict.fromkeys(edge.from_id for edge in detail.edges if edge.to_id == node))
    for number, source in enumerate(sources):
        head = "from" if number == 0 else ""
        lines.append(PaneLine([(head.ljust(LABEL_WIDTH), "dim"), ("← ", "dim"), (visible(source), "")], source))
    return lines


@dataclass(frozen=True, slots=True)
class _EdgeFacts:
    """What an edge came to in the node's last visit (`ran`), how often it was taken, whether others stand `beside`,
    whether it leads nowhere, and the values that its condition saw."""

    verdict: str
    error: str
    count: int
    ran: bool
    beside: bool
    nowhere: bool
    values: Sequence[SeenValue] = ()


def _edge_rows(head: str, edge: EdgeView, facts: _EdgeFacts, width: int) -> list[PaneLine]:
    room = max(16, width - LABEL_WIDTH)
    conditional = bool(edge.condition.strip())
    brief = _brief(facts.values)
    first: Spans = [(head.ljust(LABEL_WIDTH), "dim"), ("→ ", "dim"), (visible(edge.to_id), "strong")]
    if facts.nowhere:
        first.append(("   no such node", "bad"))
    if facts.ran and conditional and facts.verdict in VERDICTS:
        word, ink = VERDICTS[facts.verdict]
        first.append(("   was ", "dim"))
        if brief is not None:
            first += [(brief, "strong"), (": ", "dim")]
        first.append((word, ink))
    elif not conditional and facts.beside:
        first.append(("   else", "dim"))
    if facts.count:
        first.append((f"   taken {facts.count}×", "dim"))
    lines = [PaneLine(first, edge.to_id)]
    if conditional:
        for number, text in enumerate(wrap(edge.condition, room - 5)):
            lead = "  if " if number == 0 else "     "
            lines.append(PaneLine([(" " * LABEL_WIDTH, ""), (lead, "dim"), (text, "")], edge.to_id))
        if brief is None:
            lines += seen_lines(facts.values, edge.to_id, width)
    for text in wrap(facts.error, room - 2) if facts.error else []:
        lines.append(PaneLine([(" " * LABEL_WIDTH + "  ", ""), (text, "bad")], edge.to_id))
    return lines


def _brief(values: Sequence[SeenValue]) -> str | None:
    """The value that a condition saw where it is the only one and short, so that it needs no line of its own."""
    value = values[0].value if len(values) == 1 else None
    return visible(value) if value is not None and len(value) <= BRIEF_VALUE else None


def _source_lines(node: NodeView) -> list[PaneLine]:
    """The class's text with line numbers, lightly coloured."""
    rows = code_spans(node.source.expandtabs(4).rstrip("\n"))
    digits = len(str(node.line + len(rows)))
    return [
        PaneLine([(f"{number:>{digits}} ", "dim"), *row], place=(node.file, number))
        for number, row in enumerate(rows, start=node.line)
    ]


def code_spans(source: str) -> list[Spans]:
    """Python text as lines of spans: words of the language, texts and comments in inks of their own."""
    rows: list[Spans] = [[]]

    def put(text: str, ink: str) -> None:
        for number, part in enumerate(text.split("\n")):
            if number:
                rows.append([])
            if part:
                rows[-1].append((visible(part), ink))

    at = 0
    for match in _CODE.finditer(source):
        put(source[at : match.start()], "")
        put(match.group(), CODE_INKS[match.lastgroup or "text"])
        at = match.end()
    put(source[at:], "")
    return rows
