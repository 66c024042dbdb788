"""What the classes are that a workflow's graph names: found across its files, without executing any of them."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from core.definition.python_source import ClassInfo, Import, Module, SyntaxProblem, parse_python, read_module

ENTRY = "nodes.py"
"""The file whose names the graph uses."""


class Found(Enum):
    """What is known of a class that the graph names."""

    NODE = "node"
    NOT_A_NODE = "not a node"
    ELSEWHERE = "elsewhere"
    """It is made at run time, or comes from outside the workflow's files."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Lookup:
    """The answer for one name; `info` is the class where it is one of the workflow's, `reason` says the rest."""

    found: Found
    info: ClassInfo | None = None
    reason: str = ""


class CodeIndex:
    """The classes of a workflow's files, and which of them the graph can name.

    `problems` maps the files that are not Python to why.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.problems: dict[str, SyntaxProblem] = {}
        self._modules: dict[str, Module] = {}
        for file, text in sources.items():
            tree = parse_python(text)
            if isinstance(tree, SyntaxProblem):
                self.problems[file] = tree
            else:
                self._modules[file] = read_module(file, text, tree)
        self._loaded = self._loaded_with(ENTRY)

    @property
    def has_entry(self) -> bool:
        """True when nodes.py is there and is Python."""
        return ENTRY in self._modules

    def classes(self) -> list[ClassInfo]:
        """Every class at the top level of a file, by file and line."""
        found = [info for module in self._modules.values() for info in module.classes.values()]
        return sorted(found, key=lambda info: (info.file, info.line))

    def outward_imports(self) -> list[tuple[str, Import]]:
        """Every relative import, with its file, that climbs above the workflow's folder: Python refuses them."""
        return [
            (file, item)
            for file, module in self._modules.items()
            for item in module.loaded
            if item.level > file.count("/")
        ]

    def node_names(self) -> list[str]:
        """The names of the workflow's own nodes, as a graph can use them."""
        names = {name for file in self._loaded for name in self._modules[file].classes}
        if ENTRY in self._modules:
            names |= self._modules[ENTRY].imports.keys()
        return sorted(name for name in names if self.look_up(name).found is Found.NODE)

    def look_up(self, name: str) -> Lookup:
        """What is known of a class: the name is looked for in nodes.py, then in the files that nodes.py imports."""
        if not self.has_entry:
            return Lookup(Found.ELSEWHERE, None, f"{ENTRY} can't be read")
        lookup = self._resolve(ENTRY, name, set())
        if lookup.found is not Found.UNKNOWN:
            return self._judged(lookup)
        # Nodes register themselves by class name when their file is imported, whatever nodes.py calls them.
        for file in self._loaded:
            info = self._modules[file].classes.get(name)
            if info is not None:
                return self._judged(Lookup(Found.NODE, info))
        homes = [info.file for info in self.classes() if info.name == name]
        return replace(lookup, reason=f"It is in {homes[0]}; import it in {ENTRY}.") if homes else lookup

    def class_of(self, name: str) -> ClassInfo | None:
        """The class behind a name in the graph, with the routing it inherits from other classes of the workflow."""
        info = self.look_up(name).info
        if info is None:
            return None
        family = list(self._family(info))
        return replace(
            info,
            targets=frozenset[str]().union(*(member.targets for member in family)),
            routes=any(member.routes for member in family),
            routes_anywhere=any(member.routes_anywhere for member in family),
        )

    def _judged(self, lookup: Lookup) -> Lookup:
        """A lookup with whether the class is a node: a base of it, or of theirs, comes from elsewhere."""
        if lookup.info is None:
            return lookup
        undefined = ""
        for member in self._family(lookup.info):
            for base in member.bases:
                found = self._base(member, base)
                if found.found is Found.ELSEWHERE:
                    return lookup
                if found.found is Found.UNKNOWN and not undefined:
                    undefined = f"{base!r} is not defined in {member.file}."
        return Lookup(Found.NOT_A_NODE, lookup.info, undefined or "It does not derive from Node.")

    def _family(self, info: ClassInfo) -> Iterator[ClassInfo]:
        """A class and every class of the workflow that it derives from."""
        waiting, seen = [info], {(info.file, info.line)}
        while waiting:
            member = waiting.pop(0)
            yield member
            for base in member.bases:
                found = self._base(member, base).info
                if found is not None and (found.file, found.line) not in seen:
                    seen.add((found.file, found.line))
                    waiting.append(found)

    def _base(self, member: ClassInfo, base: str) -> Lookup:
        return self._resolve(member.file, base, set()) if base else Lookup(Found.ELSEWHERE, None, "an expression")

    def _resolve(self, file: str, dotted: str, seen: set[tuple[str, str]]) -> Lookup:
        """What a dotted name means in a file: NODE here says no more than that it is a class of the workflow."""
        module = self._modules.get(file)
        if module is None or (file, dotted) in seen:
            return Lookup(Found.ELSEWHERE, None, f"{file} can't be read")
        seen.add((file, dotted))
        head, _, rest = dotted.partition(".")
        if head in module.classes:
            return (
                Lookup(Found.ELSEWHERE, None, f"it is made in {file}")
                if rest
                else Lookup(Found.NODE, module.classes[head])
            )
        if head in module.imports:
            item = module.imports[head]
            return self._resolve_import(
                file, Import(item.level, f"{item.dotted}.{rest}" if rest else item.dotted), seen
            )
        if head in module.assigned:
            return Lookup(Found.ELSEWHERE, None, f"{file} makes it when it runs")
        outside = Lookup(Found.UNKNOWN)
        for star in module.stars:
            lookup = self._resolve_import(file, Import(star.level, f"{star.dotted}.{dotted}".lstrip(".")), seen)
            if lookup.info is not None:
                return lookup
            if lookup.found is Found.ELSEWHERE:
                outside = lookup
        if outside.found is Found.UNKNOWN and hasattr(builtins, head):
            return Lookup(Found.NOT_A_NODE, None, "It is a part of Python.")
        return outside

    def _resolve_import(self, file: str, item: Import, seen: set[tuple[str, str]]) -> Lookup:
        """What an imported name means: of the workflow where its module is one of the files."""
        parts = item.dotted.split(".")
        for length in range(len(parts), 0, -1):
            found = self._file_of(file, item.level, parts[:length])
            if found is not None:
                rest = ".".join(parts[length:])
                return self._resolve(found, rest, seen) if rest else Lookup(Found.NOT_A_NODE, None, "It is a module.")
        if not item.level and parts[0] in sys.stdlib_module_names:
            return Lookup(Found.NOT_A_NODE, None, "It is a part of Python's library.")
        return Lookup(Found.ELSEWHERE, None, f"it is imported as {item}")

    def _file_of(self, importer: str, level: int, parts: list[str]) -> str | None:
        """The workflow's file that a module name leads to from a file, or None."""
        folders = importer.split("/")[:-1]
        if level:
            if level - 1 > len(folders):
                return None
            parts = [*folders[: len(folders) - (level - 1)], *parts]
        path = "/".join(parts)
        candidates = (f"{path}.py", f"{path}/__init__.py")
        return next((file for file in candidates if file in self._modules or file in self.problems), None)

    def _loaded_with(self, entry: str) -> list[str]:
        """The workflow's files that importing one of them loads, the entry first."""
        order = [entry] if entry in self._modules else []
        seen = set(order)
        for file in order:
            for item in self._modules[file].loaded:
                parts = item.dotted.split(".")
                for length in range(1, len(parts) + 1):
                    found = self._file_of(file, item.level, parts[:length])
                    if found in self._modules and found not in seen:
                        seen.add(found)
                        order.append(found)
        return order
