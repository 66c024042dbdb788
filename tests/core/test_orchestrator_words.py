"""Workflows made and changed in words through the Python API, with a scripted model server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_server import KEY, ModelServer, calls_all, says

from core import TaskOrchestrator
from core.errors import ModelProblem, ProposalProblem, UnknownWorkflow, UsageError

HIGH = dict.fromkeys(("clarity", "completeness", "feasibility", "specificity"), "high")
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
    return "set_plan", {"goal": "Greet", "tasks": [{"id": "1", "title": "Greet"}], "assessment": level}, ""


def making(rev: int = 0) -> list[dict[str, Any]]:
    add = {"base_rev": rev, "class": "Greet", "mode": "add", "code": CODE, "why": "the greeting"}
    ops = [
        {"op": "add_node", "id": "greet", "set": {"class": "Greet"}},
        {"op": "set_io", "set": {"initial_state": {"name": "Ada"}}},
    ]
    graph = {"base_rev": rev + 1, "ops": ops, "why": "one node"}
    return [calls_all(plan(), ("propose_source", add, ""), ("propose_graph", graph, "")), says("It greets.")]


@pytest.fixture
def orchestrator(
    tmp_path: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TaskOrchestrator]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", model_server.anthropic_url)
    (tmp_path / "workflows").mkdir()
    with TaskOrchestrator(workflows_dir=tmp_path / "workflows", api_key=KEY) as made:
        yield made


def test_a_workflow_is_made_with_its_tools_and_changed(
    orchestrator: TaskOrchestrator, model_server: ModelServer
) -> None:
    model_server.script(*making(rev=1))
    folder = orchestrator.create_workflow("greeter", "Greet somebody by name", tools=["gmail"])
    assert {path.name for path in folder.iterdir()} == {"greeter.json", "nodes.py", "tools.json"}
    assert json.loads((folder / "tools.json").read_text()) == ["gmail"]
    assert all(KEY in str(entry["headers"]) for entry in model_server.journal())
    result = asyncio.run(orchestrator.run_workflow("greeter"))
    assert result["shared_state"]["greeting"] == "Hello, Ada!"
    change = CODE.partition("\n\n\n")[2].replace("Hello", "Hi")
    arguments = {"base_rev": 0, "class": "Greet", "mode": "replace", "code": change, "why": "shorter"}
    model_server.script(calls_all(plan(), ("propose_source", arguments, "")), says("Done."))
    orchestrator.update_workflow("greeter", "Say Hi")
    assert "Hi, {name}" in (folder / "nodes.py").read_text()
    assert len(list((folder / "backups").iterdir())) == 1


def test_questions_are_skipped_and_what_is_assumed_stands_in_the_workflow(
    orchestrator: TaskOrchestrator, model_server: ModelServer
) -> None:
    question = {"text": "Which language?", "options": [{"label": "English"}, {"label": "German"}]}
    low = dict.fromkeys(HIGH, "low")
    model_server.script(calls_all(plan(low), ("ask_user", {"questions": [question]}, "")), *making())

    async def inside_a_loop() -> Path:
        return orchestrator.create_workflow("greeter", "Greet somebody by name")

    folder = asyncio.run(inside_a_loop())
    assert "Which language?" in json.loads((folder / "greeter.json").read_text())["assumptions"][0]


def test_what_comes_of_nothing_is_an_error_and_leaves_nothing(
    orchestrator: TaskOrchestrator, model_server: ModelServer
) -> None:
    model_server.script(says("I would rather not."))
    with pytest.raises(ProposalProblem, match="proposed nothing"):
        orchestrator.create_workflow("greeter", "Greet")
    with pytest.raises(UnknownWorkflow):
        orchestrator.update_workflow("greeter", "Greet")
    assert list(orchestrator.workspace.workflows_dir.iterdir()) == []


def test_a_name_that_is_taken_is_refused(orchestrator: TaskOrchestrator, model_server: ModelServer) -> None:
    model_server.script(*making())
    orchestrator.create_workflow("greeter", "Greet somebody by name")
    with pytest.raises(UsageError, match="already"):
        orchestrator.create_workflow("greeter", "Greet")


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    with TaskOrchestrator(workflows_dir=tmp_path / "workflows") as orchestrator, pytest.raises(ModelProblem) as refused:
        orchestrator.create_workflow("greeter", "Greet")
    assert "ANTHROPIC_API_KEY" in refused.value.message + refused.value.cause + refused.value.next_step
