"""The package composio-core, in an environment of its own, with its calls led to Composio's API v3.1."""

from core.tools.composio_core.provider import ComposioCore

__all__ = ["ComposioCore"]
