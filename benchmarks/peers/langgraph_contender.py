"""langgraph with AsyncSqliteSaver and durability="sync": a step is committed before the next one begins."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.contract import disk, growth, record, say_visited, serve, text_of_1_mb


class State(TypedDict, total=False):
    i: int
    until: int
    records: Annotated[list[str], operator.add]
    text: str
    visits: str


moments: list[float] = []


async def tick(state: State) -> dict[str, Any]:
    """One no-op step."""
    number = state["i"] + 1
    moments.append(time.perf_counter())
    if state.get("visits"):
        say_visited(state["visits"], number)
    return {"i": number, "records": [record(number)]}


@asynccontextmanager
async def open_graph(folder: Path) -> AsyncIterator[tuple[Any, Any]]:
    """The compiled graph over its database, and the saver."""
    graph = StateGraph(State)
    graph.add_node("tick", tick)
    graph.add_edge(START, "tick")
    graph.add_conditional_edges("tick", lambda state: "tick" if state["i"] < state["until"] else END, ["tick", END])
    async with AsyncSqliteSaver.from_conn_string(str(folder / "langgraph.db")) as saver:
        yield graph.compile(checkpointer=saver), saver


def settings(steps: int, run: int = 1) -> dict[str, Any]:
    """How a graph is called."""
    return {"recursion_limit": steps + 10, "configurable": {"thread_id": f"run-{run}"}}


async def go(graph: Any, steps: int, run: int = 1, **more: Any) -> None:
    """One run from its beginning."""
    start = {"i": 0, "until": steps, "records": [], **more}
    await graph.ainvoke(start, settings(steps, run), durability="sync")


async def chain(folder: Path, steps: int) -> dict[str, Any]:
    """One run."""
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        begin = time.perf_counter()
        await go(graph, steps)
        seconds = time.perf_counter() - begin
        facts = {}
        for name, pragma in (("journal", "journal_mode"), ("synchronous", "synchronous")):
            cursor = await saver.conn.execute(f"PRAGMA {pragma}")
            facts[name] = (await cursor.fetchone())[0]
    return {"seconds": seconds, "growth": growth(moments), "disk": disk(folder), **facts}


async def many(folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """Many runs at once."""
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        await go(graph, 1, 0)
        begin = time.perf_counter()
        await asyncio.gather(*(go(graph, steps, run) for run in range(1, runs + 1)))
        return {"seconds": time.perf_counter() - begin}


async def text(folder: Path, steps: int) -> dict[str, Any]:
    """One run with 1 MB beside its counter."""
    text = text_of_1_mb()
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        begin = time.perf_counter()
        await go(graph, steps, text=text)
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "disk": disk(folder)}


async def read(folder: Path, steps: int) -> dict[str, Any]:
    """Open and read the latest state; the state at a step lies behind the list of checkpoints."""
    begin = time.perf_counter()
    async with open_graph(folder) as (graph, saver):
        latest = await graph.aget_state(settings(steps))
        seconds = time.perf_counter() - begin
        assert latest.values["i"] == steps
    begin = time.perf_counter()
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        cursor = await saver.conn.execute(
            "SELECT checkpoint_id FROM checkpoints WHERE thread_id = 'run-1' ORDER BY checkpoint_id LIMIT 1 OFFSET ?",
            (steps // 2 + 1,),
        )
        (name,) = await cursor.fetchone()
        place = settings(steps)
        place["configurable"]["checkpoint_id"] = name
        middle = await graph.aget_state(place)
        middle_seconds = time.perf_counter() - begin
        assert abs(middle.values["i"] - steps // 2) <= 1, middle.values["i"]
    return {"latest": seconds, "middle": middle_seconds}


async def work(folder: Path, steps: int) -> dict[str, Any]:
    """A run whose nodes leave traces."""
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        await go(graph, steps, visits=str(folder))
    return {}


async def resume(folder: Path, steps: int) -> dict[str, Any]:
    """Go on from the last checkpoint, where there is one."""
    async with open_graph(folder) as (graph, saver):
        await saver.setup()
        state = await graph.aget_state(settings(steps))
        if not state.values:
            await go(graph, steps, visits=str(folder))
        elif state.next:
            await graph.ainvoke(None, settings(steps), durability="sync")
    return {}


if __name__ == "__main__":
    verbs = {"chain": chain, "many": many, "text": text, "read": read, "work": work, "resume": resume}
    serve({name: (lambda *given, act=act: asyncio.run(act(*given))) for name, act in verbs.items()})
