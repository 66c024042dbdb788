"""What lint says of nodes that run other workflows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.definition.load import load_folder
from core.flow.graph import Graph


def write(root: Path, name: str, *nodes: dict[str, Any]) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "nodes.py").write_text("from core.sdk import Node\n\nclass First(Node):\n    pass\n")
    (folder / f"{name}.json").write_text(json.dumps({"nodes": list(nodes)}))
    return folder


@pytest.mark.parametrize(
    ("node", "code", "said"),
    [
        ({"subflow": "other", "class": "First"}, "E120", "can't have class"),
        ({"subflow": "other", "config": {}}, "E120", "can't have config"),
        ({"subflow": "other", "inputs": {"a": "1 +"}}, "E108", "inputs['a']"),
        ({"subflow": "other", "output": {"a": ""}}, "E108", "the expression is empty"),
        ({"subflow": "othr"}, "W211", "no workflow 'othr'"),
        ({"subflow": "../other"}, "W211", "no workflow"),
        ({"class": "First", "output": "a"}, "W203", "beside subflow only"),
        ({"subflow": "same"}, "N304", "its own workflow"),
        ({"subflow": "back"}, "N304", "in turn"),
        ({}, "E102", "lacks the key 'class'"),
    ],
)
def test_a_node_that_can_not_run_another_workflow_is_found(
    tmp_path: Path, node: dict[str, Any], code: str, said: str
) -> None:
    write(tmp_path, "other", {"id": "a", "class": "First"})
    write(tmp_path, "back", {"id": "a", "subflow": "same"})
    folder = write(tmp_path, "same", {"id": "a", **node})
    found = load_folder(folder).findings
    assert [finding.code for finding in found] == [code]
    assert said in found[0].message and found[0].line == 1


def test_a_graph_keeps_its_subflows_on_the_way_through_the_store(tmp_path: Path) -> None:
    write(tmp_path, "other", {"id": "a", "class": "First"})
    node = {"id": "a", "subflow": "other", "inputs": {"n": 1}, "output": "all"}
    loaded = load_folder(write(tmp_path, "same", node))
    assert loaded.findings == [] and loaded.graph is not None
    assert loaded.graph.to_dict()["nodes"] == [node]
    assert Graph.from_dict(loaded.graph.to_dict()) == loaded.graph
    assert loaded.graph.nodes["a"].subflow == "other"
