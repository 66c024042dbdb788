"""What a provider of tools is, in plain words and values: apps, their actions, and the accounts they are used with.

A provider is one way to reach services: Composio, MCP servers, the services' own addresses. Nothing here knows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

Effects = Literal["read", "write"]
"""Whether an action only reads, or may change something: what may write is never repeated by itself."""

State = Literal["INITIALIZING", "INITIATED", "ACTIVE", "FAILED", "EXPIRED", "INACTIVE", "REVOKED"]
"""How far a connection is."""

ENDED: frozenset[str] = frozenset({"FAILED", "EXPIRED", "INACTIVE", "REVOKED"})
"""States from which a connection becomes active only when a person connects again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `cursor` gets the next part and is "" at the end."""

    items: tuple[T, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class ConnectField:
    """Something a person has to give to connect an account."""

    name: str
    title: str = ""
    description: str = ""
    required: bool = True
    secret: bool = True
    default: str = ""


@dataclass(frozen=True, slots=True)
class ConnectScheme:
    """One way to connect an account, such as OAUTH2, API_KEY or BASIC."""

    name: str
    title: str = ""
    managed: bool = False
    """Over a link, with an OAuth application that the provider keeps: nothing has to be filled in."""
    fields: tuple[ConnectField, ...] = ()
    """What is needed to connect an account."""
    setup_fields: tuple[ConnectField, ...] = ()
    """What is needed once before, such as the id and secret of an OAuth application of one's own."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that an app can do. `id` is the provider's name for it, `name` the one that nodes use."""

    app: str
    name: str
    id: str
    title: str = ""
    description: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the arguments."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    effects: Effects = "write"
    version: str = ""
    """The version that the provider calls it by; "" where it has none."""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class App:
    """A service with actions."""

    name: str
    title: str
    provider: str
    description: str = ""
    categories: tuple[str, ...] = ()
    actions: int | None = None
    """How many it has, where that is known without asking."""
    needs_connection: bool = True
    version: str = ""
    deprecated: bool = False
    schemes: tuple[ConnectScheme, ...] = ()
    """How an account is connected; known of an app that was asked for by name."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An account of an app. Times are in seconds since 1970."""

    id: str
    app: str
    provider: str
    state: State
    account: str = ""
    """Whose it is, where the service says so."""
    scheme: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    reason: str = ""
    """Why it is not active, where the service says so."""

    @property
    def usable(self) -> bool:
        """True where actions can be called with it."""
        return self.state == "ACTIVE"


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What it takes to connect an account: a link to open, fields to fill in, or nothing more."""

    app: str
    connection_id: str = ""
    state: State = "INITIATED"
    link: str = ""
    expires_at: float | None = None
    """When the link ends, in seconds since 1970."""
    scheme: str = ""
    fields: tuple[ConnectField, ...] = ()

    @property
    def done(self) -> bool:
        """True where nothing more is to be done."""
        return self.state == "ACTIVE"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What an action gave."""

    data: Any
    log_id: str = ""
    """The provider's name for the call in its own log."""
    cost: float | None = None
    """US dollars, where the provider says so."""
    seconds: float = 0.0


class SecretValues(Protocol):
    """Where providers find keys and keep what accounts need. Every method may block: call it in a thread."""

    def value(self, name: str) -> str | None:
        """The value, None where there is none; raises ToolKeyUnreadable where that can't be told."""
        ...

    def set(self, name: str, value: str) -> object:
        """Keep a value."""
        ...

    def remove(self, name: str) -> object:
        """Forget a value; raises RondoError where it is not kept."""
        ...


class ToolProvider(Protocol):
    """A way to reach services. Every method raises the ToolProblem family; cancelling one ends it at once.

    A provider never repeats a call of an action that may have acted, and never waits for a rate limit: it raises
    ToolRateLimited, and who calls decides.
    """

    @property
    def name(self) -> str:
        """Its short name: `composio`, `direct`, `mcp`, `custom`."""
        ...

    async def require(self) -> None:
        """Raise ToolProviderMissing where it can't be used at all, such as without a key; nobody is asked."""
        ...

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        """Its apps, those that fit the words, in parts."""
        ...

    async def get_app(self, app: str) -> App:
        """One app, with how an account of it is connected; raises ToolUnknown."""
        ...

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        """All actions of an app; raises ToolUnknown."""
        ...

    async def get_action(self, app: str, action: str, version: str = "") -> Action:
        """One action by the name that nodes use, or by the provider's; raises ToolUnknown."""
        ...

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        """The accounts of an app, or of all, the newest first."""
        ...

    async def get_connection(self, connection_id: str) -> Connection:
        """How an account is now; raises NotConnected where it is gone."""
        ...

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        """Begin to connect an account; without the values it needs, the result says which fields these are."""
        ...

    async def disconnect(self, connection_id: str) -> None:
        """Give an account up."""
        ...

    async def execute(
        self,
        action: Action,
        arguments: Mapping[str, Any],
        *,
        connection_id: str = "",
        key: str = "",
        seconds: float = 60.0,
    ) -> ToolResult:
        """Call an action once. `key` is equal for calls that are to act once; `seconds` is the time limit."""
        ...

    async def check(self) -> str:
        """Who the provider takes us for, in words; raises what stands in the way of using it."""
        ...

    async def close(self) -> None:
        """Give up what it holds: connections, processes."""
        ...
