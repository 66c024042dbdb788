"""What is wrong with a graph of mode dag, or with the keys that only such a graph has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.definition.finding import Report
from core.definition.python_source import ClassInfo
from core.flow.dag_shape import find_cycle

if TYPE_CHECKING:
    from core.definition.model import WorkflowModel

_DAG_KEYS = ("strategy", "max_parallel", "fail_fast", "reducers")
_NAMED = 8
"""Nodes of a cycle, or at which a run begins, that are named in a message."""


def check_dag(model: WorkflowModel, classes: Mapping[str, ClassInfo | None], report: Report) -> None:
    """Report a cycle, a start that means nothing, and what chooses the next node."""
    ids = list(dict.fromkeys(node.id for node in model.nodes))
    known = set(ids)
    edges = [(e.from_id, e.to_id) for e in model.edges or () if e.from_id in known and e.to_id in known]
    cycle = find_cycle(ids, edges)
    if cycle:
        text = " → ".join(map(repr, cycle[:_NAMED])) + (" → …" if len(cycle) > _NAMED else "")
        hint = "Take out one of these edges, or write machine for the mode: there a run may come to a node again."
        report.add(
            "E115", f"A graph of mode dag must not have a cycle: {text}.", path=("edges",), node=cycle[0], hint=hint
        )
    entered = {target for _, target in edges}
    starts = [node for node in ids if node not in entered]
    if model.start in known and starts and starts != [model.start]:
        names = ", ".join(map(repr, starts[:_NAMED])) + (" …" if len(starts) > _NAMED else "")
        report.add(
            "W208",
            f"A run of mode dag begins at every node that no edge leads to ({names}), whatever start says.",
            path=("start",),
            hint="Take start out.",
        )
    if model.strategy == "sequential" and (model.max_parallel or 1) > 1:
        report.add(
            "W210",
            f"The strategy is sequential, and max_parallel is {model.max_parallel}: that many nodes run at once.",
            path=("max_parallel",),
            hint="Take one of the two out.",
        )
    _check_choices(model, classes, report)


def _check_choices(model: WorkflowModel, classes: Mapping[str, ClassInfo | None], report: Report) -> None:
    """Report what chooses the next node: in mode dag all that may run does."""
    hint = "Put conditions on the edges, or write machine for the mode."
    for position, node in enumerate(model.nodes):
        if (node.on_error or "").startswith("goto:"):
            message = f"on_error of {node.id!r} can't go to another node in mode dag."
            report.add(
                "E119", message, path=("nodes", position, "on_error"), node=node.id, hint="Write fail, skip or ask."
            )
        info = classes[node.class_name]
        if info is not None and info.routes:
            message = f"{node.class_name} seems to choose the next node; where it does in mode dag, {node.id!r} fails."
            report.add("N303", message, file=info.file, line=info.line, node=node.id, hint=hint)


def check_keys_of_dag(model: WorkflowModel, report: Report) -> None:
    """Report keys that mean nothing in mode machine."""
    hint = 'Take it out, or write "mode": "dag".'
    for key in _DAG_KEYS:
        if getattr(model, key) is not None:
            report.add("W209", f"{key} means something in mode dag only.", path=(key,), hint=hint)
    for position, node in enumerate(model.nodes):
        if node.priority is not None:
            message = f"priority of {node.id!r} means something in mode dag only."
            report.add("W209", message, path=("nodes", position, "priority"), node=node.id, hint=hint)
