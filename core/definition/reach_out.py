"""What a workflow's code asks of the world: tools and their actions, models, secrets. Read, not run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.definition.python_source import SyntaxProblem, parse_python

_SECRET = re.compile(r"\bsecret:([A-Za-z_][A-Za-z0-9_.-]*)")
_DEFAULT_ROLE = "executor"


@dataclass(slots=True)
class ReachOut:
    """What stands in the code as plain text; what is put together at run time can't be seen.

    Places are "file:line", the first of each.
    """

    tools: dict[str, str] = field(default_factory=dict)
    """Tools that are named, by name."""
    actions: dict[tuple[str, str], str] = field(default_factory=dict)
    """Actions that are called: (tool, action)."""
    registered: set[str] = field(default_factory=set)
    """Tools of one's own that the code registers."""
    models: dict[tuple[str, str], str] = field(default_factory=dict)
    """Models that are asked: (role, model), one of them empty."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Secrets that calls of addresses refer to."""


def reach_out(files: Mapping[str, bytes]) -> ReachOut:
    """Look through the Python files of a version; one that is not Python is left out."""
    found = ReachOut()
    for file, content in files.items():
        if file.endswith(".py"):
            tree = parse_python(content.decode("utf-8", "replace"))
            if not isinstance(tree, SyntaxProblem):
                _look_through(file, tree, found)
    return found


def _look_through(file: str, tree: ast.Module, found: ReachOut) -> None:
    names = _names_of_tools(tree)
    for node in ast.walk(tree):
        place = f"{file}:{getattr(node, 'lineno', 0)}"
        if (tool := _tool_of(node)) is not None:
            found.tools.setdefault(tool, place)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            _look_at_call(node, node.func, names, place, found)


def _look_at_call(call: ast.Call, called: ast.Attribute, names: Mapping[str, str], place: str, found: ReachOut) -> None:
    given = [_text(argument) for argument in call.args]
    if called.attr == "register_tool" and given and given[0]:
        found.registered.add(given[0])
        return
    tool = _tool_of(called.value)
    if tool is None and isinstance(called.value, ast.Name):
        tool = names.get(called.value.id)
    if tool is not None:
        found.actions.setdefault((tool, called.attr), place)
    elif not _is_self(called.value):
        return
    elif called.attr == "tool":
        keywords = _keywords(call)
        name = given[0] if given else keywords.get("name")
        action = given[1] if len(given) > 1 else keywords.get("action")
        if name:
            found.tools.setdefault(name, place)
        if name and action:
            found.actions.setdefault((name, action), place)
    elif called.attr == "llm":
        keywords = _keywords(call)
        model = keywords.get("model") or ""
        # A role or a model that is worked out at run time is not known here.
        if all(text is not None for name, text in keywords.items() if name in ("role", "model")):
            role = "" if model else keywords.get("role") or _DEFAULT_ROLE
            found.models.setdefault((role, model), place)
    elif called.attr == "http":
        for name in _secrets_in(call):
            found.secrets.setdefault(name, place)


def _names_of_tools(tree: ast.Module) -> dict[str, str]:
    """Variables that stand for one tool wherever they are set: `gmail = shared["tools"]["gmail"]`."""
    known: dict[str, str | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        tool = _tool_of(value)
        for target in targets:
            if isinstance(target, ast.Name):
                known[target.id] = tool if known.get(target.id, tool) == tool else None
    return {name: tool for name, tool in known.items() if tool is not None}


def _tool_of(node: ast.AST) -> str | None:
    """The tool that `shared["tools"]["gmail"]` or `self.tools["gmail"]` names."""
    if not isinstance(node, ast.Subscript):
        return None
    inner = node.value
    whole = (isinstance(inner, ast.Subscript) and _text(inner.slice) == "tools") or (
        isinstance(inner, ast.Attribute) and inner.attr == "tools" and _is_self(inner.value)
    )
    return _text(node.slice) if whole else None


def _keywords(call: ast.Call) -> dict[str, str | None]:
    return {keyword.arg: _text(keyword.value) for keyword in call.keywords if keyword.arg is not None}


def _secrets_in(call: ast.Call) -> Iterator[str]:
    for node in ast.walk(call):
        text = _text(node)
        if text:
            yield from _SECRET.findall(text)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
