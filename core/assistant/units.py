"""A workflow's files as the units in which people and models change it, and files put together from units.

| unit | value |
|---|---|
| ("node", id) | the node's object |
| ("edges", from, to) | the objects of all edges between two nodes |
| ("setting", key) | any other key of NAME.json |
| ("def", file, name) | a class, function or constant with its comments |
| ("import", file, statement) | an import statement |
| ("rest", file) | what else stands in a Python file |
| ("file", path) | any other file, and one that can't be read as the above |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.assistant.graph_text import GraphText, ends, graph_file, node_id
from core.assistant.json_edit import same
from core.assistant.problem import EditRefused
from core.assistant.source_text import SourceText, combined
from core.definition.load import load_sources

Unit = tuple[str, ...]
Files = Mapping[str, bytes]
Values = dict[Unit, Any]


def taken_apart(name: str, *states: Files) -> list[Values]:
    """The units of several states of one workflow; a file is cut into units where all the states allow it."""
    values: list[Values] = [{} for _ in states]
    for path in sorted(set().union(*states)):
        parts = _cut(name, path, states)
        for index, (state, units) in enumerate(zip(states, values, strict=True)):
            if parts is not None:
                units |= parts[index]
            elif path in state:
                units["file", path] = state[path]
    return values


def equal(left: Any, right: Any) -> bool:
    """True where two values of a unit are one; None is a unit that is not there."""
    return same(left, right)


def put_together(name: str, skeleton: Files, source: Files, wanted: Mapping[Unit, Any]) -> dict[str, bytes]:
    """The files of `skeleton` in which the units of `wanted` have other values; None takes one out.

    What is new in it stands where it does in `source`, which has the wanted values.
    """
    files = dict(skeleton)
    for path in sorted({_path(name, unit) for unit in wanted}):
        changes = {unit: value for unit, value in wanted.items() if _path(name, unit) == path}
        if ("file", path) in changes:
            content = changes["file", path]
        elif path == graph_file(name):
            content = _graph(path, skeleton.get(path), source.get(path), changes)
        else:
            content = _python(path, skeleton.get(path), source.get(path), changes)
        if content is None:
            files.pop(path, None)
        else:
            files[path] = content
    return files


def errors_of(name: str, files: Files) -> set[tuple[str, str]]:
    """What keeps files from running, as (code, message): without places, which move."""
    return {(finding.code, finding.message) for finding in load_sources(name, files).errors}


# Taking apart ----------------------------------------------------------------------------------------------------


def _cut(name: str, path: str, states: Sequence[Files]) -> list[Values] | None:
    """The units of one file in every state, or None where it can't be cut in one of them."""
    cut: Callable[[str, bytes | None], Values]
    if path == graph_file(name):
        cut = _cut_graph
    elif path.endswith(".py"):
        cut = _cut_python
    else:
        return None
    try:
        return [cut(path, state.get(path)) for state in states]
    except (EditRefused, RecursionError):
        return None


def _cut_graph(path: str, content: bytes | None) -> Values:
    graph = GraphText(path, content)
    units: Values = {("node", node_id(node)): node for node in graph.nodes}
    if len(units) != len(graph.nodes) or any(not all(unit) for unit in units):
        raise EditRefused
    for edge in graph.edges:
        if not all(ends(edge)):
            raise EditRefused
        units.setdefault(("edges", *ends(edge)), []).append(edge)
    for key, value in graph.document.items():
        if key not in ("nodes", "edges"):
            # A key whose value is null is not a key that is missing.
            units["setting", key] = value if value is not None else _NULL
    return units


_NULL = "\0null"
"""Stands for null as a value; no JSON text of ours has this character."""


def _cut_python(path: str, content: bytes | None) -> Values:
    units: Values = {}
    for (kind, name), text in SourceText.of(path, content).units().items():
        if kind != "rest":
            units[kind, path, name] = text
        elif text:
            units["rest", path] = text
    return units


def _path(name: str, unit: Unit) -> str:
    return unit[1] if unit[0] in ("def", "import", "rest", "file") else graph_file(name)


# Putting together ------------------------------------------------------------------------------------------------


def _python(path: str, content: bytes | None, source: bytes | None, changes: Mapping[Unit, Any]) -> bytes | None:
    """A Python file with other units; the rest of it, where it is to be another, comes from `source` as a whole."""
    mine, theirs = SourceText.of(path, content), SourceText.of(path, source)
    wanted: dict[tuple[str, str], str | None] = {
        (unit[0], unit[2]): value for unit, value in changes.items() if unit[0] != "rest"
    }
    if ("rest", path) not in changes:
        result = combined(mine, wanted, theirs)
    else:
        units = mine.units() | wanted
        there = theirs.units()
        differing = {
            key: units.get(key) for key in {**there, **units} if key[0] != "rest" and units.get(key) != there.get(key)
        }
        result = combined(theirs, differing, mine)
    empty = not result.strip()
    return None if empty and (content is None or source is None) and result != source else result


def _graph(path: str, content: bytes | None, source: bytes | None, changes: Mapping[Unit, Any]) -> bytes | None:
    """The graph's file with other units."""
    # A file that is not there yet is written as the source is.
    mine = GraphText(path, content) if content is not None else _emptied(GraphText(path, source))
    theirs = GraphText(path, source)
    document = mine.document
    for unit, value in changes.items():
        if unit[0] == "setting":
            _set(document, theirs.document, unit[1], value)
    _place_nodes(mine, theirs, {unit[1]: value for unit, value in changes.items() if unit[0] == "node"})
    _place_edges(mine, theirs, {(unit[1], unit[2]): value for unit, value in changes.items() if unit[0] == "edges"})
    if source is None and not mine.nodes and not mine.edges and not document.keys() - {"nodes", "edges"}:
        return None
    return mine.content()


def _emptied(graph: GraphText) -> GraphText:
    """A graph's document with nothing in it, in the same style."""
    graph.nodes.clear()
    graph.edges.clear()
    for key in graph.document.keys() - {"nodes", "edges"}:
        del graph.document[key]
    return graph


def _set(document: dict[str, Any], order: Mapping[str, Any], key: str, value: Any) -> None:
    """Set a key of the document; a new one stands where it does in `order`."""
    if value is None:
        document.pop(key, None)
        return
    plain = None if isinstance(value, str) and value == _NULL else value
    if key in document:
        document[key] = plain
        return
    names = list(order)
    below = set(names[names.index(key) + 1 :]) if key in order else {"nodes", "edges"}
    rest: dict[str, Any] = {}
    for name in list(document):
        if name in below or rest:
            rest[name] = document.pop(name)
    document[key] = plain
    document.update(rest)


def _place_nodes(mine: GraphText, theirs: GraphText, wanted: Mapping[str, Any]) -> None:
    order = [node_id(node) for node in theirs.nodes]
    for name, value in wanted.items():
        index = next((at for at, node in enumerate(mine.nodes) if node_id(node) == name), None)
        if index is None:
            continue
        if value is None:
            del mine.nodes[index]
        else:
            _become(mine.nodes[index], value)
    for name in order:
        there = [node_id(node) for node in mine.nodes]
        if wanted.get(name) is not None and name not in there:
            above = [other for other in order[: order.index(name)] if other in there]
            mine.nodes.insert(there.index(above[-1]) + 1 if above else 0, wanted[name])


def _place_edges(mine: GraphText, theirs: GraphText, wanted: Mapping[tuple[str, str], Any]) -> None:
    """Give pairs of nodes other edges; equal ones stay where they are, new ones stand behind those before them."""
    placed: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for pair, value in wanted.items():
        old, new = [edge for edge in mine.edges if ends(edge) == pair], list(value or ())
        for edge in list(new):
            equal_one = next((other for other in old if same(other, edge)), None)
            if equal_one is not None:
                old = [other for other in old if other is not equal_one]
                new = [other for other in new if other is not edge]
                placed.append((edge, equal_one))
        for edge, other in zip(new, old, strict=False):
            _become(other, edge)
            placed.append((edge, other))
        for other in old[len(new) :]:
            del mine.edges[next(at for at, edge in enumerate(mine.edges) if edge is other)]
        for edge in new[len(old) :]:
            placed.append((edge, {**edge}))
    _insert_edges(mine, theirs, placed)


def _insert_edges(mine: GraphText, theirs: GraphText, placed: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Insert the placed edges that are new: each behind the edge that stands before it on the other side."""
    here = {id(edge) for edge in mine.edges}
    position = 0
    taken: set[int] = set()
    for edge in theirs.edges:
        known = next((own for other, own in placed if same(other, edge) and id(own) not in taken), None)
        if known is None:
            known = next((own for own in mine.edges if same(own, edge) and id(own) not in taken), None)
        if known is None:
            continue
        taken.add(id(known))
        if id(known) in here:
            position = next(at for at, own in enumerate(mine.edges) if own is known) + 1
        else:
            mine.edges.insert(position, known)
            here.add(id(known))
            position += 1


def _become(target: dict[str, Any], value: Mapping[str, Any]) -> None:
    """Give an object that stays in its place another content."""
    for key in [key for key in target if key not in value]:
        del target[key]
    for key, item in value.items():
        if key not in target or not same(target[key], item):
            target[key] = item
