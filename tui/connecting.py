"""Connecting accounts from wherever one is: from the list of apps, and for a run that waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App
from textual.message import Message

from core.errors import RondoError
from tui.messages import EngineFailed
from tui.text import visible

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from core.link.tool_types import ConnectionView, ToolDetail, WorkflowTool


class ConnectWanted(Message, bubble=False):
    """A run waits for an account; `tool` is how its workflow names the app, None where it doesn't any more."""

    def __init__(self, app: str, tool: WorkflowTool | None, usable: bool) -> None:
        super().__init__()
        self.app = app
        self.tool = tool
        self.usable = usable


class ConnectsTools(App[int]):
    """The part of the app that connects accounts."""

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        raise NotImplementedError

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    def connect_app(self, name: str, provider: str = "", detail: ToolDetail | None = None) -> None:
        """Show the sheet that connects an account of an app."""
        from tui.screens.connect import ConnectSheet

        def done(found: ConnectionView | None) -> None:
            if found is not None:
                who = f" as {visible(found.account)}" if found.account and found.provider != "mcp" else ""
                word = "trusted" if found.provider == "mcp" else "connected"
                self.say(f"{visible(name)} is {word}{who}", "good")

        self.push_screen(ConnectSheet(name, provider, detail), done)

    def connect_for(self, workflow: str, app: str) -> None:
        """Connect the account that a run of a workflow waits for, with the provider that the workflow pins."""
        engine = self.engine

        async def work() -> None:
            try:
                tools = await engine.workflow_tools(workflow)
                tool = next((one for one in tools if one.app == app), None)
                usable = tool is not None and not tool.problem and tool.connection is not None
                if tool is not None and tool.connection is not None and usable:
                    # Somebody connected it meanwhile: looking at it lets the run go on.
                    await engine.check_connection(app, tool.connection.id, tool.provider)
            except RondoError as error:
                self.post_message(EngineFailed(error, f"connecting {app}"))
            else:
                self.post_message(ConnectWanted(app, tool, usable))

        self.run_worker(work, group="connect", exclusive=True, name="connect")

    def on_connect_wanted(self, message: ConnectWanted) -> None:
        if message.usable:
            self.say(f"{visible(message.app)} is connected already; the run goes on", "good")
        else:
            self.connect_app(message.app, message.tool.provider if message.tool is not None else "")
