"""The part of the EngineApi for looking into runs: breakpoints, output files, who wrote a value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, TypeVar

from core.link.inspect_types import BreakpointView, ChangeBreakpoint, OutputPage, OutputPart, WhyPage

T = TypeVar("T")


class InspectApi(Protocol):
    """Looking into runs; see `core.link.api.EngineApi`: the same rules hold for names, commands and errors."""

    async def list_breakpoints(self, workflow: str | None = None, run_id: str | None = None) -> list[BreakpointView]:
        """All, those of a workflow with those of its runs, or those that hold for one run."""
        ...

    async def change_breakpoint(self, change: ChangeBreakpoint) -> list[BreakpointView]:
        """Set one or take it away; what holds for that workflow or run afterwards.

        A run pauses when the step before the node is complete, or before it begins where the node is the first one.
        What goes on from there (also by rewind, retry or fork) does not stop at that node again before it came back
        to it. Raises UnknownNode, UnknownWorkflow, UnknownRun.
        """
        ...

    async def list_output(self, run_id: str, after: str = "", limit: int = 200) -> OutputPage:
        """The files in the run's output folder, those after a path."""
        ...

    async def read_output(self, run_id: str, path: str, offset: int = 0, limit: int = 64 * 1024) -> OutputPart:
        """A piece of one of these files, at most 128 KiB. Raises UsageError for what is no file in that folder."""
        ...

    async def read_why(
        self,
        run_id: str,
        path: list[str | int],
        step: int | None = None,
        line: int | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> WhyPage:
        """The steps that wrote the value which is at a path after `step` (None: the last), the newest first.

        The search stops where the value came into being as an item of a list; before that there was another one.
        `before` and `path` are `next_before` and `next_path` of the page before, to go on.
        """
        ...


class RemoteInspectCalls(ABC):
    """The methods of `InspectApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def list_breakpoints(self, workflow: str | None = None, run_id: str | None = None) -> list[BreakpointView]:
        return await self._call(list[BreakpointView], "list_breakpoints", workflow=workflow, run_id=run_id)

    async def change_breakpoint(self, change: ChangeBreakpoint) -> list[BreakpointView]:
        return await self._call(list[BreakpointView], "change_breakpoint", change=change)

    async def list_output(self, run_id: str, after: str = "", limit: int = 200) -> OutputPage:
        return await self._call(OutputPage, "list_output", run_id=run_id, after=after, limit=limit)

    async def read_output(self, run_id: str, path: str, offset: int = 0, limit: int = 64 * 1024) -> OutputPart:
        return await self._call(OutputPart, "read_output", run_id=run_id, path=path, offset=offset, limit=limit)

    async def read_why(
        self,
        run_id: str,
        path: list[str | int],
        step: int | None = None,
        line: int | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> WhyPage:
        return await self._call(
            WhyPage, "read_why", run_id=run_id, path=path, step=step, line=line, before=before, limit=limit
        )
