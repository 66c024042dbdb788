"""What a run did on its graph: how each node stands, and which edges were taken. Pure: rows in, facts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.flow.graph import EdgeSpec
from core.link.types import RunView, StepView
from core.link.workflow_types import EdgeView

ALWAYS = "True"
"""The condition that wins without being asked after any other."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """How a node stands in a run: a status of `core.link.status` ("" where the run has not been), and its visits."""

    status: str = ""
    visits: int = 0


class RunTrail:
    """Gathers the steps of one line of a run, page after page; it grows with the graph and not with the run."""

    def __init__(self, run_id: str, line: int) -> None:
        self.run_id = run_id
        self.line = line
        self.seq = 0
        """The last completed step that was taken in: read on after it."""
        self.last: dict[str, StepView] = {}
        """The last completed visit of each node."""
        self.taken: Counter[tuple[str, str, str]] = Counter()
        """How often each (from, to, condition) was followed."""
        self.open_rows: list[StepView] = []
        """Failed and running attempts after the last completed step."""
        self._visits: dict[str, int] = {}

    def add(self, steps: Iterable[StepView]) -> None:
        """Take in what was read after `seq`."""
        rows: list[StepView] = []
        for step in steps:
            if step.step is None:
                rows.append(step)
                continue
            rows = []
            if step.step <= self.seq:
                continue
            self.seq = step.step
            self.last[step.node] = step
            self._visits[step.node] = max(step.visit, self._visits.get(step.node, 0))
            if step.reason == "dag":
                for target in step.taken:
                    self.taken[step.node, target, ""] += 1
            elif step.next_node is not None:
                self.taken[step.node, step.next_node, step.condition] += 1
        self.open_rows = rows

    def visits(self, node: str) -> int:
        """How often a node was completed."""
        return self._visits.get(node, 0)

    def states(self, run: RunView) -> dict[str, NodeState]:
        """How each node stands that the run has been to, or is at."""
        found = {skipped.node: NodeState("skipped") for skipped in run.skipped}
        found |= {node: NodeState(self.last[node].status, visits) for node, visits in self._visits.items()}
        here = self._here(run)
        for node, (status, visit) in here.items():
            found[node] = NodeState(status, max(visit, self._visits.get(node, 0)))
        return found

    def _here(self, run: RunView) -> dict[str, tuple[str, int]]:
        """The nodes the run is at, or where it came to rest, with status and visit."""
        here = {flight.node: ("running", flight.visit) for flight in run.in_flight}
        if run.status == "waiting_timer":
            here = {node: ("waiting_timer", visit) for node, (_, visit) in here.items()}
        for request in run.open_requests:
            here[request.node] = ("waiting_run" if request.kind == "subflow" else "waiting_input", request.visit)
        if here or run.status in ("completed", "running"):
            return here
        node = run.next_node
        if run.status == "failed" and run.error is not None and run.error.node:
            node = run.error.node
        if node is None and self.open_rows:
            node = self.open_rows[-1].node
        if node is None:
            return here
        visit = self.open_rows[-1].visit if self.open_rows and self.open_rows[-1].node == node else 0
        return {node: (run.status, visit)}


def taken_edges(edges: Sequence[EdgeView | EdgeSpec], trail: RunTrail) -> dict[int, int]:
    """How often each edge was followed, by its place in the list; a node's own choice follows no edge's condition."""
    counts: dict[int, int] = {}
    for (source, target, condition), count in trail.taken.items():
        between = [place for place, edge in enumerate(edges) if (edge.from_id, edge.to_id) == (source, target)]
        exact = [place for place in between if edges[place].condition.strip() == condition.strip()]
        if between:
            place = (exact or between)[0]
            counts[place] = counts.get(place, 0) + count
    return counts


def edge_verdicts(edges: Sequence[EdgeView], step: StepView | None) -> list[tuple[str, str]]:
    """What each edge of one node came to in a step: `taken`, `no`, `error`, `not asked` or "", and the error's text.

    `edges` are that node's, in the order of the file, which is the order in which they are asked.
    """
    if step is None:
        return [("", "")] * len(edges)
    if step.reason == "dag":
        return [_verdict_in_dag(edge, step) for edge in edges]
    if step.reason in ("goto", "on_error"):
        return [("taken" if edge.to_id == step.next_node else "not asked", "") for edge in edges]
    chosen = next((place for place, edge in enumerate(edges) if _is_chosen(edge, step)), None)
    verdicts: list[tuple[str, str]] = []
    for place, edge in enumerate(edges):
        error = step.edge_errors.get(f"{edge.to_id}: {edge.condition}", "")
        conditional = bool(edge.condition.strip())
        asked = step.reason in ("default", "end") or (
            step.reason == "edge" and chosen is not None and place < chosen and edge.condition.strip() != ALWAYS
        )
        if place == chosen:
            verdicts.append(("taken", ""))
        elif error:
            verdicts.append(("error", error))
        elif conditional and asked:
            verdicts.append(("no", ""))
        else:
            verdicts.append(("not asked", ""))
    return verdicts


def _verdict_in_dag(edge: EdgeView, step: StepView) -> tuple[str, str]:
    """In mode dag every edge is asked, and all that hold are taken."""
    error = step.edge_errors.get(f"{edge.to_id}: {edge.condition}", "")
    if error:
        return "error", error
    return ("taken" if edge.to_id in step.taken else "no"), ""


def _is_chosen(edge: EdgeView, step: StepView) -> bool:
    return edge.to_id == step.next_node and edge.condition.strip() == step.condition.strip()
