"""A node of the simpler kind: one method from state to state."""

from __future__ import annotations

from typing import Any

from core.sdk.node import Node
from core.sdk.visit import RequestInput

AGENT = "agent"


class BaseNode(Node):
    """`async execute(state)` returns the state, or, where `node_type` is "agent", the id of the next node.

    An agent that returns None leaves the choice to the edges. `self.request_input` asks a person.
    """

    request_input: RequestInput

    def __init__(
        self,
        node_id: str | None = None,
        node_type: str | None = None,
        *,
        id: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(id=node_id or id, config=config)
        self.node_type = node_type or "task"

    @property
    def node_id(self) -> str:
        """The node's id."""
        return self.id

    def prepare(self, shared: dict[str, Any], request_input: RequestInput) -> Any:
        """Hand the state to `execute`."""
        self.request_input = request_input
        return shared

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> Any:
        """Take the state or the choice that `execute` returned."""
        if result is None or result is shared:
            return
        if self.node_type == AGENT and isinstance(result, str):
            self.goto(result)
        elif isinstance(result, dict):
            shared_after = dict(result)
            shared.clear()
            shared.update(shared_after)
        else:
            expected = "the id of the next node" if self.node_type == AGENT else "the state, a dict"
            raise TypeError(
                f"{type(self).__name__}.execute returned {type(result).__name__}; it must return {expected}"
            )
