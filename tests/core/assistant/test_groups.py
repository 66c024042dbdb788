"""A draft as groups: what is one decision, what needs what, and what a partial yes gives."""

from __future__ import annotations

import json
from itertools import chain, combinations
from typing import Any

import pytest

from core.assistant.draft import Draft
from core.assistant.groups import Changes, Group
from core.definition.load import load_sources
from core.errors import ProposalProblem

GRAPH = {
    "name": "mail",
    "start": "fetch",
    "nodes": [
        {"id": "fetch", "class": "Fetch"},
        {"id": "sort", "class": "Sort"},
        {"id": "send", "class": "Send", "on_error": "goto:sort"},
    ],
    "edges": [{"from": "fetch", "to": "sort"}, {"from": "sort", "to": "send"}],
}
CODE = """import json

from grapheteria import Node


def clean(text):
    return json.dumps(text)


class Fetch(Node):
    def execute(self, prepared):
        return clean(prepared)


class Sort(Node):
    pass


class Send(Node):
    pass
"""


def draft(graph: dict[str, Any] | None = None) -> Draft:
    text = json.dumps(graph or GRAPH, indent=2)
    return Draft.of("mail", {"mail.json": text.encode(), "nodes.py": CODE.encode()})


def graph(one: Draft, *ops: dict[str, Any]) -> None:
    reply = one.apply_graph(one.rev, list(ops))
    assert reply.ok, reply.to_json()


def code(one: Draft, name: str, mode: str, text: str = "") -> None:
    reply = one.apply_source(one.rev, name, mode, text)  # type: ignore[arg-type]
    assert reply.ok, reply.to_json()


def changes(one: Draft) -> Changes:
    found = Changes(one.name, one.base, one.files)
    ids = [group.id for group in found.groups]
    assert found.files() == one.files
    every = chain.from_iterable(combinations(ids, count) for count in range(1, len(ids) + 1))
    for chosen in every:
        assert load_sources("mail", found.files(chosen)).errors == [], chosen
    return found


def by_id(found: Changes) -> dict[str, Group]:
    return {group.id: group for group in found.groups}


def test_a_node_between_two_others_is_one_group_with_its_edges_and_its_class() -> None:
    one = draft()
    graph(
        one,
        {"op": "add_node", "id": "weekday_gate", "set": {"class": "WeekdayGate"}},
        {"op": "disconnect", "from": "fetch", "to": "sort"},
        {"op": "connect", "from": "fetch", "to": "weekday_gate"},
        {"op": "connect", "from": "weekday_gate", "to": "sort", "condition": "True"},
    )
    code(one, "WeekdayGate", "add", "import calendar\n\nclass WeekdayGate(Node):\n    days = calendar.day_name\n")
    (group,) = changes(one).groups
    assert group.id == "node:weekday_gate"
    assert group.title == "+ weekday_gate  WeekdayGate  between fetch and sort"
    assert [(line.what, line.sign, line.target) for line in group.graph] == [
        ("edge", "-", "fetch sort 1"),
        ("node", "+", "weekday_gate"),
        ("edge", "+", "fetch weekday_gate 1"),
        ("edge", "+", "weekday_gate sort 1"),
    ]
    assert group.graph[3].text == "weekday_gate → sort  when True"
    assert [(line.name, line.sign) for line in group.code] == [("", "+"), ("WeekdayGate", "+")]
    assert "+import calendar" in group.code[0].diff
    assert "+class WeekdayGate(Node):" in group.code[1].diff


def test_rejecting_a_node_rejects_its_edges_and_an_edge_between_two_new_nodes_needs_both() -> None:
    one = draft()
    graph(
        one,
        {"op": "add_node", "id": "a", "set": {"class": "New"}},
        {"op": "add_node", "id": "b", "set": {"class": "New"}},
        {"op": "connect", "from": "send", "to": "a"},
        {"op": "connect", "from": "a", "to": "b"},
        {"op": "connect", "from": "b", "to": "fetch", "condition": "shared['again']"},
    )
    code(one, "New", "add", "class New(Node):\n    pass\n")
    found = changes(one)
    alone = json.loads(found.files(["node:a"])["mail.json"])
    assert {"from": "send", "to": "a"} in alone["edges"]
    assert all("b" not in edge.values() for edge in alone["edges"])
    # The class that both have comes with either.
    for chosen in ("node:a", "node:b"):
        assert b"class New" in found.files([chosen])["nodes.py"]
    assert found.files([]) == one.base


def test_a_removed_node_needs_that_nothing_leads_to_it_any_more() -> None:
    one = draft()
    graph(
        one,
        {"op": "remove_node", "id": "sort"},
        {"op": "update_node", "id": "send", "set": {"on_error": "goto:spare"}},
        {"op": "add_node", "id": "spare", "set": {"class": "Sort"}},
        {"op": "connect", "from": "fetch", "to": "send"},
    )
    found = changes(one)
    groups = by_id(found)
    assert groups["node:sort"].title == "- sort  Sort  between fetch and send"
    assert groups["node:sort"].needs == ("node:send",)
    assert groups["node:send"].needs == ("node:spare",)
    assert found.closed(["node:sort"]) == {"node:sort", "node:send", "node:spare"}
    assert found.without(["node:spare"]) == set()
    kept = json.loads(found.files(["node:spare"])["mail.json"])
    assert {"from": "fetch", "to": "sort"} in kept["edges"]
    assert {"from": "fetch", "to": "send"} not in kept["edges"]


def test_another_start_needs_the_node_it_names() -> None:
    one = draft()
    graph(
        one,
        {"op": "add_node", "id": "ask", "set": {"class": "Fetch"}},
        {"op": "remove_node", "id": "fetch"},
        {"op": "set_settings", "set": {"start": "ask"}},
        {"op": "connect", "from": "ask", "to": "sort"},
    )
    found = Changes(one.name, one.base, one.files)
    assert by_id(found)["node:ask"].title == "~ fetch  renamed to ask"
    assert [group.id for group in found.groups] == ["node:ask"]
    graph(one, {"op": "update_node", "id": "ask", "set": {"timeout": 1}})
    found = changes(one)
    assert by_id(found)["node:fetch"].needs == ("node:ask",)


def test_a_renamed_node_is_one_group() -> None:
    one = draft()
    graph(one, {"op": "rename_node", "id": "sort", "to": "order"})
    found = changes(one)
    assert [group.id for group in found.groups] == ["node:order", "node:send"]
    assert set(by_id(found)["node:order"].needs) == {"node:send"}
    assert set(by_id(found)["node:send"].needs) == {"node:order"}


def test_changed_code_belongs_to_its_only_node_when_that_changes_too() -> None:
    one = draft()
    graph(one, {"op": "update_node", "id": "sort", "set": {"retry": {"attempts": 3}}})
    code(one, "Sort", "replace", "class Sort(Node):\n    wait = 1\n")
    code(one, "Send", "replace", "class Send(Node):\n    wait = 1\n")
    found = changes(one)
    groups = by_id(found)
    assert list(groups) == ["node:sort", "code:Send"]
    assert groups["node:sort"].title == '~ sort  Sort  retry added: {"attempts": 3}, code changed'
    assert groups["code:Send"].title == "~ Send  code of send"
    assert "-    pass\n+    wait = 1" in groups["code:Send"].code[0].diff


def test_code_that_uses_changed_code_needs_it() -> None:
    one = draft()
    code(one, "clean", "replace", "def clean(text, strict):\n    return json.dumps(text)\n")
    code(one, "Fetch", "replace", "class Fetch(Node):\n    def execute(self, prepared):\n        return clean(1, 2)\n")
    code(one, "RATE", "add", "RATE = 2\n")
    code(one, "Sort", "replace", "class Sort(Node):\n    rate = RATE\n")
    found = changes(one)
    groups = by_id(found)
    assert groups["code:Fetch"].needs == ("code:clean",)
    # A constant that only new code uses comes with it.
    assert {line.name for line in groups["code:Sort"].code} == {"RATE", "Sort"}
    assert b"RATE" not in found.files(["code:clean"])["nodes.py"]


def test_settings_edges_and_files_are_groups_of_their_own() -> None:
    one = draft()
    graph(
        one,
        {"op": "set_settings", "set": {"description": "Mail.", "permissions": {"network": ["a.example"]}}},
        {"op": "connect", "from": "sort", "to": "fetch", "condition": "shared['more']"},
    )
    assert one.apply_files(one.rev, {"tools.json": '["mail"]\n', "requirements.txt": "httpx\n"}).ok
    found = changes(one)
    titles = [group.title for group in found.groups]
    assert titles == [
        "+ sort → fetch  when shared['more']",
        "+ description added: Mail.",
        '+ permissions added: {"network": ["a.example"]}',
        "+ requirements.txt",
        "+ tools.json",
    ]


def test_an_import_of_a_new_file_needs_the_file() -> None:
    one = draft()
    graph(one, {"op": "add_node", "id": "a", "set": {"class": "A"}})
    assert one.apply_files(one.rev, {"helpers.py": "def helped():\n    return 1\n"}).ok
    code(one, "A", "add", "from helpers import helped\n\nclass A(Node):\n    x = helped()\n")
    found = changes(one)
    assert by_id(found)["node:a"].needs == ("file:helpers.py",)


def test_in_a_dag_no_choice_makes_a_cycle() -> None:
    plain = {**GRAPH, "mode": "dag", "nodes": [{k: v for k, v in n.items() if k != "on_error"} for n in GRAPH["nodes"]]}
    del plain["start"]
    one = draft(plain)
    graph(
        one,
        {"op": "disconnect", "from": "fetch", "to": "sort"},
        {"op": "connect", "from": "sort", "to": "fetch"},
        {"op": "disconnect", "from": "sort", "to": "send"},
        {"op": "connect", "from": "fetch", "to": "send"},
    )
    found = changes(one)
    assert set(by_id(found)["edges:sort>fetch"].needs) == {"edges:fetch>sort", "edges:sort>send"}


def test_another_mode_comes_with_what_it_asks_of_the_graph() -> None:
    one = draft()
    graph(
        one,
        {"op": "set_settings", "set": {"mode": "dag", "start": None}},
        {"op": "update_node", "id": "send", "set": {"on_error": "skip"}},
    )
    found = changes(one)
    assert by_id(found)["setting:mode"].needs == ("node:send",)


def test_a_new_workflow_is_accepted_from_its_first_node_on() -> None:
    one = Draft.of("mail")
    graph(
        one,
        {"op": "set_settings", "set": {"description": "New."}},
        {"op": "add_node", "id": "a", "set": {"class": "A"}},
        {"op": "add_node", "id": "b", "set": {"class": "B"}},
        {"op": "connect", "from": "a", "to": "b"},
        {"op": "set_settings", "set": {"start": "b"}},
    )
    for name in "AB":
        code(one, name, "add", f"from grapheteria import Node\n\nclass {name}(Node):\n    pass\n")
    found = changes(one)
    assert all("node:b" in found.closed([group.id]) for group in found.groups)
    files = found.files(["node:b"])
    assert json.loads(files["mail.json"]) == {"start": "b", "nodes": [{"id": "b", "class": "B"}], "edges": []}
    assert files["nodes.py"].decode() == "from grapheteria import Node\n\n\nclass B(Node):\n    pass\n"


def test_an_unknown_group_and_a_graph_that_can_not_be_cut_are_handled() -> None:
    one = draft()
    graph(one, {"op": "update_node", "id": "sort", "set": {"timeout": 1}})
    with pytest.raises(ProposalProblem) as problem:
        changes(one).files(["node:nowhere"])
    assert problem.value.next_step
    broken = Changes("mail", {"mail.json": b"{", "nodes.py": b"def"}, one.files)
    assert [group.id for group in broken.groups] == ["file:mail.json", "file:nodes.py"]
    assert broken.files(["file:mail.json", "file:nodes.py"]) == one.files
