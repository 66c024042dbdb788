"""Workflows by conversation at the command line: made, asked about, changed, repaired and undone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
from cli_world import LIMIT_SECONDS, RONDO, World, wait_until
from model_server import ModelServer, calls, calls_all, fails, says, slow

HIGH = {"clarity": "high", "completeness": "high", "feasibility": "high", "specificity": "high"}
LOW = dict.fromkeys(HIGH, "low")
CODE = '''from core.sdk import Node


class Greet(Node):
    """Greets somebody."""

    def prepare(self, shared, request_input):
        return shared["name"]

    def execute(self, name):
        return f"Hello, {name}!"

    def cleanup(self, shared, name, greeting):
        shared["greeting"] = greeting
'''


def plan(level: dict[str, str] = HIGH) -> tuple[str, dict[str, Any], str]:
    arguments = {"goal": "Greet somebody", "tasks": [{"id": "1", "title": "Greet"}], "assessment": level}
    return "set_plan", arguments, ""


def making(code: str = CODE, rev: int = 0) -> list[dict[str, Any]]:
    """The turns of a model that makes a workflow of one node in a draft of that revision."""
    add = {"base_rev": rev, "class": "Greet", "mode": "add", "code": code, "why": "the greeting"}
    ops = [
        {"op": "add_node", "id": "greet", "set": {"class": "Greet"}},
        {"op": "set_io", "set": {"initial_state": {"name": "Ada"}}},
    ]
    graph = {"base_rev": rev + 1, "ops": ops, "why": "one node"}
    return [
        calls_all(plan(), ("propose_source", add, ""), ("propose_graph", graph, ""), text="I make it."),
        says("It greets."),
    ]


def changing() -> list[dict[str, Any]]:
    """The turns of a model that changes the greeting."""
    code = CODE.partition("\n\n\n")[2].replace("Hello", "Good day")
    change = {"base_rev": 0, "class": "Greet", "mode": "replace", "code": code, "why": "more polite"}
    return [calls_all(plan(), ("propose_source", change, "")), says("Done.")]


@pytest.fixture(scope="module")
def shared_world(_running_model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One workspace and one engine for all tests here, because both take their time to start."""
    world = World(tmp_path_factory.mktemp("talking"))
    world.environment |= _running_model_server.environment()
    assert world.rondo("init", ".", "--no-example").code == 0
    yield world
    world.close()


@pytest.fixture
def talking(shared_world: World, model_server: ModelServer) -> World:
    """That workspace, whose engine asks the scripted server; each test has workflows of names of its own."""
    return shared_world


def test_a_workflow_is_made_run_changed_and_undone_without_a_terminal(
    talking: World, model_server: ModelServer
) -> None:
    model_server.script(*making(rev=1))
    waiting = talking.rondo("create", "greeter", "Greet somebody by name", "--tools", "gmail", "--json")
    assert waiting.code == 3, waiting
    document = waiting.document
    assert document["status"] == "proposed" and document["proposal"]["status"] == "open"
    assert not (talking.root / "workflows" / "greeter").exists()
    card = talking.rondo("proposal", document["proposal"]["proposal_id"][-8:])
    assert card.code == 0 and "+class Greet(Node):" in card.out and "ruff: passed" in card.out, card
    shown = talking.rondo("proposals")
    assert "greeter" in shown.out and "open" in shown.out
    applied = talking.json("proposal", document["proposal"]["proposal_id"][-8:], "--accept")
    made = applied["edit"]
    assert made > 0 and applied["backup"] is None
    folder = talking.root / "workflows" / "greeter"
    assert {path.name for path in folder.iterdir()} == {"greeter.json", "nodes.py", "tools.json"}
    assert json.loads((folder / "tools.json").read_text()) == ["gmail"]
    run = talking.json("run", "greeter")
    assert run["status"] == "completed" and run["state"]["greeting"] == "Hello, Ada!"

    before = (folder / "nodes.py").read_bytes()
    model_server.script(*changing())
    changed = talking.json("update", "greeter", "More polite", "--yes")
    assert changed["status"] == "applied" and changed["edit"] > made
    assert b"Good day" in (folder / "nodes.py").read_bytes()
    (backup,) = (folder / "backups").iterdir()
    assert backup.name.startswith("20") and (backup / "nodes.py").read_bytes() == before
    assert [edit["edit"] for edit in talking.json("edits", "greeter")] == [changed["edit"], made]
    undone = talking.json("undo", "greeter")
    assert undone["written"] == ["nodes.py"] and (folder / "nodes.py").read_bytes() == before
    talking.json("redo", "greeter")
    assert b"Good day" in (folder / "nodes.py").read_bytes()


def test_at_a_terminal_it_asks_shows_and_applies(talking: World, model_server: ModelServer) -> None:
    question = {"text": "Which language?", "options": [{"label": "English"}, {"label": "German"}]}
    model_server.script(calls_all(plan(LOW), ("ask_user", {"questions": [question]}, "")), *making())
    terminal = pexpect.spawn(
        RONDO,
        ["create", "asker", "Greet somebody by name"],
        cwd=str(talking.root),
        env={**talking.environment, "TERM": "dumb", "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=LIMIT_SECONDS,
        dimensions=(40, 120),
    )
    try:
        terminal.expect("Which language")
        terminal.expect("2\\) German")
        terminal.expect("leave it to the assistant: ")
        terminal.sendline("1")
        terminal.expect("Proposal 1 for asker")
        terminal.expect("class Greet")
        terminal.expect("\\[a\\]pply")
        terminal.sendline("t")
        terminal.expect("import: passed")
        terminal.expect("dry run: passed")
        terminal.expect("\\[a\\]pply")
        terminal.sendline("a")
        terminal.expect("asker is now version")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
    finally:
        terminal.close(force=True)
    talking.engine_pid()
    history = talking.rondo("chat", "asker", "--history").out
    assert "asked: Which language?\n  you: English\n" in history, history
    asked = json.dumps(model_server.requests()[1])
    assert "Which language? -> English" in asked
    assert talking.json("run", "asker")["status"] == "completed"


def test_questions_without_a_terminal_are_a_waiting_document(talking: World, model_server: ModelServer) -> None:
    question = {"text": "Which language?", "options": [{"label": "English"}, {"label": "German"}]}
    model_server.script(calls_all(plan(LOW), ("ask_user", {"questions": [question]}, "")))
    outcome = talking.rondo("create", "waiter", "Greet", "--json")
    assert outcome.code == 3, outcome
    assert outcome.document["status"] == "asking"
    assert outcome.document["questions"]["questions"][0]["text"] == "Which language?"
    model_server.script(calls_all(plan(LOW), ("ask_user", {"questions": [question]}, "")))
    plain = talking.rondo("create", "waiter2", "Greet")
    assert plain.code == 3 and "Question 1 of 1: Which language?" in plain.out and "2) German" in plain.out, plain
    # Whoever read them answers in words.
    model_server.script(*making())
    found = re.search(r"rondo chat --chat (\w+)", plain.err)
    assert found is not None
    answered = talking.rondo("chat", "--chat", found[1], "-m", "English")
    assert answered.code == 3 and "Proposal 1 for waiter2" in answered.out, answered


def test_what_reaches_further_is_not_applied_by_yes_alone(talking: World, model_server: ModelServer) -> None:
    code = CODE.replace(
        "        return f", "        import subprocess\n\n        subprocess.run(['true'])\n        return f"
    )
    model_server.script(*making(code))
    outcome = talking.rondo("create", "reacher", "Greet", "--yes", "--json")
    assert outcome.code == 4, outcome
    assert "process" in outcome.error["cause"]
    waiting = talking.json("proposals", "reacher")
    assert [view["workflow"] for view in waiting] == ["reacher"]
    accepted = talking.json("proposal", waiting[0]["proposal_id"], "--accept", "--allow", "all")
    assert accepted["edit"] > 0


def test_a_failed_run_is_repaired_and_goes_on(talking: World, model_server: ModelServer) -> None:
    code = CODE.replace('return f"Hello, {name}!"', "return 1 / 0")
    talking.workflow("breaker", code, "greet", initial_state={"name": "Ada"})
    failed = talking.rondo("run", "breaker", "--json")
    assert failed.code == 1
    whole = CODE.partition("\n\n\n")[2]
    change = {"base_rev": 0, "class": "Greet", "mode": "replace", "code": whole, "why": "no division"}
    model_server.script(calls_all(plan(), ("propose_source", change, "")), says("Fixed."))
    outcome = talking.rondo("fix", failed.document["run_id"][-8:], "--yes", "--go-on", "--json")
    assert outcome.code == 0, outcome
    assert outcome.document["status"] == "completed"
    assert outcome.document["run_id"] == failed.document["run_id"]


def test_a_conversation_is_listed_read_and_deleted(talking: World, model_server: ModelServer) -> None:
    model_server.script(says("It has no nodes yet."))
    said = talking.rondo("chat", "--new", "-m", "What is there?")
    assert said.code == 0 and "It has no nodes yet." in said.out, said
    (chat,) = [row for row in talking.json("chat", "--list") if row["title"] == "What is there?"]
    history = talking.rondo("chat", "--chat", chat["chat_id"][-8:], "--history")
    assert "you: What is there?" in history.out and "It has no nodes yet." in history.out
    assert talking.json("chat", "--chat", chat["chat_id"][-8:], "--delete")["deleted"]
    assert chat["chat_id"] not in [row["chat_id"] for row in talking.json("chat", "--list")]


def test_a_model_that_is_refused_is_an_error_that_says_what_to_do(talking: World, model_server: ModelServer) -> None:
    model_server.script(fails(401, "invalid x-api-key"))
    outcome = talking.rondo("create", "refuser", "Greet", "--json")
    assert outcome.code == 1, outcome
    assert outcome.error["type"] == "ModelKeyRefused"


def test_without_a_key_templates_still_make_workflows_that_run(own: World) -> None:
    refused = own.rondo("create", "greeter", "Greet somebody", "--json")
    assert refused.code == 1, refused
    assert "rondo new" in refused.error["next_step"]
    templates = own.json("new", "--list")
    assert len(templates) >= 3
    made = own.json("new", "sums", "--template", "csv_summary")
    assert made["workflow"] == "sums"
    run = own.json("run", "sums")
    assert run["status"] == "completed" and run["state"]["sums"] == {"north": "13.5", "south": "12.25"}
    again = own.rondo("new", "sums", "--template", "csv_summary", "--json")
    assert again.code == 2 and again.error["type"] == "UsageError"


def test_a_broken_tool_call_is_told_to_the_model_and_nothing_is_lost(talking: World, model_server: ModelServer) -> None:
    model_server.script(calls("propose_graph", '{"base_rev": 0, "ops": [', text="Hm."), *making())
    assert talking.json("create", "mumbler", "Greet somebody", "--yes")["status"] == "applied"


def test_an_engine_that_is_killed_in_a_turn_leaves_what_was_said(talking: World, model_server: ModelServer) -> None:
    words = "one two three " + "and so on " * 1000
    model_server.script(slow(words, chunk_milliseconds=200))
    talker = talking.begin("chat", "counter", "-m", "Count for me")
    wait_until(
        lambda: "one two three" in talking.rondo("chat", "counter", "--history").out, "the beginning of the text"
    )
    talking.kill_engine()
    out, err = talker.communicate(timeout=LIMIT_SECONDS)
    assert talker.returncode == 0, err
    assert "The engine ended while this was going on" in out
    history = talking.rondo("chat", "counter", "--history").out
    # What was seen last may have come in the moment before the end: text is kept at least every second.
    assert "you: Count for me\none" in history and "The engine ended" in history
