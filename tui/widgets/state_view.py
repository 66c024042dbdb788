"""The state at a step, as a tree one opens and closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.message import Message

from core.link.types import ChangeView, Elided
from tui.spans import Span, Spans
from tui.state_tree import Path, StateTree, TreeLine
from tui.text import shorten
from tui.widgets.line_list import LineList

MARK_INKS = {"+": "added", "~": "waiting", "-": "removed"}


class StateView(LineList):
    """A tree of lines with marks for what the step changed."""

    class PartWanted(Message):
        """A part that is not loaded is to be shown."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def __init__(self) -> None:
        super().__init__(id="state")
        self.state_tree = StateTree()
        self.step = -1
        """The step whose state is shown, -1 for none."""
        self._built: list[TreeLine] = []
        self._wanted_path: Path | None = None

    def go_path(self, path: Path) -> None:
        """Put the cursor on a value of the state that comes next, with what it lies in opened and loaded."""
        self._wanted_path = path

    def _reveal(self) -> None:
        """Go on to the value that is wanted, as far as is loaded."""
        path = self._wanted_path
        if path is None:
            return
        for length in range(len(path)):
            missing = self.state_tree.open(path[:length])
            if missing is not None:
                self._want(missing)
                return
        self._wanted_path = None
        self._rebuild(path)
        known = [place for place, line in enumerate(self._built) if line.path == path[: len(line.path)]]
        if known:
            self.move_to(known[-1])

    def show_state(
        self, step: int, value: Any, elided: Sequence[Elided], changes: Sequence[ChangeView], size: int
    ) -> None:
        """Show the state after a step; the cursor stays on its path."""
        path = self.selected_path
        self.step = step
        self.state_tree.set_state(value, elided, changes, size)
        self._rebuild(path)
        if not self.has_focus:
            self._show_changes()
        self._reveal()

    def _show_changes(self) -> None:
        """Scroll so that what the step changed is seen, from the first change on."""
        changed = [place for place, line in enumerate(self._built) if line.mark]
        for place in (*changed[-1:], *changed[:1]):
            self.show_line(place)

    def put_part(self, path: Path, value: Any, elided: Sequence[Elided]) -> None:
        """Show a part that was loaded."""
        self.state_tree.put_part(path, value, elided)
        self._rebuild(self.selected_path)
        self._reveal()

    @property
    def selected_line(self) -> TreeLine | None:
        """The line under the cursor."""
        return self._built[self.cursor] if self.cursor < len(self._built) else None

    @property
    def selected_path(self) -> Path:
        """The path under the cursor; the top of the state where there is none."""
        line = self.selected_line
        return line.path if line is not None else ()

    def on_resize(self) -> None:
        self._rebuild(self.selected_path)
        if not self.has_focus:
            self._show_changes()

    def _rebuild(self, path: Path) -> None:
        self._built = self.state_tree.lines(self.size.width) if self.step >= 0 else []
        places = [place for place, line in enumerate(self._built) if line.path == path]
        self.lines_changed()
        if places and self.cursor not in places:
            self.cursor = places[0]

    def line_count(self) -> int:
        return len(self._built)

    def line_spans(self, line: int, width: int) -> Spans:
        entry = self._built[line]
        indent = "  " * entry.depth
        mark: Span = (f"{entry.mark or ' '} ", MARK_INKS.get(entry.mark, ""))
        if not entry.key:
            return [mark, (shorten(f"{indent}  {entry.text}", width - 2), "")]
        key_ink = "dim" if entry.kind in ("rest", "removed") else "strong" if entry.mark else ""
        head = f"{indent}{entry.sign or ' '} {entry.key}"
        column = max(18, (len(head) // 6 + 1) * 6)
        spans: Spans = [mark, (f"{indent}{entry.sign or ' '} ", "dim"), (entry.key, key_ink)]
        spans.append((" " * max(1, column - len(head)), ""))
        if entry.before:
            spans += [(entry.before, "removed"), (" → ", "dim")]
        room = max(1, width - column - 3 - (len(entry.before) + 3 if entry.before else 0))
        return [*spans, (shorten(entry.text, room), self._text_ink(entry))]

    def _text_ink(self, entry: TreeLine) -> str:
        if entry.kind == "removed":
            return "removed"
        if entry.mark in ("+", "~") and not entry.sign:
            return "added"
        return "dim" if entry.sign or entry.kind in ("rest", "null") else ""

    def choose(self) -> None:
        """Enter opens or closes the branch."""
        line = self.selected_line
        if line is None or not (line.sign or line.kind == "text"):
            return
        self._want(self.state_tree.toggle(line.path))
        self._rebuild(line.path)

    def move_right(self) -> None:
        """Open the branch; on an open one go into it."""
        line = self.selected_line
        if line is None or not line.sign:
            return
        if line.sign == "▾":
            self.move_down()
            return
        self._want(self.state_tree.open(line.path))
        self._rebuild(line.path)

    def move_left(self) -> None:
        """Close the branch; on a closed one go to the branch it lies in."""
        line = self.selected_line
        if line is None:
            return
        path = line.path
        if self.state_tree.is_open(path) and (line.sign or line.kind == "text"):
            self.state_tree.close(path)
        elif path:
            path = path[:-1]
        self._rebuild(path)

    def _want(self, path: Path | None) -> None:
        if path is not None:
            self.post_message(self.PartWanted(path))
