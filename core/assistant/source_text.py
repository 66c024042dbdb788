"""A Python file cut into its definitions, its imports and the rest, and put together again.

A definition is a class, a function or a constant (`NAME = ...`) at the top level, with its decorators and the comments
directly above it. Whatever is not replaced keeps its bytes: line ends, tabs, byte order mark, a missing last newline.
"""

from __future__ import annotations

import ast
import re
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from core.assistant.problem import EditProblem, EditRefused
from core.definition.python_source import SyntaxProblem, parse_python

_LINE_END = re.compile(r"\r\n|\r|\n")
_FIRST_LINES = re.compile(r"#!|#.*coding[:=]")
_BLANK_LINE = re.compile(r"[ \t\f]*(?:\r\n|\r|\n)")
_BLANK_LINES = re.compile(rf"(?:{_BLANK_LINE.pattern})*")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition and where it stands: whole lines, offsets in characters."""

    name: str
    start: int
    end: int
    node: ast.stmt


@dataclass(frozen=True, slots=True)
class ImportLine:
    """An import statement that has its lines for itself; `text` is its plain form."""

    text: str
    start: int
    end: int
    node: ast.Import | ast.ImportFrom


@dataclass(slots=True)
class _Splice:
    start: int
    end: int
    text: str


@dataclass(slots=True)
class SourceText:
    """A file read; `definitions` and `imports` are in the order of the file. Raises EditRefused for what can't be read.

    A name that is bound twice counts as a part of the rest, but for `last`, which finds what stands in Python's eyes.
    """

    file: str
    text: str
    mark: str = ""
    newline: str = "\n"
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))
    definitions: list[Definition] = field(default_factory=list)
    imports: list[ImportLine] = field(default_factory=list)
    doubled: list[Definition] = field(default_factory=list)
    """Definitions of names that are bound more than once."""
    glued: set[str] = field(default_factory=set)
    """Names of definitions that share a line with something else."""

    @classmethod
    def of(cls, file: str, content: bytes | None) -> SourceText:
        """A file's content; None is an empty file."""
        try:
            text = (content or b"").decode()
        except UnicodeDecodeError as error:
            line = (content or b"").count(b"\n", 0, error.start) + 1
            raise EditRefused(EditProblem("E112", "Not UTF-8 text.", path=f"{file}:{line}")) from None
        mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        return cls.of_text(file, text.removeprefix(BYTE_ORDER_MARK), mark)

    @classmethod
    def of_text(cls, file: str, text: str, mark: str = "") -> SourceText:
        """A file's text without its byte order mark."""
        tree = parse_python(text)
        if isinstance(tree, SyntaxProblem):
            message = f"Not Python: {tree.message}."
            raise EditRefused(EditProblem("E109", message, path=f"{file}:{tree.line}"))
        ends = Counter(_LINE_END.findall(text))
        newline = max(ends, key=lambda end: ends[end]) if ends else "\n"
        source = cls(file, text, mark, newline, tree)
        source._cut()
        return source

    def last(self, name: str) -> Definition | None:
        """The definition that a name has in the end."""
        found = [item for item in [*self.definitions, *self.doubled] if item.name == name]
        return max(found, key=lambda item: item.start) if found else None

    def text_of(self, item: Definition | ImportLine) -> str:
        """A definition or an import as it stands, without the last line end."""
        return _without_end(self.text[item.start : item.end])

    def units(self) -> dict[tuple[str, str], str]:
        """What the file is made of: ("def", name), ("import", plain form) and ("rest", ""), each with its text.

        Blank lines between parts, and the kind of the line ends, belong to none.
        """
        units = {("import", item.text): item.text for item in self.imports}
        units |= {("def", item.name): _with_plain_ends(self.text_of(item)) for item in self.definitions}
        units["rest", ""] = self.rest()
        return units

    def rest(self) -> str:
        """What is neither a definition nor an import, without the blank lines between statements and comments."""
        lines = _line_starts(self.text)
        left_out = [(item.start, item.end) for item in self.definitions] + [
            (item.start, item.end) for item in self.imports
        ]
        inside: set[int] = set()
        for node in self.tree.body:
            inside |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        covered = {number for start, end in left_out for number in _numbers(lines, start, end)}
        texts = [
            _without_end(self.text[start:stop])
            for number, (start, stop) in enumerate(pairwise(lines), 1)
            if number not in covered and (number in inside or self.text[start:stop].strip())
        ]
        return "\n".join(texts)

    def lines_above(self, item: Definition) -> list[str]:
        """The lines, without blanks, between a definition and the one above it; those above the first are its head."""
        above = [other.end for other in self.definitions if other.end <= item.start]
        between = self.text[max(above) : item.start] if above else ""
        return [line.strip() for line in between.splitlines() if line.strip()]

    # Cutting -----------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Find definitions and imports, and which lines belong to them."""
        lines = _line_starts(self.text)
        body = self.tree.body
        first = [min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", ()))]) for node in body]
        last = [node.end_lineno or node.lineno for node in body]
        found: list[Definition] = []
        free_from = 1
        for position, node in enumerate(body):
            above, below = first[position], last[position]
            shares = (position > 0 and last[position - 1] >= above) or (
                position + 1 < len(body) and first[position + 1] <= below
            )
            name = _defined(node)
            if shares:
                self.glued |= {name} if name else set()
                free_from = below + 1
                continue
            limit = first[position + 1] if position + 1 < len(body) else len(lines)
            if isinstance(node, ast.Import | ast.ImportFrom):
                start, end = lines[above - 1], lines[below]
                self.imports.append(ImportLine(ast.unparse(node), start, end, node))
            elif name:
                above = self._with_comments(lines, above, free_from)
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    below = self._with_inner_comments(lines, below, limit)
                found.append(Definition(name, lines[above - 1], lines[below], node))
            free_from = below + 1
        counted = Counter([item.name for item in found] + [item.text for item in self.imports])
        self.definitions = [item for item in found if counted[item.name] == 1 and item.name not in self.glued]
        self.doubled = [item for item in found if counted[item.name] > 1 and item.name not in self.glued]
        self.imports = [item for item in self.imports if counted[item.text] == 1]

    def _with_comments(self, lines: list[int], line: int, free_from: int) -> int:
        """The first line of the comments directly above a line."""
        while line - 1 >= free_from:
            above = self.text[lines[line - 2] : lines[line - 1]]
            if not above.startswith("#") or (line - 1 <= 2 and _FIRST_LINES.match(above)):
                break
            line -= 1
        return line

    def _with_inner_comments(self, lines: list[int], line: int, limit: int) -> int:
        """The last line of the indented comments that end a body, which no syntax tree has."""
        end = line
        for below in range(line + 1, limit):
            text = self.text[lines[below - 1] : lines[below]]
            if text.strip() and not (text[0] in " \t" and text.lstrip().startswith("#")):
                break
            end = below if text.strip() else end
        return end


class SourceEditor:
    """Changes of a file, gathered and made at once."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self._splices: list[_Splice] = []
        self._ends_file = False

    def replace(self, item: Definition, text: str) -> None:
        """Give a definition another text."""
        old = self.source.text[item.start : item.end]
        self._splices.append(_Splice(item.start, item.end, self._own(text) + old[len(_without_end(old)) :]))

    def delete(self, item: Definition | ImportLine) -> None:
        """Take a definition or an import out, with the blank lines below it."""
        text, start, end = self.source.text, item.start, item.end
        below = _BLANK_LINES.match(text, end)
        after = below.end() if below else end
        if isinstance(item, Definition):
            end = after
        elif after > end:
            start, end = self._without_gap(start, end, after)
        self._ends_file = self._ends_file or end >= len(self.source.text)
        self._splices.append(_Splice(start, end, ""))

    def _without_gap(self, start: int, end: int, after: int) -> tuple[int, int]:
        """The place of an import with the blank lines of one side, where it stands between blank lines."""
        text = self.source.text
        above = len(text[:start].rstrip())
        if not above:
            return start, after
        line_end = _BLANK_LINE.match(text, above)
        gap = line_end.end() if line_end else start
        if gap >= start:
            return start, end
        few_above = _newlines_at_end(text[:start]) - 1 < len(_LINE_END.findall(text[end:after]))
        return (gap, end) if few_above else (start, after)

    def insert(self, text: str, after: Definition | None, before: Definition | None = None) -> None:
        """Put a definition in after another one, or before one, or at the end of the file."""
        newline = self.source.newline
        body = self._own(text) + newline
        if after is None and before is not None:
            self._splices.append(_Splice(before.start, before.start, body + newline * 2))
            return
        self.insert_at(text, after.end if after is not None else len(self.source.text))

    def insert_at(self, text: str, place: int) -> None:
        """Put a definition in below a line, with two blank lines above it."""
        newline = self.source.newline
        put_in = (splice.text for splice in self._splices if splice.start == splice.end == place)
        above, below = self.source.text[:place] + "".join(put_in), self.source.text[place:]
        missing = newline * max(0, 3 - _newlines_at_end(above)) if above.strip() else ""
        parted = newline * 2 if below.strip() and not _BLANK_LINE.match(below) else ""
        self._splices.append(_Splice(place, place, missing + self._own(text) + newline + parted))

    def add_imports(self, texts: Iterable[str]) -> None:
        """Put import statements where the file's imports stand: Python's own before others."""
        newline, head = self.source.newline, head_imports(self.source)
        ordered = sorted(texts, key=_section)
        if not head:
            self._first_imports(ordered)
            return
        for text in ordered:
            above = [item for item in head if _section(item.text) <= _section(text)]
            if above:
                place = max(item.end for item in above)
                opening = "" if _newlines_at_end(self.source.text[:place]) else newline
                self._splices.append(_Splice(place, place, f"{opening}{text}{newline}"))
            else:
                place = min(item.start for item in head)
                parted = newline if text is ordered[-1] or _section(text) != _section(ordered[-1]) else ""
                self._splices.append(_Splice(place, place, f"{text}{newline}{parted}"))

    def _first_imports(self, texts: list[str]) -> None:
        """Imports of a file that has none: below the docstring and the comments that head the file."""
        if not texts:
            return
        source, newline = self.source, self.source.newline
        place = _head_end(source)
        before, after = source.text[:place], source.text[place:]
        opening = newline * max(0, 2 - _newlines_at_end(before)) if before.strip() else ""
        sections = [[text for text in texts if _section(text) == section] for section in range(3)]
        body = (newline * 2).join(newline.join(section) for section in sections if section)
        parted = after[:1] in ("\r", "\n") if after.strip() else bool(before.strip())
        closing = newline * (1 if parted else 3)
        self._splices.append(_Splice(place, place, opening + body + closing))

    def content(self) -> bytes:
        """The file with all changes."""
        text, position = [], 0
        for splice in sorted(self._splices, key=lambda splice: (splice.start, splice.end)):
            start = max(position, splice.start)
            text += [self.source.text[position:start], splice.text]
            position = max(position, splice.end)
        text.append(self.source.text[position:])
        result = "".join(text)
        if self._ends_file and result.strip():
            result = result.rstrip("\r\n \t") + self.source.newline
        return (self.source.mark + result).encode()

    def _own(self, text: str) -> str:
        """A definition's text with the line ends of this file."""
        return _with_plain_ends(text).strip("\n").replace("\n", self.source.newline)


def head_imports(source: SourceText) -> list[ImportLine]:
    """The imports at the head of a file, before anything else but a docstring."""
    body = source.tree.body[1:] if ast.get_docstring(source.tree) is not None else source.tree.body
    head = []
    for node in body:
        item = next((item for item in source.imports if item.node is node), None)
        if item is None:
            break
        head.append(item)
    return head


def bound_names(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """The names that an import binds, each with the statement that binds it alone; a star counts as its module."""
    names = {}
    for alias in node.names:
        suffix = f" as {alias.asname}" if alias.asname else ""
        if isinstance(node, ast.Import):
            names[alias.asname or alias.name] = f"import {alias.name}{suffix}"
        else:
            module = "." * node.level + (node.module or "")
            name = alias.asname or (alias.name if alias.name != "*" else f"*{module}")
            names[name] = f"from {module} import {alias.name}{suffix}"
    return names


def names_used(node: ast.AST) -> set[str]:
    """Every name that a piece of code reads, those in annotations written as text among them."""
    used = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            used.add(part.id)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) < 200:
            used |= set(re.findall(r"[^\W\d]\w*", part.value))
    return used


def combined(skeleton: SourceText, wanted: Mapping[tuple[str, str], str | None], order: SourceText) -> bytes:
    """A file with other definitions and imports; None takes one out. New ones stand as in `order`."""
    editor = SourceEditor(skeleton)
    there = {item.name: item for item in skeleton.definitions}
    imported = {item.text: item for item in skeleton.imports}
    for (kind, name), text in wanted.items():
        if kind == "import" and text is None and name in imported:
            editor.delete(imported[name])
        elif kind == "def" and name in there and text is None:
            editor.delete(there[name])
        elif kind == "def" and name in there and text is not None:
            editor.replace(there[name], text)
    editor.add_imports(
        text for (kind, name), text in wanted.items() if kind == "import" and text and name not in imported
    )
    names = [item.name for item in order.definitions]
    left = [name for name in names if name in there and wanted.get(("def", name), "") is not None]
    for position, name in enumerate(names):
        text = wanted.get(("def", name))
        if text is None or name in there:
            continue
        above = next((other for other in reversed(names[:position]) if other in left), None)
        below = next((other for other in names[position:] if other in left), None)
        start = there[above].end if above else None
        end = there[below].start if below else len(skeleton.text)
        place = _place_between(skeleton, start, end, order.lines_above(order.definitions[position]))
        if place is not None:
            editor.insert_at(text, place)
        else:
            editor.insert(text, there[above] if above else None, there[below] if below else None)
    return editor.content()


def _place_between(skeleton: SourceText, start: int | None, end: int, above: list[str]) -> int | None:
    """Where a definition goes below lines that stand above it on the other side; None where none of them is there."""
    place = None
    position = start or 0
    for line in skeleton.text[position:end].splitlines(keepends=True):
        position += len(line)
        if above and line.strip() == above[0]:
            above = above[1:]
            place = position
    return place


def _defined(node: ast.stmt) -> str:
    """The name that a statement defines, or the empty text."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def _line_starts(text: str) -> list[int]:
    """The offset of every line, and the end of the text as one more."""
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    return starts if starts[-1] == len(text) and len(starts) > 1 else [*starts, len(text)]


def _numbers(lines: list[int], start: int, end: int) -> range:
    """The numbers of the lines from one offset to another."""
    return range(bisect_right(lines, start), bisect_left(lines, end) + 1)


def _with_plain_ends(text: str) -> str:
    return _LINE_END.sub("\n", text)


def _without_end(text: str) -> str:
    """A text without the end of its last line."""
    for end in ("\r\n", "\n", "\r"):
        if text.endswith(end):
            return text[: -len(end)]
    return text


def _newlines_at_end(text: str) -> int:
    tail = text[len(text.rstrip("\r\n")) :]
    return len(_LINE_END.findall(tail))


def module_of(text: str) -> str:
    """The top module that an import statement begins with."""
    return text.split()[1].rstrip(",").partition(".")[0]


def _section(text: str) -> int:
    """Where an import belongs: 0 what must stand first, 1 Python's own library, 2 others."""
    module = module_of(text)
    return 0 if module == "__future__" else 1 if module in sys.stdlib_module_names else 2


def _head_end(source: SourceText) -> int:
    """Where the first import goes in a file that has none."""
    lines = _line_starts(source.text)
    body = source.tree.body
    if ast.get_docstring(source.tree) is not None:
        return lines[body[0].end_lineno or 1]
    first = min([*(item.start for item in source.definitions), len(source.text)])
    end = 0
    for start, stop in pairwise(lines):
        if start >= first or not source.text[start:stop].startswith("#"):
            break
        end = stop
    return end
