"""The provider `composio`: hosted tools and accounts, the default one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.errors import NotConnected, ToolUnknown
from core.tools.composio.accounts import account_of, auth_config, give_up, link_of
from core.tools.composio.connecting import connect_account
from core.tools.composio.results import result_of
from core.tools.composio.shapes import NAME, action_of, app_of, connection_of
from core.tools.composio.wire import BASE_URL, PAGE, Wire, items, slug
from core.tools.provider import Action, App, Connection, ConnectRequest, ConnectScheme, Page, ToolResult
from core.tools.waiting import Patience

USER_ID = "rondo"
"""Whose accounts are used, where nobody says otherwise. Composio keeps accounts by such a name."""


class Composio:
    """Composio's toolkits, tools and connected accounts. `key` is called in a thread and gives the API key."""

    name = NAME

    def __init__(
        self,
        key: Callable[[], str | None],
        *,
        base_url: str = BASE_URL,
        user_id: str = USER_ID,
        patience: Patience | None = None,
    ) -> None:
        self._wire = Wire(base_url, key, patience if patience is not None else Patience())
        self._user_id = user_id

    async def close(self) -> None:
        await self._wire.close()

    async def require(self) -> None:
        await self._wire.found_key()

    async def check(self) -> str:
        page = await self._wire.get("/toolkits", {"limit": "1"})
        total = page.get("total_items")
        return f"the key works; {total} apps" if isinstance(total, int) else "the key works"

    # What there is ------------------------------------------------------------------------------------------------

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        page = await self._wire.get(
            "/toolkits", {"limit": str(PAGE), "search": query, "cursor": cursor, "sort_by": "usage"}
        )
        following = str(page.get("next_cursor") or "")
        return Page(tuple(map(app_of, items(page))), following if following != cursor else "")

    async def get_app(self, app: str) -> App:
        try:
            return app_of(await self._wire.get(f"/toolkits/{slug(app)}"))
        except ToolUnknown as error:
            raise no_app(app, error) from error

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        query: dict[str, str | list[str]] = {"toolkit_slug": slug(app), "toolkit_versions": "latest"}
        found = [action_of(item) async for item in self._wire.pages("/tools", query)]
        if not found:
            await self.get_app(app)
        return tuple(found)

    async def get_action(self, app: str, action: str, version: str = "") -> Action:
        wanted = action.strip()
        names = [wanted.upper()] if wanted.upper().startswith(f"{app.upper()}_") else []
        names.append(f"{app.upper()}_{wanted.upper()}")
        for name in names:
            try:
                return action_of(await self._wire.get(f"/tools/{slug(name)}", {"version": version}))
            except ToolUnknown as error:
                problem = error
        raise ToolUnknown(
            f"{app} has no action {action!r}.", cause=problem.cause, next_step=f"See: rondo tool-details {app}"
        )

    # Accounts -----------------------------------------------------------------------------------------------------

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        query: dict[str, str | list[str]] = {"user_ids": [self._user_id], "toolkit_slugs": [slug(app)] if app else []}
        found = [connection_of(item) async for item in self._wire.pages("/connected_accounts", query)]
        ours = [one for one in found if not app or one.app == app.lower()]
        return tuple(sorted(ours, key=lambda one: one.created_at or 0.0, reverse=True))

    async def get_connection(self, connection_id: str) -> Connection:
        try:
            return connection_of(await self._wire.get(f"/connected_accounts/{slug(connection_id)}"))
        except (ToolUnknown, NotConnected) as error:
            raise NotConnected(
                "This connected account is gone.",
                cause=error.cause,
                next_step="Connect it anew: rondo authenticate-tool NAME",
            ) from error

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        return await connect_account(await self.get_app(app), scheme, values or {}, self)

    async def disconnect(self, connection_id: str) -> None:
        await give_up(self._wire, connection_id)

    async def link(self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str]) -> ConnectRequest:
        """Begin to connect over a link, with an OAuth application of one's own where there are credentials."""
        managed = scheme.managed and not credentials
        config = await auth_config(self._wire, app.name, scheme.name, managed=managed, credentials=credentials)
        return await link_of(self._wire, self._user_id, app.name, scheme.name, config)

    async def account(
        self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str], values: Mapping[str, str]
    ) -> ConnectRequest:
        """Connect an account by what was filled in."""
        config = await auth_config(self._wire, app.name, scheme.name, managed=False, credentials=credentials)
        return await account_of(self._wire, self._user_id, app.name, scheme.name, config, values)

    # Actions ------------------------------------------------------------------------------------------------------

    async def execute(
        self,
        action: Action,
        arguments: Mapping[str, Any],
        *,
        connection_id: str = "",
        key: str = "",
        seconds: float = 60.0,
    ) -> ToolResult:
        body: dict[str, Any] = {"arguments": dict(arguments), "user_id": self._user_id}
        if connection_id:
            # Always by name: of several accounts Composio would choose one.
            body["connected_account_id"] = connection_id
        if action.version:
            body["version"] = action.version
        path = f"/tools/execute/{slug(action.id)}"
        reply = await self._wire.send("POST", path, body=body, key=key, seconds=seconds, effects=action.effects)
        return result_of(action, reply)


def no_app(app: str, error: ToolUnknown) -> ToolUnknown:
    return ToolUnknown(
        f"Composio has no app {app!r}.", cause=error.cause, next_step=f"Look for it: rondo list-tools --search {app}"
    )
