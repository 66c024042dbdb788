"""The app in a real pseudo-terminal, with the real engine: what a person sees and types."""

from __future__ import annotations

import os
import signal

import pytest
from cli_world import World, wait_until
from terminal import Open

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_first_run_from_start_to_end(hello: World, open_app: Open, columns: int, rows: int) -> None:
    terminal = open_app(hello, columns, rows)
    screen = terminal.wait_for(r"hello +2")
    assert "› workflows" in screen
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    terminal.send("r")
    screen = terminal.wait_for(r"What is your name\?")
    assert "◐ waiting" in screen
    terminal.wait_for(r"1 +ask +◐")
    terminal.send("\t")
    terminal.wait_for(r"enter sends")
    terminal.send("Ada\r")
    screen = terminal.wait_for(r"✓ completed")
    assert "Hello, Ada!" in terminal.wait_for(r"INFO +Hello, Ada!")
    terminal.wait_for(r"greet +✓")
    terminal.wait_for(r'name +"Ada"')
    terminal.send("q")
    terminal.wait_for(r"hello +2 +✓ completed")
    terminal.send("q")
    assert terminal.wait_for_end() == 0
    (run,) = hello.json("runs")
    assert run["status"] == "completed"


def test_pasted_text_and_keys_in_one_piece_land_where_they_belong(hello: World, open_app: Open) -> None:
    terminal = open_app(hello, 80, 24)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    # Colours, lines, and letters that are keys of the screen; longer than what Textual takes for a sequence.
    terminal.send("\x1b[200~\x1b[31mred\x1b[0m\nrxq\r\n: quit, and more than thirty-two characters: rrrr q\x1b[201~")
    terminal.wait_for(r"Nothing was pasted")
    terminal.send("/xhe")
    terminal.wait_for(r"/ +xhe")
    terminal.send("\x15hel\r")
    terminal.wait_for(r"/ +hel ")
    assert hello.json("runs") == []
    # A key that is held starts one run.
    terminal.send("rrrr")
    terminal.wait_for(r"What is your name\?")
    terminal.send("\tEve\x15Ad")
    terminal.wait_for(r"› +Ad")
    terminal.send("\x1b[200~\x1b[1ma\x1b[0m\nLovelace\n\x1b[201~")
    terminal.wait_for(r"› +Ada Lovelace")
    terminal.send("\r")
    terminal.wait_for(r"Hello, Ada Lovelace!")
    assert len(hello.json("runs")) == 1
    terminal.send(":quit\r")
    assert terminal.wait_for_end() == 0


def test_an_answer_from_another_terminal_is_seen_here(hello: World, open_app: Open) -> None:
    one, two = open_app(hello), open_app(hello, 80, 24)
    for terminal in (one, two):
        terminal.wait_for(r"engine ●")
        terminal.wait_for(r"r run")
    one.send("r")
    one.wait_for(r"What is your name\?")
    two.wait_for(r"◐ waiting")
    two.send("\r")
    two.wait_for(r"What is your name\?")
    run = hello.json("runs")[0]["short_id"]
    assert hello.rondo("answer", run, "name", "Grace").code == 0
    for terminal in (one, two):
        terminal.wait_for(r"Hello, Grace!")
        terminal.wait_for(r"✓ completed")


def test_an_engine_that_is_killed_is_shown_and_found_again(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    terminal.send("r")
    terminal.wait_for(r"What is your name\?")
    hello.kill_engine()
    run = wait_until(lambda: hello.json("runs"), "another engine")[0]["short_id"]
    assert hello.rondo("answer", run, "name", "Ada").code == 0
    terminal.wait_for(r"✓ completed")
    terminal.wait_for(r"engine ●")


def test_a_lost_line_loses_nothing(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    terminal.send("r")
    terminal.wait_for(r"What is your name\?")
    engine = hello.engine_pid()
    terminal.end()
    assert hello.engine_pid() == engine
    again = open_app(hello)
    again.wait_for(r"◐ waiting")
    again.send("\r")
    again.wait_for(r"What is your name\?")
    again.send("\t")
    again.wait_for(r"enter sends")
    again.send("Ada\r")
    again.wait_for(r"Hello, Ada!")


def test_a_saved_change_is_shown_by_itself(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"hello +2")
    nodes = hello.root / "workflows" / "hello" / "nodes.py"
    text = nodes.read_text()
    nodes.write_text("class Broken(:\n" + text)
    terminal.wait_for(r"E109")
    nodes.write_text(text)
    terminal.wait_for(lambda screen: "E109" not in screen)


def test_the_graph_shows_the_run_and_escape_never_quits(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.send("g")
    screen = terminal.wait_for(r"│ +greet")
    assert "ask" in screen
    terminal.send("\x1b")
    terminal.send("\x03")
    terminal.send("?")
    terminal.wait_for(r"This view")
    terminal.send("\x1b")
    # Alone: a key right behind it would make the two one key with alt.
    terminal.wait_for(lambda screen: "This view" not in screen)
    terminal.send("1")
    terminal.wait_for(r"NAME +NODES")


WALK = """
import asyncio, os
from core.sdk import Node

class Walk(Node):
    async def execute(self, prepared):
        while not os.path.exists(f"go-{self.id}"):
            await asyncio.sleep(0.02)
"""


def test_a_step_on_the_graph_draws_what_changed_and_not_the_screen(hello: World, open_app: Open) -> None:
    hello.workflow("walk", WALK, *(f"n{number}:Walk" for number in range(14)))
    terminal = open_app(hello)
    terminal.wait_for(r"walk +14")
    terminal.send("G")
    terminal.wait_for(r"▌ ?walk")
    terminal.send("2")
    terminal.wait_for(r"│ +n2")
    hello.rondo("run", "walk", "--detach")

    def walk(begin: int, end: int) -> None:
        """Let the nodes go one after the other, each when the one before it is seen to be done."""
        for number in range(begin, end):
            (hello.root / f"go-n{number}").touch()
            terminal.wait_for(rf"step {number + 1}\b")

    walk(0, 4)
    before = terminal.written
    walk(4, 11)
    # A whole screen has some 30,000 bytes; here are seven steps, less than 1,500 each.
    assert terminal.written - before < 20_000
    walk(11, 14)
    terminal.wait_for(r"completed +step 14")
    # What the first screen didn't hear while it lay below is there when it is shown again.
    terminal.send("1")
    terminal.wait_for(r"walk +14 +✓ completed")


def test_the_terminal_is_given_back_when_the_app_is_told_to_end(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.wait_for_end()
