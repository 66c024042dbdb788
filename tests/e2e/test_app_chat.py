"""The app in a real pseudo-terminal, with the real engine and a scripted model: workflows made and mended in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cli_world import LIMIT_SECONDS, World
from model_server import ModelServer, calls_all, says
from terminal import Open, Terminal

HIGH = dict.fromkeys(("clarity", "completeness", "feasibility", "specificity"), "high")
LOW = dict.fromkeys(HIGH, "low")
GREET = '''class Greet(Node):
    """Greets somebody."""

    def prepare(self, shared, request_input):
        return shared["name"]

    def execute(self, name):
        return f"Good day, {name}!"

    def cleanup(self, shared, name, greeting):
        shared["greeting"] = greeting
        print(greeting)
'''


def plan(levels: dict[str, str], goal: str = "Greet somebody") -> tuple[str, dict[str, Any], str]:
    return "set_plan", {"goal": goal, "tasks": [{"id": "1", "title": "Greet"}], "assessment": levels}, ""


def asking() -> dict[str, Any]:
    """A turn that asks who is to be greeted."""
    options = [{"label": "Ada"}, {"label": "Grace", "detail": "the admiral"}]
    question = {"questions": [{"text": "Who is to be greeted?", "options": options}]}
    return calls_all(plan(LOW), ("ask_user", question, ""), text="One question first.")


def making() -> list[dict[str, Any]]:
    """The turns that make a workflow of one node."""
    code = {
        "base_rev": 0,
        "class": "Greet",
        "mode": "add",
        "code": f"from core.sdk import Node\n\n\n{GREET}",
        "why": "it",
    }
    ops = [
        {"op": "add_node", "id": "greet", "set": {"class": "Greet"}},
        {"op": "set_io", "set": {"initial_state": {"name": "Grace"}}},
    ]
    graph = {"base_rev": 1, "ops": ops, "why": "one node"}
    return [calls_all(plan(HIGH), ("propose_source", code, ""), ("propose_graph", graph, "")), says("It greets Grace.")]


def seen(terminal: Terminal, pattern: str) -> str:
    return terminal.wait_for(pattern, LIMIT_SECONDS)


def decide(terminal: Terminal, key: str, done: str) -> None:
    """Press a key that decides; a card that has only just got the keys asks for it once more, as often as need be."""
    too_soon = "press it once more"
    terminal.send(key)
    while re.search(done, seen(terminal, rf"{too_soon}|{done}")) is None:
        # Another notice in its place, so that the next one is that of the next press.
        terminal.send("y")
        terminal.wait_for(lambda screen: too_soon not in screen, LIMIT_SECONDS)
        terminal.send(key)


@pytest.fixture
def words(hello: World, model_server: ModelServer) -> World:
    """A workspace whose app and engine ask the scripted model."""
    hello.environment |= model_server.environment()
    return hello


def test_a_task_in_words_becomes_a_workflow_that_runs_to_its_end(
    words: World, model_server: ModelServer, open_app: Open
) -> None:
    model_server.script(asking(), *making())
    terminal = open_app(words)
    seen(terminal, r"hello +2")
    seen(terminal, r"engine ●")
    seen(terminal, r"n new")
    terminal.send("n")
    seen(terminal, r"describe it in chat")
    terminal.send("\r")
    seen(terminal, r"name ›")
    terminal.send("\r")
    seen(terminal, r"Say what a new workflow should do")
    seen(terminal, r"enter send")
    terminal.send("Make a workflow greeter that greets somebody\r")
    screen = seen(terminal, r"tab to answer")
    assert "Who is to be greeted?" in screen and "understood 30 %" in screen
    # Tab leads from the text to what waits for an answer.
    terminal.send("\t")
    seen(terminal, r"enter answer")
    terminal.send("\x1b[C")
    seen(terminal, r"\(•\) Grace")
    terminal.send("\r")
    screen = seen(terminal, r"\[x\] \+ greet +Greet")
    assert "✓ schema  ✓ lint  ✓ compile  ✓ classes" in screen
    seen(terminal, r"\+class Greet\(Node\):")
    seen(terminal, re.escape('+        return f"Good day, {name}!"'))
    assert "workflows › greeter › chat" in screen
    assert [row["name"] for row in words.json("list")] == ["hello"]
    terminal.send("\t")
    seen(terminal, r"a apply")
    decide(terminal, "a", r"✓ applied")
    terminal.send("r")
    seen(terminal, r"greeter › run")
    seen(terminal, r"✓ completed +step 1")
    seen(terminal, r'greeting +"Good day, Grace!"')
    (run,) = words.json("runs")
    assert (run["workflow"], run["status"]) == ("greeter", "completed")
    terminal.send(":quit\r")
    assert terminal.wait_for_end(LIMIT_SECONDS) == 0


@pytest.mark.long
def test_a_failed_run_is_mended_and_goes_on_in_a_small_terminal(
    words: World, model_server: ModelServer, open_app: Open
) -> None:
    broken = GREET.replace('return f"Good day, {name}!"', "return 1 / 0")
    words.workflow("greeter", f"from core.sdk import Node\n\n\n{broken}", "greet", initial_state={"name": "Ada"})
    change = {"base_rev": 0, "class": "Greet", "mode": "replace", "code": GREET, "why": "no division"}
    model_server.script(calls_all(plan(HIGH, "Mend greet"), ("propose_source", change, "")), says("Mended."))
    terminal = open_app(words, 80, 24)
    seen(terminal, r"greeter +1")
    seen(terminal, r"engine ●")
    terminal.send("\x1b[H")
    seen(terminal, r"▌ ?greeter")
    seen(terminal, r"r run")
    terminal.send("r")
    seen(terminal, r"✗ failed")
    seen(terminal, r"ZeroDivisionError")
    seen(terminal, r"f fix")
    terminal.send("f")
    seen(terminal, r"a proposal waits")
    terminal.send("\t")
    seen(terminal, r"\[x\] ~ Greet")
    seen(terminal, r"A apply and run")
    assert "1 / 0" in seen(terminal, r"-        return")
    decide(terminal, "A", r"✓ completed")
    seen(terminal, r"Good day, Ada!")
    runs = words.json("runs")
    assert len(runs) == 1, (runs, terminal.text)
    (run,) = runs
    assert run["status"] == "completed"
    # The change is taken back to the same bytes, after asking.
    terminal.send("u")
    seen(terminal, r"Take back the last change\?")
    terminal.wait_for(r"y yes")
    terminal.send("y")
    seen(terminal, r"Taken back")
    nodes = words.root / "workflows" / "greeter" / "nodes.py"
    assert "1 / 0" in nodes.read_text()
