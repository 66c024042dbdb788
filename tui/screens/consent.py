"""The sheet that asks whether a version of a workflow may run: it shows what is in it, or what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from textual.widget import Widget

from core.link.workflow_types import ApprovalView
from tui.actions import action
from tui.diff_text import file_lines
from tui.screens.sheet import Sheet
from tui.text import plural, visible
from tui.widgets.paragraph import Paragraph
from tui.widgets.text_list import TextList

Decision = Literal["approve", "trust"]


class ConsentSheet(Sheet[Decision]):
    """Let this version run, trust every edit in this workspace, or neither."""

    view = "consent"
    guarded = True

    def __init__(self, approval: ApprovalView) -> None:
        super().__init__(f"Let {visible(approval.workflow)} run?")
        self._approval = approval

    def compose_body(self) -> Iterable[Widget]:
        approval = self._approval
        files = plural(len(approval.changes), "file")
        if approval.previous is None:
            text = f"This version was never approved. It has {files}; running it runs this code with your rights."
        else:
            text = f"The folder changed since you approved it: {files}. Running it runs this code with your rights."
        if approval.requirements:
            names = ", ".join(visible(line) for line in approval.requirements)
            text += f" Its first run installs packages into an environment of its own: {names}."
        yield Paragraph(text)
        yield TextList(file_lines(approval.changes) or [[("No files.", "dim")]], classes="tall")

    @action("consent.approve", "approve and run", keys="y", help="Let exactly this version run", footer=1)
    def approve(self) -> None:
        self.dismiss("approve")

    @action(
        "consent.trust",
        "trust all my edits in this workspace",
        keys="T",
        help="Approve this and every later version of every workflow in this workspace",
        footer=3,
    )
    def trust(self) -> None:
        self.dismiss("trust")

    @action("consent.refuse", "no", keys="n,escape,q", help="Don't run it", footer=2)
    def refuse(self) -> None:
        self.dismiss(None)
