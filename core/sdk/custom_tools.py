"""Tools of one's own: classes whose methods are actions, and the place where they are registered.

They run where the node runs. What they call through Composio, or through another tool, passes the engine as a node's
own calls do. Standard library only.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import OutsideVisit, ToolMissing, ToolUnknown, UsageError
from core.sdk.calls import TOOL
from core.sdk.settle import settle
from core.sdk.tools import PRESENT, REGISTERED

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class Tool:
    """A tool of one's own: each public method is an action that takes one dict of arguments, plain or async."""

    name: str = ""
    """What nodes call it; `register_tool` sets it."""
    description: str = ""

    def actions(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Its actions by name."""
        own = {"actions", "call"} | set(vars(ComposioTool))
        found = {}
        for name, _ in inspect.getmembers(type(self), inspect.isfunction):
            if not name.startswith("_") and name not in own:
                found[name] = getattr(self, name)
        return found

    async def call(self, action: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call an action by its name; raises ToolUnknown."""
        known = self.actions()
        if action not in known:
            raise ToolUnknown(
                f"The tool {self.name or type(self).__name__} has no action {action!r}.",
                cause="It has: " + (", ".join(sorted(known)) or "none") + ".",
                next_step=f"Write a method {action}, or call one of these.",
            )
        return await settle(known[action], dict(arguments or {}))


class ComposioTool(Tool):
    """A tool that stands for an app of Composio's: methods of one's own beside all actions that the app has.

    An action without a method is called through the engine: `tool.send_email({...})` is GMAIL_SEND_EMAIL of the app
    `gmail`. The app must stand in the workflow's tools.json.
    """

    app: str = ""
    """The app's name; the registered name where it is empty."""

    async def execute_action(self, action: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call an action of the app through the engine and return its result."""
        return await call_tool(self.app or self.name, action, arguments)

    async def call(self, action: str, arguments: Mapping[str, Any] | None = None) -> Any:
        if action in self.actions():
            return await super().call(action, arguments)
        return await self.execute_action(action, arguments)

    def __getattr__(self, action: str) -> Callable[..., Awaitable[Any]]:
        if action.startswith("_"):
            raise AttributeError(action)

        async def call(arguments: Mapping[str, Any] | None = None) -> Any:
            return await self.execute_action(action, arguments)

        return call


class ToolManager:
    """Registers tools of one's own and finds them again. All managers of a process know the same ones."""

    def register_tool(self, name: str, tool: Tool) -> None:
        """Make a tool known to nodes as `shared['tools'][name]`; one of the same name gives way."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name of a tool.",
                cause="A name is up to 64 letters, digits and _ . - and begins with a letter.",
                next_step="Choose a name such as my_tool.",
            )
        if not isinstance(tool, Tool):
            raise UsageError(
                f"{type(tool).__name__} is no tool.",
                cause="register_tool takes an instance of a class that inherits from Tool or ComposioTool.",
                next_step="Inherit from Tool, and give an instance of the class.",
            )
        tool.name = tool.name or name
        REGISTERED[name] = tool

    def unregister_tool(self, name: str) -> None:
        """Forget a tool; one that is not known stays unknown."""
        REGISTERED.pop(name, None)

    def get_tool(self, name: str) -> Tool:
        """The registered tool of that name; raises ToolMissing."""
        tool: Tool | None = REGISTERED.get(name)
        if tool is None:
            raise ToolMissing(
                f"There is no tool {name!r}.",
                cause="Registered are: " + (", ".join(sorted(REGISTERED)) or "none") + ".",
                next_step="Register it first: ToolManager().register_tool(name, tool)",
            )
        return tool

    def list_tools(self) -> list[str]:
        """The names of all registered tools."""
        return sorted(REGISTERED)


async def call_tool(name: str, action: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Call a tool's action for the node that runs; raises OutsideVisit where none does."""
    visit = PRESENT.get()
    if visit is None:
        raise OutsideVisit(
            f"{name}.{action} can be called only while a node runs.",
            cause="The engine makes the call for one visit of one run, and here there is none.",
            next_step="Call it inside prepare, execute or cleanup; by hand: rondo tools call",
        )
    request = {"tool": str(name), "action": str(action), "args": dict(arguments or {})}
    return (await visit.call(TOOL, request))["value"]
