"""What a node may know of the visit it is in."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from core.sdk.tools import Tools

RequestInput = Callable[..., Awaitable[Any]]
"""`request_input(prompt=None, options=None, input_type="text", request_id=None)`."""


class Visit:
    """One visit of a node. This one belongs to no run: it is what `run_standalone` gives."""

    tries_used: int = 0
    """Tries of the execute phase that earlier processes have used up."""

    def __init__(self) -> None:
        self.chosen: str | None = None
        self.tools = Tools()

    @cached_property
    def idempotency_key(self) -> str:
        """Text that is the same for every attempt of this visit and for no other visit."""
        return hashlib.sha256(uuid.uuid4().bytes).hexdigest()

    @property
    def output_dir(self) -> Path:
        """The folder for files that the run writes."""
        folder = Path("output")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def request_input(
        self, prompt: str | None = None, options: Any = None, input_type: str = "text", request_id: str | None = None
    ) -> Any:
        """Ask a person; without an engine there is nobody to ask."""
        raise NotImplementedError("A node that runs alone can't ask for input; run it in a workflow.")

    async def wait(self, request_id: str, *, seconds: float = 0.0, due: float | None = None) -> None:
        """Wait for some seconds, or until a moment in seconds since 1970."""
        await asyncio.sleep(seconds if due is None else max(0.0, due - time.time()))

    @contextmanager
    def tries(self) -> Iterator[None]:
        """Stands around the tries of one execute phase."""
        yield

    async def try_again(self, error: BaseException, seconds: float) -> None:
        """A try failed and another follows after `seconds`."""
        await asyncio.sleep(seconds)

    def fell_back(self, error: BaseException) -> None:
        """The last try failed and `exec_fallback` gave a result in its place."""
