"""Taking back, doing again, and carrying over: exact, or around what others did, or not at all."""

from __future__ import annotations

import json

import pytest

from core.assistant.draft import Draft
from core.assistant.undo import rebase_draft, redo, undo
from core.definition.load import load_sources
from core.errors import ProposalStale, UndoConflict

GRAPH = """{
  "name": "mail",
  "nodes": [
    {"id": "fetch", "class": "Fetch"},
    {"id": "send", "class": "Send"}
  ],
  "edges": [
    {"from": "fetch", "to": "send"}
  ]
}
"""
CODE = "from grapheteria import Node\n\n\nclass Fetch(Node):\n    pass\n\n\nclass Send(Node):\n    pass\n"
BASE = {"mail.json": GRAPH.encode(), "nodes.py": CODE.encode()}


def gated() -> Draft:
    """A node between the two, with a class and a setting."""
    one = Draft.of("mail", BASE)
    ops = [
        {"op": "add_node", "id": "gate", "set": {"class": "Gate"}, "after": "fetch"},
        {"op": "disconnect", "from": "fetch", "to": "send"},
        {"op": "connect", "from": "fetch", "to": "gate"},
        {"op": "connect", "from": "gate", "to": "send"},
        {"op": "update_node", "id": "send", "set": {"timeout": 3}},
    ]
    assert one.apply_graph(0, ops).ok
    assert one.apply_source(1, "Gate", "add", "import math\n\nclass Gate(Node):\n    x = math.pi\n").ok
    assert one.loaded().errors == []
    return one


def changed(files: dict[str, bytes], path: str, old: str, new: str) -> dict[str, bytes]:
    assert old in files[path].decode()
    return {**files, path: files[path].decode().replace(old, new).encode()}


def test_undo_and_redo_are_exact_where_nothing_changed_since() -> None:
    one = gated()
    back = undo("mail", BASE, one.files, one.files)
    assert (back.files, back.kept_later_changes) == (BASE, False)
    assert (back.written, back.removed) == (("mail.json", "nodes.py"), ())
    again = redo("mail", BASE, one.files, BASE)
    assert again.files == one.files


def test_undo_of_a_new_workflow_takes_the_files_away() -> None:
    one = gated()
    back = undo("mail", {}, one.files, one.files)
    assert (back.files, back.removed) == ({}, ("mail.json", "nodes.py"))
    assert redo("mail", {}, one.files, {}).files == one.files


def test_what_was_changed_by_hand_elsewhere_stays() -> None:
    one = gated()
    present = changed(one.files, "nodes.py", "class Send(Node):\n    pass", "class Send(Node):\n    x = 1  # by hand")
    present = changed(present, "mail.json", '"name": "mail",', '"name": "mail",\n  "description": "By hand.",')
    present = changed(present, "mail.json", '"class": "Fetch"', '"class": "Fetch", "retry": {"attempts": 2}')
    present["tools.json"] = b"[]"
    back = undo("mail", BASE, one.files, present)
    assert back.kept_later_changes
    expected = changed(BASE, "nodes.py", "class Send(Node):\n    pass", "class Send(Node):\n    x = 1  # by hand")
    expected = changed(expected, "mail.json", '"name": "mail",', '"name": "mail",\n  "description": "By hand.",')
    expected = changed(expected, "mail.json", '"class": "Fetch"', '"class": "Fetch", "retry": {"attempts": 2}')
    assert back.files == {**expected, "tools.json": b"[]"}
    assert redo("mail", BASE, one.files, back.files).files == present


def test_where_both_touched_a_part_both_are_shown_and_nothing_is_done() -> None:
    one = gated()
    present = changed(one.files, "nodes.py", "x = math.pi", "x = math.tau")
    present = changed(present, "mail.json", '"timeout": 3', '"timeout": 9')
    with pytest.raises(UndoConflict) as problem:
        undo("mail", BASE, one.files, present)
    shown = {entry["unit"]: entry for entry in problem.value.details}
    assert set(shown) == {"node send", "Gate in nodes.py"}
    assert shown["node send"]["edit"].endswith('"class": "Send"} → {"id": "send", "class": "Send", "timeout": 3}')
    assert '"timeout": 3} → {"id": "send", "class": "Send", "timeout": 9}' in shown["node send"]["later"]
    assert "+    x = math.pi" in shown["Gate in nodes.py"]["edit"]
    assert "+    x = math.tau" in shown["Gate in nodes.py"]["later"]
    assert problem.value.next_step


def test_an_undo_that_would_leave_a_later_edge_without_its_node_is_refused() -> None:
    one = gated()
    present = changed(
        one.files,
        "mail.json",
        '{"from": "gate", "to": "send"}',
        '{"from": "gate", "to": "send"},\n    {"from": "send", "to": "gate"}',
    )
    with pytest.raises(UndoConflict) as problem:
        undo("mail", BASE, one.files, present)
    (shown,) = problem.value.details
    assert "'gate', which is not a node" in shown["unit"]
    assert "edge send → gate" in shown["later"]
    assert "node gate" in shown["edit"]


def test_what_someone_did_the_same_way_is_no_conflict() -> None:
    one = gated()
    present = changed(one.files, "mail.json", ', "timeout": 3', "")
    assert undo("mail", BASE, one.files, present).files == BASE


def test_a_file_that_can_not_be_read_by_now_is_a_unit_of_its_own() -> None:
    one = gated()
    present = {**one.files, "mail.json": b"{ broken"}
    with pytest.raises(UndoConflict) as problem:
        undo("mail", BASE, one.files, present)
    assert problem.value.details[0]["unit"] == "file mail.json"


def test_comments_between_classes_are_their_own_however_many_classes_go() -> None:
    code = (
        CODE.replace("class Send", "# --- a line ---\n\nclass Send")
        + "\n\n# --- another ---\n\nclass Last(Node):\n    pass\n"
    )
    one = Draft.of("mail", {**BASE, "nodes.py": code.encode()})
    assert one.apply_source(0, "Last", "delete").ok
    present = changed(one.files, "nodes.py", "# --- a line ---", "# --- a line by hand ---")
    back = undo("mail", one.base, one.files, present)
    expected = changed(one.base, "nodes.py", "# --- a line ---", "# --- a line by hand ---")["nodes.py"]
    assert back.files["nodes.py"].split() == expected.split()


def test_a_format_by_hand_is_kept() -> None:
    one = gated()
    compact = json.dumps(json.loads(one.files["mail.json"]), separators=(",", ":")).encode()
    back = undo("mail", BASE, one.files, {**one.files, "mail.json": compact})
    assert back.files["mail.json"] == json.dumps(json.loads(GRAPH), separators=(",", ":")).encode()


def test_a_proposal_goes_over_to_a_workflow_that_changed_elsewhere() -> None:
    one = gated()
    present = changed(BASE, "nodes.py", "class Fetch(Node):\n    pass", "class Fetch(Node):\n    x = 1")
    again = rebase_draft(one, present)
    assert again.base == present
    assert again.files == changed(
        one.files, "nodes.py", "class Fetch(Node):\n    pass", "class Fetch(Node):\n    x = 1"
    )
    assert again.rev > one.rev
    assert load_sources("mail", again.files).errors == []
    assert Draft.from_json(again.to_json()) == again
    again.back_to(0)
    assert again.files == present
    assert rebase_draft(one, BASE) is one


def test_a_proposal_is_stale_where_the_workflow_changed_the_same_part() -> None:
    one = gated()
    with pytest.raises(ProposalStale) as problem:
        rebase_draft(one, changed(BASE, "mail.json", '"class": "Send"', '"class": "Fetch"'))
    (shown,) = problem.value.details
    assert shown["unit"] == "node send"
    assert shown["edit"].endswith('"timeout": 3}')
    assert shown["later"].endswith('"class": "Fetch"}')
    with pytest.raises(ProposalStale):
        rebase_draft(one, changed(BASE, "mail.json", "fetch", "read"))
