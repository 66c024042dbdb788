"""The screen that shows a place; each is imported when it is first shown."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from tui.navigation import Place


def screen_of(place: Place) -> Screen[Any]:
    """A new screen for a place."""
    if place.view == "chat":
        from tui.screens.chat import ChatScreen

        return ChatScreen()
    if place.view == "versions":
        from tui.screens.versions import VersionsScreen

        return VersionsScreen(place.workflow)
    if place.view == "settings":
        from tui.screens.settings import SettingsScreen

        return SettingsScreen()
    if place.view == "runs":
        from tui.screens.runs import RunsScreen

        return RunsScreen(place.workflow)
    if place.view == "inbox":
        from tui.screens.inbox import InboxScreen

        return InboxScreen()
    if place.view == "tools":
        from tui.screens.tools import ToolsScreen

        return ToolsScreen()
    if place.proposal:
        from tui.screens.graph_proposal import ProposalGraphScreen

        return ProposalGraphScreen(place.workflow, place.proposal)
    if place.versions:
        from tui.screens.graph_versions import VersionsGraphScreen

        before, _, after = place.versions.partition("..")
        return VersionsGraphScreen(place.workflow, before, after)
    if place.view == "graph":
        from tui.screens.graph import GraphScreen

        return GraphScreen(place.workflow, place.run_id or None)
    from tui.screens.run import RunScreen

    return RunScreen(place.run_id, place.workflow)
