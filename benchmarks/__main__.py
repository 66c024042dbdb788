"""`make bench`: one table, medians of interleaved rounds. Read the ratios; the absolute figures are this machine's."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.link.types import FINAL, RunChanged, StartRun
from core.places import Workspace

ROUNDS = 3
CHAIN_STEPS = 1_000
MANY_RUNS, MANY_STEPS = 100, 20
STARTS = 20

GRAPH = {
    "name": "count",
    "start": "tick",
    "initial_state": {"i": 0, "until": 1},
    "nodes": [{"id": "tick", "class": "Tick"}],
    "edges": [{"from": "tick", "to": "tick", "condition": "shared['i'] < shared['until']"}],
}
NODES = """from core.sdk import Node


class Tick(Node):
    def prepare(self, shared, request_input):
        shared["i"] += 1
"""


def sqlite_steps_per_second(folder: Path, steps: int) -> float:
    """The base: one insert of a small delta and one commit a step, WAL, FULL."""
    connection = sqlite3.connect(folder / f"base-{uuid.uuid4().hex}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE step (run INTEGER, seq INTEGER, delta BLOB, PRIMARY KEY (run, seq)) WITHOUT ROWID")
    begin = time.perf_counter()
    for seq in range(steps):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO step VALUES (1, ?, ?)", (seq, b'[["set",["i"],%d]]' % seq))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - begin
    connection.close()
    return steps / seconds


async def run_to_end(engine: Engine, until: int, count: int) -> float:
    """Start `count` runs of `until` steps at once; the seconds until all have ended."""
    events = engine.events()
    begin = time.perf_counter()
    starts = [StartRun(command_id=uuid.uuid4().hex, workflow="count", inputs={"until": until}) for _ in range(count)]
    views = await asyncio.gather(*(engine.start_run(start) for start in starts))
    left = {view.run_id for view in views if view.status not in FINAL}
    async for batch in events:
        for event in batch:
            if isinstance(event, RunChanged) and event.status in FINAL:
                left.discard(event.run_id)
        if not left:
            break
    return time.perf_counter() - begin


async def measure_engine(folder: Path, library: bool) -> dict[str, float]:
    """One round in a fresh workspace: steps a second of a chain and of many runs, start of a run, disk."""
    root = Path(tempfile.mkdtemp(dir=folder))
    workflow = root / "workflows" / "count"
    workflow.mkdir(parents=True)
    (workflow / "count.json").write_text(json.dumps(GRAPH))
    (workflow / "nodes.py").write_text(NODES)
    (root / "runs").mkdir()
    engine = Engine(Workspace.at(root), pool=InlinePool() if library else None, consent=True)
    await engine.start()
    try:
        await run_to_end(engine, 1, 1)
        starts = [await run_to_end(engine, 1, 1) for _ in range(STARTS)]
        chain = await run_to_end(engine, CHAIN_STEPS, 1)
        many = await run_to_end(engine, MANY_STEPS, MANY_RUNS)
    finally:
        await engine.close()
    return {
        "chain": CHAIN_STEPS / chain,
        "many": MANY_RUNS * MANY_STEPS / many,
        "start": statistics.median(starts) * 1000,
    }


def seconds_of(program: str) -> float:
    """Wall time of a fresh interpreter with this program."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Run the rounds and print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        rounds: dict[str, list[float]] = {}

        def note(name: str, value: float) -> None:
            rounds.setdefault(name, []).append(value)

        for _ in range(ROUNDS):
            base = sqlite_steps_per_second(folder, CHAIN_STEPS)
            note("plain SQLite, steps/s", base)
            for library in (False, True):
                mode = "library mode" if library else "run processes"
                figures = asyncio.run(measure_engine(folder, library))
                note(f"{mode}: chain of {CHAIN_STEPS}, steps/s", figures["chain"])
                note(f"{mode}: chain, against plain SQLite", figures["chain"] / base)
                note(f"{mode}: {MANY_RUNS} runs x {MANY_STEPS}, steps/s", figures["many"])
                note(f"{mode}: {MANY_RUNS} runs, against plain SQLite", figures["many"] / base)
                note(f"{mode}: start to end of a run of one step, ms", figures["start"])
            bare = seconds_of("import textual.app, textual.widgets")
            note("import of the app against bare Textual", seconds_of("import tui.app") / bare)
    show: Callable[[float], str] = lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: E731
    width = max(map(len, rounds))
    print(f"{'':{width}}  {'median':>9} {'min':>9} {'max':>9}   ({ROUNDS} rounds)")
    for name, values in rounds.items():
        print(f"{name:{width}}  {show(statistics.median(values)):>9} {show(min(values)):>9} {show(max(values)):>9}")
    print("journal mode WAL, synchronous FULL in every row")


if __name__ == "__main__":
    main()
