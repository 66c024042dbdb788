"""Calls of a visit: each passes the journal, after a person was asked where that is needed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from core.flow.journal import AskFirst, Call, Journal, Request


def call_hash(kind: str, request: dict[str, Any]) -> str:
    """A fingerprint of what is asked; how long to wait for it is no part of that."""
    asked = {name: value for name, value in request.items() if name != "timeout"}
    return hashlib.sha256(json.dumps([kind, asked], sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Calling:
    """Makes the calls of one visit; `clock_stands` stands around what is awaited of a person."""

    def __init__(
        self, journal: Journal, node: str, visit: int, clock_stands: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._journal = journal
        self._node = node
        self._visit = visit
        self._clock_stands = clock_stands
        self._keys: set[str] = set()
        """Under which something was called since it was last spent."""
        self._questions: dict[str, _Question] = {}

    async def call(self, call: Call) -> dict[str, Any]:
        """Return the reply; raises what the call came to."""
        self._keys.add(call.key)
        while True:
            try:
                return await self._journal.call(call)
            except AskFirst as first:
                request = first.request
            with self._clock_stands():
                await self._ask(request)

    def spend(self, key: str) -> None:
        """What was called under this key is not given again."""
        if key in self._keys:
            self._keys.discard(key)
            self._journal.spend_calls(key)

    async def _ask(self, request: Request) -> None:
        """Wait until the request is answered; calls that come to the same question ask it together."""
        question = self._questions.get(request.key)
        if question is None:
            question = self._questions[request.key] = _Question(asyncio.create_task(self._asking(request)))
        question.askers += 1
        try:
            await asyncio.shield(question.task)
        finally:
            question.askers -= 1
            if question.askers == 0:
                self._questions.pop(request.key, None)
                question.task.cancel()

    async def _asking(self, request: Request) -> None:
        await self._journal.request(request)


class _Question:
    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.askers = 0
