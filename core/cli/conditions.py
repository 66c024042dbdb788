"""What the conditions of a node's edges saw when a step was routed, as a part of `rondo show RUN --step N`."""

from __future__ import annotations

from core.cli.call import Client
from core.cli.documents import Document
from core.cli.output import Output
from core.link.routing_types import ConditionsView


async def read_conditions(client: Client, run_id: str, step: int, line: int) -> ConditionsView:
    """Ask the engine."""
    return await client.ask(lambda engine: engine.read_conditions(run_id, step, line))


def condition_documents(view: ConditionsView) -> list[Document]:
    """Each conditional edge with the values that it saw, as the first characters of their JSON texts, or null."""
    return [
        {
            "to": condition.to_id,
            "condition": condition.condition,
            "values": {value.place: value.value for value in condition.values},
        }
        for condition in view.conditions
    ]


def show_conditions(output: Output, view: ConditionsView) -> None:
    """The same for people; nothing where the node has no conditions."""
    if not view.conditions:
        return
    output.line("")
    output.line((f"what the conditions of {view.node} saw", "dim"))
    for condition in view.conditions:
        output.line(("  → ", "dim"), condition.to_id, (f"  if {condition.condition}", "dim"))
        for value in condition.values:
            held = "was not there" if value.value is None else value.value
            output.line(f"      {value.place}", (" = " if value.value is not None else " ", "dim"), held)
