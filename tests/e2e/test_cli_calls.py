"""What a run called: listed, shown, recorded into a file, and replayed without anybody to answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from address import Address
from cli_world import World

CODE = """
from core.sdk import Node


class Fetch(Node):
    async def execute(self, prepared):
        secret = {"Authorization": "Bearer x"}
        first = await self.http("GET", "{url}/a", params={"token": "s3cret-value"}, headers=secret)
        second = await self.http("POST", "{url}/b", json={"n": 2})
        return [first.json()["number"], second.json()["body"]]

    def cleanup(self, shared, prepared, result):
        shared["got"] = result
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    assert world.rondo("init", ".", "--no-example").code == 0
    yield world
    world.close()


def test_a_recorded_run_is_replayed_when_nobody_answers_any_more(own: World) -> None:
    address = Address()
    own.workflow("fetch", CODE.replace("{url}", address.url), "fetch")

    recorded = own.rondo("run", "fetch", "--record", "calls.json")
    run = own.json("runs")[0]
    calls = own.json("calls", run["run_id"])["calls"]
    listed = own.rondo("calls", run["short_id"]).out
    one = own.rondo("calls", run["short_id"], str(calls[1]["number"])).out
    seen = len(address.seen)
    address.close()
    offline = own.rondo("run", "fetch")
    from_file = own.json("run", "fetch", "--replay", "calls.json")
    from_run = own.json("run", "fetch", "--replay", run["short_id"])

    assert recorded.code == 0
    assert "2 calls in calls.json" in recorded.err
    assert [(call["kind"], call["status"], call["node"]) for call in calls] == [("http", "done", "fetch")] * 2
    assert f"POST {address.url}/b" in listed
    assert '"n": 2' in one and '"status": 200' in one
    assert seen == len(address.seen) == 2
    assert offline.code == 1
    for replayed in (from_file, from_run):
        assert replayed["status"] == "completed"
        assert replayed["state"] == {"got": [1, '{"n":2}']}
    assert from_file["replay"] == str(own.root / "calls.json")
    text = (own.root / "calls.json").read_text()
    assert "s3cret-value" not in text and "Bearer" not in text
    log = own.json("logs", from_file["run_id"])["lines"]
    assert "answered from" in log[0]["text"] and "not covered" in log[1]["text"]


def test_words_that_do_not_go_together_are_refused(own: World) -> None:
    own.workflow("fetch", CODE, "fetch")
    (own.root / "no.json").write_text("{}")

    assert own.rondo("run", "fetch", "--record", "x.json", "--detach", "--json").error["type"] == "UsageError"
    assert own.rondo("run", "fetch", "--replay", "x", "--node", "fetch", "--json").error["type"] == "UsageError"
    assert own.rondo("run", "fetch", "--replay", "missing.json", "--json").error["type"] == "UsageError"
    assert own.rondo("run", "fetch", "--replay", "no.json", "--json").error["type"] == "TransferProblem"
    assert own.rondo("run", "fetch", "--replay", "ffffffff", "--json").error["type"] == "UnknownRun"
    assert own.json("runs") == []


def test_a_call_that_is_not_of_the_run_is_refused(own: World) -> None:
    own.workflow("plain", "from core.sdk import Node\n\n\nclass Plain(Node):\n    pass\n", "plain")
    run = own.json("run", "plain")

    assert own.rondo("calls", run["run_id"], "7", "--json").error["type"] == "UsageError"
    assert json.loads(own.rondo("calls", run["run_id"], "--json").out)["calls"] == []
    assert "made no calls" in own.rondo("calls", run["run_id"]).err
