"""The requests and answers of Composio's API v3.1, and its errors in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from core.errors import (
    ConnectionExpired,
    NotConnected,
    ToolGone,
    ToolKeyRefused,
    ToolProblem,
    ToolProviderMissing,
    ToolRefused,
    ToolReplyProblem,
    ToolUnknown,
)
from core.tools.http import SECONDS, Answer, ServiceClient, lost, rate_limited
from core.tools.provider import Effects
from core.tools.waiting import Patience

BASE_URL = "https://backend.composio.dev"
PATH = "/api/v3.1"
PAGE = 100
MOST_PAGES = 200
TITLE = "Composio"

KEY = "COMPOSIO_API_KEY"


class Wire:
    """Sends requests with the key. What only asks is repeated after a rate limit or a failure; nothing else is."""

    def __init__(self, base_url: str, key: Callable[[], str | None], patience: Patience) -> None:
        self._client = ServiceClient(TITLE, origin(base_url) + PATH)
        self._key = key
        self._patience = patience

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def get(self, path: str, params: Mapping[str, str | list[str]] | None = None) -> dict[str, Any]:
        """Ask for something."""
        pairs = [
            (name, item)
            for name, value in (params or {}).items()
            for item in ([value] if isinstance(value, str) else value)
            if item
        ]
        return await self._patience.keep_at(lambda: self.send("GET", path, params=pairs))

    async def pages(self, path: str, params: Mapping[str, str | list[str]]) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor = ""
        for _ in range(MOST_PAGES):
            page = await self.get(path, {"limit": str(PAGE), **params, "cursor": cursor})
            for item in items(page):
                yield item
            following = str(page.get("next_cursor") or "")
            if not following or following == cursor:
                return
            cursor = following

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: list[tuple[str, str]] | None = None,
        body: Any = None,
        key: str = "",
        seconds: float = SECONDS,
        effects: Effects | None = None,
    ) -> dict[str, Any]:
        """Send a request once and return its answer; raises the ToolProblem family."""
        effects = effects or ("read" if method == "GET" else "write")
        headers = {"x-api-key": await self.found_key(), "accept": "application/json"}
        if key:
            headers["idempotency-key"] = key
        answer = await self._client.send(
            method, path, headers=headers, params=params, body=body, seconds=seconds, effects=effects
        )
        if answer.status >= 300:
            raise problem(answer, path, effects)
        try:
            value = answer.json() if answer.body else {}
        except ValueError as error:
            if effects == "write":
                raise lost(TITLE, "sent an answer that is cut off or no JSON", effects) from error
            raise _odd() from error
        if not isinstance(value, dict):
            raise _odd()
        return value

    async def found_key(self) -> str:
        """The key; raises ToolProviderMissing, and ToolKeyUnreadable where the secrets are locked."""
        key = (await asyncio.to_thread(self._key) or "").strip()
        if not key:
            raise ToolProviderMissing(
                "There is no key for Composio.",
                cause=f"Neither the environment nor the secret store has {KEY}.",
                next_step=f"Get a key at app.composio.dev, then: rondo secrets set {KEY}",
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ToolProviderMissing(
                "The key for Composio can't be sent.",
                cause=f"{KEY} has characters that no key has, such as a line break.",
                next_step=f"Set {KEY} anew, to the key alone.",
            )
        return key


def origin(base_url: str) -> str:
    """The address without `/api` and what follows: the older package wants it there, others don't."""
    base = base_url.strip().rstrip("/")
    head, found, tail = base.rpartition("/api")
    return head if found and (tail == "" or tail.startswith("/v")) else base


def slug(text: str) -> str:
    """A name as a part of an address; raises ToolUnknown for one that would lead to another part of it."""
    name = text.strip()
    if name in ("", ".", ".."):
        raise ToolUnknown(
            f"{text!r} is no name.", cause="Names have letters or digits.", next_step="See: rondo list-tools"
        )
    return quote(name, safe="")


def items(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a list; those that are none are left out."""
    found = page.get("items")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def problem(answer: Answer, path: str, effects: Effects) -> ToolProblem:
    """What an answer with an error status means."""
    told = answer.object().get("error")
    error: dict[str, Any] = told if isinstance(told, dict) else {}
    message = str(error.get("message") or (told if isinstance(told, str) else "") or f"HTTP {answer.status}")
    slug = str(error.get("slug") or "")
    fix = str(error.get("suggested_fix") or "")
    number = f" (request {error['request_id']})" if error.get("request_id") else ""
    said = f"Composio says: {message[:500]}{number}"
    status = answer.status
    if status == 429:
        return rate_limited(TITLE, answer.headers)
    if status == 401:
        return ToolKeyRefused(
            "Composio does not take the key.", cause=said, next_step=f"Set a valid one: rondo secrets set {KEY}"
        )
    if status == 403:
        return ToolKeyRefused(
            "The key for Composio may not do this.",
            cause=f"{said}. A key can be limited to some uses or to some addresses of the network.",
            next_step=fix or "Look at the key's rights and allowed addresses at app.composio.dev.",
        )
    if status == 410:
        return ToolGone(
            f"Composio has removed {path}.",
            cause=f"{said}. Older versions of its API were taken away.",
            next_step="Take a newer version of the tool, or update Rondo.",
        )
    if status in (408, 425) or status >= 500:
        return lost(TITLE, f"failed with status {status}: {message[:300]}{number}", effects)
    if _speaks_of_account(slug, message):
        expired = "expired" in f"{slug} {message}".lower()
        return (ConnectionExpired if expired else NotConnected)(
            "The access of the connected account has ended." if expired else "There is no connected account.",
            cause=said,
            next_step=fix or "Connect it: rondo authenticate-tool NAME",
        )
    if status == 404:
        return ToolUnknown("Composio does not know this.", cause=said, next_step=fix or "See: rondo list-tools")
    return ToolRefused("Composio refused the request.", cause=said, next_step=fix or "Mend what it names.")


def _speaks_of_account(slug: str, message: str) -> bool:
    if slug:
        return "connectedaccount" in slug.replace("_", "").lower()
    return "connected account" in message.lower()


def _odd() -> ToolReplyProblem:
    return ToolReplyProblem(
        "Composio sent an answer that can't be read.",
        cause="It is cut off, or no JSON object: something between here and there may have changed it.",
        next_step="Try again; where it stays, look at the network's proxy and at COMPOSIO_BASE_URL.",
    )
