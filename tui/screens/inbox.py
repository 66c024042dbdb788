"""Screen 5: every open question of every run, answered without going there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import uuid4

import msgspec
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.event_types import EngineChanged, RequestChanged, RunChanged
from core.link.types import Answer, RequestView
from core.link.types import StateView as StateRows
from tui.actions import action
from tui.messages import EngineEvents
from tui.reader import Reader
from tui.screens.base import error_text
from tui.screens.code import OpensCode
from tui.screens.run_question import PATIENCE_SECONDS, AnswerRefused, AnswerTaken, OvertakenRead, settled_words
from tui.spans import Span
from tui.text import exact_time, home_path, relative_time, visible
from tui.tool_text import app_of_request
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.question import QuestionForm
from tui.widgets.request_list import KINDS, Identity, RequestHead, RequestList, identity
from tui.widgets.rule import Bar, PaneRule, Title
from tui.widgets.state_view import StateView

CUT_PROMPT = 4_000
"""Characters of a prompt with which the list may have cut it."""
BOTH_WIDTH = 100
"""Columns from which on the list and a state have room side by side."""


class RequestsRead(Message, bubble=False):
    """The open requests; `turn` counts the readings."""

    def __init__(self, turn: int, rows: list[RequestView]) -> None:
        super().__init__()
        self.turn = turn
        self.rows = rows


class WholeRead(Message, bubble=False):
    """A request with all of its prompt and options."""

    def __init__(self, request: RequestView) -> None:
        super().__init__()
        self.request = request


class StateOfRun(Message, bubble=False):
    """The last state of a run, or a part of it."""

    def __init__(self, state: StateRows) -> None:
        super().__init__()
        self.state = state


def needs_request(screen: InboxScreen) -> str:
    """Why there is no question to act on."""
    return "" if screen.requests.selected is not None else "Nothing waits for you"


def needs_open(screen: InboxScreen) -> str:
    """Why nothing can be answered."""
    selected = screen.requests.selected
    if selected is None:
        return "Nothing waits for you"
    return screen.requests.settled.get(identity(selected), "")


def needs_account_asked(screen: InboxScreen) -> str:
    """Why nothing can be connected."""
    return needs_open(screen) or ("" if screen.asked_app else "This question is not about an account")


def is_cut(request: RequestView) -> bool:
    """True where the list may have only a part of what is asked."""
    lacks = request.options is None and request.input_type in ("select", "multiselect")
    return lacks or len(request.prompt or "") >= CUT_PROMPT


class InboxScreen(OpensCode):
    """All that runs ask of a person."""

    view = "inbox"

    DEFAULT_CSS = """
    InboxScreen #upper { height: 1fr; min-height: 3; }
    InboxScreen #requests { width: 1fr; height: 1fr; }
    InboxScreen #state { width: 1fr; height: 1fr; }
    InboxScreen .empty { padding: 1 2; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests = RequestList(lambda: self.rondo.now())
        self.question = QuestionForm(lambda: self.rondo.drafts)
        self.state = StateView()
        self._head = RequestHead()
        self._upper = Horizontal(id="upper")
        self._bar = Bar()
        self._rule = PaneRule()
        self._about = Paragraph("", "dim")
        self._empty = Paragraph("Connecting to the engine…", "dim", classes="empty")
        self._reader: Reader[RequestsRead] | None = None
        self._turn = 0
        self._answered: dict[Identity, int] = {}
        """Requests whose answers the engine has, with the reading that was the last one begun before it."""
        self._sending: Identity | None = None
        self._whole: dict[Identity, RequestView] = {}
        self._answer_ids: dict[str, str] = {}
        self._state_of = ""
        """The run whose state is shown, "" for none."""

    def compose_body(self) -> Iterable[Widget]:
        yield self._head
        with self._upper:
            yield self.requests
            yield self._bar
            yield self.state
        yield self._empty
        yield self._rule
        yield self._about
        yield self.question
        for part in (self._head, self._upper, self._bar, self.state, self._rule, self._about):
            part.display = False

    def on_compose(self) -> None:
        # This comes before the base class asks for everything.
        self._reader = Reader(self, "the questions", self._read, lambda message: message, period=0.1)

    def on_mount(self) -> None:
        self.requests.focus()
        self._show()
        self.set_interval(20.0, self._time_passed)

    def _time_passed(self) -> None:
        self.requests.refresh()
        self._show_context()

    # What is shown and selected ----------------------------------------------------------------------------------

    def crumbs(self) -> tuple[str, ...]:
        return (home_path(str(self.rondo.workspace.root)), "inbox")

    @property
    def workflow_name(self) -> str:
        return self.requests.selected.workflow if self.requests.selected is not None else ""

    @property
    def run_id(self) -> str:
        return self.requests.selected.run_id if self.requests.selected is not None else ""

    def copied_text(self) -> str:
        """The command that answers it, without the answer."""
        selected = self.requests.selected
        return f"rondo answer {selected.run_id[-8:]} {selected.request_id} " if selected is not None else ""

    def panes(self) -> list[Widget]:
        return [pane for pane in (self.requests, self.state) if pane.display]

    # Reading -----------------------------------------------------------------------------------------------------

    def read_all(self) -> None:
        if self._reader is not None:
            self._reader.want()

    def on_engine_events(self, message: EngineEvents) -> None:
        """Read the questions again where one came or went, also with the run that asked."""
        listed = {row.run_id for row in self.requests.rows}
        for event in message.events:
            if isinstance(event, RequestChanged) or (isinstance(event, RunChanged) and event.run_id in listed):
                self.read_all()
                break
        if any(isinstance(event, EngineChanged) for event in message.events):
            self._show()

    async def _read(self) -> RequestsRead:
        self._turn += 1
        turn = self._turn
        return RequestsRead(turn, await self.engine.list_requests())

    def on_requests_read(self, message: RequestsRead) -> None:
        self._answered = {found: turn for found, turn in self._answered.items() if message.turn <= turn}
        rows = [row for row in message.rows if identity(row) not in self._answered]
        known = {identity(row): row.opened_at for row in rows}
        # Code that changed may ask another thing by the same key.
        whole = self._whole.items()
        self._whole = {found: request for found, request in whole if known.get(found) == request.opened_at}
        rows = [self._whole.get(identity(row), row) for row in rows]
        selected = self.requests.selected
        unknown = selected is not None and identity(selected) not in (*known, *self.requests.settled, self._sending)
        if selected is not None and unknown:
            self.requests.note_settled(selected, "not open any more")
            self._read_settled(selected)
        self.requests.show(rows, selected)
        self._show()

    def _read_settled(self, request: RequestView) -> None:
        async def work() -> None:
            try:
                now = await self.engine.read_request(request.run_id, request.key)
            except RondoError:
                return
            self.post_message(OvertakenRead(now))

        self.run_worker(work, group="overtaken", exclusive=True)  # type: ignore[arg-type]

    def on_overtaken_read(self, message: OvertakenRead) -> None:
        """Say what became of the question that is selected."""
        found = identity(message.request)
        if found not in self.requests.settled:
            return
        words = settled_words(message.request, None)
        self.requests.note_settled(message.request, words)
        shown = self.question.request
        if shown is not None and identity(shown) == found:
            self.question.show_overtaken(words)
        self._show_context()

    def on_whole_read(self, message: WholeRead) -> None:
        request = message.request
        self._whole[identity(request)] = request
        rows = [request if identity(row) == identity(request) else row for row in self.requests.rows]
        self.requests.show(rows, self.requests.selected)
        self._show()

    # Showing -----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Bring everything in line with the list and its cursor."""
        listed = bool(self.requests.rows)
        self._empty.display = not listed
        shows_state = bool(self._state_of) and listed
        both = self.body_width >= BOTH_WIDTH
        self._upper.display = listed
        self.state.display = shows_state
        self.requests.display = listed and (both or not shows_state)
        self._bar.display = shows_state and both
        self._head.display = self.requests.display and not shows_state
        if not self.requests.loaded:
            lost = self.rondo.headline.connection == "lost"
            self._empty.text = "The engine is lost; reconnecting…" if lost else "Connecting to the engine…"
        else:
            self._empty.text = (
                "Nothing waits for you.\n\nWhat runs ask comes here by itself, the oldest first, and can be answered"
                " here.\n3 shows all runs, 1 the workflows."
            )
        self._show_question()
        self._show_context()
        self.refresh_footer()

    def _show_question(self) -> None:
        """Show the form of the selected request; one that is being answered stays until a key goes on."""
        selected = self.requests.selected
        if selected is not None and not self.requests.selected_is_open:
            wanted = self._after_settled() if self.question.typing else None
        elif selected is not None and is_cut(selected) and identity(selected) not in self._whole:
            wanted = None
            self.ask(
                lambda: self.engine.read_request(selected.run_id, selected.key),
                WholeRead,
                group="whole",
                doing="reading the question",
            )
        else:
            wanted = selected
        if self.question.show(wanted) and wanted is None:
            self.set_timer(PATIENCE_SECONDS, self._put_form_away)

    def _after_settled(self) -> RequestView | None:
        """The open request after the selected one, else the first."""
        rows = self.requests.rows
        behind = [*rows[self.requests.cursor :], *rows]
        return next((row for row in behind if identity(row) not in self.requests.settled), None)

    def _put_form_away(self) -> None:
        """No other question came: the keys belong to the list again."""
        if self.question.put_away():
            self.set_focus(self.requests)

    def _show_context(self) -> None:
        selected = self.requests.selected
        self._rule.display = self._about.display = selected is not None
        if selected is None:
            return
        typing = self.question.typing
        details: tuple[Span, ...] = ((f"run {selected.run_id[-8:]}", "dim"),)
        if self.requests.selected_is_open:
            end = "enter sends, esc leaves" if typing else "tab to answer"
            title = Title(f"◐ {visible(selected.node)} asks", active=typing, end=end, details=details, ink="waiting")
        else:
            end = "enter goes on, esc leaves" if typing else "j or k goes on"
            title = Title(f"{visible(selected.node)} asked", active=typing, end=end, details=details)
        self._rule.titles = (title,)
        reason = KINDS.get(selected.kind, "")
        asked = f"asked {relative_time(selected.opened_at, self.rondo.now())} ({exact_time(selected.opened_at)})"
        visit = f", visit {selected.visit}" if selected.visit > 1 else ""
        parts = [visible(selected.workflow) + visit, asked, f"about {reason}" if reason else ""]
        words = self.requests.settled.get(identity(selected), "")
        if words and not typing:
            parts.append(words)
        self._about.text = " · ".join(part for part in parts if part)

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another question is selected: one that was settled under the cursor is left for good."""
        if event.lines is self.requests:
            self._cursor_moved()

    def _cursor_moved(self) -> None:
        selected = self.requests.selected
        left = [row for row in self.requests.rows if identity(row) in self.requests.settled]
        if selected is not None and any(row is not selected for row in left):
            self.requests.show([row for row in self.requests.rows if row not in left or row is selected], selected)
        if self._state_of and selected is not None and selected.run_id != self._state_of:
            self._want_state(selected.run_id)
        self._show()

    def on_descendant_focus(self) -> None:
        self._show_context()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    # Answering ---------------------------------------------------------------------------------------------------

    @action(
        "inbox.answer", "answer", keys="a", words="answer", help="To the question, as Enter", footer=1, when=needs_open
    )
    def go_to_question(self) -> None:
        # The cursor may have moved by a key of the same piece.
        self._cursor_moved()
        self.question.begin_soon()

    def next_pane(self) -> None:
        """To the question where there is one, else to the next pane."""
        if self.question.overtaken and self.question.typing:
            self.question.go_on()
        elif self.requests.selected_is_open and not self.question.typing and self.focused in (self.requests, None):
            self.go_to_question()
        else:
            super().next_pane()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        if event.lines is self.requests and self.requests.selected_is_open:
            self.go_to_question()

    def on_question_form_overtaken(self, event: QuestionForm.Overtaken) -> None:
        """Somebody else was faster, or it is asked in other words now."""
        words = self.requests.settled.get(identity(event.request), "asked anew, in other words")
        self.question.show_overtaken(words)
        self._show_context()

    def on_question_form_left(self, event: QuestionForm.Left) -> None:
        """What was typed for a question that is gone stays readable for a moment; the next one is selected."""
        typed = event.draft if isinstance(event.draft, str) else ""
        lines = [f"{visible(event.request.node)}: {event.words}", f"Not sent: {visible(typed)}" if typed else ""]
        self.say("\n".join(line for line in lines if line), "hint")
        following = self.question.request
        gone = self.requests.settled
        rows = [row for row in self.requests.rows if identity(row) not in gone]
        self.requests.show(rows, following)
        self._show()
        if following is None:
            self._put_form_away()

    def on_question_form_answered(self, event: QuestionForm.Answered) -> None:
        """Send the answer; the same answer sent again acts once."""
        request = event.request
        key = f"{request.run_id} {request.key} {request.opened_at} {json.dumps(event.value)}"
        command_id = self._answer_ids.setdefault(key, str(uuid4()))
        self._sending = identity(request)
        answer = Answer(command_id=command_id, run_id=request.run_id, request=request.key, value=event.value)
        self.run_worker(self._send(answer), group="answer", exclusive=True)

    async def _send(self, answer: Answer) -> None:
        try:
            run = await self.engine.answer(answer)
        except RondoError as error:
            self.post_message(AnswerRefused(answer.request, error_text(error)))
        else:
            self.post_message(AnswerTaken(answer.request, run))

    def on_answer_taken(self, message: AnswerTaken) -> None:
        """The next question comes up: sending this one was a key of one's own."""
        found = (message.run.run_id, message.key)
        self._answered[found] = self._turn
        self._sending = None
        request = self.question.request
        if request is not None and identity(request) == found:
            self.question.forget_draft(request)
        selected = self.requests.selected
        rows = [row for row in self.requests.rows if identity(row) != found]
        keep = selected if selected is not None and identity(selected) != found else None
        self.requests.show(rows, keep)
        self._show()
        self.read_all()

    def on_answer_refused(self, message: AnswerRefused) -> None:
        request, self._sending = self.question.request, None
        if request is not None and request.key == message.key:
            self.question.show_problem(message.text)
        else:
            self.say(message.text, "problem")
        self.read_all()

    def close_top_layer(self) -> bool:
        if super().close_top_layer():
            return True
        if self.question.typing:
            self.set_focus(self.requests)
            self.question.go_on(hold_focus=False)
            self._show()
            return True
        if self._state_of:
            self.toggle_state()
            return True
        return False

    # The run behind it -------------------------------------------------------------------------------------------

    @property
    def asked_app(self) -> str:
        """The app whose account the selected request waits for, or ""."""
        selected = self.requests.selected
        return app_of_request(selected.kind, selected.request_id) if selected is not None else ""

    @action(
        "inbox.connect",
        "connect",
        keys="C",
        words="connect",
        help="Connect the account that the run waits for; it then goes on by itself",
        footer=1,
        when=needs_account_asked,
    )
    def connect(self) -> None:
        self.rondo.connect_for(self.workflow_name, self.asked_app)

    @action(
        "inbox.open", "to the run", keys="o", words="open", help="To the run that asks", footer=2, when=needs_request
    )
    def open_run(self) -> None:
        self.rondo.go_run(self.run_id)

    @action(
        "inbox.state",
        "state",
        keys="s",
        words="state",
        help="The state of the run that asks",
        footer=3,
        when=needs_request,
    )
    def toggle_state(self) -> None:
        if self._state_of:
            self._state_of = ""
            self._show()
            self.set_focus(self.requests)
        else:
            self._want_state(self.run_id)
            self._show()
            self.set_focus(self.state)

    def _want_state(self, run_id: str) -> None:
        self._state_of = run_id
        self.ask(lambda: self.engine.read_state(run_id), StateOfRun, group="state", doing="reading the state")

    def on_state_of_run(self, message: StateOfRun) -> None:
        state = message.state
        if state.run_id != self._state_of:
            return
        value = msgspec.json.decode(state.value)
        if state.path:
            self.state.put_part(tuple(state.path), value, state.elided)
        else:
            self.state.show_state(state.seq, value, state.elided, [], state.size)

    def on_state_view_part_wanted(self, event: StateView.PartWanted) -> None:
        run_id, seq, path = self._state_of, self.state.step, list(event.path)
        self.ask(
            lambda: self.engine.read_state(run_id, seq, path), StateOfRun, group="state part", doing="reading the state"
        )
