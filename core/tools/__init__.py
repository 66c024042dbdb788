"""Tools: services that workflows act on, their providers, and the accounts they are used with; secrets."""

from core.sdk.custom_tools import ComposioTool, Tool, ToolManager

__all__ = ["ComposioTool", "Tool", "ToolManager"]
