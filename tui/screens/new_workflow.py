"""The sheet for a new workflow: describe it in chat, or take a template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from core.link.chat_types import TemplateView
from tui.actions import action
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit, plural, visible
from tui.widgets.line_input import LineInput, Note
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """What is wanted: a name, and a template or "" for the chat (the name may be empty then)."""

    name: str
    template: str = ""


class WaysList(LineList):
    """The chat first, then the templates."""

    DEFAULT_CSS = """
    WaysList { height: auto; }
    """

    def __init__(self, templates: Sequence[TemplateView]) -> None:
        super().__init__(classes="tall")
        self.templates = templates

    def on_mount(self) -> None:
        self.lines_changed()

    @property
    def template(self) -> TemplateView | None:
        """The selected one; None for the chat."""
        return self.templates[self.cursor - 1] if self.cursor else None

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.templates) + 1

    def line_count(self) -> int:
        return len(self.templates) + 1

    def line_spans(self, line: int, width: int) -> Spans:
        if line == 0:
            return [
                (fit("describe it in chat", 24), "strong"),
                (fit("the assistant asks, and proposes graph and code", width - 24), "dim"),
            ]
        template = self.templates[line - 1]
        return [
            (fit(visible(template.name), 24), ""),
            (fit(visible(template.description or template.title), max(0, width - 34)), "dim"),
            (fit(plural(template.nodes, "node"), 9, right=True), "dim"),
        ]


class NewWorkflowSheet(Sheet[NewWorkflow]):
    """Pick a way, then a name."""

    view = "new"
    DEFAULT_CSS = """
    NewWorkflowSheet Horizontal { height: 1; display: none; }
    NewWorkflowSheet Note { padding: 0 1; }
    """

    def __init__(self, templates: Sequence[TemplateView], known: Sequence[str]) -> None:
        super().__init__("a new workflow")
        self._known = known
        self.ways = WaysList(templates)
        self.line = LineInput(placeholder="its name")
        self._row = Horizontal()
        self._problem = Paragraph("", "bad")

    def compose_body(self) -> Iterable[Widget]:
        yield self.ways
        with self._row:
            sign = Note()
            sign.spans = (("name ›", "key"),)
            yield sign
            yield self.line
        yield self._problem

    def on_mount(self) -> None:
        self.ways.focus()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        template = self.ways.template
        self._row.display = True
        self.line.placeholder = "its name" if template is not None else "its name, or nothing yet"
        self.line.value = self._free(template.name) if template is not None else ""
        # What is typed takes the place of the name that is only offered.
        self.line.select_all()
        self.set_focus(self.line)

    def _free(self, name: str) -> str:
        number = 2
        wanted = name
        while wanted in self._known:
            wanted, number = f"{name}_{number}", number + 1
        return wanted

    def on_input_changed(self, event: Input.Changed) -> None:
        self._problem.text = ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        name = event.value.strip()
        template = self.ways.template
        if not name and template is None:
            self.dismiss(NewWorkflow(""))
        elif not NAME.fullmatch(name):
            self._problem.text = "✗ A name has letters, digits, _ and -, and begins with a letter"
        elif name in self._known:
            self._problem.text = f"✗ There is a workflow {name} already"
        else:
            self.dismiss(NewWorkflow(name, template.name if template is not None else ""))

    @action("new.choose", "choose", keys="enter", help="Take this way", footer=1)
    def choose(self) -> None:
        self.ways.choose()

    @action("new.close", "close", keys="escape,q", help="Back, without a new workflow", footer=2)
    def close(self) -> None:
        if self.line.has_focus:
            self._row.display = False
            self.set_focus(self.ways)
        else:
            self.dismiss(None)
