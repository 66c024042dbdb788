"""Screen 4: one run: its steps, the state at each of them, its log, and what it asks."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import msgspec
from textual.containers import Horizontal
from textual.widget import Widget

from core.link.event_types import LogsChanged, RequestChanged, RunChanged, StepChanged
from core.link.status import look_of, run_seconds
from core.link.types import FINAL, ErrorView
from core.link.workflow_types import WorkflowDetail
from tui.actions import action
from tui.messages import EngineEvents
from tui.navigation import Place
from tui.run_feed import RunFeed, RunRead, WorkflowOfRun
from tui.screens.confirm import ConfirmSheet
from tui.screens.run_breaks import RunBreaks
from tui.screens.run_lines import LineActions
from tui.screens.run_nesting import NestingActions
from tui.screens.run_question import QuestionActions
from tui.screens.run_result import ResultActions
from tui.screens.run_save import SaveActions
from tui.screens.run_why import WhyActions
from tui.spans import Span
from tui.text import plural, stopwatch, visible, waiting_text
from tui.widgets.error_pane import ErrorPane
from tui.widgets.line_list import LineList
from tui.widgets.log_view import copied_rows
from tui.widgets.rule import Bar, PaneRule, Title
from tui.widgets.window_list import WindowList


def needs_paused(screen: RunScreen) -> str:
    return "" if screen.run is not None and screen.run.status == "paused" else "The run is not paused"


def needs_going(screen: RunScreen) -> str:
    if screen.run is None:
        return "The run is still being read"
    return f"The run has ended: {screen.run.status}" if screen.run.status in FINAL else ""


class RunScreen(NestingActions, LineActions, ResultActions, WhyActions, SaveActions, RunBreaks, QuestionActions):
    """One run, live or over."""

    view = "run"

    DEFAULT_CSS = """
    RunScreen #upper { height: 1fr; min-height: 3; }
    RunScreen #steps { width: 38%; min-width: 34; max-width: 54; height: 1fr; }
    RunScreen #state, RunScreen #result { width: 1fr; height: 1fr; }
    RunScreen #log { height: 1fr; min-height: 2; overflow-x: auto; scrollbar-size-horizontal: 0; }
    RunScreen #error { max-height: 40%; display: none; }
    RunScreen .below { display: none; }
    """

    def __init__(self, run_id: str, workflow: str = "") -> None:
        super().__init__()
        self.feed = RunFeed(self, run_id)
        self._workflow = workflow
        self._detail: WorkflowDetail | None = None
        self.error_pane = ErrorPane()
        self._upper = Horizontal(id="upper")
        self._upper_rule = PaneRule()
        self._bar = Bar()
        self._log_rule = PaneRule()
        self._error_rule = PaneRule(classes="below")

    def compose_body(self) -> Iterable[Widget]:
        yield self._upper_rule
        with self._upper:
            yield self.steps
            yield self._bar
            yield self.state
            yield self.result
        yield self._log_rule
        yield self.log_view
        yield self.search_line
        yield self._error_rule
        yield self.error_pane
        yield self.question_rule
        yield self.question

    def on_mount(self) -> None:
        self.steps.focus()
        self.set_interval(1.0, self._second_passed)
        self.refresh_titles()

    # Parts -----------------------------------------------------------------------------------------------------

    @property
    def workflow_name(self) -> str:
        return self.run.workflow if self.run is not None else self._workflow

    @property
    def run_id(self) -> str:
        return self.feed.run_id

    @property
    def place(self) -> Place:
        return Place("run", run_id=self.feed.run_id)

    @property
    def failed_run(self) -> str:
        return self.feed.run_id if self.run is not None and self.run.status == "failed" else ""

    def crumbs(self) -> tuple[str, ...]:
        return ("workflows", visible(self.workflow_name or "…"), f"run {self.feed.run_id[-8:]}")

    # What the engine says --------------------------------------------------------------------------------------

    def read_all(self) -> None:
        self.feed.want_all()
        self.breaks.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read again what changed of this run."""
        self.breaks.hear(message)
        for event in message.events:
            if getattr(event, "run_id", None) != self.feed.run_id:
                continue
            match event:
                case LogsChanged():
                    self.logs_grew(event.last)
                case StepChanged():
                    self.feed.steps.want()
                case RunChanged() | RequestChanged():
                    self.feed.run.want()
                    self.feed.steps.want()

    def on_run_read(self, message: RunRead) -> None:
        """The run as it is: header, question, error."""
        run = message.run
        if self.run is None or self.run.workflow != run.workflow:
            self.feed.want_workflow(run.workflow)
            if self.run is None:
                self.call_later(self.breaks.want)
        on_new_line = self.run is not None and self.run.line != run.line
        self.run = run
        # Who rewinds from an older line, or looks at one meanwhile, wants to see what comes of it.
        if on_new_line and not self.show_present_line():
            self.show_new_line(run.step)
        self.feed.run_id = run.run_id
        self.feed.log_dropped = max(self.feed.log_dropped, run.logs_dropped)
        if self.steps.show_run(run):
            self.feed.steps.want()
        self.show_question()
        self._show_error()
        if run.log_last > self.feed.log_last or not self.feed.log_after:
            self.logs_grew(run.log_last)
        self.refresh_crumbs()
        self.refresh_titles()
        self.refresh_footer()

    def on_workflow_of_run(self, message: WorkflowOfRun) -> None:
        self._detail = message.detail
        self._show_error()

    def _second_passed(self) -> None:
        """Times that go on; nothing else is drawn again."""
        if self.run is None:
            return
        if self.run.status == "running":
            self.steps.redraw_running()
        if self.run.status in ("running", "waiting_timer"):
            self._show_status()

    # Titles and panes ------------------------------------------------------------------------------------------

    def _show_status(self) -> None:
        run = self.run
        if run is None:
            return
        look = look_of(run.status)
        seconds = run_seconds(run.started_at, run.ended_at, self.rondo.now())
        spans: list[Span] = [(look.sign, look.ink), (f" {look.word}", look.ink)]
        if waiting := waiting_text(run.due_at, run.queue_position, self.rondo.now()):
            spans.append((f" {waiting}", look.ink))
        if run.pause_reason:
            spans.append((f" {visible(run.pause_reason)}", look.ink))
        spans.append((f"  step {max(run.step, self.steps.steps.total)}", ""))
        if run.parent is not None:
            spans.append((f"  part of {run.parent.run_id[-8:]}", "dim"))
        if run.nested_input is not None:
            spans.append(
                (f"  ◐ {visible(run.nested_input.workflow)} asks in {run.nested_input.run_id[-8:]}", "waiting")
            )
        if run.activity:
            spans.append((f"  {visible(run.activity)}", "dim"))
        if seconds is not None:
            spans.append((f"  {stopwatch(seconds)}", "dim"))
        self.header.status = tuple(spans)

    def refresh_titles(self) -> None:
        """Show the titles of the panes again: steps, state, log, question."""
        steps, state = self.steps, self.state
        right = self.right_pane
        bar = steps.size.width if right.display and steps.display else 0
        changed = len(state.state_tree.changed_paths)
        newest = steps.steps.total
        name = f"state after {state.step}" if state.step >= 0 else "state"
        past: tuple[Span, ...] = ((f"newest is {newest}: ] goes on", "waiting"),) if 0 <= state.step < newest else ()
        end = (
            f"changed by this step: {plural(changed, 'path')}"
            if state.step > 0
            else "where it began"
            if state.step == 0
            else ""
        )
        past_line = self.past_line
        steps_name = "steps" if past_line is None else f"steps of line {past_line.number}"
        back: tuple[Span, ...] = () if past_line is None else (("esc: present", "waiting"),)
        titles = [Title(steps_name, 0, steps.has_focus, "", back)] if steps.display else []
        if self.shows_result and right.display:
            titles.append(self.result_title(bar + 1 if bar else 0))
        elif state.display:
            titles.append(Title(name, bar + 1 if bar else 0, state.has_focus, end, past))
        self._upper_rule.titles = tuple(titles)
        self._upper_rule.joints = ((bar, "┬"),) if bar else ()
        self._log_rule.titles = (self.log_title(),)
        self._log_rule.joints = ((bar, "┴"),) if bar else ()
        self._show_status()

    def on_resize(self) -> None:
        self.call_after_refresh(self.refresh_titles)

    def on_descendant_focus(self) -> None:
        self.refresh_titles()
        self.title_question()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """An attempt that failed shows why while it is selected."""
        if event.lines is self.steps:
            self._show_error()

    def on_window_list_following_changed(self, event: WindowList.FollowingChanged) -> None:
        if event.lines is self.steps:
            self._show_error()

    def _error_to_show(self) -> tuple[ErrorView | None, str]:
        """The error of the attempt that was gone to, else the run's; and what failed with it."""
        selected = self.steps.selected if not self.steps.following else None
        if selected is not None and selected.error is not None and selected.status in ("failed", "skipped"):
            word = "skipped" if selected.status == "skipped" else "failed"
            return selected.error, f"attempt {selected.attempt} of {visible(selected.node)} {word}"
        past = self.past_line
        error = past.error if past is not None else self.run.error if self.run is not None else None
        return error, f"failed in {visible(error.node)}" if error is not None and error.node else "failed"

    def _show_error(self) -> None:
        error, words = self._error_to_show()
        shown = error is not None and self.zoomed in (None, self.error_pane)
        rule = self._error_rule
        rule.display = self.error_pane.display = shown
        if error is not None:
            rule.titles = (Title(f"✗ {words}", ink="bad", active=self.error_pane.has_focus, end="e opens the line"),)
            self.error_pane.show_error(error, self._detail.folder if self._detail is not None else "")

    def line_changed(self) -> None:
        self._show_error()
        self.refresh_titles()

    def panes(self) -> list[Widget]:
        return [pane for pane in (self.steps, self.right_pane, self.log_view, self.error_pane) if pane.display]

    def show_panes(self) -> None:
        zoomed = self.zoomed
        if zoomed in (self.state, self.result):
            zoomed = self.zoomed = self.right_pane
        for pane in (self.steps, self.state, self.result, self.log_view):
            fits = pane is self.right_pane or pane not in (self.state, self.result)
            pane.display = fits and zoomed in (None, pane)
        in_upper = zoomed in (None, self.steps, self.right_pane)
        self._upper.display = self._upper_rule.display = in_upper
        self._bar.display = zoomed is None
        self._log_rule.display = zoomed in (None, self.log_view)
        self.steps.styles.max_width = None if zoomed is None else "100%"
        self.steps.styles.width = None if zoomed is None else "1fr"

    def zoom_panes(self) -> bool:
        focused = self.focused if self.focused in self.panes() else self.steps
        self.zoomed = focused if self.zoomed is None else None
        self.show_panes()
        self.show_question()
        self._show_error()
        self.call_after_refresh(self.refresh_titles)
        return True

    def break_node(self) -> str:
        return self.selected_node()

    def show_breaks(self, nodes: frozenset[str]) -> None:
        self.steps.show_breakpoints(nodes)

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.question.typing:
            self.set_focus(self.steps)
            self.question.go_on(hold_focus=False)
            return True
        if self.log_view.selection_start is not None:
            self.toggle_selection()
            return True
        if self.log_view.search:
            self.search_line.close()
            return True
        if self.zoomed is not None:
            return self.zoom_panes()
        if self.shows_result:
            self.toggle_result()
            return True
        return self.show_present_line()

    # Actions ---------------------------------------------------------------------------------------------------

    def start_run(self, workflow: str = "") -> None:
        """Run it again with the same inputs; another workflow where one is named."""
        if workflow and workflow != self.workflow_name:
            self.rondo.start_run(workflow)
        else:
            inputs = msgspec.json.decode(self.run.inputs) if self.run is not None else {}
            self.rondo.start_run(self.workflow_name, inputs)

    @action(
        "run.step", "step", keys="s", words="step", help="Let a paused run do one step", footer=2, when=needs_paused
    )
    def step_run(self) -> None:
        command = str(uuid4())
        self.ask(lambda: self.engine.step_run(command, self.run_id, []), RunRead, group="step", doing="stepping")

    @action(
        "run.continue", "go on", keys="p", words="continue", help="Let a paused run go on", footer=3, when=needs_paused
    )
    def continue_run(self) -> None:
        command = str(uuid4())
        self.ask(lambda: self.engine.continue_run(command, self.run_id), RunRead, group="continue", doing="going on")

    @action(
        "run.cancel", "cancel", keys="x", words="cancel", help="End the run; asks first", footer=4, when=needs_going
    )
    def cancel_run(self) -> None:
        def decided(yes: bool | None) -> None:
            if yes:
                command = str(uuid4())
                self.ask(
                    lambda: self.engine.cancel_run(command, self.run_id), RunRead, group="cancel", doing="cancelling"
                )

        text = "Its process is ended at once. What its steps have done stays done; a cancelled run never goes on."
        self.rondo.push_screen(ConfirmSheet(f"Cancel run {self.run_id[-8:]}?", text, yes="cancel it"), decided)

    def run_ended(self) -> bool:
        return self.run is not None and self.run.status in FINAL

    def selected_node(self) -> str:
        line = self.log_view.selected if self.log_view.has_focus else None
        if line is not None:
            return line.node
        return self.steps.selected.node if self.steps.selected is not None else ""

    def code_folder(self) -> str:
        return self._detail.folder if self._detail is not None else ""

    def copied_text(self) -> str:
        """Log lines, the error, or the run's id, by what has the focus."""
        if self.log_view.has_focus:
            text = copied_rows(self.log_view.selected_rows)
            self.log_view.selection_start = None
            self.log_view.refresh()
            return text
        error = self.error_pane.error
        if self.error_pane.has_focus and error is not None:
            return f"{error.type}: {error.message}\n{error.traceback}".rstrip()
        return self.run_id

    def code_place(self) -> tuple[str, int]:
        detail = self._detail
        if path := self.result_file():
            return (path, 0)
        if detail is None:
            return ("", 0)
        failed_at = self.error_pane.place(detail.folder) if self.error_pane.display else None
        if failed_at is not None and (self.error_pane.has_focus or not self.steps.has_focus):
            return failed_at
        node = next((node for node in detail.nodes if node.id == self.selected_node()), None)
        selected = self.steps.selected
        if failed_at is not None and selected is not None and selected.status == "failed":
            return failed_at
        if node is not None and node.file:
            return (f"{detail.folder}/{node.file}", node.line)
        return (detail.code_path, 0)
