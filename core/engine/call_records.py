"""The part of the EngineApi that is about calls of models, addresses and tools, and what they used."""

from __future__ import annotations

import asyncio

import msgspec

from core.engine.broker import Broker
from core.engine.call_forms import call_row, call_view, usage_view
from core.engine.queries import REPLY_BYTES, Queries
from core.engine.recordings import write_recording
from core.link.model_types import BudgetView, CallFilter, CallRow, CallView, ExportedCalls
from core.link.usage_types import UsageView
from core.places import Workspace
from core.store.store import Store

CALLS_AT_MOST = 500


class CallRecords:
    """What an engine knows of calls; the engine itself makes the parts."""

    workspace: Workspace
    _store: Store
    _queries: Queries
    _broker: Broker

    async def list_budgets(self, run_id: str | None = None) -> list[BudgetView]:
        return await self._broker.budgets.views(await self._queries.record(run_id) if run_id is not None else None)

    async def get_usage(self, run_id: str | None = None, chat_id: str | None = None) -> UsageView:
        if run_id is None and chat_id is None:
            return usage_view(await self._broker.budgets.totals(None))
        number = (await self._queries.record(run_id)).number if run_id is not None else None
        return usage_view(await self._store.call_totals(run=number, chat=chat_id))

    async def list_calls(self, query: CallFilter) -> list[CallRow]:
        number = (await self._queries.record(query.run_id)).number if query.run_id is not None else None
        records = await self._store.calls(
            run=number,
            chat=query.chat_id,
            node=query.node,
            after=query.after,
            limit=max(1, min(query.limit, CALLS_AT_MOST)),
        )
        runs = await self._store.runs_by_numbers({record.run for record in records if record.run is not None})
        rows: list[CallRow] = []
        left = REPLY_BYTES
        for record in records:
            row = call_row(record, runs[record.run].id if record.run in runs else None)
            left -= len(msgspec.json.encode(row))
            if rows and left < 0:
                break
            rows.append(row)
        return rows

    async def read_call(self, number: int) -> CallView:
        record = await self._store.call(number)
        run_id = (await self._store.run_by_number(record.run)).id if record.run is not None else None
        request, reply = await self._store.call_content(number)
        return await asyncio.to_thread(call_view, call_row(record, run_id), request, reply)

    async def export_calls(self, run_id: str) -> ExportedCalls:
        record = await self._queries.record(run_id)
        return await write_recording(self._store, record, self.workspace.runs_dir / "exported")
