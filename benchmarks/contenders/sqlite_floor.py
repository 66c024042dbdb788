"""The base of all ratios: plain sqlite3, one insert of the delta and one commit a step, WAL, synchronous=FULL."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from benchmarks.contract import disk, growth, record, say_visited, serve, text_of_1_mb

INSERT = "INSERT INTO step VALUES (?, ?, ?)"


def connect(folder: Path) -> sqlite3.Connection:
    """The database of a measurement."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS step (run INTEGER, seq INTEGER, delta BLOB, PRIMARY KEY (run, seq)) WITHOUT ROWID"
    )
    return connection


def step(connection: sqlite3.Connection, run: int, seq: int, *more: Any) -> None:
    """One durable step."""
    connection.execute("BEGIN IMMEDIATE")
    delta = [["set", "i", seq], ["append", "records", record(seq)], *more]
    connection.execute(INSERT, (run, seq, json.dumps(delta)))
    connection.execute("COMMIT")


def chain(folder: Path, steps: int) -> dict[str, Any]:
    """Rows of one run, one after the other."""
    connection = connect(folder)
    moments = []
    begin = time.perf_counter()
    for seq in range(1, steps + 1):
        step(connection, 1, seq)
        moments.append(time.perf_counter())
    seconds = time.perf_counter() - begin
    journal, synchronous = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    )
    connection.close()
    return {
        "seconds": seconds,
        "growth": growth(moments),
        "disk": disk(folder),
        "journal": journal,
        "synchronous": synchronous,
    }


def many(folder: Path, runs: int, steps: int) -> dict[str, Any]:
    """Rows of many runs in turn."""
    connection = connect(folder)
    begin = time.perf_counter()
    for seq in range(1, steps + 1):
        for run in range(runs):
            step(connection, run, seq)
    return {"seconds": time.perf_counter() - begin}


def text(folder: Path, steps: int) -> dict[str, Any]:
    """Rows of one run, the first with the text."""
    connection = connect(folder)
    text = text_of_1_mb()
    begin = time.perf_counter()
    step(connection, 1, 0, ["set", "text", text])
    for seq in range(1, steps + 1):
        step(connection, 1, seq)
    seconds = time.perf_counter() - begin
    connection.close()
    return {"seconds": seconds, "disk": disk(folder)}


def read(folder: Path, steps: int) -> dict[str, Any]:
    """Fold the deltas."""

    def fold(until: int) -> float:
        begin = time.perf_counter()
        connection = sqlite3.connect(folder / "floor.db")
        state: dict[str, Any] = {"records": []}
        for (delta,) in connection.execute("SELECT delta FROM step WHERE run = 1 AND seq <= ? ORDER BY seq", (until,)):
            for change, key, value in json.loads(delta):
                if change == "set":
                    state[key] = value
                else:
                    state[key].append(value)
        assert state["i"] == until
        connection.close()
        return time.perf_counter() - begin

    return {"latest": fold(steps), "middle": fold(steps // 2)}


def work(folder: Path, steps: int) -> dict[str, Any]:
    """Go on after the last row."""
    connection = connect(folder)
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM step").fetchone()
    for seq in range(last + 1, steps + 1):
        say_visited(folder, seq)
        step(connection, 1, seq)
    return {}


if __name__ == "__main__":
    serve({"chain": chain, "many": many, "text": text, "read": read, "work": work, "resume": work})
