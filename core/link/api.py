"""The one interface of the engine; in-process and remote engines are the same to a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from core.link.types import (
    Answer,
    ApprovalView,
    ChangeView,
    ClientInfo,
    Doctor,
    EngineInfo,
    EngineStatus,
    Event,
    LogPage,
    LogQuery,
    RequestView,
    RunFilter,
    RunRow,
    RunView,
    StartRun,
    StateChunk,
    StateView,
    StepPage,
    WorkflowDetail,
    WorkflowRow,
)


class EngineApi(Protocol):
    """What an engine does for its clients. Every failure is a `RondoError`.

    A run is named by its id or by any unique ending of it of at least 4 characters. Commands carry a `command_id`
    made by the client: the same id again gives the first result and acts once.
    """

    async def hello(self, client: ClientInfo) -> EngineInfo: ...

    async def engine_status(self) -> EngineStatus: ...

    async def stop_engine(self) -> None:
        """Take no more work, bring running steps to their boundary, end."""

    async def doctor(self) -> Doctor: ...

    async def trust_workspace(self) -> None:
        """Approve every present and future version in this workspace: "trust my edits here"."""

    async def list_workflows(self) -> list[WorkflowRow]: ...

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail: ...

    async def approval(self, name: str) -> ApprovalView: ...

    async def approve(self, name: str, version: str) -> ApprovalView:
        """Approve the version the person was shown; a folder that changed since is refused."""
        ...

    async def start_run(self, start: StartRun) -> RunView: ...

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        """Let a paused run do one step, or answer the request a stepped run waits for; returns at once."""
        ...

    async def continue_run(self, command_id: str, run_id: str) -> RunView:
        """Let a paused run go on to its end."""
        ...

    async def cancel_run(self, command_id: str, run_id: str) -> RunView: ...

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

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500) -> StepPage:
        """What the run's present line did after step `after` (the seq of the last completed step the caller has seen):

        failed attempts, completed steps and what is running, in order.
        """
        ...

    async def read_state(
        self, run_id: str, seq: int | None = None, path: list[str | int] | None = None, depth: int = 3
    ) -> StateView:
        """The state after step `seq` (None: the last), or a part of it; large and deep parts are elided."""
        ...

    async def read_state_chunk(self, run_id: str, seq: int | None = None, offset: int = 0) -> StateChunk: ...

    async def read_changes(self, run_id: str, seq: int) -> list[ChangeView]: ...

    async def read_logs(self, query: LogQuery) -> LogPage: ...

    def events(self) -> AsyncIterator[list[Event]]:
        """Batches of events from now on, for as long as the iterator lives."""
        ...
