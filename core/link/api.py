"""The one interface of the engine; in-process and remote engines are the same to a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from core.link.assistant_api import AssistantApi
from core.link.commands import Fork, ManyRuns, Rerun, Retry, Rewind, RunNode
from core.link.engine_types import ClientInfo, Doctor, EngineInfo, EngineStatus
from core.link.event_types import Event
from core.link.inspect_api import InspectApi
from core.link.retention_types import ExportedRun, ImportedRun, Prune, PruneReport
from core.link.routing_types import ConditionsView
from core.link.shelf_api import ShelfApi
from core.link.types import (
    Answer,
    ChangeView,
    LineView,
    LogPage,
    LogQuery,
    RequestView,
    RunFilter,
    RunOutcome,
    RunRow,
    RunView,
    StartRun,
    StateChunk,
    StatePoint,
    StateView,
    StepPage,
)
from core.link.workflow_types import (
    ApprovalView,
    EnvironmentView,
    RollbackView,
    VersionDiff,
    VersionView,
    WorkflowDetail,
    WorkflowRow,
)


class EngineApi(AssistantApi, InspectApi, ShelfApi, Protocol):
    """What an engine does for its clients. Every failure is a `RondoError`.

    A run is named by its id or by any unique ending of it of at least 4 characters. Commands carry a `command_id`
    made by the client: the same id again gives the first result and acts once.
    """

    async def hello(self, client: ClientInfo) -> EngineInfo: ...

    async def engine_status(self) -> EngineStatus: ...

    async def stop_engine(self) -> None:
        """Take no more work, bring running steps to their boundary, end."""

    async def doctor(self) -> Doctor: ...

    async def see_unclean_end(self, end_id: str) -> None:
        """A person was told of an engine's unclean end (`EngineStatus.unclean_end`)."""
        ...

    async def trust_workspace(self) -> None:
        """Approve every present and future version in this workspace: "trust my edits here"."""

    async def list_workflows(self) -> list[WorkflowRow]: ...

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail: ...

    async def approval(self, name: str) -> ApprovalView: ...

    async def approve(self, name: str, version: str) -> ApprovalView:
        """Approve the version the person was shown; a folder that changed since is refused."""
        ...

    async def list_versions(self, name: str, limit: int = 50, before: str | None = None) -> list[VersionView]:
        """The versions of a workflow, the last seen first; the folder as it is now comes first where it is none.

        `before` is the hash of the last one that the caller has.
        """
        ...

    async def get_diff(self, name: str, before: str, after: str) -> VersionDiff:
        """What leads from one version to another.

        Each is named by the beginning of its hash, `now` for the folder as it is, `-1` for the one before that.
        """
        ...

    async def rollback(self, command_id: str, name: str, version: str, expected: str) -> RollbackView:
        """Make the folder that version again; what was there goes into `backups/`.

        `expected` is the hash of the folder's files that the person saw; a folder that changed since is refused.
        """
        ...

    async def list_environments(self) -> list[EnvironmentView]:
        """Every environment on this machine, the last used first."""
        ...

    async def get_environment(self, name: str, after: int = 0) -> EnvironmentView:
        """The environment of a workflow as its folder is now, with what the installer said after line `after`."""
        ...

    async def make_environment(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        """Begin to make the environment where it is not there (or anew, with `again`) and return at once.

        Raises NotApproved: what is installed runs code of its packages.
        """
        ...

    async def cancel_environment(self, name: str) -> EnvironmentView:
        """Give up what `make_environment` began, unless a run waits for it."""
        ...

    async def prune_environments(self, days: float) -> list[EnvironmentView]:
        """Remove the environments that were not used for so many days; returns them."""
        ...

    async def start_run(self, start: StartRun) -> RunView: ...

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        """Let a paused run do one step, or answer the request a stepped run waits for; returns at once."""
        ...

    async def continue_run(self, command_id: str, run_id: str) -> RunView:
        """Let a paused run go on to its end; a run that is only about to pause doesn't."""
        ...

    async def pause_run(self, command_id: str, run_id: str, now: bool = False) -> RunView:
        """Pause a run when its running step is complete; one that waits is paused at once.

        With `now` the running visit is given up. It runs again, under the same idempotency key, when the run goes on.
        """
        ...

    async def cancel_run(self, command_id: str, run_id: str) -> RunView: ...

    async def retry_run(self, retry: Retry) -> RunView: ...

    async def rewind_run(self, rewind: Rewind) -> RunView:
        """Go on from an earlier step on a new line; a run that is going on is stopped, its line ends as cancelled."""
        ...

    async def fork_run(self, fork: Fork) -> RunView:
        """The new run; the run it comes from is not touched, and nothing of it is copied."""
        ...

    async def rerun(self, rerun: Rerun) -> RunView: ...

    async def run_node(self, run_node: RunNode) -> RunView: ...

    async def act_on_runs(self, many: ManyRuns) -> list[RunOutcome]:
        """One command for many runs; a run that refuses it doesn't stop the others."""
        ...

    async def answer(self, answer: Answer) -> RunView: ...

    async def get_run(self, run_id: str) -> RunView: ...

    async def list_runs(self, query: RunFilter) -> list[RunRow]: ...

    async def list_requests(self) -> list[RequestView]:
        """Every open request of every run, oldest first."""
        ...

    async def read_request(self, run_id: str, key: str) -> RequestView:
        """The newest request of that key on the run's present line, open or settled: who answered it, and what.

        A very large answer is left out.
        """
        ...

    async def list_lines(self, run_id: str) -> list[LineView]:
        """Every line of a run, oldest first; the last one is the present one."""
        ...

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        """What the run's present line, or `line`, did: failed attempts, completed steps and what is running, in order.

        `after` is the seq of the last completed step that the caller has seen.
        """
        ...

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: list[str | int] | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        """The state after step `seq` (None: the last), or a part of it; large and deep parts are elided."""
        ...

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk: ...

    async def read_conditions(self, run_id: str, seq: int, line: int | None = None) -> ConditionsView:
        """What the conditions of the edges had before them after step `seq`, as far as they name places by constant
        keys; nothing of them is executed."""
        ...

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]: ...

    async def read_difference(self, before: StatePoint, after: StatePoint) -> list[ChangeView]:
        """What must change in one state to get the other, of any steps, lines and runs."""
        ...

    async def read_logs(self, query: LogQuery) -> LogPage: ...

    async def prune(self, prune: Prune) -> PruneReport:
        """Remove runs that have ended, with everything that no other run needs; returns when the file has shrunk.

        What is removed is gone at once; an engine that dies before the rest is deleted leaves that to the next one.
        """
        ...

    async def export_run(self, command_id: str, run_id: str) -> ExportedRun:
        """Write a run into one JSON file that stands alone; whoever asked moves the file away."""
        ...

    async def import_run(self, command_id: str, path: str) -> ImportedRun:
        """Take over a run from such a file, once it was checked whole; nothing of it is executed or approved."""
        ...

    async def unlock_secrets(self, passphrase: str) -> None:
        """Tell the engine the passphrase of the encrypted secrets; it is kept in memory only.

        Raises PassphraseWrong.
        """
        ...

    def events(self) -> AsyncIterator[list[Event]]:
        """Batches of events from now on, for as long as the iterator lives."""
        ...
