"""The part of the EngineApi that writes a workflow's tools.json: which tools it may call, and what of them is fixed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from core.engine.catalog import Catalog
from core.engine.conversations.journal import Applied, Journal
from core.engine.tools_file import with_tools
from core.errors import UsageError
from core.link.tool_types import ToolChange, WorkflowTool
from core.store.operations import Operation, RecordCommand
from core.tools.hub import ToolHub
from core.tools.pins import Pin, read_pins

FILE = "tools.json"
FIELDS = ("provider", "app", "version", "account")
T = TypeVar("T")


class PinCalls(ABC):
    """What an engine does with the tools.json of workflows."""

    _catalog: Catalog
    _hub: ToolHub
    _journal: Journal

    @abstractmethod
    def _command_of(
        self, command_id: str, method: str, arguments: dict[str, Any]
    ) -> Callable[[str], RecordCommand]: ...

    @abstractmethod
    async def _written(self, command_id: str, kind: type[T], carry_out: Callable[[], Awaitable[T]]) -> T: ...

    @abstractmethod
    async def workflow_tools(self, workflow: str) -> list[WorkflowTool]: ...

    async def change_tools(self, command_id: str, workflow: str, changes: list[ToolChange]) -> list[WorkflowTool]:
        command = self._command_of(
            command_id, "change_tools", {"workflow": workflow, "tools": [c.name for c in changes]}
        )
        loaded = await self._catalog.fresh(workflow)
        pins = read_pins(loaded.files.get(FILE))
        # Providers are asked before the folder is held.
        wanted = [(change.name, await self._fields(workflow, pins, change)) for change in changes]

        async def carry_out() -> list[bool]:
            present = await self._journal.files(workflow)
            files = {**present, FILE: with_tools(workflow, present.get(FILE), wanted)}

            def others(applied: Applied) -> list[Operation]:
                return [command(msgspec.json.encode([True]).decode())]

            if files != present:
                await self._journal.apply(
                    workflow,
                    present,
                    files,
                    author="tools",
                    title=_title(changes, pins),
                    command=command,
                    others=others,
                )
            return [True]

        await self._written(command_id, list[bool], carry_out)
        return await self.workflow_tools(workflow)

    async def _fields(self, workflow: str, pins: Mapping[str, Pin], change: ToolChange) -> dict[str, str] | None:
        """What the entry gets; None where it goes. Raises UsageError, and the ToolProblem family where it is pinned."""
        known = pins.get(change.name)
        if change.remove:
            if known is None:
                raise UsageError(
                    f"{workflow} has no tool {change.name!r}.",
                    cause=f"Its tools are: {', '.join(pins) or 'none'}.",
                    next_step="Name one of them.",
                )
            return None
        given = {field: value for field in FIELDS if (value := getattr(change, field)) is not None}
        if not change.pin:
            return given
        pin = known or Pin(change.name)
        pin = Pin(**{"name": pin.name, **{field: given.get(field, getattr(pin, field)) for field in FIELDS}})
        provider, connection = await self._hub.account_of(pin)
        details = await self._hub.details(pin.service, provider)
        fixed = {"provider": provider, "version": details.app.version}
        if connection is not None:
            fixed["account"] = connection.id
        return {**{field: value for field, value in fixed.items() if value}, **given}


def _title(changes: Sequence[ToolChange], pins: Mapping[str, Pin]) -> str:
    def words(change: ToolChange) -> str:
        if change.remove:
            return f"without {change.name}"
        if change.name not in pins:
            return f"with {change.name}"
        return f"{change.name} pinned" if change.pin else f"{change.name} changed"

    return f"Tools: {', '.join(map(words, changes))}"
