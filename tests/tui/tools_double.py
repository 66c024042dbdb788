"""The tools and accounts of the engine in memory: scripted by tests, for tests of the screens only."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from core.errors import ConnectFailed, NotConnected, ToolRefused, ToolUnknown
from core.link.event_types import Event, ToolsChanged
from core.link.tool_types import (
    ActionRow,
    ActionView,
    ConnectionView,
    ConnectView,
    FieldView,
    SchemeView,
    ToolDetail,
    ToolList,
    ToolReply,
    ToolRow,
)

LINK = SchemeView(name="OAUTH2", title="OAuth 2", managed=True)
KEY = SchemeView(
    name="API_KEY", title="API key", fields=[FieldView(name="key", title="API key", description="Its key.")]
)
BASIC = SchemeView(
    name="BASIC",
    title="Name and password",
    fields=[FieldView(name="user", title="Name", secret=False), FieldView(name="password", title="Password")],
)
TRUST = SchemeView(
    name="TRUST",
    title="Trust",
    fields=[
        FieldView(name="trust", title="Trust it?", description="Rondo starts, with your rights, files.", secret=False)
    ],
)


class ToolsDouble:
    """What `ToolApi` says, on lists in memory. `on_call` gives what an action gives, or raises."""

    now: Callable[[], float]

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, ToolRow] = {}
        self.schemes: dict[str, list[SchemeView]] = {}
        self.app_actions: dict[str, list[ActionView]] = {}
        self.accounts: list[ConnectionView] = []
        self.tool_notes: list[str] = []
        self.tools_age = 0.0
        self.page = 300
        self.filled: list[dict[str, str]] = []
        """What was filled in to connect, in turn."""
        self.called_actions: list[tuple[str, str, dict[str, Any]]] = []
        self.on_call: Callable[[str, dict[str, Any]], Any] = lambda action, arguments: {"id": "m-1"}
        self.link_seconds = 600.0
        self.link = "https://connect.example/link/lk_{}"
        self._account_numbers = itertools.count(1)

    def send(self, *events: Event) -> None:
        raise NotImplementedError

    async def _called(self, method: str) -> None:
        raise NotImplementedError

    def account_is_there(self, app: str) -> None:
        """Runs that wait for the account go on."""

    # Scripting -------------------------------------------------------------------------------------------------

    def app(
        self, name: str, *, schemes: list[SchemeView] | None = None, provider: str = "composio", **more: Any
    ) -> None:
        """Add an app."""
        title = more.pop("title", name.capitalize())
        self.apps[name] = ToolRow(name=name, title=title, provider=provider, **more)
        self.schemes[name] = [LINK] if schemes is None else schemes
        self.app_actions.setdefault(name, [])

    def action(
        self,
        app: str,
        name: str,
        effects: str = "write",
        properties: dict[str, Any] | None = None,
        required: list[str] | None = None,
        description: str = "",
    ) -> None:
        """Add an action to an app."""
        words = description or f"{name.replace('_', ' ').capitalize()}."
        row = ActionRow(name=name, id=f"{app}_{name}".upper(), title=name, description=words, effects=effects)
        inputs = {"type": "object", "properties": properties or {}, "required": required or []}
        provider = self.apps[app].provider
        self.app_actions[app].append(ActionView(row=row, app=app, provider=provider, inputs=inputs, outputs={}))

    def account(self, app: str, state: str = "ACTIVE", **more: Any) -> ConnectionView:
        """Add an account, the newest one of its app."""
        identity = more.pop("id", f"ca_{next(self._account_numbers)}")
        more.setdefault("created_at", self.now())
        made = ConnectionView(id=identity, app=app, provider=self.apps[app].provider, state=state, **more)
        self.accounts.insert(0, made)
        return made

    def becomes(self, connection_id: str, state: str, reason: str = "", **more: Any) -> None:
        """Something happens to an account at its service; nobody is told."""
        self.accounts = [
            replace(one, state=state, reason=reason, **more) if one.id == connection_id else one
            for one in self.accounts
        ]

    # The client's side -----------------------------------------------------------------------------------------

    def _of(self, app: str) -> list[ConnectionView]:
        return [one for one in self.accounts if one.app == app]

    def _tool_row(self, row: ToolRow) -> ToolRow:
        found = self._of(row.name)
        used = next((one for one in found if one.state == "ACTIVE"), found[0] if found else None)
        return replace(row, connection=used)

    def _app(self, name: str) -> ToolRow:
        if name not in self.apps:
            raise ToolUnknown(f"There is no tool {name!r}.", cause="Nobody has it.", next_step="rondo list-tools")
        return self._tool_row(self.apps[name])

    async def list_tools(
        self, query: str = "", connected: bool = False, refresh: bool = False, offset: int = 0
    ) -> ToolList:
        await self._called("list_tools")
        rows = sorted(
            map(self._tool_row, self.apps.values()), key=lambda row: (row.connection is None, not row.workflows)
        )
        page = rows[offset : offset + self.page]
        age = 0.0 if refresh else self.tools_age
        left = max(0, len(rows) - offset - len(page))
        return ToolList(tools=page, age=age, notes=list(self.tool_notes), left_out=left)

    async def get_tool(self, name: str, provider: str = "", refresh: bool = False, offset: int = 0) -> ToolDetail:
        await self._called("get_tool")
        row, rest = self._app(name), self.app_actions[name][offset:]
        return ToolDetail(
            row=row,
            schemes=self.schemes[name],
            actions=[view.row for view in rest[: self.page]],
            left_out=max(0, len(rest) - self.page),
            connections=self._of(name),
            age=self.tools_age,
        )

    async def get_action(self, name: str, action: str, provider: str = "") -> ActionView:
        await self._called("get_action")
        return next(view for view in self.app_actions[name] if view.row.name == action)

    async def connect_tool(
        self, name: str, provider: str = "", scheme: str = "", values: dict[str, str] | None = None
    ) -> ConnectView:
        await self._called("connect_tool")
        row = self._app(name)
        chosen = next((one for one in self.schemes[name] if one.name == scheme), self.schemes[name][0])
        begun = ConnectView(app=name, provider=row.provider, connection_id="", state="INITIATED", scheme=chosen.name)
        if chosen.managed:
            made = self.account(name, "INITIATED", scheme=chosen.name)
            self.send(ToolsChanged(app=name))
            link, ends = self.link.format(made.id), self.now() + self.link_seconds
            return replace(begun, connection_id=made.id, link=link, expires_at=ends)
        given = values or {}
        if values is not None:
            self.filled.append(dict(given))
        if any(not given.get(field.name) for field in chosen.fields if field.required):
            return replace(begun, fields=chosen.fields)
        if "wrong" in given.values():
            raise ConnectFailed(
                f"{name} could not be connected.", cause="The key was refused.", next_step="Look at it."
            )
        made = self.account(name, "ACTIVE", scheme=chosen.name)
        self.send(ToolsChanged(app=name))
        self.account_is_there(name)
        return replace(begun, connection_id=made.id, state="ACTIVE")

    async def check_connection(self, name: str, connection_id: str, provider: str = "") -> ConnectionView:
        await self._called("check_connection")
        found = next((one for one in self.accounts if one.id == connection_id), None)
        if found is None:
            raise NotConnected(
                "This connected account is gone.", cause="It was given up.", next_step="Connect it anew."
            )
        if found.state == "ACTIVE":
            self.send(ToolsChanged(app=name))
            self.account_is_there(name)
        return found

    async def disconnect_tool(self, name: str, provider: str = "", account: str = "") -> list[ConnectionView]:
        await self._called("disconnect_tool")
        gone = [one for one in self._of(name) if account in ("", one.id)]
        self.accounts = [one for one in self.accounts if one not in gone]
        self.send(ToolsChanged(app=name))
        return gone

    async def call_tool(
        self,
        command_id: str,
        name: str,
        action: str,
        arguments: dict[str, Any],
        provider: str = "",
        account: str = "",
    ) -> ToolReply:
        await self._called("call_tool")
        self.called_actions.append((name, action, arguments))
        if arguments.get("subject") == "refuse me":
            raise ToolRefused(f"{name}.{action} failed.", cause="The service says so.", next_step="Look at it.")
        value = self.on_call(action, arguments)
        return ToolReply(value=value, log_id="log_77", seconds=0.25, provider=self.apps[name].provider)
