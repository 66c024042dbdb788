"""The node that `"subflow": "NAME"` in a workflow's JSON makes: it runs another workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import SubflowFailed
from core.sdk.edge import evaluate_expression
from core.sdk.node import Node


class Subflow(Node):
    """Runs the workflow `config["workflow"]`, with inputs out of the state, and puts its final state into the state.

    `inputs` are the other workflow's inputs: a text is a Python expression over `shared`, as in conditions, any other
    JSON value is itself. `output` is the key for the whole final state (by default the node's id), or keys with
    expressions over the final state, which is `shared` there.
    """

    def prepare(self, shared: dict[str, Any], request_input: Any) -> dict[str, Any]:
        """The inputs of the other workflow."""
        return self._values("inputs", self.config.get("inputs") or {}, shared)

    async def execute(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """Run it to its end."""
        return await self.run_workflow(self.config["workflow"], prepared)

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: dict[str, Any]) -> None:
        """Take over what is wanted of its final state."""
        output = self.config.get("output") or self.id
        if isinstance(output, Mapping):
            shared.update(self._values("output", output, result))
        else:
            shared[output] = result

    def _values(self, key: str, wanted: Mapping[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for name, value in wanted.items():
            try:
                values[name] = evaluate_expression(value, shared) if isinstance(value, str) else value
            except Exception as error:
                raise SubflowFailed(
                    f"{key}[{name!r}] of node {self.id!r} can't be worked out: {type(error).__name__}: {error}",
                    cause=f"Its expression is {value}.",
                    next_step="Correct the expression; a text that is meant as it stands needs quotes of its own: "
                    + repr(repr(value)),
                ) from error
        return values
