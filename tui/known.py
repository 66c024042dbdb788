"""What was read of workflows already: a screen that opens on one shows it at once, while it is read again."""

from __future__ import annotations

from collections.abc import Iterable

from core.link.types import RunRow
from core.link.workflow_types import WorkflowDetail

KEPT = 8
"""So many workflows are kept, those that were read last."""


class KnownWorkflows:
    """Workflows as they were when they were read last, and which version some of their runs belong to."""

    def __init__(self) -> None:
        self._details: dict[str, WorkflowDetail] = {}
        self._versions: dict[str, dict[str, str]] = {}

    def note(self, detail: WorkflowDetail, runs: Iterable[RunRow] = ()) -> None:
        """A workflow's folder was read, and some of its runs."""
        self.forget(detail.name)
        self._details[detail.name] = detail
        self._versions[detail.name] = {run.run_id: run.version for run in runs}
        if len(self._details) > KEPT:
            self.forget(next(iter(self._details)))

    def forget(self, name: str) -> None:
        """The workflow changed."""
        self._details.pop(name, None)
        self._versions.pop(name, None)

    def forget_all(self) -> None:
        """Events were lost."""
        self._details.clear()
        self._versions.clear()

    def find(self, name: str, run_id: str = "") -> WorkflowDetail | None:
        """The workflow as its folder is; with a run only where the run is known to belong to just that version."""
        detail = self._details.get(name)
        if detail is None or not run_id:
            return detail
        return detail if self._versions[name].get(run_id) == detail.version else None
