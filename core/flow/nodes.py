"""The nodes of a graph as instances of their classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import NodeCodeMissing
from core.flow.graph import SUBFLOW_CLASS, Graph, NodeSpec
from core.sdk.node import Node, find_node_class, make_node
from core.sdk.subflow import Subflow


def build_nodes(graph: Graph, namespace: Mapping[str, Any] | None = None) -> dict[str, Node]:
    """An instance for each node of a graph; classes come from `namespace` (the workflow's module) first.

    Raises NodeCodeMissing where there is no class of that name or it can't be made from id and config.
    """
    nodes: dict[str, Node] = {}
    for spec in graph.nodes.values():
        try:
            own = Subflow if spec.class_name == SUBFLOW_CLASS else find_node_class(spec.class_name, namespace)
            node = make_node(own, spec.id, spec.config)
        except Exception as error:
            raise NodeCodeMissing(
                f"Node {spec.id!r} can't be made: {error}",
                cause=f"The workflow names the class {spec.class_name!r} for it.",
                next_step="Define that class in the workflow's nodes.py, or correct the name in its JSON.",
            ) from error
        for edge in graph.edges_from(spec.id):
            node.add_edge(edge.to_id, edge.condition)
        set_retry(node, spec)
        nodes[spec.id] = node
    return nodes


def set_retry(node: Node, spec: NodeSpec | None) -> None:
    """Give a node the retries that the graph names for it."""
    if spec is not None and spec.retry is not None:
        node.max_retries = spec.retry.attempts
        node.wait = spec.retry.wait
        node.backoff = spec.retry.backoff
        node.jitter = spec.retry.jitter
        node.max_wait = spec.retry.max_wait


def require_nodes(needed: Iterable[str], nodes: Mapping[str, Node]) -> None:
    """Raise NodeCodeMissing where a node has no instance."""
    for node_id in needed:
        if node_id not in nodes:
            raise NodeCodeMissing(
                f"There is no code for the node {node_id!r}.",
                cause="The run's graph or its position names it, and no instance was made for it.",
                next_step="Add the node to the workflow, or start a new run.",
            )
