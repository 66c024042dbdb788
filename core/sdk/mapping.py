"""One function over many items at once, for `Node.map`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.errors import MapItemFailed
from core.sdk.retry import pause_after
from core.sdk.settle import settle
from core.sdk.visit import Visit

REPORTS = 10
"""How many lines about its progress a map logs."""


class Mapping:
    """Works on items, at most `concurrency` at once, each up to `attempts` times; a plain function runs in threads."""

    def __init__(
        self,
        visit: Visit,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        concurrency: int,
        attempts: int,
        wait: float,
        backoff: float,
    ) -> None:
        self._visit = visit
        self._function = function
        self._items = items
        self._concurrency = min(concurrency, len(items))
        self._attempts = attempts
        self._wait = wait
        self._backoff = backoff
        self._name = getattr(function, "__name__", type(function).__name__)
        self._number = visit.next_map()
        self._results: list[Any] = [None] * len(items)
        self._done = 0
        self._threads: ThreadPoolExecutor | None = None

    async def run(self) -> list[Any]:
        """The results in the order of the items. The first final failure ends the rest and raises MapItemFailed."""
        if not self._items:
            return []
        if not _is_async(self._function):
            self._threads = ThreadPoolExecutor(self._concurrency, "map")
        left = iter(range(len(self._items)))
        workers = [asyncio.create_task(self._work(left)) for _ in range(self._concurrency)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)
        errors = [worker.exception() for worker in workers if not worker.cancelled()]
        failed = [error for error in errors if error is not None]
        if failed:
            raise failed[0]
        return self._results

    async def _work(self, left: Iterator[int]) -> None:
        for index in left:
            with self._visit.item(self._number, index), self._visit.tries():
                self._results[index] = await self._try(index)
            self._done += 1
            if self._done % max(1, len(self._items) // REPORTS) == 0 or self._done == len(self._items):
                self._visit.log("INFO", f"map {self._name}: {self._done} of {len(self._items)} done")

    async def _try(self, index: int) -> Any:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await settle(self._call, self._items[index])
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                failure: BaseException = error  # The item's own code awaited something that was cancelled.
            except Exception as error:
                # An item is a person's code: it is tried again, or fails for what it raised.
                failure = error
            self._visit.spend_calls()
            if attempt == self._attempts:
                raise self._failed(index, failure) from failure
            seconds = pause_after(attempt, wait=self._wait, backoff=self._backoff)
            text = f"map {self._name}: item {index}, attempt {attempt} failed: {type(failure).__name__}: {failure}"
            self._visit.log("WARNING", text)
            await self._visit.pause(seconds)
            self._visit.ask_again()

    async def _call(self, item: Any) -> Any:
        if self._threads is None:
            return await self._function(item)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, context.run, self._function, item)
        return await result if inspect.isawaitable(result) else result

    def _failed(self, index: int, error: BaseException) -> MapItemFailed:
        tries = "" if self._attempts == 1 else f" after {self._attempts} attempts"
        return MapItemFailed(
            f"Item {index} of {len(self._items)} failed{tries}: {type(error).__name__}: {error}",
            cause=f"self.map called {self._name} with it; items are counted from 0, and the others were stopped.",
            details=index,
        )


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
