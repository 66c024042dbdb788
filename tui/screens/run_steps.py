"""The steps' part of the Run screen: which are loaded, the state at the selected one, going through time."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from textual.message import Message

from core.errors import RondoError
from tui.actions import action
from tui.messages import EngineFailed
from tui.run_feed import PartRead, RunFeed, StateRead, StepsRead
from tui.screens.base import RondoScreen
from tui.state_tree import Path, path_text
from tui.widgets.line_list import LineList
from tui.widgets.state_view import StateView
from tui.widgets.step_list import StepList
from tui.widgets.window_list import WindowList


class ValueRead(Message, bubble=False):
    """A whole value of the state, to be copied."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class StepActions(RondoScreen):
    """What can be done with steps and states. The screen has a feed."""

    feed: RunFeed

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps = StepList(lambda: self.rondo.now())
        self.state = StateView()

    def refresh_titles(self) -> None:
        """Show the titles of the panes again."""
        raise NotImplementedError

    def on_steps_read(self, message: StepsRead) -> None:
        steps, page = self.steps, message.page
        if message.line != self.feed.line:
            return
        match message.kind:
            case "newest":
                steps.show_newest(message.after, page)
            case "newer":
                steps.show_newer(message.after, page)
            case "older":
                steps.show_older(message.after, page)
            case "first":
                steps.show_stretch(message.after, page, 0)
            case "last":
                steps.show_stretch(message.after, page, -1)
            case "around":
                steps.show_stretch(message.after, page, 0)
                steps.go_step(message.step)
        self.feed.steps_after = steps.steps.last_step
        if steps.has_newer and steps.following:
            self.feed.steps.want()
        self.want_state()

    def on_window_list_wanted(self, event: WindowList.Wanted) -> None:
        """The steps come near the edge of their window."""
        if event.lines is self.steps:
            rows = self.steps.steps
            self.feed.want_steps(event.where, first=rows.after, last=rows.last_step, total=rows.total)

    def on_window_list_following_changed(self, event: WindowList.FollowingChanged) -> None:
        """While following, steps between may be passed over."""
        self.feed.steps_following = self.steps.following

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        if event.lines is self.steps:
            self.want_state()
        elif event.lines is self.state:
            # Whether there is a value to ask about.
            self.refresh_footer()
        self.refresh_titles()

    def want_state(self) -> None:
        """Read the state that belongs to the selected step, if another one is shown."""
        step = self.steps.selected_step
        if step != self.state.step or step != self.feed.state_step:
            self.feed.want_state(step)
        self.refresh_titles()

    def on_state_read(self, message: StateRead) -> None:
        state = message.state
        if state.seq == self.feed.state_step and message.line == self.feed.line:
            value = msgspec.json.decode(state.value)
            self.state.show_state(state.seq, value, state.elided, message.changes, state.size)
            self.refresh_titles()
            self.refresh_footer()

    def on_state_view_part_wanted(self, event: StateView.PartWanted) -> None:
        self.feed.want_part(self.state.step, event.path)

    def on_part_read(self, message: PartRead) -> None:
        state = message.state
        if state.seq == self.state.step and message.line == self.feed.line:
            self.state.put_part(tuple(state.path), msgspec.json.decode(state.value), state.elided)

    @action("step.previous", "earlier", keys="left_square_bracket", help="The state one step earlier", footer=5)
    def previous_step(self) -> None:
        self.go_to_step(self._step_shown - 1)

    @action("step.next", "later", keys="right_square_bracket", help="The state one step later", footer=6)
    def next_step(self) -> None:
        self.go_to_step(self._step_shown + 1)

    @property
    def _step_shown(self) -> int:
        """The step whose state is shown; where the run began has no row that could be selected."""
        at_begin = self.state.step == 0 and not self.steps.following
        return 0 if at_begin else self.steps.selected_step

    def go_to_step(self, step: int) -> None:
        """Select a step, and show the state after it."""
        total = self.steps.steps.total
        if step > total or step < 0:
            self.say("That is the newest step" if step > 0 else "That is how the run began")
        elif step == 0:
            self.steps.follow(False)
            self.feed.want_state(0)
        elif not self.steps.go_step(step):
            self.feed.want_steps("around", step=step)
        else:
            # From where the run began the selection does not move, so it would not ask for the state.
            self.feed.want_state(step)
            if step == total:
                self.steps.follow(True)

    def copy_selected(self) -> None:
        """Copy log lines, the value under the cursor, the error, or the run's id."""
        if self.state.has_focus:
            self.run_worker(
                self.read_value(self.state.selected_path, self.state.step), group="copy value", exclusive=True
            )
        else:
            super().copy_selected()

    async def read_value(self, path: Path, step: int | None) -> None:
        """Read the value at a path, of the state that is shown where it has it whole, and copy it."""
        shown = step is None or step == self.state.step
        at = self.steps.steps.total if step is None else step
        if shown and at == self.state.step and not self.state.state_tree.has_elided(path):
            self.post_message(ValueRead(self.state.state_tree.at(path)))
            return
        try:
            value: Any = await self.feed.whole_state(at)
        except RondoError as error:
            self.post_message(EngineFailed(error, f"reading {path_text(path)}"))
            return
        for part in path:
            value = value[part]
        self.post_message(ValueRead(value))

    def on_value_read(self, message: ValueRead) -> None:
        value = message.value
        self.rondo.copy(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
