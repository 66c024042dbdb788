"""The difference of two states of a workflow as groups of changes, each accepted or rejected as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Sign = Literal["+", "-", "~"]


@dataclass(frozen=True, slots=True)
class GraphLine:
    """One change of the graph; `target` is a node's id, "from to number" of an edge (from 1), or a key."""

    what: Literal["node", "edge", "settings"]
    sign: Sign
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One change of code: a class, function or constant, or "" for what stands between them; unified diff."""

    name: str
    sign: Sign
    diff: str
    file: str


@dataclass(frozen=True, slots=True)
class Group:
    """What is accepted or rejected as one; `needs` are the ids of groups that must be accepted with it."""

    id: str
    title: str
    graph: tuple[GraphLine, ...]
    code: tuple[CodeLine, ...]
    needs: tuple[str, ...] = ()


class Changes:
    """All changes between two states of a workflow's files."""

    name: str
    base: dict[str, bytes]
    after: dict[str, bytes]
    groups: tuple[Group, ...]

    def __init__(self, name: str, base: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        raise NotImplementedError

    def closed(self, accept: Collection[str]) -> set[str]:
        """These groups with all that they need. Raises ProposalProblem for an id that is not there."""
        raise NotImplementedError

    def without(self, reject: Collection[str]) -> set[str]:
        """The groups that remain when these are rejected: what needs them goes, too."""
        raise NotImplementedError

    def files(self, accept: Collection[str] | None = None) -> dict[str, bytes]:
        """The files with the accepted groups (None: all) and what they need; all give `after`, none gives `base`.

        Raises ProposalProblem for an unknown id, or where the result would have errors that neither side has.
        """
        raise NotImplementedError
