"""The provider `mcp`: each server of the configuration is an app, and its tools are the app's actions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import ConnectFailed, NotConnected, ToolNotTrusted, ToolRefused, ToolUnknown
from core.tools.arguments import check_arguments
from core.tools.mcp.config import ServerConfig
from core.tools.mcp.server import START_SECONDS, Server, check_size
from core.tools.mcp.trust import Trust, changes
from core.tools.provider import (
    Action,
    App,
    ConnectField,
    Connection,
    ConnectRequest,
    ConnectScheme,
    Page,
    SecretValues,
    State,
    ToolResult,
)

NAME = "mcp"
YES = "yes"


class McpServers:
    """MCP servers. `servers` gives the configuration as it is now; nothing is started that nobody trusts and uses."""

    name = NAME

    def __init__(
        self,
        servers: Callable[[], Mapping[str, ServerConfig]],
        secrets: SecretValues,
        trust: Trust | None = None,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._configs = servers
        self._secrets = secrets
        self._trust = trust if trust is not None else Trust()
        self._start_seconds = start_seconds
        self._servers: dict[str, Server] = {}
        self._actions: dict[str, tuple[Action, ...]] = {}
        """By configuration: what a server that runs has said of its tools."""
        self._changed: dict[str, list[str]] = {}

    async def close(self) -> None:
        servers = list(self._servers.values())
        self._servers.clear()
        await asyncio.gather(*(server.close() for server in servers))

    async def require(self) -> None:
        """Always there."""

    async def check(self) -> str:
        configs = await asyncio.to_thread(self._configs)
        return f"servers: {', '.join(configs)}" if configs else "no server is configured"

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        configs = await asyncio.to_thread(self._configs)
        words = query.lower()
        return Page(tuple(_app(one) for one in configs.values() if words in f"{one.name} {one.words}".lower()))

    async def get_app(self, app: str) -> App:
        return _app(await self._config(app))

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        config = await self._config(app)
        await self._check_trust(config)
        return await self._offered(config)

    async def get_action(self, app: str, action: str, version: str = "") -> Action:
        actions = await self.list_actions(app)
        for one in actions:
            if action in (one.name, one.id):
                return one
        raise ToolUnknown(
            f"The MCP server {app} has no tool {action!r}.",
            cause="It has: " + (", ".join(one.name for one in actions) or "none") + ".",
            next_step=f"See: rondo tool-details {app}",
        )

    # Trust --------------------------------------------------------------------------------------------------------

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        configs = await asyncio.to_thread(self._configs)
        found = []
        for config in configs.values():
            trusted = await asyncio.to_thread(self._trust.of, config.hash)
            if trusted is not None and app.lower() in ("", config.name):
                changed = self._changed.get(config.hash, [])
                state: State = "EXPIRED" if changed else "ACTIVE"
                found.append(
                    Connection(
                        config.name,
                        config.name,
                        NAME,
                        state,
                        account=config.words,
                        scheme="TRUST",
                        created_at=trusted.at,
                        reason="; ".join(changed[:5]),
                    )
                )
        return tuple(found)

    async def get_connection(self, connection_id: str) -> Connection:
        config = await self._config(connection_id)
        found = await self.list_connections(config.name)
        if not found:
            raise _not_trusted(config, "Nobody has said that it may be used.")
        return found[0]

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        """Trust a server as it is configured and with the tools that it offers now; the field `trust` must say yes."""
        config = await self._config(app)
        given = (values or {}).get("trust", "").strip().lower()
        if not given:
            return ConnectRequest(config.name, config.name, scheme="TRUST", fields=_fields(config))
        if given != YES:
            raise ConnectFailed(
                f"The MCP server {config.name} is not trusted.",
                cause=f"The answer was not {YES}.",
                next_step="Nothing was started.",
            )
        self._actions.pop(config.hash, None)
        actions = await self._offered(config, trusting=True)
        await asyncio.to_thread(self._trust.trust, config.hash, config.name, actions)
        self._changed.pop(config.hash, None)
        return ConnectRequest(config.name, config.name, "ACTIVE", scheme="TRUST")

    async def disconnect(self, connection_id: str) -> None:
        config = await self._config(connection_id)
        await asyncio.to_thread(self._trust.forget, config.hash)
        self._actions.pop(config.hash, None)
        server = self._servers.pop(config.hash, None)
        if server is not None:
            await server.close()

    async def _check_trust(self, config: ServerConfig) -> None:
        if await asyncio.to_thread(self._trust.of, config.hash) is None:
            raise _not_trusted(config, "Nobody has said that it may be used, or its configuration was changed since.")

    async def _offered(self, config: ServerConfig, trusting: bool = False) -> tuple[Action, ...]:
        """The tools that the server offers; raises ToolNotTrusted where these are not what was trusted."""
        server = self._server(config)
        if not server.running:
            self._actions.pop(config.hash, None)
        actions = self._actions.get(config.hash)
        if actions is None:
            actions = tuple(_action(config.name, one) for one in await server.tools())
            self._actions[config.hash] = actions
        if not trusting:
            trusted = await asyncio.to_thread(self._trust.of, config.hash)
            changed = changes(trusted, actions) if trusted is not None else ["it was forgotten"]
            if changed:
                self._changed[config.hash] = changed
                raise _not_trusted(config, "It offers something else than it did then: " + "; ".join(changed[:5]))
        return actions

    # Actions ------------------------------------------------------------------------------------------------------

    async def execute(
        self,
        action: Action,
        arguments: Mapping[str, Any],
        *,
        connection_id: str = "",
        key: str = "",
        seconds: float = 60.0,
    ) -> ToolResult:
        config = await self._config(action.app)
        # The server may be another one than when the action was looked up: what it offers is looked at again.
        known = await self.get_action(config.name, action.id)
        check_arguments(f"{config.name}.{known.name}", known.inputs, arguments)
        started = time.monotonic()
        reply = await self._server(config).call(known.id, arguments, known.effects, seconds, key)
        data = await asyncio.to_thread(_data, config.name, reply)
        if reply.is_error:
            raise ToolRefused(
                f"{config.name}.{known.name} failed: {str(data)[:500]}",
                cause="The MCP server says so.",
                next_step="Look at the arguments.",
            )
        return ToolResult(data, seconds=time.monotonic() - started)

    async def _config(self, app: str) -> ServerConfig:
        configs = await asyncio.to_thread(self._configs)
        config = configs.get(app.lower())
        if config is None:
            raise ToolUnknown(
                f"There is no MCP server {app!r}.",
                cause="Configured are: " + (", ".join(configs) or "none") + ".",
                next_step='Add it to mcp.json, below "mcpServers".',
            )
        return config

    def _server(self, config: ServerConfig) -> Server:
        server = self._servers.get(config.hash)
        if server is None:
            server = self._servers[config.hash] = Server(config, self._secrets, self._start_seconds)
        return server


def _app(config: ServerConfig) -> App:
    scheme = ConnectScheme("TRUST", "Trust", fields=_fields(config))
    return App(config.name, config.name, NAME, f"MCP server: {config.words}", schemes=(scheme,))


def _fields(config: ServerConfig) -> tuple[ConnectField, ...]:
    what = "sends to" if config.url else "starts, with your rights,"
    names = ", ".join((*config.env, *config.headers))
    given = f" It is given: {names}." if names else ""
    words = f"Rondo {what} {config.words}.{given} Say {YES} if you trust it, and the tools that it offers."
    return (ConnectField("trust", "Trust it?", words, secret=False),)


def _not_trusted(config: ServerConfig, cause: str) -> NotConnected:
    return ToolNotTrusted(
        f"The MCP server {config.name} is not trusted.",
        cause=cause,
        next_step=f"See what it is, and trust it: rondo authenticate-tool {config.name}",
        details={"app": config.name},
    )


def _action(app: str, tool: Any) -> Action:
    hints = tool.annotations
    return Action(
        app=app,
        name=str(tool.name),
        id=str(tool.name),
        title=str(tool.title or (hints.title if hints is not None else "") or tool.name),
        description=str(tool.description or ""),
        inputs=dict(tool.input_schema or {}),
        outputs=dict(tool.output_schema or {}),
        effects="read" if hints is not None and hints.read_only_hint is True else "write",
    )


def _data(name: str, reply: Any) -> Any:
    """The structured result where there is one, else the text, else the parts as they are. May take a while."""
    if reply.structured_content is not None:
        check_size(name, json.dumps(reply.structured_content))
        return reply.structured_content
    parts = [part.model_dump(mode="json", by_alias=True, exclude_none=True) for part in reply.content]
    check_size(name, json.dumps(parts))
    if parts and all(part.get("type") == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts
