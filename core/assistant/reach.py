"""What a piece of Python can reach outside of the run's state, as far as its syntax tree shows."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["host", "import", "process", "eval", "file", "environment", "packages", "secret"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS_MODULES = _words(
    """__future__ abc base64 bisect calendar cmath collections contextlib copy csv dataclasses datetime decimal difflib
    enum fractions functools graphlib hashlib heapq hmac html itertools json logging math numbers pprint random re
    secrets statistics string textwrap time typing typing_extensions unicodedata uuid zoneinfo asyncio collections.abc
    urllib.parse html.parser html.entities grapheteria core core.sdk"""
)
"""What these can do is shown where it is used: `asyncio` can start programs, `logging` can write files."""

_MODULES: dict[str, Kind] = {
    **dict.fromkeys(("subprocess", "multiprocessing", "pty", "signal", "_posixsubprocess"), "process"),
    **dict.fromkeys(("ctypes", "cffi", "pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"), "eval"),
    **dict.fromkeys(("importlib", "runpy", "code", "codeop", "builtins", "imp", "pkgutil", "types", "gc"), "eval"),
    **dict.fromkeys(("socket", "_socket", "socketserver", "ssl"), "host"),
    **dict.fromkeys(("shutil", "tempfile", "glob", "fileinput", "sqlite3", "dbm", "zipfile", "tarfile"), "file"),
    "dotenv": "environment",
}
"""Modules whose import says by itself what they are for; any other is of kind import."""

_NAMES: dict[str, Kind] = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "breakpoint", "globals", "vars", "__builtins__"), "eval"),
    **dict.fromkeys(("__loader__", "__spec__", "sys.modules", "sys._getframe", "sys.settrace", "sys.path"), "eval"),
    **dict.fromkeys(("open", "io.open", "io.FileIO", "io.open_code", "os.fdopen"), "file"),
    **dict.fromkeys(
        ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"), "environment"
    ),
    **dict.fromkeys(("os.system", "os.popen", "os.fork", "os.forkpty", "os.kill", "os.killpg"), "process"),
    **dict.fromkeys(("os.startfile", "os.posix_spawn", "os.posix_spawnp", "os._exit", "os.abort"), "process"),
    **dict.fromkeys(("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"), "process"),
    **dict.fromkeys(("asyncio.open_connection", "asyncio.start_server"), "host"),
    **dict.fromkeys(("asyncio.open_unix_connection", "asyncio.start_unix_server"), "host"),
}
_PREFIXES: dict[str, Kind] = {"os.exec": "process", "os.spawn": "process", "asyncio.subprocess": "process"}
_OS_FILES = _words(
    """open remove unlink rename renames replace mkdir makedirs rmdir removedirs chmod chown link symlink truncate
    listdir scandir walk fwalk mkfifo mknod chdir utime sendfile readlink"""
)
_FILE_METHODS = _words(
    """write_text write_bytes read_text read_bytes unlink rmdir mkdir touch symlink_to hardlink_to iterdir rglob
    FileHandler RotatingFileHandler TimedRotatingFileHandler open"""
)
_LOOP_METHODS: dict[str, Kind] = {
    "subprocess_exec": "process",
    "subprocess_shell": "process",
    "create_connection": "host",
    "create_datagram_endpoint": "host",
    "sock_connect": "host",
}
_INNER_NAMES = _words(
    """__subclasses__ __globals__ __builtins__ __code__ __import__ __loader__ __spec__ __mro__ __bases__ __base__
    __getattribute__ __reduce__ __reduce_ex__ f_globals f_locals gi_frame cr_frame tb_frame"""
)
_BY_NAME = frozenset({"getattr", "setattr", "delattr", "attrgetter", "methodcaller"})

_ADDRESS = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://([^\s/?#\"'<>\\]*)")
_IP = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?")
_SECRET = re.compile(r"\bsecret:([A-Za-z_][\w.-]*)")
_COMPUTED = "an address worked out at run time"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that code can reach, and the line where it stands."""

    kind: Kind
    what: str
    line: int


class Reach:
    """What names mean in a file: those of modules and of what was imported from them."""

    def __init__(self, tree: ast.Module, own: Collection[str]) -> None:
        self.own = own
        self.names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    head = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.names[alias.asname or head] = head
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node: ast.expr) -> str:
        """An expression as the dotted name that it means; the empty text for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.names.get(node.id, node.id), *reversed(parts)]).removeprefix("builtins.")


def reach_of_code(tree: ast.AST, reach: Reach) -> Iterator[Found]:
    """Everything that a piece of code can reach, in the order of its lines."""
    docs = _docstrings(tree)
    found: list[Found] = []
    inside: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in inside or id(node) in docs:
            continue
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [Found(kind, what, line) for kind, what in _imported(node, reach)]
        elif isinstance(node, ast.Attribute | ast.Name):
            if isinstance(node, ast.Attribute) and reach.dotted(node):
                inside |= {id(part) for part in ast.walk(node) if part is not node}
            found += [Found(kind, what, line) for kind, what in _named(node, reach)]
        elif isinstance(node, ast.Call):
            found += [Found("eval", what, line) for what in _by_name(node, reach)]
        elif isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            found += [Found(kind, what, line) for kind, what in reach_of_text(_joined(node))]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            found += [Found(kind, what, line) for kind, what in reach_of_text(text)]
    yield from sorted(found, key=lambda one: one.line)


def reach_of_text(text: str) -> Iterator[tuple[Kind, str]]:
    """The hosts and secrets that a text names."""
    for match in _ADDRESS.finditer(text):
        host = match[1].rpartition("@")[2].lower()
        yield "host", _COMPUTED if not host or "{" in host else host
    if _IP.fullmatch(text.strip()):
        yield "host", text.strip()
    for match in _SECRET.finditer(text):
        yield "secret", match[1]


def _imported(node: ast.Import | ast.ImportFrom, reach: Reach) -> Iterator[tuple[Kind, str]]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif node.level:
        return
    else:
        module = node.module or ""
        modules = [f"{module}.{alias.name}" for alias in node.names] if module == "urllib" else [module]
    for module in modules:
        head = module.partition(".")[0]
        if head in reach.own or module in HARMLESS_MODULES:
            continue
        yield _MODULES.get(head, "import"), f"import {module}"


def _named(node: ast.Attribute | ast.Name, reach: Reach) -> Iterator[tuple[Kind, str]]:
    """What the use of a name, or of a part of something, can reach."""
    if isinstance(node.ctx, ast.Store) and isinstance(node, ast.Name):
        return
    dotted = reach.dotted(node)
    kind = _NAMES.get(dotted)
    if kind is None and dotted.startswith("os.") and dotted.removeprefix("os.") in _OS_FILES:
        kind = "file"
    if kind is None:
        kind = next((found for prefix, found in _PREFIXES.items() if dotted.startswith(prefix)), None)
    head = dotted.partition(".")[0]
    if kind is None and "." in dotted and head in sys.stdlib_module_names:
        kind = _MODULES.get(head)
    if kind is not None:
        yield kind, dotted
        return
    if isinstance(node, ast.Attribute):
        if node.attr in _INNER_NAMES:
            yield "eval", f".{node.attr}"
        elif node.attr in _FILE_METHODS:
            yield "file", f".{node.attr}"
        elif node.attr in _LOOP_METHODS:
            yield _LOOP_METHODS[node.attr], f".{node.attr}"


def _by_name(node: ast.Call, reach: Reach) -> Iterator[str]:
    """Attributes that are found by a name which only the run knows, or by one that leads into Python itself."""
    name = reach.dotted(node.func).rpartition(".")[2]
    if name not in _BY_NAME:
        return
    asked = node.args[1:2] if name.endswith("attr") else node.args
    for argument in asked:
        if not isinstance(argument, ast.Constant):
            yield f"{name} with a name worked out at run time"
        elif isinstance(argument.value, str) and argument.value.startswith("__"):
            yield f"{name} of {argument.value}"


def _joined(node: ast.JoinedStr) -> str:
    """The text of an f-string, with {} for what is filled in."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _docstrings(tree: ast.AST) -> set[int]:
    """The texts that only describe: an address in them reaches nothing."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.add(id(first.value))
    return found
