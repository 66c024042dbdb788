"""A run's log on its way to the store: nothing is lost, nothing is announced before it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from core.engine.runlog import DROPPING, RunLog, level_name
from core.link.event_types import LogsChanged
from core.store.operations import InsertLogs


class SlowStore:
    """Commits when it is told to; what was committed and announced is kept."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.announced: list[int] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def commit(self, operations: Sequence[Any], *, patient: bool = True) -> list[Any]:
        self.begun.set()
        await self.go_on.wait()
        for operation in operations:
            if isinstance(operation, InsertLogs):
                self.rows += [row[0] for row in operation.rows]
        return []

    def now(self) -> float:
        return 7.0

    def publish(self, event: LogsChanged) -> None:
        assert event.last <= max(self.rows, default=0), "announced before it was there"
        self.announced.append(event.last)


def lines(*texts: str) -> list[tuple[float, int, str, str, int, int, str]]:
    return [(0.0, 20, "stdout", "node", 1, 1, text) for text in texts]


async def test_lines_that_come_during_a_commit_are_announced_with_their_own() -> None:
    store = SlowStore()
    log = RunLog(store, 1, 1, "r", 0, 0)  # type: ignore[arg-type]
    log.add(lines("a", "b"))
    flushing = asyncio.ensure_future(log.flush())
    await store.begun.wait()
    log.add(lines("c"))
    store.go_on.set()
    await flushing
    assert store.announced == [2]
    await log.flush()
    assert (store.rows, store.announced) == ([1, 2, 3], [2, 3])


async def test_lines_whose_commit_was_refused_go_with_the_next_in_order() -> None:
    store = SlowStore()
    store.go_on.set()
    log = RunLog(store, 1, 1, "r", 10, 3)  # type: ignore[arg-type]
    log.add(lines("a"))
    log.drop(5)
    taken = log.take()
    log.add(lines("b"))
    log.put_back(taken)
    again = log.take()
    assert [row[0] for row in again.rows] == [11, 12]
    assert (again.last, again.dropped) == (12, 8)
    assert len(again.operations) == 2
    log.put_back(again)
    await log.flush()
    assert (store.rows, store.announced) == ([11, 12], [12])


async def test_the_log_says_where_lines_began_to_be_dropped() -> None:
    store = SlowStore()
    store.go_on.set()
    log = RunLog(store, 1, 1, "r", 0, 0)  # type: ignore[arg-type]
    log.add(lines("a"))
    log.drop(5)
    log.drop(7)
    taken = log.take()
    assert [(row[0], row[2], row[3], row[8]) for row in taken.rows] == [(1, 0.0, 20, "a"), (2, 7.0, 30, DROPPING)]
    assert taken.dropped == 12


def test_levels_between_the_known_ones_are_rounded_down() -> None:
    assert [level_name(number) for number in (5, 10, 22, 25, 39, 60)] == [
        "DEBUG",
        "DEBUG",
        "INFO",
        "EDGE",
        "WARNING",
        "CRITICAL",
    ]
