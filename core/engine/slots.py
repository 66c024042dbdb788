"""Room for run processes: so many at once, and so many of one workflow; the others are queued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol


class Holder(Protocol):
    """Who asks for room; compared by identity."""

    @property
    def workflow(self) -> str:
        """Whose room it shares where a workflow has a limit of its own."""
        ...

    @property
    def priority(self) -> int:
        """Higher ones go first."""
        ...

    def room_granted(self) -> None:
        """There is room from now on, until it is given back."""
        ...

    def make_room(self) -> None:
        """Others wait for room: give it back soon, where nothing is lost by it."""
        ...


class Slots:
    """Grants room to at most `limit()` holders at once and to at most `limit_of(workflow)` of one workflow (0: any).

    The limits are asked for anew each time, so that they may change. `idlers` names holders that could give their room
    back. The order is that of `queue`.
    """

    def __init__(
        self, idlers: Callable[[], Iterable[Holder]], limit: Callable[[], int], limit_of: Callable[[str], int]
    ) -> None:
        self._idlers = idlers
        self._limit = limit
        self._limit_of = limit_of
        self._holding: set[Holder] = set()
        self._waiting: dict[Holder, None] = {}
        self._held: Counter[str] = Counter()

    @property
    def crowded(self) -> bool:
        """True while somebody waits for room."""
        return bool(self._waiting)

    def queue(self) -> list[Holder]:
        """Who waits, in the order in which they get room: by priority, then in turn by workflow, then by arrival.

        In turn means that the workflow with the fewest holders is next, so that a hundred runs of one workflow don't
        hold up the first of another. Who only waits for its own workflow's limit is passed over until there is room.
        """
        by_priority: dict[int, list[Holder]] = {}
        for holder in self._waiting:
            by_priority.setdefault(holder.priority, []).append(holder)
        held = self._held.copy()
        order: list[Holder] = []
        for priority in sorted(by_priority, reverse=True):
            turns: dict[Holder, int] = {}
            for holder in by_priority[priority]:
                turns[holder] = held[holder.workflow]
                held[holder.workflow] += 1
            # Sorting keeps the order of arrival among those who are equal.
            order += sorted(turns, key=turns.__getitem__)
        return order

    def position(self, holder: Holder) -> int:
        """At which place a holder waits, from 1 on; 0 where it does not wait."""
        return self.queue().index(holder) + 1 if holder in self._waiting else 0

    def want(self, holder: Holder) -> None:
        """Grant room now or when there is some."""
        if holder in self._holding or holder in self._waiting:
            return
        self._waiting[holder] = None
        self._grant_what_fits()
        if holder in self._waiting:
            self._ask_for_room(holder)

    def give_back(self, holder: Holder) -> None:
        """Take the room back, or the wish for it; the next who waits gets it."""
        self._waiting.pop(holder, None)
        if holder in self._holding:
            self._holding.discard(holder)
            self._held[holder.workflow] -= 1
        self._grant_what_fits()

    def _grant_what_fits(self) -> None:
        while self._waiting and len(self._holding) < self._limit():
            fitting = self._queue_head()
            if fitting is None:
                return
            del self._waiting[fitting]
            self._holding.add(fitting)
            self._held[fitting.workflow] += 1
            fitting.room_granted()

    def _queue_head(self) -> Holder | None:
        """The first in the queue whose workflow has room."""
        best: tuple[int, int] | None = None
        first: Holder | None = None
        full = {name for name, count in self._held.items() if self._is_full(name, count)}
        for holder in self._waiting:
            rank = (-holder.priority, self._held[holder.workflow])
            if holder.workflow not in full and (best is None or rank < best):
                best, first = rank, holder
        return first

    def _is_full(self, workflow: str, count: int) -> bool:
        limit = self._limit_of(workflow)
        return 0 < limit <= count

    def _ask_for_room(self, holder: Holder) -> None:
        """Ask as many as wait for the same room to give theirs back: the ones before were asked for those before."""
        own = self._is_full(holder.workflow, self._held[holder.workflow])
        if own:
            idlers = [idler for idler in self._idlers() if idler.workflow == holder.workflow]
            waiting = sum(other.workflow == holder.workflow for other in self._waiting)
        else:
            idlers, waiting = list(self._idlers()), len(self._waiting)
        if waiting <= len(idlers):
            idlers[waiting - 1].make_room()
