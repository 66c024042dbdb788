"""The client: it asks versions 1 and 2 of the API, takes documents of these alone, and is not quiet about it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import requests

from composio.client.enums import Action

FIELDS = {
    "app": ("name", "key", "appId", "description", "categories", "meta", "no_auth", "auth_schemes", "testConnectors"),
    "action": ("name", "description", "parameters", "response", "appName", "appId", "version", "tags", "display_name"),
    "account": ("id", "status", "createdAt", "updatedAt", "appUniqueId", "appName", "integrationId"),
    "request": ("connectionStatus", "connectedAccountId", "redirectUrl"),
}


class Model:
    """A document that has to have its fields; others are dropped."""

    def __init__(self, kind: str, document: Mapping[str, Any]) -> None:
        self._values = {name: document[name] for name in FIELDS[kind]}

    def model_dump(self, mode: str) -> dict[str, Any]:
        return self._values


class Http(requests.Session):
    def __init__(self, client: Composio) -> None:
        super().__init__()
        self._client = client
        self.headers["x-api-key"] = client.key

    def get(self, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().get(self._client.base_url + url, timeout=60, **options)

    def post(self, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().post(self._client.base_url + url, timeout=60, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().delete(self._client.base_url + url, timeout=60, **options)


class Composio:
    def __init__(self, api_key: str, base_url: str) -> None:
        self.key, self.base_url = api_key, base_url
        self._http: Http | None = None
        self.apps, self.actions, self.connected_accounts = Apps(self), Actions(self), Accounts(self)
        Action.client = self
        _be_loud()

    @property
    def http(self) -> Http:
        if self._http is None:
            probe = requests.get(
                self.base_url + "/v1/client/auth/client_info", headers={"x-api-key": self.key}, timeout=60
            )
            if probe.status_code != 200:
                raise PermissionError(f"Unexpected error: HTTP {probe.status_code}")
            self._http = Http(self)
        return self._http

    def asked(self, response: requests.Response) -> Any:
        if response.status_code != 200:
            raise RuntimeError(response.content.decode())
        return response.json()

    def get_entity(self, number: str) -> Entity:
        return Entity(self, number)


class Apps:
    def __init__(self, client: Composio) -> None:
        self.client = client

    def get(self, name: str | None = None) -> Any:
        if name is not None:
            return Model("app", self.client.asked(self.client.http.get(f"/v1/apps/{name}")))
        return [Model("app", one) for one in self.client.asked(self.client.http.get("/v1/apps"))["items"]]


class Actions:
    def __init__(self, client: Composio) -> None:
        self.client = client

    def get(self, action: Action | None = None, *, apps: list[str] | None = None, allow_all: bool = False) -> Any:
        if action is not None:
            if action.slug == "GMAIL_TIDY_UP":
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
            query = {"version": action.version}
            return Model("action", self.client.asked(self.client.http.get(f"/v2/actions/{action.slug}", params=query)))
        query = {"apps": ",".join(apps or []).upper()}
        found = self.client.asked(self.client.http.get("/v2/actions", params=query))
        warnings.warn("this is not recommended", UserWarning, stacklevel=1)
        return [Model("action", one) for one in found["items"]]

    def execute(self, action: Action, params: dict[str, Any], entity_id: str, connected_account: str | None) -> Any:
        if params.get("hang"):
            threading.Event().wait()
        known = action.load()
        if connected_account is None and not known["no_auth"]:
            raise ValueError("`connected_account` cannot be `None`")
        body = {"connectedAccountId": connected_account, "entityId": entity_id, "appName": known["app"]}
        body |= {"input": params, "version": action.version, "text": None, "authConfig": None, "allowTracing": False}
        return self.client.asked(self.client.http.post(f"/v2/actions/{action.slug}/execute", json=body))


class Accounts:
    def __init__(self, client: Composio) -> None:
        self.client = client

    def get(self, connection_id: str | None = None, *, entity_ids: list[str] | None = None) -> Any:
        if connection_id is not None:
            return Model("account", self.client.asked(self.client.http.get(f"/v1/connectedAccounts/{connection_id}")))
        query = {"pageSize": "99999999", "user_uuid": ",".join(entity_ids or [])}
        found = self.client.asked(self.client.http.get("/v1/connectedAccounts", params=query))
        return [Model("account", one) for one in found["items"]]


class Entity:
    def __init__(self, client: Composio, number: str) -> None:
        self.client, self.number = client, number

    def initiate_connection(
        self,
        app_name: str,
        auth_mode: str,
        auth_config: dict[str, str] | None,
        use_composio_auth: bool,
        connected_account_params: dict[str, str],
    ) -> Model:
        app = self.client.apps.get(name=app_name.upper()).model_dump("json")
        asked = {"appId": app["appId"], "useComposioAuth": use_composio_auth, "authScheme": auth_mode, "name": "x_1"}
        if auth_config is not None:
            asked["authConfig"] = auth_config
        integration = self.client.asked(self.client.http.post("/v1/integrations", json=asked))
        body = {"integrationId": integration["id"], "userUuid": self.number, "data": connected_account_params}
        body |= {"labels": [], "redirectUri": None}
        return Model("request", self.client.asked(self.client.http.post("/v1/connectedAccounts", json=body)))


def _be_loud() -> None:
    """What would break a protocol over stdio, or tell others of us; none of it may come through."""
    print("a word on standard output")
    print("a word on standard error", file=sys.stderr)
    os.write(1, b'{"errand": 1, "value": "a forged frame"}\n')
    logging.getLogger("composio").error("a word in the log")
    if sys.stdin.read() or os.read(0, 10):
        raise AssertionError("standard input is not protected")
    for reach in (
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: requests.post("https://telemetry.invalid/v1", json={}, timeout=5),
    ):
        try:
            reach()
        except (ConnectionRefusedError, requests.ConnectionError) as error:
            if "Rondo lets nothing" not in str(error):
                raise AssertionError("something went out") from error
        else:
            raise AssertionError("something went out")
