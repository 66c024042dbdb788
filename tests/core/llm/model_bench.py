"""A gateway for tests: it waits for nothing, and what it would have waited is noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from model_server import ModelServer

from core.llm.gateway import Gateway
from core.llm.keys import Keys
from core.llm.messages import Delta, ModelReply, ModelRequest, UserMessage
from core.settings import LlmSettings, Settings

MODELS = {"anthropic": "anthropic:claude-opus-5-5", "openai": "openai:gpt-6.1-sol"}


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so, for a minute at most."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Bench:
    """Makes gateways and calls, and closes the gateways afterwards."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.deltas: list[Delta] = []
        self.settings = Settings()
        self._gateways: list[Gateway] = []

    def gateway(self, environment: Mapping[str, str], **llm: Any) -> Gateway:
        if llm:
            self.settings = Settings(llm=LlmSettings(**llm))
        made = Gateway(lambda: self.settings, Keys(environment), sleep=self._pause, jitter=lambda: 0.5)
        self._gateways.append(made)
        return made

    def provide(self, name: str, **said: Any) -> None:
        """Describe a provider as the settings would."""
        tables = {**self.settings.tables, "llm.providers": {name: said}}
        self.settings = Settings(llm=self.settings.llm, tables=tables)

    async def ask(self, gateway: Gateway, wire: str, text: str = "go", **more: Any) -> ModelReply:
        messages = more.pop("messages", (UserMessage(text),))
        model = more.pop("model", MODELS.get(wire, f"{wire}:m"))
        return await gateway.complete(ModelRequest(messages, model=model, **more), self.deltas.append)

    async def close(self) -> None:
        for gateway in self._gateways:
            await gateway.close()

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


@pytest.fixture
def gateway(bench: Bench, model_server: ModelServer) -> Gateway:
    """A gateway whose providers anthropic and openai are the scripted server."""
    return bench.gateway(model_server.environment())
