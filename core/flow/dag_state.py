"""What the nodes of a dag see and change: each its ancestors' changes, and all together the state of the run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.errors import StateConflict
from core.flow.conflicts import Conflicts
from core.flow.dag_shape import DagShape
from core.flow.delta import SNAPSHOT_BYTES, SNAPSHOT_STEPS, StateTracker, encode_state
from core.flow.diff import identical
from core.flow.journal import Delta
from core.flow.json_text import dumps, loads
from core.flow.reducers import (
    JOIN,
    MERGE,
    MISSING,
    Change,
    Path,
    State,
    Touch,
    apply,
    delta_of,
    governing,
    in_words_of_reducers,
    join,
    look_up,
    read_changes,
    touches,
    write_changes,
)
from core.flow.values import show_path
from core.sdk.tools import as_nodes_see


class Changes(NamedTuple):
    """A node's own changes as they are kept."""

    operations: bytes
    blobs: tuple[bytes, ...] = ()

    def read(self) -> list[Change]:
        """The changes, each value a fresh one."""
        return read_changes(self.operations, self.blobs)


@dataclass(slots=True)
class _Batch:
    """Changes by the ranks of their nodes, and what was changed from outside after them, which everybody sees."""

    by_rank: dict[int, Changes] = field(default_factory=dict)
    outside: Changes | None = None


@dataclass(slots=True)
class _Left:
    """The state as a node left it, for the nodes that have it as their only source."""

    state: State
    tracker: StateTracker
    wanted: int


class DagState:
    """Holds every committed change of a dag, and joins them to the state of the run.

    What a node sees is the initial state with the changes of its ancestors in the order of the graph, so it depends on
    nothing else. `initial` is the JSON text of a state, `since_snapshot` is (bytes, steps) of deltas.
    """

    def __init__(
        self, shape: DagShape, reducers: Mapping[Path, str], initial: bytes, since_snapshot: tuple[int, int] = (0, 0)
    ) -> None:
        self._shape = shape
        self._reducers = dict(reducers)
        self._initial = initial
        self._batches = [_Batch()]
        self._conflicts = Conflicts()
        self._left: dict[str, _Left] = {}
        self._last_rank: dict[Path, int] = {}
        """The highest rank of the nodes that changed what a reducer is for."""
        self._delta_bytes, self._delta_steps = since_snapshot
        self._size = 0
        self.merged: State = loads(initial)
        """The state of the run: all changes."""

    # What one node sees -------------------------------------------------------------------------------------------

    def view(self, node: str) -> View:
        """What a node sees, to be changed by it."""
        sources = self._shape.sources[node]
        left = self._left.get(sources[0]) if len(sources) == 1 else None
        if left is None:
            return View(self, node, self.seen_by(node))
        left.wanted -= 1
        if left.wanted:
            return View(self, node, loads(dumps(dict(left.state))))
        del self._left[sources[0]]
        return View(self, node, left.state, left.tracker)

    def seen_by(self, node: str, *, after: bool = False) -> State:
        """A fresh state with the changes of the node's ancestors; with `after` also its own."""
        return self._fold(self._shape.ancestors[node] | (self._shape.bit(node) if after else 0))

    def _fold(self, mask: int) -> State:
        state: State = loads(self._initial)
        for batch in self._batches:
            for rank in sorted(batch.by_rank):
                if mask >> rank & 1:
                    for change in batch.by_rank[rank].read():
                        apply(state, change)
            if batch.outside is not None:
                for change in batch.outside.read():
                    _apply_where_possible(state, change)
        return state

    # What nodes have changed --------------------------------------------------------------------------------------

    def check(self, node: str, changes: Sequence[Change]) -> None:
        """Take note of the places that a node changed; raises StateConflict where that doesn't go together."""
        found = self._touches(changes)
        conflict = self._conflicts.find(found, self._shape.ancestors[node] | self._shape.bit(node))
        if conflict is not None:
            raise self._conflict(node, *conflict)
        self._conflicts.note(found, self._shape.bit(node))

    def empty_for_reducers(self, state: State) -> set[Path]:
        """The places of reducers where there is nothing yet, or null."""
        return {path for path in self._reducers if look_up(state, path) in (MISSING, None)}

    def in_words_of_reducers(self, changes: Sequence[Change], empty: set[Path], after: State) -> list[Change]:
        """The changes as the reducers see them."""
        return in_words_of_reducers(changes, self._reducers, empty, after) if self._reducers else list(changes)

    def complete(self, view: View, delta: Delta) -> tuple[Delta, bytes]:
        """Add what a node changed; returns what that changes in the run's state, and the node's own operations.

        The own ones are empty where they are the same; they refer to the delta's blobs.
        """
        own = Changes(delta.operations, delta.blobs)
        mine: bytes = b""
        if any(governing(self._reducers, change.path) is not None for change in view.changes):
            written = delta_of(view.changes)
            own = Changes(written.operations, written.blobs)
            plain = self._add(view.node, own)
            blobs: list[bytes] = []
            operations = write_changes(plain, blobs)
            mine = write_changes(view.changes, blobs)
            delta = Delta(operations, tuple(blobs), len(plain))
            mine = b"" if mine == operations else mine
        else:
            self._add(view.node, own)
        self._delta_bytes += len(delta.operations) + sum(map(len, delta.blobs))
        self._delta_steps += 1
        alone = [target for target in self._shape.targets[view.node] if len(self._shape.sources[target]) == 1]
        if alone:
            self._left[view.node] = _Left(view.state, view.tracker, len(alone))
        return delta, mine

    def replay(self, node: str, own: Changes) -> None:
        """Add what a committed step changed; a node that the graph doesn't have any more is like the outside."""
        if node in self._shape.rank:
            self._conflicts.note(self._touches(own.read()), self._shape.bit(node))
            self._add(node, own)
            return
        for change in own.read():
            apply(self.merged, change)
        self._batches[-1].outside = own
        self._batches.append(_Batch())
        self._last_rank.clear()

    def take_snapshot(self) -> bytes | None:
        """The whole state's JSON text where the rules ask for a snapshot, else None (see `core.flow.delta`)."""
        if self._delta_bytes < max(SNAPSHOT_BYTES, self._size) and self._delta_steps < SNAPSHOT_STEPS:
            return None
        text = encode_state(self.merged)
        self._size = len(text)
        if self._delta_bytes <= self._size:
            return None
        self._delta_bytes = self._delta_steps = 0
        return text

    def _touches(self, changes: Sequence[Change]) -> list[Touch]:
        return [touch for change in changes for touch in touches(change, self._reducers)]

    def _add(self, node: str, own: Changes) -> list[Change]:
        """Make a node's changes in the run's state; returns the plain changes that this took."""
        rank = self._shape.rank[node]
        self._batches[-1].by_rank[rank] = own
        plain: list[Change] = []
        anew: list[Path] = []
        for change in own.read():
            place = governing(self._reducers, change.path)
            if place is None or (self._reducers[place] == MERGE and change.kind != JOIN):
                apply(self.merged, change)
                plain.append(change)
            elif change.kind == JOIN:
                plain += join(self.merged, change.path, change.value)
            elif rank >= self._last_rank.get(place, -1):
                self._last_rank[place] = rank
                kind = "set" if look_up(self.merged, place) in (MISSING, None) else change.kind
                apply(self.merged, change)
                plain.append(change._replace(kind=kind) if change.path == place else change)
            elif place not in anew:
                anew.append(place)
        for place in anew:
            plain += self._join_anew(place)
        return plain

    def _join_anew(self, place: Path) -> list[Change]:
        """Bring the value at a reducer's place to what all changes of it make in the order of the graph."""
        old, new = look_up(self.merged, place), look_up(self._fold(-1), place)
        if new is MISSING:
            if old is MISSING:
                return []
            change = Change("del", place)
        elif old is not MISSING and identical(old, new):
            return []
        elif isinstance(old, list) and isinstance(new, list) and identical(old, new[: len(old)]):
            change = Change("append", place, new[len(old) :])
        else:
            change = Change("set", place, new)
        apply(self.merged, Change(change.kind, place, loads(dumps(change.value))))
        return [change]

    def _conflict(self, node: str, path: Path, others: int) -> StateConflict:
        other = next(iter(self._shape.members(others)))
        keys = ".".join(itertools.takewhile(lambda part: isinstance(part, str), path))  # type: ignore[arg-type]
        place = show_path(path)
        return StateConflict(
            f"The nodes {other!r} and {node!r} both changed {place}, and no path leads from one to the other.",
            cause="Which of them came last would be chance, so the second change is refused.",
            next_step=f"Lead an edge from one to the other, let them write to different places, or name a reducer for"
            f' the place in the workflow\'s JSON: "reducers": {{"{keys}": "append"}}',
            details={"nodes": [other, node], "path": list(path)},
        )


class View:
    """What one visit sees and changes; it commits to its own tracker and is compared with what others did."""

    def __init__(self, whole: DagState, node: str, state: State, tracker: StateTracker | None = None) -> None:
        self._whole = whole
        self.node = node
        self.state = as_nodes_see(state)
        self.tracker = tracker or StateTracker(self.state, fine=True)
        self.changes: list[Change] = []
        self._empty = whole.empty_for_reducers(state)
        self._spoiled = False

    def commit_delta(self, shared: State, node: str = "") -> Delta:
        """Take the state as it is now as what the node leaves. Raises StateValueError, StateConflict."""
        delta = self.tracker.commit_delta(shared, node)
        changes = read_changes(delta.operations, delta.blobs)
        self.changes = self._whole.in_words_of_reducers(changes, self._empty, shared)
        self._spoiled = True
        self._whole.check(self.node, self.changes)
        self._spoiled = False
        return delta

    def rollback(self, shared: State) -> None:
        """Put the state back to what the node saw, in place."""
        if not self._spoiled:
            self.tracker.rollback(shared)
            return
        shared.clear()
        shared.update(self._whole.seen_by(self.node))
        self.tracker = StateTracker(shared, fine=True)
        self.changes = []
        self._spoiled = False


def _apply_where_possible(state: State, change: Change) -> None:
    """Make a change from outside in what one node sees: what it is about need not be there."""
    try:
        apply(state, change)
    except (LookupError, TypeError, AttributeError):
        return
