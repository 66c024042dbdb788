"""The models, chats and proposals of the engine in memory: scripted by tests, for tests of the screens only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from core.errors import RondoError, UsageError
from core.link.chat_events import ChatChanged, ChatText, ProposalChanged
from core.link.chat_types import (
    AnswerQuestions,
    AssumptionView,
    ChangeGroup,
    ChatEntry,
    ChatMode,
    ChatPage,
    ChatQuery,
    ChatRow,
    CheckView,
    ClassChange,
    Decide,
    Decided,
    EditRow,
    GraphChange,
    Option,
    ProposalView,
    Question,
    RiskView,
    SendMessage,
    TemplateView,
    ToolUse,
    Understanding,
    Undone,
)
from core.link.event_types import Event
from core.link.model_types import BudgetView, ModelsStatus, ProviderView, RoleView, UsageView
from core.link.types import ErrorView, RunView


@dataclass
class Chat:
    """A conversation with its entries."""

    row: ChatRow
    entries: list[ChatEntry] = field(default_factory=list)
    revision: int = 0


class UnknownChat(RondoError):
    """There is no such chat."""


class ChatDouble:
    """What `AssistantApi` says, on lists in memory. `on_message` answers what is said."""

    now: Callable[[], float]
    calls: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.chats: dict[str, Chat] = {}
        self.proposals: dict[str, ProposalView] = {}
        self.edits: list[EditRow] = []
        self.decided: list[Decide] = []
        self.said: list[SendMessage] = []
        self.answered: list[AnswerQuestions] = []
        self.usage = UsageView()
        self.model_problem: ErrorView | None = None
        self.on_message: Callable[[Chat, SendMessage], None] = lambda chat, message: None
        self.made: list[tuple[str, str]] = []
        self._chat_numbers = itertools.count(1)

    def send(self, *events: Event) -> None:
        raise NotImplementedError

    async def _called(self, method: str) -> None:
        raise NotImplementedError

    # Scripting -------------------------------------------------------------------------------------------------

    def chat(self, workflow: str | None, *, title: str = "", mode: ChatMode = "propose") -> Chat:
        """Begin a conversation."""
        number = next(self._chat_numbers)
        row = ChatRow(
            chat_id=f"chat-{number:08d}",
            workflow=workflow,
            title=title,
            mode=mode,
            created_at=self.now() - 600,
            updated_at=self.now() - 60 + number,
            entries=0,
            busy=False,
            usage=UsageView(),
        )
        made = Chat(row)
        self.chats[row.chat_id] = made
        return made

    def add(self, chat: Chat, kind: Any, text: str = "", **fields: Any) -> ChatEntry:
        """One more entry."""
        chat.revision += 1
        entry = ChatEntry(
            number=len(chat.entries) + 1, revision=chat.revision, kind=kind, at=self.now(), text=text, **fields
        )
        chat.entries.append(entry)
        chat.row.entries = len(chat.entries)
        self.chat_changed(chat)
        return entry

    def change(self, chat: Chat, entry: ChatEntry, **fields: Any) -> ChatEntry:
        """An entry changes."""
        chat.revision += 1
        made = replace(entry, revision=chat.revision, **fields)
        chat.entries[entry.number - 1] = made
        self.chat_changed(chat)
        return made

    def chat_changed(self, chat: Chat) -> None:
        row = chat.row
        self.send(ChatChanged(chat_id=row.chat_id, workflow=row.workflow, revision=chat.revision, busy=row.busy))

    def busy(self, chat: Chat, busy: bool) -> None:
        """The model works on a turn, or not any more."""
        chat.row = replace(chat.row, busy=busy)
        chat.revision += 1
        self.chat_changed(chat)

    def stream(self, chat: Chat, entry: ChatEntry, text: str) -> None:
        """More text of an entry."""
        self.send(ChatText(chat_id=chat.row.chat_id, number=entry.number, offset=len(entry.text), text=text))
        entry.text += text

    def use_tool(self, chat: Chat, title: str, status: Any = "done", result: str = "") -> ChatEntry:
        """The model uses a tool."""
        return self.add(chat, "tool", tool=ToolUse(name=title.split()[0], title=title, status=status, result=result))

    def ask_questions(self, chat: Chat, *questions: Question, score: float = 0.64) -> ChatEntry:
        """The assistant asks."""
        understanding = Understanding(
            clarity=0.7, completeness=0.5, feasibility=0.9, specificity=0.5, score=score, threshold=0.7
        )
        return self.add(chat, "questions", questions=list(questions), understanding=understanding)

    def propose(self, chat: Chat, proposal: ProposalView) -> ChatEntry:
        """The assistant proposes."""
        self.proposals[proposal.proposal_id] = proposal
        chat.row = replace(chat.row, open_proposal=proposal.proposal_id if proposal.status == "open" else None)
        return self.add(chat, "proposal", proposal=proposal.proposal_id)

    def proposal_becomes(self, proposal_id: str, status: Any) -> None:
        """A proposal is decided, or goes stale."""
        proposal = self.proposals[proposal_id] = replace(self.proposals[proposal_id], status=status)
        chat = self.chats[proposal.chat_id]
        if status != "open":
            chat.row = replace(chat.row, open_proposal=None)
        chat.revision += 1
        self.send(ProposalChanged(proposal_id=proposal_id, workflow=proposal.workflow, status=status))
        self.chat_changed(chat)

    # Models ------------------------------------------------------------------------------------------------------

    async def models_status(self) -> ModelsStatus:
        await self._called("models_status")
        provider = ProviderView(
            name="anthropic",
            title="Anthropic",
            wire="anthropic",
            base_url="https://api.anthropic.com",
            key="none" if self.model_problem else "environment",
            key_names=["ANTHROPIC_API_KEY", "CLAUDE_API_KEY"],
            tried=False,
        )
        roles = [
            RoleView(name=name, model="anthropic:claude-x", effort="medium", source="default")
            for name in ("chat", "planner")
        ]
        return ModelsStatus(
            profile="default",
            profiles=["default", "local"],
            providers=[provider],
            roles=roles,
            problem=self.model_problem,
        )

    async def list_budgets(self, run_id: str | None = None) -> list[BudgetView]:
        await self._called("list_budgets")
        return [BudgetView(scope="day", what="dollars", limit=5.0, used=0.42)]

    async def get_usage(self, run_id: str | None = None, chat_id: str | None = None) -> UsageView:
        await self._called("get_usage")
        return self.usage

    # Conversations -----------------------------------------------------------------------------------------------

    def _chat(self, chat_id: str) -> Chat:
        if chat_id not in self.chats:
            raise UnknownChat(f"There is no chat {chat_id}.", next_step="See them: rondo chat list")
        return self.chats[chat_id]

    async def list_chats(self, workflow: str | None = None, limit: int = 50) -> list[ChatRow]:
        await self._called("list_chats")
        rows = [chat.row for chat in self.chats.values() if workflow in (None, chat.row.workflow)]
        return sorted(rows, key=lambda row: -row.updated_at)[:limit]

    async def read_chat(self, query: ChatQuery) -> ChatPage:
        await self._called("read_chat")
        chat = self._chat(query.chat_id)
        entries = chat.entries
        if query.since is not None:
            since = query.since
            entries = [entry for entry in entries if entry.revision > since][: query.limit]
        else:
            before = query.before
            entries = [entry for entry in entries if before is None or entry.number < before][-query.limit :]
        copied = [replace(entry) for entry in entries]
        return ChatPage(chat=replace(chat.row), entries=copied, first=1, last=len(chat.entries), revision=chat.revision)

    async def send_message(self, message: SendMessage) -> ChatRow:
        await self._called("send_message")
        chat = self._chat(message.chat_id) if message.chat_id else self.chat(message.workflow, title=message.text[:40])
        if chat.row.busy and message.replaces is None:
            raise UsageError("The model works on a turn.", next_step="Stop it first.")
        self.said.append(message)
        if message.replaces is not None:
            for entry in list(chat.entries[message.replaces - 1 :]):
                self.change(chat, entry, replaced=True)
        self.add(chat, "user", message.text)
        self.on_message(chat, message)
        return chat.row

    async def answer_questions(self, answer: AnswerQuestions) -> ChatRow:
        await self._called("answer_questions")
        self.answered.append(answer)
        chat = self._chat(answer.chat_id)
        self.change(chat, chat.entries[answer.number - 1], answers=answer.answers)
        return chat.row

    async def stop_chat(self, chat_id: str) -> ChatRow:
        await self._called("stop_chat")
        chat = self._chat(chat_id)
        self.busy(chat, False)
        self.add(chat, "note", "Stopped.")
        return chat.row

    async def retry_chat(self, command_id: str, chat_id: str) -> ChatRow:
        await self._called("retry_chat")
        chat = self._chat(chat_id)
        last = max(entry.number for entry in chat.entries if entry.kind == "user")
        for entry in list(chat.entries[last:]):
            self.change(chat, entry, replaced=True)
        return chat.row

    async def set_chat_mode(self, chat_id: str, mode: ChatMode) -> ChatRow:
        await self._called("set_chat_mode")
        chat = self._chat(chat_id)
        chat.row = replace(chat.row, mode=mode)
        self.chat_changed(chat)
        return chat.row

    async def allow_tries(self, chat_id: str, allowed: bool) -> ChatRow:
        await self._called("allow_tries")
        chat = self._chat(chat_id)
        chat.row = replace(chat.row, tries=allowed)
        self.chat_changed(chat)
        return chat.row

    async def delete_chat(self, command_id: str, chat_id: str) -> None:
        await self._called("delete_chat")
        del self.chats[chat_id]

    async def fix_run(self, command_id: str, run_id: str) -> ChatRow:
        await self._called("fix_run")
        run = self._run(run_id)  # type: ignore[attr-defined]
        chat = self.chat(run.workflow, title=f"fix {run_id[-8:]}")
        self.add(chat, "user", f"Repair @{run_id[-8:]}")
        return chat.row

    # Proposals ---------------------------------------------------------------------------------------------------

    async def list_proposals(self, workflow: str | None = None, status: str = "open") -> list[ProposalView]:
        await self._called("list_proposals")
        return [one for one in self.proposals.values() if one.status == status and workflow in (None, one.workflow)]

    async def get_proposal(self, proposal_id: str) -> ProposalView:
        await self._called("get_proposal")
        return replace(self.proposals[proposal_id])

    async def try_proposal(self, command_id: str, proposal_id: str) -> ProposalView:
        await self._called("try_proposal")
        proposal = self.proposals[proposal_id]
        checks = [replace(check, status="passed", message="") for check in proposal.checks]
        self.proposals[proposal_id] = replace(proposal, checks=checks)
        return self.proposals[proposal_id]

    async def decide_proposal(self, decide: Decide) -> Decided:
        await self._called("decide_proposal")
        self.decided.append(decide)
        status = {"accept": "applied", "reject": "rejected", "revise": "revised"}[decide.decision]
        self.proposal_becomes(decide.proposal_id, status)
        proposal = self.proposals[decide.proposal_id]
        if decide.decision != "accept":
            return Decided(proposal=proposal)
        number = len(self.edits) + 1
        self.edits.insert(
            0,
            EditRow(
                number=number,
                workflow=proposal.workflow,
                at=self.now(),
                author="assistant",
                title=proposal.title,
                before=proposal.base,
                after=proposal.result,
            ),
        )
        return Decided(proposal=proposal, version=proposal.result, backup="backups/2026-01-02", edit=number)

    async def list_edits(self, workflow: str, limit: int = 50) -> list[EditRow]:
        await self._called("list_edits")
        return [edit for edit in self.edits if edit.workflow == workflow][:limit]

    async def undo_edit(self, command_id: str, workflow: str, edit: int | None = None) -> Undone:
        await self._called("undo_edit")
        row = next((row for row in self.edits if row.workflow == workflow and not row.undone), None)
        if row is None:
            raise UsageError(f"There is nothing to undo in {workflow}.")
        row.undone = True
        return Undone(edit=row, version="v1", written=["nodes.py", f"{workflow}.json"], removed=[])

    async def redo_edit(self, command_id: str, workflow: str) -> Undone:
        await self._called("redo_edit")
        row = next((row for row in self.edits if row.workflow == workflow and row.undone), None)
        if row is None:
            raise UsageError(f"There is nothing to redo in {workflow}.")
        row.undone = False
        return Undone(edit=row, version="v2", written=["nodes.py"], removed=[])

    async def list_templates(self) -> list[TemplateView]:
        await self._called("list_templates")
        return [
            TemplateView(name="hello", title="Hello", description="Greets whom you name.", nodes=2),
            TemplateView(name="approval", title="Approval", description="Asks before it goes on.", nodes=4),
        ]

    async def create_from_template(self, command_id: str, name: str, template: str) -> EditRow:
        await self._called("create_from_template")
        self.made.append((name, template))
        self.workflow(name, ["ask", "greet"])  # type: ignore[attr-defined]
        return EditRow(
            number=1, workflow=name, at=self.now(), author="template", title=template, before=None, after="v1"
        )

    async def rewind_run(self, rewind: Any) -> RunView:
        await self._called("rewind_run")
        return await self.get_run(rewind.run_id)  # type: ignore[attr-defined, no-any-return]


# Ready-made ------------------------------------------------------------------------------------------------------

WEEKDAYS = Question(
    id="weekend",
    text="On Saturday and Sunday:",
    options=[Option(label="skip the run"), Option(label="collect until Monday", detail="posts all on Monday")],
)
ASKING = Question(
    id="ask",
    text='"Ask" means:',
    options=[Option(label="wait for my answer"), Option(label="post anyway")],
    several=True,
)

GATE = '''@@ -40,0 +41,9 @@
+class WeekdayGate(Node):
+    """Lets the digest through on weekdays only."""
+
+    def prepare(self, shared, ask):
+        return date.today().weekday()
+
+    def execute(self, weekday):
+        return weekday < 5
'''
POST = """@@ -80,4 +80,6 @@
 class Post(Node):
     def execute(self, prepared):
-        return send(prepared)
+        with httpx.Client(base_url="https://hooks.example.org") as client:
+            return client.post("/digest", json=prepared).json()
"""


def weekday_proposal(
    chat: Chat, workflow: str = "mail_digest", *, number: int = 3, status: Any = "open", risky: bool = True
) -> ProposalView:
    """A proposal as in the sketch of the screens: two new nodes, one that changes, a risk, an assumption."""
    nodes = ["fetch", "sort", "summarise", "critic", "approve", "post"]
    chain = list(itertools.pairwise(nodes))
    before = {
        "start": "fetch",
        "nodes": [{"id": node, "class": node.title()} for node in nodes],
        "edges": [{"from": one, "to": other} for one, other in chain],
    }
    after = {
        "start": "weekday_gate",
        "nodes": [
            {"id": "weekday_gate", "class": "WeekdayGate"},
            {"id": "many_mails", "class": "Ask"},
            *(
                {"id": node, "class": node.title(), **({"retry": {"attempts": 3}} if node == "post" else {})}
                for node in nodes
            ),
        ],
        "edges": [
            {"from": "weekday_gate", "to": "fetch", "condition": "shared['weekday'] < 5"},
            {"from": "fetch", "to": "sort"},
            {"from": "sort", "to": "many_mails", "condition": "shared['n'] > 50"},
            {"from": "many_mails", "to": "summarise"},
            *({"from": one, "to": other} for one, other in chain[2:]),
        ],
    }
    groups = [
        ChangeGroup(
            id="g1",
            title="weekday_gate   WeekdayGate  before fetch",
            graph=[
                GraphChange(what="node", sign="+", target="weekday_gate", text="node weekday_gate (WeekdayGate)"),
                GraphChange(
                    what="edge",
                    sign="+",
                    target="weekday_gate fetch 1",
                    text="edge weekday_gate → fetch if weekday < 5",
                ),
            ],
            classes=[ClassChange(name="WeekdayGate", sign="+", diff=GATE)],
        ),
        ChangeGroup(
            id="g2",
            title="many_mails     Ask  after sort, if n > 50",
            graph=[
                GraphChange(what="node", sign="+", target="many_mails", text="node many_mails (Ask)"),
                GraphChange(what="edge", sign="+", target="sort many_mails 1", text="edge sort → many_mails if n > 50"),
            ],
            classes=[],
            needs=["g1"],
        ),
        ChangeGroup(
            id="g3",
            title="post           retry 1 → 3, posts by a hook",
            graph=[GraphChange(what="node", sign="~", target="post", text="node post: retry 1 → 3")],
            classes=[ClassChange(name="Post", sign="~", diff=POST)],
        ),
    ]
    checks = [CheckView(name=name, status="passed") for name in ("schema", "lint", "compile", "ruff")]
    checks += [CheckView(name="dry_run", status="not_run", message="It runs the code: t tries it.")]
    if status == "broken":
        checks[1] = CheckView(
            name="lint", status="failed", message="1 error", findings=["E104 nodes.py:41 unknown class"]
        )
    return ProposalView(
        proposal_id=f"proposal-{number}",
        number=number,
        chat_id=chat.row.chat_id,
        workflow=workflow,
        status=status,
        title="Post on weekdays only, and ask when there are many mails",
        why="You asked for weekdays only; more than 50 mails need your answer first.",
        created_at=1_767_330_000.0,
        base="v1",
        result="v2",
        groups=groups,
        checks=checks,
        risks=[
            RiskView(id="r1", kind="host", what="hooks.example.org", file="nodes.py", line=83, group="g3"),
            RiskView(id="r2", kind="import", what="httpx", file="nodes.py", line=3, group="g3"),
        ]
        if risky
        else [],
        assumptions=[AssumptionView(id="a1", text="your time zone is Europe/Berlin")],
        before_graph=msgspec.Raw(json.dumps(before).encode()),
        after_graph=msgspec.Raw(json.dumps(after).encode()),
        usage=UsageView(calls=3, input_tokens=3600, output_tokens=500, cost=0.012),
    )
