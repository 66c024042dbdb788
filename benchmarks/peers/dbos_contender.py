"""dbos over its SQLite system database; it has no shared state, so the state is folded from what the steps returned."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.contract import disk, growth, record, say_visited, serve, text_of_1_mb

moments: list[float] = []


@DBOS.step()
async def tick(number: int, visits: str) -> list[Any]:
    """One no-op step."""
    moments.append(time.perf_counter())
    if visits:
        say_visited(visits, number)
    return [number, record(number)]


@DBOS.workflow()
async def count(until: int, visits: str, text: str) -> int:
    """A chain of steps."""
    state: dict[str, Any] = {"i": 0, "records": [], "text": text}
    while state["i"] < until:
        state["i"], line = await tick(state["i"] + 1, visits)
        state["records"].append(line)
    return len(state["records"])


def launch(folder: Path) -> None:
    """Start dbos on the measurement's database; it takes up what was left there."""
    url = f"sqlite:///{folder / 'dbos.sqlite'}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()


async def go(steps: int, run: int = 1, visits: str = "", text: str = "") -> None:
    """One run."""
    with SetWorkflowID(f"run-{run}"):
        handle = await DBOS.start_workflow_async(count, steps, visits, text)
    assert await handle.get_result() == steps


def measured(folder: Path, act: Any) -> float:
    """The seconds of something that is done under dbos."""
    launch(folder)

    async def timed() -> float:
        await go(1, 0)
        moments.clear()
        begin = time.perf_counter()
        await act()
        return time.perf_counter() - begin

    try:
        return asyncio.run(timed())
    finally:
        DBOS.destroy()


def chain(folder: Path, steps: int) -> dict[str, Any]:
    """One run; dbos opens its database in SQLite's own defaults."""
    seconds = measured(folder, lambda: go(steps))
    with closing(sqlite3.connect(folder / "dbos.sqlite")) as connection:
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return {"seconds": seconds, "growth": growth(moments), "disk": disk(folder), "journal": journal, "synchronous": "2"}


def many(folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """Many runs at once."""

    async def act() -> None:
        await asyncio.gather(*(go(steps, run) for run in range(1, runs + 1)))

    return {"seconds": measured(folder, act)}


def text(folder: Path, steps: int) -> dict[str, Any]:
    """One run with 1 MB as its input."""
    text = text_of_1_mb()
    return {"seconds": measured(folder, lambda: go(steps, text=text)), "disk": disk(folder)}


def read(folder: Path, steps: int) -> dict[str, Any]:
    """Open and list what the steps returned; there is no way to read up to a step only."""
    begin = time.perf_counter()
    launch(folder)
    found = DBOS.list_workflow_steps("run-1")
    seconds = time.perf_counter() - begin
    assert len(found) == steps
    DBOS.destroy()
    return {"latest": seconds, "middle": seconds}


def work(folder: Path, steps: int) -> dict[str, Any]:
    """A run whose steps leave traces."""
    launch(folder)
    asyncio.run(go(steps, visits=str(folder)))
    return {}


def resume(folder: Path, steps: int) -> dict[str, Any]:
    """What dbos took up by itself, else the run from its beginning."""
    launch(folder)
    known = DBOS.get_workflow_status("run-1")
    if known is None:
        asyncio.run(go(steps, visits=str(folder)))
    else:
        assert DBOS.retrieve_workflow("run-1").get_result() == steps
    DBOS.destroy()
    return {}


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    serve({"chain": chain, "many": many, "text": text, "read": read, "work": work, "resume": resume})
