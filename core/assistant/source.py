"""Whole classes, functions and constants of a Python file, edited so that everything else keeps its bytes."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

from core.assistant.problem import EditProblem, EditRefused
from core.assistant.source_text import (
    Definition,
    SourceEditor,
    SourceText,
    bound_names,
    head_imports,
    module_of,
    names_used,
)
from core.definition.text import did_you_mean, shortened
from core.definition.version import listed_path_problem

CODE_LIMIT = 200_000
"""Most characters of one definition."""

SOURCE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "base_rev": {"type": "integer"},
        "class": {"type": "string", "description": "class, function or constant at the top level of nodes.py"},
        "mode": {"enum": ["add", "replace", "delete"]},
        "code": {"type": "string", "description": "the whole definition; it may begin with the imports it needs"},
        "why": {"type": "string"},
    },
    "required": ["base_rev", "class", "mode", "why"],
    "additionalProperties": False,
}
"""JSON Schema of a change of code, for a model's tool."""


def apply_definition(
    files: Mapping[str, bytes], file: str, name: str, mode: Literal["add", "replace", "delete"], code: str
) -> dict[str, bytes]:
    """The files with a definition added, replaced or deleted; raises EditRefused.

    The imports that the code begins with are merged into those of the file. What of Python's own library only the old
    text used is no longer imported.
    """
    _check(file, name, mode, code)
    if mode != "add" and file not in files:
        raise EditRefused(EditProblem("E110", f"{file} is not there.", path=file))
    source = SourceText.of(file, files.get(file))
    if name in source.glued:
        hint = "It must be mended by hand."
        raise EditRefused(EditProblem("line", f"{name!r} shares its line with something else.", path=file, hint=hint))
    there = source.last(name)
    editor = SourceEditor(source)
    if mode == "add":
        _check_free(source, name, there)
    elif there is None:
        hint = did_you_mean(name, [item.name for item in source.definitions])
        raise EditRefused(EditProblem("E104", f"{file} has no {name!r} at its top level.", path=file, hint=hint))
    given: SourceText | None = None
    imports: list[str] = []
    if mode == "delete":
        assert there is not None
        editor.delete(there)
    else:
        given, text = _given(name, code)
        imports = _missing_imports(source, given)
        editor.add_imports(imports)
        if there is not None and mode == "replace":
            editor.replace(there, text)
        else:
            _insert(editor, source, given, text)
    if there is not None:
        _drop_unused(editor, source, there, given)
    content = editor.content()
    SourceText.of(file, content)
    return {**files, file: content}


def read_definition(files: Mapping[str, bytes], file: str, name: str) -> str | None:
    """The text of a definition with the comments above it; None where there is none. Raises EditRefused."""
    source = SourceText.of(file, files.get(file))
    found = source.last(name)
    return source.text_of(found) if found is not None else None


def _check(file: str, name: str, mode: str, code: str) -> None:
    problem = listed_path_problem(file) if isinstance(file, str) else "is not a path"
    if problem or not file.endswith(".py"):
        raise EditRefused(EditProblem("path", f"{shortened(str(file), 80)!r} {problem or 'is not a Python file'}."))
    if mode not in ("add", "replace", "delete"):
        raise EditRefused(EditProblem("mode", "mode must be add, replace or delete.", path="mode"))
    if not isinstance(name, str) or not name.isidentifier():
        raise EditRefused(EditProblem("name", f"{shortened(str(name), 80)!r} is not a name.", path="class"))
    if mode != "delete" and (not isinstance(code, str) or not code.strip()):
        raise EditRefused(EditProblem("code", "There is no code.", path="code"))
    if mode != "delete" and len(code) > CODE_LIMIT:
        raise EditRefused(EditProblem("limit", f"The code has more than {CODE_LIMIT} characters.", path="code"))


def _check_free(source: SourceText, name: str, there: Definition | None) -> None:
    if there is not None:
        message = f"{source.file} has {name!r} already."
        raise EditRefused(EditProblem("exists", message, path=source.file, hint='Use mode "replace".'))
    if any(name in bound_names(item.node) for item in source.imports):
        raise EditRefused(EditProblem("exists", f"{source.file} imports another {name!r}.", path=source.file))


def _given(name: str, code: str) -> tuple[SourceText, str]:
    """The code read, and the text of the one definition in it."""
    try:
        code.encode()
    except UnicodeEncodeError:
        raise EditRefused(EditProblem("code", "The code is not valid Unicode.", path="code")) from None
    plain = re.sub(r"\r\n|\r", "\n", code.removeprefix("\ufeff"))
    given = SourceText.of_text("code", plain)
    body = [node for node in given.tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    named = given.last(name)
    if len(body) != 1 or named is None or body[0] is not named.node:
        raise EditRefused(_not_one(name, given, body))
    imports = [item for item in given.tree.body if item is not body[0]]
    if any(item.lineno > body[0].lineno for item in imports) or len(imports) != len(given.imports):
        message = "The imports must stand first, each on its own line and once."
        raise EditRefused(EditProblem("code", message, path="code"))
    start = max((item.end for item in given.imports), default=0)
    lines = plain[start:].strip("\n").split("\n")
    # Comments that stand above the definition belong to it, so no blank line may part them from it.
    head = next((position for position, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    lines = [line for line in lines[:head] if line.strip()] + lines[head:]
    return given, "\n".join(lines).rstrip()


def _not_one(name: str, given: SourceText, body: list[ast.stmt]) -> EditProblem:
    """What is wrong with code that is not one definition of this name."""
    names = [item.name for item in [*given.definitions, *given.doubled]]
    hint = "Give the imports it needs and this one definition; others by calls of their own."
    if not names:
        return EditProblem("code", f"The code does not define {name!r}.", path="code", hint=hint)
    if len(body) == 1:
        return EditProblem("code", f"The code defines {names[0]!r}, not {name!r}.", path="code", hint=hint)
    others = ", ".join(repr(other) for other in names if other != name) or "other statements"
    message = f"The code holds more than {name!r}: {others}."
    return EditProblem("code", shortened(message), path="code", hint=hint)


def _missing_imports(source: SourceText, given: SourceText) -> list[str]:
    """The imports of the code that the file does not have; raises EditRefused where a name means something else."""
    known: dict[str, str] = {}
    for item in source.imports:
        known |= bound_names(item.node)
    missing = []
    for item in given.imports:
        names = bound_names(item.node)
        if not any(name in known for name in names):
            # One statement stays one, where all of it is new.
            names = dict.fromkeys(names, item.text)
        for name, text in names.items():
            if source.last(name) is not None or name in source.glued:
                raise EditRefused(EditProblem("exists", f"{source.file} defines {name!r} itself.", path="code"))
            if known.get(name, text) != text:
                message = f"{name!r} means something else in {source.file}: {known[name]}."
                raise EditRefused(EditProblem("exists", message, path="code", hint="Import it under another name."))
            if name not in known:
                known[name] = text
                missing += [text] if text not in missing else []
    return missing


def _insert(editor: SourceEditor, source: SourceText, given: SourceText, text: str) -> None:
    """Add a definition: a constant above all that may use it when the file is imported, the rest at the end."""
    constant = not isinstance(given.definitions[0].node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    first = source.definitions[0] if source.definitions else None
    if constant and first is not None:
        editor.insert(text, None, before=first)
        return
    guard = source.tree.body[-1] if source.tree.body else None
    if isinstance(guard, ast.If) and "__name__" in names_used(guard.test) and source.definitions:
        editor.insert(text, source.definitions[-1])
        return
    editor.insert(text, None)


def _drop_unused(editor: SourceEditor, source: SourceText, old: Definition, new: SourceText | None) -> None:
    """Take out imports of Python's own library that nothing uses any more; an import may act for those of others."""
    used_before = names_used(old.node)
    others = [node for node in source.tree.body if node is not old.node]
    used = set().union(*(names_used(node) for node in others), names_used(new.tree) if new is not None else set())
    for item in head_imports(source):
        names = bound_names(item.node)
        bound = {name.partition(".")[0] for name in names}
        module = module_of(item.text)
        if module in sys.stdlib_module_names and module != "__future__" and bound <= used_before and not bound & used:
            editor.delete(item)
