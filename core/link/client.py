"""The engine as seen from another process: `EngineApi` over the socket.

Imports must stay few: the screens load this before their first paint.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self, TypeVar, cast
from weakref import WeakSet

import msgspec

from core.errors import EngineLost, RondoError, UsageError
from core.link.call_records import RemoteCallRecords
from core.link.chat_calls import ChatCalls
from core.link.commands import Fork, ManyRuns, Rerun, Retry, Rewind, RunNode
from core.link.engine_types import PROTOCOL, ClientInfo, Doctor, EngineInfo, EngineStatus
from core.link.event_types import Resync
from core.link.events import EventStream
from core.link.framing import FramingError, encode_frame, read_frame
from core.link.inspect_api import RemoteInspectCalls
from core.link.liveness import Liveness
from core.link.messages import (
    CANCEL,
    NOT_DECODABLE,
    PING,
    SUBSCRIBE,
    Incoming,
    events_decoder,
    incoming_decoder,
    may_change,
)
from core.link.model_calls import RemoteModelCalls
from core.link.retention_types import ExportedRun, ImportedRun, Prune, PruneReport
from core.link.routing_types import ConditionsView
from core.link.shelf_api import RemoteShelfCalls
from core.link.tool_api import RemoteToolCalls
from core.link.types import (
    REPLY_LIMIT,
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
from core.llm.providers import offered_keys
from core.read_only import is_read_only, refused
from core.tools.offered import offered_tool_keys
from core.version import VERSION

T = TypeVar("T")

BATCHES_PER_SECOND = 30
BATCHES_PER_SECOND_OVER_SSH = 10


def client_info(kind: str) -> ClientInfo:
    """How this process introduces itself; over SSH it asks for fewer events."""
    rate = BATCHES_PER_SECOND_OVER_SSH if os.environ.get("SSH_CONNECTION") else BATCHES_PER_SECOND
    return ClientInfo(
        kind=kind,
        app_version=VERSION,
        protocol=PROTOCOL,
        pid=os.getpid(),
        batches_per_second=rate,
        read_only=is_read_only(),
        keys=offered_keys(os.environ) | offered_tool_keys(os.environ),
    )


def fresh_copy(error: RondoError) -> RondoError:
    """The same error anew, because each place that raises one writes its traceback into it."""
    return RondoError.from_dict(error.to_dict())


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


class EngineCalls(
    RemoteModelCalls, RemoteToolCalls, RemoteShelfCalls, RemoteCallRecords, RemoteInspectCalls, ChatCalls, ABC
):
    """The methods of `EngineApi`, each as one call by its name; `core.link.api` says what they do."""

    @abstractmethod
    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        """Call the engine and give back what it answers; raises RondoError."""

    async def hello(self, client: ClientInfo) -> EngineInfo:
        return await self._call(EngineInfo, "hello", client=client)

    async def engine_status(self) -> EngineStatus:
        return await self._call(EngineStatus, "engine_status")

    async def stop_engine(self) -> None:
        return await self._call(NoneType, "stop_engine")

    async def doctor(self) -> Doctor:
        return await self._call(Doctor, "doctor")

    async def see_unclean_end(self, end_id: str) -> None:
        return await self._call(NoneType, "see_unclean_end", end_id=end_id)

    async def trust_workspace(self) -> None:
        return await self._call(NoneType, "trust_workspace")

    async def list_workflows(self) -> list[WorkflowRow]:
        return await self._call(list[WorkflowRow], "list_workflows")

    async def get_workflow(self, name: str, version: str | None = None) -> WorkflowDetail:
        return await self._call(WorkflowDetail, "get_workflow", name=name, version=version)

    async def approval(self, name: str) -> ApprovalView:
        return await self._call(ApprovalView, "approval", name=name)

    async def approve(self, name: str, version: str) -> ApprovalView:
        return await self._call(ApprovalView, "approve", name=name, version=version)

    async def list_versions(self, name: str, limit: int = 50, before: str | None = None) -> list[VersionView]:
        return await self._call(list[VersionView], "list_versions", name=name, limit=limit, before=before)

    async def get_diff(self, name: str, before: str, after: str) -> VersionDiff:
        return await self._call(VersionDiff, "get_diff", name=name, before=before, after=after)

    async def rollback(self, command_id: str, name: str, version: str, expected: str) -> RollbackView:
        return await self._call(
            RollbackView, "rollback", command_id=command_id, name=name, version=version, expected=expected
        )

    async def list_environments(self) -> list[EnvironmentView]:
        return await self._call(list[EnvironmentView], "list_environments")

    async def get_environment(self, name: str, after: int = 0) -> EnvironmentView:
        return await self._call(EnvironmentView, "get_environment", name=name, after=after)

    async def make_environment(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        return await self._call(EnvironmentView, "make_environment", command_id=command_id, name=name, again=again)

    async def cancel_environment(self, name: str) -> EnvironmentView:
        return await self._call(EnvironmentView, "cancel_environment", name=name)

    async def prune_environments(self, days: float) -> list[EnvironmentView]:
        return await self._call(list[EnvironmentView], "prune_environments", days=days)

    async def unlock_secrets(self, passphrase: str) -> None:
        return await self._call(NoneType, "unlock_secrets", passphrase=passphrase)

    async def start_run(self, start: StartRun) -> RunView:
        return await self._call(RunView, "start_run", start=start)

    async def step_run(self, command_id: str, run_id: str, answers: list[tuple[str, object]]) -> RunView:
        return await self._call(RunView, "step_run", command_id=command_id, run_id=run_id, answers=answers)

    async def continue_run(self, command_id: str, run_id: str) -> RunView:
        return await self._call(RunView, "continue_run", command_id=command_id, run_id=run_id)

    async def pause_run(self, command_id: str, run_id: str, now: bool = False) -> RunView:
        return await self._call(RunView, "pause_run", command_id=command_id, run_id=run_id, now=now)

    async def cancel_run(self, command_id: str, run_id: str) -> RunView:
        return await self._call(RunView, "cancel_run", command_id=command_id, run_id=run_id)

    async def retry_run(self, retry: Retry) -> RunView:
        return await self._call(RunView, "retry_run", retry=retry)

    async def rewind_run(self, rewind: Rewind) -> RunView:
        return await self._call(RunView, "rewind_run", rewind=rewind)

    async def fork_run(self, fork: Fork) -> RunView:
        return await self._call(RunView, "fork_run", fork=fork)

    async def rerun(self, rerun: Rerun) -> RunView:
        return await self._call(RunView, "rerun", rerun=rerun)

    async def run_node(self, run_node: RunNode) -> RunView:
        return await self._call(RunView, "run_node", run_node=run_node)

    async def act_on_runs(self, many: ManyRuns) -> list[RunOutcome]:
        return await self._call(list[RunOutcome], "act_on_runs", many=many)

    async def answer(self, answer: Answer) -> RunView:
        return await self._call(RunView, "answer", answer=answer)

    async def get_run(self, run_id: str) -> RunView:
        return await self._call(RunView, "get_run", run_id=run_id)

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        return await self._call(list[RunRow], "list_runs", query=query)

    async def list_requests(self) -> list[RequestView]:
        return await self._call(list[RequestView], "list_requests")

    async def read_request(self, run_id: str, key: str) -> RequestView:
        return await self._call(RequestView, "read_request", run_id=run_id, key=key)

    async def list_lines(self, run_id: str) -> list[LineView]:
        return await self._call(list[LineView], "list_lines", run_id=run_id)

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        return await self._call(StepPage, "read_steps", run_id=run_id, after=after, limit=limit, line=line)

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: list[str | int] | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        return await self._call(StateView, "read_state", run_id=run_id, seq=seq, path=path, depth=depth, line=line)

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk:
        return await self._call(StateChunk, "read_state_chunk", run_id=run_id, seq=seq, offset=offset, line=line)

    async def read_conditions(self, run_id: str, seq: int, line: int | None = None) -> ConditionsView:
        return await self._call(ConditionsView, "read_conditions", run_id=run_id, seq=seq, line=line)

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]:
        return await self._call(list[ChangeView], "read_changes", run_id=run_id, seq=seq, line=line)

    async def read_difference(self, before: StatePoint, after: StatePoint) -> list[ChangeView]:
        return await self._call(list[ChangeView], "read_difference", before=before, after=after)

    async def read_logs(self, query: LogQuery) -> LogPage:
        return await self._call(LogPage, "read_logs", query=query)

    async def prune(self, prune: Prune) -> PruneReport:
        return await self._call(PruneReport, "prune", prune=prune)

    async def export_run(self, command_id: str, run_id: str) -> ExportedRun:
        return await self._call(ExportedRun, "export_run", command_id=command_id, run_id=run_id)

    async def import_run(self, command_id: str, path: str) -> ImportedRun:
        return await self._call(ImportedRun, "import_run", command_id=command_id, path=path)


class RemoteEngine(EngineCalls):
    """One connection to an engine. It does not mend itself: once broken, every call raises EngineLost.

    `info` is what the engine said to hello; `liveness` tells when it says nothing any more, and when it does again. Use
    it as an async context manager, or call `close`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.info: EngineInfo | None = None
        self._reader = reader
        self._writer = writer
        self._next_id = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._streams: WeakSet[EventStream] = WeakSet()
        self._subscribed = False
        self._ended: RondoError | None = None
        self._reading = asyncio.create_task(self._read(), name="engine connection")
        self.liveness = Liveness(self._ping)
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, socket_path: Path) -> RemoteEngine:
        """Connect to a socket, without a hello; raises OSError where nothing listens there."""
        reader, writer = await asyncio.open_unix_connection(socket_path, limit=REPLY_LIMIT)
        return cls(reader, writer)

    @property
    def ended(self) -> bool:
        """True once the connection is gone."""
        return self._ended is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def hello(self, client: ClientInfo) -> EngineInfo:
        self.info = await super().hello(client)
        self._watching = asyncio.create_task(self.liveness.watch(), name="engine liveness")
        return self.info

    def events(self) -> EventStream:
        """Batches of events from this call on; raises EngineLost where the connection breaks, ends with `close`."""
        stream = EventStream()
        if self._ended is not None:
            stream.finish(fresh_copy(self._ended))
            return stream
        self._streams.add(stream)
        if not self._subscribed:
            # Written at once: the engine takes calls in order, so what is called after this is covered by events.
            self._subscribed = True
            self._next_id += 1
            self._writer.write(encode_frame({"id": self._next_id, "method": SUBSCRIBE}))
        return stream

    async def close(self) -> None:
        """End the connection and the iterations over its events."""
        self._end(EngineLost("The connection to the engine was closed by this program."), asked=True)
        self._reading.cancel()
        await asyncio.wait([self._reading])
        # Not flushed first: an engine that is stuck would never take what waits.
        self._writer.transport.abort()

    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        if self._ended is not None:
            raise fresh_copy(self._ended)
        if is_read_only() and may_change(method, params):
            raise refused(f"'{method}'")
        self._next_id += 1
        call_id = self._next_id
        try:
            frame = encode_frame({"id": call_id, "method": method, "params": params})
        except (TypeError, ValueError, RecursionError, FramingError) as error:
            raise UsageError(
                f"The parameters of '{method}' can't be sent.",
                cause=str(error),
                next_step="Pass JSON values only, and large data as files.",
            ) from error
        reply: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = reply
        try:
            self._writer.write(frame)
            result = await reply
        except asyncio.CancelledError:
            if self._ended is None:
                self._writer.write(encode_frame({"id": call_id, "method": CANCEL}))
            raise
        finally:
            self._pending.pop(call_id, None)
        try:
            decoded: T = _decoder(cast(Hashable, returns)).decode(result)
        except NOT_DECODABLE as error:
            raise RondoError(
                f"The engine's reply to '{method}' is not what this program expects.",
                cause=str(error),
                next_step="Restart the engine with `rondo engine stop`; the next command starts it again.",
            ) from error
        return decoded

    def _ping(self) -> None:
        self._next_id += 1
        self._writer.write(encode_frame({"id": self._next_id, "method": PING}))

    async def _read(self) -> None:
        cause = "The engine ended, or was ended."
        try:
            while (frame := await read_frame(self._reader)) is not None:
                self.liveness.heard()
                self._take(incoming_decoder.decode(frame))
        except (*NOT_DECODABLE, FramingError, OSError) as error:
            cause = f"What came over the connection can't be read: {error}."
        finally:
            self._end(
                EngineLost(
                    "The connection to the engine broke.",
                    cause=cause,
                    next_step="Call again: the engine is started where none runs, and runs go on from their last step.",
                )
            )
            self._writer.close()

    def _take(self, message: Incoming) -> None:
        if message.events is not msgspec.UNSET:
            self._take_events(message.events)
            return
        if message.id is None:
            if message.error is not msgspec.UNSET:
                self._end(RondoError.from_dict(message.error))
            return
        reply = self._pending.get(message.id)
        if reply is None or reply.done():
            return
        if message.error is not msgspec.UNSET:
            reply.set_exception(RondoError.from_dict(message.error))
        elif message.result is not msgspec.UNSET:
            reply.set_result(message.result)

    def _take_events(self, events: msgspec.Raw) -> None:
        try:
            batch = events_decoder.decode(events)
        except NOT_DECODABLE:
            # An event that this program does not know: the rows say what happened.
            batch = [Resync()]
        for stream in self._streams:
            stream.put(batch)

    def _end(self, error: RondoError, *, asked: bool = False) -> None:
        if self._ended is not None:
            return
        self._ended = error
        if self._watching is not None:
            self._watching.cancel()
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(fresh_copy(error))
        for stream in self._streams:
            stream.finish(None if asked else fresh_copy(error))
