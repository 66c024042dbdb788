"""`make bench-large`: a workspace with 100,000 runs and 1,000,000 log lines, through the link of a real engine.

The rows are written in bulk into a database that an engine made. Times are from a client's call to its answer, decoded;
`rondo runs` is the whole command with the start of Python. The figures are this machine's, as busy as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from benchmarks.tui.workspace import Place
from core.identifiers import new_run_id
from core.link.client import RemoteEngine
from core.link.start import connect, start_engine, stop_engine
from core.link.types import LogQuery, RunFilter
from core.places import Workspace
from core.store.opening import open_database

RUNS, LOG_LINES = 100_000, 1_000_000
WORKFLOWS, STEPS = 20, 3
ROUNDS = 7
PAGE, WINDOW = 50, 500
START_SECONDS = 120.0
DAYS = 86_400.0
NEEDLE = "needle-7f3a"
"""Stands in one log line, far from the end, so that a search for it looks at nearly every line."""

SHARES = {"waiting_timer": 0.005, "waiting_input": 0.01, "cancelled": 0.02, "failed": 0.06}
"""How many of the runs have these statuses; all others are completed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `budget` is the most that the figure may be."""

    label: str
    figure: str
    budget: float | None = None


ROWS = (
    Row("engine start, ms", "start", 2_000),
    Row("connected, status, ms", "status"),
    Row(f"runs, first {PAGE}, ms", "first", 100),
    Row("runs, first 500, ms", "first 500", 100),
    Row("runs of a workflow, ms", "workflow", 100),
    Row("runs of a status with many, ms", "completed", 100),
    Row("runs of a status with few, ms", "waiting", 100),
    Row("runs of a workflow and a status, ms", "both", 100),
    Row(f"runs, page {RUNS // 2 // PAGE:,}, ms", "deep", 100),
    Row("run by the end of its id, ms", "run", 100),
    Row("workflows with their last runs, ms", "workflows", 100),
    Row("inbox, ms", "inbox", 100),
    Row("log opened at its end, ms", "log end", 300),
    Row("log at its start, ms", "log start", 300),
    Row("log in the middle, ms", "log middle", 300),
    Row("log, search with a near hit, ms", "search near", 300),
    Row("log, search through all of it, ms", "search all"),
    Row("runs, first page, during that search, ms", "beside search", 100),
    Row("doctor, ms", "doctor"),
    Row("`rondo runs`, ms", "command"),
)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Runs that the measurements name."""

    middle: str
    with_log: str
    log_lines: int


def main() -> None:
    """Make the workspace, measure, print the table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    words.add_argument("--runs", type=int, default=RUNS)
    words.add_argument("--log-lines", type=int, default=LOG_LINES)
    words.add_argument("--rounds", type=int, default=ROUNDS)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as folder:
        place = Place(Path(folder))
        # This program is a client too, of the same user folders.
        os.environ.update(place.env)
        workspace = Workspace.at(place.folder)
        try:
            began = time.perf_counter()
            marks = make_database(place, workspace, given.runs, given.log_lines)
            size = workspace.database.stat().st_size / 1e6
            print(f"made in {time.perf_counter() - began:.0f} s: {size:,.0f} MB", file=sys.stderr)
            values = asyncio.run(measure(place, workspace, marks, given.rounds))
        finally:
            place.rondo("engine", "stop")
    print_table(values, f"{given.runs:,} runs, {given.log_lines:,} log lines, {size:,.0f} MB", given.rounds)


# Making it ----------------------------------------------------------------------------------------------------------


def make_database(place: Place, workspace: Workspace, runs: int, log_lines: int) -> Landmarks:
    """Fill a database that an engine made and knows the workflows of; no engine runs when this returns."""
    names = [f"flow_{number}" for number in range(WORKFLOWS)]
    for name in names:
        place.steps(name, STEPS, pause=0)
    for name in names:
        # A run of each, so that its version is stored.
        place.rondo("run", name)
    place.rondo("engine", "stop")
    connection = open_database(workspace.database)
    try:
        connection.execute("BEGIN")
        marks = _fill(connection, names, runs, log_lines)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    return marks


def _fill(connection: sqlite3.Connection, names: list[str], count: int, log_lines: int) -> Landmarks:
    versions = dict(connection.execute("SELECT workflow, hash FROM versions").fetchall())
    first = connection.execute("SELECT max(number) FROM runs").fetchone()[0] + 1
    first_line = connection.execute("SELECT max(line) FROM lines").fetchone()[0] + 1
    shift, now = first_line - first, time.time()
    numbers = range(first, first + count)
    ids = [new_run_id() for _ in numbers]
    statuses = random.Random(1).choices([*SHARES, "completed"], [*SHARES.values(), 1 - sum(SHARES.values())], k=count)
    facts = [
        (number, run_id, names[number % len(names)], status, now - (numbers.stop - number) * 60)
        for number, run_id, status in zip(numbers, ids, statuses, strict=True)
    ]
    connection.executemany(
        "INSERT INTO runs(number, id, reversed_id, workflow, version, status, line, source, created_at, started_at,"
        " ended_at, node, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, 'cli', ?, ?, ?, 'node_2', 1)",
        (
            (number, run_id, run_id[::-1], name, versions[name], status, number + shift, at, at, _end(status, at))
            for number, run_id, name, status, at in facts
        ),
    )
    connection.executemany(
        "INSERT INTO lines(line, run, version, status, created_at, ended_at) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (number + shift, number, versions[name], status, at, _end(status, at))
            for number, _, name, status, at in facts
        ),
    )
    connection.executemany(
        "INSERT INTO steps(line, seq, node, visit, attempt, next, started_at, ended_at, changed, delta, crc)"
        " VALUES (?, ?, ?, 1, 1, ?, ?, ?, 1, ?, ?)",
        (row for number, _, _, _, at in facts for row in _steps(number + shift, at)),
    )
    connection.executemany(
        "INSERT INTO requests(line, run, node, visit, request_id, nth, kind, hash, input_type, prompt, status,"
        " opened_at, due_at) VALUES (?, ?, 'node_2', 1, 'node_2', 1, ?, 'hash', ?, ?, 'open', ?, ?)",
        (
            (
                number + shift,
                number,
                *(("timer", "time", None) if status == "waiting_timer" else ("input", "text", "Which of them?")),
                at,
                now + 10 * DAYS if status == "waiting_timer" else None,
            )
            for number, _, _, status, at in facts
            if status.startswith("waiting")
        ),
    )
    connection.executemany(
        "INSERT INTO logs VALUES (?, ?, ?, ?, 20, 'stdout', 'node_1', 1, 1, ?)",
        (
            (
                numbers[-1],
                row,
                numbers[-1] + shift,
                now + row / 1000,
                f"{row:08} GET /records/{row * 7919 % 100_003} took {row % 97} ms and gave what was asked for"
                + (f" {NEEDLE}" if row == log_lines // 20 else ""),
            )
            for row in range(1, log_lines + 1)
        ),
    )
    return Landmarks(ids[count // 2], ids[-1], log_lines)


def _end(status: str, at: float) -> float | None:
    return None if status.startswith("waiting") else at + 5


def _steps(line: int, at: float) -> Iterator[tuple[object, ...]]:
    for seq in range(STEPS):
        delta = b'[["set",["records"],%d]]' % seq
        node = f"node_{seq - 1}" if seq else ""
        yield (line, seq, node, f"node_{seq}", at + seq, at + seq + 1, delta, crc32(delta))


# Measuring ----------------------------------------------------------------------------------------------------------


async def measure(place: Place, workspace: Workspace, marks: Landmarks, rounds: int) -> dict[str, list[float]]:
    """Every figure once a round; each round has an engine of its own."""
    values: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        print(f"\rround {number + 1} ", end="", file=sys.stderr, flush=True)
        values["start"].append(await _timed(lambda: start_engine(workspace, START_SECONDS)))
        engine = await connect(workspace, kind="benchmark", start=False)
        try:
            acts = _acts(engine, marks)
            others = sorted(acts.keys() - {"status", "search all"})
            for figure in ["status", *random.sample(others, len(others))]:
                values[figure].append(await _timed(acts[figure]))
            search = asyncio.ensure_future(_timed(acts["search all"]))
            await asyncio.sleep(0)
            values["beside search"].append(await _timed(acts["first"]))
            values["search all"].append(await search)
        finally:
            await engine.close()
        values["command"].append(await _timed(lambda: asyncio.to_thread(place.rondo, "runs")))
        await stop_engine(workspace)
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    return values


def _acts(engine: RemoteEngine, marks: Landmarks) -> dict[str, Callable[[], Awaitable[object]]]:
    """The calls that are measured, by figure; each checks that it got what it asked for."""

    async def runs(**query: object) -> None:
        limit = query.setdefault("limit", PAGE)
        assert 0 < len(await engine.list_runs(RunFilter(**query))) <= limit  # type: ignore[arg-type]

    middle = marks.log_lines // 2
    return {
        "status": engine.engine_status,
        "first": runs,
        "first 500": lambda: runs(limit=500),
        "workflow": lambda: runs(workflow="flow_7"),
        "completed": lambda: runs(status="completed"),
        "waiting": lambda: runs(status="waiting_timer"),
        "both": lambda: runs(workflow="flow_7", status="failed"),
        "deep": lambda: runs(before=marks.middle),
        "run": lambda: engine.get_run(marks.middle[-12:]),
        "workflows": engine.list_workflows,
        "inbox": engine.list_requests,
        "log end": lambda: _log(engine, marks, before=marks.log_lines + 1),
        "log start": lambda: _log(engine, marks, after=0),
        "log middle": lambda: _log(engine, marks, after=middle),
        "search near": lambda: _log(engine, marks, before=middle, search="took 13 ms"),
        "search all": lambda: _log(engine, marks, search=NEEDLE, expected=1),
        "doctor": engine.doctor,
    }


async def _log(engine: RemoteEngine, marks: Landmarks, expected: int = WINDOW, **query: object) -> None:
    page = await engine.read_logs(LogQuery(run_id=marks.with_log, limit=WINDOW, **query))  # type: ignore[arg-type]
    assert 0 < len(page.lines) <= expected and page.last == marks.log_lines


async def _timed(act: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds until it has an answer."""
    began = time.perf_counter()
    await act()
    return (time.perf_counter() - began) * 1000


def print_table(values: dict[str, list[float]], what: str, rounds: int) -> None:
    """Each figure's median, least and most, and its budget."""
    print(f"{what:46}{'median':>10}{'least':>10}{'most':>10}   budget")
    for row in ROWS:
        found = values[row.figure]
        middle = statistics.median(found)
        cells = "".join(f"{value:>10,.1f}" for value in (middle, min(found), max(found)))
        budget = "" if row.budget is None else f"<= {row.budget:g}" + (" !" if middle > row.budget else "")
        print(f"{row.label:46}{cells}   {budget}")
    print(f"medians of {rounds} rounds, each with an engine of its own; ! = outside the budget")


if __name__ == "__main__":
    main()
