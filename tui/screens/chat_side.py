"""The chat beside a screen, and what every screen can do about changes: open, repair, take back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from textual import events
from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError, UndoConflict
from tui.actions import action
from tui.messages import EngineEvents, EngineFailed
from tui.navigation import Place
from tui.spans import Spans
from tui.text import visible

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi
    from core.link.chat_types import ChatRow, EditRow, TemplateView, Undone
    from tui.screens.base import RondoScreen
    from tui.screens.new_workflow import NewWorkflow
    from tui.widgets.chat_pane import ChatPane

BESIDE_FROM = 100
"""From this many columns on the chat stands beside the screen, else in its place."""
SHARE, LEAST, MOST = 0.45, 46, 84
"""The pane's width: its part of the columns, the fewest and the most."""


class ChatOpened(Message, bubble=False):
    """A conversation began that is to be shown."""

    def __init__(self, row: ChatRow) -> None:
        super().__init__()
        self.row = row


class EditsRead(Message, bubble=False):
    """The changes that were applied to a workflow, newest first."""

    def __init__(self, workflow: str, edits: list[EditRow]) -> None:
        super().__init__()
        self.workflow = workflow
        self.edits = edits


class EditUndone(Message, bubble=False):
    """A change was taken back, or applied again."""

    def __init__(self, undone: Undone, word: str) -> None:
        super().__init__()
        self.undone = undone
        self.word = word


class UndoRefused(Message, bubble=False):
    """What was changed since then touches what was to be taken back."""

    def __init__(self, error: UndoConflict) -> None:
        super().__init__()
        self.error = error


class TemplatesRead(Message, bubble=False):
    """The templates a workflow can begin from."""

    def __init__(self, templates: list[TemplateView]) -> None:
        super().__init__()
        self.templates = templates


class WorkflowMade(Message, bubble=False):
    """A workflow was made from a template."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def _screen(side: ChatSide) -> RondoScreen:
    return cast("RondoScreen", side)


def needs_failed_run(side: ChatSide) -> str:
    """Why there is nothing to repair; "" if there is."""
    return "" if side.failed_run else "The last run has not failed"


def needs_a_workflow(side: ChatSide) -> str:
    """Why there is no workflow to act on; "" if there is."""
    return "" if _screen(side).workflow_name else "Select a workflow first"


def can_undo(side: ChatSide) -> str:
    """Why there is nothing that could be taken back; "" if there may be."""
    return "" if side.undoes_deeds else needs_a_workflow(side)


def can_redo(side: ChatSide) -> str:
    """Why there is nothing that could be done again; "" if there may be."""
    return "" if side.redoes_deeds else needs_a_workflow(side)


class ChatSide:
    """The part of a screen that has the chat. `early_keys` is what was typed for a composer that is not there yet."""

    @property
    def undoes_deeds(self) -> bool:
        """True where undo takes back what was done to whole workflows, also where none is selected."""
        return False

    @property
    def redoes_deeds(self) -> bool:
        """The same of redo."""
        return False

    chat: ChatPane | None = None
    early_keys: str | None = None

    @property
    def api(self) -> AssistantApi:
        """The engine, as far as models and chats are concerned."""
        return cast("AssistantApi", _screen(self).engine)

    @property
    def failed_run(self) -> str:
        """The failed run that is shown or selected, or ""."""
        return ""

    @property
    def chat_shown(self) -> bool:
        """True while the chat can be seen."""
        return self.chat is not None and self.chat.is_attached and bool(self.chat.display)

    @property
    def chat_alone(self) -> bool:
        """True while the chat takes the whole width."""
        return self.chat_shown and _screen(self).app.size.width < BESIDE_FROM

    @property
    def chat_covers(self) -> bool:
        """True while a chat that belongs beside the screen lies over it, because there is no room for both."""
        return self.chat_alone and self.chat is not None and self.chat.has_class("beside")

    @property
    def body_width(self) -> int:
        """The columns that a chat beside the screen leaves to it."""
        width = _screen(self).app.size.width
        beside = self.chat_shown and self.chat is not None and self.chat.has_class("beside") and width >= BESIDE_FROM
        return width - (min(max(round(width * SHARE), LEAST), MOST) if beside else 0)

    def inner_parts(self) -> list[Any]:
        """The parts of the screen that have actions of their own."""
        return [self.chat] if self.chat_shown else []

    # Showing -----------------------------------------------------------------------------------------------------

    def show_chat(self, *, write: bool = True) -> None:
        """Show the chat beside the screen, and with `write` put the focus into it."""
        from tui.widgets.chat_pane import ChatPane

        screen = _screen(self)
        screen.rondo.desk.shown = True
        if self.chat is None:
            self.chat = ChatPane()
            self.chat.add_class("beside")
            screen.mount(self.chat)
        elif not self.chat.display:
            self.chat.display = True
            self.chat.show_desk()
        self.fit_chat()
        if write:
            self.early_keys = self.early_keys or ""
            screen.call_after_refresh(self.begin_writing)

    def begin_writing(self) -> None:
        """Put the focus into the composer as soon as it is there."""
        if self.early_keys is None or self.chat is None:
            return
        if self.chat.is_mounted and self.chat.composer.is_mounted:
            early, self.early_keys = self.early_keys, None
            self.chat.open_about(_screen(self).workflow_name)
            self.chat.write(early)
        elif _screen(self).is_attached:
            _screen(self).call_after_refresh(self.begin_writing)

    def hide_chat(self) -> None:
        """Put the chat away; the conversation goes on."""
        screen = _screen(self)
        screen.rondo.desk.shown = False
        self.leave_chat()
        if self.chat is not None:
            self.chat.display = False
        self.fit_chat()

    def leave_chat(self) -> None:
        """The keys belong to the screen again; where there is no room for both, the chat is put away."""
        screen = _screen(self)
        self.early_keys = None
        if self.chat_alone and self.chat is not None:
            screen.rondo.desk.shown = False
            self.chat.display = False
        panes = screen.panes()
        screen.set_focus(panes[0] if panes else None)

    def go_to_card(self) -> bool:
        """To the proposal that waits, where this screen shows one; False where it does not."""
        return False

    def tab_out(self, step: int) -> None:
        """Tab at the end of the chat: to the first pane of the screen, backwards to its last one."""
        screen = _screen(self)
        panes = [] if self.chat_alone else screen.panes()
        if panes:
            screen.set_focus(panes[0 if step > 0 else -1])
        elif self.chat is not None:
            screen.set_focus(self.chat.composer if step < 0 else self.chat.resting)

    def sync_chat(self) -> None:
        """Shown again: the chat is where it was left on the screen before."""
        screen = _screen(self)
        if screen.view == "chat":
            return
        wanted = screen.rondo.desk_if_any is not None and screen.rondo.desk.shown
        if wanted and screen.app.size.width >= BESIDE_FROM and not self.chat_shown:
            self.show_chat(write=False)
        elif wanted and self.chat_shown and self.chat is not None:
            self.chat.show_desk()
        elif not wanted and self.chat_shown and self.chat is not None:
            self.chat.display = False
            self.fit_chat()

    def fit_chat(self) -> None:
        """Let the screen know how much room is left."""
        screen = _screen(self)
        screen.set_class(screen.app.size.width < BESIDE_FROM, "-chat-alone")
        if self.chat is not None and self.chat.has_class("beside"):
            # Between header and footer, which are docked too.
            self.chat.styles.height = max(3, screen.app.size.height - 2)
        # The chat stands over the right end of what is docked: a notice would be cut there.
        screen.notice.styles.width = self.body_width
        screen.fit_body()

    def take_early(self, event: events.Key) -> bool:
        """Keep what is typed for a composer that is not there yet; True if it was kept."""
        if self.early_keys is None or not event.is_printable or not event.character:
            return False
        self.early_keys += event.character
        event.stop()
        event.prevent_default()
        return True

    def hear_chat(self, message: EngineEvents) -> None:
        """Tell the chat what happened."""
        if self.chat_shown and self.chat is not None and self.chat.is_mounted:
            for event in message.events:
                self.chat.hear(event)

    def chat_panes(self) -> list[Widget]:
        """The chat's panes that tab goes through."""
        return self.chat.panes() if self.chat_shown and self.chat is not None else []

    # Actions -----------------------------------------------------------------------------------------------------

    @action(
        "chat.toggle",
        "chat",
        keys="c,f2",
        words="chat",
        help="The chat beside this screen: open, go to it, put it away",
        footer=35,
    )
    def toggle_chat(self) -> None:
        if not self.chat_shown or self.chat is None:
            self.show_chat()
        elif self.chat in (_screen(self).focused.ancestors_with_self if _screen(self).focused else ()):
            self.hide_chat()
        else:
            self.chat.open_about(_screen(self).workflow_name)
            self.chat.write()

    @action("go.chat", "to the chat", keys="6", words="talk", help="To the chat and its proposals")
    def go_chat(self) -> None:
        screen = _screen(self)
        name = screen.workflow_name
        if name and name != screen.rondo.desk.conversation.workflow:
            from tui.conversation import Conversation

            screen.rondo.desk.conversation = Conversation(name)
        screen.rondo.go(Place("chat"))

    @action(
        "run.fix",
        "fix",
        keys="f",
        words="fix",
        argument="run",
        help="Let the assistant repair a failed run",
        footer=1,
        when=needs_failed_run,
    )
    def fix_run(self, run_id: str = "") -> None:
        screen = _screen(self)
        wanted, command = run_id or self.failed_run, str(uuid4())
        if not wanted:
            screen.say("Name a run that failed: fix RUN", "hint")
            return
        screen.ask(lambda: self.api.fix_run(command, wanted), ChatOpened, group="fix", doing="repairing")

    def on_chat_opened(self, message: ChatOpened) -> None:
        """Show the conversation that began."""
        from tui.conversation import Conversation

        screen = _screen(self)
        row = message.row
        screen.rondo.desk.conversation = Conversation(row.workflow or "", row.chat_id)
        screen.rondo.go(Place("chat"))

    @action(
        "workflow.undo",
        "undo",
        keys="u",
        words="undo",
        help="Take back what was done last; asks first where files were changed",
        when=can_undo,
    )
    def undo_change(self) -> None:
        name = _screen(self).workflow_name

        async def call() -> Message:
            return EditsRead(name, await self.api.list_edits(name, 50))

        self._call(call, "reading the changes")

    @action(
        "workflow.redo",
        "redo",
        keys="Z,ctrl+r",
        words="redo",
        help="Do or apply again what undo took back",
        when=can_redo,
    )
    def redo_change(self) -> None:
        name, command = _screen(self).workflow_name, str(uuid4())

        async def call() -> Message:
            return EditUndone(await self.api.redo_edit(command, name), "Applied again")

        self._call(call, "applying it again")

    def on_edits_read(self, message: EditsRead) -> None:
        from tui.screens.confirm import ConfirmSheet

        screen, command = _screen(self), str(uuid4())
        edit = next((edit for edit in message.edits if not edit.undone and edit.author != "undo"), None)
        if edit is None:
            screen.say(f"Nothing to take back: no change was applied to {visible(message.workflow)}", "hint")
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self._call(lambda: self._undo(command, message.workflow, edit.number), "taking it back")

        text = f"Change {edit.number} of {visible(message.workflow)}: {visible(edit.title)}. redo applies it again."
        screen.rondo.push_screen(ConfirmSheet("Take back the last change?", text, yes="take it back"), decided)

    async def _undo(self, command: str, workflow: str, edit: int) -> Message:
        try:
            return EditUndone(await self.api.undo_edit(command, workflow, edit), "Taken back")
        except UndoConflict as error:
            return UndoRefused(error)

    def on_edit_undone(self, message: EditUndone) -> None:
        undone = message.undone
        files = [*undone.written, *(f"{name} (removed)" for name in undone.removed)]
        kept = "\nWhat was changed by hand since then is kept." if undone.kept_later_changes else ""
        title = undone.edit.title.removeprefix("Undo: ").removeprefix("Redo: ")
        text = f"{message.word}: {visible(title)}  ({', '.join(visible(name) for name in files)}){kept}"
        _screen(self).say(text, "good")

    def on_undo_refused(self, message: UndoRefused) -> None:
        """Show both sides."""
        from tui.screens.read import ReadSheet

        error = message.error
        lines: list[Spans] = [[("✗ ", "bad"), (visible(error.message), "bad")]]
        lines += [[("  " + visible(text), "dim")] for text in (error.cause, error.next_step) if text]
        details = error.details if isinstance(error.details, dict) else {"both": error.details} if error.details else {}
        for name, value in details.items():
            lines += [[], [(visible(str(name)), "strong")]]
            lines += [[("  " + visible(text), "")] for text in str(value).splitlines()]
        _screen(self).rondo.push_screen(ReadSheet("not taken back", lines))

    @action("workflow.new", "new workflow", words="new", help="A new workflow: described in chat, or from a template")
    def new_workflow(self) -> None:
        async def call() -> Message:
            return TemplatesRead(await self.api.list_templates())

        self._call(call, "reading the templates")

    def on_templates_read(self, message: TemplatesRead) -> None:
        from tui.screens.new_workflow import NewWorkflowSheet

        screen, command = _screen(self), str(uuid4())
        known = screen.rondo.command_words.get("workflow", ())

        def chosen(new: NewWorkflow | None) -> None:
            if new is None:
                return
            if not new.template:
                self._describe(new.name)
                return

            async def call() -> Message:
                await self.api.create_from_template(command, new.name, new.template)
                return WorkflowMade(new.name)

            self._call(call, f"making {new.name}")

        screen.rondo.push_screen(NewWorkflowSheet(message.templates, known), chosen)

    def _describe(self, name: str) -> None:
        from tui.conversation import Conversation

        screen = _screen(self)
        screen.rondo.desk.conversation = Conversation(name)
        screen.rondo.go(Place("chat"))

    def on_workflow_made(self, message: WorkflowMade) -> None:
        screen = _screen(self)
        screen.rondo.go(Place("graph", message.name))
        screen.rondo.say(f"{message.name} is there: r runs it, e opens its code, c talks about it", "good")

    def _call(self, call: Callable[[], Awaitable[Message]], doing: str) -> None:
        screen = _screen(self)

        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                message = EngineFailed(error, doing)
            screen.post_message(message)

        screen.run_worker(work, group="changes", name=doing)  # type: ignore[arg-type]
