"""Proposals: kept, listed, tried, and decided about by a person."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from core.assistant import assumptions
from core.assistant.checks import failed, run_checks
from core.assistant.draft import Draft
from core.assistant.groups import Changes
from core.assistant.proposal import Proposal
from core.assistant.risks import find_risks
from core.assistant.undo import rebase_draft
from core.definition.version import version_hash
from core.engine.conversations.journal import Applied, Journal
from core.engine.conversations.views import (
    PAGE_BYTES,
    assumption_views,
    check_view,
    group_view,
    risk_view,
    shortened,
    understanding_view,
    usage_of,
)
from core.engine.events import EventBus
from core.errors import ConsentNeeded, ProposalProblem, ProposalStale, UsageError
from core.identifiers import new_run_id
from core.link.chat_events import ProposalChanged, ProposalStatus
from core.link.chat_types import (
    AssumptionView,
    ChangeGroup,
    CheckView,
    Decide,
    Decided,
    ProposalView,
    ResumeOffer,
    RiskView,
    Understanding,
)
from core.link.model_types import UsageView
from core.store.operations import InsertProposal, Operation, RecordCommand, UpdateProposal
from core.store.records import ProposalRecord
from core.store.store import Store

OPEN: tuple[str, ...] = ("open", "stale")
"""Statuses in which a proposal may be accepted; one that was stale may fit again."""
WAITING: tuple[str, ...] = ("open", "stale", "broken")
ALL: tuple[str, ...] = ("open", "applied", "rejected", "revised", "broken", "stale")

Content = dict[str, Any]


class Proposals:
    """The proposals of a workspace."""

    def __init__(self, store: Store, bus: EventBus, journal: Journal, now: Callable[[], float]) -> None:
        self._store = store
        self._bus = bus
        self._journal = journal
        self._now = now

    # Keeping ------------------------------------------------------------------------------------------------------

    async def keep(self, chat: str, proposal: Proposal) -> tuple[str, list[Operation]]:
        """A new proposal's id, and the operations that keep it in place of the ones of the chat that still wait."""
        id = new_run_id()
        content = await asyncio.to_thread(_content_of, proposal)
        status = "broken" if proposal.broken else "open"
        draft = await asyncio.to_thread(Draft.from_json, proposal.draft)
        earlier = [record for record in await self._store.proposals(None, WAITING) if record.chat == chat]
        operations: list[Operation] = [
            UpdateProposal(record.id, WAITING, "revised", decided_at=self._now()) for record in earlier
        ]
        packed = await asyncio.to_thread(_packed, content)
        operations.append(InsertProposal(id, chat, proposal.workflow, status, draft.base_version, self._now(), packed))
        return id, operations

    async def drop(self, chat: str) -> list[Operation]:
        """What marks the proposals of a chat that still wait as revised: what they came from was taken back."""
        waiting = [record for record in await self._store.proposals(None, WAITING) if record.chat == chat]
        return [UpdateProposal(record.id, WAITING, "revised", decided_at=self._now()) for record in waiting]

    async def tell(self, proposal_id: str) -> None:
        """Say how a proposal stands."""
        record = await self._store.proposal(proposal_id)
        if record is not None:
            status = cast(ProposalStatus, record.status)
            self._bus.publish(ProposalChanged(proposal_id=record.id, workflow=record.workflow, status=status))

    # Reading ------------------------------------------------------------------------------------------------------

    async def record(self, proposal_id: str) -> ProposalRecord:
        """The proposal that a full id, or its last characters, mean. Raises UsageError."""
        record = await self._store.proposal(proposal_id)
        if record is None:
            raise UsageError(
                f"There is no proposal {proposal_id!r}.",
                cause="None has that id, or several end so; those of a deleted conversation are gone.",
                next_step="See those that wait: rondo proposals",
            )
        return record

    async def view(self, proposal_id: str) -> ProposalView:
        """One proposal, within the size of a reply."""
        record = await self.record(proposal_id)
        return await asyncio.to_thread(lambda: shortened(_view(record)))

    async def all(self, workflow: str | None, status: str) -> list[ProposalView]:
        """Proposals, the newest first, as many as a reply holds; `status` "all" for every one."""
        if status != "all" and status not in ALL:
            raise UsageError(f"{status!r} is no status of a proposal.", next_step=f"Use one of {', '.join(ALL)}, all.")
        records = await self._store.proposals(workflow, ALL if status == "all" else (status,))
        return await asyncio.to_thread(_views, records)

    async def draft(self, record: ProposalRecord) -> Draft:
        """What it changes."""
        return await asyncio.to_thread(lambda: Draft.from_json(_content(record)["draft"]))

    async def put_checks(self, record: ProposalRecord, checks: Sequence[CheckView]) -> None:
        """Put the results of checks in the place of those of the same names."""
        content = await asyncio.to_thread(_content, record)
        kept = [check for check in content["checks"] if check["name"] not in {check.name for check in checks}]
        content["checks"] = [*kept, *msgspec.to_builtins(list(checks))]
        packed = await asyncio.to_thread(_packed, content)
        await self._store.commit([UpdateProposal(record.id, ALL, record.status, content=packed)])
        await self.tell(record.id)

    # Deciding -----------------------------------------------------------------------------------------------------

    async def accept(self, record: ProposalRecord, decide: Decide, command: Callable[[str], RecordCommand]) -> Decided:
        """Apply a proposal, or groups of it; the caller holds the journal's `writing`.

        Raises ProposalProblem (it is broken or decided), ProposalStale, ConsentNeeded, UsageError, EnvironmentProblem;
        then nothing was written.
        """
        _require_open(record)
        content = await asyncio.to_thread(_content, record)
        name = record.workflow
        draft = await asyncio.to_thread(Draft.from_json, content["draft"])
        if decide.assumptions is not None:
            await asyncio.to_thread(_assume, draft, [assumption.text for assumption in decide.assumptions])
        present = await self._journal.files(name)
        begun = present
        if version_hash(present) != version_hash(draft.base):
            target = await asyncio.to_thread(_accepted, name, draft, decide.accept)
            if present == target:
                # Written before, by an engine that died before it could note it.
                begun = draft.base
            else:
                draft = await self._rebased(record, draft, present)
        files = await asyncio.to_thread(_accepted, name, draft, decide.accept)
        await self._check(name, draft, files, decide.consent)
        results: list[Decided] = []

        def others(applied: Applied) -> Sequence[Operation]:
            content["edit"] = applied.row.number
            if decide.assumptions is not None:
                content["assumptions"] = msgspec.to_builtins(decide.assumptions)
            done = ProposalRecord(
                record.id,
                record.number,
                record.chat,
                name,
                "applied",
                record.base,
                record.created_at,
                self._now(),
                _packed(content),
            )
            view = shortened(_view(done), PAGE_BYTES // 2)
            results.append(
                Decided(
                    proposal=view,
                    version=applied.version,
                    backup=str(applied.backup) if applied.backup is not None else None,
                    edit=applied.row.number,
                    approved=applied.approved,
                )
            )
            return [
                UpdateProposal(record.id, OPEN, "applied", decided_at=self._now(), content=done.content),
                command(msgspec.json.encode(results[0]).decode()),
            ]

        await self._journal.apply(
            name,
            present,
            files,
            author="assistant",
            title=content["title"],
            chat=record.chat,
            proposal=record.id,
            before=begun,
            command=command,
            others=others,
        )
        await self.tell(record.id)
        return results[0]

    async def dismiss(
        self, record: ProposalRecord, status: ProposalStatus, command: Callable[[str], RecordCommand]
    ) -> Decided:
        """Reject a proposal, or mark it as revised."""
        if record.status not in WAITING:
            raise _decided(record)
        view = await asyncio.to_thread(_view, record)
        view.status = status
        decided = Decided(proposal=shortened(view, PAGE_BYTES // 2))
        await self._store.commit(
            [
                UpdateProposal(record.id, WAITING, status, decided_at=self._now()),
                command(msgspec.json.encode(decided).decode()),
            ]
        )
        await self.tell(record.id)
        return decided

    async def _rebased(self, record: ProposalRecord, draft: Draft, present: dict[str, bytes]) -> Draft:
        try:
            return await asyncio.to_thread(rebase_draft, draft, present)
        except ProposalStale:
            await self._store.commit([UpdateProposal(record.id, OPEN, "stale")])
            await self.tell(record.id)
            raise

    async def _check(self, name: str, draft: Draft, files: dict[str, bytes], consent: Iterable[str]) -> None:
        """Raise ProposalProblem where what would be written is not sound, ConsentNeeded where it needs a yes."""
        checks = await asyncio.to_thread(run_checks, name, files, draft.base)
        if failed(checks):
            findings = [finding for check in checks if check.status == "failed" for finding in check.findings]
            raise ProposalProblem(
                "What would be applied has errors, so nothing was written.",
                cause="; ".join(findings[:3]) or "A check failed.",
                next_step="Accept other groups, or send it back with a comment.",
                details=findings,
            )
        given = set(consent)
        risks = await asyncio.to_thread(lambda: find_risks(Changes(name, draft.base, files)))
        open_risks = [risk for risk in risks if risk.id not in given]
        if open_risks:
            named = "; ".join(f"{risk.what} ({risk.file}:{risk.line})" for risk in open_risks[:5])
            raise ConsentNeeded(
                f"The change needs a yes of its own for {len(open_risks)} "
                f"thing{'' if len(open_risks) == 1 else 's'}; nothing was written.",
                cause=f"It can reach further than the workflow could before: {named}.",
                next_step="Look at each and allow it, or reject the groups that need it.",
                details=[msgspec.to_builtins(risk_view(risk)) for risk in open_risks],
            )


def _accepted(name: str, draft: Draft, accept: Sequence[str] | None) -> dict[str, bytes]:
    """The files with these groups."""
    files = Changes(name, draft.base, draft.files).files(accept)
    if accept is not None and not accept:
        raise UsageError("No group was named.", next_step="Name at least one, or reject the proposal.")
    return files


def _assume(draft: Draft, texts: Sequence[str]) -> None:
    """Put the assumptions as a person has worded them into the draft's graph; raises UsageError where one can't be."""
    kept = [" ".join(text.split()) for text in texts if text.strip()]
    reply = draft.apply_graph(draft.rev, [{"op": "set_settings", "set": {assumptions.KEY: kept or None}}])
    if not reply.ok:
        raise UsageError(
            "The assumptions can't be put into the workflow.",
            cause="; ".join(str(problem) for problem in reply.errors),
            next_step="Word them in another way, or leave them as they are.",
        )


def _require_open(record: ProposalRecord) -> None:
    if record.status == "broken":
        raise ProposalProblem(
            "The proposal can't be applied.",
            cause="Checks of it fail; see them on its card.",
            next_step="Send it back with a comment, or reject it.",
        )
    if record.status not in OPEN:
        raise _decided(record)


def _decided(record: ProposalRecord) -> ProposalProblem:
    return ProposalProblem(
        f"The proposal is {record.status} already.",
        cause="Each is decided once.",
        next_step="See what was applied, and undo it if need be: rondo edits " + record.workflow,
    )


# Content ----------------------------------------------------------------------------------------------------------


def _content_of(proposal: Proposal) -> Content:
    draft = Draft.from_json(proposal.draft)
    groups = proposal.changes.groups
    if not draft.base and "tools.json" not in draft.files:
        # A workflow's folder has one; what it holds is for a person to see like everything else.
        draft.apply_files(draft.rev, {"tools.json": "[]\n"})
        groups = Changes(draft.name, draft.base, draft.files).groups
    resume = proposal.resume
    return {
        "title": proposal.title,
        "why": proposal.why,
        "draft": draft.to_json(),
        "result": version_hash(draft.files),
        "groups": msgspec.to_builtins([group_view(group) for group in groups]),
        "checks": msgspec.to_builtins([check_view(check) for check in proposal.checks]),
        "risks": msgspec.to_builtins([risk_view(risk) for risk in proposal.risks]),
        "assumptions": msgspec.to_builtins(assumption_views(proposal.assumptions)),
        "understanding": msgspec.to_builtins(understanding_view(proposal.understanding)),
        "usage": msgspec.to_builtins(usage_of(proposal.usage)),
        "tainted": proposal.tainted,
        "resume": None
        if resume is None
        else {"run_id": resume.run_id, "node": resume.node, "seq": resume.seq, "effects": list(resume.effects)},
        "before_graph": _graph(proposal.workflow, draft.base),
        "after_graph": _graph(proposal.workflow, draft.files),
    }


def _graph(name: str, files: dict[str, bytes]) -> Any:
    """The graph as native JSON; None where there is none that can be read."""
    try:
        return json.loads(files.get(f"{name}.json", b"null"))
    except ValueError:
        return None


def _packed(content: Content) -> bytes:
    return zlib.compress(json.dumps(content, ensure_ascii=False).encode())


def _content(record: ProposalRecord) -> Content:
    content: Content = json.loads(zlib.decompress(record.content))
    return content


def _views(records: Sequence[ProposalRecord]) -> list[ProposalView]:
    """As many as a reply holds, at least one."""
    views: list[ProposalView] = []
    left = PAGE_BYTES
    for record in records:
        view = shortened(_view(record), max(PAGE_BYTES // max(len(records), 1), 4096))
        left -= len(msgspec.json.encode(view))
        if views and left < 0:
            break
        views.append(view)
    return views


def _view(record: ProposalRecord) -> ProposalView:
    content = _content(record)
    return ProposalView(
        proposal_id=record.id,
        number=record.number,
        chat_id=record.chat,
        workflow=record.workflow,
        status=cast(ProposalStatus, record.status),
        title=content["title"],
        why=content["why"],
        created_at=record.created_at,
        base=record.base,
        result=content["result"],
        groups=msgspec.convert(content["groups"], list[ChangeGroup]),
        checks=msgspec.convert(content["checks"], list[CheckView]),
        risks=msgspec.convert(content["risks"], list[RiskView]),
        assumptions=msgspec.convert(content["assumptions"], list[AssumptionView]),
        before_graph=msgspec.Raw(json.dumps(content["before_graph"]).encode()),
        after_graph=msgspec.Raw(json.dumps(content["after_graph"]).encode()),
        usage=msgspec.convert(content["usage"], UsageView | None),
        understanding=msgspec.convert(content["understanding"], Understanding | None),
        resume=msgspec.convert(content["resume"], ResumeOffer | None),
        edit=content.get("edit"),
    )
