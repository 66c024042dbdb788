"""The sheet for a run with inputs: a field for each, and what the engine finds wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from textual.widget import Widget

from core.link.workflow_types import WorkflowDetail
from tui.actions import action
from tui.forms import fields_of_inputs
from tui.screens.sheet import Sheet
from tui.text import visible
from tui.widgets.form import Form
from tui.widgets.paragraph import Paragraph


class InputsSheet(Sheet[dict[str, Any]]):
    """Give a run its inputs; dismisses with them, or with None."""

    view = "inputs"

    def __init__(
        self, detail: WorkflowDetail, given: dict[str, Any] | None = None, problem: str = "", last: str = ""
    ) -> None:
        super().__init__(f"Run {visible(detail.name)} with inputs")
        state = msgspec.json.decode(detail.initial_state)
        self._plain = fields_of_inputs(detail.inputs, state)
        self._specs = fields_of_inputs(detail.inputs, state, given)
        self._form = Form(self._specs, classes="tall")
        self._note = Paragraph("", "dim")
        self._last = last
        """How long ago the run was whose inputs are offered; "" where they are the defaults."""
        self._on_defaults = not last
        self._problem = problem

    @property
    def offers_last(self) -> bool:
        """True where there are inputs of an earlier run."""
        return bool(self._last)

    def compose_body(self) -> Iterable[Widget]:
        yield self._note
        yield self._form
        if not self._specs:
            yield Paragraph("This workflow declares no inputs and begins with an empty state: enter runs it.", "dim")
        yield Paragraph(self._problem, "bad", classes="form-problem")
        self._show_note()

    def _show_note(self) -> None:
        """Say where the values come from."""
        self._note.display = self.offers_last
        if self._on_defaults:
            self._note.text = f"The defaults. f5 brings the inputs of the last run, {self._last}, back."
        else:
            self._note.text = f"As the last run, {self._last}. f5 puts the defaults here."

    def on_mount(self) -> None:
        self._form.begin()

    def on_form_completed(self) -> None:
        self.run_with_these()

    @action("inputs.run", "run, from the last field", keys="enter", help="Run with these inputs", footer=1)
    def run_with_these(self) -> None:
        """Read every field; the first one that can't be read gets the focus."""
        values = self._form.read()
        if values is not None:
            self.dismiss(values)

    @action(
        "inputs.defaults",
        "defaults, or last",
        keys="f5",
        help="The defaults of the inputs, or those of the last run again",
        footer=4,
        when=lambda sheet: "" if sheet.offers_last else "No run had inputs yet",
    )
    def switch_values(self) -> None:
        self._on_defaults = not self._on_defaults
        self._show_note()
        specs = self._plain if self._on_defaults else self._specs
        self.run_worker(self._form.fill(specs), exclusive=True, group="fill")

    @action("inputs.next", "next field", keys="tab,down", help="To the next field", footer=2)
    def next_field(self) -> None:
        self.focus_next()

    @action("inputs.previous", "field before", keys="shift+tab,up", help="To the field before")
    def previous_field(self) -> None:
        self.focus_previous()

    @action("inputs.close", "don't run", keys="escape", help="Back without a run", footer=3)
    def close(self) -> None:
        self.dismiss(None)
