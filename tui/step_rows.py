"""The attempts and steps of a run, as far as they are loaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.link.types import StepView

CAPACITY = 2_000
PAGE = 400


class StepRows:
    """A stretch of a run's rows: `after` is the step before its first row, `at_end` says that nothing follows it."""

    def __init__(self) -> None:
        self.rows: list[StepView] = []
        self.after = 0
        self.at_end = True
        self.total = 0

    @property
    def last_step(self) -> int:
        """The last completed step that is loaded; `after` where there is none."""
        return next((row.step for row in reversed(self.rows) if row.step is not None), self.after)

    @property
    def longest(self) -> float:
        """Seconds of the longest attempt that is loaded and over."""
        return max((row.ended_at - row.started_at for row in self.rows if row.ended_at is not None), default=0.0)

    def replace(self, after: int, rows: Sequence[StepView], total: int, *, more: bool) -> None:
        """Show another stretch."""
        self.rows = list(rows)
        self.after = after
        self.total = total
        self.at_end = not more

    def extend(self, after: int, rows: Sequence[StepView], total: int, *, more: bool) -> int:
        """Put what follows step `after` in place of what was there; returns how many rows were cut at the beginning."""
        if after < self.after or after > self.last_step:
            self.replace(after, rows, total, more=more)
            return 0
        self.rows = [*self.rows[: self._rows_until(after)], *rows]
        self.total = total
        self.at_end = not more
        return self._cut_beginning()

    def prepend(self, after: int, rows: Sequence[StepView]) -> int:
        """Put the rows after step `after` and before the stretch in front; returns how many there were."""
        fresh = [row for row in rows if row.step is None or row.step <= self.after]
        while fresh and fresh[-1].step is None:
            fresh.pop()
        self.rows = [*fresh, *self.rows]
        self.after = after
        if len(self.rows) > CAPACITY:
            self.rows = self.rows[:CAPACITY]
            while self.rows and self.rows[-1].step is None:
                self.rows.pop()
            self.at_end = False
        return len(fresh)

    def _rows_until(self, step: int) -> int:
        if step <= self.after:
            return 0
        return next((place + 1 for place, row in enumerate(self.rows) if row.step == step), len(self.rows))

    def _cut_beginning(self) -> int:
        if len(self.rows) <= CAPACITY:
            return 0
        cut = len(self.rows) - CAPACITY
        while cut < len(self.rows) and self.rows[cut - 1].step is None:
            cut += 1
        self.after = self.rows[cut - 1].step or self.after
        del self.rows[:cut]
        return cut

    def state_step(self, place: int) -> int:
        """The step whose state is shown at a row: its own, or the last one completed before an attempt."""
        for row in reversed(self.rows[: place + 1]):
            if row.step is not None:
                return row.step
        return self.after

    def place_of_step(self, step: int) -> int | None:
        """The row of a completed step."""
        return next((place for place, row in enumerate(self.rows) if row.step == step), None)

    def begins_visit(self, place: int) -> bool:
        """True for the first row of a visit: the following ones are further attempts."""
        if place == 0:
            return True
        before, here = self.rows[place - 1], self.rows[place]
        return (before.node, before.visit) != (here.node, here.visit)

    def tried_before(self, place: int) -> bool:
        """True where the visit has more than one attempt, so that their numbers are worth showing."""
        row = self.rows[place]
        if row.attempt > 1:
            return True
        following = self.rows[place + 1] if place + 1 < len(self.rows) else None
        return following is not None and (following.node, following.visit) == (row.node, row.visit)

    def number(self, place: int) -> int:
        """The step's number: its own, or the one that a running or failed visit would get."""
        row = self.rows[place]
        if row.step is not None:
            return row.step
        following = next((other.step for other in self.rows[place:] if other.step is not None), None)
        return following if following is not None else self.state_step(place) + 1
