"""The sheet that calls an action of an app: a form of what it takes; and the one that shows what it gave."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.tool_types import ActionView, ToolReply
from core.masking import HIDDEN, without_secrets
from tui.actions import action
from tui.forms import fields_of_schema
from tui.screens.base import OUTAGES, error_text
from tui.screens.confirm import ConfirmSheet
from tui.screens.read import ReadSheet
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import shorten, visible
from tui.tool_text import took_words
from tui.widgets.form import Form
from tui.widgets.paragraph import Paragraph

if TYPE_CHECKING:
    from tui.app import RondoApp

DESCRIPTION = 400
"""Characters of an action's description that are shown."""
LINES_AT_MOST = 20_000


class Replied(Message, bubble=False):
    """The action was called."""

    def __init__(self, reply: ToolReply) -> None:
        super().__init__()
        self.reply = reply


class CallFailed(Message, bubble=False):
    """It was not called, or failed."""

    def __init__(self, error: RondoError) -> None:
        super().__init__()
        self.error = error


def argument_lines(arguments: dict[str, Any], schema: dict[str, Any]) -> list[Spans]:
    """What an action is given, one argument a line; secrets, by their names or its schema, are not shown."""
    lines: list[Spans] = []
    for name, value in without_secrets(arguments, schema).items():
        text = HIDDEN if value == HIDDEN else json.dumps(value, ensure_ascii=False)
        lines.append([(f" {visible(name)}  ", "dim"), (shorten(visible(text), 400), "")])
    return lines


def needs_calm(sheet: TrySheet) -> str:
    """Why nothing can be called now."""
    return "The call is on its way" if sheet.calling else ""


def needs_fields(sheet: TrySheet) -> str:
    """Why there are no fields to go through."""
    return "" if sheet.form.fields else "It takes nothing"


class TrySheet(Sheet[ToolReply]):
    """Fill in what an action takes and call it; stays, with what was typed, where the call fails."""

    view = "try"

    def __init__(self, view: ActionView) -> None:
        row = view.row
        super().__init__(f"{visible(view.app)}.{visible(row.name)}  {row.effects}")
        self._action = view
        self.form = Form(fields_of_schema(view.inputs, required_first=True), classes="tall")
        self._problem = Paragraph("", "bad", classes="form-problem")
        self.calling = False
        self._command_ids: dict[str, str] = {}

    def compose_body(self) -> Iterable[Widget]:
        row = self._action.row
        if row.description:
            yield Paragraph(shorten(" ".join(row.description.split()), DESCRIPTION), "dim")
        yield self.form
        if not self.form.fields:
            yield Paragraph("It takes nothing: enter calls it.")
        yield self._problem

    def on_mount(self) -> None:
        self.form.begin()

    def on_form_completed(self) -> None:
        self.call_it()

    @action("try.call", "call it, from the last field", keys="enter", help="Call it", footer=1, when=needs_calm)
    def call_it(self) -> None:
        """Read every field; ask first where the action may change something."""
        if self.calling:
            return
        arguments = self.form.read()
        if arguments is None:
            return
        if self._action.row.effects == "read":
            self._call(arguments)
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self._call(arguments)

        name = f"{visible(self._action.app)}.{visible(self._action.row.name)}"
        text = f"It may change something at {visible(self._action.app)}, and is called once, now."
        lines = argument_lines(arguments, self._action.inputs) or [[(" no arguments", "dim")]]
        self.app.push_screen(ConfirmSheet(f"Call {name}?", text, yes="call it", lines=lines), decided)

    def _call(self, arguments: dict[str, Any]) -> None:
        self.calling = True
        self._problem.used_ink = "dim"
        self._problem.text = "calling…"
        self.refresh_keys()
        app = cast("RondoApp", self.app)
        view = self._action
        # The same call sent again, after a connection that broke, acts once.
        command_id = self._command_ids.setdefault(json.dumps(arguments, sort_keys=True), str(uuid4()))

        async def work() -> None:
            try:
                reply = await app.engine.call_tool(command_id, view.app, view.row.name, arguments, view.provider)
            except RondoError as error:
                self.post_message(CallFailed(error))
            else:
                self.post_message(Replied(reply))

        self.run_worker(work, group="call", name="call")

    def on_replied(self, message: Replied) -> None:
        self.dismiss(message.reply)

    def on_call_failed(self, message: CallFailed) -> None:
        self.calling = False
        if not isinstance(message.error, OUTAGES):
            self._command_ids.clear()
        self._problem.used_ink = "bad"
        self._problem.text = f"✗ {error_text(message.error)}"
        self.refresh_keys()

    @action("try.next", "next field", keys="tab,down", help="To the next field", footer=2, when=needs_fields)
    def next_field(self) -> None:
        self.focus_next()

    @action("try.previous", "field before", keys="shift+tab,up", help="To the field before", when=needs_fields)
    def previous_field(self) -> None:
        self.focus_previous()

    @action("try.close", "back", keys="escape", help="Back; a call that is on its way goes on", footer=3)
    def close(self) -> None:
        if self.calling:
            cast("RondoApp", self.app).say("The call goes on; what it gives is not shown", "hint")
        self.dismiss(None)


def result_sheet(view: ActionView, reply: ToolReply) -> ReadSheet:
    """What an action gave, to be read, searched and copied."""
    value = reply.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    shown = text.splitlines() or [""]
    lines: list[Spans] = [[(" ", ""), (visible(line), "")] for line in shown[:LINES_AT_MOST]]
    if len(shown) > LINES_AT_MOST:
        lines.append([(f" … {len(shown) - LINES_AT_MOST} more lines: y copies all", "dim")])
    title = f"{visible(view.app)}.{visible(view.row.name)} gave"
    return ReadSheet(
        title, lines, text=text, remark=took_words(reply.seconds, reply.provider, reply.log_id, reply.cost)
    )
