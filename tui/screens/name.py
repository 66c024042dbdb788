"""The sheet that asks for the name of a workflow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tui.actions import action
from tui.screens.sheet import Sheet
from tui.widgets.line_input import LineInput, Note
from tui.widgets.paragraph import Paragraph

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def name_problem(name: str, known: Collection[str]) -> str:
    """What keeps a text from being the name of a new workflow; "" if nothing does."""
    if not NAME.fullmatch(name) or name.startswith("_"):
        return "A name has letters, digits, _ and -, and begins with a letter"
    return f"There is a workflow {name} already" if name in known else ""


def free_name(wanted: str, known: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    name, number = wanted, 2
    while name in known:
        name, number = f"{wanted}_{number}", number + 1
    return name


class NameSheet(Sheet[str]):
    """A name that no workflow has; dismisses with it, or with None."""

    view = "name"
    DEFAULT_CSS = """
    NameSheet Horizontal { height: 1; }
    NameSheet Note { padding: 0 1; }
    """

    def __init__(self, title: str, offered: str, known: Collection[str]) -> None:
        super().__init__(title)
        self._known = known
        self.line = LineInput(free_name(offered, known), placeholder="its name")
        self._problem = Paragraph("", "bad")

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal():
            sign = Note()
            sign.spans = (("name ›", "key"),)
            yield sign
            yield self.line
        yield self._problem

    def on_mount(self) -> None:
        # What is typed takes the place of the name that is only offered.
        self.line.select_all()
        self.set_focus(self.line)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._problem.text = ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        name = event.value.strip()
        problem = name_problem(name, self._known)
        if problem:
            self._problem.text = f"✗ {problem}"
        else:
            self.dismiss(name)

    @action("name.take", "take this name", keys="enter", help="Take the name", footer=1)
    def take(self) -> None:
        self.on_input_submitted(Input.Submitted(self.line, self.line.value))

    @action("name.close", "close", keys="escape", help="Back, and nothing is done", footer=2)
    def close(self) -> None:
        self.dismiss(None)
