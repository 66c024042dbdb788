"""Workflow folders for the tests of this part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, str | bytes]

NODES = """from grapheteria import Node

class First(Node):
    '''Does the first thing.'''
    def execute(self, prepared):
        return 1

class Second(Node):
    pass
"""

GRAPH: dict[str, Any] = {
    "nodes": [{"id": "a", "class": "First"}, {"id": "b", "class": "Second"}],
    "edges": [{"from": "a", "to": "b"}],
}


@pytest.fixture
def make_folder(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make `workflows/NAME` with files; by default a good workflow, `graph` replaces keys of its JSON."""

    def make(files: Files | None = None, *, name: str = "demo", graph: dict[str, Any] | None = None) -> Path:
        folder = tmp_path / "workflows" / name
        folder.mkdir(parents=True, exist_ok=True)
        document = {key: value for key, value in {**GRAPH, **(graph or {})}.items() if value is not ...}
        contents: Files = {f"{name}.json": json.dumps(document, indent=2), "nodes.py": NODES, **(files or {})}
        for path, content in contents.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    yield make
