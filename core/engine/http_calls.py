"""Calls of addresses for nodes: made here, so that they are recorded; limited in size, without cookies."""

from __future__ import annotations

import asyncio
import base64
import importlib
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from core.errors import CallProblem, CallTimeout, CallTooLarge

BODY_LIMIT = 10 * 1024 * 1024
"""Bytes of a response, decompressed."""
REDIRECTS = 10
SECONDS = 30.0
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods that may be repeated: a second time changes nothing more."""
FOLLOWED = frozenset({"GET", "HEAD"})

HIDDEN = "•••"
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"})
SECRET_WORDS = ("token", "secret", "password", "signature", "api_key", "apikey", "access_key")


def may_repeat(request: dict[str, Any]) -> bool:
    """True where it does no harm to make a call again of which nobody knows whether it arrived."""
    keyed = any(name.lower() == "idempotency-key" for name in request.get("headers", {}))
    return keyed or str(request.get("method", "")).upper() in REPEATABLE


def kept_request(request: dict[str, Any]) -> dict[str, Any]:
    """The request as it is kept: what headers and addresses say to prove who calls is left out."""
    headers = {
        name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in request.get("headers", {}).items()
    }
    params = [[name, HIDDEN if _is_secret(name) else value] for name, value in request.get("params", [])]
    return {**request, "url": _kept_url(request["url"]), "headers": headers, "params": params}


def _kept_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "&".join(f"{name}={HIDDEN}" if _is_secret(name) else name + sign + value for name, sign, value in pairs)
    return urlunsplit(parts._replace(netloc=host, query=query))


def _is_secret(name: str) -> bool:
    return name.lower() == "key" or any(word in name.lower() for word in SECRET_WORDS)


class HttpCalls:
    """One client for all calls, made with the first; it keeps connections, and nothing else."""

    def __init__(self) -> None:
        self._client: Any = None
        self._library: Any = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a call and return status, url, headers and the body as text or base64; raises the CallProblem family."""
        client = await self._ready()
        method, url = request["method"], request["url"]
        seconds = request.get("timeout", SECONDS)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(client, request)
        except TimeoutError as error:
            raise CallTimeout(
                f"{method} {_host(url)} took longer than {seconds:g} s.",
                cause="The timeout of self.http; nobody knows whether the other side acted.",
                next_step="Try again, or give it a larger timeout=.",
            ) from error
        except (self._library.HTTPError, self._library.InvalidURL, UnicodeError, ValueError) as error:
            raise CallProblem(
                f"{method} {_host(url)} could not be called: {str(error) or type(error).__name__}.",
                cause=f"{type(error).__name__}: there is no connection, or the address is wrong.",
                next_step="Look at the address and the network, then try again.",
            ) from error

    async def _ready(self) -> Any:
        async with self._making:
            if self._client is None:
                # Not before it is needed: most engines never call an address.
                self._library = await asyncio.to_thread(importlib.import_module, "httpx2")
                jar = (await asyncio.to_thread(importlib.import_module, "http.cookiejar")).CookieJar
                policy = importlib.import_module("http.cookiejar").DefaultCookiePolicy(allowed_domains=[])
                self._client = self._library.AsyncClient(
                    timeout=None, max_redirects=REDIRECTS, cookies=jar(policy=policy)
                )
        return self._client

    async def _exchange(self, client: Any, request: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if "json" in request:
            body["json"] = request["json"]
        elif "base64" in request:
            body["content"] = base64.b64decode(request["base64"])
        elif "text" in request:
            body["content"] = request["text"].encode()
        elif "form" in request:
            form: dict[str, list[str]] = {}
            for name, value in request["form"]:
                form.setdefault(name, []).append(value)
            body["data"] = form
        params = [tuple(pair) for pair in request.get("params", [])]
        stream = client.stream(
            request["method"],
            request["url"],
            headers=request.get("headers", {}),
            **({"params": params} if params else {}),
            follow_redirects=request.get("follow", request["method"] in FOLLOWED),
            **body,
        )
        async with stream as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > BODY_LIMIT:
                    raise CallTooLarge(
                        f"{request['method']} {_host(request['url'])} answered more than {BODY_LIMIT} bytes.",
                        cause="A response is kept whole, so its size is limited.",
                        next_step="Ask for less, or download it in the node with a library of your own.",
                    )
            # A cookie proves who calls, so it is not kept; what is not kept is not given either.
            headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "set-cookie"}
            reply = {"status": response.status_code, "url": _kept_url(str(response.url)), "headers": headers}
            encoding = response.charset_encoding or "utf-8"
        return reply | await asyncio.to_thread(_body, bytes(content), encoding)


def _body(content: bytes, encoding: str) -> dict[str, str]:
    """The body as text where it is some, with no byte lost."""
    try:
        text = content.decode(encoding)
        if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii", "us-ascii"):
            return {"text": text}
        return {"text": text, "base64": base64.b64encode(content).decode()}
    except (UnicodeDecodeError, LookupError):
        return {"base64": base64.b64encode(content).decode()}


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path
