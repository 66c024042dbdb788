"""The Python API: run workflows of a folder from a program, with no engine process needed (library mode)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from core import orchestrator_tools
from core.definition.load import list_folders
from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.engine.lock import EngineLock
from core.engine.process_log import speak_only_of_trouble
from core.engine.runs_folder import prepare_runs_folder
from core.errors import EngineStopping, EngineUnreachable, UsageError, WorkspaceLocked
from core.link.api import EngineApi
from core.link.client import EngineCalls, RemoteEngine, client_info
from core.link.event_types import EngineChanged, Event, RequestChanged, Resync, RunChanged
from core.link.start import connect
from core.link.transfer_file import refuse_existing, take_over
from core.link.types import FINAL, Answer, RunFilter, RunView, StartRun
from core.places import Workspace

PATIENCE_SECONDS = 10.0
"""How long a program waits for an engine that has its workspace and does not listen."""

T = TypeVar("T")


class TaskOrchestrator:
    """Runs and steps the workflows of a folder.

    The nodes run in this process; where an engine process owns the folder's runs already, it does the work instead.
    Naming `workflows_dir` is consent to run what is in it. `storage_dir` holds the database (default: `runs` beside the
    workflows). `api_key` is kept for the workflows' model calls, in memory only.
    """

    def __init__(
        self,
        workflows_dir: str | Path | None = None,
        storage_dir: str | Path | None = None,
        api_key: str | None = None,
    ) -> None:
        workflows = Path(workflows_dir if workflows_dir is not None else "workflows").expanduser().resolve()
        storage = Path(storage_dir).expanduser().resolve() if storage_dir is not None else workflows.parent / "runs"
        self.workspace = Workspace(root=workflows.parent, workflows_dir=workflows, runs_dir=storage)
        self.api_key = api_key
        self._consent = workflows_dir is not None
        self._worker = _Worker()
        self._host = _Host(self.workspace, self._consent, api_key)

    # Running ------------------------------------------------------------------------------------------------------

    async def run_workflow(
        self, workflow_name: str, run_id: str | None = None, input_data: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Start a run, or go on with one, until it ends or waits.

        `input_data` answers requests by their id; for a new run, keys that the workflow declares as inputs (or has in
        its initial state) are its inputs. The result has `run_id`, `status`, `awaiting_input`, `continuing`,
        `shared_state` and `error`. Raises the RondoError family where nothing could be started.
        """
        return await self._worker.call(self._go(workflow_name, run_id, input_data, "end"))

    async def step_workflow(
        self, workflow_name: str, run_id: str | None = None, input_data: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Do one step of a new or a paused run; `continuing` says whether there is more to do."""
        return await self._worker.call(self._go(workflow_name, run_id, input_data, "step"))

    # Making and changing ------------------------------------------------------------------------------------------

    def create_workflow(self, workflow_name: str, task_description: str, tools: Sequence[str] | None = None) -> Path:
        """Have the assistant make a workflow of a description and return its folder.

        Questions of the assistant are skipped: it decides, and what it assumes stands in the workflow's JSON. Raises
        UsageError where the name is taken, the ModelProblem and ProposalProblem families where nothing came of it.
        """
        self._worker.wait(self._make(workflow_name, task_description, tools, update=False))
        return self.workspace.workflows_dir / workflow_name

    def update_workflow(self, workflow_name: str, update_description: str, tools: Sequence[str] | None = None) -> Path:
        """Have the assistant change a workflow and return its folder; what was there is kept in `backups/`."""
        self._worker.wait(self._make(workflow_name, update_description, tools, update=True))
        return self.workspace.workflows_dir / workflow_name

    # Looking ------------------------------------------------------------------------------------------------------

    def list_workflows(self) -> list[str]:
        """The names of the workflows in the folder."""
        return [folder.name for folder in list_folders(self.workspace.workflows_dir)]

    def list_runs(self, workflow_name: str | None = None) -> list[str]:
        """The ids of the runs (of one workflow), newest first."""
        return self._worker.wait(self._run_ids(workflow_name))

    # Tools --------------------------------------------------------------------------------------------------------

    def list_available_tools(self, search: str = "", *, connected: bool = False) -> list[dict[str, Any]]:
        """The tools of all providers, with the account of each; `connected` leaves out those without one."""
        return self._worker.wait(orchestrator_tools.list_tools(self._host.open, search, connected))

    def get_tool_details(self, tool_name: str, provider: str = "") -> dict[str, Any]:
        """A tool with its accounts, its actions, and how an account is connected; raises ToolUnknown."""
        return self._worker.wait(orchestrator_tools.details(self._host.open, tool_name, provider))

    def authenticate_tool(
        self,
        tool_name: str,
        values: Mapping[str, str] | None = None,
        *,
        provider: str = "",
        scheme: str = "",
        on_link: Callable[[str], object] = print,
    ) -> bool:
        """Connect an account, and wait until it is; True where it is then.

        `on_link` is given the link that a person has to open. `values` are what is to be filled in where there is no
        link: without them ConnectFailed names the fields in `details`.
        """
        return self._worker.wait(
            orchestrator_tools.authenticate(self._host.open, tool_name, provider, scheme, dict(values or {}), on_link)
        )

    def get_workflow_tools(self, workflow_name: str) -> list[dict[str, Any]]:
        """The tools that a workflow's tools.json names, each with what keeps it from being called."""
        return self._worker.wait(orchestrator_tools.of_workflow(self._host.open, workflow_name))

    def check_workflow(self, workflow_name: str) -> list[dict[str, Any]]:
        """What a run would lack: tools, actions, accounts, keys, secrets, each with how it is had. Runs nothing."""
        return self._worker.wait(orchestrator_tools.lacks(self._host.open, workflow_name))

    # Moving runs --------------------------------------------------------------------------------------------------

    def export_run(self, run_id: str, path: str | Path) -> Path:
        """Write a run with all that belongs to it into a new JSON file; raises UsageError where one is there."""
        return self._worker.wait(self._export(run_id, Path(path).expanduser().absolute()))

    def import_run(self, path: str | Path) -> str:
        """Take over a run from such a file; returns its id. Nothing of it is executed or approved."""
        return self._worker.wait(self._import(Path(path).expanduser().absolute()))

    # Life ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the folder; runs that are not at rest go on when it is opened again.

        A program that ends without it loses nothing: what is committed is durable.
        """
        self._worker.close(self._host.close())

    def __enter__(self) -> TaskOrchestrator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _go(self, name: str, run_id: str | None, data: dict[str, Any] | None, until: str) -> dict[str, Any]:
        engine = await self._host.open()
        events = engine.events()
        if run_id is None:
            view = await self._begin(engine, name, dict(data or {}), until)
        else:
            view = await self._continue(engine, run_id, dict(data or {}), until)
        while not view.rests:
            async for batch in events:
                if any(_concerns(event, view.run_id) for event in batch):
                    break
            else:
                raise EngineStopping(
                    f"The engine ended while run {view.short_id} was going on.",
                    cause="It was closed by another part of this program, or stopped.",
                    next_step="Call again with this run_id: the run goes on from its last step.",
                )
            view = await engine.get_run(view.run_id)
        return await _result(engine, view)

    async def _begin(self, engine: EngineApi, name: str, data: dict[str, Any], until: str) -> RunView:
        detail = await engine.get_workflow(name)
        if self._consent and not detail.approved and detail.version is not None:
            await engine.approve(name, detail.version)
        declared = set((detail.inputs or {}).get("properties", {})) | set(json.loads(bytes(detail.initial_state)))
        start = StartRun(
            command_id=uuid.uuid4().hex,
            workflow=name,
            inputs={key: value for key, value in data.items() if key in declared},
            answers=[(key, value) for key, value in data.items() if key not in declared],
            until="step" if until == "step" else "end",
        )
        return await engine.start_run(start)

    async def _continue(self, engine: EngineApi, run_id: str, data: dict[str, Any], until: str) -> RunView:
        view = await engine.get_run(run_id)
        if view.status in FINAL:
            return view
        nested = [view.nested_input] if view.nested_input is not None else []
        for request in [*view.open_requests, *nested]:
            value = data.get(request.request_id, data.get(request.key))
            if value is not None:
                answer = Answer(command_id=uuid.uuid4().hex, run_id=request.run_id, request=request.key, value=value)
                await engine.answer(answer)
                view = await engine.get_run(run_id)
        if view.status == "paused":
            if until == "step":
                return await engine.step_run(uuid.uuid4().hex, run_id, list(data.items()))
            return await engine.continue_run(uuid.uuid4().hex, run_id)
        return view

    async def _make(self, name: str, words: str, tools: Sequence[str] | None, *, update: bool) -> None:
        from core.orchestrator_talk import make_by_words

        engine = await self._host.open()
        await make_by_words(engine, name, words, tools or (), update=update, consent=self._consent)

    async def _export(self, run_id: str, target: Path) -> Path:
        engine = await self._host.open()
        await asyncio.to_thread(refuse_existing, target)
        exported = await engine.export_run(uuid.uuid4().hex, run_id)
        source = Path(exported.path)
        try:
            await asyncio.to_thread(take_over, source, target)
        finally:
            await asyncio.to_thread(source.unlink, missing_ok=True)
        return target

    async def _import(self, path: Path) -> str:
        engine = await self._host.open()
        return (await engine.import_run(uuid.uuid4().hex, str(path))).run_id

    async def _run_ids(self, workflow: str | None) -> list[str]:
        engine = await self._host.open()
        ids: list[str] = []
        while True:
            rows = await engine.list_runs(RunFilter(workflow=workflow, limit=500, before=ids[-1] if ids else None))
            if not rows:
                return ids
            ids += [row.run_id for row in rows]


def _concerns(event: Event, run_id: str) -> bool:
    """True where the run may stand elsewhere now: events are hints, and some may have been lost."""
    return isinstance(event, Resync | EngineChanged) or (
        # A request that has changed may be that of a run that this one waits for.
        isinstance(event, RunChanged | RequestChanged) and event.run_id == run_id
    )


async def _result(engine: EngineApi, view: RunView) -> dict[str, Any]:
    """What the API answers: the run at rest with its whole state."""
    parts: list[bytes] = []
    size, seq = 1, None
    while (offset := sum(map(len, parts))) < size:
        chunk = await engine.read_state_chunk(view.run_id, seq, offset)
        parts.append(chunk.data)
        size, seq = chunk.size, chunk.seq
    awaiting = None
    if (request := view.awaiting_input or view.nested_input) is not None:
        awaiting = {
            "run_id": request.run_id,
            "node_id": request.node,
            "request_id": request.request_id,
            "key": request.key,
            "prompt": request.prompt,
            "options": request.options,
            "input_type": request.input_type,
        }
    error = None
    if view.error is not None:
        error = {name: getattr(view.error, name) for name in ("node", "type", "message", "cause", "next_step")}
    return {
        "run_id": view.run_id,
        "status": view.status,
        "awaiting_input": awaiting,
        "continuing": view.status == "paused",
        "shared_state": json.loads(b"".join(parts)),
        "error": error,
    }


class _Host:
    """Owns the workspace's engine inside this process, or is a client of the one that does."""

    def __init__(self, workspace: Workspace, consent: bool, api_key: str | None) -> None:
        self._workspace = workspace
        self._api_key = api_key
        self._consent = consent
        self._engine: EngineApi | None = None
        self._stack = contextlib.AsyncExitStack()
        self._opening: asyncio.Lock | None = None

    async def open(self) -> EngineApi:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if isinstance(self._engine, RemoteEngine) and self._engine.ended:
                await self.close()
            if self._engine is None:
                self._engine = await self._have_engine()
                await self._offer_key(self._engine)
            return self._engine

    async def _have_engine(self) -> EngineApi:
        """An engine of our own, or that which has the workspace. Who has the lock and does not listen is about to, or
        has died and is not gone yet: that passes in a moment."""
        now = asyncio.get_running_loop().time
        deadline = now() + PATIENCE_SECONDS
        while True:
            try:
                return await self._take_or_join()
            except EngineUnreachable:
                if now() >= deadline:
                    raise
            await asyncio.sleep(0.05)

    async def _take_or_join(self) -> EngineApi:
        lock = EngineLock(self._workspace.lock)
        prepare_runs_folder(self._workspace.runs_dir)
        try:
            lock.acquire("library")
        except WorkspaceLocked as error:
            if error.details["holder"] == "library":
                raise
            remote = await connect(self._workspace, kind="api", start=False)
            return await self._stack.enter_async_context(remote)
        self._stack.callback(lock.release)
        speak_only_of_trouble()
        engine = Engine(self._workspace, pool=InlinePool(), consent=self._consent)
        try:
            await engine.start()
        except BaseException:
            lock.release()
            raise
        self._stack.push_async_callback(engine.close)
        return cast(EngineApi, engine)

    async def _offer_key(self, engine: EngineApi) -> None:
        """Let the engine have the key that the program named; it is held in memory only."""
        if self._api_key is None:
            return
        info = client_info("api")
        info.keys = {**info.keys, "ANTHROPIC_API_KEY": self._api_key}
        if isinstance(engine, RemoteEngine):
            # Said again on a connection that stands, without what else a first word begins.
            await EngineCalls.hello(engine, info)
        else:
            await engine.hello(info)

    async def close(self) -> None:
        await self._stack.aclose()
        self._engine = None


class _Worker:
    """An event loop in a thread of its own: a program's `asyncio.run` may come and go, the engine stays."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work there and await it here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._running()))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work there and wait for it, also from within a running event loop."""
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError(
                "This call would wait for itself.",
                cause="It was made from a node that runs in this orchestrator.",
                next_step="Call it from your own program, outside the workflow.",
            )
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Do the last work, then end the thread."""
        with self._guard:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            last.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(last, loop).result(timeout=30)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="rondo", daemon=True)
                self._thread.start()
            return self._loop
