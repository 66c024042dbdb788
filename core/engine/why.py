"""From a value of the state to the steps that wrote it: the store's changes read back in slices."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from core.engine.provenance import Trace, Written
from core.engine.state_parts import Path, preview, value_at
from core.errors import UsageError
from core.link.inspect_types import WhyPage, WriteView
from core.store.store import Store
from core.store.write_reads import StepWrites

STEPS_AT_ONCE = 200
"""Rows that are looked at before others may go on."""
FAR_ENOUGH = 100_000
"""Steps after which a page ends, whatever was found: whoever asks sees how far it has come."""
WRITES_AT_MOST = 100


class Search:
    """One page of an answer: follows a value of a line back from step `before` on."""

    def __init__(self, store: Store, line: int, path: Path, before: int) -> None:
        self._store = store
        self._line = line
        self._lowest = max(0, before - FAR_ENOUGH)
        self._at = before
        self._state: Any = None
        """The state after the step that is taken in, where the length of a list had to be looked up."""
        self._trace = Trace(path, self._length_of)
        self.writes: list[WriteView] = []

    async def run(self, limit: int) -> None:
        """Find at most `limit` writes."""
        key = _top_key(self._trace.path)
        while self._at > self._lowest and len(self.writes) < limit and not self._trace.began:
            rows = await self._store.steps_that_name(self._line, key, self._at, self._lowest, STEPS_AT_ONCE)
            for row in rows:
                await self._take(row)
                if len(self.writes) >= limit or self._trace.began:
                    return
            if len(rows) < STEPS_AT_ONCE:
                self._at = self._lowest

    async def _take(self, row: StepWrites) -> None:
        operations = orjson.loads(row.operations)
        names = {operation[2] for operation in operations if operation[0] in ("setb", "appendb")}
        large: dict[int, Any] = {}
        if any(self._touches(operation[1]) for operation in operations):
            values = await self._store.large_values(row.blobs)
            large = await asyncio.to_thread(lambda: {number: orjson.loads(values[number]) for number in names})
        if self._trace.needs_length(operations):
            _, text = await self._store.state_at(self._line, row.seq)
            self._state = await asyncio.to_thread(orjson.loads, text)
        written = self._trace.take(operations, lambda number: large[number])
        self._at = row.seq
        if written is not None:
            self.writes.append(_write_view(row, written))

    def _touches(self, path: Path) -> bool:
        own = self._trace.path
        shared = min(len(own), len(path))
        return own[:shared] == path[:shared]

    def _length_of(self, path: Path) -> int | None:
        value = self._state
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return len(value) if isinstance(value, list) else None

    def page(self, run_id: str, step: int, path: Path, value: str | None) -> WhyPage:
        """The answer."""
        ended = self._trace.began or self._at <= 0
        return WhyPage(
            run_id=run_id,
            step=step,
            path=path,
            value=value,
            writes=self.writes,
            next_before=None if ended else self._at,
            next_path=[] if ended else self._trace.path,
        )


async def read_why(
    store: Store, run_id: str, line: int, path: Path, step: int | None, before: int | None, limit: int
) -> WhyPage:
    """Who wrote the value at a path; see `core.link.inspect_api.InspectApi.read_why`."""
    if not path:
        raise UsageError(
            "Every step that changed anything wrote the state as a whole.",
            cause="No path into the state was named.",
            next_step="Name a key: rondo why RUN mails",
        )
    value = None
    if before is None:
        at, text = await store.state_at(line, step)
        value = await asyncio.to_thread(lambda: preview(value_at(orjson.loads(text), path)))
        before = at + 1
    search = Search(store, line, path, before)
    await search.run(max(1, min(limit, WRITES_AT_MOST)))
    return search.page(run_id, step if step is not None else before - 1, path, value)


def _top_key(path: Path) -> str | None:
    """The key to look for in the text of changes; None where its text could be written in more than one way."""
    key = path[0] if path else None
    return key if isinstance(key, str) and key.isascii() and key.isprintable() else None


def _write_view(row: StepWrites, written: Written) -> WriteView:
    return WriteView(
        step=row.seq,
        node=row.node,
        visit=row.visit,
        attempt=row.attempt,
        at=row.ended_at,
        op=written.op,
        path=written.path,
        with_path=written.with_path,
        value=written.value,
        parts=written.parts,
        part_count=written.part_count,
    )
