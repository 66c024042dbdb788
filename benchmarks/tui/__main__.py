"""`make bench-tui`: what the screens cost, medians of rounds in which everything is measured once.

The absolute figures are this machine's, as busy as it is; the first rows are ratios to the smallest app of the same
library in the same round. A budget that is missed is marked with !.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tui import measures
from benchmarks.tui.workspace import Place

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `budget` is the most that the figure may be."""

    label: str
    figure: str
    budget: float | None = None


ROWS = (
    Row("first paint, bare app, ms", "bare paint"),
    Row("first paint, rondo, ms", "rondo paint"),
    Row("first paint, ratio", "paint ratio", 1.5),
    Row("memory, bare app, MB", "bare memory"),
    Row("memory at first paint, rondo, MB", "rondo first memory"),
    Row("memory when connected, rondo, MB", "rondo memory"),
    Row("memory at first paint, ratio", "first memory ratio", 2),
    Row("memory when connected, ratio", "memory ratio", 2),
    Row("key to graph of 100, first, ms", "graph 100 first"),
    Row("key to graph of 100, again, ms", "graph 100 next", 100),
    Row("key to graph of 500, first, ms", "graph 500 first"),
    Row("key to graph of 500, again, ms", "graph 500 next", 1000),
    Row("bytes a step on the graph", "bytes a step"),
    Row("bytes a status change", "bytes a change", 1200),
    Row("step's end to cell, median, ms", "cell p50"),
    Row("step's end to cell, p99, ms", "cell p99", 100),
    Row("key to paint at 20,000 lines/s, median, ms", "key p50"),
    Row("key to paint at 20,000 lines/s, p95, ms", "key p95", 50),
    Row("written at 100 log lines/s, MB/s", "calm MB/s", 0.15),
    Row("key to list of 100,000 runs, first, ms", "runs first"),
    Row("key to list of 100,000 runs, again, ms", "runs next", 100),
    Row("Enter to log of 1,000,000 lines, first, ms", "log first"),
    Row("Enter to log of 1,000,000 lines, again, ms", "log next", 300),
)


def main() -> None:
    """Measure and print the table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.tui", description=__doc__)
    words.add_argument("--rounds", type=int, default=ROUNDS)
    words.add_argument("--only", action="append", help="measure this alone: " + ", ".join(_names()))
    given = words.parse_args()
    chosen = [act for act in measures.MEASURES if not given.only or act.__name__ in given.only]
    values: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as folder:
        place = Place(Path(folder))
        measures.prepare(place)
        try:
            for number in range(given.rounds):
                for act in random.sample(chosen, len(chosen)):
                    print(f"\rround {number + 1}: {act.__name__:<20}", end="", file=sys.stderr, flush=True)
                    for figure, value in act(place).items():
                        values[figure].append(value)
        finally:
            place.rondo("engine", "stop")
            measures.end_large_place(place)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    print_table(values, given.rounds)


def print_table(values: dict[str, list[float]], rounds: int) -> None:
    """Each figure's median, least and most, and its budget."""
    print(f"{'':46}{'median':>10}{'least':>10}{'most':>10}   budget")
    for row in ROWS:
        found = values.get(row.figure)
        if not found:
            continue
        middle = statistics.median(found)
        cells = "".join(f"{_shown(value):>10}" for value in (middle, min(found), max(found)))
        budget = "" if row.budget is None else f"<= {row.budget:g}" + (" !" if middle > row.budget else "")
        print(f"{row.label:46}{cells}   {budget}")
    print(f"medians of {rounds} rounds; ! = outside the budget")


def _names() -> list[str]:
    return [act.__name__ for act in measures.MEASURES]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    main()
