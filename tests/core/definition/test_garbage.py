"""Whatever lies in a folder, loading it gives findings and never an exception."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.definition.load import LoadedWorkflow, list_folders, load_folder, load_sources
from core.flow.graph import Graph

MakeFolder = Callable[..., Path]

IDS = st.sampled_from(["a", "b", "c", "", 1, True, None, "x\x1b", "é ü", "goto:a", "\ud800"]) | st.text(max_size=3)
CLASSES = st.sampled_from(["First", "Second", "Missing", "Node", "", "a b", "lib", "dict", None, 3])
LOOSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
NODE = st.fixed_dictionaries(
    {"id": IDS, "class": CLASSES},
    optional={
        "config": LOOSE,
        "retry": st.fixed_dictionaries({}, optional={"attempts": LOOSE, "wait": LOOSE, "x": LOOSE}) | LOOSE,
        "timeout": LOOSE,
        "on_error": st.sampled_from(["fail", "skip", "goto:b", "goto:", 3]),
        "effects": LOOSE,
        "extra": LOOSE,
    },
)
EDGE = st.fixed_dictionaries(
    {"from": IDS, "to": IDS}, optional={"condition": st.sampled_from(["1", "(", "", None, 2, "x\0"])}
)
DOCUMENT = st.fixed_dictionaries(
    {"nodes": st.lists(NODE, max_size=4) | LOOSE},
    optional={
        "edges": st.lists(EDGE, max_size=5) | LOOSE,
        "start": IDS,
        "mode": st.sampled_from(["machine", "dag", "x", None]),
        "inputs": st.sampled_from([{"type": "object"}, {"type": 3}, {"properties": {"a": {"$ref": "#/x"}}}]) | LOOSE,
        "initial_state": LOOSE,
        "files": st.lists(st.sampled_from(["lib.py", "../x", "/x", "data", "\0", ".", "a//b"]), max_size=3) | LOOSE,
        "permissions": LOOSE,
        "name": LOOSE,
        "description": LOOSE,
        "extra": LOOSE,
    },
)
CODE_LINES = st.sampled_from(
    [
        "from grapheteria import Node",
        "from grapheteria import *",
        "from .lib import *",
        "from lib import First, Second as Third",
        "from ....up import x",
        "import lib, lib as other, a.b.c",
        "class First(Node):",
        "class Second(First, lib.X, make(), list[int]):",
        "class First(Second): pass",
        "    def execute(self, p): self.goto('a')",
        "    def execute(self, p): return self.goto()",
        "    async def x(self): return 'b' if p else None",
        "    node_type = 'agent'",
        "    '''text'''",
        "First = Second = lib.First",
        "try:",
        "except (A, B) as First:",
        "    pass",
        "match x:",
        "if (First := 3):",
        "@decorated",
        "\x0c",
        "x = '\r'",
        "\x00",
        "\ufeff",
        "é = 1",
        "(" * 300,
        "-" * 8_000 + "1",
        "x" + ".y" * 3_000,
    ]
)
CODE = st.lists(CODE_LINES, max_size=8).map("\n".join)


def check(loaded: LoadedWorkflow) -> None:
    """What holds for every workflow, however broken."""
    assert loaded.runnable or loaded.errors
    assert len(loaded.findings) <= 173
    for finding in loaded.findings:
        assert {"E": "error", "W": "warning", "N": "note"}[finding.code[0]] == finding.severity
        assert finding.line >= 0
        assert finding.column >= 0
        for text in (finding.message, finding.file, finding.hint, finding.node or ""):
            assert text.isprintable()
        if finding.line and finding.file in loaded.files:
            assert finding.line <= loaded.files[finding.file].count(b"\n") + loaded.files[finding.file].count(b"\r") + 1
    if loaded.graph is not None:
        graph = loaded.graph
        assert graph.start in graph.nodes
        assert all(edge.from_id in graph.nodes and edge.to_id in graph.nodes for edge in graph.edges)
        assert Graph.from_dict(json.loads(orjson.dumps(graph.to_dict()))) == graph
        for spec in graph.nodes.values():
            loaded.code.class_of(spec.class_name)
    loaded.code.node_names()
    assert all(name.isprintable() for name in loaded.tools)
    loaded.sources()


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=30))
def test_random_bytes(graph: bytes, code: bytes, tools: bytes) -> None:
    check(load_sources("demo", {"demo.json": graph, "nodes.py": code, "tools.json": tools}))


@given(DOCUMENT, CODE, CODE, LOOSE, st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_nearly_right_workflows(document: Any, nodes: str, lib: str, tools: Any, mark: bytes) -> None:
    files = {
        "demo.json": mark + json.dumps(document, indent=1).encode(),
        "nodes.py": mark + nodes.encode(),
        "lib.py": lib.replace("\n", "\r\n").encode(),
        "tools.json": json.dumps(tools).encode(),
    }
    check(load_sources("demo", files))


@given(DOCUMENT, st.integers(0, 300), st.binary(max_size=3))
def test_a_file_that_is_half_written_or_damaged(document: Any, place: int, damage: bytes) -> None:
    text = json.dumps(document, indent=1).encode()
    for content in (text[:place], text[:place] + damage + text[place + 1 :]):
        check(load_sources("demo", {"demo.json": content, "nodes.py": content}))


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


@given(st.dictionaries(NAMES, st.sampled_from(["json", "py", "folder", "pipe", "link", "self"]), max_size=4), NAMES)
def test_folders_with_any_names_and_kinds_of_files(entries: dict[str, str], name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        folder.mkdir()
        for entry, kind in entries.items():
            for path in (folder / entry, folder / f"{entry}.py", folder / f"{name}.json"):
                if os.path.lexists(path):
                    continue
                if kind in ("json", "py"):
                    path.write_text('{"nodes": []}' if kind == "json" else "class A: pass\n")
                elif kind == "folder":
                    path.mkdir()
                elif kind == "pipe":
                    os.mkfifo(path)
                else:
                    path.symlink_to("/etc" if kind == "link" else path.name)
        for found in list_folders(Path(place)):
            check(load_folder(found))
        check(load_folder(folder))


@pytest.mark.parametrize(
    "text",
    [
        b"\x00" * 100,
        b"\xef\xbb\xbf",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"' * 100_001,
        b"{" + b'"k":1,' * 50_000 + b'"z":1}',
        b"[" + b"0," * 400_000 + b"0]",
        b'{"nodes": [' + b'{"id": "a"},' * 4_999 + b"{}]}",
        b'{"nodes": [' + b'{"id": "a", "class": "A", "q": 1},' * 4_999 + b'{"id": "a", "class": "A"}]}',
        b"class A(" * 500,
        b"x = (\n" * 150,
        b"if 1:\n" + b" if 1:\n" * 300,
        b"if 1: pass\n" + b"elif 1: pass\n" * 50_000,
        b"class A:\n    pass\n" * 10_000,
        b"a = b = " * 50_000 + b"1",
        b"1" + b" + 1" * 100_000,
        b"f" + b"()" * 100_000,
        b"lambda: " * 50_000 + b"1",
        b"# -*- coding: rot13 -*-\npynff N: cnff\n",
        b"\\\n" * 50_000,
        b"'''" + b"x\n" * 50_000,
        b"\r" * 50_000,
        b"{" * 99 + b"}" * 99,
    ],
    ids=range(24),
)
def test_monsters(text: bytes) -> None:
    # In a thread, whose stack may be smaller than that of the main one: that is where the engine loads.
    failures: list[BaseException] = []

    def load() -> None:
        try:
            check(load_sources("demo", {"demo.json": text, "nodes.py": text, "tools.json": text}))
            good = b'{"nodes": [{"id": "a", "class": "A"}]}'
            check(load_sources("demo", {"demo.json": good, "nodes.py": text, "lib.py": text}))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert not failures, failures[0]


def test_ten_megabytes_of_json_are_not_even_parsed(make_folder: MakeFolder) -> None:
    loaded = load_folder(make_folder({"demo.json": b"[" + b"0," * 5_000_000 + b"0]"}))
    assert [finding.code for finding in loaded.findings] == ["E114"]
    assert "demo.json" not in loaded.files


def test_windows_line_ends_and_byte_order_marks_change_nothing(make_folder: MakeFolder) -> None:
    plain = load_folder(make_folder())
    windows = {path: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n") for path, content in plain.files.items()}
    loaded = load_sources("demo", windows)
    assert loaded.findings == []
    assert loaded.graph == plain.graph
    assert loaded.code.classes() == plain.code.classes()
    assert loaded.version != plain.version
