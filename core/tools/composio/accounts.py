"""The calls of API v3.1 by which accounts are connected and given up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConnectFailed, NotConnected, ToolRefused, ToolUnknown
from core.redaction import Redactor
from core.tools.composio.shapes import connection_of, moment
from core.tools.composio.wire import Wire, slug
from core.tools.provider import ConnectRequest, State


async def auth_config(wire: Wire, app: str, scheme: str, *, managed: bool, credentials: Mapping[str, str]) -> str:
    """The id of the configuration for a scheme: one that is there already, unless credentials are new."""
    if not credentials:
        async for item in wire.pages("/auth_configs", {"toolkit_slug": app}):
            inner = item.get("auth_config")
            config = inner if isinstance(inner, dict) else item
            same = str(config.get("auth_scheme", "")).upper() == scheme
            off = config.get("is_disabled") or str(config.get("status", "")).upper() == "DISABLED"
            if same and bool(config.get("is_composio_managed")) == managed and not off and config.get("id"):
                return str(config["id"])
    kind: dict[str, Any] = {"type": "use_composio_managed_auth"}
    if credentials or not managed:
        kind = {"type": "use_custom_auth", "authScheme": scheme, "credentials": dict(credentials)}
    made = await wire.send("POST", "/auth_configs", body={"toolkit": {"slug": app}, "auth_config": kind})
    number = made.get("auth_config", {}).get("id") if isinstance(made.get("auth_config"), dict) else None
    if not number:
        raise ConnectFailed(
            f"Composio made no configuration for {app}.", cause="Its answer has no id.", next_step="Try again."
        )
    return str(number)


async def link_of(wire: Wire, user_id: str, app: str, scheme: str, config: str) -> ConnectRequest:
    """A link for a person to open."""
    made = await wire.send("POST", "/connected_accounts/link", body={"auth_config_id": config, "user_id": user_id})
    link, number = str(made.get("redirect_url") or ""), str(made.get("connected_account_id") or "")
    if not number or not link.startswith(("https://", "http://")):
        raise ConnectFailed(
            f"Composio gave no link to connect {app}.", cause="Its answer names none.", next_step="Try again."
        )
    return ConnectRequest(app, number, "INITIATED", link, moment(made.get("expires_at")), scheme)


async def account_of(
    wire: Wire, user_id: str, app: str, scheme: str, config: str, values: Mapping[str, str]
) -> ConnectRequest:
    """An account that is connected by what was filled in; no value of it is in the error."""
    state = {"authScheme": scheme, "val": {"status": "ACTIVE", **values}}
    body = {"auth_config": {"id": config}, "connection": {"user_id": user_id, "state": state}}
    try:
        made = await wire.send("POST", "/connected_accounts", body=body)
    except (ToolRefused, NotConnected) as error:
        raise ConnectFailed(
            f"The account of {app} could not be connected.",
            cause=Redactor(values.values()).text(error.cause),
            next_step="Look at what was filled in, then try again.",
        ) from error
    made_state: State = connection_of(made).state if made.get("status") else "ACTIVE"
    return ConnectRequest(app, str(made.get("id") or ""), made_state, scheme=scheme)


async def give_up(wire: Wire, connection_id: str) -> None:
    """Give an account up; one that is gone already is what was wanted."""
    try:
        await wire.send("DELETE", f"/connected_accounts/{slug(connection_id)}", effects="read")
    except (ToolUnknown, NotConnected):
        return
