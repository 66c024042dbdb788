"""Screen 1: the workflows of this workspace, how their last run went and what lint finds in them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget

from tui.screens.base import RondoScreen
from tui.widgets.rule import PaneRule


class WorkflowsScreen(RondoScreen):
    """The first screen."""

    view = "workflows"

    def compose_body(self) -> Iterable[Widget]:
        yield PaneRule()

    def crumbs(self) -> tuple[str, ...]:
        return ("workflows",)
