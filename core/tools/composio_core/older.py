"""Documents of Composio's API v3.1 as the versions 1 and 2 had them, which the package reads with strict models.

Where the older form has no place for something, it goes where the package hands it on unread: `meta` of an app, `tags`
of an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.tools.provider import ConnectRequest

SCHEMES = frozenset(
    {"OAUTH2", "OAUTH1", "API_KEY", "BASIC", "BEARER_TOKEN", "BASIC_WITH_JWT", "GOOGLE_SERVICE_ACCOUNT"}
    | {"GOOGLEADS_AUTH", "NO_AUTH", "CALCOM_AUTH"}
)
"""The ways to connect that the package knows; it takes no app that names another."""
DEPRECATED = "deprecated"
"""A tag of an action."""
DEEPEST = 12


def app_document(item: Mapping[str, Any]) -> dict[str, Any]:
    """A toolkit as an app. Its id is its name, so that an integration for it can be made again of it."""
    meta = _object(item.get("meta"))
    name = _text(item.get("slug")).lower()
    categories = [_text(_object(one).get("name") or one) for one in _list(meta.get("categories"))]
    managed = [_text(one).upper() for one in _list(item.get("composio_managed_auth_schemes"))]
    return {
        "appId": name,
        "key": name,
        "name": _text(item.get("name")) or name,
        "description": _text(meta.get("description")),
        "categories": [one for one in categories if one],
        "meta": {**meta, "is_deprecated": item.get("is_deprecated") is True},
        "logo": _text(meta.get("logo")),
        "enabled": item.get("enabled") is not False,
        "no_auth": item.get("no_auth") is True,
        "auth_schemes": _schemes(item, managed),
        "testConnectors": [{"id": one, "name": one, "authScheme": one} for one in managed],
    }


def _schemes(item: Mapping[str, Any], managed: list[str]) -> list[dict[str, Any]]:
    found = {}
    for details in map(_object, _list(item.get("auth_config_details"))):
        mode = _text(details.get("mode")).upper()
        fields = _object(details.get("fields"))
        # What a customer gives comes last, as the package has it.
        found[mode] = _fields(fields.get("auth_config_creation"), from_customer=False)
        found[mode] += _fields(fields.get("connected_account_initiation"), from_customer=True)
    for mode in [_text(one).upper() for one in _list(item.get("auth_schemes"))] + managed:
        found.setdefault(mode, [])
    return [
        {"scheme_name": mode, "auth_mode": mode, "fields": fields} for mode, fields in found.items() if mode in SCHEMES
    ]


def _fields(value: Any, *, from_customer: bool) -> list[dict[str, Any]]:
    groups = _object(value)
    return [
        {
            "name": _text(one.get("name")),
            "display_name": _text(one.get("displayName") or one.get("display_name")) or _text(one.get("name")),
            "description": _text(one.get("description")),
            "type": _text(one.get("type")) or "string",
            "default": _text(one.get("default")) or None,
            "required": required,
            "expected_from_customer": from_customer,
        }
        for group, required in (("required", True), ("optional", False))
        for one in map(_object, _list(groups.get(group)))
        if one.get("name")
    ]


def action_document(item: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as an action."""
    slug = _text(item.get("slug"))
    app = _text(_object(item.get("toolkit")).get("slug")).lower() or slug.partition("_")[0].lower()
    version = _text(item.get("version"))
    tags = [_text(tag) for tag in _list(item.get("tags"))]
    return {
        "name": slug,
        "display_name": _text(item.get("name")),
        "description": _text(item.get("description")),
        "parameters": _schema(item.get("input_parameters"), slug),
        "response": _schema(item.get("output_parameters"), slug),
        "appName": app,
        "appId": app,
        "version": version,
        "available_versions": [_text(one) for one in _list(item.get("available_versions"))] or [version],
        "tags": [*tags, DEPRECATED] if item.get("is_deprecated") is True else tags,
        "enabled": True,
    }


def _schema(value: Any, title: str) -> dict[str, Any]:
    """A JSON Schema with what the package insists on, and without definitions: it has no place for these."""
    schema = _object(value)
    definitions = {**_object(schema.get("definitions")), **_object(schema.get("$defs"))}
    properties = _object(_in_place(_object(schema.get("properties")), definitions, 0))
    found: dict[str, Any] = {"title": _text(schema.get("title")) or title, "type": "object", "properties": properties}
    if _list(schema.get("required")):
        found["required"] = [_text(one) for one in _list(schema.get("required"))]
    return found


def _in_place(value: Any, definitions: Mapping[str, Any], depth: int) -> Any:
    """A part of a schema with what it refers to in its place; one that refers to itself is cut off."""
    if isinstance(value, list):
        return [_in_place(one, definitions, depth) for one in value]
    if not isinstance(value, dict):
        return value
    target = value.get("$ref")
    if isinstance(target, str):
        name = target.rpartition("/")[2]
        if depth >= DEEPEST or name not in definitions:
            return {}
        rest = {key: one for key, one in value.items() if key != "$ref"}
        return {**_object(_in_place(definitions[name], definitions, depth + 1)), **rest}
    return {key: _in_place(one, definitions, depth) for key, one in value.items()}


def account_document(item: Mapping[str, Any]) -> dict[str, Any]:
    """A connected account; what it is connected with is left out."""
    app = _text(_object(item.get("toolkit")).get("slug")).lower()
    config = _object(item.get("auth_config"))
    status = _text(item.get("status")).upper()
    if status == "ACTIVE" and (item.get("is_disabled") or config.get("is_disabled")):
        status = "INACTIVE"
    return {
        "id": _text(item.get("id")),
        "status": status,
        "createdAt": _text(item.get("created_at")),
        "updatedAt": _text(item.get("updated_at")),
        "appUniqueId": app,
        "appName": app,
        "integrationId": _text(config.get("id")),
        "connectionParams": {},
        "clientUniqueUserId": _text(item.get("user_id")),
        "entityId": _text(item.get("user_id")),
    }


def integration_document(config: str, app: str, scheme: str) -> dict[str, Any]:
    """An authentication configuration as an integration."""
    return {
        "id": config,
        "name": f"{app} {scheme}",
        "authScheme": scheme,
        "createdAt": "",
        "updatedAt": "",
        "enabled": True,
        "deleted": False,
        "appId": app,
        "appName": app,
    }


def request_document(request: ConnectRequest) -> dict[str, Any]:
    """What it takes to connect an account."""
    return {
        "connectionStatus": request.state,
        "connectedAccountId": request.connection_id,
        "redirectUrl": request.link or None,
    }


def execution_document(reply: Mapping[str, Any]) -> dict[str, Any]:
    """What an action gave."""
    told = reply.get("error")
    successful = reply.get("successful") is True or (reply.get("successful") is None and not told)
    data = reply.get("data")
    return {**reply, "successful": successful, "successfull": successful, "data": data, "error": told}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)
