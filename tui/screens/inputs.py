"""The sheet for a run with inputs: a field for each, and what the engine finds wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from textual.containers import VerticalScroll
from textual.widget import Widget

from core.link.workflow_types import WorkflowDetail
from tui.actions import action
from tui.forms import BadText, FieldSpec, fields_of_inputs
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

    def __init__(
        self, detail: WorkflowDetail, given: dict[str, Any] | None = None, problem: str = "", last: str = ""
    ) -> None:
        super().__init__(f"Run {visible(detail.name)} with inputs")
        state = msgspec.json.decode(detail.initial_state)
        self._plain = fields_of_inputs(detail.inputs, state)
        self._specs = fields_of_inputs(detail.inputs, state, given)
        self._fields = [Field(spec) for spec in self._specs]
        self._body = VerticalScroll(can_focus=False, classes="tall")
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
        with self._body:
            yield from self._fields
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
        self.run_worker(self._fill(self._plain if self._on_defaults else self._specs), exclusive=True, group="fill")

    async def _fill(self, specs: list[FieldSpec]) -> None:
        """Make the fields anew; nothing of what was typed stays, so that what one sees is what it says."""
        await self._body.remove_children()
        self._fields = [Field(spec) for spec in specs]
        await self._body.mount(*self._fields)
        if self._fields:
            self.set_focus(self._fields[0].entry)

    @action("inputs.next", "next field", keys="tab,down", help="To the next field", footer=2)
    def next_field(self) -> None:
        self.focus_next()

    @action("inputs.previous", "field before", keys="shift+tab,up", help="To the field before")
    def previous_field(self) -> None:
        self.focus_previous()

    @action("inputs.close", "don't run", keys="escape", help="Back without a run", footer=3)
    def close(self) -> None:
        self.dismiss(None)
