"""What is checked before a person sees a proposal: nothing here imports or executes what is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.assistant.problem import EditProblem

Status = Literal["passed", "warned", "failed", "not_run", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: schema, lint, compile, classes, ruff; elsewhere import and dry run. `seconds` is None if not run."""

    name: str
    status: Status
    message: str = ""
    problems: tuple[EditProblem, ...] = ()
    seconds: float | None = None

    @property
    def findings(self) -> list[str]:
        """The problems, one line each."""
        return [str(problem) for problem in self.problems]


def run_checks(name: str, files: Mapping[str, bytes]) -> list[Check]:
    """Every check of a draft's files that executes nothing of them. Blocks for ruff (10 s at most): use a thread."""
    raise NotImplementedError


def failed(checks: Sequence[Check]) -> bool:
    """True where one of them failed, so that the files can't be applied."""
    return any(check.status == "failed" for check in checks)
