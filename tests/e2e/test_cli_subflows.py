"""Nested runs by the command line, with real engines."""

from __future__ import annotations

import json

from cli_world import World

ASK = """
from grapheteria import Node

class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["said"] = await request_input("Which?", request_id="which")
"""


def test_a_nested_run_is_seen_from_above_and_below_and_answered(own: World) -> None:
    world = own
    world.workflow("inner", ASK, "ask")
    folder = world.workflow("outer", "", "call")
    graph = {"name": "outer", "nodes": [{"id": "call", "subflow": "inner", "output": {"heard": "shared['said']"}}]}
    (folder / "outer.json").write_text(json.dumps(graph))
    started = world.rondo("run", "outer", "--json")
    assert started.code == 3, started
    view = started.document
    assert view["status"] == "waiting_run" and view["nested_input"]["request_id"] == "which"
    [child] = view["children"]
    assert (
        view["nested_input"]["run_id"] == child["run_id"] and f"answer {child['short_id']} which" in view["next_step"]
    )
    above = world.rondo("show", view["short_id"])
    assert "inner" in above.out and child["short_id"] in above.out and "Which?" in above.err
    below = world.rondo("show", child["short_id"])
    assert f"run {view['short_id']} of outer, node call" in below.out
    assert {row["run_id"]: row["parent_run"] for row in world.json("runs")} == {
        view["run_id"]: None,
        child["run_id"]: view["run_id"],
    }
    assert [row["run_id"] for row in world.json("runs", "--top")] == [view["run_id"]]
    refused = world.rondo("answer", view["short_id"], "which", "this")
    assert refused.code == 2 and f"rondo show {child['short_id']}" in refused.err
    assert world.rondo("answer", child["short_id"], "which", "this").code == 0
    done = world.rondo("logs", view["short_id"], "-f")
    assert done.code == 0
    assert world.json("show", view["short_id"])["state"] == {"heard": "this"}
