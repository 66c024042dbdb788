"""How an account of Composio's is connected: which scheme is taken, what has to be filled in, what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from core.errors import ConnectFailed, ToolRefused
from core.tools.provider import App, ConnectRequest, ConnectScheme


class Connector(Protocol):
    """Who carries it out. `credentials` are those of an application of one's own, {} where there is none."""

    async def link(self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str]) -> ConnectRequest: ...

    async def account(
        self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str], values: Mapping[str, str]
    ) -> ConnectRequest: ...


async def connect_account(app: App, scheme: str, values: Mapping[str, str], by: Connector) -> ConnectRequest:
    """Begin to connect an account; without the values it needs, the result says which fields these are."""
    if not app.needs_connection:
        return ConnectRequest(app.name, state="ACTIVE")
    chosen = _chosen(app, scheme)
    given = dict(values)
    if chosen.managed and not _setup(chosen, given):
        try:
            return await by.link(app, chosen, {})
        except ToolRefused as error:
            return _instead(app, chosen, error)
    needed = (*chosen.setup_fields, *chosen.fields)
    if any(one.required and not (given.get(one.name) or one.default) for one in needed):
        return ConnectRequest(app.name, scheme=chosen.name, fields=needed)
    given |= {one.name: one.default for one in needed if one.default and not given.get(one.name)}
    credentials = _setup(chosen, given)
    if chosen.name.startswith("OAUTH"):
        return await by.link(app, chosen, credentials)
    own = {one.name for one in chosen.setup_fields}
    return await by.account(app, chosen, credentials, {name: given[name] for name in given if name not in own})


def _chosen(app: App, scheme: str) -> ConnectScheme:
    """The scheme that was asked for, else the one that needs least of a person."""
    if not app.schemes:
        raise ConnectFailed(
            f"Composio does not say how {app.name} is connected.",
            cause="Its description names no scheme.",
            next_step="Connect it at app.composio.dev.",
        )
    if not scheme:
        return app.schemes[0]
    for one in app.schemes:
        if one.name == scheme.upper():
            return one
    raise ConnectFailed(
        f"{app.name} can't be connected by {scheme}.",
        cause="It takes: " + ", ".join(one.name for one in app.schemes) + ".",
        next_step="Choose one of these.",
    )


def _setup(scheme: ConnectScheme, values: Mapping[str, str]) -> dict[str, str]:
    return {one.name: values[one.name] for one in scheme.setup_fields if values.get(one.name)}


def _instead(app: App, refused: ConnectScheme, error: ToolRefused) -> ConnectRequest:
    """What to do where Composio's own OAuth application, though named, is no more: a key, or an application of one's
    own."""
    for one in app.schemes:
        if not one.managed and one.fields:
            return ConnectRequest(app.name, scheme=one.name, fields=(*one.setup_fields, *one.fields))
    if refused.setup_fields:
        return ConnectRequest(app.name, scheme=refused.name, fields=(*refused.setup_fields, *refused.fields))
    raise ConnectFailed(
        f"Composio has no application of its own for {app.name} any more.",
        cause=error.cause,
        next_step="Make an authentication configuration at app.composio.dev, then try again.",
    ) from error
