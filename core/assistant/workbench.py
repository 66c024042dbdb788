"""What the assistant may ask of the program around it: nothing here writes, and nothing runs without consent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ClassExample:
    """A node class of another workflow of the workspace."""

    workflow: str
    name: str
    doc: str
    source: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """How a draft ran with recorded or stubbed calls. Not `allowed`: nobody has said yes to it, and nothing was run.

    `state` is the final state, redacted; `log` the last lines.
    """

    allowed: bool
    completed: bool = False
    steps: tuple[str, ...] = ()
    error: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""


class Workbench(Protocol):
    """The program as the assistant's tools know it; one stands for one workflow, which need not exist yet."""

    async def files(self) -> dict[str, bytes]:
        """The files of the workflow's version as they are now, by path; none where there is no workflow yet."""
        ...

    async def name_for(self, goal: str) -> str:
        """A name for the workflow that is not there yet, after its goal; from now on this stands for that one."""
        ...

    async def tools(self) -> list[str]:
        """The names of the tools that workflows of this workspace can use."""
        ...

    async def workflows(self) -> list[str]:
        """The names of the workspace's other workflows, which a subflow node can run."""
        ...

    async def examples(self, query: str, limit: int) -> list[ClassExample]:
        """Node classes of other workflows that fit the words, the best first."""
        ...

    async def dry_run(self, files: Mapping[str, bytes], inputs: dict[str, Any], until: str | None) -> DryRun:
        """Run a draft in the isolated run process, if a person has allowed it for this conversation."""
        ...
