"""A window on rows that are too many to hold: a stretch of them, which grows at one end and is cut at the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Window(Generic[Row]):
    """Rows without gaps, at most `capacity` of them. `number` gives the place of a row in the whole: rows grow by it.

    `at_start` and `at_end` say that there is nothing before or after the window.
    """

    def __init__(self, number: Callable[[Row], int], capacity: int = 2_000) -> None:
        self._number = number
        self._capacity = capacity
        self.rows: list[Row] = []
        self.at_start = True
        self.at_end = True

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first(self) -> int:
        """The number of the first row, 0 where there is none."""
        return self._number(self.rows[0]) if self.rows else 0

    @property
    def last(self) -> int:
        """The number of the last row, 0 where there is none."""
        return self._number(self.rows[-1]) if self.rows else 0

    def replace(self, rows: Sequence[Row], *, at_start: bool, at_end: bool) -> None:
        """Show another stretch."""
        self.rows = list(rows)
        self.at_start = at_start
        self.at_end = at_end

    def append(self, rows: Sequence[Row], *, at_end: bool) -> int:
        """Add the rows that follow; returns how many were cut at the beginning."""
        self.rows += [row for row in rows if self._number(row) > self.last] if self.rows else rows
        self.at_end = at_end
        surplus = max(0, len(self.rows) - self._capacity)
        if surplus:
            del self.rows[:surplus]
            self.at_start = False
        return surplus

    def prepend(self, rows: Sequence[Row], *, at_start: bool) -> int:
        """Add the rows before; returns how many there were."""
        fresh = [row for row in rows if self._number(row) < self.first] if self.rows else list(rows)
        self.rows[:0] = fresh
        self.at_start = at_start
        if len(self.rows) > self._capacity:
            del self.rows[self._capacity :]
            self.at_end = False
        return len(fresh)

    def index_of(self, number: int) -> int | None:
        """The place of the row with a number, or of the last row before it; None outside of the window."""
        if not self.rows or not self.first <= number <= self.last:
            return None
        low, high = 0, len(self.rows) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._number(self.rows[middle]) <= number:
                low = middle
            else:
                high = middle - 1
        return low
