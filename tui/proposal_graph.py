"""A proposal drawn as one graph: what is there, what comes and what goes, each with a sign. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.link.chat_types import ProposalView
from tui.graph_text import PaneLine
from tui.proposal_lines import diff_lines, group_line
from tui.spans import SIGN_INKS, Spans
from tui.text import visible


@dataclass(frozen=True, slots=True)
class MarkedGraph:
    """The graph with what goes still in it, and the signs of nodes and edges (by place)."""

    graph: Graph
    nodes: Mapping[str, str]
    edges: Mapping[int, str]


def _nodes(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(node.get("id")): dict(node) for node in document.get("nodes", []) if isinstance(node, dict)}


def _edges(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (str(edge.get("from", "")), str(edge.get("to", "")), str(edge.get("condition") or ""))
        for edge in document.get("edges", [])
        if isinstance(edge, dict)
    ]


def marked_graph(proposal: ProposalView) -> MarkedGraph:
    """The graphs before and after a proposal as one."""
    before = msgspec.json.decode(proposal.before_graph) or {}
    after = msgspec.json.decode(proposal.after_graph) or {}
    code = {change.name for group in proposal.groups for change in group.classes}
    return mark_graphs(proposal.workflow, before, after, code)


def mark_graphs(name: str, before: Mapping[str, Any], after: Mapping[str, Any], code: Collection[str]) -> MarkedGraph:
    """Two graphs as one; `code` are the classes whose text differs. A changed condition is an edge with ~ and its new
    condition."""
    old, new = _nodes(before), _nodes(after)
    signs: dict[str, str] = {}
    nodes: dict[str, NodeSpec] = {}
    for known_as, node in [*new.items(), *((gone, node) for gone, node in old.items() if gone not in new)]:
        nodes[known_as] = NodeSpec(known_as, str(node.get("class", "")))
        if known_as not in old:
            signs[known_as] = "+"
        elif known_as not in new:
            signs[known_as] = "-"
        elif old[known_as] != node or node.get("class") in code:
            signs[known_as] = "~"
    edges: list[EdgeSpec] = []
    marks: dict[int, str] = {}
    gone = [edge for edge in _edges(before) if edge not in _edges(after)]
    for edge in _edges(after):
        sign = ""
        if edge not in _edges(before):
            twin = next((other for other in gone if other[:2] == edge[:2]), None)
            sign = "~" if twin is not None else "+"
            if twin is not None:
                gone.remove(twin)
        _add(edges, marks, edge, sign)
    for edge in gone:
        _add(edges, marks, edge, "-")
    known = tuple(edge for edge in edges if edge.from_id in nodes and edge.to_id in nodes)
    if len(known) != len(edges):
        marks = {place: marks[edges.index(edge)] for place, edge in enumerate(known) if edges.index(edge) in marks}
    start = str(after.get("start") or before.get("start") or next(iter(nodes), ""))
    graph = Graph(name, nodes, known, start if start in nodes else next(iter(nodes), ""))
    return MarkedGraph(graph, signs, marks)


def _add(edges: list[EdgeSpec], marks: dict[int, str], edge: tuple[str, str, str], sign: str) -> None:
    if sign:
        marks[len(edges)] = sign
    # The sign stands in the label, so that it can be read without colours.
    edges.append(EdgeSpec(edge[0], edge[1], f"{sign} {edge[2]}".strip() if sign else edge[2]))


def node_changes(proposal: ProposalView, marked: MarkedGraph, node: str) -> list[PaneLine]:
    """What there is to know of a node in the proposal: the groups about it, with their code."""
    lines = marked_lines(marked, node)
    for group in proposal.groups:
        if _is_about(group, node, marked.graph.nodes[node].class_name):
            lines += [PaneLine([]), *(PaneLine(spans) for spans in diff_lines(group_line(group), proposal))]
    return lines


def marked_lines(marked: MarkedGraph, node: str) -> list[PaneLine]:
    """What becomes of a node and of its edges."""
    sign = marked.nodes.get(node, "")
    words = {"+": "is added", "-": "is removed", "~": "is changed", "": "stays as it is"}
    head: Spans = [
        (f"{sign or ' '} ", SIGN_INKS.get(sign, "dim")),
        (visible(node), "strong"),
        (f"  {words[sign]}", "dim"),
    ]
    lines = [PaneLine(head), PaneLine([("  class ", "dim"), (visible(marked.graph.nodes[node].class_name), "")])]
    for place, edge in enumerate(marked.graph.edges):
        if node in (edge.from_id, edge.to_id):
            mark = marked.edges.get(place, " ")
            other = edge.to_id if edge.from_id == node else edge.from_id
            arrow = f"{visible(edge.from_id)} → {visible(edge.to_id)}"
            condition = edge.condition[2:] if mark != " " else edge.condition
            text: Spans = [
                (f"{mark} ", SIGN_INKS.get(mark, "dim")),
                (arrow, ""),
                (f"  {visible(condition)}" if condition else "", "dim"),
            ]
            lines.append(PaneLine(text, node=other))
    return lines


def _is_about(group: Any, node: str, class_name: str) -> bool:
    names = {change.name for change in group.classes}
    return any(change.what == "node" and change.target == node for change in group.graph) or class_name in names
