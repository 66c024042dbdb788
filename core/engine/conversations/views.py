"""From rows and what the assistant says to what crosses the link."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from core.assistant import events
from core.assistant.checks import Check
from core.assistant.groups import Group
from core.assistant.risks import Risk
from core.assistant.understanding import Understanding
from core.errors import RondoError
from core.link import chat_types
from core.link.chat_types import (
    AssumptionView,
    ChangeGroup,
    ChatEntry,
    ChatMode,
    ChatRow,
    CheckView,
    ClassChange,
    EditRow,
    EntryKind,
    GraphChange,
    ProposalView,
    RiskView,
)
from core.link.model_types import UsageView
from core.link.types import REPLY_LIMIT, ErrorView
from core.llm.messages import Usage
from core.store.records import ChatRecord, EditRecord, EntryRow

PAGE_BYTES = REPLY_LIMIT * 3 // 4
"""Bytes of entries, or of proposals, in one reply; the rest is for what stands around them."""
ENTRY_CHARACTERS = 48 * 1024
"""Characters of one entry that are sent."""
CUT = "\n… the rest is left out here"

_ENTRY_FIELDS = frozenset(ChatEntry.__struct_fields__)


def usage_view(used: tuple[int, int, int, int, float, int] | None) -> UsageView:
    """What the calls of a conversation used."""
    if used is None:
        return UsageView()
    calls, read, written, cached, cost, unpriced = used
    return UsageView(
        calls=calls, input_tokens=read, output_tokens=written, cache_read_tokens=cached, cost=cost, unpriced=unpriced
    )


def usage_of(usage: Usage, calls: int = 1) -> UsageView:
    """What one call, or a turn, used."""
    return UsageView(
        calls=calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cost=usage.cost or 0.0,
        unpriced=0 if usage.cost is not None else calls,
    )


def chat_row(record: ChatRecord, entries: int, open_proposal: str | None, usage: UsageView) -> ChatRow:
    return ChatRow(
        chat_id=record.id,
        workflow=record.workflow,
        title=record.title,
        mode=cast(ChatMode, record.mode),
        created_at=record.created_at,
        updated_at=record.updated_at,
        entries=entries,
        busy=bool(record.busy),
        usage=usage,
        tainted=bool(record.tainted),
        open_proposal=open_proposal,
        tries=bool(record.tries),
    )


def chat_entry(row: EntryRow) -> ChatEntry:
    """An entry as it is kept; a damaged one says so, and costs no other."""
    around: dict[str, Any] = {"number": row.number, "revision": row.revision, "at": row.at, "replaced": row.replaced}
    if row.content is None:
        error = ErrorView(
            type="DatabaseDamaged",
            message="What stood here is damaged and can't be shown.",
            cause="Its checksum doesn't fit its content: the file was changed from outside, or the disk failed.",
            next_step="Look at it with: rondo doctor",
        )
        return ChatEntry(**around, kind="error", error=error)
    content = {name: value for name, value in json.loads(row.content).items() if name in _ENTRY_FIELDS}
    text = content.get("text", "")
    if len(text) > ENTRY_CHARACTERS:
        content["text"] = text[:ENTRY_CHARACTERS] + CUT
    return msgspec.convert({**content, **around, "kind": cast(EntryKind, row.kind)}, ChatEntry)


def fitting(entries: Sequence[ChatEntry], *, from_end: bool) -> list[ChatEntry]:
    """As many entries as one reply holds, at least one: the last ones, or the first."""
    kept: list[ChatEntry] = []
    left = PAGE_BYTES
    for entry in reversed(entries) if from_end else entries:
        left -= len(msgspec.json.encode(entry)) + 1
        if kept and left < 0:
            break
        kept.append(entry)
    return kept[::-1] if from_end else kept


def error_view_of(error: RondoError) -> ErrorView:
    return ErrorView(type=error.type_name, message=error.message, cause=error.cause, next_step=error.next_step)


def question_view(question: events.Question) -> chat_types.Question:
    return chat_types.Question(
        id=question.id,
        text=question.text,
        options=[chat_types.Option(label=choice.label, detail=choice.detail) for choice in question.options],
        several=question.several,
    )


def understanding_view(understanding: Understanding | None) -> chat_types.Understanding | None:
    if understanding is None:
        return None
    return msgspec.convert(understanding.to_json(), chat_types.Understanding)


# Proposals --------------------------------------------------------------------------------------------------------


def group_view(group: Group) -> ChangeGroup:
    return ChangeGroup(
        id=group.id,
        title=group.title,
        graph=[GraphChange(what=line.what, sign=line.sign, target=line.target, text=line.text) for line in group.graph],
        classes=[ClassChange(name=line.name, sign=line.sign, diff=line.diff, file=line.file) for line in group.code],
        needs=list(group.needs),
    )


def check_view(check: Check) -> CheckView:
    return CheckView(
        name=check.name, status=check.status, message=check.message, findings=check.findings, seconds=check.seconds
    )


def risk_view(risk: Risk) -> RiskView:
    return RiskView(id=risk.id, kind=risk.kind, what=risk.what, file=risk.file, line=risk.line, group=risk.group)


def assumption_views(assumptions: Iterable[events.Assumption]) -> list[AssumptionView]:
    return [AssumptionView(id=assumption.id, text=assumption.text) for assumption in assumptions]


def shortened(view: ProposalView, room: int = PAGE_BYTES) -> ProposalView:
    """The proposal within so many bytes: long diffs are cut, with a mark, then the graphs are left out (null)."""
    limit = 64 * 1024
    while len(msgspec.json.encode(view)) > room and limit > 64:
        limit //= 4
        for group in view.groups:
            for change in group.classes:
                if len(change.diff) > limit:
                    left_out = change.diff[limit:].count("\n")
                    change.diff = f"{change.diff[:limit]}\n… {left_out} more lines\n"
    if len(msgspec.json.encode(view)) > room:
        view.before_graph = view.after_graph = msgspec.Raw(b"null")
    return view


# Edits ------------------------------------------------------------------------------------------------------------


def edit_row(record: EditRecord, undone: bool) -> EditRow:
    return EditRow(
        number=record.number,
        workflow=record.workflow,
        at=record.at,
        author=record.author,
        title=record.title,
        before=record.before,
        after=record.after,
        chat_id=record.chat,
        proposal_id=record.proposal,
        undone=undone,
    )
