"""HTTP as providers use it: one call goes out once, and what it came to is one of a few plain errors."""

from __future__ import annotations

import asyncio
import email.utils
import importlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from core.errors import ToolProblem, ToolRateLimited, ToolReplyProblem, ToolUncertain, ToolUnreachable
from core.tools.documents import read_json
from core.tools.provider import Effects

BODY_LIMIT = 10 * 1024 * 1024
"""Bytes of a response, decompressed."""
SECONDS = 60.0
CONNECT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return read_json(self.body)

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; {} where it is none: for error bodies and optional parts."""
        try:
            value = self.json()
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class ServiceClient:
    """Calls one service. The library is imported, in a thread, and connections are made with the first call."""

    def __init__(self, title: str, base_url: str) -> None:
        self.title = title
        self.base_url = base_url.rstrip("/")
        self._client: Any = None
        self._library: Any = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: list[tuple[str, str]] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
        effects: Effects = "read",
    ) -> Answer:
        """Send one request and return its answer, whatever the status; it is never sent a second time.

        Raises ToolUnreachable where nothing was done or only reading was asked, and ToolUncertain where a call that
        may write was sent and has no whole answer. A redirect is not followed: it could lead a key to somebody else.
        """
        client = await self._ready()
        address = path if path.startswith(("http://", "https://")) else self.base_url + path
        try:
            _ = urlsplit(address).port
        except ValueError as error:
            raise self._unreachable(address, error) from error
        content: dict[str, Any] = {}
        if body is not None:
            content["json"] = body
        elif form is not None:
            content["data"] = dict(form)
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                stream = client.stream(method, address, headers=dict(headers or {}), params=params or None, **content)
                async with stream as response:
                    read = bytearray()
                    async for chunk in response.aiter_bytes():
                        read += chunk
                        if len(read) > BODY_LIMIT:
                            raise self._too_large(method, address)
                    named = {name.lower(): value for name, value in response.headers.items()}
                    return Answer(response.status_code, named, bytes(read), time.monotonic() - started)
        except TimeoutError as error:
            raise self._lost(f"did not answer within {seconds:g} s", effects) from error
        except (self._library.ConnectError, self._library.ConnectTimeout, self._library.PoolTimeout) as error:
            raise self._unreachable(address, error) from error
        except (self._library.UnsupportedProtocol, self._library.InvalidURL, UnicodeError, ValueError) as error:
            raise self._unreachable(address, error) from error
        except self._library.HTTPError as error:
            raise self._lost(f"broke off its answer ({type(error).__name__})", effects) from error

    async def _ready(self) -> Any:
        async with self._making:
            if self._client is None:
                self._library = await asyncio.to_thread(importlib.import_module, "httpx2")
                jar = importlib.import_module("http.cookiejar")
                self._client = await asyncio.to_thread(
                    lambda: self._library.AsyncClient(
                        timeout=self._library.Timeout(None, connect=CONNECT_SECONDS),
                        cookies=jar.CookieJar(policy=jar.DefaultCookiePolicy(allowed_domains=[])),
                        follow_redirects=False,
                    )
                )
        return self._client

    def _unreachable(self, address: str, error: Exception) -> ToolUnreachable:
        return ToolUnreachable(
            f"{self.title} can't be reached at {host(address)}.",
            cause=f"{type(error).__name__}: {str(error) or 'no connection'}. Nothing was done.",
            next_step="Look at the network, then try again.",
        )

    def _lost(self, what: str, effects: Effects) -> ToolProblem:
        return lost(self.title, what, effects)

    def _too_large(self, method: str, address: str) -> ToolReplyProblem:
        return ToolReplyProblem(
            f"{self.title} answered {method} {host(address)} with more than {BODY_LIMIT} bytes.",
            cause="An answer is kept whole, so its size is limited. The call itself was carried out.",
            next_step="Ask for less at once, for example with a smaller page.",
        )


def lost(title: str, what: str, effects: Effects) -> ToolProblem:
    """The error for a call that was sent and of which no answer came; `what` says how."""
    if effects == "write":
        return ToolUncertain(
            f"{title} {what}.",
            cause="The call was sent and may have acted; nobody knows.",
            next_step="Look there whether it did, before it is made again.",
        )
    return ToolUnreachable(
        f"{title} {what}.", cause="Only reading was asked, so nothing was changed.", next_step="Try again."
    )


def rate_limited(title: str, headers: Mapping[str, str], now: float | None = None) -> ToolRateLimited:
    """The error for status 429, with the seconds of Retry-After."""
    after = retry_after(headers, now)
    return ToolRateLimited(
        f"{title} takes no more calls for now.",
        cause=f"It asks to wait {after:g} s." if after is not None else "Its limit of calls is reached.",
        next_step="Wait, then try again; call it less often.",
        details={"retry_after": after} if after is not None else None,
    )


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait by the Retry-After header (a number, or a date); None without one that makes sense."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def host(address: str) -> str:
    """Where an address leads, without what could prove who calls."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that is none"
    return parts.netloc.rpartition("@")[2]
