"""Reading the history of a line: its own steps and, before them, those of the lines it came from."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import orjson

from core.errors import StoreError, UnknownStep
from core.flow.delta import apply_delta, apply_operations
from core.store.damage import notes_damage
from core.store.problems import row_damaged, rows_missing, step_unusable
from core.store.reader import LARGE, Reader, Row
from core.store.records import AttemptRow, StepRow, columns
from core.store.step_operations import HASH_BYTES

NO_END = 2**62
STEPS_AT_ONCE = 2048
MANY = 200
"""Steps from which on deltas are applied in a thread."""
BLOBS_AT_ONCE = 64
PARTS_REMEMBERED = 10_000

STEP_COLUMNS = columns(StepRow)


@dataclass(frozen=True, slots=True)
class Part:
    """The steps `first` to `last` of a history, which stand in the rows of `line`."""

    line: int
    first: int
    last: int


class LineReads(Reader):
    """What the store knows of lines. A step is found by its number whichever line of the ancestry holds it."""

    _parts_known: dict[int, list[Part]]

    async def last_step(self, line: int) -> StepRow | None:
        """The newest step of the line's history; None where nothing is stored yet."""
        for part in reversed(await self._parts(line)):
            row = await self._fetch_one(
                f"SELECT {STEP_COLUMNS} FROM steps WHERE line = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
                (part.line, part.last),
            )
            if row is not None:
                return StepRow(*row)
        return None

    async def steps(self, line: int, after_seq: int = 0, limit: int = 500) -> list[StepRow]:
        """The steps after `after_seq`, in order; -1 to begin with step 0, the initial state."""
        rows: list[StepRow] = []
        for part in await self._parts(line):
            if part.last > after_seq and len(rows) < limit:
                found = await self._fetch(
                    f"SELECT {STEP_COLUMNS} FROM steps WHERE line = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
                    (part.line, after_seq, part.last, limit - len(rows)),
                )
                rows += [StepRow(*row) for row in found]
        return rows

    async def step_total(self, line: int) -> int:
        """How many completed visits the line's history has."""
        last = (await self._parts(line))[-1]
        return (await self.step_totals([last.line]))[line]

    async def step_totals(self, lines: Sequence[int]) -> dict[int, int]:
        """The same for many lines at once; step 0 is no visit."""
        marks = ", ".join("?" * len(lines))
        rows = await self._fetch(
            "SELECT line, coalesce((SELECT max(seq) FROM steps WHERE steps.line = lines.line), parent_seq, 0)"
            f" FROM lines WHERE line IN ({marks})",
            lines,
        )
        return {row[0]: row[1] for row in rows}

    async def visits(self, line: int) -> dict[str, int]:
        """How often each node has been completed in the line's history."""
        counts: dict[str, int] = {}
        for part in await self._parts(line):
            rows = await self._fetch(
                # An edit of the state is a step without a node.
                "SELECT node, count(*) FROM steps WHERE line = ? AND seq > 0 AND seq <= ? AND node <> '' GROUP BY node",
                (part.line, part.last),
            )
            for node, count in rows:
                counts[node] = counts.get(node, 0) + count
        return counts

    async def last_visit(self, line: int, node: str) -> StepRow | None:
        """The step of the node's last completed visit in the line's history."""
        for part in reversed(await self._parts(line)):
            row = await self._fetch_one(
                f"SELECT {STEP_COLUMNS} FROM steps WHERE line = ? AND seq > 0 AND seq <= ? AND node = ?"
                " ORDER BY seq DESC LIMIT 1",
                (part.line, part.last, node),
            )
            if row is not None:
                return StepRow(*row)
        return None

    async def acted_after(self, line: int, seq: int) -> dict[str, tuple[int, float]]:
        """The nodes that began an attempt after step `seq` of the line's history: how often, and when it last ended."""
        acted: dict[str, tuple[int, float]] = {}
        for part in await self._parts(line):
            first = max(seq + 1, part.first)
            rows = await self._fetch(
                "SELECT node, count(*), max(ended_at) FROM"
                " (SELECT node, ended_at FROM steps WHERE line = ? AND seq BETWEEN ? AND ? AND node <> ''"
                " UNION ALL SELECT node, ended_at FROM attempts WHERE line = ? AND before_seq BETWEEN ? AND ?)"
                " GROUP BY node ORDER BY min(ended_at)",
                (part.line, first, part.last, part.line, first, part.last),
            )
            for node, count, at in rows:
                before, last = acted.get(node, (0, 0.0))
                acted[node] = (before + count, max(last, at))
        return acted

    async def attempts(self, line: int, from_seq: int, to_seq: int) -> list[AttemptRow]:
        """The failed attempts of the visits that became, or would become, the steps `from_seq` to `to_seq`."""
        found: list[AttemptRow] = []
        for part in await self._parts(line):
            rows = await self._fetch(
                f"SELECT {columns(AttemptRow)} FROM attempts WHERE line = ? AND before_seq BETWEEN ? AND ?"
                " ORDER BY before_seq, started_at, node, visit, attempt",
                (part.line, max(from_seq, part.first), min(to_seq, part.last)),
            )
            found += [AttemptRow(*row) for row in rows]
        return found

    async def own_attempts(self, line: int, from_seq: int) -> list[AttemptRow]:
        """The failed attempts from the visits on that would become step `from_seq`, without those of earlier lines."""
        rows = await self._fetch(
            f"SELECT {columns(AttemptRow)} FROM attempts WHERE line = ? AND before_seq >= ?"
            " ORDER BY started_at, node, visit, attempt",
            (line, from_seq),
        )
        return [AttemptRow(*row) for row in rows]

    @notes_damage
    async def delta(self, line: int, seq: int) -> tuple[bytes, list[bytes]]:
        """What a step changed: the operations' JSON text and the large values. Raises UnknownStep, DatabaseDamaged."""
        rows = await self._delta_rows(line, seq, seq)
        if not rows:
            raise await self.unknown_step(line, seq)
        _, _, operations, names, *_ = checked(rows[0])
        blobs = await self._blobs(split_names(names))
        return operations, [blobs[name] for name in split_names(names)]

    @notes_damage
    async def own_changes(self, line: int) -> list[tuple[bytes, list[bytes]]]:
        """What the node of each step from 1 on changed itself: operations, large values. Raises DatabaseDamaged."""
        found: list[tuple[bytes, list[bytes]]] = []
        while rows := await self._delta_rows(line, len(found) + 1, len(found) + STEPS_AT_ONCE):
            for some in _with_few_blobs(rows):
                blobs = await self._blobs([name for row in some for name in split_names(row[3])])
                for _, _, delta, names, _, own in map(checked, some):
                    found.append((own or delta, [blobs[name] for name in split_names(names)]))
        return found

    async def deltas_since_snapshot(self, line: int) -> tuple[int, int]:
        """How many bytes of deltas, large values counted, and how many steps follow the newest snapshot.

        Step 0 sets every key, so it is as good as one.
        """
        newest = await self._newest_snapshot(line, NO_END)
        after = newest[0] if newest is not None else 0
        size, count = 0, 0
        for part in await self._parts(line):
            rows = await self._fetch(
                "SELECT count(*), coalesce(sum(length(delta)), 0) FROM steps WHERE line = ? AND seq > ? AND seq <= ?",
                (part.line, after, part.last),
            )
            count += rows[0][0]
            size += rows[0][1] + await self._blob_bytes(part, after)
        return size, count

    @notes_damage
    async def state_at(self, line: int, seq: int | None = None) -> tuple[int, bytes]:
        """The state's JSON text after step `seq` (None: the newest) with the step's number.

        Built from the nearest snapshot and the deltas after it. Raises UnknownStep, DatabaseDamaged.
        """
        if seq is None:
            last = await self.last_step(line)
            seq = last.seq if last is not None else -1
        if seq < 0:
            raise await self.unknown_step(line, seq)
        snapshot = await self._newest_snapshot(line, seq)
        start = snapshot[0] if snapshot is not None else -1
        text = snapshot[1] if snapshot is not None else b"{}"
        if start == seq:
            return seq, text
        state = _Folding(text, start)
        while state.seq < seq:
            rows = await self._delta_rows(line, state.seq + 1, min(seq, state.seq + STEPS_AT_ONCE))
            if not rows:
                raise await self.unknown_step(line, seq)
            for some in _with_few_blobs(rows):
                blobs = await self._blobs([name for row in some for name in split_names(row[3])])
                await state.add(some, blobs)
        return seq, await state.text()

    @notes_damage
    async def large_inputs(self, run: int) -> bytes:
        """The JSON text of inputs that are too large for the row of their run. Raises DatabaseDamaged."""
        row = await self._fetch_one("SELECT operations, blobs FROM inputs WHERE run = ?", (run,))
        if row is None:
            raise rows_missing("inputs", f"run {run}")
        operations, names = row[0], split_names(row[1])
        blobs = await self._blobs(names)

        def fold() -> bytes:
            inputs: dict[str, Any] = {}
            apply_delta(inputs, operations, [blobs[name] for name in names])
            return orjson.dumps(inputs)

        return await asyncio.to_thread(fold)

    async def large_inputs_size(self, run: int) -> int:
        """Bytes of their JSON text; 0 where there are none."""
        row = await self._fetch_one("SELECT size FROM inputs WHERE run = ?", (run,))
        return row[0] if row is not None else 0

    # Parts --------------------------------------------------------------------------------------------------------

    @notes_damage
    async def _parts(self, line: int) -> list[Part]:
        """Which rows make up the history of a line, oldest first. Parents never change, so this is remembered."""
        known = self._parts_known.get(line)
        if known is not None:
            return known
        rows = await self._fetch(
            "WITH RECURSIVE ancestry(line, parent_line, parent_seq, depth) AS ("
            " SELECT line, parent_line, parent_seq, 0 FROM lines WHERE line = ?"
            " UNION ALL SELECT lines.line, lines.parent_line, lines.parent_seq, depth + 1"
            " FROM ancestry JOIN lines ON lines.line = ancestry.parent_line)"
            " SELECT line, parent_line, parent_seq FROM ancestry ORDER BY depth",
            (line,),
        )
        if not rows:
            raise StoreError(
                f"There is no line {line}.", cause="It was never stored.", next_step="See the runs: rondo runs"
            )
        parts: list[Part] = []
        last = NO_END
        for number, _, parent_seq in rows:
            parts.append(Part(number, 0 if parent_seq is None else parent_seq + 1, last))
            last = min(last, parent_seq if parent_seq is not None else last)
        if rows[-1][1] is not None:
            raise rows_missing("lines", f"line {rows[-1][1]}")
        parts.reverse()
        if len(self._parts_known) >= PARTS_REMEMBERED:
            self._parts_known.clear()
        self._parts_known[line] = parts
        return parts

    async def _delta_rows(self, line: int, from_seq: int, to_seq: int) -> list[Row]:
        """(line, seq, delta, blobs, crc, own) of these steps, in order."""
        rows: list[Row] = []
        for part in await self._parts(line):
            first, last = max(from_seq, part.first), min(to_seq, part.last)
            if first <= last:
                rows += await self._fetch(
                    "SELECT line, seq, delta, blobs, crc, own FROM steps"
                    " WHERE line = ? AND seq BETWEEN ? AND ? ORDER BY seq",
                    (part.line, first, last),
                )
        return rows

    @notes_damage
    async def _newest_snapshot(self, line: int, at_most: int) -> tuple[int, bytes] | None:
        """The newest snapshot up to a step, with the step's number. Raises DatabaseDamaged."""
        for part in reversed(await self._parts(line)):
            row = await self._fetch_one(
                "SELECT seq, state, crc FROM snapshots WHERE line = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
                (part.line, min(at_most, part.last)),
            )
            if row is not None:
                seq, text, crc = row
                if crc32(text) != crc:
                    raise row_damaged("snapshots", f"line {part.line}, seq {seq}", part.line)
                return seq, text
        return None

    async def _blob_bytes(self, part: Part, after: int) -> int:
        """Bytes of the large values that the part's steps name after step `after`, each time they are named."""
        rows = await self._fetch(
            "SELECT blobs FROM steps WHERE line = ? AND seq > ? AND seq <= ? AND length(blobs) > 0",
            (part.line, after, part.last),
        )
        names = [name for row in rows for name in split_names(row[0])]
        sizes = await self._blob_sizes(names)
        return sum(sizes[name] for name in names)

    async def unknown_step(self, line: int, seq: int) -> Exception:
        """Why a step is not there: the line's history has no such number, or its row is missing."""
        last = await self.last_step(line)
        if last is not None and 0 <= seq <= last.seq:
            return rows_missing("steps", f"line {line}, seq {seq}", line)
        return UnknownStep(
            f"There is no step {seq}." if last else f"Line {line} has no steps yet.",
            cause=f"The last one is {last.seq}." if last else "Not even its initial state is stored.",
            next_step="See the steps there are: rondo show RUN",
        )


class _Folding:
    """A state that deltas are applied to, in order."""

    def __init__(self, text: bytes, seq: int) -> None:
        self._text = text
        self._state: dict[str, Any] | None = None
        self._size = len(text)
        self.seq = seq

    async def add(self, rows: Sequence[Row], blobs: Mapping[bytes, bytes]) -> None:
        """Apply steps; large ones in a thread."""
        size = sum(len(row[2]) for row in rows) + sum(map(len, blobs.values()))
        self._size += size
        if max(size, len(self._text)) > LARGE or len(rows) > MANY:
            await asyncio.to_thread(self._apply, rows, blobs)
        else:
            self._apply(rows, blobs)

    async def text(self) -> bytes:
        """The state's JSON text."""
        if self._size > LARGE:
            return await asyncio.to_thread(orjson.dumps, self._state)
        return orjson.dumps(self._state)

    def _apply(self, rows: Sequence[Row], blobs: Mapping[bytes, bytes]) -> None:
        if self._state is None:
            self._state = orjson.loads(self._text)
            self._text = b""
        for row, seq in zip(rows, itertools.count(self.seq + 1), strict=False):
            if checked(row)[1] != seq:
                raise rows_missing("steps", f"line {row[0]}, seq {seq}", row[0])
        for (line, seq, _, names, *_), operations in zip(rows, _loaded(rows), strict=True):
            try:
                apply_operations(self._state, operations, [blobs[name] for name in split_names(names)])
            except (ValueError, TypeError, LookupError) as error:
                raise step_unusable(line, seq, error) from error
            self.seq = seq


def _loaded(rows: Sequence[Row]) -> list[Any]:
    """The operations of steps, all read at once, which takes a third of the time. Raises DatabaseDamaged."""
    try:
        together: list[Any] = orjson.loads(b"[%b]" % b",".join([row[2] for row in rows]))
        if len(together) == len(rows):
            return together
    except ValueError:
        pass
    loaded = []
    for line, seq, operations, *_ in rows:
        try:
            loaded.append(orjson.loads(operations))
        except ValueError as error:
            raise step_unusable(line, seq, error) from error
    return loaded


def checked(row: Row) -> Row:
    """A row of (line, seq, delta, blobs, crc, own, ...) as it was written. Raises DatabaseDamaged."""
    if crc32(row[5], crc32(row[2])) != row[4]:
        raise row_damaged("steps", f"line {row[0]}, seq {row[1]}", row[0])
    return row


def split_names(names: bytes) -> list[bytes]:
    """The hashes of a step's large values; most steps have none."""
    return [names[start : start + HASH_BYTES] for start in range(0, len(names), HASH_BYTES)] if names else []


def _with_few_blobs(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Cut steps into runs that need few large values at once."""
    some: list[Row] = []
    count = 0
    for row in rows:
        count += len(row[3]) // HASH_BYTES
        if some and count > BLOBS_AT_ONCE:
            yield some
            some, count = [], len(row[3]) // HASH_BYTES
        some.append(row)
    if some:
        yield some
