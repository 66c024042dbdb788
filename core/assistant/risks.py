"""What of a change needs a yes of its own: compared with the base, it can reach further than before.

Code is read, never run, so this names what can be seen; it keeps nobody from hiding something. What a run may do is
another matter (permissions, the run process).
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.assistant.graph_text import GraphText, ends, graph_file, node_id
from core.assistant.groups import Changes
from core.assistant.problem import EditRefused
from core.assistant.reach import Kind, Reach, reach_of_code, reach_of_text
from core.assistant.source_text import SourceText
from core.assistant.units import Unit
from core.definition.json_text import find_positions
from core.definition.python_source import SyntaxProblem, parse_python
from core.definition.requirements import REQUIREMENTS, requirement_lines
from core.definition.text import shortened

_ANYWHERE: frozenset[Kind] = frozenset({"host", "import", "secret", "packages"})
"""These are nothing new where another part of the base has them already."""


@dataclass(frozen=True, slots=True)
class Risk:
    """`id` is stable as long as the same thing is meant at the same class; `line` counts from 1 in the changed file."""

    id: str
    kind: Kind
    what: str
    file: str
    line: int
    groups: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The group that it is shown at."""
        return self.groups[0] if self.groups else ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Something that a part of the files can reach."""

    unit: Unit
    kind: Kind
    what: str
    file: str
    line: int


def find_risks(changes: Changes) -> list[Risk]:
    """What the change can do that the base can't, by file and line."""
    before = list(_seen(changes.name, changes.base))
    known = {(seen.kind, seen.what) for seen in before}
    had = Counter((seen.unit, seen.kind, seen.what) for seen in before)
    now: Counter[tuple[Unit, str, str]] = Counter()
    risks: dict[str, Risk] = {}
    for seen in _seen(changes.name, changes.after):
        if seen.kind in _ANYWHERE and (seen.kind, seen.what) in known:
            continue
        key = (seen.unit, seen.kind, seen.what)
        now[key] += 1
        if now[key] > had[key]:
            risk = Risk(_id(seen), seen.kind, seen.what, seen.file, seen.line, _groups(changes, seen))
            risks.setdefault(risk.id, risk)
    return sorted(risks.values(), key=lambda risk: (risk.file, risk.line, risk.kind, risk.what))


def risks_of(changes: Changes, accept: Collection[str] | None) -> list[Risk]:
    """The risks that come with the accepted groups: found in the files that accepting them gives."""
    if accept is None:
        return find_risks(changes)
    taken = {risk.id for risk in find_risks(Changes(changes.name, changes.base, changes.files(accept)))}
    return [risk for risk in find_risks(changes) if risk.id in taken]


def _id(seen: _Seen) -> str:
    text = json.dumps([seen.kind, seen.what, seen.file, *seen.unit], ensure_ascii=True)
    return f"{seen.kind}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _groups(changes: Changes, seen: _Seen) -> tuple[str, ...]:
    """The groups that bring it: those of its unit, else those that change the same file."""
    of_file = [change.owners for change in changes.changes if seen.file in change.unit[1:2]]
    return changes.owners(seen.unit) or tuple(dict.fromkeys(owner for owners in of_file for owner in owners))


def _seen(name: str, files: Mapping[str, bytes]) -> Iterator[_Seen]:
    """Everything that files can reach, as far as it can be seen."""
    own = {path.removesuffix(".py").partition("/")[0] for path in files if path.endswith(".py")}
    for path in sorted(files):
        if path.endswith(".py"):
            yield from _seen_in_code(path, files[path], own)
        elif path == graph_file(name):
            yield from _seen_in_graph(path, files[path])
        elif path == REQUIREMENTS:
            for line in requirement_lines(files):
                yield _Seen(("file", path), "packages", shortened(line, 200), path, _line_of(files[path], line))


def _line_of(content: bytes, text: str) -> int:
    position = content.find(text.encode())
    return content.count(b"\n", 0, position) + 1 if position >= 0 else 1


def _seen_in_code(path: str, content: bytes, own: set[str]) -> Iterator[_Seen]:
    try:
        source = SourceText.of(path, content)
    except (EditRefused, RecursionError):
        return
    units: dict[int, Unit] = {id(item.node): ("def", path, item.name) for item in source.definitions}
    units |= {id(item.node): ("import", path, item.text) for item in source.imports}
    reach = Reach(source.tree, own)
    for node in source.tree.body:
        for found in reach_of_code(node, reach):
            unit = units.get(id(node), ("rest", path))
            yield _Seen(unit, found.kind, shortened(found.what, 200), path, found.line)


def _seen_in_graph(path: str, content: bytes) -> Iterator[_Seen]:
    try:
        graph = GraphText(path, content)
    except EditRefused:
        return
    found: list[tuple[Unit, tuple[str | int, ...], Kind, str]] = []
    for at, node in enumerate(graph.nodes):
        found += _in_value(("node", node_id(node)), ("nodes", at), node)
        if isinstance(node.get("subflow"), str):
            found += _in_expressions(("node", node_id(node)), ("nodes", at), [node.get("inputs"), node.get("output")])
    for at, edge in enumerate(graph.edges):
        found += _in_expressions(("edges", *ends(edge)), ("edges", at), [edge.get("condition")])
        found += _in_value(("edges", *ends(edge)), ("edges", at), edge)
    for key, value in graph.document.items():
        if key == "permissions" and isinstance(value, dict):
            for name, kind in _DECLARED.items():
                for at, item in enumerate(value[name]) if isinstance(value.get(name), list) else ():
                    if isinstance(item, str):
                        found.append((("setting", key), (key, name, at), kind, item))
        elif key not in ("nodes", "edges"):
            found += _in_value(("setting", key), (key,), value)
    text = content.decode(errors="replace").removeprefix("\ufeff")
    places = find_positions(text, {place for _, place, _, _ in found}) if found else {}
    for unit, place, kind, what in found:
        yield _Seen(unit, kind, shortened(what, 200), path, places[place][0])


_DECLARED: dict[str, Kind] = {"network": "host", "write": "file", "secrets": "secret"}


def _in_value(
    unit: Unit, place: tuple[str | int, ...], value: Any
) -> Iterator[tuple[Unit, tuple[str | int, ...], Kind, str]]:
    """The addresses and secrets that stand in the texts of a value."""
    waiting = [(place, value)]
    while waiting:
        where, part = waiting.pop()
        if isinstance(part, dict):
            waiting += [((*where, key), item) for key, item in part.items()]
        elif isinstance(part, list):
            waiting += [((*where, at), item) for at, item in enumerate(part)]
        elif isinstance(part, str):
            for kind, what in reach_of_text(part):
                yield unit, where, kind, what


def _in_expressions(
    unit: Unit, place: tuple[str | int, ...], value: Any
) -> Iterator[tuple[Unit, tuple[str | int, ...], Kind, str]]:
    """What the Python expressions in a value can reach: conditions, and what a subflow is given."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            tree = parse_python(part.strip(), "eval")
            if not isinstance(tree, SyntaxProblem):
                reach = Reach(ast.Module([], []), set())
                for found in reach_of_code(tree, reach):
                    if found.kind not in ("host", "secret"):
                        yield unit, place, found.kind, found.what
