"""What is checked before a person sees a proposal: nothing here imports or executes what is checked."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.assistant.problem import EditProblem
from core.definition.code_index import ENTRY, Found
from core.definition.load import LoadedWorkflow, load_sources
from core.definition.python_source import compile_problem, parse_python
from core.definition.text import shortened
from core.definition.version import listed_path_problem

Status = Literal["passed", "warned", "failed", "not_run", "skipped"]

RUFF_SECONDS = 10.0
_KEPT = 50
"""Problems that a check lists."""
_SHAPE = frozenset({"E101", "E102", "E103", "E110", "E112", "E113", "E114", "E117"})
"""Findings about the form of the files; all others are about what they say of each other."""
_HARMLESS = frozenset({"F401", "F403", "F405", "F541", "F811", "F841"})
"""What ruff finds that need not be a mistake: what is not used, is written twice, or may come with a star."""

PHASES: dict[str, tuple[str, ...]] = {
    "prepare": ("shared", "request_input"),
    "execute": ("prepared",),
    "cleanup": ("shared", "prepared", "result"),
    "exec_fallback": ("prepared", "error"),
}
"""The phases of a node and what each is called with, after self."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: schema, lint, compile, classes, ruff; elsewhere import and dry run. `seconds` is None if not run."""

    name: str
    status: Status
    message: str = ""
    problems: tuple[EditProblem, ...] = ()
    seconds: float | None = None

    @property
    def findings(self) -> list[str]:
        """The problems, one line each."""
        return [str(problem) for problem in self.problems]


def run_checks(name: str, files: Mapping[str, bytes], base: Mapping[str, bytes] | None = None) -> list[Check]:
    """Every check of a draft's files that executes nothing of them. Blocks for ruff (20 s at most): use a thread.

    What `base` had already, of the shapes of classes and of what ruff finds, warns only.
    """
    begun = time.monotonic()
    loaded = load_sources(name, files)
    seconds = time.monotonic() - begun
    return [
        _findings("schema", loaded, lambda code: code in _SHAPE, seconds),
        _findings("lint", loaded, lambda code: code not in _SHAPE and code != "E109", seconds),
        _timed("compile", lambda: _compile(files)),
        _as_new(_timed("classes", lambda: _classes(loaded)), base, lambda old: _classes(load_sources(name, old))[1]),
        _as_new(run_ruff(files), base, lambda old: run_ruff(old).problems),
    ]


def failed(checks: Sequence[Check]) -> bool:
    """True where one of them failed, so that the files can't be applied."""
    return any(check.status == "failed" for check in checks)


def warned(checks: Sequence[Check]) -> bool:
    """True where one of them found something that does not keep the files from running."""
    return any(check.status == "warned" for check in checks)


def _as_new(
    check: Check, base: Mapping[str, bytes] | None, of_base: Callable[[Mapping[str, bytes]], Iterable[EditProblem]]
) -> Check:
    """A failed check that only warns where the base has all of its problems, too."""
    if check.status != "failed" or not base:
        return check
    known = Counter((problem.code, problem.message) for problem in of_base(base))
    found = Counter((problem.code, problem.message) for problem in check.problems if problem.code not in _HARMLESS)
    if found - known:
        return check
    return replace(check, status="warned", message=f"{check.message}, as before")


# One by one ------------------------------------------------------------------------------------------------------


def _findings(name: str, loaded: LoadedWorkflow, wanted: Callable[[str], bool], seconds: float) -> Check:
    found = [finding for finding in loaded.findings if finding.severity != "note" and wanted(finding.code)]
    status: Status = "passed"
    if found:
        status = "failed" if any(finding.severity == "error" for finding in found) else "warned"
    return _check(name, status, [EditProblem.of(finding) for finding in found], seconds)


def _compile(files: Mapping[str, bytes]) -> tuple[Status, list[EditProblem]]:
    """Every Python file as Python itself reads it: this finds what a syntax tree alone does not."""
    problems = []
    for path, content in sorted(files.items()):
        if not path.endswith(".py"):
            continue
        text = content.decode(errors="replace").removeprefix("\ufeff")
        problem = compile_problem(text, path)
        if problem is not None:
            problems.append(EditProblem("E109", f"Not Python: {problem.message}.", path=f"{path}:{problem.line}"))
    return ("failed" if problems else "passed"), problems


def _classes(loaded: LoadedWorkflow) -> tuple[Status, list[EditProblem]]:
    """The shapes of the classes that the graph names, and of the other nodes beside them."""
    problems: list[EditProblem] = []
    for path, content in sorted(loaded.files.items()):
        tree = parse_python(content.decode(errors="replace").removeprefix("\ufeff")) if path.endswith(".py") else None
        if not isinstance(tree, ast.Module):
            continue
        problems += _used_too_early(path, tree)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and (path != ENTRY or _is_node(loaded, node.name)):
                problems += [
                    problem
                    for part in node.body
                    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name in PHASES
                    if path == ENTRY or _has_node_base(node)
                    for problem in _phase_problems(path, node.name, part)
                ]
    return ("failed" if problems else "passed"), problems


def _is_node(loaded: LoadedWorkflow, name: str) -> bool:
    return loaded.code.has_entry and loaded.code.look_up(name).found in (Found.NODE, Found.ELSEWHERE)


def _has_node_base(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id.endswith("Node") for base in node.bases)


def _phase_problems(path: str, owner: str, phase: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[EditProblem]:
    """What keeps a phase from being called as it is: by position, with self before the rest."""
    place = f"{path}:{phase.lineno}"
    marks = {mark.id for mark in phase.decorator_list if isinstance(mark, ast.Name)}
    expected = f"{'async ' if isinstance(phase, ast.AsyncFunctionDef) else ''}def {phase.name}"
    names = ", ".join(("self", *PHASES[phase.name]))
    hint = f"Write: {expected}({names})"
    if "property" in marks:
        yield EditProblem("shape", f"{owner}.{phase.name} is a property.", path=place, hint=hint)
        return
    given = phase.args
    wanted = len(PHASES[phase.name]) + (0 if "staticmethod" in marks else 1)
    positional = len(given.posonlyargs) + len(given.args)
    needed = positional - len(given.defaults)
    required = [one.arg for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    if needed > wanted or (positional < wanted and given.vararg is None) or required:
        message = f"{owner}.{phase.name} is called with ({names}), which it does not take."
        yield EditProblem("shape", message, path=place, hint=hint)
    if any(isinstance(part, ast.Yield | ast.YieldFrom) for part in _own_parts(phase)):
        yield EditProblem("shape", f"{owner}.{phase.name} yields; a phase returns.", path=place, hint=hint)


def _own_parts(function: ast.AST) -> Iterator[ast.AST]:
    """The parts of a function without those of functions in it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        part = waiting.pop()
        yield part
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)


def _used_too_early(path: str, tree: ast.Module) -> Iterator[EditProblem]:
    """Bases and decorators that are defined only further down, so that the import fails."""
    places = {
        node.name: position
        for position, node in enumerate(tree.body)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for position, node in enumerate(tree.body):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parts = [*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else [])]
        for part in (found for piece in parts for found in ast.walk(piece)):
            if (
                isinstance(part, ast.Name)
                and places.get(part.id, -1) > position
                and not _bound_before(tree, part.id, position)
            ):
                message = f"{node.name} uses {part.id} before it is defined."
                hint = f"Delete {node.name} and add it again: what is added stands last."
                yield EditProblem("order", message, path=f"{path}:{node.lineno}", hint=hint)


def _bound_before(tree: ast.Module, name: str, position: int) -> bool:
    """True where an earlier statement may bind the name, too."""
    for node in tree.body[:position]:
        for part in ast.walk(node):
            if isinstance(part, ast.alias) and (part.asname or part.name.partition(".")[0]) in (name, "*"):
                return True
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id == name:
                return True
            if isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and part.name == name:
                return True
    return False


# ruff ------------------------------------------------------------------------------------------------------------


def run_ruff(files: Mapping[str, bytes], program: str | None = None) -> Check:
    """ruff's E9 and F (syntax, unknown names) over a copy of the Python files; "not run" where there is no ruff."""
    begun = time.monotonic()
    found = program or find_ruff()
    code = {path: content for path, content in files.items() if path.endswith(".py") and not listed_path_problem(path)}
    if found is None:
        return Check("ruff", "not_run", "not run: ruff is not installed")
    if not code:
        return Check("ruff", "passed", "no code", seconds=0.0)
    try:
        with tempfile.TemporaryDirectory(prefix="rondo-check-") as folder:
            entries = _ruff_over(found, Path(folder), code)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Check("ruff", "not_run", shortened(f"not run: {_why(error)}"))
    problems = [_ruff_problem(entry) for entry in entries]
    harmless = all(problem.code in _HARMLESS for problem in problems)
    status: Status = "passed" if not problems else "warned" if harmless else "failed"
    return _check("ruff", status, problems, time.monotonic() - begun)


def find_ruff() -> str | None:
    """The ruff that came with this program, else one on the path."""
    beside = Path(sys.executable).parent / "ruff"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("ruff")


def _ruff_over(program: str, folder: Path, code: Mapping[str, bytes]) -> list[dict[str, Any]]:
    for path, content in code.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    # Isolated, and without noqa: what is checked has no say in how.
    done = subprocess.run(
        [
            program,
            "check",
            "--isolated",
            "--no-cache",
            "--ignore-noqa",
            "--exit-zero",
            "--quiet",
            "--select=E9,F",
            "--target-version=py311",
            "--output-format=json",
            ".",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=RUFF_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(done.returncode, shortened(done.stderr.decode(errors="replace").strip() or "ruff failed"))
    entries = json.loads(done.stdout or b"[]")
    if not isinstance(entries, list):
        raise ValueError("ruff answered with something else than a list")
    for entry in entries:
        entry["filename"] = os.path.relpath(entry["filename"], os.path.realpath(folder))
    return entries


def _ruff_problem(entry: Mapping[str, Any]) -> EditProblem:
    place = entry.get("location") or {}
    code = str(entry.get("code") or "E999")
    return EditProblem(code, str(entry.get("message", "")), path=f"{entry['filename']}:{place.get('row', 0)}")


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"ruff took longer than {RUFF_SECONDS:.0f} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


# Results ---------------------------------------------------------------------------------------------------------


def _timed(name: str, check: Callable[[], tuple[Status, list[EditProblem]]]) -> Check:
    begun = time.monotonic()
    status, problems = check()
    return _check(name, status, problems, time.monotonic() - begun)


def _check(name: str, status: Status, problems: Sequence[EditProblem], seconds: float) -> Check:
    message = ""
    if problems:
        message = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return Check(name, status, message, tuple(problems[:_KEPT]), seconds)
