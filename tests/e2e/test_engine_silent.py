"""An engine whose process is stopped: the connection stands, and nobody answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cli_world import World, wait_until
from terminal import Open, Terminal

STEPS = """
import os, time
from core.sdk import Node

class Go(Node):
    async def execute(self, prepared):
        while not os.path.exists("go"):
            time.sleep(0.02)
        print(f"{self.id} was here")
"""


@contextmanager
def stopped_engine(world: World) -> Iterator[None]:
    """The engine stands still for as long as the block lasts."""
    pid = world.engine_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_app_shows_an_engine_that_does_not_answer_and_goes_on_with_it(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.send("r")
    terminal.wait_for(r"What is your name\?")
    terminal.wait_for(r"◐ 1")
    with stopped_engine(hello):
        terminal.wait_for(r"engine ✗ not responding")
        assert "kill -CONT" in terminal.wait_for(r"does not answer")
        terminal.send("\x1b")
        terminal.wait_for(lambda screen: "kill -CONT" not in screen)
        # A command that was given up is not done later.
        terminal.send("r")
        terminal.wait_for(r"does not answer")
    terminal.wait_for(r"engine ● idle")
    terminal.wait_for(r"answers again")
    (run,) = hello.json("runs")
    assert hello.rondo("answer", run["short_id"], "name", "Ada").code == 0
    terminal.wait_for(r"Hello, Ada!")
    terminal.wait_for(r"✓ completed")


def test_a_followed_run_says_that_the_engine_does_not_answer_and_misses_nothing(own: World) -> None:
    own.workflow("walk", STEPS, *(f"n{number}:Go" for number in range(5)))
    environment = {name: value for name, value in own.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    terminal = Terminal.rondo(own.root, "run", "walk", columns=200, rows=60, **environment)
    try:
        terminal.wait_for(r"run \w+ of walk")
        wait_until(own.engine_pid, "the engine")
        with stopped_engine(own):
            (own.root / "go").touch()
            screen = terminal.wait_for(r"Still waiting")
            assert "does not answer" in screen
            assert "kill -CONT" in screen
        terminal.wait_for(r"answers again")
        screen = terminal.wait_for(r"✓ completed +walk")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.end()
    assert [screen.count(f"n{number} was here") for number in range(5)] == [1] * 5
