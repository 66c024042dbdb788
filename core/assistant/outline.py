"""A workflow in few words for the model: one line a node with its class, settings and edges, one line a class.

No code stands in it, so what a turn reads does not grow with the workflow's code.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from core.assistant.marking import one_line
from core.definition.code_index import CodeIndex
from core.definition.python_source import ClassInfo

LINES = 400
"""Most lines of nodes, and of classes."""
_SETTINGS = ("mode", "start", "max_parallel", "strategy", "fail_fast", "reducers", "files", "permissions")
_NODE_SETTINGS = ("timeout", "on_error", "effects", "priority")


def outline(name: str, document: Mapping[str, Any], revision: int) -> str:
    """The graph: workflow settings, inputs, the keys of the initial state, then a line for each node."""
    lines = [f"workflow {one_line(name, 80)}, revision {revision}{_settings(document)}"]
    if isinstance(document.get("description"), str):
        lines.append(f"description: {one_line(document['description'], 200)}")
    lines += _inputs(document.get("inputs"))
    state = document.get("initial_state")
    if isinstance(state, dict) and state:
        lines.append(f"initial state: {one_line(', '.join(state), 200)}")
    nodes = [node for node in document.get("nodes") or () if isinstance(node, dict)]
    edges = _edges_by_source(document)
    lines += [node_line(node, edges.get(str(node.get("id")), [])) for node in nodes[:LINES]]
    if len(nodes) > LINES:
        lines.append(f"[... {len(nodes) - LINES} more nodes: read_workflow with detail nodes and their ids]")
    return "\n".join(lines) if nodes else "\n".join([*lines, "(no nodes yet)"])


def node_line(node: Mapping[str, Any], edges: list[Mapping[str, Any]]) -> str:
    """`id: Class {config keys} settings -> target if condition; target`."""
    what = f"subflow {node.get('subflow')}" if node.get("subflow") else str(node.get("class", "?"))
    parts = [f"{one_line(str(node.get('id')), 60)}: {one_line(what, 60)}"]
    config = node.get("config")
    if isinstance(config, dict) and config:
        parts.append(f"config({one_line(', '.join(config), 60)})")
    retry = node.get("retry")
    if isinstance(retry, dict):
        parts.append(f"retry {retry.get('attempts', 1)}")
    parts += [f"{key} {one_line(str(node[key]), 40)}" for key in _NODE_SETTINGS if node.get(key)]
    if edges:
        parts.append("-> " + "; ".join(_edge(edge) for edge in edges))
    return " ".join(parts)


def nodes_in_full(document: Mapping[str, Any], ids: list[str]) -> tuple[list[str], list[str]]:
    """The JSON of these nodes with their edges, one line each, and the ids that are not there."""
    by_id = {str(node.get("id")): node for node in document.get("nodes") or () if isinstance(node, dict)}
    edges = _edges_by_source(document)
    lines = []
    for node_id in ids:
        if node_id in by_id:
            lines.append(json.dumps(by_id[node_id], ensure_ascii=False))
            lines += [f"  {json.dumps(edge, ensure_ascii=False)}" for edge in edges.get(node_id, [])]
    return lines, [node_id for node_id in ids if node_id not in by_id]


def catalogue(code: CodeIndex) -> str:
    """The workflow's node classes, one line each."""
    names = code.node_names()
    lines = [class_line(info) for name in names[:LINES] if (info := code.class_of(name)) is not None]
    if len(names) > LINES:
        lines.append(f"[... {len(names) - LINES} more classes: search_node_types]")
    return "\n".join(lines) or "(no classes yet)"


def class_line(info: ClassInfo) -> str:
    """`Name (file): first line of its documentation`."""
    place = "" if info.file == "nodes.py" else f" ({info.file})"
    doc = one_line(info.doc.partition("\n")[0], 100)
    return f"{info.name}{place}{f': {doc}' if doc else ''}"


def _edge(edge: Mapping[str, Any]) -> str:
    target = one_line(str(edge.get("to")), 60)
    condition = edge.get("condition")
    return f"{target} if {one_line(condition, 100)}" if isinstance(condition, str) and condition.strip() else target


def _edges_by_source(document: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    edges: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for edge in document.get("edges") or ():
        if isinstance(edge, dict):
            edges[str(edge.get("from"))].append(edge)
    return edges


def _settings(document: Mapping[str, Any]) -> str:
    given = [f"{key} {one_line(_plain(document[key]), 100)}" for key in _SETTINGS if document.get(key)]
    return f", {', '.join(given)}" if given else ""


def _inputs(schema: Any) -> list[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not properties:
        return []
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    parts = []
    for key, entry in properties.items():
        kind = entry.get("type", "any") if isinstance(entry, dict) else "any"
        default = f" = {_plain(entry['default'])}" if isinstance(entry, dict) and "default" in entry else ""
        parts.append(f"{key}: {_plain(kind)}{' required' if key in needed else ''}{default}")
    return [f"inputs: {one_line('; '.join(parts), 400)}"]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
