"""The tools a node can call, and the narrow `shared` that workflow modules see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.errors import ToolMissing


class Tools(Mapping[str, Any]):
    """The tools of a workflow by name; a missing one is a `ToolMissing` (also a KeyError) that names it."""

    def __init__(self, tools: Mapping[str, Any] | None = None) -> None:
        self._tools = dict(tools or {})

    def __getitem__(self, name: str) -> Any:
        try:
            return self._tools[name]
        except KeyError:
            known = ", ".join(sorted(self._tools)) or "none"
            raise ToolMissing(
                f"There is no tool {name!r}.",
                cause=f"The tools of this workflow are: {known}.",
                next_step=f"Add {name!r} to the workflow's tools.json, or use one of those it has.",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)


class SharedView(Mapping[str, Any]):
    """The module-level `shared` of a workflow's code: `shared['tools']` and nothing else.

    The state itself reaches a node through `prepare` and `cleanup` only.
    """

    def __init__(self, tools: Tools | None = None) -> None:
        self._tools = tools if tools is not None else Tools()

    def __getitem__(self, key: str) -> Any:
        if key == "tools":
            return self._tools
        raise KeyError(
            f"{key!r}: outside of prepare and cleanup, `shared` holds only 'tools'; "
            f"take shared[{key!r}] in prepare(self, shared, request_input) and return it to execute"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(("tools",))

    def __len__(self) -> int:
        return 1


shared_view = SharedView()
"""The view for workflows without tools."""
