"""What changed between two graphs, in words: nodes, edges and everything else the JSON says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from core.definition.text import shortened
from core.flow.graph import Graph

VALUE_LENGTH = 60
"""Characters of a value that a sentence shows."""
_MISSING = object()


class GraphChange(NamedTuple):
    """One change: `kind` is added, removed or changed; `subject` is node, edge or graph; `text` says it in words."""

    kind: str
    subject: str
    name: str
    text: str


def diff_graphs(old: Graph | None, new: Graph | None) -> list[GraphChange]:
    """Every difference of two graphs: nodes first, then edges, then the rest; without one all of the other is new."""
    before, after = _document(old), _document(new)
    return [
        *_node_changes(_by_id(before), _by_id(after)),
        *_edge_changes(before.get("edges", []), after.get("edges", [])),
        *_other_changes(before, after),
    ]


def summary_of(changes: Sequence[GraphChange]) -> str:
    """Graph changes in a few words: "+2 nodes, ~1 node, -1 edge"; empty where there are none."""
    parts = []
    for subject in ("node", "edge", "graph"):
        for kind, sign in (("added", "+"), ("removed", "-"), ("changed", "~")):
            found = [change for change in changes if (change.subject, change.kind) == (subject, kind)]
            if found and subject == "graph":
                parts.append(f"{sign}{', '.join(change.name for change in found)}")
            elif len(found) == 1:
                parts.append(f"{sign}{subject} {found[0].name}")
            elif found:
                parts.append(f"{sign}{len(found)} {subject}s")
    return ", ".join(parts)


def _document(graph: Graph | None) -> dict[str, Any]:
    return graph.to_dict() if graph is not None else {}


def _by_id(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in document.get("nodes", [])}


def _node_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[GraphChange]:
    for name in [*old, *(name for name in new if name not in old)]:
        shown = shortened(name, VALUE_LENGTH)
        if name not in new:
            yield GraphChange("removed", "node", shown, f"node {shown} removed ({old[name]['class']})")
        elif name not in old:
            yield GraphChange("added", "node", shown, f"node {shown} added ({new[name]['class']})")
        elif old[name] != new[name]:
            yield GraphChange("changed", "node", shown, f"node {shown}: {fields_changed(old[name], new[name])}")
    order = [name for name in old if name in new]
    if order != [name for name in new if name in old]:
        yield GraphChange("changed", "graph", "order of nodes", "the order of the nodes changed")


def _edge_changes(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[GraphChange]:
    """Edges by their ends; where several join the same two nodes, equal ones first, then in their order."""
    before, after = _by_ends(old), _by_ends(new)
    for ends in {**before, **after}:
        gone, come = list(before.get(ends, [])), list(after.get(ends, []))
        for edge in list(gone):
            if edge in come:
                gone.remove(edge)
                come.remove(edge)
        name = " → ".join(shortened(end, VALUE_LENGTH) for end in ends)
        for left, right in zip(gone, come, strict=False):
            yield GraphChange("changed", "edge", name, f"edge {name}: {fields_changed(left, right)}")
        for edge in gone[len(come) :]:
            yield GraphChange("removed", "edge", name, f"edge {name} removed{_condition(edge)}")
        for edge in come[len(gone) :]:
            yield GraphChange("added", "edge", name, f"edge {name} added{_condition(edge)}")
    there, here = {_as_text(edge) for edge in old}, {_as_text(edge) for edge in new}
    if [edge for edge in old if _as_text(edge) in here] != [edge for edge in new if _as_text(edge) in there]:
        yield GraphChange(
            "changed", "graph", "order of edges", "the order of the edges changed: the first that fits wins"
        )


def _by_ends(edges: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for edge in edges:
        found.setdefault((edge["from"], edge["to"]), []).append(edge)
    return found


def _as_text(edge: Mapping[str, Any]) -> str:
    return json.dumps(edge, sort_keys=True)


def _other_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[GraphChange]:
    for key in [*old, *(key for key in new if key not in old)]:
        if key in ("nodes", "edges") or old.get(key, _MISSING) == new.get(key, _MISSING):
            continue
        kind = "added" if key not in old else "removed" if key not in new else "changed"
        yield GraphChange(
            kind, "graph", key, "; ".join(_differences(key, old.get(key, _MISSING), new.get(key, _MISSING)))
        )


def _condition(edge: Mapping[str, Any]) -> str:
    return f" (when {shortened(str(edge['condition']), VALUE_LENGTH)})" if edge.get("condition") else ""


def fields_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two objects, in words."""
    texts: list[str] = []
    for key in [*old, *(key for key in new if key not in old)]:
        texts += _differences(key, old.get(key, _MISSING), new.get(key, _MISSING))
    return "; ".join(texts)


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    """The differing values below a path, each as "path: before → after"; objects are gone through by their keys."""
    if type(old) is type(new) and old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(
                f"{path}.{shortened(str(key), VALUE_LENGTH)}", old.get(key, _MISSING), new.get(key, _MISSING)
            )
    elif old is _MISSING:
        yield f"{path} added: {_value(new)}"
    elif new is _MISSING:
        yield f"{path} removed (was {_value(old)})"
    else:
        yield f"{path}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return shortened(text, VALUE_LENGTH)
