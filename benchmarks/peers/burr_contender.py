"""burr with its asynchronous SQLite persister, which keeps the whole state with every step."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from burr.core import ApplicationBuilder, State, action, default, expr
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister

from benchmarks.contract import disk, growth, record, say_visited, serve, text_of_1_mb

moments: list[float] = []


@action(reads=["i", "visits"], writes=["i", "records"])
async def tick(state: State) -> State:
    """One no-op step."""
    number = state["i"] + 1
    moments.append(time.perf_counter())
    if state["visits"]:
        say_visited(state["visits"], number)
    return state.update(i=number).append(records=record(number))


@action(reads=[], writes=[])
async def done(state: State) -> State:
    """Where a run ends."""
    return state


async def persister(folder: Path) -> AsyncSQLitePersister:
    """The store of a measurement."""
    found = await AsyncSQLitePersister.from_values(db_path=str(folder / "burr.db"))
    await found.initialize()
    return found


async def go(store: AsyncSQLitePersister, steps: int, run: int = 1, resume: bool = False, **more: Any) -> None:
    """One run, from its beginning or from what is stored."""
    start = {"i": 0, "until": steps, "records": [], "visits": "", **more}
    application = await (
        ApplicationBuilder()
        .with_actions(tick, done)
        .with_transitions(("tick", "tick", expr("i < until")), ("tick", "done", default))
        .with_identifiers(app_id=f"run-{run}", partition_key="bench")
        .initialize_from(store, resume_at_next_action=resume, default_state=start, default_entrypoint="tick")
        .with_state_persister(store)
        .abuild()
    )
    if not resume or application.state["i"] < steps:
        await application.arun(halt_before=["done"])


async def chain(folder: Path, steps: int) -> dict[str, Any]:
    """One run."""
    store = await persister(folder)
    begin = time.perf_counter()
    await go(store, steps)
    seconds = time.perf_counter() - begin
    facts = {}
    for name, pragma in (("journal", "journal_mode"), ("synchronous", "synchronous")):
        cursor = await store.connection.execute(f"PRAGMA {pragma}")
        facts[name] = (await cursor.fetchone())[0]
    await store.cleanup()
    return {"seconds": seconds, "growth": growth(moments), "disk": disk(folder), **facts}


async def many(folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """Many runs at once; they share one connection, so that one's commit carries the others' rows."""
    store = await persister(folder)
    await go(store, 1, 0)
    begin = time.perf_counter()
    await asyncio.gather(*(go(store, steps, run) for run in range(1, runs + 1)))
    seconds = time.perf_counter() - begin
    await store.cleanup()
    return {"seconds": seconds}


async def text(folder: Path, steps: int) -> dict[str, Any]:
    """One run with 1 MB beside its counter."""
    text = text_of_1_mb()
    store = await persister(folder)
    begin = time.perf_counter()
    await go(store, steps, text=text)
    seconds = time.perf_counter() - begin
    await store.cleanup()
    return {"seconds": seconds, "disk": disk(folder)}


async def read(folder: Path, steps: int) -> dict[str, Any]:
    """Open and load a stored state."""

    async def load(number: int | None) -> float:
        begin = time.perf_counter()
        store = await AsyncSQLitePersister.from_values(db_path=str(folder / "burr.db"))
        found = await store.load("bench", "run-1", number)
        seconds = time.perf_counter() - begin
        assert found is not None
        await store.cleanup()
        return seconds

    return {"latest": await load(None), "middle": await load(steps // 2)}


async def work(folder: Path, steps: int) -> dict[str, Any]:
    """A run whose nodes leave traces."""
    store = await persister(folder)
    await go(store, steps, visits=str(folder))
    await store.cleanup()
    return {}


async def resume(folder: Path, steps: int) -> dict[str, Any]:
    """Go on from what is stored."""
    store = await persister(folder)
    await go(store, steps, resume=True, visits=str(folder))
    await store.cleanup()
    return {}


if __name__ == "__main__":
    verbs = {"chain": chain, "many": many, "text": text, "read": read, "work": work, "resume": resume}
    serve({name: (lambda *given, act=act: asyncio.run(act(*given))) for name, act in verbs.items()})
