"""Breakpoints on the screens: read while they change, set and taken away with one key."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from textual.message import Message

from core.link.event_types import BreakpointsChanged
from core.link.inspect_types import BreakpointView, ChangeBreakpoint
from tui.actions import action
from tui.messages import EngineEvents
from tui.reader import Reader
from tui.screens.base import RondoScreen
from tui.text import visible

SIGN = "◆"
"""Stands before a node before which runs pause."""


class BreakpointsRead(Message, bubble=False):
    """Where runs pause."""

    def __init__(self, found: list[BreakpointView]) -> None:
        super().__init__()
        self.found = found


class BreakpointSet(Message, bubble=False):
    """A breakpoint was set before a node, or taken away."""

    def __init__(self, node: str, clear: bool, found: list[BreakpointView]) -> None:
        super().__init__()
        self.node = node
        self.clear = clear
        self.found = found


class Breaks:
    """The breakpoints of what a screen shows: of its run, or of its workflow where it shows no run."""

    def __init__(self, screen: RondoScreen) -> None:
        self._screen = screen
        self._found: list[BreakpointView] = []
        self._reader: Reader[list[BreakpointView]] = Reader(screen, "the breakpoints", self._read, BreakpointsRead)

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes before which it pauses."""
        return frozenset(view.node for view in self._found)

    def take(self, found: list[BreakpointView]) -> None:
        """Remember what was read; those of other runs don't hold here."""
        run_id = self._screen.run_id
        self._found = [view for view in found if view.run_id in (None, run_id)]

    def want(self) -> None:
        """Read them again."""
        if self._screen.workflow_name:
            self._reader.want()

    def hear(self, message: EngineEvents) -> None:
        """Read them again where they changed."""
        name = self._screen.workflow_name
        if any(isinstance(event, BreakpointsChanged) and event.workflow == name for event in message.events):
            self.want()

    async def _read(self) -> list[BreakpointView]:
        return await self._screen.engine.list_breakpoints(self._screen.workflow_name)

    def toggle(self, node: str) -> None:
        """Set the one before a node for all runs of the workflow; or take those away that stop this run there."""
        screen = self._screen
        here = [view for view in self._found if view.node == node]

        async def change() -> list[BreakpointView]:
            for run_id in [view.run_id for view in here] or [None]:
                workflow = screen.workflow_name if run_id is None else None
                wish = ChangeBreakpoint(
                    command_id=str(uuid4()), node=node, workflow=workflow, run_id=run_id, clear=bool(here)
                )
                await screen.engine.change_breakpoint(wish)
            return await screen.engine.list_breakpoints(screen.workflow_name)

        screen.ask(
            change,
            lambda found: BreakpointSet(node, bool(here), found),
            group="breakpoint",
            doing="setting a breakpoint",
        )


def needs_node(screen: RondoScreen) -> str:
    """Why there is no node to stop before."""
    if not isinstance(screen, BreakActions):
        return "Runs pause in the workflow as it is: g shows it"
    return "" if screen.break_node() else "Select a node first"


class BreakActions(RondoScreen):
    """A screen that shows breakpoints; it says of which node, and shows them when they change."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.breaks = Breaks(self)

    def break_node(self) -> str:
        """The node that the key is for."""
        raise NotImplementedError

    def show_breaks(self, nodes: frozenset[str]) -> None:
        """Show before which nodes runs pause."""
        raise NotImplementedError

    def on_breakpoints_read(self, message: BreakpointsRead) -> None:
        self.breaks.take(message.found)
        self.show_breaks(self.breaks.nodes)

    def on_breakpoint_set(self, message: BreakpointSet) -> None:
        self.breaks.take(message.found)
        self.show_breaks(self.breaks.nodes)
        node = visible(message.node)
        done = f"No breakpoint before {node} any more" if message.clear else f"{SIGN} Runs pause before {node}"
        self.say(done, "good")

    def toggle_break(self) -> None:
        """Set the breakpoint before the node, or take it away."""
        self.breaks.toggle(self.break_node())


class RunBreaks(BreakActions):
    """Breakpoints on the Run screen."""

    @action(
        "run.break",
        "breakpoint",
        keys="B",
        words="break",
        help="Let all runs of the workflow pause before this step's node, or not any more",
        when=needs_node,
    )
    def break_before_step(self) -> None:
        self.toggle_break()
