"""The nodes of a workflow: from a JSON file or from code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import NodeCodeMissing
from core.flow.graph import Graph, NodeSpec
from core.flow.nodes import build_nodes
from core.grapheteria.errors import InvalidWorkflow, WorkflowFileMissing
from core.sdk.node import Node


@dataclass(frozen=True, slots=True)
class Workflow:
    """Nodes by id with their edges, the start node's id, the initial state and the nodes' settings from the file."""

    nodes: dict[str, Node]
    start: str
    initial_state: dict[str, Any] | None = None
    specs: Mapping[str, NodeSpec] = field(default_factory=dict)


def workflow_from_nodes(nodes: Iterable[Node], start: Node | str | None) -> Workflow:
    """The workflow of nodes that were made in code; raises InvalidWorkflow."""
    by_id: dict[str, Node] = {}
    for node in nodes:
        if by_id.setdefault(node.id, node) is not node:
            raise InvalidWorkflow(f"Two nodes have the id {node.id!r}.", next_step="Give each node an id of its own.")
    return _checked(by_id, start.id if isinstance(start, Node) else start, None)


def workflow_from_file(path: str | os.PathLike[str], start: Node | str | None = None) -> Workflow:
    """The workflow of a JSON file; its classes must have been defined before.

    Raises WorkflowFileMissing (a FileNotFoundError) and InvalidWorkflow (a ValueError).
    """
    document = _read(Path(path))
    try:
        graph = Graph.from_dict(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidWorkflow(
            f"{path} is not a workflow: {type(error).__name__}: {error}",
            cause='"nodes" is a list of {"id", "class"}, "edges" a list of {"from", "to"}.',
            next_step="Correct the file.",
        ) from error
    if graph.mode != "machine":
        raise InvalidWorkflow(
            f"{path} is a workflow of mode {graph.mode}, and this engine runs mode machine.",
            cause="The engine of the Grapheteria API has one active node at a time.",
            next_step="Run it with rondo run or with TaskOrchestrator, or take the mode out of the file.",
        )
    if len(graph.nodes) < len(document["nodes"]):
        raise InvalidWorkflow(f"Two nodes in {path} have one id.", next_step="Give each node an id of its own.")
    for edge in graph.edges:
        if edge.from_id not in graph.nodes:
            raise InvalidWorkflow(
                f"{path} has an edge from {edge.from_id!r}, and no such node.",
                next_step="Add the node or take out the edge.",
            )
    try:
        nodes = build_nodes(graph)
    except NodeCodeMissing as error:
        raise InvalidWorkflow(error.message, cause=error.cause, next_step=_how_to_import(Path(path))) from error
    wanted = start.id if isinstance(start, Node) else start
    workflow = _checked(nodes, wanted or document.get("start"), document.get("initial_state"))
    return replace(workflow, specs=graph.nodes)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise WorkflowFileMissing(
            f"There is no workflow file {path}.",
            cause=f"Looked for it from {Path.cwd()}.",
            next_step="Check the path; an id such as a.b means the file a/b.json.",
        ) from error
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidWorkflow(f"{path} is not JSON: {error}", next_step="Correct the file.") from error
    if not isinstance(document, dict) or not document.get("nodes"):
        raise InvalidWorkflow(f"{path} has no nodes.", next_step='Add a list "nodes" of {"id", "class"}.')
    return document


def _checked(nodes: dict[str, Node], start: str | None, initial_state: dict[str, Any] | None) -> Workflow:
    """The workflow, if there are nodes, the start and every edge leads to one of them."""
    if not nodes:
        raise InvalidWorkflow("The workflow has no nodes.", next_step="Give it at least one.")
    if start is None:
        start = next(iter(nodes))
    elif start not in nodes:
        raise InvalidWorkflow(
            f"The start node {start!r} is not among the nodes.",
            cause=f"They are: {', '.join(nodes)}.",
            next_step="Add it.",
        )
    for node in nodes.values():
        for edge in node.outgoing():
            if edge.to_id not in nodes:
                raise InvalidWorkflow(
                    f"An edge leads from {node.id!r} to {edge.to_id!r}, and there is no such node.",
                    cause=f"The nodes are: {', '.join(nodes)}.",
                    next_step="Add the node or take out the edge.",
                )
    return Workflow(nodes, start, initial_state)


def _how_to_import(path: Path) -> str:
    if (path.parent / "nodes.py").exists():
        folder = str(path.parent.resolve())
        return f"Import the workflow's code before you make the engine: sys.path.insert(0, {folder!r}); import nodes"
    return "Define or import the class before you make the engine."
