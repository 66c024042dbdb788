"""What every screen has: header, notice, footer, the actions that work everywhere, and its way to the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from core.errors import EngineLost, EngineStopping, EngineUnreachable, RondoError
from tui.actions import EVERYWHERE, MOVING, Acting, action, registry
from tui.messages import EngineEvents, EngineFailed, EngineReady
from tui.navigation import Place
from tui.screens.chat_side import ChatSide
from tui.spans import InkWell
from tui.widgets.footer import Footer, Notice
from tui.widgets.header import Header
from tui.widgets.size_note import SizeNote

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from tui.app import RondoApp

Result = TypeVar("Result")

OUTAGES = (EngineLost, EngineStopping, EngineUnreachable)
"""Failures that are over when the engine is back."""


def needs_workflow(screen: RondoScreen) -> str:
    """Why there is no workflow to act on; "" if there is."""
    return "" if screen.workflow_name else "Select a workflow first"


class RondoScreen(ChatSide, Acting, InkWell, Screen[None]):
    """A screen with header, notice and footer; subclasses name their `view` and compose a body.

    They hear `EngineReady` when the engine can be called (read everything) and `EngineEvents` for what changed. One
    that lies below another hears nothing and draws nothing; shown again, it hears `EngineReady` if it missed anything.
    """

    view = EVERYWHERE
    DEFAULT_CSS = """
    RondoScreen { layout: vertical; layers: base chat size; }
    RondoScreen > .beside {
        dock: right; width: 45%; min-width: 46; max-width: 84; margin: 1 0 0 0; border-left: solid $foreground 25%;
    }
    RondoScreen.-chat-alone > .beside { layer: chat; width: 100%; max-width: 100%; border-left: none; }
    """

    # Screens hold their parts and don't look them up: a message that comes while a screen goes finds them all the same.

    def __init__(self) -> None:
        super().__init__()
        self.header = Header()
        self.notice = Notice()
        self.footer = Footer()
        self.size_note = SizeNote()
        self.missed_events = False
        self._read_ahead = False
        self._said_of_outage = ""

    # What a subclass says of itself ------------------------------------------------------------------------------

    def compose_body(self) -> Iterable[Widget]:
        """The widgets between header and footer."""
        raise NotImplementedError

    def read_all(self) -> None:
        """Begin to read everything that is shown; what comes of it must come as messages."""
        raise NotImplementedError

    def crumbs(self) -> tuple[str, ...]:
        """Where this is, from the outside in, after `rondo`."""
        return ()

    @property
    def workflow_name(self) -> str:
        """The workflow that is shown or selected, or ""."""
        return ""

    @property
    def run_id(self) -> str:
        """The run that is shown or selected, or ""."""
        return ""

    def code_place(self) -> tuple[str, int]:
        """The file and the line (0: anywhere) that `e` opens; no file while it isn't known."""
        return ("", 0)

    def code_folder(self) -> str:
        """The folder of the workflow whose file `e` opens; "" while it isn't known."""
        return ""

    def copied_text(self) -> str:
        """What `y` copies; "" if there is nothing."""
        return ""

    @property
    def place(self) -> Place:
        """What this screen shows, to find it again."""
        return Place(self.view)

    def panes(self) -> list[Widget]:
        """The panes that tab goes through, in order, without those of the chat beside."""
        return [widget for widget in self.focus_chain if widget.display and self.chat not in widget.ancestors]

    def zoom_panes(self) -> bool:
        """Show the pane with the focus alone, or all panes again; False if there is nothing to zoom."""
        return False

    # App and engine ----------------------------------------------------------------------------------------------

    @property
    def rondo(self) -> RondoApp:
        """The app, by its own type."""
        return cast("RondoApp", self.app)

    @property
    def engine(self) -> EngineApi:
        """The engine. Calls wait for a connection and raise `RondoError`s."""
        return self.rondo.engine

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.size_note
        yield from self.compose_body()
        yield self.notice
        yield self.footer

    def on_compose(self) -> None:
        """Ask the engine while the widgets are still being made: the answers come when they stand."""
        if self.rondo.connected_once:
            self._read_ahead = True
            self.read_all()

    def on_mount(self) -> None:
        """Fill header and footer."""
        self.refresh_crumbs()
        self.refresh_footer()
        if self.rondo.connected_once and not self._read_ahead:
            self.post_message(EngineReady())

    def on_engine_ready(self) -> None:
        """Connected, or events were lost: read everything again."""
        self.forget_outage()
        self.read_all()
        if self.chat_shown and self.chat is not None and self.chat.is_mounted:
            self.chat.read_all()

    def on_engine_events(self, message: EngineEvents) -> None:
        """The chat beside hears them too."""
        self.hear_chat(message)

    def on_screen_resume(self) -> None:
        """Shown again: keys may mean something else by now, and rows too."""
        self.refresh_footer()
        self.catch_up()
        self.sync_chat()
        if self.notice.kind == "guide":
            self.notice.clear()
        self.rondo.repeat_guide()
        self.rondo.say_arrival()

    @property
    def is_covered(self) -> bool:
        """True while another screen, and not only a sheet, lies on this one."""
        stack = self.app.screen_stack
        return self in stack and any(isinstance(screen, RondoScreen) for screen in stack[stack.index(self) + 1 :])

    @property
    def is_current(self) -> bool:
        """False while covered: Textual takes the screen below the top one for visible, and each change there would
        write the whole terminal anew."""
        return super().is_current and not self.is_covered

    def catch_up(self) -> None:
        """Read what changed while nobody told this screen."""
        if self.missed_events:
            self.missed_events = False
            self.post_message(EngineReady())

    def refresh_crumbs(self) -> None:
        """Show the crumbs again: what they name changed."""
        self.header.crumbs = ("rondo", *self.crumbs())

    def refresh_footer(self) -> None:
        """Show the keys that make sense now: those of the part with the focus where it has some, else the screen's, but
        for the one that leads to where one is."""
        part = self.inner_part()
        if part is not None:
            own = [found for found in registry.footer(part.view) if found.view == part.view and not found.why_not(part)]
            self.footer.show_actions(own)
            return
        shown = (found for found in registry.footer(self.view) if found.id != f"go.{self.view}")
        self.footer.show_actions([found for found in shown if not found.why_not(self)])

    def inner_part(self) -> Acting | None:
        """The part with the focus that has keys of its own to show."""
        for node in self.focused.ancestors if self.focused is not None else ():
            if isinstance(node, Acting) and node is not self and node.view not in ("", MOVING, self.view):
                return node
        return None

    def fit_body(self) -> None:
        """The room beside the chat is another one now; screens that fold when it is narrow do so."""
        for least, name in self.HORIZONTAL_BREAKPOINTS or ():
            others = [width for width, _ in self.HORIZONTAL_BREAKPOINTS or () if width > least]
            self.set_class(least <= self.body_width < min(others, default=10**6), name)

    def on_resize(self) -> None:
        self.size_note.fit_terminal(self.app.size)
        self.fit_chat()

    def watch_focused(self) -> None:
        """The keys that work are others while something is typed."""
        self.footer.entry_keys = getattr(self.focused, "entry_keys", ())
        if self.is_mounted:
            self.refresh_footer()

    def ask(
        self,
        call: Callable[[], Awaitable[Result]],
        reply: Callable[[Result], Message],
        *,
        group: str,
        doing: str = "",
        exclusive: bool = True,
    ) -> None:
        """Call the engine behind the screen; the result comes as the message that `reply` makes of it, a failure as
        `EngineFailed`. With `exclusive`, an earlier call of the same group is given up."""

        async def work() -> None:
            try:
                result = await call()
            except RondoError as error:
                self.post_message(EngineFailed(error, doing))
            else:
                self.post_message(reply(result))

        self.run_worker(work, group=group, exclusive=exclusive, name=group)  # type: ignore[arg-type]

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines above the footer; kind is info, good, hint or problem."""
        self.notice.say(text, kind)

    def on_key(self, event: events.Key) -> None:
        if not self.take_early(event):
            self.press_passed(event)

    def on_paste(self) -> None:
        """Pasted where nothing can be typed: nothing of it is a key."""
        self.say("Nothing was pasted: text goes into an input, such as / or a question's", "hint")

    def close_top_layer(self) -> bool:
        """Close what lies on top within this screen (a filter, a notice); False where there is nothing."""
        passing = self.notice.kind in ("info", "good")
        if self.notice.kind == "guide":
            self.rondo.end_guide()
        # What goes by itself is not worth a key of its own.
        return self.notice.clear() and not passing

    def on_engine_failed(self, message: EngineFailed) -> None:
        """A call failed: say what, why and what to do next. What is read again by itself is not worth a word."""
        if message.reading and isinstance(message.error, OUTAGES):
            return
        self.say(error_text(message.error, message.doing), "problem")
        self._said_of_outage = self.notice.text if isinstance(message.error, OUTAGES) else ""

    def forget_outage(self) -> None:
        """The engine is back: what was said of its absence is not true any more."""
        if self._said_of_outage and self.notice.text == self._said_of_outage:
            self.notice.clear()
        self._said_of_outage = ""

    # Actions that work everywhere --------------------------------------------------------------------------------

    @action("app.help", "help", keys="question_mark,f1", help="What the keys of this view do")
    def show_help(self) -> None:
        self.rondo.open_help()

    @action("app.command", "command", keys="colon,ctrl+p", help="Type a command, with completion and history")
    def open_command_line(self) -> None:
        self.rondo.open_command_line()

    @action("app.log", "command log", keys="at", words="log", help="What you did, as rondo commands to copy")
    def open_command_log(self) -> None:
        self.rondo.open_command_log()

    @action("app.guide", "first steps", keys="f3", words="first steps", help="Be led to a first run; needs no model")
    def first_steps(self) -> None:
        self.rondo.lead()

    @action("app.back", "back", keys="q", help="Back; at the first screen: quit, and the runs go on")
    def go_back(self) -> None:
        self.rondo.go_back()

    @action("app.quit", "quit", words="quit", help="Leave the app; the runs go on")
    def quit_app(self) -> None:
        self.rondo.leave()

    @action("app.close", "close", keys="escape", help="Close what lies on top; never quits")
    def close_layer(self) -> None:
        if not self.chat_covers:
            self.close_top_layer()
        elif not RondoScreen.close_top_layer(self):
            # What the screen itself has open is below the chat and can't be seen.
            self.leave_chat()

    @action("app.last", "last screen", keys="minus", help="Back and forth between the last two screens")
    def go_last(self) -> None:
        self.rondo.go_last()

    @action("app.zoom", "zoom", keys="plus", help="Show this pane alone, or all panes again")
    def zoom(self) -> None:
        if not self.zoom_panes():
            self.say("There is only one pane here")

    @action("pane.next", "next pane", keys="tab", help="To the next pane")
    def next_pane(self) -> None:
        self._focus_pane(1)

    @action("pane.previous", "previous pane", keys="shift+tab", help="To the pane before")
    def previous_pane(self) -> None:
        self._focus_pane(-1)

    def _focus_pane(self, step: int) -> None:
        panes = self.chat_panes() if self.chat_alone else [*self.panes(), *self.chat_panes()]
        if not panes:
            return
        here = panes.index(self.focused) if self.focused in panes else -1 if step > 0 else 0
        self.set_focus(panes[(here + step) % len(panes)])

    @action("go.workflows", "to the workflows", keys="1", words="list", help="To the workflows")
    def go_workflows(self) -> None:
        self.rondo.go(Place("workflows"))

    @action(
        "go.graph",
        "graph",
        keys="g,2",
        words="graph",
        argument="workflow",
        help="To the graph of the workflow",
        footer=30,
        when=needs_workflow,
    )
    def go_graph(self, workflow: str = "") -> None:
        name = workflow or self.workflow_name
        self.rondo.go(Place("graph", name, self.run_id if name == self.workflow_name else ""))

    @action(
        "go.runs",
        "to the runs",
        keys="3",
        words="runs",
        argument="workflow",
        help="To all runs, or to those of a workflow: filters, marks, commands for many",
    )
    def go_runs(self, workflow: str = "") -> None:
        self.rondo.go(Place("runs", workflow))

    @action("go.inbox", "to the inbox", keys="5,i", words="inbox", help="To every open question of every run")
    def go_inbox(self) -> None:
        self.rondo.go(Place("inbox"))

    @action("go.tools", "to the tools", keys="7", words="list-tools", help="To the apps, their accounts and actions")
    def go_tools(self) -> None:
        self.rondo.go(Place("tools"))

    @action("go.run", "to the run", keys="4", words="show", argument="run", help="To a run: its steps, log and state")
    def go_run(self, run_id: str = "") -> None:
        self.rondo.go_run(run_id or self.run_id)

    @action("go.settings", "to the settings", keys="8", words="settings", help="To the settings, theme and keymap")
    def go_settings(self) -> None:
        self.rondo.go(Place("settings"))

    @action(
        "run.start",
        "run",
        keys="r",
        words="run",
        argument="workflow",
        help="Run the workflow; asks first where this version may not run yet",
        footer=10,
        when=needs_workflow,
    )
    def start_run(self, workflow: str = "") -> None:
        self.rondo.start_run(workflow or self.workflow_name)

    @action(
        "run.start-with-inputs",
        "run with inputs",
        keys="R",
        words="run with inputs",
        argument="workflow",
        help="Fill in the run's inputs first",
        footer=11,
        when=needs_workflow,
    )
    def start_run_with_inputs(self, workflow: str = "") -> None:
        self.rondo.ask_for_inputs(workflow or self.workflow_name)

    @action(
        "workflow.edit",
        "edit code",
        keys="e",
        words="edit",
        help="Open your editor on what is shown: nodes.py, the line of a finding or of an error",
        footer=40,
        when=needs_workflow,
    )
    def edit_code(self) -> None:
        path, line = self.code_place()
        if path:
            self.rondo.edit_file(path, line, self.workflow_name, self.code_folder())
        else:
            self.say("The workflow is still being read", "hint")

    @action("view.copy", "copy", keys="y", words="copy", help="Copy what is selected", footer=60)
    def copy_selected(self) -> None:
        text = self.copied_text()
        if text:
            self.rondo.copy(text)
        else:
            self.say("There is nothing to copy here", "hint")

    @action("engine.stop", "stop the engine", help="End the engine: runs stop at a step and go on when it starts again")
    def stop_engine(self) -> None:
        self.rondo.stop_engine()


def error_text(error: RondoError, doing: str = "") -> str:
    """An error as lines: what failed, why, what to do next."""
    head = f"{doing}: {error.message}" if doing else error.message
    return "\n".join(line for line in (head, error.cause, error.next_step) if line)
