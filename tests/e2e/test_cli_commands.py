"""Commands on runs with real processes: whatever the nodes do, whenever the engine dies, and at a real terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_world import World, wait_until
from terminal import Terminal

HELD = """
import time
from pathlib import Path

from core.sdk import Node


class First(Node):
    def cleanup(self, shared, prepared, result):
        shared["first"] = shared.get("first", 0) + 1


class Gate(Node):
    def execute(self, prepared):
        with open("acts.txt", "a") as file:
            file.write(self.idempotency_key + "\\n")
        while not Path("open").exists():
            time.sleep(0.02)


class Last(Node):
    def cleanup(self, shared, prepared, result):
        shared["last"] = True
"""
BUSY = """
from core.sdk import Node


class Busy(Node):
    def execute(self, prepared):
        open("acts.txt", "w").write("busy")
        while True:
            pass
"""
BLOCKED = BUSY.replace("while True:\n            pass", "import time\n        time.sleep(10**6)")


def acts(world: World) -> list[str]:
    file = world.root / "acts.txt"
    return file.read_text().split() if file.exists() else []


def held(world: World) -> str:
    """A run that stands inside of its node "gate"."""
    world.workflow("held", HELD, "first", "gate", "last")
    run: str = world.json("run", "held", "--detach")["run_id"]
    wait_until(lambda: acts(world), "the node's start")
    return run


@pytest.mark.parametrize("source", [BUSY, BLOCKED], ids=["busy loop", "blocked in C"])
def test_a_run_is_cancelled_for_good_whatever_its_node_does(own: World, source: str) -> None:
    own.workflow("busy", source, "busy")
    run = own.json("run", "busy", "--detach")["run_id"]
    wait_until(lambda: acts(own), "the node's start")
    assert own.json("cancel", run)["status"] == "cancelled"
    own.kill_engine()
    assert own.json("show", run)["status"] == "cancelled"
    assert own.rondo("cancel", run).code == 2


def test_a_paused_run_stays_paused_and_goes_on_over_engines_that_are_killed(own: World) -> None:
    run = held(own)
    assert own.json("pause", run)["pausing"]
    own.kill_engine()
    # The engine that had taken the command is gone: the next one carries it out.
    shown = wait_until(lambda: (now := own.json("show", run))["status"] == "paused" and now, "the pause")
    assert (shown["step"], shown["next_node"]) == (1, "gate")
    own.kill_engine()
    assert own.json("show", run)["status"] == "paused"
    (own.root / "open").touch()
    ended = own.json("resume", run)
    assert (ended["status"], ended["state"]) == ("completed", {"first": 1, "last": True})
    assert len(set(acts(own))) == 1, "every try of the visit has the same key"


def test_a_rewind_goes_on_over_an_engine_that_is_killed(own: World) -> None:
    run = held(own)
    assert own.json("rewind", run, "--step", "0", "--detach")["run_id"] == run
    wait_until(lambda: len(acts(own)) == 2, "the node's second start")
    own.kill_engine()
    (own.root / "open").touch()
    shown = wait_until(lambda: (now := own.json("show", run))["status"] == "completed" and now, "the end")
    assert [(line["line"], line["status"]) for line in shown["lines"]] == [(1, "cancelled"), (2, "completed")]
    assert shown["state"] == {"first": 1, "last": True}
    keys = acts(own)
    assert len(set(keys)) == 2 and keys[1] == keys[-1], "a new line has new keys, and keeps them"


def test_at_the_terminal_a_person_is_asked_once_before_nodes_that_write_act_again(own: World) -> None:
    nodes = [{"id": name, "class": name.capitalize(), "effects": "write"} for name in ("first", "last")]
    edges = [{"from": "first", "to": "last"}]
    own.workflow("held", HELD, nodes=nodes, edges=edges)
    run = own.json("run", "held")["short_id"]
    refused = own.rondo("rewind", run, "--step", "0", "--json")
    assert (refused.code, refused.error["type"]) == (4, "EffectsNotAcknowledged")
    for typed, expected in (("n\r", "Nothing was done"), ("y\r", "completed")):
        with at_terminal(own, "rewind", run, "--step", "0") as screen:
            screen.wait_for(r"first \(once[\s\S]*May they act again\? \[y/N\]")
            screen.send(typed)
            screen.wait_for(re.escape(expected))
    assert len(own.json("show", run)["lines"]) == 2


def test_at_the_terminal_a_filter_asks_with_the_number_of_runs(own: World) -> None:
    held(own)
    own.json("run", "held", "--detach")
    with at_terminal(own, "cancel", "--all") as screen:
        screen.wait_for(r"Cancel 2 runs\? \[y/N\]")
        screen.send("y\r")
        screen.wait_for(lambda text: text.count("cancelled") == 2)
    assert {row["status"] for row in own.json("runs")} == {"cancelled"}


@contextmanager
def at_terminal(world: World, *words: str) -> Iterator[Terminal]:
    """The command in a real terminal, ended with the block."""
    environment = {name: value for name, value in world.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    screen = Terminal.rondo(world.root, *words, columns=120, rows=40, **environment)
    try:
        yield screen
    finally:
        screen.end()
