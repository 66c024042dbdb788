"""The sheet for a run with inputs: a field for each, and what the engine finds wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from textual.containers import VerticalScroll
from textual.widget import Widget

from core.link.workflow_types import WorkflowDetail
from tui.actions import action
from tui.forms import BadText, fields_of_inputs
from tui.screens.sheet import Sheet
from tui.text import visible
from tui.widgets.entries import Field
from tui.widgets.paragraph import Paragraph


class InputsSheet(Sheet[dict[str, Any]]):
    """Give a run its inputs; dismisses with them, or with None."""

    view = "inputs"

    DEFAULT_CSS = """
    InputsSheet .tall { height: auto; }
    """

    def __init__(self, detail: WorkflowDetail, given: dict[str, Any] | None = None, problem: str = "") -> None:
        super().__init__(f"Run {visible(detail.name)} with inputs")
        state = msgspec.json.decode(detail.initial_state)
        self._specs = fields_of_inputs(detail.inputs, {**state, **(given or {})})
        self._fields = [Field(spec) for spec in self._specs]
        self._problem = problem

    def compose_body(self) -> Iterable[Widget]:
        with VerticalScroll(can_focus=False, classes="tall"):
            yield from self._fields
        if not self._specs:
            yield Paragraph("This workflow declares no inputs and begins with an empty state: enter runs it.", "dim")
        yield Paragraph(self._problem, "bad", classes="form-problem")

    def on_mount(self) -> None:
        fields = self._fields
        if fields:
            fields[0].entry.focus()

    def on_field_submitted(self, event: Field.Submitted) -> None:
        fields = self._fields
        here = fields.index(event.field)
        if here + 1 < len(fields):
            # At once, and not by `focus()`, which waits: the next key belongs there.
            self.set_focus(fields[here + 1].entry)
        else:
            self.run_with_these()

    @action("inputs.run", "run, from the last field", keys="enter", help="Run with these inputs", footer=1)
    def run_with_these(self) -> None:
        """Read every field; the first one that can't be read gets the focus."""
        values: dict[str, Any] = {}
        for field in self._fields:
            try:
                value = field.value()
            except BadText as problem:
                field.show_problem(str(problem))
                self.set_focus(field.entry)
                return
            if value is not None:
                values[field.spec.name] = value
        self.dismiss(values)

    @action("inputs.next", "next field", keys="tab,down", help="To the next field", footer=2)
    def next_field(self) -> None:
        self.focus_next()

    @action("inputs.previous", "field before", keys="shift+tab,up", help="To the field before")
    def previous_field(self) -> None:
        self.focus_previous()

    @action("inputs.close", "don't run", keys="escape", help="Back without a run", footer=3)
    def close(self) -> None:
        self.dismiss(None)
