"""Operations on a graph: what they write, what they leave alone, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.assistant.draft import Draft
from core.assistant.operations import OPERATIONS_SCHEMA
from core.assistant.source import SOURCE_SCHEMA

GRAPH = """{
  "name": "mail",
  "start": "fetch",
  "x-team": "ops",
  "nodes": [
    {"id": "fetch", "class": "Fetch", "config": {"limit": 1.50, "ids": [1,2]}, "on_error": "goto:last"},
    {"id": "sort",  "class": "Sort"},
    {"id": "last", "class": "Last"}
  ],
  "edges": [
    {"from": "fetch", "to": "sort", "condition": "shared['n'] > 0", "x-color": "red"},
    {"from": "sort", "to": "last"}
  ]
}
"""


def draft(text: str = GRAPH) -> Draft:
    return Draft.of("mail", {"mail.json": text.encode()})


def applied(*ops: dict[str, Any], text: str = GRAPH) -> str:
    one = draft(text)
    reply = one.apply_graph(0, list(ops))
    assert reply.ok, reply.to_json()
    result = one.files["mail.json"].decode()
    one.back_to(0)
    assert one.files["mail.json"].decode() == text
    return result


def refused(*ops: Any, text: str = GRAPH) -> list[dict[str, str]]:
    one = draft(text)
    reply = one.apply_graph(0, list(ops))
    assert not reply.ok
    assert one.files == one.base
    return reply.to_json()["errors"]


def test_a_new_node_stands_behind_the_one_it_follows_and_nothing_else_moves() -> None:
    result = applied(
        {"op": "add_node", "id": "gate", "set": {"class": "Gate", "timeout": 3}, "after": "fetch"},
        {"op": "connect", "from": "gate", "to": "sort", "condition": "shared['é']"},
    )
    assert result == GRAPH.replace(
        '    {"id": "sort"', '    {"id": "gate", "class": "Gate", "timeout": 3},\n    {"id": "sort"'
    ).replace('"to": "last"}\n', '"to": "last"},\n    {"from": "gate", "to": "sort", "condition": "shared[\'é\']"}\n')


def test_a_patch_changes_only_what_it_names() -> None:
    result = applied({"op": "update_node", "id": "fetch", "set": {"config": {"limit": 2}, "timeout": 60}})
    assert result == GRAPH.replace("1.50", "2").replace('"goto:last"}', '"goto:last", "timeout": 60}')


def test_null_takes_a_key_away() -> None:
    result = applied({"op": "update_node", "id": "fetch", "set": {"config": {"ids": None}, "on_error": None}})
    assert result == GRAPH.replace(', "ids": [1,2]', "").replace(', "on_error": "goto:last"', "")


def test_a_value_that_is_the_same_keeps_how_it_is_written() -> None:
    assert applied({"op": "update_node", "id": "fetch", "set": {"config": {"limit": 1.5, "ids": [1, 2]}}}) == GRAPH


def test_a_renamed_node_takes_its_edges_start_and_goto_along() -> None:
    result = applied(
        {"op": "rename_node", "id": "fetch", "to": "read"}, {"op": "rename_node", "id": "last", "to": "end"}
    )
    assert result == GRAPH.replace('"fetch"', '"read"').replace('"last"', '"end"').replace("goto:last", "goto:end")


def test_removing_a_node_takes_its_edges_and_refuses_to_leave_a_start_or_goto_without_one() -> None:
    result = applied({"op": "remove_node", "id": "sort"})
    assert json.loads(result)["edges"] == []
    assert [error["code"] for error in refused({"op": "remove_node", "id": "fetch"})] == ["E107"]
    assert [error["code"] for error in refused({"op": "remove_node", "id": "last"})] == ["E105"]
    assert applied(
        {"op": "remove_node", "id": "last"}, {"op": "update_node", "id": "fetch", "set": {"on_error": "skip"}}
    )


def test_an_edge_gets_another_condition_in_its_place() -> None:
    result = applied({"op": "connect", "from": "fetch", "to": "sort", "was": "shared['n'] > 0", "condition": "True"})
    assert result == GRAPH.replace("shared['n'] > 0", "True")
    result = applied({"op": "connect", "from": "fetch", "to": "sort", "was": "shared['n'] > 0"})
    assert result == GRAPH.replace(', "condition": "shared[\'n\'] > 0"', "")


def test_of_several_edges_one_must_be_named() -> None:
    ops = [{"op": "connect", "from": "fetch", "to": "sort"}, {"op": "disconnect", "from": "fetch", "to": "sort"}]
    assert "Name the condition" in refused(*ops)[0]["hint"]
    assert applied(ops[0], ops[1] | {"condition": ""}) == GRAPH


def test_settings_stand_before_the_lists() -> None:
    result = applied(
        {"op": "set_settings", "set": {"description": "Reads mail.", "start": None}},
        {"op": "set_io", "set": {"initial_state": {"n": None}}},
    )
    assert result == GRAPH.replace('  "start": "fetch",\n', "").replace(
        '  "nodes"', '  "description": "Reads mail.",\n  "initial_state": {"n": null},\n  "nodes"'
    )


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(GRAPH)),
        json.dumps(json.loads(GRAPH), indent=4),
        json.dumps(json.loads(GRAPH), indent="\t").replace("\n", "\r\n"),
        json.dumps(json.loads(GRAPH), separators=(",", ":")),
        "\ufeff" + GRAPH,
    ],
)
def test_a_document_keeps_its_style(text: str) -> None:
    plain = json.loads(text.removeprefix("\ufeff"))
    plain["nodes"].append({"id": "new", "class": "New", "config": {"a": [1]}})
    result = applied({"op": "add_node", "id": "new", "set": {"class": "New", "config": {"a": [1]}}}, text=text)
    for style in ({}, {"indent": 4}, {"indent": "\t"}, {"separators": (",", ":")}):
        if text.replace("\r\n", "\n") == json.dumps(json.loads(GRAPH), **style):
            assert result.replace("\r\n", "\n") == json.dumps(plain, **style)
    assert json.loads(result.removeprefix("\ufeff")) == plain
    assert result.startswith("\ufeff") == text.startswith("\ufeff")
    assert result.count("\r\n") == (result.count("\n") if "\r\n" in text else 0)


def test_a_workflow_begins_from_nothing() -> None:
    one = Draft.of("mail")
    reply = one.apply_graph(
        0,
        [
            {"op": "set_settings", "set": {"description": "New."}},
            {"op": "add_node", "id": "a", "set": {"class": "A"}},
            {"op": "add_node", "id": "b", "set": {"subflow": "other"}},
            {"op": "connect", "from": "a", "to": "b"},
        ],
    )
    assert reply.ok
    assert one.files["mail.json"].decode() == (
        '{\n  "description": "New.",\n  "nodes": [\n    {"id": "a", "class": "A"},\n'
        '    {"id": "b", "subflow": "other"}\n  ],\n  "edges": [\n    {"from": "a", "to": "b"}\n  ]\n}\n'
    )
    one.back_to(0)
    assert one.files == {}


@pytest.mark.parametrize(
    ("op", "code", "said"),
    [
        ({"op": "add_node", "id": "sort", "set": {"class": "A"}}, "E106", "already"),
        ({"op": "add_node", "id": "a", "set": {"config": {}}}, "E102", "no class"),
        ({"op": "add_node", "id": "a", "set": {"clas": "A"}}, "W203", "Did you mean 'class'?"),
        ({"op": "add_node", "id": "a\nb", "set": {"class": "A"}}, "E102", "control character"),
        ({"op": "update_node", "id": "sotr", "set": {"timeout": 1}}, "E105", "Did you mean 'sort'?"),
        ({"op": "update_node", "id": "sort", "set": {"id": "b"}}, "W203", "rename_node"),
        ({"op": "update_node", "id": "sort", "set": {"timeout": "soon"}}, "E102", "must be a number"),
        ({"op": "update_node", "id": "sort", "set": {"config": {"n": float("nan")}}}, "value", "JSON"),
        ({"op": "update_node", "id": "sort", "set": {"config": {"n": 2**70}}}, "value", "64 bits"),
        ({"op": "update_node", "id": "sort", "set": {"config": {"n": "\ud800"}}}, "value", "surrogate"),
        ({"op": "update_node", "id": "sort", "set": {}}, "ops", "needs set"),
        ({"op": "connect", "from": "sort", "to": "nowhere"}, "E105", "no node"),
        ({"op": "connect", "from": "sort", "to": "last"}, "edge", "there already"),
        ({"op": "connect", "from": "sort", "to": "last", "was": "n"}, "E105", "no such edge"),
        ({"op": "disconnect", "from": "last", "to": "sort"}, "E105", "no such edge"),
        ({"op": "rename_node", "id": "sort", "to": "last"}, "E106", "already"),
        ({"op": "set_settings", "set": {"nodes": []}}, "W203", "can't be set"),
        ({"op": "set_settings", "set": {"start": "nowhere"}}, "E107", "not a node"),
        ({"op": "set_settings", "set": {"mode": "loop"}}, "E102", "must be"),
        ({"op": "delete_everything"}, "ops", "no operation"),
        ({"op": ["add_node"]}, "ops", "no operation"),
        ({"op": "remove_node", "id": "sort", "force": True}, "ops", "no field"),
        ("add_node", "ops", "object"),
    ],
)
def test_what_can_not_be_done_is_said_and_nothing_is_done(op: Any, code: str, said: str) -> None:
    errors = refused({"op": "add_node", "id": "first", "set": {"class": "A"}}, op)
    assert errors[0]["code"] == code
    assert said in f"{errors[0]['msg']} {errors[0].get('hint', '')}"


@pytest.mark.parametrize("ops", [None, 3, "add_node", {}, [], {"op": "add_node"}])
def test_what_is_no_list_of_operations_is_refused(ops: Any) -> None:
    one = draft()
    assert one.apply_graph(0, ops).errors[0].code == "ops"
    assert one.apply_graph("0", []).errors[0].code == "stale"  # type: ignore[arg-type]


def test_deep_and_endless_values_are_refused() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert refused({"op": "set_io", "set": {"initial_state": {"a": deep}}})
    assert refused(*[{"op": "remove_node", "id": "sort"}] * 301)[0]["code"] == "limit"
    large = {"op": "set_settings", "set": {"description": "x" * 2_000_000}}
    assert refused(large)[0]["code"] in ("limit", "value")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "E101"),
        ("[]", "E102"),
        ('{"nodes": 3}', "E102"),
        ('{"nodes": [1]}', "E102"),
        ('{"nodes": [], "nodes": []}', "E101"),
        ("[" * 5_000, "E101"),
        ('{"nodes": [{"id": "sort", "class": "A"}, {"id": "sort", "class": "B"}]}', "E106"),
    ],
)
def test_a_graph_that_can_not_be_read_is_named_and_kept(text: str, code: str) -> None:
    assert refused({"op": "update_node", "id": "sort", "set": {"timeout": 1}}, text=text)[0]["code"] == code


def test_what_was_wrong_before_does_not_keep_an_edit_out() -> None:
    text = GRAPH.replace('"to": "last"}', '"to": "lost"}').replace('"class": "Sort"', '"class": 3')
    assert applied({"op": "update_node", "id": "last", "set": {"timeout": 1}}, text=text)


def test_ids_that_are_numbers_are_found() -> None:
    text = '{"nodes": [{"id": 1, "class": "A"}, {"id": 2, "class": "B"}], "edges": [{"from": 1, "to": 2}]}'
    result = applied({"op": "rename_node", "id": "2", "to": "two"}, text=text)
    assert result == text.replace('"id": 2', '"id": "two"').replace('"to": 2', '"to": "two"')


def test_a_stale_batch_hears_what_was_done_since() -> None:
    one = draft()
    done = {"op": "update_node", "id": "sort", "set": {"timeout": 1}}
    assert one.apply_graph(0, [done], "slow").ok
    reply = one.apply_graph(0, [done]).to_json()
    assert (reply["ok"], reply["rev"], reply["errors"][0]["code"]) == (False, 1, "stale")
    assert reply["since"] == [{"rev": 1, "what": "graph", "done": [done], "why": "slow"}]
    assert one.apply_graph(1, [done]).to_json() == {"ok": True, "rev": 1, "errors": []}


def test_the_schemas_of_the_tools_stay_small() -> None:
    """Every tool and parameter costs in every call: grow these numbers only for something that is worth it."""
    sizes = {name: len(json.dumps(schema)) for name, schema in (("ops", OPERATIONS_SCHEMA), ("source", SOURCE_SCHEMA))}
    assert sizes == {"ops": 922, "source": 434}
