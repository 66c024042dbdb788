"""Copying workflows, putting them into the trash and taking them out, and undo of all that."""

from __future__ import annotations

from time import monotonic

from textual.message import Message

from core.link.shelf_api import TrashedWorkflow
from tui.actions import action
from tui.deeds import Duplicated, Restored, Trashed
from tui.navigation import Place
from tui.screens.base import needs_workflow
from tui.screens.deeds import DeedDone, DoesDeeds
from tui.spans import Spans
from tui.text import fit, plural, relative_time, visible

HELD_SECONDS = 0.7
"""A press so soon after the last one is a key that is held: it puts nothing more into the trash."""


class TrashRead(Message, bubble=False):
    """What is in the trash."""

    def __init__(self, trashed: list[TrashedWorkflow]) -> None:
        super().__init__()
        self.trashed = trashed


class WorkflowsShelf(DoesDeeds):
    """The part of the list of workflows that acts on whole workflows."""

    _last_trashed = -HELD_SECONDS

    @property
    def known_names(self) -> list[str]:
        """The workflows there are."""
        raise NotImplementedError

    @action(
        "workflow.duplicate",
        "duplicate",
        keys="D",
        words="duplicate",
        help="Copy the workflow under another name",
        when=needs_workflow,
    )
    def duplicate(self) -> None:
        from tui.screens.name import NameSheet

        name = self.workflow_name

        def named(new_name: str | None) -> None:
            if new_name is None:
                return

            async def call(command_id: str) -> DeedDone:
                done = await self.engine.duplicate_workflow(command_id, name, new_name)
                text = f"{done.workflow} is a copy of {done.source}; u takes it away again"
                return DeedDone(text, done.workflow, Duplicated(done.workflow))

            self.act(call, f"copying {name}")

        self.app.push_screen(NameSheet(f"a copy of {name}", f"{name}_copy", self.known_names), named)

    @action(
        "workflow.trash",
        "trash",
        keys="d",
        words="trash",
        help="Put the workflow into the trash; u takes it out again",
        footer=48,
        when=needs_workflow,
    )
    def trash(self) -> None:
        now = monotonic()
        since, self._last_trashed = now - self._last_trashed, now
        if since < HELD_SECONDS:
            self.say("Not again so soon: press once more for the next one", "hint")
            return
        name = self.workflow_name

        async def call(command_id: str) -> DeedDone:
            done = await self.engine.trash_workflow(command_id, name)
            return DeedDone(f"{name} is in the trash; u takes it out again", "", Trashed(name, done.id))

        self.act(call, f"putting {name} into the trash")

    @action(
        "workflow.show-trash", "show the trash", keys="T", words="restore", help="What is in the trash, to take out"
    )
    def show_trash(self) -> None:
        self.ask(lambda: self.engine.list_trash(), TrashRead, group="trash", doing="reading the trash")

    def on_trash_read(self, message: TrashRead) -> None:
        """Let one be picked that comes back."""
        if self.app.screen is not self:
            return
        from tui.screens.trash import TrashSheet

        def picked(one: TrashedWorkflow | list[TrashedWorkflow] | None) -> None:
            if one is None:
                return
            if isinstance(one, list):
                self._empty_trash(one)
                return

            async def call(command_id: str) -> DeedDone:
                done = await self.engine.restore_workflow(command_id, one.id)
                return DeedDone(f"{done.workflow} is back", done.workflow, Restored(done.workflow))

            self.act(call, f"taking {one.workflow} out of the trash")

        self.app.push_screen(TrashSheet(message.trashed, self.rondo.now()), picked)

    def _empty_trash(self, trashed: list[TrashedWorkflow]) -> None:
        from tui.screens.confirm import ConfirmSheet

        async def call(command_id: str) -> DeedDone:
            done = await self.engine.empty_trash(command_id, [one.id for one in trashed])
            return DeedDone(f"{plural(len(done.removed), 'workflow')} removed from the trash for good")

        def decided(agreed: bool | None) -> None:
            if agreed:
                self.act(call, "emptying the trash")

        now = self.rondo.now()
        lines: list[Spans] = [
            [(f" {fit(visible(one.workflow), 32)}", "strong"), (relative_time(one.trashed_at, now), "dim")]
            for one in trashed
        ]
        question = f"Remove {plural(len(trashed), 'workflow')} for good?"
        text = "Their folders go, and nothing brings them back. Their runs and versions stay."
        self.rondo.push_screen(ConfirmSheet(question, text, yes="remove", lines=lines), decided)

    @action(
        "workflow.versions",
        "versions",
        keys="v",
        words="versions",
        help="What the workflow was, what changed, and the way back",
        footer=47,
        when=needs_workflow,
    )
    def show_versions(self) -> None:
        self.rondo.go(Place("versions", self.workflow_name))
