"""Composio's documents as plain values; fields that are missing or odd are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args

from core.tools.provider import Action, App, ConnectField, Connection, ConnectScheme, Effects, State

NAME = "composio"
READING = frozenset(
    {"get", "list", "fetch", "search", "find", "read", "retrieve", "query", "check", "count"}
    | {"lookup", "describe", "view", "download", "export"}
)
"""First words of an action's name that say that it only reads."""
NOT_SECRET = ("client_id", "subdomain", "domain", "region", "url", "host", "username", "email", "scope", "id")
_WHOSE = ("alias", "email", "user_email", "account", "login", "username", "team_name", "workspace_name", "name")


def app_of(item: Mapping[str, Any]) -> App:
    """A toolkit, from a list or by itself."""
    meta = _object(item.get("meta"))
    count = meta.get("tools_count")
    return App(
        name=_text(item.get("slug")).lower(),
        title=_text(item.get("name")) or _text(item.get("slug")),
        provider=NAME,
        description=_text(meta.get("description")),
        categories=tuple(_text(_object(one).get("name") or one) for one in _list(meta.get("categories"))),
        actions=int(count) if isinstance(count, int | float) else None,
        needs_connection=not item.get("no_auth"),
        version=_text(meta.get("version")),
        deprecated=item.get("is_deprecated") is True,
        schemes=_schemes(item),
    )


def action_of(item: Mapping[str, Any]) -> Action:
    """A tool."""
    slug = _text(item.get("slug"))
    app = _text(_object(item.get("toolkit")).get("slug")).lower() or slug.partition("_")[0].lower()
    name = friendly(slug, app)
    return Action(
        app=app,
        name=name,
        id=slug,
        title=_text(item.get("name")),
        description=_text(item.get("description")),
        inputs=_object(item.get("input_parameters")),
        outputs=_object(item.get("output_parameters")),
        effects=effects_of(item.get("tags"), name),
        version=_text(item.get("version")),
        deprecated=item.get("is_deprecated") is True,
    )


def friendly(slug: str, app: str) -> str:
    """The name that nodes use: GMAIL_SEND_EMAIL is send_email of gmail."""
    prefix = f"{app.upper()}_"
    return slug.removeprefix(prefix).lower() if slug.upper().startswith(prefix) else slug.lower()


def connection_of(item: Mapping[str, Any]) -> Connection:
    """A connected account."""
    config, val = _object(item.get("auth_config")), _object(_object(item.get("state")).get("val"))
    status = _text(item.get("status")).upper()
    if status not in get_args(State):
        status = "INACTIVE"
    if item.get("is_disabled") or config.get("is_disabled"):
        status = "INACTIVE" if status == "ACTIVE" else status
    return Connection(
        id=_text(item.get("id")),
        app=_text(_object(item.get("toolkit")).get("slug")).lower(),
        provider=NAME,
        state=cast(State, status),
        account=_account(item),
        scheme=_text(config.get("auth_scheme")) or _text(_object(item.get("state")).get("authScheme")),
        created_at=moment(item.get("created_at")),
        expires_at=moment(val.get("expires_at")),
        reason=_text(item.get("status_reason")),
    )


def moment(value: Any) -> float | None:
    """A time of Composio's (ISO 8601, or a number) in seconds since 1970; None for what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()


def _account(item: Mapping[str, Any]) -> str:
    for place in (item, _object(item.get("data")), _object(item.get("params"))):
        for name in _WHOSE:
            value = place.get(name)
            if isinstance(value, str) and value and (place is not item or name == "alias"):
                return value
    return ""


def effects_of(given: Any, name: str) -> Effects:
    """Whether it only reads: by a hint among its tags, else by the first word of its name; what is not known may
    write."""
    tags = {_text(tag) for tag in _list(given)}
    if "readOnlyHint" in tags:
        return "read"
    if tags & {"destructiveHint", "createHint", "updateHint"}:
        return "write"
    return "read" if name.partition("_")[0] in READING else "write"


def _schemes(item: Mapping[str, Any]) -> tuple[ConnectScheme, ...]:
    managed = {_text(name).upper() for name in _list(item.get("composio_managed_auth_schemes"))}
    found = {}
    for details in map(_object, _list(item.get("auth_config_details"))):
        name = _text(details.get("mode")).upper()
        fields = _object(details.get("fields"))
        found[name] = ConnectScheme(
            name,
            _text(details.get("name")) or name,
            name in managed,
            _fields(fields.get("connected_account_initiation")),
            _fields(fields.get("auth_config_creation")),
        )
    for name in [_text(one).upper() for one in _list(item.get("auth_schemes"))] + sorted(managed):
        if name and name not in found:
            found[name] = ConnectScheme(name, name, name in managed)
    return tuple(sorted(found.values(), key=lambda scheme: not scheme.managed))


def _fields(value: Any) -> tuple[ConnectField, ...]:
    groups = _object(value)
    return tuple(
        ConnectField(
            name=_text(one.get("name")),
            title=_text(one.get("displayName") or one.get("display_name")) or _text(one.get("name")),
            description=_text(one.get("description")),
            required=required,
            secret=_is_secret(one),
            default=_text(one.get("default")),
        )
        for group, required in (("required", True), ("optional", False))
        for one in map(_object, _list(groups.get(group)))
        if one.get("name")
    )


def _is_secret(one: Mapping[str, Any]) -> bool:
    if isinstance(one.get("is_secret"), bool):
        return bool(one["is_secret"])
    name = _text(one.get("name")).lower()
    return not any(name == word or name.endswith(f"_{word}") for word in NOT_SECRET)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)
