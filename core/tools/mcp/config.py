"""The `mcpServers` configuration, as other programs have it, too."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ToolProviderMissing, ToolSettingsProblem
from core.tools.documents import read_json
from core.tools.provider import SecretValues

FILE = "mcp.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\bsecret:([A-Za-z_][A-Za-z0-9_.-]*)")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One server: a program that is started, or an address."""

    name: str
    file: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """A fingerprint of all that is started or called."""
        parts = [self.command, list(self.args), dict(self.env), self.cwd, self.url, dict(self.headers)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def words(self) -> str:
        """What is started or called, in one line; values of variables and headers are not shown."""
        if self.url:
            return self.url
        return " ".join(json.dumps(part) if re.search(r"\s|^$", part) else part for part in (self.command, *self.args))


def read_servers(files: Iterable[Path]) -> dict[str, ServerConfig]:
    """The servers of configuration files by name, the first file first; a file that is missing has none.

    Raises ToolSettingsProblem.
    """
    found: dict[str, ServerConfig] = {}
    for file in files:
        try:
            document = read_json(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise _wrong(file, f"{type(error).__name__}: {error}") from error
        servers = document.get("mcpServers") if isinstance(document, dict) else None
        if not isinstance(servers, dict):
            raise _wrong(file, 'it has no object "mcpServers"')
        for name, entry in servers.items():
            if not entry.get("disabled") if isinstance(entry, dict) else True:
                found.setdefault(name.lower(), _server(file, name, entry))
    return found


def resolved(config: ServerConfig, values: Mapping[str, str], secrets: SecretValues) -> dict[str, str]:
    """Variables or headers with what `secret:NAME` and `${NAME}` stand for; call it in a thread.

    Raises ToolProviderMissing.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        given = secrets.value(name)
        if given is None:
            raise ToolProviderMissing(
                f"The MCP server {config.name} needs {name}, which is nowhere.",
                cause=f"{config.file} refers to it.",
                next_step=f"rondo secrets set {name}",
            )
        return given

    return {name: _REFERENCE.sub(value, text) for name, text in values.items()}


def _server(file: Path, name: str, entry: Any) -> ServerConfig:
    if not _NAME.fullmatch(name):
        raise _wrong(file, f"{name!r} is no name of a server: letters, digits and _ . - are")
    if not isinstance(entry, dict):
        raise _wrong(file, f"the server {name} is no object")
    command, url = entry.get("command", ""), entry.get("url", "")
    if bool(command) == bool(url) or not isinstance(command, str) or not isinstance(url, str):
        raise _wrong(file, f'the server {name} needs either "command" or "url"')
    if url and not url.startswith(("http://", "https://")):
        raise _wrong(file, f"the address of {name} does not begin with http:// or https://")
    if entry.get("type") == "sse":
        raise _wrong(file, f"the server {name} is of the older kind sse; use its streamable HTTP address")
    args = entry.get("args", [])
    if not isinstance(args, list) or not all(isinstance(one, str) for one in args):
        raise _wrong(file, f'"args" of {name} is no list of texts')
    for key in ("env", "headers"):
        given = entry.get(key, {})
        if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
            raise _wrong(file, f'"{key}" of {name} is no object of texts')
    cwd = entry.get("cwd", "")
    if not isinstance(cwd, str):
        raise _wrong(file, f'"cwd" of {name} is no text')
    env, headers = dict(entry.get("env", {})), dict(entry.get("headers", {}))
    return ServerConfig(name.lower(), str(file), command, tuple(args), env, cwd, url, headers)


def _wrong(file: Path, why: str) -> ToolSettingsProblem:
    return ToolSettingsProblem(
        f"{file.name} can't be used: {why}.", cause=f"The file is {file}.", next_step="Mend it, then try again."
    )
