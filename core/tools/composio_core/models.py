"""What the package hands out, as plain values; it says everything in the words of the older versions of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from core.tools.composio.shapes import NOT_SECRET, effects_of, friendly, moment
from core.tools.composio_core.older import DEPRECATED
from core.tools.provider import Action, App, ConnectField, Connection, ConnectScheme, State

NAME = "composio-core"


def app_of(model: Mapping[str, Any]) -> App:
    """An app of `apps.get`."""
    meta = model.get("meta") or {}
    count = meta.get("tools_count")
    return App(
        name=str(model["key"]).lower(),
        title=str(model["name"]),
        provider=NAME,
        description=str(model.get("description") or ""),
        categories=tuple(map(str, model.get("categories") or ())),
        actions=int(count) if isinstance(count, int | float) else None,
        needs_connection=not model.get("no_auth"),
        version=str(meta.get("version") or ""),
        deprecated=meta.get("is_deprecated") is True,
        schemes=_schemes(model),
    )


def _schemes(model: Mapping[str, Any]) -> tuple[ConnectScheme, ...]:
    managed = {str(one.get("authScheme")) for one in model.get("testConnectors") or ()}
    found = []
    for one in model.get("auth_schemes") or ():
        mode, fields = str(one["auth_mode"]), one.get("fields") or ()
        found.append(
            ConnectScheme(
                mode,
                str(one["scheme_name"]),
                mode in managed,
                tuple(_field(field) for field in fields if field.get("expected_from_customer")),
                tuple(_field(field) for field in fields if not field.get("expected_from_customer")),
            )
        )
    return tuple(sorted(found, key=lambda scheme: not scheme.managed))


def _field(field: Mapping[str, Any]) -> ConnectField:
    name = str(field["name"])
    return ConnectField(
        name,
        title=str(field.get("display_name") or name),
        description=str(field.get("description") or ""),
        required=bool(field.get("required")),
        secret=not any(name.lower() == word or name.lower().endswith(f"_{word}") for word in NOT_SECRET),
        default=str(field.get("default") or ""),
    )


def action_of(model: Mapping[str, Any]) -> Action:
    """An action of `actions.get`."""
    app = str(model["appName"]).lower()
    name = friendly(str(model["name"]), app)
    return Action(
        app=app,
        name=name,
        id=str(model["name"]),
        title=str(model.get("display_name") or ""),
        description=str(model.get("description") or ""),
        inputs=_schema(model.get("parameters")),
        outputs=_schema(model.get("response")),
        effects=effects_of(model.get("tags"), name),
        version=str(model.get("version") or ""),
        deprecated=DEPRECATED in (model.get("tags") or ()),
    )


def _schema(value: Any) -> dict[str, Any]:
    known = value if isinstance(value, dict) else {}
    return {key: one for key, one in known.items() if one is not None}


def connection_of(model: Mapping[str, Any], known: Connection | None = None) -> Connection:
    """An account of `connected_accounts.get`; `known` is the same by API v3.1, which says more of it."""
    status = str(model["status"])
    state = cast(State, status if status in get_args(State) else "INACTIVE")
    found = Connection(str(model["id"]), str(model["appUniqueId"]).lower(), NAME, state)
    found = replace(found, created_at=moment(model.get("createdAt")))
    if known is None:
        return found
    return replace(found, account=known.account, scheme=known.scheme, expires_at=known.expires_at, reason=known.reason)
