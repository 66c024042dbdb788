"""What needs a yes of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.assistant.draft import Draft
from core.assistant.groups import Changes
from core.assistant.risks import Risk, find_risks, risks_of

GRAPH: dict[str, Any] = {"nodes": [{"id": "a", "class": "A"}]}
HEAD = "import json\nimport requests\nfrom grapheteria import Node\n\n\n"
BASE = HEAD + "class A(Node):\n    url = 'https://known.example/x'\n    def f(self):\n        return open('x')\n"


def base(graph: dict[str, Any] | None = None) -> dict[str, bytes]:
    return {"w.json": json.dumps(graph or GRAPH, indent=2).encode(), "nodes.py": BASE.encode()}


def of_code(code: str) -> list[Risk]:
    files = base()
    return find_risks(Changes("w", files, {**files, "nodes.py": (BASE + "\n\n" + code).encode()}))


def body(*lines: str, head: str = "") -> str:
    return head + "class B(Node):\n    def execute(self, prepared):\n" + "".join(f"        {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ("x = 'https://Other.example:8080/p?q'", "host", "other.example:8080"),
        ("x = b'wss://user:pw@other.example/'", "host", "other.example"),
        ("x = f'https://{prepared}/x'", "host", "an address worked out at run time"),
        ("x = f'https://api.example/{prepared}'", "host", "api.example"),
        ("x = '10.1.2.3'", "host", "10.1.2.3"),
        ("import socket", "host", "import socket"),
        ("import httpx", "import", "import httpx"),
        ("from os import path", "import", "import os"),
        ("from urllib import request", "import", "import urllib.request"),
        ("import subprocess as s", "process", "import subprocess"),
        ("import os; os.system('ls')", "process", "os.system"),
        ("from os import popen as p; p('ls')", "process", "os.popen"),
        ("import os; os.execv('a', [])", "process", "os.execv"),
        ("import asyncio; asyncio.create_subprocess_shell('ls')", "process", "asyncio.create_subprocess_shell"),
        ("from asyncio import subprocess as s; s.PIPE", "process", "asyncio.subprocess.PIPE"),
        ("eval(prepared)", "eval", "eval"),
        ("f = exec", "eval", "exec"),
        ("import builtins; builtins.eval('1')", "eval", "eval"),
        ("compile(prepared, '', 'exec')", "eval", "compile"),
        ("__import__('os')", "eval", "__import__"),
        ("getattr(self, prepared)", "eval", "getattr with a name worked out at run time"),
        ("getattr(self, '__class__')", "eval", "getattr of __class__"),
        ("().__class__.__base__.__subclasses__()", "eval", ".__subclasses__"),
        ("import ctypes", "eval", "import ctypes"),
        ("import pickle", "eval", "import pickle"),
        ("import importlib", "eval", "import importlib"),
        ("open('f')", "file", "open"),
        ("prepared.write_text('x')", "file", ".write_text"),
        ("import os; os.remove('f')", "file", "os.remove"),
        ("import shutil", "file", "import shutil"),
        ("import os; os.environ['K']", "environment", "os.environ"),
        ("from os import getenv; getenv('K')", "environment", "os.getenv"),
        ("x = 'secret:TOKEN'", "secret", "TOKEN"),
    ],
)
def test_what_new_code_can_reach_is_named_with_its_place(line: str, kind: str, what: str) -> None:
    found = of_code(body("pass", line))
    risk = next(risk for risk in found if (risk.kind, risk.what) == (kind, what))
    assert (risk.file, risk.line) == ("nodes.py", BASE.count("\n") + 6)
    assert risk.group == "code:B"


@pytest.mark.parametrize(
    "line",
    [
        "import json, math, re, datetime, collections.abc",
        "from urllib.parse import quote",
        "import requests",
        "x = 'https://known.example/other'",
        "x = 'nodes.py and 1.2.3'",
        "x = re.compile(prepared).match(prepared)",
        "getattr(self, 'name')",
        "x = prepared['open']",
        "evaluation, opened = prepared",
        "x = self.__class__.__name__",
        "x = prepared.replace('a', 'b')",
    ],
)
def test_daily_work_asks_nothing(line: str) -> None:
    assert of_code(body('"""See https://docs.example."""', line)) == []


def test_what_was_there_asks_nothing_again_and_once_more_of_it_does() -> None:
    files = base()
    one = Draft.of("w", files)
    same = "class A(Node):\n    url = 'https://known.example/y'\n    def f(self):\n        return open('y')\n"
    assert one.apply_source(0, "A", "replace", same).ok
    assert find_risks(Changes("w", files, one.files)) == []
    assert one.apply_source(1, "A", "replace", same + "    x = open\n").ok
    (risk,) = find_risks(Changes("w", files, one.files))
    assert (risk.kind, risk.what, risk.groups) == ("file", "open", ("code:A",))


def test_the_graph_can_reach_too() -> None:
    files = base()
    one = Draft.of("w", files)
    ops = [
        {
            "op": "add_node",
            "id": "b",
            "set": {"class": "A", "config": {"to": ["ftp://files.example"], "k": "secret:KEY"}},
        },
        {"op": "connect", "from": "a", "to": "b", "condition": "open('/etc/passwd')"},
        {
            "op": "set_settings",
            "set": {"permissions": {"network": ["api.example"], "write": ["/tmp"], "secrets": ["K2"]}},
        },
    ]
    assert one.apply_graph(0, ops).ok
    assert one.apply_files(1, {"requirements.txt": "# packages\nleftpad==1\n"}).ok
    found = {(risk.kind, risk.what, risk.group) for risk in find_risks(Changes("w", files, one.files))}
    assert found == {
        ("host", "files.example", "node:b"),
        ("secret", "KEY", "node:b"),
        ("file", "open", "node:b"),
        ("host", "api.example", "setting:permissions"),
        ("file", "/tmp", "setting:permissions"),
        ("secret", "K2", "setting:permissions"),
        ("packages", "leftpad==1", "file:requirements.txt"),
    }
    lines = {risk.what: risk.line for risk in find_risks(Changes("w", files, one.files))}
    text = one.files["w.json"].decode().split("\n")
    assert "files.example" in text[lines["files.example"] - 1]
    assert lines["leftpad==1"] == 2


def test_ids_stay_when_lines_move() -> None:
    first = {risk.id for risk in of_code(body("eval(prepared)"))}
    second = {risk.id for risk in of_code("# more\n\n\n" + body("pass", "eval(prepared)"))}
    assert first == second
    assert len(first) == 1


def test_the_risks_of_a_part_are_those_of_what_it_brings() -> None:
    files = base()
    one = Draft.of("w", files)
    nodes = [{"op": "add_node", "id": name, "set": {"class": "B"}} for name in ("b", "c")]
    assert one.apply_graph(0, nodes).ok
    assert one.apply_source(1, "B", "add", body("eval(prepared)")).ok
    changes = Changes("w", files, one.files)
    for name in ("node:b", "node:c"):
        assert [risk.what for risk in risks_of(changes, [name])] == ["eval"]
    assert risks_of(changes, []) == []
    assert [risk.what for risk in risks_of(changes, None)] == ["eval"]
