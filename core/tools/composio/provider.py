"""The provider `composio`: hosted tools and accounts, the default one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from core.errors import ConnectFailed, ConnectionExpired, NotConnected, ToolRefused, ToolUnknown
from core.redaction import Redactor
from core.tools.composio.shapes import NAME, action_of, app_of, connection_of, moment
from core.tools.composio.wire import BASE_URL, PAGE, Wire, items
from core.tools.provider import Action, App, Connection, ConnectRequest, ConnectScheme, Page, State, ToolResult
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
            return app_of(await self._wire.get(f"/toolkits/{_slug(app)}"))
        except ToolUnknown as error:
            raise _no_app(app, error) from error

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        query: dict[str, str | list[str]] = {"toolkit_slug": _slug(app), "toolkit_versions": "latest"}
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
                return action_of(await self._wire.get(f"/tools/{_slug(name)}", {"version": version}))
            except ToolUnknown as error:
                problem = error
        raise ToolUnknown(
            f"{app} has no action {action!r}.", cause=problem.cause, next_step=f"See: rondo tool-details {app}"
        )

    # Accounts -----------------------------------------------------------------------------------------------------

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        query: dict[str, str | list[str]] = {"user_ids": [self._user_id], "toolkit_slugs": [_slug(app)] if app else []}
        found = [connection_of(item) async for item in self._wire.pages("/connected_accounts", query)]
        ours = [one for one in found if not app or one.app == app.lower()]
        return tuple(sorted(ours, key=lambda one: one.created_at or 0.0, reverse=True))

    async def get_connection(self, connection_id: str) -> Connection:
        try:
            return connection_of(await self._wire.get(f"/connected_accounts/{_slug(connection_id)}"))
        except (ToolUnknown, NotConnected) as error:
            raise NotConnected(
                "This connected account is gone.",
                cause=error.cause,
                next_step="Connect it anew: rondo authenticate-tool NAME",
            ) from error

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        details = await self.get_app(app)
        if not details.needs_connection:
            return ConnectRequest(details.name, state="ACTIVE")
        chosen = _chosen(details, scheme)
        given = dict(values or {})
        if chosen.managed and not _setup(chosen, given):
            try:
                config = await self._auth_config(details.name, chosen, {})
            except ToolRefused as error:
                return _instead(details, chosen, error)
            return await self._link(details.name, chosen, config)
        needed = (*chosen.setup_fields, *chosen.fields)
        missing = [one for one in needed if one.required and not (given.get(one.name) or one.default)]
        if missing:
            return ConnectRequest(details.name, scheme=chosen.name, fields=needed)
        given |= {one.name: one.default for one in needed if one.default and not given.get(one.name)}
        config = await self._auth_config(details.name, chosen, _setup(chosen, given))
        if chosen.name.startswith("OAUTH"):
            return await self._link(details.name, chosen, config)
        return await self._account(details.name, chosen, config, given)

    async def disconnect(self, connection_id: str) -> None:
        try:
            await self._wire.send("DELETE", f"/connected_accounts/{_slug(connection_id)}", effects="read")
        except (ToolUnknown, NotConnected):
            return  # It is gone already, which is what was wanted.

    async def _auth_config(self, app: str, scheme: ConnectScheme, credentials: Mapping[str, str]) -> str:
        """The id of the configuration for a scheme: one that is there already, unless credentials are new."""
        if not credentials:
            async for item in self._wire.pages("/auth_configs", {"toolkit_slug": app}):
                inner = item.get("auth_config")
                config = inner if isinstance(inner, dict) else item
                same = str(config.get("auth_scheme", "")).upper() == scheme.name
                off = config.get("is_disabled") or str(config.get("status", "")).upper() == "DISABLED"
                if same and bool(config.get("is_composio_managed")) == scheme.managed and not off and config.get("id"):
                    return str(config["id"])
        kind: dict[str, Any] = {"type": "use_composio_managed_auth"}
        if credentials or not scheme.managed:
            kind = {"type": "use_custom_auth", "authScheme": scheme.name, "credentials": dict(credentials)}
        made = await self._wire.send("POST", "/auth_configs", body={"toolkit": {"slug": app}, "auth_config": kind})
        number = made.get("auth_config", {}).get("id") if isinstance(made.get("auth_config"), dict) else None
        if not number:
            raise ConnectFailed(
                f"Composio made no configuration for {app}.", cause="Its answer has no id.", next_step="Try again."
            )
        return str(number)

    async def _link(self, app: str, scheme: ConnectScheme, config: str) -> ConnectRequest:
        made = await self._wire.send(
            "POST", "/connected_accounts/link", body={"auth_config_id": config, "user_id": self._user_id}
        )
        link, number = str(made.get("redirect_url") or ""), str(made.get("connected_account_id") or "")
        if not number or not link.startswith(("https://", "http://")):
            raise ConnectFailed(
                f"Composio gave no link to connect {app}.", cause="Its answer names none.", next_step="Try again."
            )
        return ConnectRequest(app, number, "INITIATED", link, moment(made.get("expires_at")), scheme.name)

    async def _account(self, app: str, scheme: ConnectScheme, config: str, values: Mapping[str, str]) -> ConnectRequest:
        own = {one.name for one in scheme.setup_fields}
        val = {"status": "ACTIVE", **{name: value for name, value in values.items() if name not in own}}
        state = {"authScheme": scheme.name, "val": val}
        body = {"auth_config": {"id": config}, "connection": {"user_id": self._user_id, "state": state}}
        try:
            made = await self._wire.send("POST", "/connected_accounts", body=body)
        except (ToolRefused, NotConnected) as error:
            raise ConnectFailed(
                f"The account of {app} could not be connected.",
                cause=Redactor(values.values()).text(error.cause),
                next_step="Look at what was filled in, then try again.",
            ) from error
        made_state: State = connection_of(made).state if made.get("status") else "ACTIVE"
        return ConnectRequest(app, str(made.get("id") or ""), made_state, scheme=scheme.name)

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
        path = f"/tools/execute/{_slug(action.id)}"
        reply = await self._wire.send("POST", path, body=body, key=key, seconds=seconds, effects=action.effects)
        log_id = str(reply.get("log_id") or "")
        if reply.get("successful") is False or (reply.get("error") and reply.get("successful") is not True):
            raise _tool_error(action, str(reply.get("error") or "no reason given"), log_id)
        cost = reply.get("cost")
        return ToolResult(reply.get("data"), log_id, float(cost) if isinstance(cost, int | float) else None)


def _tool_error(action: Action, message: str, log_id: str) -> ToolRefused | NotConnected:
    words = message.lower()
    note = f" (log {log_id})" if log_id else ""
    if "connected account" in words and ("expired" in words or "no " in words or "not found" in words):
        kind = ConnectionExpired if "expired" in words else NotConnected
        return kind(
            f"{action.app} has no account that can be used.",
            cause=f"{message[:500]}{note}",
            next_step=f"Connect it: rondo authenticate-tool {action.app}",
            details={"app": action.app},
        )
    return ToolRefused(
        f"{action.app}.{action.name} failed: {message[:500]}",
        cause=f"The service behind it says so{note}.",
        next_step="Look at the arguments and at the account's rights.",
        details={"log_id": log_id} if log_id else None,
    )


def _chosen(app: App, scheme: str) -> ConnectScheme:
    """The scheme that was asked for, else the one that needs least of a person."""
    if not app.schemes:
        raise ConnectFailed(
            f"Composio does not say how {app.name} is connected.",
            cause="Its description names no scheme.",
            next_step="Connect it at app.composio.dev.",
        )
    if not scheme:
        return app.schemes[0]
    for one in app.schemes:
        if one.name == scheme.upper():
            return one
    raise ConnectFailed(
        f"{app.name} can't be connected by {scheme}.",
        cause="It takes: " + ", ".join(one.name for one in app.schemes) + ".",
        next_step="Choose one of these.",
    )


def _setup(scheme: ConnectScheme, values: Mapping[str, str]) -> dict[str, str]:
    return {one.name: values[one.name] for one in scheme.setup_fields if values.get(one.name)}


def _instead(app: App, refused: ConnectScheme, error: ToolRefused) -> ConnectRequest:
    """What to do where Composio's own OAuth application, though named, is no more: a key, or an application of one's
    own."""
    for one in app.schemes:
        if not one.managed and one.fields:
            return ConnectRequest(app.name, scheme=one.name, fields=(*one.setup_fields, *one.fields))
    if refused.setup_fields:
        return ConnectRequest(app.name, scheme=refused.name, fields=(*refused.setup_fields, *refused.fields))
    raise ConnectFailed(
        f"Composio has no application of its own for {app.name} any more.",
        cause=error.cause,
        next_step="Make an authentication configuration at app.composio.dev, then try again.",
    ) from error


def _no_app(app: str, error: ToolUnknown) -> ToolUnknown:
    return ToolUnknown(
        f"Composio has no app {app!r}.", cause=error.cause, next_step=f"Look for it: rondo list-tools --search {app}"
    )


def _slug(text: str) -> str:
    """A name as a part of an address."""
    return quote(text.strip(), safe="")
