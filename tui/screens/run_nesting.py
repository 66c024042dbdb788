"""The Run screen's ways between a run and those that it is part of, or that are part of it."""

from __future__ import annotations

from core.link.types import ChildView, RunView
from tui.actions import action
from tui.navigation import Place
from tui.screens.run_steps import StepActions
from tui.widgets.line_list import LineList


def needs_subflow(screen: NestingActions) -> str:
    """Why no subflow can be opened."""
    return "" if screen.selected_child() is not None else "The selected step runs no other workflow"


def needs_parent(screen: NestingActions) -> str:
    """Why there is no way up."""
    return "" if screen.run is not None and screen.run.parent is not None else "The run is not part of another one"


class NestingActions(StepActions):
    """What leads to other runs. The screen knows its run."""

    run: RunView | None

    def selected_child(self) -> ChildView | None:
        """The run of the selected step's subflow, the newest where there are several."""
        run, step = self.run, self.steps.selected
        if run is None or step is None:
            return None
        return next((child for child in run.children if (child.node, child.visit) == (step.node, step.visit)), None)

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter on a step opens the run of its subflow."""
        if event.lines is self.steps and self.selected_child() is not None:
            self.open_subflow()

    @action(
        "run.subflow",
        "subflow",
        keys="O",
        words="subflow",
        help="To the run of the selected step's subflow, as Enter on the step",
        when=needs_subflow,
    )
    def open_subflow(self) -> None:
        child = self.selected_child()
        if child is not None:
            self.rondo.go(Place("run", run_id=child.run_id))

    @action(
        "run.parent",
        "parent",
        keys="U",
        words="parent",
        help="Up to the run that this one is part of",
        when=needs_parent,
    )
    def open_parent(self) -> None:
        if self.run is not None and self.run.parent is not None:
            self.rondo.go(Place("run", run_id=self.run.parent.run_id))
