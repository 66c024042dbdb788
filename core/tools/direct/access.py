"""The access of an account: a token as it is, or one that is renewed with a refresh token."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import ConnectionExpired, NotConnected, RondoError, ToolKeyUnreadable, ToolProblem
from core.tools.direct.service import Service
from core.tools.http import ServiceClient, lost, rate_limited
from core.tools.provider import SecretValues

EARLY = 60.0
"""Seconds before its end at which a token is renewed."""
OAUTH_NAMES = ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")


class Access:
    """Finds what proves who calls. Tokens that were renewed live in memory alone; a new refresh token is kept."""

    def __init__(
        self,
        service: Service,
        secrets: SecretValues,
        client: ServiceClient,
        token_url: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._secrets = secrets
        self._client = client
        self.token_url = token_url
        self._now = now
        self._renewed: tuple[str, float] | None = None
        self._renewing = asyncio.Lock()
        self._unread: ToolKeyUnreadable | None = None
        """What kept a key from being read when they were looked up last."""

    def __repr__(self) -> str:
        return f"Access({self._service.name})"

    async def kind(self) -> str:
        """`OAUTH2`, `TOKEN`, or "" where nothing is set; raises ToolKeyUnreadable where that can't be told."""
        if await self._oauth() is not None:
            return "OAUTH2"
        if await self._token():
            return "TOKEN"
        if self._unread is not None:
            raise self._unread
        return ""

    async def token(self, refused: str = "") -> str:
        """A token to call with; `refused` is one that the service did not take just now.

        Raises NotConnected where there is none, ConnectionExpired where no other can be had, ToolKeyUnreadable.
        """
        oauth = await self._oauth()
        if oauth is None:
            token = await self._token()
            if not token:
                raise self._unread or self._not_connected()
            if token == refused:
                raise self._expired("The service does not take the token any more.")
            return token
        async with self._renewing:
            if self._renewed is None or self._renewed[0] == refused or self._renewed[1] - EARLY <= self._now():
                self._renewed = await self._renew(oauth)
            return self._renewed[0]

    def forget(self) -> None:
        """Forget the token that was renewed last."""
        self._renewed = None

    @property
    def expires_at(self) -> float | None:
        """When the token that was renewed last ends."""
        return self._renewed[1] if self._renewed is not None else None

    async def _token(self) -> str:
        def find() -> str:
            return next((value for name in self._service.token_names if (value := self._value(name))), "")

        return await asyncio.to_thread(find)

    async def _oauth(self) -> dict[str, str] | None:
        self._unread = None
        if self._service.oauth is None:
            return None
        found = await asyncio.to_thread(lambda: {name: self._value(self._service.secret(name)) for name in OAUTH_NAMES})
        return found if all(found.values()) else None

    def _value(self, name: str) -> str:
        try:
            return (self._secrets.value(name) or "").strip()
        except ToolKeyUnreadable as problem:
            # Another one may do, such as a token from the environment.
            self._unread = problem
            return ""

    async def _renew(self, oauth: Mapping[str, str]) -> tuple[str, float]:
        """Another token and when it ends."""
        how = self._service.oauth
        assert how is not None
        form = {"grant_type": "refresh_token", "refresh_token": oauth["REFRESH_TOKEN"]}
        headers = {"accept": "application/json"}
        if how.basic:
            pair = f"{oauth['CLIENT_ID']}:{oauth['CLIENT_SECRET']}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": oauth["CLIENT_ID"], "client_secret": oauth["CLIENT_SECRET"]}
        body: dict[str, Any] = {"body": form} if how.json else {"form": form}
        # A second time does no harm where tokens are not exchanged for one another; where they are, the old one ends.
        answer = await self._client.send("POST", self.token_url, headers=headers, effects="read", **body)
        reply = answer.object()
        if answer.status == 429:
            raise rate_limited(self._service.title, answer.headers)
        if answer.status >= 500:
            raise lost(self._service.title, f"failed with status {answer.status} when renewing a token", "read")
        token = reply.get("access_token")
        if answer.status >= 400 or not isinstance(token, str) or not token:
            raise self._expired(f"{self._service.title} says: {str(reply.get('error') or answer.status)[:200]}")
        following = reply.get("refresh_token")
        if isinstance(following, str) and following and following != oauth["REFRESH_TOKEN"]:
            await self._keep(following)
        seconds = reply.get("expires_in")
        return token, self._now() + (float(seconds) if isinstance(seconds, int | float) else 3600.0)

    async def _keep(self, refresh_token: str) -> None:
        try:
            await asyncio.to_thread(self._secrets.set, self._service.secret("REFRESH_TOKEN"), refresh_token)
        except RondoError as error:
            raise ToolProblem(
                f"{self._service.title} has exchanged the refresh token, and the new one could not be kept.",
                cause=error.message,
                next_step=f"Mend that, then connect anew: rondo authenticate-tool {self._service.name}",
            ) from error

    def _not_connected(self) -> NotConnected:
        name = self._service.name
        return NotConnected(
            f"{self._service.title} is not connected.",
            cause=f"There is no {' or '.join(self._service.token_names)}, and no OAuth access of one's own.",
            next_step=f"rondo authenticate-tool {name}",
            details={"app": name},
        )

    def _expired(self, cause: str) -> ConnectionExpired:
        name = self._service.name
        return ConnectionExpired(
            f"The access to {self._service.title} has ended.",
            cause=cause,
            next_step=f"Connect it anew: rondo authenticate-tool {name}",
            details={"app": name},
        )
