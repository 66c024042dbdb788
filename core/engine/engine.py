"""The engine of one workspace: the EngineApi over store, catalog, approvals and runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from core.crash_points import crash_point
from core.engine.actor import error_view
from core.engine.approvals import Approvals
from core.engine.black_box import BlackBox
from core.engine.broker import Broker
from core.engine.budgets import Budgets
from core.engine.call_records import CallRecords
from core.engine.catalog import Catalog
from core.engine.clean_errors import tells_no_secrets
from core.engine.connecting import ConnectionWatch
from core.engine.conversation_calls import ConversationCalls
from core.engine.conversations.making import make_conversations
from core.engine.environments.making import Environments
from core.engine.environments.providers import COMPOSIO_CORE, ProviderEnvironments
from core.engine.environments.service import EnvironmentService
from core.engine.events import EventBus
from core.engine.folder_moves import clear_left_over
from core.engine.inspecting import Inspecting
from core.engine.model_calls import ModelCalls
from core.engine.pin_calls import PinCalls
from core.engine.process_log import redact_with
from core.engine.processes import ProcessPool
from core.engine.queries import Queries
from core.engine.readiness import Readiness
from core.engine.recovery import Recovery
from core.engine.retention import Retention
from core.engine.retention_calls import RetentionCalls
from core.engine.rollback import finish_interrupted
from core.engine.run_commands import RunCommands
from core.engine.runs import Runs
from core.engine.secrets import Secrets
from core.engine.shelf import ShelfCalls
from core.engine.state_parts import Path as StatePath
from core.engine.subflows import Subflows
from core.engine.tool_api import ToolCalls
from core.engine.tool_calls import ToolService
from core.engine.transfer import Transfer
from core.engine.travel import Travel
from core.engine.versions import Versions
from core.engine.workflow_calls import WorkflowCalls
from core.engine.workflows import Workflows
from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseProblem,
    DatabaseReplaced,
    DiskFull,
    FolderReadOnly,
    RondoError,
    WorkspaceLocked,
)
from core.flow.journal import SUBFLOW, TIMER
from core.link.engine_types import PROTOCOL, ClientInfo, Doctor, EngineInfo, EngineStatus
from core.link.event_types import EngineChanged, EnvironmentChanged, Event
from core.link.messages import engine_methods
from core.link.routing_types import ConditionsView
from core.link.types import (
    FINAL,
    ChangeView,
    ErrorView,
    LineView,
    LogPage,
    LogQuery,
    RequestView,
    RunFilter,
    RunRow,
    StateChunk,
    StatePoint,
    StateView,
    StepPage,
)
from core.llm.gateway import Gateway
from core.llm.keys import Keys
from core.llm.messages import ModelGateway
from core.places import Workspace
from core.settings import LiveSettings
from core.store.schema import SCHEMA_VERSION
from core.store.store import Store
from core.tools.hub import ToolHub
from core.tools.making import make_providers
from core.tools.waiting import Patience
from core.version import VERSION

log = structlog.get_logger()


@tells_no_secrets(engine_methods())
class Engine(
    RunCommands,
    WorkflowCalls,
    ShelfCalls,
    RetentionCalls,
    ModelCalls,
    ToolCalls,
    CallRecords,
    ConversationCalls,
    Inspecting,
    PinCalls,
):
    """Implements `core.link.api.EngineApi`; made by the engine process, or inside another program (library mode)."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], float] = time.time,
        pool: Any = None,
        consent: bool = False,
        gateway: ModelGateway | None = None,
    ) -> None:
        self.workspace = workspace
        self.stop_requested = asyncio.Event()
        self._now = clock
        self._pool = pool if pool is not None else ProcessPool()
        self._consent = consent
        self._trouble: RondoError | None = None
        self._started_at = clock()
        self._noting: set[asyncio.Future[None]] = set()
        self._settings = LiveSettings(workspace)
        self._secrets = Secrets(workspace.workflows_dir, os.environ)
        self._models = Gateway(lambda: self._settings.now, Keys(os.environ, self._secrets.own))
        self._gateway: ModelGateway = gateway if gateway is not None else self._models
        self._provider_environments = ProviderEnvironments(self._provider_environment_changed, self._let_go)
        providers = make_providers(
            workspace.root, self._secrets, os.environ, self._provider_environments[COMPOSIO_CORE]
        )
        self._hub = ToolHub(
            providers,
            patience=Patience(longest=lambda: self._settings.now.tools.wait_seconds),
            now=clock,
            hosted=lambda: self._settings.now.tools.composio,
            fresh=lambda: self._settings.now.tools.keep_hours * 3600,
        )
        self._tools = ToolService(self._hub, lambda: self._settings.now.tools.call_seconds)
        self._black_box = BlackBox(workspace, clock)
        self._bus = EventBus()

    async def start(self) -> None:
        """Open the store, take up what an earlier engine left, begin to watch; raises the DatabaseProblem family.

        Where it raises, everything is closed again.
        """
        async with contextlib.AsyncExitStack() as stack:
            await asyncio.to_thread(self._black_box.begin)
            stack.push_async_callback(self._note_end)
            redact_with(self._redacted)
            self._store = await asyncio.to_thread(Store.open, self.workspace.database)
            stack.push_async_callback(self._store.close)
            crash_point("engine.start.opened")
            stack.push_async_callback(self._models.close)
            stack.push_async_callback(self._provider_environments.close)
            stack.push_async_callback(self._hub.close)
            await self._store.start_reads()
            self._approvals = Approvals(self.workspace.root, consent=self._consent)
            self._catalog = Catalog(self.workspace.workflows_dir, self._store, self._bus, now=self._now)
            self._versions = Versions(self._catalog, self._approvals, self._store, self._now)
            self._workflows = Workflows(self._catalog, self._approvals, self._versions, self._store)
            self._connecting = ConnectionWatch(self._hub, self.go_on_with, self.tell_of, self._now)
            stack.push_async_callback(self._connecting.close)
            self._readiness = Readiness(self._catalog, self._versions, self._hub, self._models, self._secrets)
            self._environments = Environments(self._environment_changed)
            self._packages = EnvironmentService(self._catalog, self._workflows, self._environments)
            stack.push_async_callback(self._environments.close)
            stack.push_async_callback(self._packages.close)
            self._runs = Runs(
                self.workspace,
                self._store,
                self._bus,
                self._pool,
                self._settings,
                self._secrets,
                self._environments if self._pool.has_interpreters else None,
                now=self._now,
                on_trouble=self.set_trouble,
                on_relief=self._relieved,
            )
            self._runs.broker = self._broker = self._make_broker()
            stack.push_async_callback(self._broker.close)
            await self._runs.breakpoints.load()
            await self._broker.recover()
            self._runs.subflows = self._subflows = Subflows(self._store, self._workflows, self._runs, self._now)
            self._queries = Queries(self.workspace, self._store, self._runs)
            self._travel = Travel(self._store, self._queries, self._workflows, self._runs)
            self._retention = Retention(self._store, self.workspace, self._bus, self._now)
            stack.push_async_callback(self._retention.close)
            self._transfer = Transfer(self._store, self.workspace, self._retention, self._bus, self._now)
            stack.push_async_callback(self._pool.close)
            await self._pool.start()
            stack.push_async_callback(self._runs.close)
            stack.push_async_callback(self._subflows.close)
            self._recovery = Recovery(self._runs, self._store, self._now)
            recovered = await self._recovery.recover()
            await asyncio.to_thread(self._black_box.report, recovered)
            stack.push_async_callback(self._catalog.close)
            await asyncio.to_thread(finish_interrupted, self.workspace.workflows_dir)
            await asyncio.to_thread(clear_left_over, self.workspace.workflows_dir)
            await self._catalog.start()
            await self._retention.start()
            await self._subflows.recover()
            self._journal, self._proposals, self._tries, self._chats = make_conversations(self)
            stack.push_async_callback(self._chats.close)
            await self._chats.recover()
            await self._note_left_over()
            self._packages.start(self._settings.now.engine.keep_environment_days)
            self._closing = stack.pop_all()
        log.info("engine started", workspace=str(self.workspace.root), resumed=len(recovered))

    def _make_broker(self) -> Broker:
        budgets = Budgets(self._store, lambda: self._settings.now, self._now)
        return Broker(self._store, self._runs, budgets, self._gateway, self._redacted, self._now, self._tools)

    def _redacted(self, text: str) -> str:
        """The text without the keys of model providers, and without every secret that this engine has handed out."""
        return self._secrets.text(self._models.keys.redactor.text(text))

    async def close(self) -> None:
        """Bring running steps to their boundary, end every process, close the store."""
        self._bus.publish(EngineChanged(state="stopping"))
        try:
            await self._closing.aclose()
        finally:
            self._bus.close()

    async def _note_end(self) -> None:
        """Note a clean end, unless another engine may have the workspace by now."""
        if not isinstance(self._trouble, WorkspaceLocked):
            await asyncio.to_thread(self._black_box.end)

    # The engine itself --------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while anything runs or is queued."""
        making = self._environments.busy or self._provider_environments.busy
        return self._runs.busy or making or self._retention.busy or self._chats.busy

    def set_trouble(self, error: RondoError) -> None:
        """Stop to take work and say why."""
        if self._trouble is None or self._trouble.type_name != error.type_name:
            log.error("trouble", type=error.type_name, message=error.message, cause=error.cause)
            self._bus.publish(EngineChanged(state="trouble", message=error.message))
            if not isinstance(error, WorkspaceLocked):
                self._note_trouble(error)
        self._trouble = error

    def _note_trouble(self, error: RondoError | None) -> None:
        """Have the trouble noted, in case that the engine dies of it; nobody waits for it."""
        noting = asyncio.ensure_future(asyncio.to_thread(self._black_box.trouble, error))
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)

    def _relieved(self) -> None:
        """Rows can be committed again; any other trouble stays."""
        if isinstance(self._trouble, DiskFull | DatabaseBusy):
            self._over()

    def _over(self) -> None:
        log.info("the trouble is over", type=self._trouble.type_name if self._trouble is not None else "")
        self._trouble = None
        self._note_trouble(None)
        self._bus.publish(EngineChanged(state="ok"))

    async def rescue(self) -> None:
        """Copy the database, which is deleted or replaced, from the open files to a new file beside its place."""
        target = self.workspace.database.with_name(f"rondo.db.rescued-{int(self._now())}")
        try:
            await self._store.rescue(target)
        except RondoError as error:
            log.error("what was stored could not be rescued", **error.to_dict())
            return
        log.warning("what was stored is kept in a copy", path=str(target))
        if isinstance(self._trouble, DatabaseReplaced):
            self.set_trouble(
                DatabaseReplaced(
                    self._trouble.message,
                    cause=f"{self._trouble.cause} Everything that was stored is kept in {target.name}.",
                    next_step=f"Put the file back, and the engine goes on by itself; or take the copy: "
                    f"rondo engine stop, then mv {target} {self.workspace.database}",
                )
            )

    async def files_are_back(self) -> None:
        """The database that was opened is at its place: go on with what stopped for it, once its folder is writable."""
        problem = self._see_folder()
        if problem is None and isinstance(self._trouble, DatabaseReplaced | FolderReadOnly):
            self._over()
            await self._recovery.take_up_again()

    def _see_folder(self) -> FolderReadOnly | None:
        """Say so where the folder of the database can't be written."""
        problem = self._store.folder_problem()
        if problem is not None and (self._trouble is None or isinstance(self._trouble, FolderReadOnly)):
            self.set_trouble(problem)
        return problem

    def _environment_changed(self, key: str) -> None:
        self._bus.publish(EnvironmentChanged(key=key, making=self._environments.making(key) is not None))

    def _provider_environment_changed(self, key: str) -> None:
        self._bus.publish(EnvironmentChanged(key=key, making=self._provider_environments.busy))

    async def _let_go(self, provider: str) -> None:
        await self._hub.let_go(provider)

    def check_files(self) -> None:
        """Raise DatabaseReplaced where the database is no longer the file that was opened."""
        self._store.check_identity()

    async def hello(self, client: ClientInfo) -> EngineInfo:
        self._models.keys.offer(client.keys)
        self._secrets.offer(client.keys)
        return EngineInfo(
            app_version=VERSION,
            protocol=PROTOCOL,
            schema=SCHEMA_VERSION,
            pid=os.getpid(),
            started_at=self._started_at,
            workspace=str(self.workspace.root),
        )

    async def engine_status(self) -> EngineStatus:
        counts = await self._store.run_counts_by_status()
        trouble = None
        if self._trouble is not None:
            trouble = ErrorView(
                type=self._trouble.type_name,
                message=self._trouble.message,
                cause=self._trouble.cause,
                next_step=self._trouble.next_step,
            )
        return EngineStatus(
            running=True,
            pid=os.getpid(),
            workspace=str(self.workspace.root),
            version=VERSION,
            runs={status: count for status, count in counts.items() if status not in FINAL},
            started_at=self._started_at,
            socket=str(self.workspace.socket),
            open_requests=sum(row.kind not in (TIMER, SUBFLOW) for row in await self._store.requests(status="open")),
            trouble=trouble,
            unclean_end=next(iter(self._black_box.ends), None),
        )

    async def see_unclean_end(self, end_id: str) -> None:
        await asyncio.to_thread(self._black_box.seen, end_id)

    async def stop_engine(self) -> None:
        self.stop_requested.set()

    async def unlock_secrets(self, passphrase: str) -> None:
        await self._secrets.unlock(passphrase)

    async def doctor(self) -> Doctor:
        facts, problems = {}, []
        self._see_folder()
        if self._trouble is not None:
            problems.append(error_view(self._trouble))
        try:
            facts.update(await self._store.facts())
        except DatabaseDamaged:
            pass  # It is among those that were met.
        except DatabaseProblem as error:
            problems.append(error_view(error))
        known, problem = await asyncio.to_thread(self._secrets.describe)
        facts.update(known)
        if problem is not None:
            problems.append(error_view(problem))
        problems += [await self._damage_view(damage) for damage in self._store.damages.list()]
        free = shutil.disk_usage(self.workspace.runs_dir).free
        if free < 200 * 2**20:
            problems.append(
                ErrorView(
                    type="DiskFull",
                    message=f"Only {free // 2**20} MiB are free where the database is.",
                    cause=str(self.workspace.runs_dir),
                    next_step="Free some space; runs pause by themselves when it is used up.",
                )
            )
        return Doctor(facts=facts, problems=problems, unclean_ends=self._black_box.ends)

    async def _damage_view(self, damage: DatabaseDamaged) -> ErrorView:
        """What a read met, with the run it belongs to."""
        view = error_view(damage)
        line = (damage.details or {}).get("line")
        if line is not None:
            with contextlib.suppress(RondoError):
                record = await self._store.run_by_number((await self._store.line_by_number(line)).run)
                view.cause += f" It is a part of run {record.id[-8:]} of {record.workflow}; other runs go on."
        return view

    def events(self) -> AsyncIterator[list[Event]]:
        return self._bus.subscribe()

    # Reading runs -------------------------------------------------------------------------------------------------

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        return await self._queries.list_runs(query)

    async def list_requests(self) -> list[RequestView]:
        return await self._queries.list_requests()

    async def read_request(self, run_id: str, key: str) -> RequestView:
        return await self._queries.read_request(run_id, key)

    async def list_lines(self, run_id: str) -> list[LineView]:
        return await self._queries.list_lines(run_id)

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        return await self._queries.read_steps(run_id, after, limit, line)

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: StatePath | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        return await self._queries.read_state(run_id, seq, path, depth, line)

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk:
        return await self._queries.read_state_chunk(run_id, seq, offset, line)

    async def read_conditions(self, run_id: str, seq: int, line: int | None = None) -> ConditionsView:
        return await self._queries.read_conditions(run_id, seq, line)

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]:
        return await self._queries.read_changes(run_id, seq, line)

    async def read_difference(self, before: StatePoint, after: StatePoint) -> list[ChangeView]:
        return await self._queries.read_difference(before, after)

    async def read_logs(self, query: LogQuery) -> LogPage:
        return await self._queries.read_logs(query)
