"""What is measured, and how; each function gives its figures of one round by name.

`Place` has a warm engine. A moment is that at which the bytes with what was waited for came out of the terminal.
"""

from __future__ import annotations

import functools
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from benchmarks.large import LOG_LINES, RUNS, Landmarks, make_database
from benchmarks.tui import bare
from benchmarks.tui.terminal import Watched
from benchmarks.tui.workspace import RONDO, Place
from core.places import Workspace

Figures = dict[str, float]

SEEN_STEPS = range(2, 8)
"""Steps whose nodes stand in view on a graph of 100 nodes, so that each step changes two statuses on the screen."""
TIMED_STEPS = 150
LOG_RATE, CALM_RATE, LOG_SECONDS = 20_000, 100, 12.0
KEYS = 25


def prepare(place: Place) -> None:
    """The workflows that the measurements need, and the engine."""
    place.steps("graph_100", 100, pause=0.3)
    place.steps("graph_500", 500, pause=0.3)
    place.steps("walk_100", 100, pause=0.3)
    place.steps("timed", TIMED_STEPS, pause=0.03)
    place.talk("loud", LOG_RATE, LOG_SECONDS)
    place.talk("calm", CALM_RATE, LOG_SECONDS)
    place.rondo("engine", "start")


@contextmanager
def app(place: Place, *, only: str = "") -> Iterator[Watched]:
    """The app, connected and quiet; with `only` that workflow alone is listed, and selected."""
    with Watched([RONDO], folder=place.folder, env=place.env) as screen:
        screen.wait_for("engine .*●")
        screen.wait_for("timed")
        if only:
            screen.wait_for_quiet()
            screen.send(f"/{only}\r")
        screen.wait_for_quiet()
        yield screen


def first_paint(place: Place) -> Figures:
    """From the start of the program to the first row of its screen, and its memory once it is connected and quiet."""
    figures: Figures = {}
    python = [sys.executable, str(Path(bare.__file__))]
    for name, command, mark in random.sample(
        [("bare", python, "bare stands"), ("rondo", [RONDO], "workflows")], 2
    ):  # fmt: skip
        with Watched(command, folder=place.folder, env=place.env) as screen:
            figures[f"{name} paint"] = 1000 * (screen.wait_for(mark) - screen.began)
            figures[f"{name} first memory"] = screen.memory() / 1e6
            if name == "rondo":
                screen.wait_for("engine .*●")
            screen.wait_for_quiet()
            figures[f"{name} memory"] = screen.memory() / 1e6
    figures["paint ratio"] = figures["rondo paint"] / figures["bare paint"]
    figures["first memory ratio"] = figures["rondo first memory"] / figures["bare first memory"]
    figures["memory ratio"] = figures["rondo memory"] / figures["bare memory"]
    return figures


def graphs(place: Place) -> Figures:
    """From the key to the drawn graph, which is read, laid out and painted; the second time is without imports.

    `2` and not `g`, which waits a moment for a second `g`.
    """
    figures: Figures = {}
    for count in (100, 500):
        with app(place, only=f"graph_{count}") as screen:
            for time_of in ("first", "next"):
                before = screen.written
                pressed = screen.send("2")
                figures[f"graph {count} {time_of}"] = 1000 * (screen.wait_for("node_1", after=before) - pressed)
                screen.wait_for_quiet()
                screen.send("q")
                screen.wait_for_quiet()
    return figures


def status_changes(place: Place) -> Figures:
    """Bytes a step writes on a graph of 100 nodes: two nodes get another status, an edge is taken, a header counts."""
    with app(place, only="walk_100") as screen:
        screen.send("2")
        screen.wait_for("node_1")
        screen.wait_for_quiet()
        place.rondo("run", "walk_100", "--detach")
        screen.wait_for(rf"step {SEEN_STEPS.start}\b")
        before = screen.written
        screen.wait_for(rf"step {SEEN_STEPS.stop}\b")
        written = screen.written - before
    return {"bytes a step": written / len(SEEN_STEPS), "bytes a change": written / len(SEEN_STEPS) / 2}


def steps_to_cells(place: Place) -> Figures:
    """From the end of a step in its process, which is before its commit, to the step's number on the run's screen."""
    with app(place, only="timed") as screen:
        before = screen.written
        screen.send("r")
        screen.wait_for(rf"step {TIMED_STEPS}\b", after=before)
        run = place.json("runs", "timed")[0]["run_id"]
        ended = {step["step"]: _seconds(step["ended_at"]) for step in place.json("show", run)["steps"]}
        late = []
        for step in range(3, TIMED_STEPS + 1):
            # A step that was overtaken by the next one is shown by that.
            shown = min(
                moment
                for later in range(step, min(step + 6, TIMED_STEPS) + 1)
                if (moment := screen.moment_of(rf"step {later}\b", before)) is not None
            )
            late.append(1000 * (shown - ended[step]))
    late.sort()
    return {"cell p50": statistics.median(late), "cell p99": late[int(len(late) * 0.99)]}


def loud_log(place: Place) -> Figures:
    """Letters typed into the search line while a log grows by 20,000 lines/s: from the key to the letter."""
    with app(place, only="loud") as screen:
        screen.send("r")
        screen.wait_for("line 4[0-9]{4} ")
        before = screen.written
        screen.send("/")
        screen.wait_for("ext in the log", after=before)
        late = []
        for count in range(1, KEYS + 1):
            before = screen.written
            pressed = screen.send("~")
            late.append(1000 * (screen.wait_for("~" * count, after=before) - pressed))
            time.sleep(0.1)
        screen.wait_for("completed")
    late.sort()
    return {"key p50": statistics.median(late), "key p95": late[int(len(late) * 0.95)]}


def calm_log(place: Place) -> Figures:
    """Bytes written while a log grows by 100 lines/s and the screen follows it."""
    with app(place, only="calm") as screen:
        screen.send("r")
        screen.wait_for("line 2[0-9]{2} ")
        before, begin = screen.written, time.monotonic()
        screen.wait_for("line 9[0-9]{2} ")
        return {"calm MB/s": (screen.written - before) / 1e6 / (time.monotonic() - begin)}


def large_lists(place: Place) -> Figures:
    """From the key to the list of 100,000 runs, and from Enter to the end of a log of 1,000,000 lines.

    The second time is without imports. A log is only painted where it can be read, so its last line is the sign.
    """
    large, marks = large_place(place)
    figures: Figures = {}
    with Watched([RONDO], folder=large.folder, env=large.env) as screen:
        screen.wait_for("engine .*●")
        screen.wait_for("flow_1")
        screen.wait_for_quiet()
        for time_of in ("first", "next"):
            before = screen.written
            pressed = screen.send("3")
            figures[f"runs {time_of}"] = 1000 * (screen.wait_for(marks.with_log[-8:], after=before) - pressed)
            screen.wait_for_quiet()
            before = screen.written
            screen.send(f":show {marks.with_log[-8:]}")
            screen.wait_for_quiet()
            pressed = screen.send("\r")
            shown = screen.wait_for(f"{marks.log_lines:08} GET", after=before)
            figures[f"log {time_of}"] = 1000 * (shown - pressed)
            screen.wait_for_quiet()
            screen.send("1")
            screen.wait_for_quiet()
    return figures


@functools.cache
def large_place(place: Place) -> tuple[Place, Landmarks]:
    """Another workspace, of 100,000 runs, with its engine; made once."""
    folder = place.folder.parent / "large"
    folder.mkdir()
    large = Place(folder)
    marks = make_database(large, Workspace.at(large.folder), RUNS, LOG_LINES)
    large.rondo("engine", "start")
    return large, marks


def end_large_place(place: Place) -> None:
    """End the engine of the large workspace, where one was made."""
    if large_place.cache_info().currsize:
        large_place(place)[0].rondo("engine", "stop")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


MEASURES: tuple[Callable[[Place], Figures], ...] = (
    first_paint,
    graphs,
    status_changes,
    steps_to_cells,
    loud_log,
    calm_log,
    large_lists,
)
