"""A screen that does things to whole workflows: one at a time, each said with how it is taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

from textual.message import Message

from tui.deeds import Deed
from tui.screens.base import RondoScreen

TAKEN_BACK = ("undo", "redo")
"""Authors of changes that only take others back, or take that back."""


class DeedDone(Message, bubble=False):
    """Something was done to a workflow: what to say of it, and the workflow to select."""

    def __init__(self, text: str, workflow: str = "", deed: Deed | None = None) -> None:
        super().__init__()
        self.text = text
        self.workflow = workflow
        self.deed = deed


class NewestEdit(Message, bubble=False):
    """The last applied change of the selected workflow came after the last deed."""


class DoesDeeds(RondoScreen):
    """Acts on whole workflows, and takes back."""

    _acting = False
    selected_next = ""
    """The workflow to select when the list is read again."""

    def act(self, call: Callable[[str], Awaitable[Message]], doing: str) -> None:
        """Do one thing at a time, under a command id: the next key may be about what this one changes."""
        if self._acting:
            self.say("One thing at a time: the last one is still under way", "hint")
            return
        self._acting = True
        command_id = str(uuid4())

        async def work() -> Message:
            try:
                return await call(command_id)
            finally:
                self._acting = False

        self.ask(work, lambda done: done, group="deeds", doing=doing, exclusive=False)

    def on_deed_done(self, message: DeedDone) -> None:
        """Say what was done and how it is taken back."""
        if message.deed is not None:
            self.rondo.deeds.add(message.deed, self.rondo.now())
        self.selected_next = message.workflow
        self.say(message.text, "good")
        self.read_all()
        self.refresh_footer()

    # Undo ------------------------------------------------------------------------------------------------------------

    @property
    def undoes_deeds(self) -> bool:
        return self.rondo.deeds.last is not None

    @property
    def redoes_deeds(self) -> bool:
        return self.rondo.deeds.next is not None

    def undo_change(self) -> None:
        """What was done last comes first: a deed, or a change of the selected workflow's files."""
        deeds, name = self.rondo.deeds, self.workflow_name
        if deeds.last is None:
            super().undo_change()
            return

        async def call(command_id: str) -> DeedDone | NewestEdit:
            edits = await self.engine.list_edits(name, 1) if name else []
            if edits and not edits[0].undone and edits[0].author not in TAKEN_BACK and edits[0].at > deeds.last_at:
                return NewestEdit()
            deed = await deeds.take_back(self.engine, command_id)
            return _moved("Taken back", deed)

        self.act(call, "taking it back")

    def on_newest_edit(self) -> None:
        """Ask about it, as everywhere."""
        super().undo_change()

    def redo_change(self) -> None:
        """Do again what was taken back last."""
        deeds = self.rondo.deeds
        if deeds.next is None:
            super().redo_change()
            return

        async def call(command_id: str) -> DeedDone:
            deed = await deeds.do_again(self.engine, command_id)
            return _moved("Done again", deed)

        self.act(call, "doing it again")


def _moved(words: str, deed: Deed | None) -> DeedDone:
    return DeedDone(f"{words}: {deed.title if deed is not None else 'nothing'}", deed.workflow if deed else "")
