"""Which changes belong together, and which need which."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.assistant.graph_text import goto_target, id_text
from core.assistant.json_edit import same
from core.assistant.source_text import bound_names, names_used
from core.assistant.units import Unit, Values
from core.definition.code_index import ENTRY
from core.definition.python_source import SyntaxProblem, parse_python
from core.flow.dag_shape import find_cycle

_SIGNS: dict[tuple[bool, bool], Literal["+", "-", "~"]] = {(False, True): "+", (True, False): "-", (True, True): "~"}


@dataclass(frozen=True, slots=True)
class Change:
    """One changed unit; it is made when all of its owners are accepted, with `any_owner` when one of them is."""

    unit: Unit
    sign: Literal["+", "-", "~"]
    owners: tuple[str, ...]
    any_owner: bool = False

    def accepted(self, groups: Collection[str]) -> bool:
        """True where the accepted groups bring this change."""
        found = [owner in groups for owner in self.owners]
        return any(found) if self.any_owner else all(found)


class Grouping:
    """The groups of changed units: `order` their ids as they are shown, `needs` by id."""

    def __init__(self, name: str, before: Values, after: Values, changed: Sequence[Unit]) -> None:
        self._name, self._before, self._after = name, before, after
        self._changed = list(changed)
        self._nodes = self._node_groups()
        self._code_owners: dict[Unit, tuple[tuple[str, ...], bool]] = {}
        self._names = {unit: _names(unit, before.get(unit), after.get(unit)) for unit in changed if _is_code(unit)}
        self.needs: dict[str, list[str]] = {}
        self.changes = [self._change(unit) for unit in self._changed]
        self.order = self._ordered()
        self._find_needs()

    # Owners ------------------------------------------------------------------------------------------------------

    def sign(self, unit: Unit) -> Literal["+", "-", "~"]:
        """How a unit changed."""
        return _SIGNS[unit in self._before, unit in self._after]

    def _change(self, unit: Unit) -> Change:
        owners, any_owner = self._owners(unit)
        return Change(unit, self.sign(unit), owners, any_owner)

    def _owners(self, unit: Unit) -> tuple[tuple[str, ...], bool]:
        kind = unit[0]
        if kind == "node":
            return (self._nodes[unit[1]],), False
        if kind == "edges":
            return self._edge_owners(unit)
        if kind == "setting":
            return self._setting_owners(unit), False
        if kind == "file" or unit[1] != ENTRY:
            return (f"file:{unit[1]}",), False
        return self._code_of(unit, frozenset())

    def _node_groups(self) -> dict[str, str]:
        """The group of every changed node; a node that only got another id is one group with the one it was."""
        nodes = [unit for unit in self._changed if unit[0] == "node"]
        groups = {unit[1]: f"node:{unit[1]}" for unit in nodes}
        added = [unit for unit in nodes if self.sign(unit) == "+"]
        for gone in (unit for unit in nodes if self.sign(unit) == "-"):
            old = _without_id(self._before[gone])
            alike = next((unit for unit in added if self._is_renamed(gone[1], unit[1], old)), None)
            if alike is not None:
                groups[gone[1]] = groups[alike[1]]
                added.remove(alike)
        return groups

    def _is_renamed(self, old: str, new: str, entry: dict[str, Any]) -> bool:
        """True where a new node is a removed one under another id: as it was, and among the same others."""
        if not same(_without_id(self._after["node", new]), entry):
            return False
        before, after = _neighbours(self._before, old), _neighbours(self._after, new)
        return bool(before & after) or not before

    def _node_sign(self, node: str) -> str:
        unit = ("node", node)
        return self.sign(unit) if node in self._nodes else ""

    def _edge_owners(self, unit: Unit) -> tuple[tuple[str, ...], bool]:
        source, target = unit[1:]
        new = [end for end in (source, target) if self._node_sign(end) == "+"]
        if new:
            return self._groups(new), False
        gone = [end for end in (source, target) if self._node_sign(end) == "-"]
        if gone:
            return self._groups(gone), True
        if self.sign(unit) == "+":
            beside = [end for end in self._targets(self._before, source) if self._node_sign(end) == "-"]
        else:
            beside = [end for end in self._targets(self._after, source) if self._node_sign(end) == "+"]
            beside += self._between(beside, target)
        return (self._groups(beside), False) if beside else ((f"edges:{source}>{target}",), False)

    def _between(self, begin: Sequence[str], target: str) -> list[str]:
        """The new nodes by way of which these lead to a node, where a node in the middle leads on to further ones."""
        found: list[str] = []
        for first in begin:
            chain, seen = first, {first}
            while target not in self._targets(self._after, chain):
                following = [end for end in self._targets(self._after, chain) if self._node_sign(end) == "+"]
                following = [end for end in following if end not in seen]
                if len(following) != 1:
                    break
                chain = following[0]
                seen.add(chain)
                found.append(chain)
        return found

    def _targets(self, side: Values, source: str) -> list[str]:
        return [unit[2] for unit in side if unit[0] == "edges" and unit[1] == source]

    def _groups(self, nodes: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._nodes[node] for node in nodes))

    def _setting_owners(self, unit: Unit) -> tuple[str, ...]:
        if unit[1] == "start":
            old, new = id_text(self._before.get(unit)), id_text(self._after.get(unit))
            if self._node_sign(new) == "+":
                return self._groups([new])
            if self._node_sign(old) == "-":
                return self._groups([old])
        return (f"setting:{unit[1]}",)

    def _code_of(self, unit: Unit, above: frozenset[Unit]) -> tuple[tuple[str, ...], bool]:
        """The groups that a change of code belongs to: those of the nodes and of the changed code that use it."""
        if unit in self._code_owners:
            return self._code_owners[unit]
        if unit[0] == "rest":
            return (f"module:{unit[1]}",), False
        sign = self.sign(unit)
        own = f"code:{unit[2]}" if unit[0] == "def" else f"module:{unit[1]}"
        bound = self._names[unit].bound
        if unit[0] == "import" and sign == "-":
            # An import that is written anew stays until the new one comes.
            for other in self._changed:
                anew = other[0] == "import" and self.sign(other) == "+" and other not in above
                if anew and self._names[other].bound & bound:
                    return self._code_of(other, above | {unit})
        if sign == "~":
            users = [node for node, entry in self._class_users(self._after, bound) if entry]
            grouped = [node for node in users if node in self._nodes]
            owners = self._groups(grouped) if len(users) == 1 and grouped else (own,)
            self._code_owners[unit] = owners, False
            return owners, False
        side = self._after if sign == "+" else self._before
        found = list(self._groups(node for node, _ in self._class_users(side, bound) if node in self._nodes))
        for other, names in self._names.items():
            used = names.used_after if sign == "+" else names.used_before
            if other != unit and other not in above and used & bound:
                found += self._code_of(other, above | {unit})[0]
        owners = tuple(dict.fromkeys(found)) or (own,)
        if not above:
            self._code_owners[unit] = owners, sign == "+"
        return owners, sign == "+"

    def _class_users(self, side: Values, names: Collection[str]) -> list[tuple[str, Any]]:
        return [(unit[1], node) for unit, node in side.items() if unit[0] == "node" and node.get("class") in names]

    # Order and needs ---------------------------------------------------------------------------------------------

    def _ordered(self) -> list[str]:
        """The groups: nodes as the graph has them, then edges, settings, code, files."""
        found = dict.fromkeys(owner for change in self.changes for owner in change.owners)
        places = {f"node:{unit[1]}": at for at, unit in enumerate([*self._after, *self._before]) if unit[0] == "node"}
        kinds = ("node", "edges", "setting", "module", "code", "file")
        return sorted(found, key=lambda group: (kinds.index(group.partition(":")[0]), places.get(group, 0)))

    def _need(self, group: str, *others: str) -> None:
        needs = self.needs.setdefault(group, [])
        needs += [other for other in dict.fromkeys(others) if other != group and other not in needs]

    def _find_needs(self) -> None:
        for change in self.changes:
            if change.unit[0] == "node":
                self._needs_of_node(change)
            elif change.unit[0] == "setting":
                self._needs_of_setting(change)
            elif _is_code(change.unit):
                self._needs_of_code(change)
        self._needs_of_first_node()
        self._needs_of_mode()

    def _needs_of_node(self, change: Change) -> None:
        group, name = change.owners[0], change.unit[1]
        if change.sign == "-":
            users = [unit[1] for unit, node in self._before.items() if unit[0] == "node" and goto_target(node) == name]
            self._need(group, *(self._nodes[user] for user in users if user in self._nodes))
            start = id_text(self._after.get(("setting", "start")))
            if id_text(self._before.get(("setting", "start"))) == name and self._node_sign(start) == "+":
                self._need(group, self._nodes[start])
            return
        node = self._after[change.unit]
        target = goto_target(node)
        if self._node_sign(target) == "+":
            self._need(group, self._nodes[target])
        for other in self.changes:
            if other.unit[0] == "def" and other.sign == "~" and other.unit[2] == node.get("class"):
                self._need(group, *other.owners)

    def _needs_of_setting(self, change: Change) -> None:
        if change.unit[1] != "files":
            return
        named = {*_texts(self._before.get(change.unit)), *_texts(self._after.get(change.unit))}
        for other in self.changes:
            if other.unit[0] == "file" and other.unit[1] in named:
                self._need(change.owners[0], *other.owners)
                self._need(other.owners[0], change.owners[0])

    def _needs_of_code(self, change: Change) -> None:
        """What uses changed code needs it; an import of a new file needs the file."""
        names = self._names[change.unit]
        for other in self.changes:
            if other.unit == change.unit:
                continue
            if _is_code(other.unit):
                uses = bool(names.used_after & self._names[other.unit].bound)
                if uses and (other.sign == "~" or other.unit[0] == "rest"):
                    for owner in change.owners:
                        self._need(owner, *other.owners)
            elif _is_of_file(other.unit) and _imports_file(names, other.unit[1]):
                for owner in change.owners:
                    if change.sign != "-":
                        self._need(owner, *other.owners)
                    else:
                        self._need(other.owners[0], owner)

    def _needs_of_first_node(self) -> None:
        """A graph has a node at any time: what else there is needs the first of the new ones."""
        kept = [unit for unit in self._before if unit[0] == "node" and unit in self._after]
        new = [unit[1] for unit in self._after if unit[0] == "node" and unit not in self._before]
        if kept or not new:
            return
        start = id_text(self._after.get(("setting", "start")))
        first = self._nodes[start if start in new else new[0]]
        for group in self.order:
            self._need(group, first)

    def _needs_of_mode(self) -> None:
        """In mode dag there is no cycle and no goto, whichever changes are accepted."""
        unit = ("setting", "mode")
        modes = self._before.get(unit), self._after.get(unit)
        edges = [change for change in self.changes if change.unit[0] == "edges"]
        graph = [change for change in self.changes if change.unit[0] in ("edges", "node")]
        if modes[1] == "dag" and modes[0] != "dag":
            for change in graph:
                self._need("setting:mode", *change.owners)
        elif modes[0] == "dag" and modes[1] != "dag":
            for change in graph:
                for owner in change.owners if change.sign != "-" else ():
                    self._need(owner, "setting:mode")
        if "dag" not in modes or not self._both_have_cycle():
            return
        for change in edges:
            for owner in change.owners if change.sign == "+" else ():
                for other in edges:
                    self._need(owner, *(other.owners if other.sign == "-" else ()))

    def _both_have_cycle(self) -> bool:
        pairs = {(unit[1], unit[2]) for side in (self._before, self._after) for unit in side if unit[0] == "edges"}
        return bool(find_cycle(sorted({end for pair in pairs for end in pair}), sorted(pairs)))


@dataclass(frozen=True, slots=True)
class _Names:
    """What a piece of code binds, and what it uses on either side; `modules` are those it imports."""

    bound: frozenset[str]
    used_before: frozenset[str]
    used_after: frozenset[str]
    modules: frozenset[str] = frozenset()


def _names(unit: Unit, before: Any, after: Any) -> _Names:
    trees = [_tree(text) for text in (before, after)]
    used = [frozenset(names_used(tree)) if tree is not None else frozenset() for tree in trees]
    modules: set[str] = set()
    bound: set[str] = {unit[2]} if unit[0] == "def" else set()
    for tree in trees:
        for part in ast.walk(tree) if tree is not None and unit[0] != "def" else ():
            if isinstance(part, ast.Import | ast.ImportFrom):
                bound |= {name.partition(".")[0] for name in bound_names(part)}
                modules |= _modules(part)
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                bound.add(part.id)
            elif isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                bound.add(part.name)
    return _Names(frozenset(bound), used[0], used[1], frozenset(modules))


def _modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The modules that an import may load."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    module = node.module or ""
    return {module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)}


def _imports_file(names: _Names, path: str) -> bool:
    dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return any(module == dotted or module.startswith(f"{dotted}.") for module in names.modules)


def _is_code(unit: Unit) -> bool:
    return unit[0] in ("def", "import", "rest") and unit[1] == ENTRY


def _is_of_file(unit: Unit) -> bool:
    return unit[0] in ("def", "import", "rest", "file") and unit[1] != ENTRY and unit[1].endswith(".py")


def _tree(text: Any) -> ast.Module | None:
    tree = parse_python(text) if isinstance(text, str) else None
    return None if tree is None or isinstance(tree, SyntaxProblem) else tree


def _neighbours(side: Values, node: str) -> set[str]:
    edges = [unit for unit in side if unit[0] == "edges" and node in unit[1:]]
    return {end for unit in edges for end in unit[1:]} - {node}


def _without_id(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "id"}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
