"""The providers as they are set up for a workspace. Nothing of one is imported before it is asked for something."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.places import config_folder
from core.tools.provider import SecretValues, ToolProvider

COMPOSIO_KEY = "COMPOSIO_API_KEY"
COMPOSIO_URL = "COMPOSIO_BASE_URL"
COMPOSIO_USER = "COMPOSIO_USER_ID"

GONE = (
    "The package's own addresses (versions 1 and 2 of Composio's API) were taken away; Rondo leads its calls to "
    "version 3.1."
)
"""What a person is told who meets composio-core."""


class Later:
    """A provider that is made, in whatever it imports, with its first use."""

    def __init__(self, name: str, make: Callable[[], ToolProvider]) -> None:
        self.name = name
        self._make = make
        self._made: ToolProvider | None = None

    def __getattr__(self, method: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, method)

    async def close(self) -> None:
        """Give up what it holds, where it was ever used."""
        if self._made is not None:
            await self._made.close()


def make_providers(
    root: Path, secrets: SecretValues, environment: Mapping[str, str], package: Any = None
) -> list[ToolProvider]:
    """The providers in the order in which they are looked through: MCP servers, Composio, direct ways.

    `package` is where composio-core is installed (`composio_core.process.Installation`), None for nowhere.
    """
    options = {"user_id": environment.get(COMPOSIO_USER, ""), "base_url": environment.get(COMPOSIO_URL, "")}
    composio_options = {name: value for name, value in options.items() if value}

    def mcp() -> ToolProvider:
        module = importlib.import_module("core.tools.mcp")
        read = importlib.import_module("core.tools.mcp.config").read_servers
        files = [root / "mcp.json", config_folder() / "mcp.json"]
        made: ToolProvider = module.McpServers(lambda: read(files), secrets)
        return made

    def composio() -> ToolProvider:
        module = importlib.import_module("core.tools.composio")
        made: ToolProvider = module.Composio(lambda: secrets.value(COMPOSIO_KEY), **composio_options)
        return made

    def composio_core() -> ToolProvider:
        module = importlib.import_module("core.tools.composio_core")
        place = package or importlib.import_module("core.tools.composio_core.process").Nowhere()
        made: ToolProvider = module.ComposioCore(lambda: secrets.value(COMPOSIO_KEY), place, **composio_options)
        return made

    def direct() -> ToolProvider:
        urls = {
            name: environment[f"{name.upper()}_BASE_URL"]
            for name in ("gmail", "slack", "github", "notion")
            if environment.get(f"{name.upper()}_BASE_URL")
        }
        made: ToolProvider = importlib.import_module("core.tools.direct").Direct(secrets, base_urls=urls)
        return made

    makers = {"mcp": mcp, "composio": composio, "composio-core": composio_core, "direct": direct}
    return [Later(name, make) for name, make in makers.items()]
