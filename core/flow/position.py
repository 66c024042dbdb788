"""Where a run stands, as it can be rebuilt from its committed steps."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Position:
    """Where a run is: the last committed step, the node to enter, completed visits by node.

    `attempts` counts the attempts of the next visit that are used up already.
    """

    seq: int = 0
    next_node: str | None = None
    visits: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
