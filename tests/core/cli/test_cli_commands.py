"""`pause`, `resume`, `cancel`, `retry`, `rewind`, `fork`, `rerun`, `changes`: called on a real engine of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.cli.edits import parse_edits, parse_path
from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.errors import UsageError
from core.link.engine_types import ClientInfo
from core.places import Workspace

Rondo = Callable[..., Any]

SOURCE = """
import pathlib

from core.sdk import Node


class One(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = shared.get("n", 0) + 1


class Send(Node):
    def execute(self, prepared):
        if pathlib.Path("broken").exists():
            raise ValueError("no way out")

    def cleanup(self, shared, prepared, result):
        shared["n"] *= 10


class Last(Node):
    def cleanup(self, shared, prepared, result):
        shared["done"] = True


class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Which?", None, "text", "pick")
"""


@pytest.fixture
def real(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose engine runs for the length of each call."""

    async def connect(at: Workspace, **_: Any) -> Engine:
        engine = Engine(at, pool=InlinePool(), consent=True)
        await engine.start()
        await engine.hello(ClientInfo(kind="cli", app_version="test"))
        return engine

    monkeypatch.setattr("core.link.start.connect", connect)
    (workspace / "runs").mkdir()
    write(workspace)
    with capture_logs():
        yield workspace


def write(workspace: Path, effects: str = "none", source: str = SOURCE) -> None:
    for name, nodes in (("count", ["One", "Send", "Last"]), ("ask", ["Ask"])):
        folder = workspace / "workflows" / name
        folder.mkdir(exist_ok=True)
        (folder / "nodes.py").write_text(source)
        graph = {
            "nodes": [{"id": node.lower(), "class": node, "effects": effects} for node in nodes],
            "edges": [{"from": a.lower(), "to": b.lower()} for a, b in pairwise(nodes)],
        }
        (folder / f"{name}.json").write_text(json.dumps(graph))


def run(rondo: Rondo, *words: str) -> Any:
    return rondo("run", *words, "--json").document


def test_a_failed_run_is_mended_and_tried_again(real: Path, rondo: Rondo) -> None:
    (real / "broken").touch()
    failed = run(rondo, "count")
    assert failed["status"] == "failed"
    (real / "broken").unlink()
    outcome = rondo("retry", failed["run_id"], "--json")
    assert outcome.code == 0, outcome
    assert (outcome.document["run_id"], outcome.document["status"]) == (failed["run_id"], "completed")
    assert outcome.document["state"] == {"n": 10, "done": True}
    shown = rondo("show", failed["run_id"], "--json").document
    assert shown["line"] == 2
    assert [(line["line"], line["status"], line["step"], line["parent"]) for line in shown["lines"]] == [
        (1, "failed", 1, None),
        (2, "completed", 3, {"run_id": None, "step": 1}),
    ]
    old = rondo("show", failed["run_id"], "--line", "1", "--json").document
    assert [(step["node"], step["status"]) for step in old["steps"]] == [("one", "completed"), ("send", "failed")]
    assert (old["line"], old["step"], old["state"]) == (1, 1, {"n": 1})
    assert rondo("show", failed["run_id"], "--line", "3").code == 2
    people = rondo("show", failed["run_id"])
    assert "step 1 of line 1" in people.out
    again = rondo("retry", failed["run_id"], "--json")
    assert (again.code, again.document["error"]["type"]) == (2, "RunAtRest")
    logs = rondo("logs", failed["run_id"], "--json").document["lines"]
    assert {line["line"] for line in logs} == {1, 2}
    assert [line["row"] for line in logs] == list(range(1, len(logs) + 1))


def test_a_rewind_asks_about_effects_and_refuses_where_nobody_can_be_asked(real: Path, rondo: Rondo) -> None:
    write(real, effects="write")
    done = run(rondo, "count")
    refused = rondo("rewind", done["run_id"], "--step", "1", "--json")
    error = refused.document["error"]
    assert (refused.code, error["type"]) == (4, "EffectsNotAcknowledged")
    assert "--acknowledge-effects" in error["next_step"]
    assert [entry["node"] for entry in error["details"]["write"]] == ["send", "last"]
    outcome = rondo("rewind", done["run_id"], "--step", "1", "--acknowledge-effects", "--json")
    assert (outcome.code, outcome.document["status"], outcome.document["step"]) == (0, "completed", 3)
    paused = rondo("rewind", done["run_id"], "--step", "2", "--paused", "--acknowledge-effects", "--json")
    assert (paused.code, paused.document["status"], paused.document["next_node"]) == (0, "paused", "last")
    assert rondo("resume", done["run_id"], "--json").document["status"] == "completed"
    missing = rondo("rewind", done["run_id"], "--step", "7", "--json")
    assert (missing.code, missing.document["error"]["type"]) == (2, "UnknownStep")
    assert rondo("rewind", done["run_id"]).code == 2


def test_a_fork_with_an_edited_state_and_what_differs_then(real: Path, rondo: Rondo) -> None:
    done = run(rondo, "count", "-i", "tags=[1]")
    outcome = rondo("fork", done["run_id"], "--step", "1", "--set", "n=7", "--set", "tags[1]={}", "--json")
    assert outcome.code == 0, outcome
    other = outcome.document
    assert other["run_id"] != done["run_id"]
    assert other["state"] == {"tags": [1, {}], "n": 70, "done": True}
    shown = rondo("show", other["run_id"], "--step", "2", "--json").document
    assert shown["lines"][0]["parent"] == {"run_id": done["run_id"], "step": 1}
    assert sorted(change["path"] for change in shown["changes"]) == [["n"], ["tags"]]
    assert shown["steps"][1]["reason"] == "edit"
    assert "(state edited)" in rondo("show", other["run_id"]).out
    differ = rondo("changes", done["short_id"], other["short_id"], "--json").document
    assert differ["from"] == {"run_id": done["run_id"], "line": 1, "step": 3}
    assert {(change["op"], change["path"][0], change["after"]) for change in differ["changes"]} == {
        ("set", "n", "70"),
        ("append", "tags", "[1,{}]"),
    }
    step = rondo("changes", f"{done['short_id']}@2", "--json").document
    assert [(change["path"], change["before"], change["after"]) for change in step["changes"]] == [(["n"], "1", "10")]
    assert rondo("changes", f"{done['short_id']}.1@1", "@1", "--json").document["changes"] == []
    assert "n'] = 10" in rondo("changes", f"{done['short_id']}@2").out
    assert rondo("changes", "what@ever").code == 2
    assert rondo("fork", done["run_id"], "--step", "1", "--set", "n=seven", "--json").code == 2
    assert rondo("fork", done["run_id"], "--step", "1", "--set", "a.b.c=1", "--json").code == 2


def test_a_run_is_run_again_with_other_inputs(real: Path, rondo: Rondo) -> None:
    done = run(rondo, "count", "-i", "n=4", "-i", "kept=yes")
    other = rondo("rerun", done["run_id"], "-i", "n=5", "--json").document
    assert other["state"] == {"n": 60, "kept": "yes", "done": True}
    assert other["inputs"] == {"n": 5, "kept": "yes"}
    detached = rondo("rerun", done["run_id"], "--detach", "--json")
    assert detached.code == 0 and detached.document["run_id"] not in (done["run_id"], other["run_id"])


def test_one_node_alone_and_a_run_up_to_a_node(real: Path, rondo: Rondo) -> None:
    alone = run(rondo, "count", "--node", "send", "--input-json", '{"n": 3}')
    assert (alone["status"], alone["step"], alone["state"]) == ("completed", 1, {"n": 30})
    done = run(rondo, "count")
    again = run(rondo, "count", "--node", "send", "--from", done["short_id"])
    assert (again["status"], again["state"]) == ("completed", {"n": 10})
    part = rondo("run", "count", "--until", "send", "--json")
    assert (part.code, part.document["status"], part.document["next_node"]) == (0, "paused", "last")
    assert rondo("resume", part.document["run_id"], "--json").document["state"] == {"n": 10, "done": True}
    for words in (["--node", "nobody"], ["--until", "nobody"]):
        refused = rondo("run", "count", *words, "--json")
        assert (refused.code, refused.document["error"]["type"]) == (2, "UnknownNode")
    assert rondo("run", "count", "--node", "send", "--until", "send").code == 2
    assert rondo("run", "count", "--from", done["run_id"]).code == 2


def test_waiting_runs_are_paused_gone_on_with_and_cancelled_one_by_one(real: Path, rondo: Rondo) -> None:
    asked = run(rondo, "ask")
    paused = rondo("pause", asked["run_id"], "--json")
    assert (paused.code, paused.document["status"]) == (0, "paused")
    waiting = rondo("resume", asked["run_id"], "--json")
    assert (waiting.code, waiting.document["status"]) == (3, "waiting_input")
    ended = rondo("cancel", asked["run_id"], "--json")
    assert (ended.code, ended.document["status"]) == (0, "cancelled")
    for command in ("cancel", "pause", "resume"):
        late = rondo(command, asked["run_id"], "--json")
        assert (late.code, late.document["error"]["type"]) == (2, "RunAtRest"), command
    again = rondo("retry", asked["run_id"], "--json")
    assert (again.code, again.document["status"]) == (3, "waiting_input")


def test_many_runs_are_acted_on_at_once_and_each_refusal_is_told(real: Path, rondo: Rondo) -> None:
    asked = [run(rondo, "ask")["run_id"] for _ in range(3)]
    done = run(rondo, "count")["run_id"]
    outcome = rondo("pause", asked[0], done, "nobody", "--json")
    assert outcome.code == 1
    assert [(entry["run_id"], entry["status"]) for entry in outcome.document["runs"]] == [
        (asked[0], "paused"),
        (done, None),
        ("nobody", None),
    ]
    assert outcome.document["failed"] == 2
    assert [entry["error"]["type"] for entry in outcome.document["runs"][1:]] == ["RunAtRest", "UnknownRun"]
    refused = rondo("cancel", "--all", "--json")
    assert (refused.code, "--yes" in refused.document["error"]["next_step"]) == (2, True)
    assert "3 runs" in refused.document["error"]["message"]
    outcome = rondo("cancel", "--workflow", "ask", "--status", "waiting_input", "--yes", "--json")
    assert (outcome.code, {entry["run_id"] for entry in outcome.document["runs"]}) == (0, set(asked[1:]))
    outcome = rondo("cancel", "--all", "--yes", "--json")
    assert [(entry["run_id"], entry["status"]) for entry in outcome.document["runs"]] == [(asked[0], "cancelled")]
    assert rondo("cancel", "--all", "--yes", "--json").document == {"runs": [], "failed": 0}
    outcome = rondo("retry", "--workflow", "ask", "--status", "cancelled", "--yes")
    assert outcome.code == 0 and outcome.out.count("\n") == 4
    assert rondo("cancel", "--json").code == 2
    assert rondo("cancel", asked[0], "--all", "--json").code == 2


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("total", ["total"]),
        ("user.tags[0].x", ["user", "tags", 0, "x"]),
        ('["a key"].x["b=c"]', ["a key", "x", "b=c"]),
        ("a-b[12]", ["a-b", 12]),
    ],
)
def test_places_in_a_state_are_written_as_people_do(text: str, path: list[Any]) -> None:
    assert parse_path(text) == path
    (edit,) = parse_edits([f'{text}={{"v": "a=b"}}'])
    assert (edit.path, edit.value) == (path, {"v": "a=b"})


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a[", "a[x]", 'a["b', "a.", "n=1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        if not parse_path(text):
            parse_edits([f"{text}=1"])


def test_a_workflow_is_copied_put_into_the_trash_and_taken_out_again(real: Path, rondo: Rondo) -> None:
    copied = rondo("duplicate", "count", "counting", "--json").document
    assert (copied["workflow"], copied["source"], copied["approved"]) == ("counting", "count", True)
    assert run(rondo, "counting")["state"] == {"n": 10, "done": True}
    refused = rondo("duplicate", "count", "counting", "--json")
    assert (refused.code, refused.document["error"]["type"]) == (2, "UsageError")
    assert "rondo trash counting" in refused.document["error"]["next_step"]
    assert rondo("trash", "--json").document == []
    gone = rondo("trash", "counting", "--json").document
    assert not (real / "workflows" / "counting").exists()
    assert rondo("trash", "--json").document == [gone]
    assert gone["version"] == copied["version"]
    table = rondo("trash").out
    assert "counting" in table
    assert gone["id"] in table
    assert rondo("graph", "counting", "--json").code == 2
    back = rondo("restore", "counting", "--json").document
    assert (back["workflow"], back["approved"]) == ("counting", True)
    assert run(rondo, "counting")["status"] == "completed"
    error = rondo("restore", "counting", "--json")
    assert (error.code, error.document["error"]["cause"]) == (2, "It is empty.")


def test_a_step_is_shown_with_what_its_conditions_saw(real: Path, rondo: Rondo) -> None:
    graph = real / "workflows" / "count" / "count.json"
    document = json.loads(graph.read_text())
    document["edges"][0]["condition"] = "shared['n'] > 0 and not shared.get('stop')"
    graph.write_text(json.dumps(document))
    done = run(rondo, "count")
    shown = rondo("show", done["run_id"], "--step", "1", "--json").document
    assert shown["conditions"] == [
        {
            "to": "send",
            "condition": "shared['n'] > 0 and not shared.get('stop')",
            "values": {"shared['n']": "1", "shared.get('stop')": None},
        }
    ]
    assert rondo("show", done["run_id"], "--step", "2", "--json").document["conditions"] == []
    people = rondo("show", done["run_id"], "--step", "1").out
    assert "what the conditions of one saw" in people
    assert "shared['n'] = 1" in people
    assert "shared.get('stop') was not there" in people


def test_the_words_for_people_name_the_way_back(real: Path, rondo: Rondo) -> None:
    assert "two is a copy of count" in rondo("duplicate", "count", "two").out
    said = rondo("trash", "two").out
    assert "two is in the trash" in said
    assert "rondo restore two" in said
    listed = rondo("trash", "--json").document
    assert "two is back" in rondo("restore", listed[0]["id"]).out
    assert "The trash is empty." in rondo("trash").err
    assert rondo("trash", "nope").code == 2
