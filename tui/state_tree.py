"""A state as a tree of lines, with what a step changed in it. Pure: values in, lines out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.link.types import ChangeView, Elided
from tui.text import number, shorten, size, visible, wrap

Path = tuple[str | int, ...]

LONG_TEXT = 60
MARKS = {"set": "~", "append": "+", "del": "-"}


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One line: `mark` is `+`, `~` or `-` where the step changed something there, `sign` `▸` or `▾` where it opens."""

    path: Path
    depth: int
    key: str
    text: str
    sign: str = ""
    mark: str = ""
    kind: str = ""
    before: str = ""


class StateTree:
    """The value, what of it is not loaded, what changed, and which branches are open."""

    def __init__(self) -> None:
        self.value: Any = {}
        self.size = 0
        self._elided: dict[Path, Elided] = {}
        self._rest: dict[Path, int] = {}
        self._changes: dict[Path, ChangeView] = {}
        self._touched: set[Path] = set()
        self._removed: dict[Path, list[ChangeView]] = {}
        self._open: set[Path] = {()}
        self._closed: set[Path] = set()

    def set_state(self, value: Any, elided: Sequence[Elided], changes: Sequence[ChangeView], size: int = 0) -> None:
        """Show a state; branches that were open stay open, and those with changes open by themselves."""
        self.value = value
        self.size = size
        self._elided, self._rest = {}, {}
        self._note_elided(elided)
        self._changes = {tuple(change.path): change for change in changes}
        self._touched = {path[:length] for path in self._changes for length in range(len(path))}
        self._removed = {}
        for path, change in list(self._changes.items()):
            if change.op != "del":
                continue
            if isinstance(self.at(path[:-1]), list):
                # What moved up has the number of what went, so single items would be shown wrongly.
                del self._changes[path]
                whole = ChangeView(op="set", path=list(path[:-1]), before="", after=None)
                self._changes.setdefault(path[:-1], whole)
            else:
                self._removed.setdefault(path[:-1], []).append(change)

    def put_part(self, path: Path, value: Any, elided: Sequence[Elided]) -> None:
        """Put a part that was loaded later in its place, and open it."""
        self._elided.pop(path, None)
        self._note_elided(elided)
        self._open.add(path)
        self._closed.discard(path)
        if not path:
            self.value = value
            return
        parent = self.at(path[:-1])
        if isinstance(parent, (dict, list)):
            parent[path[-1]] = value  # type: ignore[index]

    def _note_elided(self, elided: Sequence[Elided]) -> None:
        for part in elided:
            if part.kind.startswith("rest of "):
                self._rest[tuple(part.path)] = part.count
            else:
                self._elided[tuple(part.path)] = part

    @property
    def changed_paths(self) -> list[Path]:
        """What the step changed."""
        return list(self._changes)

    def at(self, path: Path) -> Any:
        """The value at a path; None where there is nothing."""
        value = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def is_open(self, path: Path) -> bool:
        """Whether a branch shows what is in it."""
        if path in self._closed:
            return False
        return path in self._open or (path in self._touched and path not in self._elided)

    def toggle(self, path: Path) -> Path | None:
        """Open or close a branch; returns the path of the part that has to be loaded for that."""
        if self.is_open(path):
            self.close(path)
            return None
        return self.open(path)

    def open(self, path: Path) -> Path | None:
        """Open a branch; returns the path of the part that has to be loaded for that."""
        self._closed.discard(path)
        self._open.add(path)
        return path if path in self._elided else None

    def close(self, path: Path) -> None:
        """Close a branch."""
        self._open.discard(path)
        self._closed.add(path)

    def has_elided(self, path: Path) -> bool:
        """True where something at or below a path is not loaded."""
        parts = [*self._elided, *self._rest]
        return any(part[: len(path)] == path for part in parts)

    def lines(self, width: int) -> list[TreeLine]:
        """Every line that shows, from the top of the state on."""
        return list(self._lines((), "shared", self.value, 0, width))

    def _lines(self, path: Path, key: str, value: Any, depth: int, width: int) -> Iterator[TreeLine]:
        elided = self._elided.get(path)
        mark = self._mark(path)
        before = self._before(path)
        if elided is not None:
            text = f"{elided.kind} of {number(elided.count)}, {size(elided.size)}"
            preview = f"  {visible(elided.preview)}" if elided.kind == "text" else ""
            yield TreeLine(path, depth, key, text + preview, "▸", mark, elided.kind)
            return
        if isinstance(value, (dict, list)):
            yield from self._container_lines(path, key, value, depth, width, mark)
        elif isinstance(value, str) and ("\n" in value or len(value) > LONG_TEXT):
            yield from self._text_lines(path, key, value, depth, width, mark)
        else:
            text = visible(json.dumps(value, ensure_ascii=False))
            yield TreeLine(path, depth, key, text, "", mark, _kind(value), before)

    def _container_lines(
        self, path: Path, key: str, value: Any, depth: int, width: int, mark: str
    ) -> Iterator[TreeLine]:
        opened = self.is_open(path)
        removed = self._removed.get(path, [])
        sign = "" if not value and not removed else "▾" if opened else "▸"
        if mark == "" and not opened and path in self._touched:
            mark = "~"
        yield TreeLine(
            path, depth, key, _container_text(value, opened, self._rest.get(path, 0)), sign, mark, _kind(value)
        )
        if not opened:
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from self._lines((*path, name), visible(str(name)), item, depth + 1, width)
        if self._rest.get(path):
            yield TreeLine((*path, "…"), depth + 1, "…", f"{number(self._rest[path])} more", kind="rest")
        for change in removed:
            name = visible(str(change.path[-1]))
            yield TreeLine(tuple(change.path), depth + 1, name, visible(change.before or ""), "", "-", "removed")

    def _text_lines(self, path: Path, key: str, value: str, depth: int, width: int, mark: str) -> Iterator[TreeLine]:
        opened = self.is_open(path)
        head = visible(json.dumps(value[:400], ensure_ascii=False))
        note = f"text of {number(len(value))}" if opened else head
        yield TreeLine(path, depth, key, note, "▾" if opened else "▸", mark, "text")
        if opened:
            room = max(20, width - 2 * depth - 6)
            for text in wrap(value, room):
                yield TreeLine(path, depth + 1, "", text, kind="text")

    def _mark(self, path: Path) -> str:
        change = self._changes.get(path)
        if change is None:
            return ""
        return "+" if change.op == "set" and change.before is None else MARKS.get(change.op, "~")

    def _before(self, path: Path) -> str:
        change = self._changes.get(path)
        if change is None or change.op != "set" or change.before is None:
            return ""
        return visible(shorten(change.before, 24))


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "dict"
    if isinstance(value, list):
        return "list"
    if isinstance(value, str):
        return "text"
    if value is None:
        return "null"
    return "bool" if isinstance(value, bool) else "number"


def _container_text(value: Any, opened: bool, rest: int) -> str:
    count = len(value) + rest
    if not count:
        return "empty dict" if isinstance(value, dict) else "empty list"
    word = f"dict of {number(count)}" if isinstance(value, dict) else f"list of {number(count)}"
    if opened or not isinstance(value, dict):
        return word
    return f"{word}  {visible(', '.join(list(value)[:8]))}"


def path_text(path: Path) -> str:
    """A path as a person writes it: `shared['mails'][3]`."""
    return "shared" + "".join(f"[{part!r}]" for part in path)
