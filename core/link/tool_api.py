"""The part of the EngineApi that is about tools and accounts, and how a client calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, TypeVar

from core.link.tool_types import (
    ActionView,
    ConnectionView,
    ConnectView,
    Lack,
    ToolChange,
    ToolDetail,
    ToolList,
    ToolReply,
    WorkflowTool,
)
from core.link.workflow_types import EnvironmentView

T = TypeVar("T")


class ToolApi(Protocol):
    """Tools of all providers; every method raises the ToolProblem family."""

    async def list_tools(
        self, query: str = "", connected: bool = False, refresh: bool = False, offset: int = 0
    ) -> ToolList:
        """Apps from the `offset`-th on, those first that are connected or used; `left_out` are behind them."""
        ...

    async def get_tool(self, name: str, provider: str = "", refresh: bool = False, offset: int = 0) -> ToolDetail:
        """An app with its actions from the `offset`-th on; `left_out` are behind them. `whole_tool` asks for all."""
        ...

    async def get_action(self, name: str, action: str, provider: str = "") -> ActionView: ...

    async def connect_tool(
        self, name: str, provider: str = "", scheme: str = "", values: dict[str, str] | None = None
    ) -> ConnectView:
        """Begin to connect an account; `values` are what was filled in. None of them is kept in the database."""
        ...

    async def check_connection(self, name: str, connection_id: str, provider: str = "") -> ConnectionView:
        """How an account is now; once it is ACTIVE, runs that wait for it go on."""
        ...

    async def disconnect_tool(self, name: str, provider: str = "", account: str = "") -> list[ConnectionView]: ...

    async def call_tool(
        self,
        command_id: str,
        name: str,
        action: str,
        arguments: dict[str, Any],
        provider: str = "",
        account: str = "",
    ) -> ToolReply:
        """Call an action once, for a person; it is recorded as calls of nodes are."""
        ...

    async def workflow_tools(self, workflow: str) -> list[WorkflowTool]:
        """The tools that a workflow names, and what keeps each from being called."""
        ...

    async def get_provider(self, name: str, after: int = 0) -> EnvironmentView:
        """The environment of a provider that is installed apart, with what was said after line `after`."""
        ...

    async def install_provider(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        """Begin to install such a provider where it is not there (or anew, with `again`) and return at once."""
        ...

    async def cancel_install(self, name: str) -> EnvironmentView:
        """Give up what `install_provider` began."""
        ...

    async def remove_provider(self, name: str) -> EnvironmentView:
        """Take such a provider away; raises PackagesProblem where another engine uses it."""
        ...

    async def change_tools(self, command_id: str, workflow: str, changes: list[ToolChange]) -> list[WorkflowTool]:
        """Write the workflow's tools.json, as an edit that can be undone; returns what it names then."""
        ...

    async def check_workflow(self, workflow: str, version: str | None = None) -> list[Lack]:
        """All that is missing for a run of a workflow: tools, actions, accounts, keys, secrets. Nothing is executed."""
        ...


async def whole_tool(engine: ToolApi, name: str, provider: str = "", refresh: bool = False) -> ToolDetail:
    """An app with all of its actions, asked for in as many parts as it takes."""
    detail = await engine.get_tool(name, provider, refresh)
    while detail.left_out:
        more = await engine.get_tool(detail.row.name, detail.row.provider, False, len(detail.actions))
        if not more.actions:
            break
        detail.actions += more.actions
        detail.left_out = more.left_out
    return detail


class RemoteToolCalls(ABC):
    """The methods of `ToolApi`, each as one call by its name."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def list_tools(
        self, query: str = "", connected: bool = False, refresh: bool = False, offset: int = 0
    ) -> ToolList:
        return await self._call(
            ToolList, "list_tools", query=query, connected=connected, refresh=refresh, offset=offset
        )

    async def get_tool(self, name: str, provider: str = "", refresh: bool = False, offset: int = 0) -> ToolDetail:
        return await self._call(ToolDetail, "get_tool", name=name, provider=provider, refresh=refresh, offset=offset)

    async def get_action(self, name: str, action: str, provider: str = "") -> ActionView:
        return await self._call(ActionView, "get_action", name=name, action=action, provider=provider)

    async def connect_tool(
        self, name: str, provider: str = "", scheme: str = "", values: dict[str, str] | None = None
    ) -> ConnectView:
        return await self._call(ConnectView, "connect_tool", name=name, provider=provider, scheme=scheme, values=values)

    async def check_connection(self, name: str, connection_id: str, provider: str = "") -> ConnectionView:
        return await self._call(
            ConnectionView, "check_connection", name=name, connection_id=connection_id, provider=provider
        )

    async def disconnect_tool(self, name: str, provider: str = "", account: str = "") -> list[ConnectionView]:
        return await self._call(list[ConnectionView], "disconnect_tool", name=name, provider=provider, account=account)

    async def call_tool(
        self,
        command_id: str,
        name: str,
        action: str,
        arguments: dict[str, Any],
        provider: str = "",
        account: str = "",
    ) -> ToolReply:
        return await self._call(
            ToolReply,
            "call_tool",
            command_id=command_id,
            name=name,
            action=action,
            arguments=arguments,
            provider=provider,
            account=account,
        )

    async def workflow_tools(self, workflow: str) -> list[WorkflowTool]:
        return await self._call(list[WorkflowTool], "workflow_tools", workflow=workflow)

    async def get_provider(self, name: str, after: int = 0) -> EnvironmentView:
        return await self._call(EnvironmentView, "get_provider", name=name, after=after)

    async def install_provider(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        return await self._call(EnvironmentView, "install_provider", command_id=command_id, name=name, again=again)

    async def cancel_install(self, name: str) -> EnvironmentView:
        return await self._call(EnvironmentView, "cancel_install", name=name)

    async def remove_provider(self, name: str) -> EnvironmentView:
        return await self._call(EnvironmentView, "remove_provider", name=name)

    async def check_workflow(self, workflow: str, version: str | None = None) -> list[Lack]:
        return await self._call(list[Lack], "check_workflow", workflow=workflow, version=version)

    async def change_tools(self, command_id: str, workflow: str, changes: list[ToolChange]) -> list[WorkflowTool]:
        return await self._call(
            list[WorkflowTool], "change_tools", command_id=command_id, workflow=workflow, changes=changes
        )
