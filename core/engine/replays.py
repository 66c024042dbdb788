"""Replayed runs: their calls are answered from a recording, and nothing goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import CallNotRecorded
from core.store.call_operations import CallCost
from core.store.operations import InsertCall, SpendCall
from core.store.records import CallRecord, RunRecord
from core.store.store import Store

if TYPE_CHECKING:
    from core.engine.runs import Runs

NAMED = 5
"""How many calls that are left an error names."""


class Replays:
    """Takes what was recorded, each call once a line."""

    def __init__(self, store: Store, runs: Runs, now: Callable[[], float]) -> None:
        self._store = store
        self._runs = runs
        self._now = now
        self._taking = asyncio.Lock()

    async def take(
        self, run: RunRecord, line: int, node: str, visit: int, key: str, nth: int, hash: str, title: str
    ) -> CallRecord:
        """The recorded call that answers a call of a run, which has a row of its own then; raises CallNotRecorded."""
        async with self._taking:
            row = await self._store.recorded_call(run.number, line, node, visit, nth, hash)
            if row is None:
                raise await self._not_recorded(run, line, node, title)
            request, reply = await self._store.stored_call(row.number)
            now = self._now()
            replayed = InsertCall(
                kind=row.kind,
                status="replayed",
                key=key,
                nth=nth,
                hash=hash,
                started_at=now,
                ended_at=now,
                request=request,
                reply=reply,
                run=run.number,
                line=line,
                node=node,
                visit=visit,
                model=row.model,
                role=row.role,
                title=row.title,
                used=CallCost(row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cost),
                error=row.error,
            )
            await self._runs.commit([replayed, SpendCall(row.number, line)])
        return row

    async def _not_recorded(self, run: RunRecord, line: int, node: str, title: str) -> CallNotRecorded:
        recorded = await self._store.calls(run=run.number, node=node, status="recorded", limit=1000)
        left = [row.title for row in recorded if row.spent != line]
        more = f"; and {len(left) - NAMED} more." if len(left) > NAMED else "."
        return CallNotRecorded(
            f"The recording has no such call of {node}: {title}",
            cause=f"It is replayed from {run.replay}. Left of {node}: {'; '.join(left[:NAMED]) or 'nothing'}{more}",
            next_step="The prompt, the code or the inputs have changed: record the run anew with "
            f"rondo run {run.workflow} --record FILE",
        )
