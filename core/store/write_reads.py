"""Reading what steps wrote, from the newest back, in slices: the rows that may have touched a key of the state."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from core.store.line_reads import LineReads, checked, split_names
from core.store.reader import Row

SLICE_STEPS = 20_000
"""Steps that one slice of the scan looks at; other scans go on between two slices."""


@dataclass(frozen=True, slots=True)
class StepWrites:
    """A step with the operations of its delta as JSON text, and the names of the large values that they refer to."""

    seq: int
    node: str
    visit: int
    attempt: int
    ended_at: float
    operations: bytes
    blobs: tuple[bytes, ...]


class WriteReads(LineReads):
    """What the store knows of who wrote what."""

    async def steps_that_name(
        self, line: int, key: str | None, before: int, lowest: int, limit: int
    ) -> list[StepWrites]:
        """The last `limit` steps from `lowest` on and below `before` whose changes name a key, the newest first.

        `key` is one of the state's own, None for any. Text that is found in a value counts too: the caller looks. A
        caller that is cancelled stops the scan after the present slice. Raises DatabaseDamaged.
        """
        found: list[Row] = []
        condition, values = ("", ()) if key is None else (" AND instr(delta, ?) > 0", (orjson.dumps(key),))
        for part in reversed(await self._parts(line)):
            high = min(before - 1, part.last)
            low = max(part.first, lowest)
            if high >= low:
                newest = await self._scan("SELECT max(seq) FROM steps WHERE line = ?", (part.line,))
                high = min(high, newest[0][0] if newest[0][0] is not None else -1)
            while high >= low and len(found) < limit:
                start = max(low, high - SLICE_STEPS + 1)
                found += await self._scan(
                    "SELECT line, seq, delta, blobs, crc, own, node, visit, attempt, ended_at FROM steps"
                    f" WHERE line = ? AND seq BETWEEN ? AND ?{condition} ORDER BY seq DESC LIMIT ?",
                    (part.line, start, high, *values, limit - len(found)),
                )
                high = start - 1
        return [_writes(checked(row)) for row in found]

    async def large_values(self, names: tuple[bytes, ...]) -> list[bytes]:
        """The JSON texts of large values, in the order of their names. Raises DatabaseDamaged."""
        blobs = await self._blobs(names)
        return [blobs[name] for name in names]


def _writes(row: Row) -> StepWrites:
    _, seq, delta, names, _, _, node, visit, attempt, ended_at = row
    return StepWrites(seq, node, visit, attempt, ended_at, delta, tuple(split_names(names)))
