"""What would act again: nodes that have acted after a step, by what they declare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.engine.dag_rows import committed
from core.errors import EffectsNotAcknowledged
from core.flow.graph import Graph
from core.link.types import InFlight
from core.store.store import Store


@dataclass(frozen=True, slots=True)
class Acted:
    """A node that acted: how often, and when it last ended (or began, where it still runs)."""

    node: str
    times: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Effects:
    """What acted after a step and is in the graph to go on with; nodes that declare `none` or `read` are left out."""

    write: list[Acted]
    undeclared: list[str]

    def refuse_unless(self, acknowledged: bool, seq: int) -> None:
        """Raise EffectsNotAcknowledged where nodes that write would act again and nobody said that they may."""
        if not self.write or acknowledged:
            return
        names = ", ".join(f"{acted.node} ({_times(acted.times)}, last {_at(acted.last_at)})" for acted in self.write)
        unknown = f" Nodes that declare nothing may act again too: {', '.join(self.undeclared)}."
        raise EffectsNotAcknowledged(
            f"Going on from step {seq} may repeat what was done outside: {names}.",
            cause=f"{'These nodes declare' if len(self.write) > 1 else 'This node declares'} effects: write and acted"
            f" after step {seq}.{unknown if self.undeclared else ''}",
            next_step="Look at what they did; if they may act again, say so: --acknowledge-effects",
            details={
                "write": [{"node": acted.node, "times": acted.times, "last_at": acted.last_at} for acted in self.write],
                "undeclared": self.undeclared,
            },
        )

    def note(self) -> str:
        """One line for the run's log; empty where there is nothing to say."""
        parts = []
        if self.write:
            parts.append(f"acknowledged: {', '.join(acted.node for acted in self.write)} may act again")
        if self.undeclared:
            parts.append(f"without declared effects, and may act again: {', '.join(self.undeclared)}")
        return "; ".join(parts)


async def effects_after(
    store: Store, line: int, seq: int, graph: Graph, before: Graph, running: Iterable[InFlight]
) -> Effects:
    """What acted after step `seq` of a line's history; where `graph` doesn't say what a node does, `before` may."""
    acted = {
        node: Acted(node, times, last_at) for node, (times, last_at) in (await store.acted_after(line, seq)).items()
    }
    if graph.mode == "dag":
        # What failed may have done so long before the last step, made beside it, and is still to come.
        done = {step.node for step in await committed(store, line) if step.seq <= seq}
        for attempt in await store.attempts(line, 0, seq):
            if attempt.node not in done:
                known = acted.get(attempt.node, Acted(attempt.node, 0, 0.0))
                acted[attempt.node] = Acted(attempt.node, known.times + 1, max(known.last_at, attempt.ended_at))
    for flight in running:
        known = acted.get(flight.node, Acted(flight.node, 0, 0.0))
        acted[flight.node] = Acted(flight.node, known.times + 1, max(known.last_at, flight.started_at))
    write: list[Acted] = []
    undeclared: list[str] = []
    for node, what in acted.items():
        if node not in graph.nodes:
            continue
        old = before.nodes.get(node)
        declared = graph.nodes[node].effects or (old.effects if old is not None else "")
        if declared == "write":
            write.append(what)
        elif not declared:
            undeclared.append(node)
    return Effects(write, undeclared)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
