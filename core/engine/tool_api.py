"""The part of the EngineApi that is about tools and accounts; see `core.link.tool_api`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from core.engine.broker import Broker
from core.engine.catalog import Catalog
from core.engine.connecting import ConnectionWatch
from core.engine.environments.providers import COMPOSIO_CORE, ProviderEnvironments
from core.engine.events import EventBus
from core.engine.queries import REPLY_BYTES
from core.engine.readiness import Readiness
from core.engine.secrets import Secrets
from core.engine.tool_calls import CONNECTED, request_id_of
from core.errors import NotConnected, RondoError, ToolMissing, ToolProblem
from core.flow.journal import CONNECTION
from core.link.event_types import ToolsChanged
from core.link.tool_types import (
    ActionRow,
    ActionView,
    ConnectionView,
    ConnectView,
    FieldView,
    Lack,
    SchemeView,
    ToolDetail,
    ToolList,
    ToolReply,
    ToolRow,
    WorkflowTool,
)
from core.link.types import Answer, RunView
from core.link.workflow_types import EnvironmentView
from core.store.store import Store
from core.tools.hub import ToolHub
from core.tools.making import GONE
from core.tools.pins import Pin, read_pins
from core.tools.provider import ENDED, Action, App, ConnectField, Connection

MOST_ROWS = 300
DESCRIPTION = 300
"""Characters of a description in a list: a reply has its limits, and so has a line."""

log = structlog.get_logger()

Row = TypeVar("Row", ToolRow, ActionRow)


class ToolCalls:
    """What an engine says of tools and does with accounts."""

    _hub: ToolHub
    _catalog: Catalog
    _store: Store
    _broker: Broker
    _provider_environments: ProviderEnvironments
    _connecting: ConnectionWatch
    _readiness: Readiness
    _secrets: Secrets
    _bus: EventBus

    async def answer(self, answer: Answer) -> RunView:
        raise NotImplementedError

    async def list_tools(
        self, query: str = "", connected: bool = False, refresh: bool = False, offset: int = 0
    ) -> ToolList:
        listing = await self._hub.list_apps(query, connected=connected, refresh=refresh)
        users = await self._users()
        rows = [_row(app, _of(app, listing.connections), users) for app in listing.apps]
        # Those that are used come first; the order of each provider stays.
        rows.sort(key=lambda row: (row.connection is None, not row.workflows))
        whole = ToolList(tools=[], age=listing.age, notes=list(listing.notes))
        rest = rows[max(0, offset) :]
        whole.tools = _that_fit(rest[:MOST_ROWS], beside=whole)
        whole.left_out = len(rest) - len(whole.tools)
        return whole

    async def get_tool(self, name: str, provider: str = "", refresh: bool = False, offset: int = 0) -> ToolDetail:
        found = await self._hub.details(name, provider, refresh=refresh)
        notes = list(found.notes)
        if found.app.provider == COMPOSIO_CORE:
            notes.append(f"composio-core: {GONE}")
        whole = ToolDetail(
            row=_row(found.app, found.connections, await self._users()),
            schemes=[
                SchemeView(
                    name=one.name,
                    title=one.title,
                    managed=one.managed,
                    fields=_fields(one.fields if one.managed else (*one.setup_fields, *one.fields)),
                )
                for one in found.app.schemes
            ],
            actions=[],
            connections=[_connection(one) for one in found.connections],
            age=found.age,
            notes=notes,
        )
        rest = found.actions[max(0, offset) :]
        whole.actions = _that_fit([_action_row(one) for one in rest], beside=whole)
        whole.left_out = len(rest) - len(whole.actions)
        return whole

    async def get_action(self, name: str, action: str, provider: str = "") -> ActionView:
        served, found = await self._hub.find_action(Pin(name, provider), action)
        row = _action_row(found)
        row.description = found.description
        return ActionView(
            row=row, app=found.app, provider=served, inputs=dict(found.inputs), outputs=dict(found.outputs)
        )

    # Accounts -----------------------------------------------------------------------------------------------------

    async def connect_tool(
        self, name: str, provider: str = "", scheme: str = "", values: dict[str, str] | None = None
    ) -> ConnectView:
        served, request = await self._hub.connect(name, provider=provider, scheme=scheme, values=values)
        if request.done:
            await self.go_on_with(request.app)
        else:
            self._connecting.watch(served, request)
            if request.link:
                self.tell_of(request.app)
        return ConnectView(
            app=request.app,
            provider=served,
            connection_id=request.connection_id,
            state=request.state,
            link=request.link,
            expires_at=request.expires_at,
            scheme=request.scheme,
            fields=_fields(request.fields),
        )

    async def check_connection(self, name: str, connection_id: str, provider: str = "") -> ConnectionView:
        try:
            found = await self._hub.connection(name, connection_id, provider)
        except NotConnected:
            self.tell_of(name.lower())
            raise
        if found.usable:
            await self.go_on_with(found.app)
        elif found.state in ENDED:
            self.tell_of(found.app)
        return _connection(found)

    async def disconnect_tool(self, name: str, provider: str = "", account: str = "") -> list[ConnectionView]:
        try:
            gone = await self._hub.disconnect(name, provider, account)
        finally:
            # Of several accounts some may be gone where another could not be given up.
            self.tell_of(name.lower())
        return [_connection(one) for one in gone]

    def tell_of(self, app: str) -> None:
        """Tell who looks that an account of this app is another than it was, or is no more."""
        self._bus.publish(ToolsChanged(app=app))

    async def go_on_with(self, app: str) -> None:
        """An account of this app is there: answer every run that waits for it, and tell who looks."""
        self.tell_of(app)
        for row in await self._store.requests(status="open"):
            if row.kind != CONNECTION or row.request_id != request_id_of(app):
                continue
            record = await self._store.run_by_number(row.run)
            key = f"{row.node}:{row.visit}:{row.request_id}:{row.nth}"
            try:
                await self.answer(Answer(command_id=str(uuid.uuid4()), run_id=record.id, request=key, value=CONNECTED))
            except RondoError as error:
                # Somebody answered meanwhile, or the run has ended.
                log.info("a run was not told of a connection", run=record.id, problem=error.message)

    # Packages -----------------------------------------------------------------------------------------------------

    async def get_provider(self, name: str, after: int = 0) -> EnvironmentView:
        return await self._provider_environments[name].get(after)

    async def install_provider(self, command_id: str, name: str, again: bool = False) -> EnvironmentView:
        return await self._provider_environments.install(command_id, name, again)

    async def cancel_install(self, name: str) -> EnvironmentView:
        return await self._provider_environments[name].cancel()

    async def remove_provider(self, name: str) -> EnvironmentView:
        return await self._provider_environments.remove(name)

    # Calls --------------------------------------------------------------------------------------------------------

    async def call_tool(
        self,
        command_id: str,
        name: str,
        action: str,
        arguments: dict[str, Any],
        provider: str = "",
        account: str = "",
    ) -> ToolReply:
        # A person may have typed a secret that no run was given yet.
        await asyncio.to_thread(self._secrets.learn)
        ready = await self._hub.ready(Pin(name, provider, account=account), action)
        asked = {"tool": name, "action": ready.action.name, "args": arguments}
        reply = await self._broker.call_by_hand(command_id, asked, ready)
        known = ("value", "log_id", "cost", "seconds", "provider", "effects")
        return ToolReply(**{field: reply[field] for field in known})

    async def workflow_tools(self, workflow: str) -> list[WorkflowTool]:
        loaded = await self._catalog.fresh(workflow)
        return [await self._checked(pin) for pin in read_pins(loaded.files.get("tools.json")).values()]

    async def check_workflow(self, workflow: str, version: str | None = None) -> list[Lack]:
        return await self._readiness.lacks(workflow, version)

    async def _checked(self, pin: Pin) -> WorkflowTool:
        tool = WorkflowTool(
            name=pin.name, app=pin.service, provider=pin.provider, version=pin.version, account=pin.account
        )
        try:
            tool.provider, connection = await self._hub.account_of(pin)
            tool.connection = _connection(connection) if connection is not None else None
        except (ToolProblem, ToolMissing) as problem:
            tool.problem, tool.next_step = f"{problem.message} {problem.cause}".strip(), problem.next_step
        return tool

    async def _users(self) -> dict[str, list[str]]:
        """The workflows that name each app."""
        users: dict[str, list[str]] = {}
        for loaded in await self._catalog.all():
            for pin in read_pins(loaded.files.get("tools.json")).values():
                users.setdefault(pin.service, []).append(loaded.name)
        return users


def _that_fit(rows: Sequence[Row], beside: object) -> list[Row]:
    """The first of the rows, as many as a reply holds with what stands beside them; one at least."""
    left = REPLY_BYTES - len(msgspec.json.encode(beside))
    fitting: list[Row] = []
    for row in rows:
        left -= len(msgspec.json.encode(row)) + 1
        if fitting and left < 0:
            break
        fitting.append(row)
    return fitting


def _of(app: App, connections: Iterable[Connection]) -> list[Connection]:
    return [one for one in connections if (one.provider, one.app) == (app.provider, app.name)]


def _row(app: App, connections: Sequence[Connection], users: dict[str, list[str]]) -> ToolRow:
    used = next((one for one in connections if one.usable), connections[0] if connections else None)
    return ToolRow(
        name=app.name,
        title=app.title,
        provider=app.provider,
        description=app.description[:DESCRIPTION],
        categories=list(app.categories),
        actions=app.actions,
        needs_connection=app.needs_connection,
        deprecated=app.deprecated,
        connection=_connection(used) if used is not None else None,
        workflows=users.get(app.name, []),
    )


def _connection(one: Connection) -> ConnectionView:
    return ConnectionView(
        id=one.id,
        app=one.app,
        provider=one.provider,
        state=one.state,
        account=one.account,
        scheme=one.scheme,
        created_at=one.created_at,
        expires_at=one.expires_at,
        reason=one.reason,
    )


def _action_row(one: Action) -> ActionRow:
    return ActionRow(
        name=one.name,
        id=one.id,
        title=one.title,
        description=one.description[:DESCRIPTION],
        effects=one.effects,
        version=one.version,
        deprecated=one.deprecated,
    )


def _fields(fields: Iterable[ConnectField]) -> list[FieldView]:
    return [
        FieldView(
            name=one.name,
            title=one.title,
            description=one.description,
            required=one.required,
            secret=one.secret,
            default=one.default,
        )
        for one in fields
    ]
