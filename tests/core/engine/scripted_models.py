"""A gateway that says what a test has it say, and remembers what it was asked. For tests only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from core.llm.messages import Listener, ModelMessage, ModelReply, ModelRequest, TextDelta, Usage

Script = Callable[[ModelRequest], Any]


def said(request: ModelRequest) -> str:
    """The last thing that was said to the model."""
    return request.messages[-1].text


class ScriptedGateway:
    """Answers with what `script` returns for a request: a text, an exception to raise, or (with a schema) a value."""

    def __init__(self, script: Script = lambda request: f"re: {said(request)}", cost: float | None = 0.01) -> None:
        self.script = script
        self.cost = cost
        self.asked: list[ModelRequest] = []
        self.cancelled = 0
        self.held: set[str] = set()
        """What is not answered before `let_go`."""
        self._gone = asyncio.Event()
        self._arrived = asyncio.Condition()

    async def until_asked(self, count: int) -> None:
        """Wait until so many calls have come."""
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= count)

    def let_go(self) -> None:
        """Answer what was held."""
        self._gone.set()

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply:
        self.asked.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        if said(request) in self.held:
            try:
                await self._gone.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        answer = self.script(request)
        if isinstance(answer, BaseException):
            raise answer
        text = answer if isinstance(answer, str) else ""
        if listener is not None:
            listener(TextDelta(text))
        usage = Usage(input_tokens=80, output_tokens=20, cost=self.cost)
        value = None if isinstance(answer, str) else answer
        return ModelReply(ModelMessage(text), "end", usage, "test:one", 0.5, value)
