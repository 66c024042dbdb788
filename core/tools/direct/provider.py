"""The provider `direct`: services at their own addresses, for people without Composio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import (
    ConnectFailed,
    ConnectionExpired,
    NotConnected,
    RondoError,
    ToolKeyUnreadable,
    ToolProblem,
    ToolRateLimited,
    ToolRefused,
    ToolReplyProblem,
    ToolUncertain,
    ToolUnknown,
    ToolUnreachable,
)
from core.tools.arguments import check_arguments
from core.tools.direct.access import OAUTH_NAMES, Access
from core.tools.direct.github import GITHUB
from core.tools.direct.gmail import GMAIL
from core.tools.direct.notion import NOTION
from core.tools.direct.service import DirectAction, Service
from core.tools.direct.slack import SLACK
from core.tools.http import ServiceClient, lost, rate_limited
from core.tools.provider import (
    Action,
    App,
    ConnectField,
    Connection,
    ConnectRequest,
    ConnectScheme,
    Effects,
    Page,
    SecretValues,
    ToolResult,
)

NAME = "direct"
SERVICES = (GMAIL, SLACK, GITHUB, NOTION)


class Direct:
    """Gmail, Slack, GitHub and Notion. `base_urls` takes the place of the services' addresses, by name."""

    name = NAME

    def __init__(
        self,
        secrets: SecretValues,
        *,
        base_urls: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = secrets
        self._services = {service.name: service for service in SERVICES}
        self._clients: dict[str, ServiceClient] = {}
        self._accesses: dict[str, Access] = {}
        for service in SERVICES:
            base = (base_urls or {}).get(service.name, service.base_url)
            client = self._clients[service.name] = ServiceClient(service.title, base)
            token_url = service.oauth.token_url if service.oauth is not None else ""
            if base != service.base_url:
                token_url = f"{base}/token"
            self._accesses[service.name] = Access(service, secrets, client, token_url, now)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def require(self) -> None:
        """Always there."""

    async def check(self) -> str:
        connected = [one.app for one in await self.list_connections()]
        return f"connected: {', '.join(connected)}" if connected else "no account is connected"

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        words = query.lower()
        found = (_app(one) for one in SERVICES)
        return Page(tuple(app for app in found if words in f"{app.name} {app.title} {app.description}".lower()))

    async def get_app(self, app: str) -> App:
        return _app(self._service(app))

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        service = self._service(app)
        return tuple(_action(service, one) for one in service.actions)

    async def get_action(self, app: str, action: str, version: str = "") -> Action:
        service = self._service(app)
        return _action(service, _known_action(service, action))

    # Accounts -----------------------------------------------------------------------------------------------------

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        services = [self._service(app)] if app else list(SERVICES)
        found = []
        unread: ToolKeyUnreadable | None = None
        for service in services:
            try:
                kind = await self._accesses[service.name].kind()
            except ToolKeyUnreadable as problem:
                kind, unread = "", problem
            if kind:
                expires = self._accesses[service.name].expires_at
                found.append(Connection(service.name, service.name, NAME, "ACTIVE", scheme=kind, expires_at=expires))
        if unread is not None and not found:
            raise unread
        return tuple(found)

    async def get_connection(self, connection_id: str) -> Connection:
        """The account, after asking the service whether it takes the token and whose it is."""
        service = self._service(connection_id)
        access = self._accesses[service.name]
        kind = await access.kind()
        try:
            account = await service.who(_Session(service, self._clients[service.name], access))
        except ConnectionExpired as error:
            return Connection(service.name, service.name, NAME, "EXPIRED", scheme=kind, reason=error.cause)
        return Connection(
            service.name, service.name, NAME, "ACTIVE", account=account, scheme=kind, expires_at=access.expires_at
        )

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        service = self._service(app)
        schemes = {one.name: one for one in _app(service).schemes}
        chosen = schemes.get(scheme.upper() or "TOKEN")
        if chosen is None:
            raise ConnectFailed(
                f"{service.title} can't be connected by {scheme}.",
                cause=f"It takes: {', '.join(schemes)}.",
                next_step="Choose one of these.",
            )
        given = {name: value.strip() for name, value in (values or {}).items() if value.strip()}
        if any(one.name not in given for one in chosen.fields):
            return ConnectRequest(service.name, scheme=chosen.name, fields=chosen.fields)
        await self._try(service, given)
        for one in chosen.fields:
            await asyncio.to_thread(self._secrets.set, one.name, given[one.name])
        access = self._accesses[service.name]
        access.forget()
        found = await self.get_connection(service.name)
        return ConnectRequest(service.name, service.name, found.state, scheme=chosen.name)

    async def disconnect(self, connection_id: str) -> None:
        service = self._service(connection_id)
        names = (*service.token_names, *(service.secret(name) for name in OAUTH_NAMES))
        last: RondoError | None = None
        for name in names:
            if await asyncio.to_thread(self._secrets.value, name):
                try:
                    await asyncio.to_thread(self._secrets.remove, name)
                except RondoError as error:
                    last = error  # Others go all the same: a variable of the environment is not ours.
        self._accesses[service.name].forget()
        if last is not None:
            raise last

    async def _try(self, service: Service, given: Mapping[str, str]) -> None:
        """Call the service once with what was given; nothing is kept that it does not take."""
        client = self._clients[service.name]
        access = Access(service, _Given(given), client, self._accesses[service.name].token_url)
        try:
            await service.who(_Session(service, client, access))
        except (NotConnected, ToolRefused) as error:
            raise ConnectFailed(
                f"{service.title} does not take what was given.",
                cause=error.cause,
                next_step="Look at it, then try again; nothing was kept.",
            ) from error

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
        service = self._service(action.app)
        known = _known_action(service, action.name)
        check_arguments(f"{service.name}.{known.name}", known.schema, arguments)
        session = _Session(service, self._clients[service.name], self._accesses[service.name], key, seconds)
        started = time.monotonic()
        try:
            data = await known.perform(session, arguments)
        except (AttributeError, KeyError, TypeError) as error:
            raise ToolReplyProblem(
                f"{service.title} answered {known.name} with something else than it is known to send.",
                cause=f"{type(error).__name__}: {error}",
                next_step="Look there what was done; its API may have changed.",
            ) from error
        return ToolResult(data, session.log_id, seconds=time.monotonic() - started)

    def _service(self, app: str) -> Service:
        service = self._services.get(app.lower())
        if service is None:
            raise ToolUnknown(
                f"There is no direct way to {app!r}.",
                cause="Called directly can be: " + ", ".join(self._services) + ".",
                next_step="Use another provider, or choose one of these.",
            )
        return service


class _Given:
    """Values that a person has just given, and are not kept yet."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def value(self, name: str) -> str | None:
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        self._values[name] = value

    def remove(self, name: str) -> None:
        self._values.pop(name, None)


class _Session:
    """Calls for one action; a token that is not taken is renewed once, because such a call did not act."""

    def __init__(
        self, service: Service, client: ServiceClient, access: Access, key: str = "", seconds: float = 60.0
    ) -> None:
        self._service = service
        self._client = client
        self._access = access
        self._key = key
        self._seconds = seconds
        self.log_id = ""
        self._wrote = False

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        pairs = [(name, str(value)) for name, value in (params or {}).items() if value not in (None, "")]
        return await self._send("GET", path, "read", params=pairs)

    async def post(
        self, path: str, body: Any = None, *, reads: bool = False, method: str = "POST", form: bool = False
    ) -> Any:
        sent: dict[str, Any] = {"form": body} if form else {"body": body if body is not None else {}}
        return await self._send(method, path, "read" if reads else "write", **sent)

    async def _send(self, method: str, path: str, effects: Effects, **parts: Any) -> Any:
        try:
            reply = await self._answered(method, path, effects, parts)
        except (ToolUnreachable, ToolRateLimited) as error:
            if not self._wrote:
                raise
            raise ToolUncertain(
                f"{self._service.title} did a part of it only: {error.message}",
                cause="Something was written before this, so the whole is not done again by itself.",
                next_step="Look there what was done.",
            ) from error
        self._wrote = self._wrote or effects == "write"
        return reply

    async def _answered(self, method: str, path: str, effects: Effects, parts: Mapping[str, Any]) -> Any:
        token = await self._access.token()
        answer = await self._once(method, path, effects, token, parts)
        if answer.status == 401:
            token = await self._access.token(refused=token)
            answer = await self._once(method, path, effects, token, parts)
        self.log_id = answer.headers.get("x-github-request-id") or answer.headers.get("x-request-id") or self.log_id
        own = self._service.problem(answer, effects)
        if own is not None:
            raise own
        if answer.status >= 300:
            raise self._problem(answer, effects)
        if answer.status == 204 or not answer.body:
            return {}
        try:
            return answer.json()
        except ValueError as error:
            raise lost(self._service.title, "sent an answer that is cut off or no JSON", effects) from error

    async def _once(self, method: str, path: str, effects: Effects, token: str, parts: Mapping[str, Any]) -> Any:
        headers = {**self._service.headers, "authorization": f"Bearer {token}"}
        if self._key and effects == "write":
            headers["idempotency-key"] = self._key
        return await self._client.send(method, path, headers=headers, seconds=self._seconds, effects=effects, **parts)

    def _problem(self, answer: Any, effects: Effects) -> ToolProblem:
        title, app = self._service.title, self._service.name
        said = f"{title} says: {_message(answer)[:500]}"
        if answer.status == 429:
            return rate_limited(title, answer.headers)
        if answer.status == 401:
            return ConnectionExpired(
                f"The access to {title} has ended.",
                cause=said,
                next_step=f"Connect it anew: rondo authenticate-tool {app}",
                details={"app": app},
            )
        if answer.status in (408, 425) or answer.status >= 500:
            return lost(title, f"failed with status {answer.status}", effects)
        words = {403: "does not allow it", 404: "does not have it, or does not show it to this account"}
        return ToolRefused(
            f"{title} {words.get(answer.status, 'refused the request')} (status {answer.status}).",
            cause=said,
            next_step="Look at the arguments and at what the account may do.",
        )


def _message(answer: Any) -> str:
    reply = answer.object()
    error = reply.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(reply.get("message") or error or "no reason given")


def _known_action(service: Service, name: str) -> DirectAction:
    for one in service.actions:
        if one.name == name.lower():
            return one
    raise ToolUnknown(
        f"{service.name} has no action {name!r}.",
        cause="It has: " + ", ".join(one.name for one in service.actions) + ".",
        next_step=f"See: rondo tool-details {service.name}",
    )


def _app(service: Service) -> App:
    token = ConnectField(service.token_names[0], "Token", service.token_help)
    schemes = [ConnectScheme("TOKEN", "Token", fields=(token,))]
    if service.oauth is not None:
        titles = {"CLIENT_ID": "Client id", "CLIENT_SECRET": "Client secret", "REFRESH_TOKEN": "Refresh token"}
        fields = tuple(
            ConnectField(service.secret(name), title, f"Of your own OAuth application at {service.title}.")
            for name, title in titles.items()
        )
        schemes.append(ConnectScheme("OAUTH2", "OAuth with a refresh token", fields=fields))
    return App(
        service.name, service.title, NAME, service.description, actions=len(service.actions), schemes=tuple(schemes)
    )


def _action(service: Service, one: DirectAction) -> Action:
    return Action(
        app=service.name,
        name=one.name,
        id=one.name,
        title=one.name.replace("_", " ").capitalize(),
        description=one.description,
        inputs=one.schema,
        effects=one.effects,
    )
