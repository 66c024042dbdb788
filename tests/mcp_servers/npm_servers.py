"""Real MCP servers from npm for tests: how they are started, and the reason why a test is skipped without them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def npm_servers(folder: Path, port: int = 0) -> dict[str, Any]:
    """`mcpServers` with the servers `files` (that folder alone) and `everything`; with a port also its HTTP address.

    Skips the test where there is no node.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, and these MCP servers run on it")
    packages = HERE / "node_modules" / "@modelcontextprotocol"
    if not packages.is_dir():
        pytest.fail("The MCP servers of the tests are not installed: call `make mcp-servers` once.")
    files, everything = packages / "server-filesystem", packages / "server-everything"
    servers: dict[str, Any] = {
        "files": {"command": node, "args": [str(files / "dist" / "index.js"), str(folder)]},
        "everything": {"command": node, "args": [str(everything / "dist" / "index.js"), "stdio"]},
    }
    if port:
        servers["everything_http"] = {"url": f"http://127.0.0.1:{port}/mcp"}
    return servers
