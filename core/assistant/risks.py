"""What of a change needs a yes of its own: compared with the base, it can reach further than before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.assistant.groups import Changes

Kind = Literal["host", "import", "process", "eval", "file", "environment", "packages", "secret"]


@dataclass(frozen=True, slots=True)
class Risk:
    """`id` is stable as long as the same thing is meant at the same class; `line` counts from 1 in the changed file."""

    id: str
    kind: Kind
    what: str
    file: str
    line: int
    group: str


def find_risks(changes: Changes) -> list[Risk]:
    """What the change can do that the base can't, by file and line."""
    raise NotImplementedError
