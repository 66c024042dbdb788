"""Sheets of the chat: its conversations, the models, a line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from core.link.chat_types import ChatRow
from core.link.model_types import BudgetView, ModelsStatus
from tui.actions import action
from tui.chat_words import cost_text, money
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit, number, plural, relative_time, visible, wrap
from tui.widgets.line_input import LineInput, Note
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph

Choice = tuple[Literal["open", "delete"], ChatRow]


class ChatsList(LineList):
    """Conversations, the last changed first."""

    DEFAULT_CSS = """
    ChatsList { height: auto; }
    """

    def __init__(self, rows: list[ChatRow], here: str, now: float) -> None:
        super().__init__(classes="tall")
        self.rows = rows
        self._here = here
        self._now = now

    def on_mount(self) -> None:
        self.lines_changed()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self.rows))

    def line_count(self) -> int:
        return len(self.rows)

    def line_spans(self, line: int, width: int) -> Spans:
        row = self.rows[line]
        mark = "●" if row.busy else "◐" if row.open_proposal else "›" if row.chat_id == self._here else " "
        name = 20 if width >= 70 else 0
        return [
            (f"{mark} ", "running" if row.busy else "waiting"),
            (fit(visible(row.title or "(no title)"), max(8, width - 42 - name)), ""),
            (fit(f" {visible(row.workflow or '')}", name), "dim"),
            (fit(plural(row.entries, "entry", "entries"), 14, right=True), "dim"),
            (fit(cost_text(row.usage) if row.usage.calls else "", 12, right=True), "dim"),
            (fit(relative_time(row.updated_at, self._now), 12, right=True), "dim"),
        ]


class ChatsSheet(Sheet[Choice]):
    """Pick a conversation."""

    view = "chats"

    def __init__(self, rows: list[ChatRow], workflow: str, here: str, now: float) -> None:
        super().__init__(f"chats about {visible(workflow)}" if workflow else "chats")
        self.chats_list = ChatsList(rows, here, now)

    def compose_body(self) -> Iterable[Widget]:
        yield self.chats_list

    def on_mount(self) -> None:
        self.chats_list.focus()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        self.dismiss(("open", self.chats_list.rows[event.cursor]))

    @action("chats.open", "open", keys="enter", help="Go on with this conversation", footer=1)
    def open(self) -> None:
        self.chats_list.choose()

    @action("chats.delete", "delete", keys="d", help="Delete the conversation; asks first", footer=2)
    def delete(self) -> None:
        self.dismiss(("delete", self.chats_list.rows[self.chats_list.cursor]))

    @action("chats.close", "close", keys="escape,q", help="Back to the chat", footer=3)
    def close(self) -> None:
        self.dismiss(None)


class LineSheet(Sheet[str]):
    """A line of text; dismisses with it, or with None."""

    view = "line"
    DEFAULT_CSS = """
    LineSheet Horizontal { height: 1; }
    LineSheet Note { padding: 0 1; }
    """

    def __init__(self, title: str, text: str = "", *, given: str = "", enter: str = "send") -> None:
        super().__init__(title)
        self._text = text
        self.line = LineInput(given)
        self.line.entry_keys = (("enter", enter), ("esc", "leave"), ("^u", "clear"))  # type: ignore[misc, assignment]

    def compose_body(self) -> Iterable[Widget]:
        yield Paragraph(self._text, "dim")
        with Horizontal():
            sign = Note()
            sign.spans = (("›", "key"),)
            yield sign
            yield self.line

    def on_mount(self) -> None:
        self.set_focus(self.line)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    @action("line.done", "done", keys="enter", help="Take the text", footer=1)
    def done(self) -> None:
        self.dismiss(self.line.value.strip())

    @action("line.close", "leave", keys="escape", help="Back, without it", footer=2)
    def close(self) -> None:
        self.dismiss(None)


def models_lines(status: ModelsStatus, budgets: Sequence[BudgetView]) -> list[Spans]:
    """The roles, the providers with where their keys are from, and the budgets."""
    lines: list[Spans] = []
    if status.problem is not None:
        lines += [[("✗ ", "bad"), (visible(status.problem.message), "bad")]]
        why = [visible(text) for text in (status.problem.cause, status.problem.next_step) if text]
        lines += [[("  " + line, "dim")] for text in why for line in wrap(text, 74)]
        lines.append([])
    lines.append(
        [("profile ", "dim"), (visible(status.profile), "strong"), (f"   of {', '.join(status.profiles)}", "dim")]
    )
    for role in status.roles:
        lines.append(
            [
                (f"  {role.name:<10}", "dim"),
                (fit(visible(role.model), 44), ""),
                (f" {role.effort:<8}", ""),
                (visible(role.source), "dim"),
            ]
        )
    lines += [[], [("providers", "dim")]]
    for provider in status.providers:
        there = provider.key not in ("none", "")
        word = f"key: {provider.key}" if there else f"no key: set {' or '.join(provider.key_names)}"
        tried = "" if provider.tried else "   never tried against the live service"
        lines.append(
            [
                ("  ✓ " if there else "  - ", "good" if there else "dim"),
                (f"{visible(provider.name):<12}", ""),
                (word, "dim"),
                (tried, "dim"),
            ]
        )
    limits = [budget for budget in budgets if budget.limit]
    if limits:
        lines += [[], [("budgets", "dim")]]
    for budget in limits:
        shown = money if budget.what == "dollars" else lambda value: number(int(value))
        lines.append(
            [
                (f"  a {visible(budget.scope):<5}", "dim"),
                (f"{shown(budget.used)} of {shown(budget.limit)} {visible(budget.what)}", ""),
            ]
        )
    return lines
