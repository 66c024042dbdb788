"""`make bench`: one table, every row from the same run, medians of interleaved rounds.

Read the ratios against plain SQLite; the absolute figures are this machine's. The workloads are described in
`benchmarks.contract` and `benchmarks.measures`, the budgets in docs/architecture.md.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measures
from benchmarks.contenders import FLOOR, OURS, PEER_NAMES, Contender, peer

ROUNDS = 3

Values = dict[tuple[str, str], list[float]]
"""By contender's name and figure: one value a round."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `ratio` rows are each round's value over that of plain SQLite."""

    label: str
    figure: str
    ratio: bool = False
    budget: dict[str, Callable[[float], bool]] | None = None
    budget_text: str = ""


def at_least(library: float, processes: float) -> dict[str, Callable[[float], bool]]:
    """A budget that is a floor."""
    return {"rondo library": lambda value: value >= library, "rondo processes": lambda value: value >= processes}


def at_most(limit: float) -> dict[str, Callable[[float], bool]]:
    """A budget that is a ceiling."""
    return {contender.name: lambda value: value <= limit for contender in OURS}


CHAIN, CROWD = f"{measures.LONG_CHAIN:,}", f"{measures.RUNS} runs x {measures.RUN_STEPS}"
ROWS = (
    Row(f"W1 chain of {measures.SHORT_CHAIN}, steps/s", "short"),
    Row(f"W1 chain of {CHAIN}, steps/s", "long"),
    Row(f"W1 chain of {CHAIN}, ratio", "long", True, at_least(0.5, 0.5), ">= 0.5"),
    Row("W1 last tenth / first tenth", "growth", False, at_most(1.2), "<= 1.2"),
    Row("W1 disk, KiB", "disk"),
    Row("W1 disk, ratio", "disk", True, at_most(2), "<= 2"),
    Row(f"W2 {CROWD}, steps/s", "many"),
    Row(f"W2 {CROWD}, ratio", "many", True, at_least(3, 1), ">= 3, >= 1"),
    Row("W3 1 MB untouched, steps/s", "text"),
    Row("W3 1 MB untouched, ratio", "text", True, at_least(0.3, 0.3), ">= 0.3"),
    Row("W3 disk, KiB/step", "text disk", False, at_most(25), "<= 25"),
    Row("W4 open, latest state, ms", "latest", False, at_most(5), "<= 5"),
    Row(f"W4 open, state at {measures.LONG_CHAIN // 2}, ms", "middle", False, at_most(5), "<= 5"),
    Row("W5 resumed after kill -9, %", "resumed", False, at_least(100, 100), "100"),
    Row("W5 lost steps a kill", "lost", False, at_most(0), "0"),
    Row("W5 repeated steps a kill", "repeated", False, at_most(1), "<= 1"),
    Row("W5 fresh process to the end, ms", "resume"),
    Row("run of one step, call to end, ms", "start", False, at_most(10), "<= 10"),
)


def main() -> None:
    """Run the rounds and print the table."""
    words = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words.add_argument("--peers", action="store_true", help="also langgraph, dbos, burr, each in its own environment")
    words.add_argument("--rounds", type=int, default=ROUNDS)
    given = words.parse_args()
    contenders = [FLOOR, *OURS]
    for name in PEER_NAMES if given.peers else ():
        try:
            contenders.append(peer(name))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: its environment could not be made ({error})", file=sys.stderr)
    values, settings = measure(contenders, given.rounds)
    print_table(contenders, values, settings, given.rounds)


def measure(contenders: list[Contender], rounds: int) -> tuple[Values, dict[str, dict[str, str]]]:
    """Every workload for every contender, in another order each round."""
    values: Values = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="rondo-bench-") as folder:
        for number in range(rounds):
            for act in measures.MEASURES:
                for contender in random.sample(contenders, len(contenders)):
                    print(f"\rround {number + 1}: {act.__name__}, {contender.name:<20}", end="", file=sys.stderr)
                    for figure, value in act(contender, Path(folder)).items():
                        values[contender.name, figure].append(value)
        settings = {contender.name: measures.settings(contender, Path(folder)) for contender in contenders}
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return values, settings


def print_table(contenders: list[Contender], values: Values, settings: dict[str, dict[str, str]], rounds: int) -> None:
    """Figures as rows, contenders as columns; a budget that is missed is marked."""
    names = [contender.name for contender in contenders]
    print(f"{'':34}" + "".join(f"{name:>17}" for name in names) + "   budget")
    for row in ROWS:
        cells = [_cell(row, name, values) for name in names]
        print(f"{row.label:34}" + "".join(f"{cell:>17}" for cell in cells) + f"   {row.budget_text}")
    for fact in ("journal", "synchronous", "syncs per step"):
        print(f"{fact:34}" + "".join(f"{settings[name][fact]:>17}" for name in names))
    print(f"medians of {rounds} interleaved rounds; ! = outside the budget")


def _cell(row: Row, name: str, values: Values) -> str:
    found = values.get((name, row.figure))
    if not found:
        return "-"
    if row.ratio:
        found = [value / base for value, base in zip(found, values[FLOOR.name, row.figure], strict=True)]
    value = statistics.median(found)
    text = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
    if row.ratio:
        text += "x"
    missed = row.budget is not None and name in row.budget and not row.budget[name](value)
    return text + (" !" if missed else "  ")


if __name__ == "__main__":
    main()
