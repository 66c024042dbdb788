"""What a service is that is called directly: how it is reached, who calls, and its actions as functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.errors import ToolProblem
from core.tools.http import Answer
from core.tools.provider import Effects


class Session(Protocol):
    """Calls of one service for one action, with the account's access."""

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask for something; parameters that are None or "" are left out."""
        ...

    async def post(
        self, path: str, body: Any = None, *, reads: bool = False, method: str = "POST", form: bool = False
    ) -> Any:
        """Send something; `reads` where that changes nothing."""
        ...


Perform = Callable[[Session, Mapping[str, Any]], Awaitable[Any]]
Problem = Callable[[Answer, Effects], ToolProblem | None]
"""What an answer means that is an error of the service's own kind; None for one that is none, or is an ordinary one."""


@dataclass(frozen=True, slots=True)
class DirectAction:
    """One action: `properties` are JSON Schemas of its arguments, `perform` carries it out."""

    name: str
    description: str
    effects: Effects
    perform: Perform
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class OAuth:
    """How an access is renewed with a refresh token."""

    token_url: str
    basic: bool = False
    """Client id and secret go into the header instead of the form."""
    json: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service. The first of `token_names` is where a token is kept; the others are looked for, too."""

    name: str
    title: str
    description: str
    base_url: str
    token_names: tuple[str, ...]
    token_help: str
    actions: tuple[DirectAction, ...]
    who: Callable[[Session], Awaitable[str]]
    """Whose account it is, in words; also what tells that a token works."""
    headers: Mapping[str, str] = field(default_factory=dict)
    oauth: OAuth | None = None
    problem: Problem = lambda answer, effects: None

    def secret(self, what: str) -> str:
        """The name of a secret of this service: CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN."""
        return f"{self.name.upper()}_{what}"


def text(description: str, **more: Any) -> dict[str, Any]:
    """The JSON Schema of a text."""
    return {"type": "string", "description": description, **more}


def number(description: str, default: int, most: int) -> dict[str, Any]:
    """The JSON Schema of a count."""
    return {"type": "integer", "description": description, "default": default, "minimum": 1, "maximum": most}


def texts(description: str) -> dict[str, Any]:
    """The JSON Schema of a list of texts."""
    return {"type": "array", "items": {"type": "string"}, "description": description}
