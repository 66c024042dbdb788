"""Opening the code of a workflow that is one of many on a screen."""

from __future__ import annotations

from textual.message import Message

from core.link.workflow_types import WorkflowDetail
from tui.screens.base import RondoScreen


class CodeOfRun(Message, bubble=False):
    """The workflow whose code is to be opened."""

    def __init__(self, detail: WorkflowDetail) -> None:
        super().__init__()
        self.detail = detail


class OpensCode(RondoScreen):
    """A screen that shows many workflows: `e` reads the one that is selected before it opens the editor."""

    def edit_code(self) -> None:
        name = self.workflow_name
        self.ask(lambda: self.engine.get_workflow(name), CodeOfRun, group="code", doing=f"opening {name}")

    def on_code_of_run(self, message: CodeOfRun) -> None:
        detail = message.detail
        if self.app.screen is self:
            self.rondo.edit_file(detail.code_path, 0, detail.name, detail.folder)
