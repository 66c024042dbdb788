"""Nodes that fail, through the command line: what is shown of each attempt, and what a person decides."""

from __future__ import annotations

from cli_world import World

CODE = """
import time
from grapheteria import Node


class Fetch(Node):
    def execute(self, prepared):
        raise ConnectionError("no route to the shop")


class Slow(Node):
    def execute(self, prepared):
        time.sleep(1000)


class Report(Node):
    def cleanup(self, shared, prepared, result):
        shared["reported"] = True
"""


def test_a_person_is_asked_about_a_node_that_failed_and_answers_over_a_killed_engine(own: World) -> None:
    fetch = {"id": "fetch", "class": "Fetch", "retry": {"attempts": 2}, "on_error": "ask"}
    report = {"id": "report", "class": "Report"}
    edges = [{"from": "fetch", "to": "report"}]
    own.workflow("shop", CODE, nodes=[fetch, report], edges=edges)
    outcome = own.rondo("run", "shop")
    assert outcome.code == 3
    assert "fetch failed: ConnectionError: no route to the shop" in outcome.out + outcome.err
    (run,) = own.json("runs")
    shown = own.rondo("show", run["run_id"])
    assert shown.out.count("✗ failed") == 2
    document = own.json("show", run["run_id"])
    assert document["awaiting_input"]["kind"] == "error"
    assert [option["value"] for option in document["awaiting_input"]["options"]] == ["retry", "skip", "fail"]
    assert [(step["attempt"], step["status"]) for step in document["steps"]] == [(1, "failed"), (2, "failed")]
    assert all("no route" in step["error"]["traceback"] for step in document["steps"])
    own.kill_engine()
    assert own.rondo("answer", run["run_id"], "on_error", "perhaps").code == 2
    outcome = own.rondo("answer", run["run_id"], "on_error", "skip", "--json")
    assert outcome.code == 0, outcome
    assert outcome.document["state"] == {"reported": True}
    shown = own.rondo("show", run["run_id"])
    assert "↷ skipped" in shown.out
    assert "report  after ConnectionError: no route to the shop" in shown.out


def test_a_node_that_takes_too_long_fails_its_run_with_cause_and_next_step(own: World) -> None:
    own.workflow("slow", CODE, nodes=[{"id": "slow", "class": "Slow", "timeout": 0.5}])
    outcome = own.rondo("run", "slow")
    assert outcome.code == 1
    said = " ".join((outcome.out + outcome.err).split())
    assert "NodeTimeout: slow took longer than 0.5 s." in said
    assert "give it a larger timeout" in said
    (run,) = own.json("runs")
    assert "nodes.py" in own.json("show", run["run_id"])["error"]["traceback"]
    assert "Timeout (" in own.rondo("logs", run["run_id"]).out
