"""The operations on a graph, applied to its JSON so that what they do not touch keeps its bytes.

| op | fields |
|---|---|
| add_node | id, set (class or subflow, config, ...), after: the node it follows in the file |
| remove_node | id; its edges go with it |
| update_node | id, set: a merge patch, null takes a key away |
| rename_node | id, to: the new id; edges, start and on_error follow |
| connect | from, to, condition; with `was`, the present condition of an edge that is there, that edge is changed |
| disconnect | from, to, condition where several edges join the two |
| set_io | set: inputs (a JSON Schema), initial_state; null takes one away |
| set_settings | set: name, description, mode, start, ...; null takes one away |

A batch leaves no reference without its node: such a batch is refused as a whole. What it takes back is exact bytes, see
`core.assistant.splice`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.assistant.graph_text import (
    GraphText,
    condition,
    ends,
    goto_target,
    graph_file,
    id_text,
    node_id,
    read_graph,
)
from core.assistant.problem import EditProblem, EditRefused
from core.definition.text import did_you_mean, shortened

BATCH_LIMIT = 300
"""Most operations of one batch."""

NODE_KEYS = ("class", "subflow", "inputs", "output", "config", "retry", "timeout", "on_error", "effects", "priority")
IO_KEYS = ("inputs", "initial_state")
SETTING_KEYS = (
    "name",
    "description",
    "mode",
    "start",
    "files",
    "permissions",
    "strategy",
    "max_parallel",
    "fail_fast",
    "reducers",
    "assumptions",
)

OPERATIONS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "op": {
                "enum": [
                    "add_node",
                    "remove_node",
                    "update_node",
                    "rename_node",
                    "connect",
                    "disconnect",
                    "set_io",
                    "set_settings",
                ]
            },
            "id": {"type": "string", "description": "node (the *_node ops)"},
            "set": {
                "type": "object",
                "description": "add_node: class, config, retry, timeout, on_error...; update_node: merge patch;"
                " set_io: inputs, initial_state; set_settings: start, description, mode, permissions...; null removes",
            },
            "after": {"type": "string", "description": "add_node: the node it follows in the file"},
            "from": {"type": "string"},
            "to": {"type": "string", "description": "target; rename_node: the new id"},
            "condition": {"type": "string", "description": "Python over shared; none: default edge"},
            "was": {"type": "string", "description": "connect: present condition of the edge to change"},
        },
        "required": ["op"],
        "additionalProperties": False,
    },
}
"""JSON Schema of the list of operations, for a model's tool."""


def apply_operations(name: str, files: Mapping[str, bytes], ops: Sequence[Any]) -> dict[str, bytes]:
    """The files after all operations; raises EditRefused with every problem that was found."""
    if not isinstance(ops, list | tuple) or not ops:
        raise EditRefused(EditProblem("ops", "ops must be a list with at least one operation.", path="ops"))
    if len(ops) > BATCH_LIMIT:
        raise EditRefused(EditProblem("limit", f"A batch has at most {BATCH_LIMIT} operations.", path="ops"))
    graph = read_graph(name, files)
    had = set(_dangling(graph))
    wrong_before = _shape_problems(copy.deepcopy(graph.document)) if graph_file(name) in files else set()
    for position, op in enumerate(ops):
        try:
            _apply(graph, op)
        except _Wrong as wrong:
            raise EditRefused(wrong.problem(f"ops[{position}]")) from None
        except (TypeError, ValueError, RecursionError) as error:
            message = f"The operation can't be read: {type(error).__name__}."
            raise EditRefused(EditProblem("ops", message, path=f"ops[{position}]")) from None
    content = graph.content()
    problems = [problem for problem in _dangling(graph) if problem not in had]
    misshapen = _shape_problems(graph.document)
    # The places of what was wrong before move with the list they are in, so then only more of it counts.
    if len(misshapen) > len(wrong_before):
        problems += [EditProblem("E102", message, path=where) for where, message in sorted(misshapen - wrong_before)]
    if problems:
        raise EditRefused(*problems[:20])
    return {**files, graph_file(name): content}


class _Wrong(Exception):
    """What is wrong with one operation."""

    def __init__(self, code: str, message: str, *, node: str = "", key: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.node, self.key, self.hint = code, message, node, key, hint

    def problem(self, path: str) -> EditProblem:
        return EditProblem(self.code, self.message, self.node, f"{path}.{self.key}" if self.key else path, self.hint)


def _apply(graph: GraphText, op: Any) -> None:
    if not isinstance(op, dict):
        raise _Wrong("ops", "An operation is an object.")
    kind = op.get("op")
    known = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise _Wrong("ops", f"There is no operation {_shown(kind)}.", key="op", hint=_among(kind, _OPERATIONS))
    carry_out, fields = known
    for key in op:
        if key != "op" and key not in fields:
            raise _Wrong("ops", f"{kind} has no field {_shown(key)}.", hint=f"It has: {', '.join(fields)}.")
    carry_out(graph, op)


# Nodes -----------------------------------------------------------------------------------------------------------


def _add_node(graph: GraphText, op: Mapping[str, Any]) -> None:
    new = _text(op, "id")
    _check_free(graph, new)
    given = _patch(op, NODE_KEYS)
    if given.get("class") is None and given.get("subflow") is None:
        raise _Wrong("E102", f"The node {new!r} has no class.", node=new, key="set", hint='Give {"class": "Name"}.')
    entry = {"id": new} | {key: _without_nulls(value) for key, value in given.items() if value is not None}
    after = _text(op, "after") if op.get("after") is not None else None
    place = graph.nodes.index(_node(graph, after)) + 1 if after is not None else len(graph.nodes)
    graph.nodes.insert(place, entry)


def _remove_node(graph: GraphText, op: Mapping[str, Any]) -> None:
    node = _node(graph, _text(op, "id"))
    gone = node_id(node)
    _take(graph.nodes, node)
    for edge in [edge for edge in graph.edges if gone in ends(edge)]:
        _take(graph.edges, edge)


def _update_node(graph: GraphText, op: Mapping[str, Any]) -> None:
    node = _node(graph, _text(op, "id"))
    _merge(node, _patch(op, NODE_KEYS))


def _rename_node(graph: GraphText, op: Mapping[str, Any]) -> None:
    old, new = _text(op, "id"), _text(op, "to")
    node = _node(graph, old)
    if new == old:
        return
    _check_free(graph, new)
    node["id"] = new
    for edge in graph.edges:
        for key in ("from", "to"):
            if id_text(edge.get(key)) == old:
                edge[key] = new
    if id_text(graph.document.get("start")) == old:
        graph.document["start"] = new
    for other in graph.nodes:
        if goto_target(other) == old:
            other["on_error"] = f"goto:{new}"


# Edges -----------------------------------------------------------------------------------------------------------


def _connect(graph: GraphText, op: Mapping[str, Any]) -> None:
    source, target = _text(op, "from"), _text(op, "to")
    for end in (source, target):
        _node(graph, end)
    wanted = _condition(op, "condition")
    there = [edge for edge in graph.edges if ends(edge) == (source, target)]
    if op.get("was") is not None:
        edge = _the_edge(there, _condition(op, "was"), source, target)
        if condition(edge) == wanted:
            return
        if wanted:
            edge["condition"] = wanted
        else:
            edge.pop("condition", None)
        return
    if any(condition(edge) == wanted for edge in there):
        raise _Wrong("edge", f"The edge {source!r} → {target!r} is there already.", node=source)
    graph.edges.append({"from": source, "to": target} | ({"condition": wanted} if wanted else {}))


def _disconnect(graph: GraphText, op: Mapping[str, Any]) -> None:
    source, target = _text(op, "from"), _text(op, "to")
    there = [edge for edge in graph.edges if ends(edge) == (source, target)]
    wanted = _condition(op, "condition") if op.get("condition") is not None else None
    _take(graph.edges, _the_edge(there, wanted, source, target))


def _the_edge(there: list[dict[str, Any]], wanted: str | None, source: str, target: str) -> dict[str, Any]:
    """The one edge that is meant."""
    found = [edge for edge in there if wanted is None or condition(edge) == wanted]
    name = f"{source!r} → {target!r}"
    if len(found) == 1:
        return found[0]
    said = ", ".join(_shown(condition(edge)) for edge in there)
    if not found:
        hint = f"Its conditions are: {said}." if there else ""
        raise _Wrong("E105", f"There is no such edge {name}.", node=source, hint=hint)
    raise _Wrong("edge", f"{len(found)} edges lead {name}.", node=source, hint=f"Name the condition: {said}.")


# The rest --------------------------------------------------------------------------------------------------------


def _set_io(graph: GraphText, op: Mapping[str, Any]) -> None:
    _set_keys(graph, _patch(op, IO_KEYS))


def _set_settings(graph: GraphText, op: Mapping[str, Any]) -> None:
    given = _patch(op, SETTING_KEYS)
    _set_keys(graph, given)


def _set_keys(graph: GraphText, given: Mapping[str, Any]) -> None:
    document = graph.document
    for key, value in given.items():
        if value is None:
            document.pop(key, None)
        elif key in document:
            document[key] = value
        else:
            # What is said of the whole stands before the lists, where people look for it.
            rest = [(name, document.pop(name)) for name in ("nodes", "edges") if name in document]
            document[key] = value
            document.update(rest)


_OPERATIONS: dict[str, tuple[Callable[[GraphText, Mapping[str, Any]], None], tuple[str, ...]]] = {
    "add_node": (_add_node, ("id", "set", "after")),
    "remove_node": (_remove_node, ("id",)),
    "update_node": (_update_node, ("id", "set")),
    "rename_node": (_rename_node, ("id", "to")),
    "connect": (_connect, ("from", "to", "condition", "was")),
    "disconnect": (_disconnect, ("from", "to", "condition")),
    "set_io": (_set_io, ("set",)),
    "set_settings": (_set_settings, ("set",)),
}


def _text(op: Mapping[str, Any], key: str) -> str:
    value = op.get(key)
    text = id_text(value)
    if not text.strip():
        raise _Wrong("ops", f"{op['op']} needs {key}: a text.", key=key)
    if len(text) > 200 or not text.isprintable():
        raise _Wrong("E102", f"{key} must be at most 200 characters, none of them a control character.", key=key)
    return text


def _condition(op: Mapping[str, Any], key: str) -> str:
    value = op.get(key)
    if value is not None and not isinstance(value, str):
        raise _Wrong("E102", f"{key} must be a text.", key=key)
    return (value or "").strip()


def _patch(op: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The keys that an operation sets, each of them known."""
    given = op.get("set")
    if not isinstance(given, dict) or not given:
        raise _Wrong("ops", f"{op['op']} needs set: an object.", key="set", hint=f"Its keys are: {', '.join(keys)}.")
    for key in given:
        if key not in keys:
            hint = "Use rename_node." if key == "id" else _among(key, keys)
            raise _Wrong("W203", f"The key {_shown(key)} can't be set here.", key="set", hint=hint)
    return copy.deepcopy(given)


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """A JSON merge patch, in place."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = _without_nulls(value)


def _without_nulls(value: Any) -> Any:
    """What a merge patch makes of an object where nothing was."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def _node(graph: GraphText, wanted: str) -> dict[str, Any]:
    found = [node for node in graph.nodes if node_id(node) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        hint = "One of them must be mended by hand."
        raise _Wrong("E106", f"{len(found)} nodes have the id {_shown(wanted)}.", node=wanted, hint=hint)
    hint = did_you_mean(wanted, map(node_id, graph.nodes))
    raise _Wrong("E105", f"There is no node {_shown(wanted)}.", node=wanted, hint=hint)


def _check_free(graph: GraphText, new: str) -> None:
    if any(node_id(node) == new for node in graph.nodes):
        raise _Wrong("E106", f"There is a node {_shown(new)} already.", node=new)


def _take(items: list[dict[str, Any]], item: dict[str, Any]) -> None:
    """Remove this very item: another may be equal to it."""
    del items[next(index for index, other in enumerate(items) if other is item)]


def _dangling(graph: GraphText) -> list[EditProblem]:
    """Every reference to a node that is not there."""
    ids = {node_id(node) for node in graph.nodes}
    problems = []
    for edge in graph.edges:
        for end in ends(edge):
            if end not in ids:
                name = " → ".join(map(_shown, ends(edge)))
                problems.append(EditProblem("E105", f"The edge {name} has an end that is not a node.", end))
    start = id_text(graph.document.get("start"))
    if start and start not in ids:
        hint = "Set another start with set_settings in the same batch."
        problems.append(EditProblem("E107", f"The start {_shown(start)} is not a node.", start, hint=hint))
    for node in graph.nodes:
        target = goto_target(node)
        if target and target not in ids:
            message = f"on_error of {_shown(node_id(node))} goes to {_shown(target)}, which is not a node."
            hint = "Change on_error with update_node in the same batch."
            problems.append(EditProblem("E105", message, node_id(node), hint=hint))
    return problems


def _shape_problems(document: Any) -> set[tuple[str, str]]:
    """What the schema of a workflow says, as (place, message)."""
    # Imported here because pydantic is slow to import, and reading a draft needs none of it.
    from core.definition.model import EDGE_LIMIT, NODE_LIMIT, check_document

    for key, limit in (("nodes", NODE_LIMIT), ("edges", EDGE_LIMIT)):
        if isinstance(document.get(key), list) and len(document[key]) > limit:
            return {(key, f"More than {limit} {key}.")}
    _, problems = check_document(document)
    return {(shortened(".".join(map(str, path))), message) for path, message in problems}


def _shown(value: Any) -> str:
    return repr(shortened(str(value), 80))


def _among(value: Any, options: Any) -> str:
    guess = did_you_mean(value, options) if isinstance(value, str) else ""
    return guess or f"One of: {', '.join(options)}."
