"""Models and their providers as calls to the engine; see `core.link.assistant_api`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from core.link.model_types import ModelsStatus, ModelView

T = TypeVar("T")


class RemoteModelCalls(ABC):
    """The methods of `ModelApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def models_status(self) -> ModelsStatus:
        return await self._call(ModelsStatus, "models_status")

    async def list_models(self, provider: str) -> list[ModelView]:
        return await self._call(list[ModelView], "list_models", provider=provider)
