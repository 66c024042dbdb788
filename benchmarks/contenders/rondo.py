"""Rondo itself: its engine, with nodes in run processes or, in library mode, in the engine's own process."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.contract import disk, growth, serve, text_of_1_mb
from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.link.event_types import RunChanged
from core.link.types import FINAL, RunFilter, StartRun
from core.places import Workspace
from core.store.store import Store

LIBRARY = os.environ.get("BENCHMARK_LIBRARY_MODE") == "1"
NODES = """import os

from core.sdk import Node


class Tick(Node):
    def prepare(self, shared, request_input):
        shared["i"] += 1
        shared["records"].append(f"{shared['i']:>6} ".ljust(100, "x"))
        if shared["visits"]:
            file = os.open(shared["visits"] + "/visits", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(file, b"%d\\n" % shared["i"])
            os.close(file)
"""
GRAPH = {
    "name": "count",
    "start": "tick",
    "initial_state": {"i": 0, "until": 1, "visits": "", "records": []},
    "nodes": [{"id": "tick", "class": "Tick"}],
    "edges": [{"from": "tick", "to": "tick", "condition": "shared['i'] < shared['until']"}],
}


async def with_engine(folder: Path, act: Callable[[Engine], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Let an engine live while something is measured with it."""
    workflow = folder / "workflows" / "count"
    workflow.mkdir(parents=True, exist_ok=True)
    (workflow / "count.json").write_text(json.dumps(GRAPH))
    (workflow / "nodes.py").write_text(NODES)
    (folder / "runs").mkdir(exist_ok=True)
    engine = Engine(Workspace.at(folder), pool=InlinePool() if LIBRARY else None, consent=True)
    await engine.start()
    try:
        return await act(engine)
    finally:
        await engine.close()


async def run_to_end(engine: Engine, count: int, **inputs: Any) -> float:
    """Start `count` runs at once; the seconds until all have ended."""
    events = engine.events()
    begin = time.perf_counter()
    starts = [StartRun(command_id=uuid.uuid4().hex, workflow="count", inputs=inputs) for _ in range(count)]
    views = await asyncio.gather(*(engine.start_run(start) for start in starts))
    await until_ended(events, {view.run_id for view in views if view.status not in FINAL})
    return time.perf_counter() - begin


async def until_ended(events: Any, left: set[str]) -> None:
    """Follow the events until every one of these runs has ended."""
    while left:
        for event in await anext(events):
            if isinstance(event, RunChanged) and event.status in FINAL:
                assert event.status == "completed", event
                left.discard(event.run_id)


def measured(act: Callable[..., Coroutine[Any, Any, dict[str, Any]]]) -> Callable[..., dict[str, Any]]:
    """A verb from a coroutine that is given the engine."""

    def verb(folder: Path, *numbers: int) -> dict[str, Any]:
        return asyncio.run(with_engine(folder, lambda engine: act(engine, folder, *numbers)))

    return verb


async def time_chain(engine: Engine, folder: Path, steps: int) -> dict[str, Any]:
    """One run, after one that warms up: what is imported late is paid once in an engine's life."""
    await run_to_end(engine, 1, until=1)
    return {"seconds": await run_to_end(engine, 1, until=steps)}


def chain(folder: Path, steps: int) -> dict[str, Any]:
    """One run, and what its rows say."""
    document = measured(time_chain)(folder, steps)
    with closing(sqlite3.connect(folder / "runs" / "rondo.db")) as connection:
        rows = connection.execute(
            "SELECT ended_at FROM steps WHERE seq > 0 AND line = (SELECT max(line) FROM lines) ORDER BY seq"
        ).fetchall()
    assert len(rows) == steps
    return {**document, "growth": growth([at for (at,) in rows]), "disk": disk(folder), **settings(folder)}


async def many(engine: Engine, folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """Many runs at once, after one that warms up."""
    await run_to_end(engine, 1, until=1)
    return {"seconds": await run_to_end(engine, runs, until=steps)}


def text(folder: Path, steps: int) -> dict[str, Any]:
    """One run with 1 MB beside its counter, after one that warms up."""

    async def act(engine: Engine, folder: Path, steps: int) -> dict[str, Any]:
        await run_to_end(engine, 1, until=1)
        return {"seconds": await run_to_end(engine, 1, until=steps, text=text_of_1_mb())}

    return {**measured(act)(folder, steps), "disk": disk(folder)}


def read(folder: Path, steps: int) -> dict[str, Any]:
    """Open the store and read a state, as the engine does for a client."""

    async def state(seq: int | None, expected: int) -> float:
        begin = time.perf_counter()
        store = Store.open(folder / "runs" / "rondo.db")
        await store.start_reads()
        (run,) = await store.runs(limit=1)
        _, found = await store.state_at(run.line or 0, seq)
        seconds = time.perf_counter() - begin
        assert json.loads(found)["i"] == expected
        await store.close()
        return seconds

    async def both() -> dict[str, Any]:
        return {"latest": await state(None, steps), "middle": await state(steps // 2, steps // 2)}

    return asyncio.run(both())


async def work(engine: Engine, folder: Path, steps: int) -> dict[str, Any]:
    """A run whose nodes leave traces."""
    await run_to_end(engine, 1, until=steps, visits=str(folder))
    return {}


async def resume(engine: Engine, folder: Path, steps: int) -> dict[str, Any]:
    """What the engine took up by itself when it started."""
    events = engine.events()
    rows = await engine.list_runs(RunFilter(limit=1))
    await until_ended(events, {row.run_id for row in rows if row.status not in FINAL})
    return {}


async def start(engine: Engine, folder: Path, runs: int) -> dict[str, Any]:
    """Runs of one step, one after the other, when the engine is warm."""
    await run_to_end(engine, 1, until=1)
    return {"start": statistics.median([await run_to_end(engine, 1, until=1) for _ in range(runs)])}


def settings(folder: Path) -> dict[str, str]:
    """How the writer's connection is set."""

    async def ask() -> dict[str, str]:
        store = Store.open(folder / "runs" / "rondo.db")
        await store.start_reads()
        facts = await store.facts()
        await store.close()
        return {"journal": facts["journal_mode"], "synchronous": facts["synchronous"]}

    return asyncio.run(ask())


if __name__ == "__main__":
    home = Path(sys.argv[2]) / "home"
    os.environ.update({f"XDG_{name}_HOME": str(home / name) for name in ("DATA", "STATE", "CONFIG", "CACHE")})
    serve(
        {
            "chain": chain,
            "many": measured(many),
            "text": text,
            "read": read,
            "work": measured(work),
            "resume": measured(resume),
            "start": measured(start),
        }
    )
