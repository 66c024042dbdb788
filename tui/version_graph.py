"""Two versions of a workflow drawn as one graph, and what there is to say of a node in both. Pure."""

from __future__ import annotations

import difflib
from typing import Any

from core.link.workflow_types import NodeView, WorkflowDetail
from tui.diff_text import INKS
from tui.graph_text import PaneLine
from tui.proposal_graph import MarkedGraph, mark_graphs, marked_lines
from tui.text import visible


def marked_versions(before: WorkflowDetail, after: WorkflowDetail) -> MarkedGraph:
    """The graphs of both as one; a node is changed by its settings or by the text of its class."""
    old = {node.class_name: node.source for node in before.nodes}
    changed = {node.class_name for node in after.nodes if old.get(node.class_name, node.source) != node.source}
    return mark_graphs(after.name, _document(before), _document(after), changed)


def version_node_lines(before: WorkflowDetail, after: WorkflowDetail, marked: MarkedGraph, node: str) -> list[PaneLine]:
    """What a node was and is: its edges, its settings, the difference of its class."""
    old, new = _node(before, node), _node(after, node)
    lines = marked_lines(marked, node)
    if old is not None and new is not None:
        lines += [PaneLine([]), *_setting_lines(old, new)] if _settings(old) != _settings(new) else []
    source = [view.source.splitlines() if view is not None else [] for view in (old, new)]
    rows = list(difflib.unified_diff(*source, lineterm="", n=2))[2:]
    if rows:
        lines += [PaneLine([]), *(PaneLine([("  " + visible(row), INKS.get(row[:1], ""))]) for row in rows)]
    return lines


def _document(detail: WorkflowDetail) -> dict[str, Any]:
    return {
        "start": detail.start,
        "nodes": [{"id": node.id, "class": node.class_name, **_settings(node)} for node in detail.nodes],
        "edges": [{"from": edge.from_id, "to": edge.to_id, "condition": edge.condition} for edge in detail.edges],
    }


def _node(detail: WorkflowDetail, name: str) -> NodeView | None:
    return next((node for node in detail.nodes if node.id == name), None)


def _settings(node: NodeView) -> dict[str, Any]:
    found = {
        "config": node.config,
        "retry": node.retry,
        "timeout": node.timeout,
        "on_error": node.on_error,
        "effects": node.effects,
        "subflow": node.subflow,
    }
    return {name: value for name, value in found.items() if value}


def _setting_lines(old: NodeView, new: NodeView) -> list[PaneLine]:
    before, after = _settings(old), _settings(new)
    lines: list[PaneLine] = []
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        if name in before:
            lines.append(PaneLine([(f"  - {name} {visible(str(before[name]))}", "removed")]))
        if name in after:
            lines.append(PaneLine([(f"  + {name} {visible(str(after[name]))}", "added")]))
    return lines
