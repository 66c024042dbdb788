"""How the tools of the listed workflows stand: asked for behind the list, one workflow after the other."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from core.errors import RondoError
from core.link.tool_types import WorkflowTool
from core.link.workflow_types import WorkflowRow
from tui.reader import Reader
from tui.screens.base import RondoScreen

AGE_SECONDS = 300.0
"""After this time it is asked again: an account may have been connected or have ended elsewhere."""


class ToolsOfWorkflow(Message, bubble=False):
    """The tools of one workflow; None where it could not be said how they stand."""

    def __init__(self, name: str, tools: list[WorkflowTool] | None) -> None:
        super().__init__()
        self.name = name
        self.tools = tools


class ReadsTools(RondoScreen):
    """The part of the list of workflows that knows their tools. Nothing waits for it, and no failure is told."""

    def __init__(self) -> None:
        super().__init__()
        self.tools: dict[str, list[WorkflowTool]] = {}
        self._asked_at: dict[str, float] = {}
        self._to_ask: list[str] = []
        self._tools_reader = Reader(self, "the tools", self._read_tools, lambda message: message)

    def show_tools(self) -> None:
        """There is news of the tools."""
        raise NotImplementedError

    def forget_tools(self, name: str) -> None:
        """The workflow changed: it may name others now."""
        self._asked_at.pop(name, None)

    def want_tools(self, rows: Sequence[WorkflowRow], first: str = "") -> None:
        """Ask for the tools of those that name any and were not asked about lately; `first` is looked at."""
        now = self.rondo.now()
        due = [row.name for row in rows if row.tools and now - self._asked_at.get(row.name, -1e12) > AGE_SECONDS]
        self._to_ask = sorted(due, key=lambda name: name != first)
        if self._to_ask:
            self._tools_reader.want()

    async def _read_tools(self) -> ToolsOfWorkflow:
        name = self._to_ask.pop(0) if self._to_ask else ""
        if not name:
            return ToolsOfWorkflow("", None)
        self._asked_at[name] = self.rondo.now()
        try:
            return ToolsOfWorkflow(name, await self.engine.workflow_tools(name))
        except RondoError:
            return ToolsOfWorkflow(name, None)

    def on_tools_of_workflow(self, message: ToolsOfWorkflow) -> None:
        """Show them, and ask about the next."""
        if message.tools is not None:
            self.tools[message.name] = message.tools
            self.show_tools()
        if self._to_ask:
            self._tools_reader.want()
