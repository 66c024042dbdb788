"""What the pane beside a graph says of one edge, as lines of spans. Pure: rows in, text out."""

from __future__ import annotations

from core.link.routing_types import ConditionsView
from core.link.workflow_types import EdgeView, WorkflowDetail
from tui.graph_run import RunTrail, edge_verdicts, taken_edges
from tui.graph_text import LABEL_WIDTH, VERDICTS, PaneLine, labelled, seen_lines, seen_values
from tui.spans import Spans
from tui.text import plural, relative_time, visible, wrap

RULES = {
    "": "taken where no condition of its neighbours holds",
    "True": "taken before any other is asked",
}
"""What a condition means that is none."""


def edge_lines(
    detail: WorkflowDetail, place: int, trail: RunTrail | None, seen: ConditionsView | None, now: float, width: int
) -> list[PaneLine]:
    """All there is to say of an edge: its ends, its condition, how often it was taken, what it last came to and why."""
    edge = detail.edges[place]
    room = max(16, width - LABEL_WIDTH)
    lines = [
        *labelled("from", [[(visible(edge.from_id), "strong")]], node=edge.from_id),
        *labelled("to", [[(visible(edge.to_id), "strong")]], node=edge.to_id),
        *labelled("if", _condition_rows(detail, edge, room)),
    ]
    if trail is None:
        return lines
    taken = taken_edges(detail.edges, trail).get(place, 0)
    visits = trail.visits(edge.from_id)
    text = f"{taken}× in {plural(visits, 'visit')}" if visits else "the run has not been there"
    lines += labelled("taken", [[(text, "" if visits else "dim")]])
    step = trail.last.get(edge.from_id)
    if step is None:
        return lines
    leaving = [at for at, other in enumerate(detail.edges) if other.from_id == edge.from_id]
    verdicts = edge_verdicts([detail.edges[at] for at in leaving], step)
    verdict, error = verdicts[leaving.index(place)]
    word, ink = VERDICTS.get(verdict, (verdict, "dim"))
    ended = f"   step {step.step}, {relative_time(step.ended_at, now)}" if step.ended_at is not None else ""
    lines += labelled("last", [[(word, ink), (ended, "dim")]])
    for row in wrap(error, room) if error else []:
        lines.append(PaneLine([(" " * LABEL_WIDTH, ""), (row, "bad")]))
    return [*lines, *seen_lines(seen_values(seen, step, edge), edge.from_id, width)]


def _condition_rows(detail: WorkflowDetail, edge: EdgeView, room: int) -> list[Spans]:
    condition = edge.condition.strip()
    if condition not in RULES:
        return [[(text, "")] for text in wrap(edge.condition, room)]
    alone = sum(other.from_id == edge.from_id for other in detail.edges) == 1
    rule = "always: it is the only way on" if alone and detail.mode == "machine" else RULES[condition]
    if detail.mode == "dag":
        rule = "always"
    return [[(text, "dim")] for text in wrap(rule, room)]
