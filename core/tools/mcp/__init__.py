"""Servers that speak the Model Context Protocol, from an `mcpServers` configuration."""

from core.tools.mcp.provider import McpServers

__all__ = ["McpServers"]
