"""Reading a run's log: windows by row number, and filters in slices, so that a long log never holds others up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.store.reader import Reader, Row
from core.store.records import LogRow, columns

SLICE_ROWS = 20_000
"""Rows that one slice of a filtered scan looks at; other scans go on between two slices."""

SELECT_LOGS = f"SELECT {columns(LogRow)} FROM logs"


@dataclass(frozen=True, slots=True)
class _Filter:
    """Conditions on log rows beyond their numbers."""

    condition: str
    values: tuple[Any, ...]


class LogReads(Reader):
    """What the store knows of logs."""

    async def last_log_row(self, run_number: int) -> int:
        """The number of the run's last log row; 0 where it has none."""
        rows = await self._fetch("SELECT coalesce(max(row), 0) FROM logs WHERE run = ?", (run_number,))
        number: int = rows[0][0]
        return number

    async def log_size(self, run_number: int) -> tuple[int, int]:
        """How many lines and characters of the run's own output are kept; lines of the engine's don't count."""
        rows = await self._fetch(
            "SELECT count(*), coalesce(sum(length(text)), 0) FROM logs WHERE run = ? AND stream <> 'engine'",
            (run_number,),
        )
        return rows[0][0], rows[0][1]

    async def logs(
        self,
        run_number: int,
        after: int | None = None,
        before: int | None = None,
        limit: int = 500,
        node: str | None = None,
        minimum_level: int | None = None,
        search: str | None = None,
    ) -> tuple[list[LogRow], int]:
        """A window of a run's log in order, with the number of the run's last row.

        With `after` the first `limit` fitting rows after that one, else the last ones (`before` a row). `search` is a
        plain text, case ignored. A caller that is cancelled stops the scan after the present slice.
        """
        last = await self.last_log_row(run_number)
        first = after + 1 if after is not None else 1
        end = min(before - 1, last) if before is not None else last
        wanted = _filter(node, minimum_level, search)
        if wanted is None:
            rows = await self._window(run_number, first, end, limit, newest=after is None)
        else:
            rows = await self._filtered(run_number, first, end, limit, wanted, newest=after is None)
        return [LogRow(*row) for row in rows], last

    async def _window(self, run: int, first: int, end: int, limit: int, *, newest: bool) -> list[Row]:
        order = "DESC" if newest else "ASC"
        rows = await self._fetch(
            f"{SELECT_LOGS} WHERE run = ? AND row BETWEEN ? AND ? ORDER BY row {order} LIMIT ?",
            (run, first, end, limit),
        )
        return rows[::-1] if newest else rows

    async def _filtered(
        self, run: int, first: int, end: int, limit: int, wanted: _Filter, *, newest: bool
    ) -> list[Row]:
        """The fitting rows, looked for slice by slice from the wanted end."""
        order = "DESC" if newest else "ASC"
        statement = (
            f"{SELECT_LOGS} WHERE run = ? AND row BETWEEN ? AND ? AND {wanted.condition} ORDER BY row {order} LIMIT ?"
        )
        found: list[Row] = []
        while first <= end and len(found) < limit:
            if newest:
                low, high = max(first, end - SLICE_ROWS + 1), end
                end = low - 1
            else:
                low, high = first, min(end, first + SLICE_ROWS - 1)
                first = high + 1
            found += await self._scan(statement, (run, low, high, *wanted.values, limit - len(found)))
        return found[::-1] if newest else found


def _filter(node: str | None, minimum_level: int | None, search: str | None) -> _Filter | None:
    conditions: list[str] = []
    values: list[Any] = []
    if node is not None:
        conditions.append("node = ?")
        values.append(node)
    if minimum_level is not None:
        conditions.append("level >= ?")
        values.append(minimum_level)
    if search:
        # SQLite's own lower() knows ASCII only, but is many times as fast as calling back into Python.
        function = "lower" if search.isascii() else "casefold"
        conditions.append(f"instr({function}(text), ?) > 0")
        values.append(search.lower() if search.isascii() else search.casefold())
    return _Filter(" AND ".join(conditions), tuple(values)) if conditions else None
