"""Imports a workflow's modules from its stored sources, so that a run keeps its version while the files change."""

from __future__ import annotations

import builtins
import importlib
import linecache
import sys
import types
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from core.sdk import shared_view

ORIGINAL_NAME = "grapheteria"
OWN_NAME = "core.grapheteria"


class SourceLoader(SourceFileLoader):
    """Loads one module from its text; the path is where the live file stands, for data files and tracebacks."""

    def __init__(self, fullname: str, path: str, text: str, given: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._text = text.removeprefix("\ufeff")
        self._given = given

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module with the names it is given; its lines are made known to tracebacks first."""
        lines = self._text.splitlines(keepends=True)
        # Without a modification time an entry is never compared with the file, which may be another version by now.
        linecache.cache[self.path] = (len(self._text), None, lines, self.path)
        vars(module).update(self._given)
        super().exec_module(module)

    def get_data(self, path: str) -> bytes:
        """The stored text for the module itself, else a live file beside it."""
        return self._text.encode() if path == self.path else super().get_data(path)

    def get_source(self, fullname: str) -> str:
        """The stored text."""
        return self._text

    def path_stats(self, path: str) -> Any:
        """Refuse: what is stored has no modification time, so no byte code is cached."""
        raise OSError("stored sources have no modification time")

    def source_to_code(self, data: Any, path: Any, *, _optimization: int = -1) -> types.CodeType:  # type: ignore[override]
        """Compile the text, whatever encoding its first lines name: it was decoded before."""
        code: types.CodeType = compile(self._text, path, "exec", dont_inherit=True, optimize=_optimization)
        return code


class SourceFinder(MetaPathFinder):
    """Finds a workflow's modules: `nodes`, its siblings and sub-packages, all below `prefix` where one is given."""

    def __init__(
        self, sources: Mapping[str, str], folder: str, *, prefix: str = "", given: Mapping[str, Any] | None = None
    ) -> None:
        self._sources = sources
        self._folder = Path(folder)
        self._prefix = prefix
        self._given = dict(given or {})

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of one of the workflow's modules; None for everything else."""
        if self._prefix:
            if fullname == self._prefix:
                return self._package(fullname, self._folder)
            if not fullname.startswith(self._prefix + "."):
                return None
        name = fullname[len(self._prefix) + 1 :] if self._prefix else fullname
        place = name.replace(".", "/")
        for file in (f"{place}.py", f"{place}/__init__.py"):
            if file in self._sources:
                return self._module(fullname, file, is_package=file.endswith("/__init__.py"))
        if any(file.startswith(place + "/") for file in self._sources):
            return self._package(fullname, self._folder / place)
        return None

    def has(self, name: str) -> bool:
        """True where the workflow has a module or package of this top-level name."""
        return f"{name}.py" in self._sources or any(file.startswith(name + "/") for file in self._sources)

    def _module(self, fullname: str, file: str, *, is_package: bool) -> ModuleSpec:
        path = self._folder / file
        given = {**self._given, "shared": shared_view} if file == "nodes.py" else self._given
        loader = SourceLoader(fullname, str(path), self._sources[file], given)
        spec = ModuleSpec(fullname, loader, origin=str(path), is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(path.parent)]
        return spec

    def _package(self, fullname: str, folder: Path) -> ModuleSpec:
        """A package without code of its own."""
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec


class OriginalNameFinder(MetaPathFinder):
    """Lets `import grapheteria` find our own module of that interface where the original is not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an alias for `grapheteria` and its modules; None for everything else."""
        if fullname == ORIGINAL_NAME:
            return None if PathFinder.find_spec(fullname) else ModuleSpec(fullname, _AliasLoader())
        if fullname.startswith(ORIGINAL_NAME + "."):
            parent = sys.modules.get(ORIGINAL_NAME)
            if parent is not None and parent.__name__ == OWN_NAME:
                return ModuleSpec(fullname, _AliasLoader())
        return None


class _AliasLoader(Loader):
    """Puts our module under the original's name: the same module object, so that its classes exist once."""

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        sys.modules[name] = importlib.import_module(OWN_NAME + name.removeprefix(ORIGINAL_NAME))


def install(finder: MetaPathFinder) -> None:
    """Put a finder before the one that searches `sys.path`, as a script's own folder comes before it."""
    position = next((index for index, other in enumerate(sys.meta_path) if other is PathFinder), len(sys.meta_path))
    sys.meta_path.insert(position, finder)


def install_original_name() -> None:
    """Make `import grapheteria` work in this process; safe to call again."""
    if not any(isinstance(finder, OriginalNameFinder) for finder in sys.meta_path):
        install(OriginalNameFinder())


def private_sources(sources: Mapping[str, str], folder: str, prefix: str) -> SourceFinder:
    """A finder whose modules live below `prefix` and yet import each other by their plain names.

    So several workflows, and versions of one, live in one process: each has its own `nodes` and `helpers`.
    """

    def import_private(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        top = name.partition(".")[0]
        if level or not finder.has(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = builtins.__import__(f"{prefix}.{name}", globals, locals, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{prefix}.{top}"]

    finder = SourceFinder(
        sources, folder, prefix=prefix, given={"__builtins__": {**vars(builtins), "__import__": import_private}}
    )
    return finder
