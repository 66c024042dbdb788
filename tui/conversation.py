"""The conversation that is shown: a window of its entries, what streams, and its proposals. Pure but for the reading.

One conversation at a time is shown, by whichever screen is on top; its panes draw what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.link.chat_events import ChatText
from core.link.chat_types import (
    ChatEntry,
    ChatPage,
    ChatQuery,
    ChatRow,
    ProposalView,
)
from tui.chat_lines import EntryLines

if TYPE_CHECKING:
    from core.link.assistant_api import AssistantApi

PAGE = 40
"""How many entries are read at once."""
KEPT = 160
"""How many entries are held: a long chat costs no more than this."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a chat, and what for: changes, older entries, newer ones, or the newest."""

    what: str
    page: ChatPage
    proposals: dict[str, ProposalView] = field(default_factory=dict)


class Conversation:
    """A chat, or one that is about to begin (`chat_id` is "" then)."""

    def __init__(self, workflow: str = "", chat_id: str = "") -> None:
        self.workflow = workflow
        self.chat_id = chat_id
        self.row: ChatRow | None = None
        self.items: list[EntryLines] = []
        self.proposals: dict[str, ProposalView] = {}
        self.loaded = not chat_id
        self.revision = 0
        self.first = 1
        self.last = 0
        self.wanted = ""
        """Which part is to be read next, besides what changed: older, newer, newest."""

    # What it is now ----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while the model works on a turn."""
        return self.row is not None and self.row.busy

    @property
    def at_end(self) -> bool:
        """True where the newest entry is held."""
        return not self.items or self.items[-1].entry.number >= self.last

    @property
    def at_start(self) -> bool:
        """True where there is nothing older than what is held."""
        return not self.items or self.items[0].entry.number <= self.first

    @property
    def open_questions(self) -> ChatEntry | None:
        """The questions that wait for an answer."""
        if not self.at_end:
            return None
        last = next((item.entry for item in reversed(self.items) if item.entry.kind in ("questions", "user")), None)
        return last if last is not None and last.kind == "questions" and last.answers is None else None

    @property
    def open_proposal(self) -> ProposalView | None:
        """The proposal that waits for a decision."""
        wanted = self.row.open_proposal if self.row is not None else None
        return self.proposals.get(wanted) if wanted else None

    def said_by_user(self) -> list[ChatEntry]:
        """What the user said, oldest first."""
        return [item.entry for item in self.items if item.entry.kind == "user"]

    def item(self, number: int) -> EntryLines | None:
        """The entry with a number, if it is held."""
        return next((item for item in reversed(self.items) if item.entry.number == number), None)

    # Reading -----------------------------------------------------------------------------------------------------

    async def read(self, api: AssistantApi) -> Read:
        """Read what is wanted, else what changed since."""
        wanted, self.wanted = self.wanted, ""
        query = ChatQuery(chat_id=self.chat_id, limit=PAGE)
        if wanted == "older" and self.items:
            query.before = self.items[0].entry.number
        elif wanted == "newer" and self.items:
            query.before = self.items[-1].entry.number + PAGE + 1
        elif self.loaded and wanted != "newest":
            wanted = "changes"
            query.since = self.revision
            query.limit = KEPT
        else:
            wanted = "newest"
        page = await api.read_chat(query)
        if wanted == "changes" and len(page.entries) >= KEPT:
            wanted = "newest"
            page = await api.read_chat(ChatQuery(chat_id=self.chat_id, limit=PAGE))
        named = {entry.proposal for entry in page.entries if entry.proposal}
        named |= {page.chat.open_proposal} if page.chat.open_proposal else set()
        named |= {item.entry.proposal for item in self.items}
        stale = {key for key in named if key and key not in self.proposals}
        return Read(wanted, page, {key: await api.get_proposal(key) for key in sorted(stale)})

    def take(self, read: Read) -> int:
        """Take in what was read; returns the place of the first item that may look different now."""
        page = read.page
        if page.chat.chat_id != self.chat_id:
            return len(self.items)
        self.row = page.chat
        self.workflow = page.chat.workflow or self.workflow
        ahead = self.at_end
        self.first, self.last = page.first, page.last
        self.proposals |= read.proposals
        if read.what in ("newest", "changes"):
            self.revision = max(self.revision, page.revision)
        if read.what == "newest":
            self.items = []
        self.loaded = True
        known = {item.entry.number: item for item in self.items}
        entries = {number: item.entry for number, item in known.items()}
        oldest, newest = min(known, default=0), max(known, default=0)
        for entry in page.entries:
            # What changed outside of the window is read when the window comes there.
            inside = oldest <= entry.number <= newest or (entry.number > newest and ahead)
            if read.what != "changes" or inside:
                entries[entry.number] = entry
        return self._arrange(known, entries, drop_newest=read.what == "older")

    def _arrange(self, known: dict[int, EntryLines], entries: dict[int, ChatEntry], *, drop_newest: bool) -> int:
        numbers = sorted(number for number, entry in entries.items() if not entry.replaced)
        if len(numbers) > KEPT:
            numbers = numbers[:KEPT] if drop_newest else numbers[-KEPT:]
        before = [item.entry.number for item in self.items]
        first = next(
            (place for place, pair in enumerate(zip(before, numbers, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(numbers)),
        )
        items: list[EntryLines] = []
        for place, number in enumerate(numbers):
            entry = entries[number]
            after = entries[numbers[place - 1]].kind if place else ""
            proposal = self.proposals.get(entry.proposal) if entry.proposal else None
            item = known.get(number)
            if item is None:
                item = EntryLines(entry, after=after, proposal=proposal)
                first = min(first, place)
            elif item.update(entry, after=after, proposal=proposal):
                first = min(first, place)
            items.append(item)
        self.items = items
        return first

    def grow(self, event: ChatText) -> int | None:
        """Text that streams; returns the place of its item, None where rows must be read instead."""
        for place in range(len(self.items) - 1, -1, -1):
            if self.items[place].entry.number == event.number:
                return place if self.items[place].grow(event.offset, event.text) else None
        return None

    def forget_proposal(self, proposal_id: str) -> None:
        """A proposal changed: it is to be read again."""
        self.proposals.pop(proposal_id, None)
