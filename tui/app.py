"""The app: it opens at once, reaches the engine behind the first paint, and leads from screen to screen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.events import Event, Key
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Input

from core.errors import EngineLost, RondoError
from core.link.event_types import WorkflowChanged
from core.places import Workspace, state_folder
from core.read_only import is_read_only
from tui.actions import EVERYWHERE, MOVING, Action, registry
from tui.checking import ChecksFiles
from tui.connecting import ConnectsTools
from tui.connection import Connection, CostRead, EngineClient, StatusRead, after_events, after_status, unclean_end_text
from tui.deeds import Deeds
from tui.editing import EditsFiles
from tui.ending import EndsWell, after_a_defect
from tui.first_reading import FirstRead, theme_by_terminal
from tui.guide import LeadsByHand
from tui.keys import DoubledKeys, taken_in
from tui.known import KnownWorkflows
from tui.messages import Copied, EngineEvents, EngineFailed, EngineReady, EngineStopped
from tui.navigation import Place
from tui.notify import Notifier
from tui.screen_of_place import screen_of
from tui.screens.base import RondoScreen, error_text
from tui.screens.workflows import WorkflowsScreen
from tui.starting import StartsRuns, Whereabouts
from tui.terminal import TerminalDriver
from tui.theme import RONDO, RONDO_LIGHT
from tui.widgets.header import Headline
from tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from tui.chat_desk import ChatDesk
    from tui.command_log import CommandLog, LoggedEngine
    from tui.commands import History


def open_session(workspace: Workspace) -> EngineClient:
    """The way to the workspace's engine, which is started where none runs. Not imported before the first paint."""
    from core.link.session import EngineSession

    return EngineSession(workspace, "tui")


class RondoApp(StartsRuns, EditsFiles, EndsWell, ChecksFiles, ConnectsTools, LeadsByHand, inherit_bindings=False):
    """The app. `make_client` and `now` are for tests: another engine, a clock that stands."""

    TITLE = "rondo"
    CSS_PATH = Path(__file__).parent / "styles" / "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "hint_quit", show=False, system=True),
        Binding("ctrl+q", "leave", show=False, priority=True, system=True),
    ]

    headline: reactive[Headline] = reactive(Headline(), repaint=False)

    def __init__(
        self,
        workspace: Workspace,
        *,
        make_client: Callable[[Workspace], EngineClient] = open_session,
        now: Callable[[], float] = time.time,
        first: FirstRead | None = None,
    ) -> None:
        super().__init__()
        self.workspace = workspace
        self.now = now
        self.connected_once = False
        self._end_told = ""
        self._make_client = make_client
        self._connection: Connection | None = None
        self._logged: LoggedEngine | None = None
        self._doubled_keys = DoubledKeys(self)
        self._last_place: Place | None = None
        self._moves = 0
        self._last_run = ""
        self.drafts: dict[str, Any] = {}
        """Answers that were typed and not sent, by run and request."""
        self._history: History | None = None
        self.command_words: dict[str, tuple[str, ...]] = {}
        """What can be completed on the command line, by kind of argument: workflow, run."""
        self.known = KnownWorkflows()
        self.terminal: Driver | None = None
        """What writes to the terminal, once it is open; none in tests."""
        self.notifier = Notifier(workspace, self.bell, self._write_terminal)
        self.deeds = Deeds()
        """What was done to whole workflows, to be taken back."""
        self.desk_if_any: ChatDesk | None = None
        self._log: CommandLog | None = None
        self.headline = Headline(read_only=is_read_only())
        self.first = first or FirstRead()
        self.register_theme(RONDO)
        self.register_theme(RONDO_LIGHT)
        if "TEXTUAL_THEME" not in os.environ:
            self.show_theme(self.first.theme)

    def show_theme(self, name: str) -> None:
        """Use a theme's colours; where there is none of that name, those that suit the terminal."""
        self.theme = name if name in self.available_themes else theme_by_terminal(os.environ)

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        return TerminalDriver if issubclass(TerminalDriver, found) else found

    def get_default_screen(self) -> Screen[Any]:
        return WorkflowsScreen()

    @property
    def command_log(self) -> CommandLog:
        """What was done in this session, as commands."""
        if self._log is None:
            from tui.command_log import CommandLog

            self._log = CommandLog(self.workspace, self.now)
        return self._log

    @property
    def desk(self) -> ChatDesk:
        """What is kept of the chats while one goes from screen to screen."""
        if self.desk_if_any is None:
            from tui.chat_desk import ChatDesk

            self.desk_if_any = ChatDesk()
        return self.desk_if_any

    # The engine ------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> EngineApi:
        """The engine of this workspace; there from the first `EngineReady` on."""
        if self._logged is None:
            raise RuntimeError("the engine is asked before the first paint")
        return cast("EngineApi", self._logged)

    def on_mount(self) -> None:
        if self.terminal is not None:
            self.hear_signals()
        self.call_after_refresh(self._connect)

    def _connect(self) -> None:
        from tui.command_log import LoggedEngine

        client = self._make_client(self.workspace)
        self._connection = Connection(client, self.post_message)
        self._logged = LoggedEngine(client, self.command_log)
        self.run_worker(self._connection.follow(), group="engine", name="events")
        self.run_worker(self.find_kept_place(), group="place", name="place")
        self.run_worker(self.check_files(), group="files", name="files")
        self.run_worker(self._connection.count(), group="engine", name="counts")
        self.run_worker(self._connection.follow_costs(), group="engine", name="costs")

    async def on_unmount(self) -> None:
        if self._connection is not None:
            await self._connection.client.close()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Show how the engine is, and hand the events to the screen that can be seen."""
        before = self.headline
        self.headline = after_events(self.headline, message.events)
        if news := self.notifier.news(message.events):
            self.run_worker(self.notifier.say(news), group="notify", name="notify")
        for event in message.events:
            if isinstance(event, WorkflowChanged):
                self.known.forget(event.name)
        if self._connection is not None and self._connection.gap_closed(message.events):
            self.connected_once = True
            self.known.forget_all()
            self._tell_screens(EngineReady)
        self._tell_screens(lambda: EngineEvents(message.events))
        self._say_problem(before)

    def _say_problem(self, before: Headline) -> None:
        """What a person has to mend is said; a connection that comes back by itself is only seen in the header."""
        connection = self.headline.connection
        problem = self._connection.client.problem if self._connection is not None else None
        if connection == "trouble" and self.headline.message not in ("", before.message):
            self.say(self.headline.message, "problem")
        elif connection in ("lost", "silent") and problem is not None and not isinstance(problem, EngineLost):
            self.say(error_text(problem), "problem")
        elif connection == "connected" and before.connection == "silent":
            self.say("The engine answers again", "good")
        elif connection == "connected" and before.connection == "lost":
            self.say("Connected to the engine again", "good")

    def _tell_screens(self, make: Callable[[], EngineReady | EngineEvents]) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, RondoScreen):
                if screen.is_covered:
                    screen.missed_events = True
                else:
                    screen.post_message(make())

    def on_status_read(self, message: StatusRead) -> None:
        before = self.headline
        self.headline = after_status(self.headline, message.status)
        self._say_problem(before)
        end = message.status.unclean_end
        if end is not None and not end.seen and end.id != self._end_told:
            self._end_told = end.id
            self.say(unclean_end_text(end), "problem")
            self.run_worker(self._note_seen(end.id), group="unclean end", name="unclean end")

    def on_cost_read(self, message: CostRead) -> None:
        self.headline = replace(self.headline, cost=message.text)

    async def _note_seen(self, end_id: str) -> None:
        """Tell the engine that the person was told, so that nobody is told again."""
        with contextlib.suppress(RondoError):
            await self.engine.see_unclean_end(end_id)

    # Actions and keys ------------------------------------------------------------------------------------------

    def target_of(self, found: Action) -> Any | None:
        """The screen or list that an action acts on now; None where it doesn't belong."""
        screen = self.screen
        if found.view == MOVING:
            if isinstance(screen.focused, LineList):
                return screen.focused
            return next(iter(screen.query(LineList)), None)
        around = screen.focused.ancestors_with_self if screen.focused is not None else ()
        parts = [*around, *(screen.inner_parts() if isinstance(screen, RondoScreen) else ()), screen]
        return next((part for part in parts if isinstance(part, found.owner)), None)

    def perform(self, found: Action, target: Any, argument: str = "") -> None:
        """Do an action, or say why it can't be done now. A screen that comes or goes does nothing yet or any more."""
        if not target.is_mounted or not target.is_attached:
            return
        reason = found.why_not(target)
        if reason and not argument:
            self.say(reason, "hint")
            return
        method = getattr(target, found.method.__name__)
        if found.argument:
            method(argument)
        else:
            method()

    async def on_event(self, event: Event) -> None:
        """Give a key that may move the focus the time to do so before the next key is looked at."""
        typed = isinstance(event, Key) and not event.is_forwarded and not event.is_printable
        typed_into = self.focused if typed and self.typing else None
        await super().on_event(event)
        if typed_into is not None:
            await taken_in(typed_into)

    @property
    def typing(self) -> bool:
        """True while the widget with the focus takes letters, or the composer that is about to come."""
        focused = self.focused
        if getattr(self.screen, "early_keys", None) is not None:
            return True
        return isinstance(focused, Input) or getattr(focused, "takes_letters", False)

    def hears_first(self, key: str) -> Any | None:
        """The widget or screen that has an action for a key, from the one with the focus on outwards; None while
        somebody is typing."""
        if self.typing:
            return None
        inside = self.focused or self.screen
        return next((node for node in inside.ancestors_with_self if registry.knows(type(node), key)), None)

    def press(self, key: str, found: Action, target: Any) -> None:
        """The key of an action was pressed; one that may be doubled waits a moment for its second press."""
        view = getattr(self.screen, "view", "")
        doubled = registry.of_keys(f"{key} {key}", (MOVING, view))
        if doubled is not None and self.target_of(doubled) is not None:
            part = self.screen.inner_part() if isinstance(self.screen, RondoScreen) else None
            alone = registry.of_keys(key, (*((part.view,) if part is not None else ()), view, EVERYWHERE))
            self._doubled_keys.press(key, doubled=self._deed(doubled), alone=self._deed(alone))
        else:
            self._doubled_keys.settle()
            self.perform(found, target)

    def _deed(self, found: Action | None) -> Callable[[], None] | None:
        target = self.target_of(found) if found is not None else None
        return None if found is None or target is None else lambda: self.perform(found, target)

    def call_later_in(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after some time; returns what cancels that."""
        return self.set_timer(seconds, callback).stop

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines above the footer of the screen; kind is info, good, hint or problem."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, RondoScreen) and screen.is_mounted:
                screen.say(text, kind)
                return

    # The terminal around -----------------------------------------------------------------------------------------

    def copy(self, text: str) -> None:
        """Copy text: to the terminal's clipboard, and to a file."""
        from tui.clipboard import fits_terminal

        if fits_terminal(text):
            self.copy_to_clipboard(text)
        self.run_worker(self._write_copy(text), group="copy", name="copy")

    async def _write_copy(self, text: str) -> None:
        from tui.clipboard import copied_text, copy_to_tmux, write_copy

        problem = await asyncio.to_thread(write_copy, text)
        in_tmux = await asyncio.to_thread(copy_to_tmux, text)
        self.post_message(Copied(copied_text(text, problem, in_tmux=in_tmux)))

    def _write_terminal(self, text: str) -> None:
        if self.terminal is not None:
            self.terminal.write(text)

    def on_copied(self, message: Copied) -> None:
        self.say(message.text, "good")

    def action_hint_quit(self) -> None:
        """Ctrl+c: say how to leave; it never ends a run."""
        self.say("Press q to leave (the runs go on), x on a run to cancel it", "hint")

    def action_leave(self) -> None:
        self.leave()

    # Places ----------------------------------------------------------------------------------------------------

    @property
    def place(self) -> Place:
        """Where the person is."""
        screen = self._rondo_screen
        return screen.place if screen is not None else Place("workflows")

    @property
    def whereabouts(self) -> Whereabouts:
        screen = self._rondo_screen
        return Whereabouts(screen, screen.workflow_name if screen is not None else "", self._moves)

    @property
    def _rondo_screen(self) -> RondoScreen | None:
        """The screen that lies under any sheet."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, RondoScreen)), None)

    def go(self, place: Place) -> None:
        """Show a place: back to its screen where it is open below, else on a new one."""
        here = self.place
        if place == here:
            return
        self._last_place = here
        self._moves += 1
        self._note_look(place)
        places = [screen.place if isinstance(screen, RondoScreen) else None for screen in self.screen_stack]
        if place.view == "workflows" or place in places:
            depth = 0 if place.view == "workflows" else places.index(place)
            for _ in range(len(places) - 1 - depth):
                self.pop_screen()
        else:
            self.push_screen(screen_of(place))

    def _note_look(self, place: Place) -> None:
        """The command that shows the same as a place stands in the log too."""
        from tui.command_lines import line_of_place

        self.command_log.looked(line_of_place(place))

    def go_back(self) -> None:
        """One screen back; from the first one: leave."""
        if len(self.screen_stack) <= 1:
            self.leave()
        else:
            self._last_place = self.place
            self._moves += 1
            self.pop_screen()

    def go_last(self) -> None:
        """Back and forth between the last two places."""
        if self._last_place is None:
            self.say("No other screen was open yet", "hint")
        else:
            self.go(self._last_place)

    def go_run(self, run_id: str) -> None:
        """To a run; without an id to the one that was looked at last."""
        run_id = run_id or self._last_run
        if run_id:
            self._last_run = run_id
            self.go(Place("run", run_id=run_id))
        else:
            self.say("No run yet: r on a workflow starts one", "hint")

    def open_help(self) -> None:
        """Show what the keys of this view do; Enter there does it."""
        from tui.screens.help import HelpSheet

        self.push_screen(HelpSheet(self.screen), self._perform_chosen)

    def open_command_line(self) -> None:
        """Open the command line, which is the palette too."""
        from tui.commands import History
        from tui.screens.command import CommandSheet

        if self._history is None:
            self._history = History(state_folder() / "commands.jsonl")
            self._history.load()
        for screen in self.screen_stack:
            if isinstance(screen, RondoScreen):
                # What can be completed is read with the list of workflows, which may lie below.
                screen.catch_up()
        actions = [found for found in registry if self.target_of(found) is not None]
        self.push_screen(CommandSheet(actions, self.command_words, self._history.lines), self._command_typed)

    def _command_typed(self, chosen: tuple[Action, str] | None) -> None:
        if chosen is not None and self._history is not None:
            self._history.add(f"{chosen[0].command} {chosen[1]}".strip())
            self.run_worker(self._history.save, thread=True, group="history", name="history")
        self._perform_chosen(chosen)

    def _perform_chosen(self, chosen: tuple[Action, str] | None) -> None:
        if chosen is None:
            return
        found, argument = chosen
        target = self.target_of(found)
        if target is not None:
            self.perform(found, target, argument)

    def open_command_log(self) -> None:
        """Show what was done in this session, as the commands that do the same."""
        from tui.screens.commands_done import CommandsDoneSheet

        self.push_screen(CommandsDoneSheet(self.command_log))

    def stop_engine(self) -> None:
        """Ask, then end the engine and leave: while the app is open it would be started again."""
        from tui.screens.confirm import ConfirmSheet

        def decided(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._stop_engine(), group="engine", name="stop")

        text = "Running steps come to their end first. The runs go on when the engine starts again."
        self.push_screen(ConfirmSheet("End the engine and leave?", text, yes="end it"), decided)

    async def _stop_engine(self) -> None:
        if self._connection is None:
            return
        try:
            await self.engine.stop_engine()
        except RondoError as error:
            self.post_message(EngineFailed(error, "ending the engine"))
        else:
            await self._connection.client.close()
            self.post_message(EngineStopped())

    def on_engine_failed(self, message: EngineFailed) -> None:
        self.say(error_text(message.error, message.doing), "problem")

    def on_engine_stopped(self) -> None:
        self.exit(0, message="The engine has ended.")

    def leave(self) -> None:
        """End the app; the engine and the runs go on, and the terminal then says so."""
        running = self.headline.running
        noun = "run goes" if running == 1 else "runs go"
        message = f"{running} {noun} on in the engine. See: rondo runs   End it: rondo engine stop" if running else None
        self.exit(0, message=message)


def run_app(workspace: Workspace, first: FirstRead | None = None) -> int:
    """Open the app on a workspace and stay until the person leaves; returns the exit status."""
    app = RondoApp(workspace, first=first)
    result = app.run()
    if result is None and app.return_code:
        after_a_defect(app.return_code)
        return app.return_code
    return result or 0
