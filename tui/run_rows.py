"""The runs that a list holds: a window on all of them, newest first, brought up to date row by row. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.link.types import RunRow
from tui.window import Window

CAPACITY = 400
"""Rows that are held; as many are read again in one call."""


class RunRows(Window[RunRow]):
    """Rows in falling order of `RunRow.number`; `at_start` says that the newest run is among them."""

    def __init__(self) -> None:
        super().__init__(lambda row: -row.number, CAPACITY)

    @property
    def newest(self) -> int:
        """The number of the first row, 0 where there is none."""
        return -self.first

    @property
    def oldest(self) -> int:
        """The number of the last row, 0 where there is none."""
        return -self.last

    def place_of(self, run_id: str) -> int | None:
        """Where a run stands."""
        return next((place for place, row in enumerate(self.rows) if row.run_id == run_id), None)

    def update(self, asked: Iterable[str], found: Sequence[RunRow]) -> tuple[set[int], bool]:
        """Take over the rows of the runs that were read again: those that are not `found` are gone or left out now.

        Returns the places that look different, and True where lines came or went.
        """
        fresh = {row.run_id: row for row in found}
        lost = set(asked) - fresh.keys()
        kept = [row for row in self.rows if row.run_id not in lost]
        moved = len(kept) != len(self.rows)
        self.rows = kept
        changed = set()
        for place, row in enumerate(kept):
            new = fresh.pop(row.run_id, None)
            if new is not None and new != row:
                kept[place] = new
                changed.add(place)
        added = [row for row in fresh.values() if self._belongs(row)]
        if added:
            moved = True
            self.rows = sorted([*kept, *added], key=lambda row: -row.number)
            if len(self.rows) > CAPACITY:
                del self.rows[CAPACITY:]
                self.at_end = False
        return changed, moved

    def _belongs(self, row: RunRow) -> bool:
        """True for a row that lies within the window, or right before or behind it."""
        newer = self.at_start or (bool(self.rows) and row.number < self.newest)
        older = self.at_end or (bool(self.rows) and row.number > self.oldest)
        return newer and older
