"""Which nodes of a dag are done, skipped, ready or still to come, by what their edges came to."""

from __future__ import annotations

from collections.abc import Collection

from core.flow.dag_shape import DagShape


class Settling:
    """Grows by nodes that are done; everything else follows, whatever the order in which they come.

    An edge is settled when its source is done or skipped, and true when the source is done and chose it. A node whose
    incoming edges are all settled is ready if one of them is true, and is skipped if none is. A node without
    incoming edges is ready from the start.
    """

    def __init__(self, shape: DagShape) -> None:
        self._shape = shape
        self._unsettled = {node: len(sources) for node, sources in shape.sources.items()}
        self._chosen: set[str] = set()
        self.taken: dict[str, frozenset[str]] = {}
        """Nodes that are done, with the nodes that they lead on to."""
        self.skipped: dict[str, list[str]] = {}
        """Nodes that are skipped, with the sources of their incoming edges."""
        self.ready: set[str] = {node for node, count in self._unsettled.items() if not count}

    def complete(self, node: str, taken: Collection[str]) -> list[str]:
        """A node is done and leads on to those of `taken`; returns the nodes that are skipped by it, in order."""
        self.ready.discard(node)
        self.taken[node] = frozenset(taken)
        skipped: list[str] = []
        settled = [node]
        for source in settled:
            leads_to = self.taken.get(source, frozenset())
            for target in self._shape.targets[source]:
                if target in leads_to:
                    self._chosen.add(target)
                self._unsettled[target] -= 1
                if self._unsettled[target] or target in self.taken:
                    continue  # One that is done may have got another edge by an edit of the workflow.
                if target in self._chosen:
                    self.ready.add(target)
                else:
                    self.skipped[target] = self._shape.sources[target]
                    skipped.append(target)
                    settled.append(target)
        return sorted(skipped, key=self._shape.rank.__getitem__)

    def in_turn(self) -> list[str]:
        """The nodes that are ready, by priority and then in the order of the graph."""
        nodes, rank = self._shape.nodes, self._shape.rank
        return sorted(self.ready, key=lambda node: (-nodes[node].priority, rank[node]))

    def next(self) -> str | None:
        """The node that is next where one runs at a time; None where all are done or skipped."""
        return min(
            self.ready, key=lambda node: (-self._shape.nodes[node].priority, self._shape.rank[node]), default=None
        )
