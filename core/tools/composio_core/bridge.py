"""Leads what the package asks of versions 1 and 2 of Composio's API, which are gone, to version 3.1.

The package's requests come from its process over a pipe. The key is added here, so that process never has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import (
    NotConnected,
    ToolGone,
    ToolKeyRefused,
    ToolProblem,
    ToolProviderMissing,
    ToolRateLimited,
    ToolRefused,
    ToolUnknown,
)
from core.tools.composio.accounts import account_of, auth_config, give_up, link_of
from core.tools.composio.shapes import connection_of
from core.tools.composio.wire import PAGE, Wire, items, slug
from core.tools.composio_core.older import (
    account_document,
    action_document,
    app_document,
    execution_document,
    integration_document,
    request_document,
)
from core.tools.http import SECONDS
from core.tools.making import GONE
from core.tools.provider import Connection, ConnectRequest, Effects

LATEST = ("", "latest", "latest:base")
"""Versions of an action that name none."""
MOST_PAGES = 50

_STATUS: tuple[tuple[type[ToolProblem], int], ...] = (
    (ToolKeyRefused, 401),
    (ToolProviderMissing, 401),
    (ToolRateLimited, 429),
    (ToolGone, 410),
    (ToolUnknown, 404),
    (NotConnected, 400),
    (ToolRefused, 400),
)


@dataclass(slots=True)
class Errand:
    """What the package was asked to do, and how far that came."""

    effects: Effects = "read"
    key: str = ""
    """Equal for calls that are to act once."""
    seconds: float = SECONDS
    """Time limit of the call that acts."""
    search: str = ""
    acted: bool = False
    """True once a request was sent that may act."""
    problem: ToolProblem | None = None
    """What went wrong between here and Composio: it says more than what the package makes of it."""
    unknown: ToolUnknown | None = None
    """What Composio did not know last."""


class Bridge:
    """Answers requests as the older versions did. `user_id` says whose accounts are used."""

    def __init__(self, wire: Wire, user_id: str) -> None:
        self._wire = wire
        self._user_id = user_id
        self._integrations: dict[str, tuple[str, str]] = {}
        self.links: dict[str, ConnectRequest] = {}
        """What began to be connected, by the id of the account."""
        self.accounts: dict[str, Connection] = {}
        """Accounts as they were last seen, by id."""

    async def answer(
        self, errand: Errand, method: str, path: str, query: Mapping[str, str], body: Any
    ) -> tuple[int, Any]:
        """Status and document for a request; never raises a ToolProblem: the errand keeps it."""
        if errand.problem is not None:
            # The package would go on to ask for other things: nothing more goes out for this errand.
            return 503, {"message": "given up"}
        try:
            given = body if isinstance(body, dict) else {}
            return 200, await self._lead(errand, (method, *path.strip("/").split("/")), query, given)
        except ToolUnknown as problem:
            # The package copes with some of these, so they end nothing by themselves.
            errand.unknown = problem
            return 404, {"message": f"Not Found: {problem.cause or problem.message}"}
        except ToolProblem as problem:
            errand.problem = problem
            status = next((number for kind, number in _STATUS if isinstance(problem, kind)), 502)
            return status, {"message": problem.message}

    async def _lead(
        self, errand: Errand, route: tuple[str, ...], query: Mapping[str, str], body: dict[str, Any]
    ) -> Any:
        match route:
            case ("GET", "v1", "client", "auth", "client_info"):
                await self._wire.get("/toolkits", {"limit": "1"})
                return {"client": {"id": self._user_id}}
            case ("GET", "v1", "apps"):
                return {"items": await self._apps(errand.search)}
            case ("GET", "v1", "apps", name):
                return app_document(await self._wire.get(f"/toolkits/{slug(name.lower())}"))
            case ("GET", "v2", "actions"):
                return {"items": await self._actions(query)}
            case ("GET", "v2", "actions", name):
                version = query.get("version", "")
                params = {} if version in LATEST else {"version": version}
                return action_document(await self._wire.get(f"/tools/{slug(name)}", params))
            case ("POST", "v2", "actions", name, "execute"):
                return await self._execute(errand, name, body)
            case ("POST", "v1", "integrations"):
                return await self._integrate(errand, body)
            case ("POST", "v1", "connectedAccounts"):
                return await self._connect(errand, body)
            case ("GET", "v1", "connectedAccounts"):
                return {"items": await self._accounts(query)}
            case ("GET", "v1", "connectedAccounts", number):
                return self._seen(await self._wire.get(f"/connected_accounts/{slug(number)}"))
            case ("DELETE", "v1", "connectedAccounts", number):
                await give_up(self._wire, number)
                return {"success": True}
        raise ToolGone(
            f"composio-core asked for /{'/'.join(route[1:])}, which is gone.",
            cause=f"{GONE} For this one there is no other address there.",
            next_step="Use the provider composio for it.",
        )

    async def _apps(self, search: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            page = await self._wire.get(
                "/toolkits", {"limit": str(PAGE), "search": search, "cursor": cursor, "sort_by": "usage"}
            )
            found += map(app_document, items(page))
            following = str(page.get("next_cursor") or "")
            if not following or following == cursor:
                break
            cursor = following
        return found

    async def _actions(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found = []
        for app in query.get("apps", "").lower().split(","):
            asked: dict[str, str | list[str]] = {"toolkit_slug": slug(app), "toolkit_versions": "latest"}
            found += [action_document(item) async for item in self._wire.pages("/tools", asked)]
        return found

    async def _execute(self, errand: Errand, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {"arguments": body.get("input") or {}, "user_id": self._user_id}
        if body.get("connectedAccountId"):
            sent["connected_account_id"] = body["connectedAccountId"]
        if body.get("version") and body["version"] not in LATEST:
            sent["version"] = body["version"]
        errand.acted = True
        reply = await self._wire.send(
            "POST",
            f"/tools/execute/{slug(name)}",
            body=sent,
            key=errand.key,
            seconds=errand.seconds,
            effects=errand.effects,
        )
        return execution_document(reply)

    # Accounts -----------------------------------------------------------------------------------------------------

    async def _integrate(self, errand: Errand, body: Mapping[str, Any]) -> dict[str, Any]:
        app, scheme = str(body.get("appId")), str(body.get("authScheme"))
        credentials = {str(name): str(value) for name, value in (body.get("authConfig") or {}).items()}
        managed = bool(body.get("useComposioAuth")) and not credentials
        errand.acted = True
        config = await auth_config(self._wire, app, scheme, managed=managed, credentials=credentials)
        self._integrations[config] = (app, scheme)
        return integration_document(config, app, scheme)

    async def _connect(self, errand: Errand, body: Mapping[str, Any]) -> dict[str, Any]:
        config = str(body.get("integrationId"))
        app, scheme = self._integrations.get(config, ("", ""))
        values = {str(name): str(value) for name, value in (body.get("data") or {}).items()}
        errand.acted = True
        if scheme.startswith("OAUTH"):
            request = await link_of(self._wire, self._user_id, app, scheme, config)
        else:
            request = await account_of(self._wire, self._user_id, app, scheme, config, values)
        self.links[request.connection_id] = request
        return request_document(request)

    async def _accounts(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        users = [user for user in query.get("user_uuid", self._user_id).split(",") if user]
        asked: dict[str, str | list[str]] = {"user_ids": users}
        if query.get("showActiveOnly") == "true":
            asked["statuses"] = ["ACTIVE"]
        return [self._seen(item) async for item in self._wire.pages("/connected_accounts", asked)]

    def _seen(self, item: Mapping[str, Any]) -> dict[str, Any]:
        found = connection_of(item)
        self.accounts[found.id] = found
        return account_document(item)
