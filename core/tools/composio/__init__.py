"""Composio by its API v3.1, over our own client."""

from core.tools.composio.provider import Composio

__all__ = ["Composio"]
