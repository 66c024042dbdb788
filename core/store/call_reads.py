"""Reading calls of models, tools and addresses, and what they used."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import UsageError
from core.store.call_operations import RUN_TREE, call_crc
from core.store.damage import notes_damage
from core.store.problems import row_damaged
from core.store.reader import Reader
from core.store.records import CallRecord, columns

SELECT_CALLS = f"SELECT {columns(CallRecord)} FROM calls"
NO_RECORDINGS = "status <> 'recorded'"

USED = (
    "coalesce(sum(kind = 'llm'), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
    " coalesce(sum(cache_read_tokens), 0),"
    " coalesce(sum(cost), 0.0), coalesce(sum(kind = 'llm' AND cost IS NULL AND status = 'done'), 0),"
    " coalesce(sum(kind = 'tool'), 0), coalesce(sum(CASE WHEN kind = 'tool' THEN cost END), 0.0)"
)
PAID = "kind IN ('llm', 'tool') AND status NOT IN ('replayed', 'recorded')"
"""What counts: a replayed call used nothing."""


@dataclass(frozen=True, slots=True)
class CallTotals:
    """What calls used together; `unpriced` counts those of models whose cost is not known.

    `calls` and tokens are those of models; `cost` holds what tools cost, too, where their provider says so.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    tool_calls: int = 0
    tool_cost: float = 0.0


class CallReads(Reader):
    """What the store knows of calls."""

    async def calls(
        self,
        *,
        run: int | None = None,
        chat: str | None = None,
        node: str | None = None,
        status: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[CallRecord]:
        """Calls of a run, of a chat or of all, oldest first; recordings only where `status` names them."""
        filters, values = ["number > ?"], [after]
        given: list[tuple[str, str | int | None]] = [("run", run), ("chat", chat), ("node", node), ("status", status)]
        for name, value in given:
            if value is not None:
                filters.append(f"{name} = ?")
                values.append(value)  # type: ignore[arg-type]
        if status is None:
            filters.append(NO_RECORDINGS)
        rows = await self._fetch(
            f"{SELECT_CALLS} WHERE {' AND '.join(filters)} ORDER BY number LIMIT ?", (*values, limit)
        )
        return [CallRecord(*row) for row in rows]

    async def call(self, number: int) -> CallRecord:
        """One call. Raises UsageError where there is none of that number."""
        rows = await self._fetch(f"{SELECT_CALLS} WHERE number = ?", (number,))
        if not rows:
            raise UsageError(f"There is no call {number}.", next_step="See the calls of a run: rondo calls RUN")
        return CallRecord(*rows[0])

    async def known_calls(self, run: int, key: str, nth: int, hash: str) -> list[CallRecord]:
        """What is recorded of one call of a visit and not spent, oldest first."""
        rows = await self._fetch(
            f"{SELECT_CALLS} WHERE key = ? AND nth = ? AND hash = ? AND run = ? AND spent = 0 ORDER BY number",
            (key, nth, hash, run),
        )
        return [CallRecord(*row) for row in rows]

    async def tool_calls(self, run: int, key: str, nth: int, hash: str) -> list[CallRecord]:
        """The same of a call of a tool, oldest first, also where the try that had it failed: what acted has acted."""
        rows = await self._fetch(
            f"{SELECT_CALLS} WHERE key = ? AND nth = ? AND hash = ? AND run = ? ORDER BY number", (key, nth, hash, run)
        )
        return [CallRecord(*row) for row in rows]

    async def calls_by_hand(self, key: str) -> list[CallRecord]:
        """The calls of tools under this command's id, which belong to no run."""
        rows = await self._fetch(
            f"{SELECT_CALLS} WHERE key = ? AND run IS NULL AND kind = 'tool' ORDER BY number", (key,)
        )
        return [CallRecord(*row) for row in rows]

    async def recorded_call(self, run: int, line: int, node: str, visit: int, nth: int, hash: str) -> CallRecord | None:
        """What a call of a replayed run's line is answered from: the same call, else the node's next like it."""
        rows = await self._fetch(
            f"{SELECT_CALLS} WHERE run = ? AND status = 'recorded' AND spent <> ? AND node = ? AND hash = ?"
            " ORDER BY visit <> ? OR nth <> ?, number LIMIT 1",
            (run, line, node, hash, visit, nth),
        )
        return CallRecord(*rows[0]) if rows else None

    async def run_tree(self, run: int) -> list[int]:
        """The numbers of a run and of all that are nested in it."""
        rows = await self._fetch(RUN_TREE, {"source": run})  # type: ignore[arg-type]
        return [row[0] for row in rows]

    @notes_damage
    async def call_content(self, number: int) -> tuple[bytes, bytes]:
        """The JSON texts of what was asked and answered; the answer is empty where there is none.

        Raises DatabaseDamaged.
        """
        row = await self._fetch_one("SELECT request, reply, crc, line FROM calls WHERE number = ?", (number,))
        if row is None:
            raise UsageError(f"There is no call {number}.", next_step="See the calls of a run: rondo calls RUN")
        request, reply, crc, line = row
        try:
            if call_crc(request, reply) != crc:
                raise ValueError
            return zlib.decompress(request), zlib.decompress(reply) if reply else b""
        except (ValueError, zlib.error) as error:
            raise row_damaged("calls", f"number {number}", line) from error

    async def stored_call(self, number: int) -> tuple[bytes, bytes]:
        """The same as it is stored, deflated, after its check."""
        await self.call_content(number)
        row = await self._fetch_one("SELECT request, reply FROM calls WHERE number = ?", (number,))
        assert row is not None
        return row[0], row[1]

    async def call_totals(
        self, *, run: int | None = None, chat: str | None = None, since: float | None = None
    ) -> CallTotals:
        """What the calls of a run, of a chat, or of all since a moment used."""
        filters: list[str] = [PAID]
        values: list[str | int | float] = []
        for condition, value in (("run = ?", run), ("chat = ?", chat), ("started_at >= ?", since)):
            if value is not None:
                filters.append(condition)
                values.append(value)
        row = await self._fetch_one(f"SELECT {USED} FROM calls WHERE {' AND '.join(filters)}", values)
        return CallTotals(*(row or ()))

    async def call_totals_of(self, runs: Sequence[int]) -> dict[int, CallTotals]:
        """What the calls of each of these runs used; runs without any are left out."""
        marks = ", ".join("?" * len(runs))
        rows = await self._fetch(
            f"SELECT run, {USED} FROM calls WHERE run IN ({marks}) AND {PAID} GROUP BY run", list(runs)
        )
        return {row[0]: CallTotals(*row[1:]) for row in rows}

    async def budget_answers(self, *, run: int | None = None, since: float = 0.0) -> list[tuple[str, str, str]]:
        """(request id, options, answer) of the requests of kind budget, of a run or of all, answered since a moment."""
        rows = await self._fetch(
            "SELECT request_id, options, answer FROM requests WHERE kind = 'budget' AND answered_at >= ?"
            f" AND answer IS NOT NULL{'' if run is None else ' AND run = ?'}",
            (since,) if run is None else (since, run),
        )
        return [(row[0], row[1], row[2]) for row in rows]
