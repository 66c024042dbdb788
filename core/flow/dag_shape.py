"""The shape of a graph of mode dag: its order, and what leads to what."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from core.errors import DefinitionError
from core.flow.graph import EdgeSpec, Graph


class DagShape:
    """What can be known of a graph without running it. Raises DefinitionError where it has a cycle.

    `order` has every node after all that lead to it, else as the file has them; `rank` is a node's place in it.
    Sets of nodes are whole numbers with a bit for each rank.
    """

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        pairs = [(edge.from_id, edge.to_id) for edge in graph.edges]
        order = topological(list(graph.nodes), pairs)
        if len(order) < len(graph.nodes):
            cycle = find_cycle(list(graph.nodes), pairs)
            raise DefinitionError(
                f"The workflow {graph.name} has a cycle: {' → '.join(cycle)}.",
                cause="In mode dag every node runs once, after all that lead to it.",
                next_step="Take out one of these edges, or write machine for the mode.",
            )
        self.order = tuple(order)
        self.rank = {node: rank for rank, node in enumerate(order)}
        self.edges: dict[str, list[EdgeSpec]] = {node: [] for node in order}
        self.sources: dict[str, list[str]] = {node: [] for node in order}
        self.targets: dict[str, list[str]] = {node: [] for node in order}
        for edge in graph.edges:
            self.edges[edge.from_id].append(edge)
            if edge.from_id not in self.sources[edge.to_id]:
                self.sources[edge.to_id].append(edge.from_id)
                self.targets[edge.from_id].append(edge.to_id)
        self.ancestors: dict[str, int] = {}
        for node in order:
            mask = 0
            for source in self.sources[node]:
                mask |= self.ancestors[source] | self.bit(source)
            self.ancestors[node] = mask

    def bit(self, node: str) -> int:
        """The set of just this node."""
        return 1 << self.rank[node]

    def members(self, mask: int) -> Iterable[str]:
        """The nodes of a set, in order."""
        while mask:
            lowest = mask & -mask
            yield self.order[lowest.bit_length() - 1]
            mask ^= lowest


def start_nodes(graph: Graph) -> list[str]:
    """Where a run begins: in mode dag every node without an incoming edge, else the start."""
    if graph.mode != "dag":
        return [graph.start]
    entered = {edge.to_id for edge in graph.edges}
    return [node for node in graph.nodes if node not in entered]


def first_node(graph: Graph) -> str:
    """The node that a run begins with: in mode dag the start node of the highest priority, the first of several."""
    starts = start_nodes(graph)
    if graph.mode != "dag" or not starts:
        return graph.start
    return max(starts, key=lambda node: graph.nodes[node].priority)


def topological(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """The nodes, each after all that lead to it, else as they are given; those on or behind a cycle are left out."""
    place = {node: index for index, node in enumerate(nodes)}
    follows: dict[str, list[str]] = {node: [] for node in nodes}
    missing = dict.fromkeys(nodes, 0)
    for source, target in edges:
        follows[source].append(target)
        missing[target] += 1
    free = [place[node] for node in nodes if not missing[node]]
    heapq.heapify(free)
    order: list[str] = []
    while free:
        node = nodes[heapq.heappop(free)]
        order.append(node)
        for target in follows[node]:
            missing[target] -= 1
            if not missing[target]:
                heapq.heappush(free, place[target])
    return order


def find_cycle(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """One cycle as a list that begins and ends with the same node; empty where there is none."""
    edges = list(edges)
    left = set(nodes) - set(topological(nodes, edges))
    if not left:
        return []
    comes_from: Mapping[str, str] = {target: source for source, target in edges if source in left and target in left}
    path: list[str] = []
    place: dict[str, int] = {}
    node = next(node for node in nodes if node in left)
    # Who is left has an incoming edge from another who is left, so going back never ends but in a cycle.
    while node not in place:
        place[node] = len(path)
        path.append(node)
        node = comes_from[node]
    return [*path[place[node] :], node][::-1]
