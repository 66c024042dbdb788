"""What was done to whole workflows from the screens, to be taken back and done again. Each deed is one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from core.errors import RondoError

if TYPE_CHECKING:
    from core.link.api import EngineApi

KEPT = 100
"""Deeds that can be taken back."""


class Deed(Protocol):
    """Something that was done to a workflow; `title` says what, as a person would."""

    title: str
    workflow: str

    async def take_back(self, engine: EngineApi, command_id: str) -> None: ...

    async def do_again(self, engine: EngineApi, command_id: str) -> None: ...


class Trashed:
    """A workflow went into the trash."""

    def __init__(self, workflow: str, trash_id: str) -> None:
        self.title = f"{workflow} into the trash"
        self.workflow = workflow
        self._trash_id = trash_id

    async def take_back(self, engine: EngineApi, command_id: str) -> None:
        await engine.restore_workflow(command_id, self._trash_id)

    async def do_again(self, engine: EngineApi, command_id: str) -> None:
        self._trash_id = (await engine.trash_workflow(command_id, self.workflow)).id


class Restored:
    """A workflow was taken out of the trash."""

    def __init__(self, workflow: str) -> None:
        self.title = f"{workflow} out of the trash"
        self.workflow = workflow
        self._trash_id = ""

    async def take_back(self, engine: EngineApi, command_id: str) -> None:
        self._trash_id = (await engine.trash_workflow(command_id, self.workflow)).id

    async def do_again(self, engine: EngineApi, command_id: str) -> None:
        await engine.restore_workflow(command_id, self._trash_id)


class Duplicated(Restored):
    """A copy was made; taken back it goes into the trash, where what was changed in it since is not lost."""

    def __init__(self, workflow: str) -> None:
        super().__init__(workflow)
        self.title = f"the copy {workflow}"


class Deeds:
    """The deeds of this session, the last one first to be taken back."""

    def __init__(self) -> None:
        self._done: list[Deed] = []
        self._undone: list[Deed] = []
        self.last_at = 0.0
        """When one was done last; what was applied to a workflow's files since then is taken back first."""

    def add(self, deed: Deed, at: float) -> None:
        """It was done just now; what was taken back before can't be done again any more."""
        self._done = [*self._done, deed][-KEPT:]
        self._undone.clear()
        self.last_at = at

    @property
    def last(self) -> Deed | None:
        """What would be taken back."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Deed | None:
        """What would be done again."""
        return self._undone[-1] if self._undone else None

    async def take_back(self, engine: EngineApi, command_id: str) -> Deed | None:
        """Take the last deed back and return it. Where the engine refuses, it stays as it was; raises RondoError."""
        return await self._move(self._done, self._undone, engine, command_id, again=False)

    async def do_again(self, engine: EngineApi, command_id: str) -> Deed | None:
        """Do again what was taken back last."""
        return await self._move(self._undone, self._done, engine, command_id, again=True)

    async def _move(
        self, source: list[Deed], target: list[Deed], engine: EngineApi, command_id: str, *, again: bool
    ) -> Deed | None:
        if not source:
            return None
        deed = source.pop()
        try:
            await (deed.do_again(engine, command_id) if again else deed.take_back(engine, command_id))
        except RondoError:
            source.append(deed)
            raise
        target.append(deed)
        return deed
