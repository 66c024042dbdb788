"""Calls of models, addresses and tools as calls to the engine; see `core.link.assistant_api.CallApi`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from core.link.model_types import BudgetView, CallFilter, CallRow, CallView, ExportedCalls, UsageView

T = TypeVar("T")


class RemoteCallRecords(ABC):
    """The methods of `CallApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def list_budgets(self, run_id: str | None = None) -> list[BudgetView]:
        return await self._call(list[BudgetView], "list_budgets", run_id=run_id)

    async def get_usage(self, run_id: str | None = None, chat_id: str | None = None) -> UsageView:
        return await self._call(UsageView, "get_usage", run_id=run_id, chat_id=chat_id)

    async def list_calls(self, query: CallFilter) -> list[CallRow]:
        return await self._call(list[CallRow], "list_calls", query=query)

    async def read_call(self, number: int) -> CallView:
        return await self._call(CallView, "read_call", number=number)

    async def export_calls(self, run_id: str) -> ExportedCalls:
        return await self._call(ExportedCalls, "export_calls", run_id=run_id)
