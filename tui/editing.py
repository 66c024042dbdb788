"""Editing a workflow's files in the person's own editor; what they save there may run where the file could before."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App
from textual.message import Message

from core.errors import RondoError
from core.read_only import is_read_only, refused
from tui.screens.base import error_text

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from core.link.workflow_types import ApprovalView

LOOK_SECONDS = 2.0
"""How long an engine that doesn't answer keeps the editor from opening."""


class EditorWanted(Message, bubble=False):
    """The editor is to open; `before` says what might run just then, None where that is not known."""

    def __init__(self, path: str, line: int, folder: Path, before: ApprovalView | None) -> None:
        super().__init__()
        self.path = path
        self.line = line
        self.folder = folder
        self.before = before


class EditsFiles(App[int]):
    """The part of the app that opens an editor. Saves through Rondo are approved as they happen (docs/architecture.md).

    That holds for the one file that was opened, where the version from before was approved: what changed beside it
    meanwhile was nobody's save here, and is asked about as ever.
    """

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        raise NotImplementedError

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    def edit_file(self, path: str, line: int = 0, workflow: str = "", folder: str = "") -> None:
        """Open the person's editor on a file of a workflow; what it changes is seen by the engine."""

        if is_read_only():
            self.say(error_text(refused(f"opening {Path(path).name} in an editor")), "problem")
            return

        async def ask_and_open() -> None:
            before = None
            with contextlib.suppress(RondoError, TimeoutError):
                before = await asyncio.wait_for(self.engine.approval(workflow), LOOK_SECONDS) if workflow else None
            self.post_message(EditorWanted(path, line, Path(folder), before))

        self.run_worker(ask_and_open, group="editor", name="opening the editor", exclusive=True)  # type: ignore[arg-type]

    def on_editor_wanted(self, message: EditorWanted) -> None:
        from tui.editor import edit

        problem = edit(self, message.path, message.line)
        if problem:
            self.say(problem, "problem")
        elif message.before is not None and message.before.approved:
            self.run_worker(
                self._approve_save(message.before, message.path, message.folder),
                group="editor",
                name="approving a save",
            )

    async def _approve_save(self, before: ApprovalView, path: str, folder: Path) -> None:
        # Where this fails, the next run asks: nothing is lost.
        with contextlib.suppress(RondoError):
            after = await self.engine.approval(before.workflow)
            changed = {folder / change.path for change in after.changes}
            if not after.approved and after.previous == before.version and changed == {Path(path)}:
                await self.engine.approve(before.workflow, after.version)
