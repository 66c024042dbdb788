"""The checks before a person sees a proposal."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.assistant.checks import Check, failed, find_ruff, run_checks, run_ruff, warned

GRAPH = b'{"nodes": [{"id": "a", "class": "A"}]}'
HEAD = "from grapheteria import Node\n\n\n"


def checks(code: str, graph: bytes = GRAPH, base: str | None = None) -> dict[str, Check]:
    before = {"w.json": graph, "nodes.py": base.encode()} if base is not None else None
    found = run_checks("w", {"w.json": graph, "nodes.py": code.encode()}, before)
    assert [check.name for check in found] == ["schema", "lint", "compile", "classes", "ruff"]
    assert failed(found) == any(check.status == "failed" for check in found)
    assert all(check.seconds is not None and check.seconds >= 0 for check in found)
    return {check.name: check for check in found}


def test_a_good_workflow_passes_all() -> None:
    code = HEAD + (
        "class A(Node):\n"
        "    async def prepare(self, shared, request_input):\n        return await request_input('?')\n\n"
        "    def execute(self, *parts):\n        return parts\n\n"
        "    def cleanup(self, shared, _, result, more=1):\n        shared['x'] = result\n"
    )
    assert {check.status for check in checks(code).values()} == {"passed"}


def test_a_wrong_shape_of_the_graph_fails_with_its_line() -> None:
    found = checks(HEAD + "class A(Node):\n    pass\n", b'{"nodes": [\n{"id": "a", "class": 3}]}')
    assert found["schema"].status == "failed"
    assert found["schema"].problems[0].path == "w.json:2"


def test_a_class_that_is_not_there_fails_the_lint_and_an_unreached_node_warns() -> None:
    found = checks(HEAD + "class B(Node):\n    pass\n")
    assert (found["lint"].status, found["lint"].problems[0].code) == ("failed", "E104")
    graph = b'{"nodes": [{"id": "a", "class": "A"}, {"id": "b", "class": "A"}]}'
    found = checks(HEAD + "class A(Node):\n    pass\n", graph)
    assert (found["lint"].status, found["lint"].problems[0].code) == ("warned", "W201")
    assert warned(list(found.values()))


@pytest.mark.parametrize("code", ["class A(:\n", "class A:\n    return 1\n", "def f():\n    nonlocal x\n"])
def test_what_python_does_not_take_fails_with_its_line(code: str) -> None:
    found = checks(HEAD + code)
    assert found["compile"].status == "failed"
    assert int(found["compile"].problems[0].path.rpartition(":")[2]) >= 4


@pytest.mark.parametrize(
    "phase",
    [
        "def prepare(self, shared):\n        return 1",
        "def prepare(self, shared, request_input, more):\n        return 1",
        "async def execute(self):\n        return 1",
        "def execute(self, prepared, *, strict):\n        return 1",
        "def execute(self, prepared):\n        yield 1",
        "def cleanup(self, prepared, result):\n        return 1",
        "def cleanup(shared, prepared, result):\n        return 1",
        "@property\n    def execute(self):\n        return 1",
    ],
)
def test_a_phase_that_can_not_be_called_fails_with_how_to_write_it(phase: str) -> None:
    found = checks(HEAD + f"class A(Node):\n    {phase}\n")
    assert found["classes"].status == "failed"
    assert "Write: " in found["classes"].findings[0]


def test_a_class_that_is_no_node_may_have_methods_of_these_names() -> None:
    code = HEAD + "class Tool:\n    def execute(self):\n        return 1\n\n\nclass A(Node):\n    tool = Tool()\n"
    assert checks(code)["classes"].status == "passed"


def test_a_base_that_is_defined_further_down_fails() -> None:
    found = checks(HEAD + "class A(Base):\n    pass\n\n\nclass Base(Node):\n    pass\n")
    assert found["classes"].problems[0].code == "order"


def test_ruff_finds_unknown_names_and_only_warns_of_unused_ones() -> None:
    found = checks(
        HEAD + "class A(Node):\n    def execute(self, prepared):  # noqa\n        return nothing  # noqa: F821\n"
    )
    assert found["ruff"].status == "failed"
    assert found["ruff"].problems[0].code == "F821"
    assert found["ruff"].problems[0].path == "nodes.py:6"
    found = checks("import json\n" + HEAD + "class A(Node):\n    pass\n")
    assert found["ruff"].status == "warned"


def test_what_the_base_had_only_warns() -> None:
    code = HEAD + "class A(Node):\n    def execute(self):\n        return nothing\n"
    found = checks(code + "\n\nclass B(Node):\n    pass\n", base=code)
    assert (found["ruff"].status, found["classes"].status) == ("warned", "warned")
    assert checks(code + "\n\nprint(other)\n", base=code)["ruff"].status == "failed"


def test_the_code_that_is_checked_has_no_say_in_how() -> None:
    files = {
        "nodes.py": b"# ruff: noqa\nprint(nothing)\n",
        "ruff.toml": b"lint.select = []\n",
        "pyproject.toml": b"[tool.ruff]\nexclude = ['*.py']\n",
        "sub/more.py": b"print(other)\n",
    }
    found = run_ruff(files)
    assert [problem.path for problem in found.problems] == ["nodes.py:2", "sub/more.py:1"]


def test_without_ruff_the_check_says_that_it_did_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert find_ruff() is None
    found = run_ruff({"nodes.py": b"x = 1\n"})
    assert (found.status, found.message) == ("not_run", "not run: ruff is not installed")
    assert not failed([found])


@pytest.mark.parametrize("script", ["exit 3", "echo not json", "echo '{}'"])
def test_a_broken_ruff_is_not_taken_for_a_verdict(tmp_path: Path, script: str) -> None:
    program = tmp_path / "ruff"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    found = run_ruff({"nodes.py": b"x = 1\n"}, str(program))
    assert found.status == "not_run"
    assert found.message.startswith("not run: ")


def test_python_says_nothing_of_the_code_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    checks(HEAD + "class A(Node):\n    x = '\\d'\n    y = 1 is 1\n")
    assert capfd.readouterr().err == ""


def test_nothing_that_is_checked_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w').write('ran')\n" + HEAD + "class A(Node):\n    pass\n"
    checks(code)
    assert not trace.exists()
