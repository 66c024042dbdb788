"""The chat: the conversation, what it asks, and where one writes. Beside every screen, and as a screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.chat_events import ChatChanged, ChatText, ProposalChanged
from core.link.chat_types import (
    AnswerQuestions,
)
from core.link.event_types import Event
from core.link.types import RunFilter
from core.link.workflow_types import WorkflowDetail
from tui.chat_commands import References, suggestions
from tui.chat_desk import ChatDesk
from tui.chat_words import usage_text
from tui.conversation import Conversation
from tui.messages import EngineFailed
from tui.reader import Reader
from tui.spans import Span
from tui.text import visible
from tui.widgets.chat_keys import ChatKeys
from tui.widgets.chat_log import ChatLog
from tui.widgets.chat_messages import (
    About,
    AboutRead,
    ChatFound,
    ChatRead,
    ConversationChanged,
    NotSent,
    ProposalOpened,
    Sent,
)
from tui.widgets.chat_questions import ChatQuestions
from tui.widgets.chat_writing import ChatWriting
from tui.widgets.composer import Composer, Suggestions
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.rule import PaneRule, Title

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi
    from tui.app import RondoApp


class NothingSaid(Paragraph, can_focus=True):
    """What stands in an empty chat; while it has the focus, letters are keys as they are over a conversation."""


class ChatPane(ChatKeys, ChatWriting, Vertical):
    """The conversation of the desk. It shows and sends; what it means is the engine's."""

    view = "conversation"

    DEFAULT_CSS = """
    ChatPane { width: 1fr; height: 1fr; background: $background; }
    ChatPane .empty { height: 1fr; padding: 1 1; }
    ChatPane .problem { height: auto; max-height: 3; padding: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_view = ChatLog()
        self.questions = ChatQuestions()
        self.suggestion_list = Suggestions()
        self.composer = Composer(self.suggestion_list)
        self.composer.completions = lambda before: suggestions(before, self.references)
        self._rule = PaneRule()
        self._questions_rule = PaneRule()
        self._composer_rule = PaneRule()
        self._empty = NothingSaid("", "dim", classes="empty")
        self._problem = Paragraph("", "bad", classes="problem")
        self.replaces = 0
        """The number of the message that the next one takes the place of; 0 for none."""
        self.references = References()
        self.sending = False
        self.stop_asked = 0.0
        self._early = ""
        self.chat_reader = Reader(self, "the chat", self._read_chat, lambda message: message)
        self._about_reader = Reader(self, "the models", self._read_about, AboutRead, period=1.0)

    def compose(self) -> ComposeResult:
        yield self._rule
        yield self._empty
        yield self.log_view
        yield self._problem
        yield self._questions_rule
        yield self.questions
        yield self._composer_rule
        yield self.suggestion_list
        yield self.composer

    def on_mount(self) -> None:
        self._questions_rule.display = self._problem.display = False
        self.show_desk()

    # App and engine ----------------------------------------------------------------------------------------------

    @property
    def rondo(self) -> RondoApp:
        """The app, by its own type."""
        return cast("RondoApp", self.app)

    @property
    def api(self) -> AssistantApi:
        """The engine, as far as chats are concerned."""
        return cast("AssistantApi", self.rondo.engine)

    @property
    def desk(self) -> ChatDesk:
        """What the app keeps of its chats."""
        return self.rondo.desk

    @property
    def conversation(self) -> Conversation:
        """The one that is shown."""
        return self.desk.conversation

    @property
    def writing(self) -> bool:
        """True while keys go into the composer or the form."""
        return self.composer.has_focus or self.questions.answering

    # Which conversation ------------------------------------------------------------------------------------------

    @property
    def stands(self) -> bool:
        """True from when its parts are there until it goes."""
        return self.is_attached and self.composer.is_attached and self.questions.is_attached

    def show_desk(self) -> None:
        """Show the conversation of the desk, which may be another one now."""
        if not self.stands:
            return
        if self.log_view.conversation is not self.conversation:
            self.log_view.show(self.conversation)
        else:
            self.log_view.changed(0)
        self.composer.put(self.desk.drafts.get(self.desk.draft_key, ""))
        self.composer.sent_before = self.desk.sent.setdefault(self.conversation.workflow, [])
        self.refresh_parts()
        self.read_all()

    def open_about(self, workflow: str) -> None:
        """Show the last conversation about a workflow, where it is not shown already."""
        here = self.conversation
        if workflow and workflow != here.workflow:
            self.open(Conversation(workflow))
        elif not here.chat_id:
            self._find()

    def _find(self) -> None:
        workflow = self.conversation.workflow

        async def call() -> Message:
            rows = await self.api.list_chats(workflow or None, 1)
            return ChatFound(workflow, rows[0] if rows and (rows[0].workflow or "") == workflow else None)

        self.call_engine(call, "reading the chats", group="chat find")

    def on_chat_found(self, message: ChatFound) -> None:
        here = self.conversation
        if message.row is not None and not here.chat_id and here.workflow == message.workflow and not here.items:
            self.open(Conversation(message.workflow, message.row.chat_id), keep_draft=True)

    def open(self, conversation: Conversation, *, keep_draft: bool = False) -> None:
        """Show a conversation; one without an id is searched by its workflow."""
        draft = self.composer.text if keep_draft else ""
        self.desk.conversation = conversation
        self.replaces = 0
        if draft:
            self.desk.drafts[self.desk.draft_key] = draft
        self.show_desk()
        self._about_reader.want()
        if not conversation.chat_id and not keep_draft:
            self._find()

    def begin_new(self) -> None:
        """A new conversation about the same workflow."""
        self.open(Conversation(self.conversation.workflow), keep_draft=True)

    # What the engine says ----------------------------------------------------------------------------------------

    def read_all(self) -> None:
        """Read what is shown again."""
        if not self.rondo.connected_once or not self.stands:
            return
        if self.conversation.chat_id:
            self.chat_reader.want()
        self._about_reader.want()

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        here = self.conversation
        match event:
            case ChatChanged() if event.chat_id == here.chat_id:
                if here.row is not None and here.row.busy != event.busy:
                    here.row.busy = event.busy
                    self.refresh_titles()
                self.chat_reader.want()
            case ChatText() if event.chat_id == here.chat_id:
                place = here.grow(event)
                if place is None:
                    self.chat_reader.want()
                else:
                    self.log_view.changed(place)
            case ProposalChanged():
                if event.proposal_id in here.proposals:
                    here.forget_proposal(event.proposal_id)
                    self.chat_reader.want()

    async def _read_chat(self) -> Message:
        conversation = self.conversation
        return ChatRead(conversation, await conversation.read(self.api))

    def on_chat_read(self, message: ChatRead) -> None:
        """Show what was read."""
        if message.conversation is not self.conversation:
            return
        place = self.conversation.take(message.read)
        self.log_view.changed(place)
        if message.read.what == "newest":
            self.log_view.follow()
        if self.conversation.wanted:
            self.chat_reader.want()
        self._merge_history()
        self.refresh_parts()
        self.screen.post_message(ConversationChanged())

    def _merge_history(self) -> None:
        if not self.composer.sent_before:
            self.composer.sent_before += [entry.text for entry in self.conversation.said_by_user()]

    async def _read_about(self) -> About:
        status = await self.api.models_status()
        workflow = self.conversation.workflow
        nodes: list[tuple[str, str]] = []
        runs: list[tuple[str, str]] = []
        if workflow:
            try:
                detail: WorkflowDetail | None = self.rondo.known.find(workflow) or await self.rondo.engine.get_workflow(
                    workflow
                )
            except RondoError:
                detail = None
            nodes = [(node.id, f"node {node.class_name}") for node in detail.nodes] if detail is not None else []
            rows = await self.rondo.engine.list_runs(RunFilter(workflow=workflow, limit=10))
            runs = [(row.short_id, f"run {row.status}") for row in rows]
        return About(status, References(nodes, runs))

    def on_about_read(self, message: AboutRead) -> None:
        self.desk.status = message.about.status
        self.references = message.about.references
        self.refresh_parts()

    def call_engine(self, call: Callable[[], Awaitable[Message]], doing: str, *, group: str, text: str = "") -> None:
        """Call the engine behind the screen; what comes of it comes as a message, a failure as `NotSent`."""

        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                message = NotSent(error, text, doing)
            self.post_message(message)

        self.run_worker(work, group=group, name=group)  # type: ignore[arg-type]

    def on_engine_failed(self, message: EngineFailed) -> None:
        """Reading failed: the screen says so."""
        self.screen.post_message(message)

    def on_not_sent(self, message: NotSent) -> None:
        """Say why, and give the text back where nothing else was written since."""
        self.sending = False
        self.screen.post_message(EngineFailed(message.error, message.doing))
        if message.text and not self.composer.text:
            self.composer.put(message.text)
        self.refresh_titles()
        self.chat_reader.want() if self.conversation.chat_id else None

    # Showing -----------------------------------------------------------------------------------------------------

    def refresh_parts(self) -> None:
        """Show or hide what belongs to the moment: the form, the emptiness, what keeps the chat from working."""
        if not self.stands:
            return
        here, status = self.conversation, self.desk.status
        problem = status.problem if status is not None else None
        self._problem.display = problem is not None
        if problem is not None:
            # In few words: /model shows all of it.
            step = problem.next_step.split("\n")[0].split(". ")[0]
            step = step.split(", for example")[0].split(", or ")[0].rstrip(".")
            words = " ".join(text for text in (problem.message, f"{step}." if step else "") if text)
            self._problem.text = f"{visible(words)} /templates works without it, /model says more."
        self.questions.show(here.open_questions)
        self._questions_rule.display = self.questions.asks
        empty = not here.items
        read = self.resting.has_focus
        self._empty.display = empty
        self.log_view.display = not empty
        if read:
            self.screen.set_focus(self.resting)
        if empty:
            self._empty.text = self._empty_text()
        elif not self.log_view.size.width:
            # It has a size once it is laid out; then it lays out its lines.
            self.call_after_refresh(self.log_view.changed, 0)
        self.refresh_titles()

    def _empty_text(self) -> str:
        here = self.conversation
        if not here.loaded:
            return "Reading the chat…"
        if here.workflow:
            return (
                f"Say what {visible(here.workflow)} should do, or ask about it.\n\n@ names a node or a run, / shows"
                " commands. Nothing is changed before you have seen and accepted it."
            )
        return (
            "Say what a new workflow should do: the assistant asks what it must know and shows a proposal.\n\n"
            "/templates makes one without a model, / shows commands."
        )

    def refresh_titles(self) -> None:
        """Show the titles again: what the chat is about, its mode, what it used, whether it works."""
        here, row, log = self.conversation, self.conversation.row, self.log_view
        details: list[Span] = []
        if row is not None:
            details.append((row.mode, "waiting" if row.mode == "auto" else "dim"))
            if row.tries:
                details.append(("tries on", "waiting"))
            if row.tainted:
                details.append(("read run data: auto is off", "waiting"))
        if not log.following and log.display:
            details.append(("more below: G", "waiting"))
        end = usage_text(row.usage) if row is not None and row.usage.calls else ""
        name = f"chat: {visible(here.workflow)}" if here.workflow else "chat: a new workflow"
        self._rule.titles = (Title(name, active=log.has_focus, details=tuple(details), end=end),)
        self._questions_rule.titles = (
            Title(
                self.questions.title,
                active=self.questions.answering,
                ink="waiting",
                end="" if self.questions.answering else "tab to answer",
            ),
        )
        if self.replaces:
            text, ink, end = f"instead of message {self.replaces}", "waiting", "esc: leave it as it is"
        elif here.busy or self.sending:
            text, ink, end = "● working", "running", "esc esc stops"
        else:
            text, ink, end = "write", "strong", self._model
        waits = here.open_proposal is not None and not self.questions.asks and not here.busy
        more = (("a proposal waits: enter", "waiting"),) if waits and not self.composer.text else ()
        self._composer_rule.titles = (Title(text, active=self.composer.has_focus, ink=ink, details=more, end=end),)

    @property
    def _model(self) -> str:
        status = self.desk.status
        chat = next((role.model for role in status.roles if role.name == "chat"), "") if status is not None else ""
        return visible(chat)

    def on_descendant_focus(self) -> None:
        self.refresh_titles()

    def on_descendant_blur(self) -> None:
        self.refresh_titles()

    def on_chat_log_following_changed(self) -> None:
        self.refresh_titles()

    def on_chat_log_edge_near(self, event: ChatLog.EdgeNear) -> None:
        """More of the conversation is wanted."""
        if not self.conversation.wanted:
            self.conversation.wanted = event.where
            self.chat_reader.want()

    # Questions ---------------------------------------------------------------------------------------------------

    def on_chat_questions_answered(self, event: ChatQuestions.Answered) -> None:
        """Send the answers."""
        here = self.conversation
        answer = AnswerQuestions(
            command_id=str(uuid4()), chat_id=here.chat_id, number=event.entry.number, answers=event.answers
        )
        self.write()
        self.questions.show(None)
        self._questions_rule.display = False
        self.sending = True
        self.refresh_titles()

        async def call() -> Message:
            return Sent(here, await self.api.answer_questions(answer))

        self.call_engine(call, "answering", group="chat send")

    def go_to_what_waits(self) -> None:
        """To the questions, else to the proposal, else say that nothing waits."""
        proposal = self.conversation.open_proposal
        if self.questions.asks:
            self.questions.begin()
        elif proposal is not None:
            self.post_message(ProposalOpened(proposal.proposal_id))
        else:
            self.rondo.say("Write something, or / for a command", "hint")

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter on an entry: open what it is."""
        event.stop()
        item = self.log_view.selected
        if item is None:
            return
        if item.entry.kind == "proposal" and item.entry.proposal:
            self.post_message(ProposalOpened(item.entry.proposal))
        elif item.entry is self.conversation.open_questions:
            self.questions.begin()
        else:
            self.write()

    @property
    def resting(self) -> Widget:
        """What has the keys while nobody writes."""
        return self.log_view if self.log_view.display else self._empty

    def panes(self) -> list[Any]:
        """What tab goes through here."""
        form = [self.questions] if self.questions.asks else []
        return [*([self.log_view] if self.log_view.display else []), *form, self.composer]
