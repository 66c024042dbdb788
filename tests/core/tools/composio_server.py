"""A server that speaks Composio's API v3.1, in the shapes that were measured."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from loopback import Answer, Asked

KEY = "ck-right-1234567890"
NOW = "2026-11-21T12:00:00.000Z"


def error(status: int, message: str, slug: str = "", headers: dict[str, str] | None = None) -> Answer:
    told = {"message": message, "code": status, "slug": slug, "status": status, "request_id": "req-1"}
    return Answer(status, {"error": told}, headers or {})


def field(name: str, title: str) -> dict[str, Any]:
    return {"name": name, "displayName": title, "type": "string", "description": f"The {title}.", "required": True}


def tool(app: str, name: str, tags: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "slug": f"{app.upper()}_{name.upper()}",
        "name": name.replace("_", " ").capitalize(),
        "description": f"{name} of {app}.",
        "input_parameters": {"type": "object", "properties": {"subject": {"type": "string"}}, "required": ["subject"]},
        "output_parameters": {"type": "object", "properties": {}},
        "scopes": [],
        "tags": list(tags),
        "toolkit": {"slug": app, "name": app.capitalize(), "logo": ""},
        "version": "20261101_00",
        "available_versions": ["20261101_00"],
        "no_auth": False,
        "is_deprecated": False,
        "deprecated": {"displayName": name, "toolkit": {"logo": ""}},
        **more,
    }


class FakeComposio:
    """State of an account at Composio; `next_answers` take the place of what would be answered to an execute."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.accounts: dict[str, dict[str, Any]] = {}
        self.configs: list[dict[str, Any]] = []
        self.next_answers: list[Answer] = []
        self.refuse_managed = False
        self.link_ends = "2026-11-21T12:10:00.000Z"
        self.executed: list[dict[str, Any]] = []
        self.on_execute: Callable[[], object] = lambda: None
        self._numbers = itertools.count(1)
        self.tools = [
            tool("gmail", "send_email"),
            tool("gmail", "fetch_emails"),
            tool("gmail", "tidy_up", ("readOnlyHint",)),
            tool("weather", "get_weather"),
        ]

    def __call__(self, asked: Asked) -> Answer:
        if not asked.path.startswith("/api/v3.1/"):
            return error(410, "This API version has been removed")
        if asked.headers.get("x-api-key") != KEY:
            return error(401, "Invalid API key", "Auth_InvalidKey")
        part = asked.path.removeprefix("/api/v3.1").split("/")[1:]
        return getattr(self, f"{asked.method.lower()}_{part[0]}")(asked, *part[1:])

    def listed(self, asked: Asked, found: list[dict[str, Any]]) -> Answer:
        start = int(asked.one("cursor") or 0)
        size = min(self.page, int(asked.one("limit") or 20))
        pages = -(-len(found) // size)
        page = {"items": found[start : start + size], "current_page": start // size + 1}
        page |= {"total_items": len(found), "total_pages": pages}
        if start + size < len(found):
            page["next_cursor"] = str(start + size)
        return Answer(200, page)

    def toolkits(self) -> list[dict[str, Any]]:
        def kit(slug: str, managed: list[str], schemes: list[str], **more: Any) -> dict[str, Any]:
            meta = {"description": f"{slug} by Composio", "logo": "", "categories": [{"id": "x", "name": "Mail"}]}
            meta |= {"tools_count": 3.0, "triggers_count": 0, "version": "20261101_00", "created_at": NOW}
            return {
                "slug": slug,
                "name": slug.capitalize(),
                "type": "composio",
                "is_local_toolkit": False,
                "deprecated": {"toolkitId": "t"},
                "meta": meta | {"updated_at": NOW},
                "auth_schemes": schemes,
                "composio_managed_auth_schemes": managed,
                "no_auth": False,
                **more,
            }

        return [
            kit("gmail", ["OAUTH2"], ["OAUTH2"]),
            kit("airtable", [], ["API_KEY"]),
            kit("shopify", ["OAUTH2"], ["OAUTH2", "API_KEY"]),
            kit("weather", [], [], no_auth=True),
        ]

    def get_toolkits(self, asked: Asked, slug: str = "") -> Answer:
        found = self.toolkits()
        if not slug:
            return self.listed(asked, [one for one in found if asked.one("search") in one["slug"]])
        one = next((one for one in found if one["slug"] == slug), None)
        if one is None:
            return error(404, f"Toolkit {slug} not found", "Toolkit_NotFound")
        fields = {
            "OAUTH2": {
                "auth_config_creation": {
                    "required": [field("client_id", "Client id"), field("client_secret", "Client secret")],
                    "optional": [],
                },
                "connected_account_initiation": {"required": [], "optional": []},
            },
            "API_KEY": {
                "auth_config_creation": {"required": [], "optional": []},
                "connected_account_initiation": {"required": [field("generic_api_key", "API key")], "optional": []},
            },
        }
        details = [
            {"mode": mode, "name": f"{slug}_{mode.lower()}", "required_scopes": [], "fields": fields[mode]}
            for mode in one["auth_schemes"]
        ]
        return Answer(200, one | {"enabled": True, "composio_managed_auth": [], "auth_config_details": details})

    def get_tools(self, asked: Asked, slug: str = "") -> Answer:
        if slug:
            one = next((one for one in self.tools if one["slug"] == slug), None)
            return Answer(200, one) if one else error(404, f"Tool {slug} not found", "Tool_ToolNotFound")
        return self.listed(asked, [one for one in self.tools if one["toolkit"]["slug"] == asked.one("toolkit_slug")])

    def get_auth_configs(self, asked: Asked) -> Answer:
        return self.listed(asked, [one for one in self.configs if one["toolkit"]["slug"] == asked.one("toolkit_slug")])

    def post_auth_configs(self, asked: Asked) -> Answer:
        kind = asked.json["auth_config"]
        managed = kind["type"] == "use_composio_managed_auth"
        if managed and self.refuse_managed:
            return error(400, "Composio managed credentials are not available", "AuthConfig_NoManaged")
        config = {
            "id": f"ac_{next(self._numbers)}",
            "auth_scheme": "OAUTH2" if managed else kind["authScheme"],
            "is_composio_managed": managed,
        }
        self.configs.append({**config, "toolkit": asked.json["toolkit"], "status": "ENABLED"})
        return Answer(201, {"toolkit": asked.json["toolkit"], "auth_config": config})

    def post_connected_accounts(self, asked: Asked, link: str = "") -> Answer:
        body = asked.json
        if link:
            account = self._account(body["auth_config_id"], body["user_id"], "INITIATED")
            made = {"link_token": "lk_1", "redirect_url": f"https://connect.example/{account['id']}"}
            return Answer(201, made | {"expires_at": self.link_ends, "connected_account_id": account["id"]})
        val = body["connection"]["state"]["val"]
        if val.get("generic_api_key") == "bad-api-key":
            return error(400, "The key bad-api-key was refused", "ConnectedAccount_BadKey")
        config = body["auth_config"]["id"]
        if next(one for one in self.configs if one["id"] == config)["is_composio_managed"]:
            return error(400, "Composio-managed OAuth is no longer supported here", "ConnectedAccount_Legacy")
        account = self._account(config, body["connection"]["user_id"], "ACTIVE")
        data = {"authScheme": body["connection"]["state"]["authScheme"], "val": {"status": "ACTIVE"}}
        return Answer(201, {"id": account["id"], "status": "ACTIVE", "connectionData": data})

    def _account(self, config_id: str, user: str, status: str) -> dict[str, Any]:
        config = next(one for one in self.configs if one["id"] == config_id)
        account = {
            "id": f"ca_{next(self._numbers)}",
            "user_id": user,
            "status": status,
            "status_reason": None,
            "toolkit": {"slug": config["toolkit"]["slug"]},
            "auth_config": {key: config[key] for key in ("id", "auth_scheme", "is_composio_managed")}
            | {"is_disabled": False},
            "created_at": NOW,
            "updated_at": NOW,
            "is_disabled": False,
            "data": {},
            "params": {},
            "state": {"authScheme": config["auth_scheme"], "val": {"status": status}},
        }
        self.accounts[account["id"]] = account
        return account

    def get_connected_accounts(self, asked: Asked, number: str = "") -> Answer:
        if number:
            one = self.accounts.get(number)
            return Answer(200, one) if one else error(404, "Account not found", "ConnectedAccount_ResourceNotFound")
        users = asked.query.get("user_ids", [])
        return self.listed(asked, [one for one in self.accounts.values() if one["user_id"] in users])

    def delete_connected_accounts(self, asked: Asked, number: str) -> Answer:
        return Answer(200, {"success": self.accounts.pop(number, None) is not None})

    def post_tools(self, asked: Asked, _execute: str, slug: str) -> Answer:
        self.executed.append({"slug": slug, "key": asked.headers.get("idempotency-key", ""), **asked.json})
        self.on_execute()
        if self.next_answers:
            return self.next_answers.pop(0)
        return Answer(200, {"data": {"id": "m-1"}, "error": None, "successful": True, "log_id": "log_77"})
