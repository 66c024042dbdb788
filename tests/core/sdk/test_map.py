"""`self.map`: one function over many items, alone and in the engine of the Grapheteria API."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import MapItemFailed
from core.grapheteria import WorkflowEngine
from core.sdk import Node

Work = Callable[[Any], Any]


def mapping(work: Callable[[Node, Any], Any], **options: Any) -> type[Node]:
    class Mapped(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            return shared["items"]

        async def execute(self, items: Any) -> Any:
            async def one(item: Any) -> Any:
                result = work(self, item)
                return await result if asyncio.iscoroutine(result) else result

            return await self.map(one, items, **options)

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["results"] = result

    return Mapped


async def run(kind: type[Node], items: list[Any]) -> Any:
    return (await kind().run_standalone({"items": items}))["results"]


async def test_results_are_in_order_and_so_many_items_are_worked_on_at_once() -> None:
    running, most = 0, 0

    async def work(node: Node, item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - item % 10):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await run(mapping(work, concurrency=4), list(range(50))) == [item * 2 for item in range(50)]
    assert most == 4
    assert await run(mapping(work), []) == []


async def test_a_plain_function_runs_in_threads() -> None:
    class InThreads(Node):
        async def execute(self, prepared: Any) -> Any:
            both = threading.Barrier(2, timeout=30)

            def work(item: int) -> tuple[int, str]:
                both.wait()
                return item, self.idempotency_key

            return await self.map(work, [1, 2], concurrency=2)

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["results"] = result

    shared = await InThreads().run_standalone({})
    assert [item for item, _ in shared["results"]] == [1, 2]
    assert len({key for _, key in shared["results"]}) == 2


async def test_items_are_tried_again_and_the_first_that_fails_for_good_ends_the_others() -> None:
    tries: dict[int, int] = {}
    ended: list[int] = []

    async def work(node: Node, item: int) -> int:
        tries[item] = tries.get(item, 0) + 1
        if item == 3:
            raise ValueError("three")
        if item == 1 and tries[item] < 2:
            raise OSError("once")
        if item > 4:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                ended.append(item)
                raise
        return item

    with pytest.raises(MapItemFailed, match=r"Item 3 of 9 failed after 2 attempts: ValueError: three") as caught:
        await run(mapping(work, concurrency=3, attempts=2), list(range(9)))
    assert caught.value.details == 3
    assert isinstance(caught.value.__cause__, ValueError)
    assert (tries[1], tries[3]) == (2, 2)
    assert sorted(ended) == [5, 6]
    assert 8 not in tries


async def test_a_cancelled_map_leaves_nothing_running() -> None:
    ended: list[int] = []
    begun = asyncio.Event()

    async def work(node: Node, item: int) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(item)

    task = asyncio.ensure_future(run(mapping(work, concurrency=2), [1, 2, 3]))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [1, 2]


async def test_code_that_wants_to_end_the_program_fails_its_item() -> None:
    with pytest.raises(MapItemFailed, match="Item 0 of 1 failed: NodeExit"):
        await run(mapping(lambda node, item: sys.exit(3)), [1])


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"attempts": 0}, {"concurrency": True}])
async def test_odd_numbers_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="whole number"):
        await run(mapping(lambda node, item: item, **options), [1])


async def test_it_works_in_the_engine_of_the_grapheteria_api(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    class Keys(Node):
        async def execute(self, prepared: Any) -> Any:
            async def key(item: int) -> str:
                await asyncio.sleep(0)
                return self.idempotency_key

            return [*await self.map(key, [1, 2, 3]), *await self.map(key, [1, 2, 3]), self.idempotency_key]

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["keys"] = result

    engine = WorkflowEngine(nodes=[Keys(id="keys")])
    await engine.run()
    assert len(set(engine.execution_state.shared["keys"])) == 7
