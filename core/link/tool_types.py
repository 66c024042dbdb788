"""What crosses the link about tools and accounts. Times are in seconds since 1970, ages in seconds."""

from __future__ import annotations

from typing import Any

import msgspec


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class FieldView(_Struct):
    """Something a person fills in to connect an account."""

    name: str
    title: str
    description: str = ""
    required: bool = True
    secret: bool = True
    default: str = ""


class SchemeView(_Struct):
    """One way to connect an account; `managed` needs nothing but opening a link."""

    name: str
    title: str
    managed: bool = False
    fields: list[FieldView] = msgspec.field(default_factory=list)


class ConnectionView(_Struct):
    """An account. `state` is ACTIVE, INITIATED, FAILED, EXPIRED, INACTIVE, REVOKED or INITIALIZING."""

    id: str
    app: str
    provider: str
    state: str
    account: str = ""
    scheme: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    reason: str = ""


class ActionRow(_Struct):
    """An action of an app; `effects` is read or write."""

    name: str
    id: str
    title: str
    description: str
    effects: str
    version: str = ""
    deprecated: bool = False


class ActionView(_Struct):
    """An action with the JSON Schemas of its arguments and of its result."""

    row: ActionRow
    app: str
    provider: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class ToolRow(_Struct):
    """An app in a list; `workflows` are those whose tools.json names it."""

    name: str
    title: str
    provider: str
    description: str = ""
    categories: list[str] = msgspec.field(default_factory=list)
    actions: int | None = None
    needs_connection: bool = True
    deprecated: bool = False
    connection: ConnectionView | None = None
    """The account that is used: the newest active one, else the newest."""
    workflows: list[str] = msgspec.field(default_factory=list)


class ToolList(_Struct):
    """Apps; `notes` say what could not be had, `age` how old the oldest part is, `left_out` how many more fit."""

    tools: list[ToolRow]
    age: float = 0.0
    notes: list[str] = msgspec.field(default_factory=list)
    left_out: int = 0


class ToolDetail(_Struct):
    """One app with its actions (without schemas) and accounts; `left_out` is how many more actions it has."""

    row: ToolRow
    schemes: list[SchemeView]
    actions: list[ActionRow]
    connections: list[ConnectionView]
    age: float = 0.0
    notes: list[str] = msgspec.field(default_factory=list)
    left_out: int = 0


class ConnectView(_Struct):
    """What it takes to connect: a link to open until `expires_at`, fields to fill in, or nothing (state ACTIVE)."""

    app: str
    provider: str
    connection_id: str
    state: str
    link: str = ""
    expires_at: float | None = None
    scheme: str = ""
    fields: list[FieldView] = msgspec.field(default_factory=list)


class ToolReply(_Struct):
    """What an action gave; `log_id` is the provider's name for the call."""

    value: Any
    log_id: str = ""
    cost: float | None = None
    seconds: float = 0.0
    provider: str = ""
    effects: str = ""


class ToolChange(_Struct):
    """What is to be different of one tool in a workflow's tools.json; one that is not there is added.

    A field that is None stays as it is, one that is empty is found at every call again. `pin` fills in provider,
    version and account as they are now.
    """

    name: str
    remove: bool = False
    pin: bool = False
    provider: str | None = None
    app: str | None = None
    version: str | None = None
    account: str | None = None


class Lack(_Struct):
    """Something that a workflow needs and that is not there.

    `kind` is tool, action, account, provider, secret or model; `then` is what becomes of a run: it `waits` for a person
    when it comes to it, `fails` there, or is `refused` before it begins.
    """

    kind: str
    workflow: str
    """The workflow that needs it: the one asked for, or one that it runs as a node."""
    name: str
    message: str
    next_step: str = ""
    place: str = ""
    """Where in the code, as file:line."""
    then: str = "waits"


class WorkflowTool(_Struct):
    """A tool that a workflow's tools.json names; `problem` is what keeps it from being called now."""

    name: str
    app: str
    provider: str
    version: str = ""
    account: str = ""
    connection: ConnectionView | None = None
    problem: str = ""
    next_step: str = ""
