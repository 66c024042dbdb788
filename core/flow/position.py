"""Where a run stands, as it can be rebuilt from its committed steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.flow.journal import Failure
from core.sdk.visit import LastError


@dataclass(frozen=True, slots=True)
class Trial:
    """What a visit has behind it when a process takes it up.

    `attempts` are used up, the first `forgiven` of them in rounds after which a person asked for another; `failure` is
    what the last one failed with, with `final` for good.
    """

    attempts: int = 0
    forgiven: int = 0
    failure: Failure | None = None
    final: bool = False


NEW = Trial()


@dataclass(slots=True)
class Position:
    """Where a run is: the last committed step, the node to enter, completed visits by node.

    `trials` has the visits to come that were tried before. `last_error` is why the last step's node failed, where
    `on_error` let the run go on from there.
    """

    seq: int = 0
    next_node: str | None = None
    visits: dict[str, int] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    last_error: LastError | None = None
