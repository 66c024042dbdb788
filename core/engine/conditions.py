"""The condition of an edge that was taken, which a step's row leaves out where the graph says it just as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from core.flow.graph import Graph

Conditions = Mapping[tuple[str, str], str]
"""The condition of the edge from one node to another, of those pairs that have one conditional edge between them."""

TAKEN = '{"reason":"edge"}'
"""The routing of a step whose condition is the one that `conditions_between` knows."""


def conditions_between(graph: Graph) -> Conditions:
    """What is known of a graph's conditions by the nodes alone."""
    conditional = [edge for edge in graph.edges if edge.condition]
    counts = Counter((edge.from_id, edge.to_id) for edge in conditional)
    return {pair: edge.condition for edge in conditional if counts[pair := (edge.from_id, edge.to_id)] == 1}
