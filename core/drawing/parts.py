"""Parts of a graph, for where the whole is too much to look at."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from core.flow.graph import Graph


def part_of(graph: Graph, kept: Set[str], start: str) -> Graph:
    """The graph of these nodes and of the edges between them."""
    nodes = {node: spec for node, spec in graph.nodes.items() if node in kept}
    edges = tuple(edge for edge in graph.edges if edge.from_id in nodes and edge.to_id in nodes)
    return replace(graph, nodes=nodes, edges=edges, start=start)


def neighbourhood(graph: Graph, node: str, hops: int) -> Graph:
    """The part within so many edges of a node, along or against them; without the start it begins at the node."""
    near = {node}
    for _ in range(hops):
        after = {edge.to_id for edge in graph.edges if edge.from_id in near}
        before = {edge.from_id for edge in graph.edges if edge.to_id in near}
        near |= after | before
    return part_of(graph, near, graph.start if graph.start in near else node)
