"""One Python file read from its syntax tree: which names it binds and what its classes look like."""

from __future__ import annotations

import ast
import contextlib
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, overload

_LINE_END = re.compile(r"\r\n|\r|\n")
_parsing = threading.Lock()


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """Why a text is not Python; lines and columns from 1, 0 where they are not known."""

    message: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class as it stands in the code.

    Lines count from 1; `source` is its text with decorators; `bases` are dotted names as written, the empty text for
    an expression.
    """

    name: str
    file: str
    line: int
    end_line: int
    source: str
    doc: str
    methods: tuple[str, ...]
    bases: tuple[str, ...]
    targets: frozenset[str] = frozenset()
    """Node ids that the class goes to by itself: `self.goto("id")`, or an agent's `return "id"`."""
    routes: bool = False
    """True where the class chooses the next node itself."""
    routes_anywhere: bool = False
    """True where it works out at run time which node that is."""


@dataclass(frozen=True, slots=True)
class Import:
    """What an imported name stands for: `from .a import b` is level 1, a.b; `import a.b` binds `a` to a."""

    level: int
    dotted: str
    line: int = 0

    def __str__(self) -> str:
        return "." * self.level + self.dotted


@dataclass(slots=True)
class Module:
    """What one file binds at its top level; `loaded` is every module that importing it imports."""

    file: str
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    loaded: list[Import] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)


@overload
def parse_python(text: str, mode: Literal["exec"] = "exec") -> ast.Module | SyntaxProblem: ...
@overload
def parse_python(text: str, mode: Literal["eval"]) -> ast.Expression | SyntaxProblem: ...
def parse_python(text: str, mode: Literal["exec", "eval"] = "exec") -> ast.Module | ast.Expression | SyntaxProblem:
    """The syntax tree of a file or an expression, or why there is none."""
    try:
        with _silently():
            tree = ast.parse(text, mode=mode)
    except SyntaxError as error:
        return SyntaxProblem(error.msg, error.lineno or 0, error.offset or 0)
    except (RecursionError, MemoryError):
        return SyntaxProblem("nested too deeply for Python")
    except ValueError:
        offset = max(0, text.find("\0"))
        return SyntaxProblem("a NUL character", text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))
    assert isinstance(tree, ast.Module | ast.Expression)
    return tree


def compile_problem(text: str, file: str) -> SyntaxProblem | None:
    """Why Python can't compile a file: that finds what its syntax tree does not show, such as a return in no function.

    Nothing of it is executed.
    """
    tree = parse_python(text)
    if isinstance(tree, SyntaxProblem):
        return tree
    try:
        with _silently():
            compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        return SyntaxProblem(error.msg, error.lineno or 0, error.offset or 0)
    except (RecursionError, MemoryError, ValueError):
        return SyntaxProblem("nested too deeply for Python")
    return None


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """Let Python's compiler say nothing on stderr."""
    # The filters of warnings belong to the whole process, so two threads must not swap them at once.
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_module(file: str, text: str, tree: ast.Module) -> Module:
    """The names that a file binds when it is imported, whatever branch of an `if` or `try` binds them."""
    lines = _LINE_END.split(text)
    module = Module(file)
    for node in _at_import(tree):
        if isinstance(node, ast.ClassDef):
            # Of two classes with one name the later stands, as in Python.
            known = module.classes.get(node.name)
            if known is None or known.line <= node.lineno:
                module.classes[node.name] = _read_class(file, lines, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            module.assigned.add(node.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module.loaded.append(Import(0, alias.name))
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                module.imports[alias.asname or bound] = Import(0, bound)
        elif isinstance(node, ast.ImportFrom):
            _read_from_import(module, node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            module.assigned.add(node.id)
    return module


def _read_from_import(module: Module, node: ast.ImportFrom) -> None:
    package = Import(node.level, node.module or "", node.lineno)
    for alias in node.names:
        if alias.name == "*":
            module.loaded.append(package)
            module.stars.append(package)
        else:
            item = Import(node.level, f"{package.dotted}.{alias.name}" if package.dotted else alias.name, node.lineno)
            module.loaded.append(item)
            module.imports[alias.asname or alias.name] = item


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Every part of a file that is executed when it is imported, the bodies of classes and functions left out."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _read_class(file: str, lines: list[str], node: ast.ClassDef) -> ClassInfo:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    end = node.end_lineno or node.lineno
    methods = tuple(part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
    source = "\n".join(lines[first - 1 : end])
    targets = _targets(node, source)
    return ClassInfo(
        name=node.name,
        file=file,
        line=node.lineno,
        end_line=end,
        source=source,
        doc=ast.get_docstring(node) or "",
        methods=methods,
        bases=tuple(_dotted(base) for base in node.bases),
        targets=frozenset(target for target in targets if target is not None),
        routes=bool(targets),
        routes_anywhere=None in targets,
    )


def _targets(node: ast.ClassDef, source: str) -> list[str | None]:
    """The node ids that a class goes to by itself, with None for one that is worked out at run time."""
    targets: list[str | None] = []
    # Walking a tree is slow and most classes leave routing to the edges, so the text is asked first.
    for part in ast.walk(node) if "goto" in source else ():
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "goto":
            arguments = [*part.args, *(keyword.value for keyword in part.keywords)]
            targets += _texts(arguments[0]) if arguments else [None]
    if "agent" in source and _is_agent(node):
        for method in node.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name == "execute":
                returned = (part.value for part in ast.walk(method) if isinstance(part, ast.Return))
                targets += [text for value in returned if value is not None for text in _texts(value)]
    return targets


def _is_agent(node: ast.ClassDef) -> bool:
    """True for a node of type "agent": the text stands in its `__init__`, or is its class attribute `node_type`."""
    for part in node.body:
        targets = (
            part.targets if isinstance(part, ast.Assign) else [part.target] if isinstance(part, ast.AnnAssign) else []
        )
        is_constructor = isinstance(part, ast.FunctionDef) and part.name == "__init__"
        if not is_constructor and all(_dotted(target) != "node_type" for target in targets):
            continue
        if any(isinstance(value, ast.Constant) and value.value == "agent" for value in ast.walk(part)):
            return True
    return False


def _texts(expression: ast.expr) -> list[str | None]:
    """The texts an expression can be, with None for what is only known at run time."""
    texts: list[str | None] = []
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.IfExp):
            waiting += [part.body, part.orelse]
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            texts.append(part.value)
        elif not (isinstance(part, ast.Constant) and part.value is None):
            texts.append(None)
    return texts


def _dotted(expression: ast.expr) -> str:
    """An expression as a dotted name: `a.b` of a.b and of a.b[int]; the empty text for anything else."""
    part = expression.value if isinstance(expression, ast.Subscript) else expression
    names: list[str] = []
    while isinstance(part, ast.Attribute):
        names.append(part.attr)
        part = part.value
    if not isinstance(part, ast.Name):
        return ""
    return ".".join([part.id, *reversed(names)])
