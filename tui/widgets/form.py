"""A form: fields one below the other, read as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from tui.forms import BadText, FieldSpec, put_together
from tui.widgets.entries import Field


class Form(VerticalScroll, can_focus=False):
    """Fields to fill in; Enter goes from each to the next, and from the last one on."""

    DEFAULT_CSS = """
    Form { height: auto; }
    """

    class Completed(Message):
        """Enter in the last field."""

    def __init__(self, specs: Sequence[FieldSpec], *, eager: bool = False, **options: Any) -> None:
        """An `eager` one takes the focus as soon as it stands."""
        super().__init__(**options)
        self._eager = eager
        self.fields = [Field(spec) for spec in specs]

    def compose(self) -> Iterable[Widget]:
        yield from self.fields

    def on_mount(self) -> None:
        if self._eager:
            self.begin()

    def begin(self) -> None:
        """Put the focus into the first field."""
        if self.fields:
            # At once, and not by `focus()`, which waits: the next key belongs there.
            self.screen.set_focus(self.fields[0].entry)

    async def fill(self, specs: Sequence[FieldSpec]) -> None:
        """Make the fields anew; nothing of what was typed stays, so that what one sees is what it says."""
        await self.remove_children()
        self.fields = [Field(spec) for spec in specs]
        await self.mount(*self.fields)
        self.begin()

    def on_field_submitted(self, event: Field.Submitted) -> None:
        event.stop()
        here = self.fields.index(event.field)
        if here + 1 < len(self.fields):
            self.screen.set_focus(self.fields[here + 1].entry)
        else:
            self.post_message(self.Completed())

    def on_field_changed(self, event: Field.Changed) -> None:
        event.stop()

    def read(self) -> dict[str, Any] | None:
        """What was filled in; None where a field can't be read, which then says why and has the focus."""
        values: list[tuple[FieldSpec, Any]] = []
        for field in self.fields:
            try:
                values.append((field.spec, field.value()))
            except BadText as problem:
                field.show_problem(str(problem))
                self.screen.set_focus(field.entry)
                return None
        return put_together(values)
