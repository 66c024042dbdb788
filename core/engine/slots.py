"""Room for run processes: so many at once, the others wait in the order in which they asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

PROCESS_LIMIT = 16
"""Run processes at once; further runs are queued."""


class Holder(Protocol):
    """Who asks for room; compared by identity."""

    def room_granted(self) -> None:
        """There is room from now on, until it is given back."""
        ...

    def make_room(self) -> None:
        """Others wait for room: give it back soon, where nothing is lost by it."""
        ...


class Slots:
    """Grants room to at most `limit` holders at once; `idlers` names those that could give theirs back."""

    def __init__(self, idlers: Callable[[], Iterable[Holder]], limit: int) -> None:
        self._idlers = idlers
        self._limit = limit
        self._holding: set[Holder] = set()
        self._waiting: dict[Holder, None] = {}

    @property
    def crowded(self) -> bool:
        """True while somebody waits for room."""
        return bool(self._waiting)

    def want(self, holder: Holder) -> None:
        """Grant room now or when there is some."""
        if holder in self._holding or holder in self._waiting:
            return
        if len(self._holding) < self._limit:
            self._grant(holder)
            return
        self._waiting[holder] = None
        # As many are asked as wait: the ones before were asked for those who came before.
        for place, idler in enumerate(self._idlers(), start=1):
            if place == len(self._waiting):
                idler.make_room()
                break

    def give_back(self, holder: Holder) -> None:
        """Take the room back, or the wish for it; the next who waits gets it."""
        self._waiting.pop(holder, None)
        self._holding.discard(holder)
        while self._waiting and len(self._holding) < self._limit:
            self._grant(next(iter(self._waiting)))

    def _grant(self, holder: Holder) -> None:
        self._waiting.pop(holder, None)
        self._holding.add(holder)
        holder.room_granted()
