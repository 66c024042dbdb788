"""The tools a node can call, and the narrow `shared` that workflow modules see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from core.errors import ToolMissing

PRESENT: ContextVar[Any] = ContextVar("present visit", default=None)
"""The visit (`core.sdk.visit.Visit`) whose code runs."""

REGISTERED: dict[str, Any] = {}
"""Tools of one's own by name (`core.sdk.custom_tools.ToolManager`)."""


class ToolProxy:
    """A tool in node code: each attribute is an action that is called through the engine. It holds nothing of a run,
    and is no JSON value, so the state can't keep it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<tool {self._name}>"

    def __getattr__(self, action: str) -> Callable[..., Awaitable[Any]]:
        if action.startswith("_"):
            raise AttributeError(action)

        async def call(arguments: Mapping[str, Any] | None = None) -> Any:
            from core.sdk.custom_tools import call_tool

            return await call_tool(self._name, action, arguments)

        return call


class Tools(Mapping[str, Any]):
    """The tools of a workflow by name, and those that were registered; a missing one is a `ToolMissing` (also a
    KeyError) that names it."""

    def __init__(self, tools: Mapping[str, Any] | None = None) -> None:
        self._tools = dict(tools or {})

    def __getitem__(self, name: str) -> Any:
        if name in REGISTERED:
            return REGISTERED[name]
        try:
            return self._tools[name]
        except KeyError:
            known = ", ".join(sorted(self)) or "none"
            raise ToolMissing(
                f"There is no tool {name!r}.",
                cause=f"The tools of this workflow are: {known}.",
                next_step=f"Add {name!r} to the workflow's tools.json, or use one of those it has.",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter({**self._tools, **REGISTERED})

    def __len__(self) -> int:
        return len({**self._tools, **REGISTERED})


class NodeState(dict[str, Any]):
    """A run's state as its nodes see it: a dict of what is stored, and `shared["tools"]` while a node runs.

    The tools are no key of it: they are not among its items, are never stored, and give way to a key of that name.
    """

    def __missing__(self, key: str) -> Any:
        visit = PRESENT.get() if key == "tools" else None
        if visit is None:
            raise KeyError(key)
        return visit.tools


def as_nodes_see(state: dict[str, Any]) -> NodeState:
    """The state for nodes: itself where it is one already, else a shallow copy."""
    return state if isinstance(state, NodeState) else NodeState(state)


class SharedView(Mapping[str, Any]):
    """The module-level `shared` of a workflow's code: `shared['tools']` and nothing else.

    The state itself reaches a node through `prepare` and `cleanup` only.
    """

    def __init__(self, tools: Tools | None = None) -> None:
        self._tools = tools

    def __getitem__(self, key: str) -> Any:
        if key == "tools":
            if self._tools is not None:
                return self._tools
            visit = PRESENT.get()
            return visit.tools if visit is not None else Tools()
        raise KeyError(
            f"{key!r}: outside of prepare and cleanup, `shared` holds only 'tools'; "
            f"take shared[{key!r}] in prepare(self, shared, request_input) and return it to execute"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(("tools",))

    def __len__(self) -> int:
        return 1


shared_view = SharedView()
"""The view that workflow modules are given: it shows the tools of the node that runs."""
