"""A change to a workflow as a person decides about it: what the card shows, and what applying it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.assistant.checks import Check, failed
from core.assistant.draft import Draft
from core.assistant.events import Assumption, Task
from core.assistant.groups import Changes
from core.assistant.marking import one_line
from core.assistant.memory import Memory, Repair
from core.assistant.risks import Risk, find_risks
from core.assistant.understanding import Understanding
from core.llm.messages import Usage


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that waits for a person.

    `changes` holds the files before and after and the groups; `draft` is the plain form of the draft it comes from.
    `broken`: a check failed, so it can't be applied as it is. `apply`: the mode is auto and nothing is in doubt, so it
    need not wait. `resume`: the failed run that it repairs.
    """

    workflow: str
    title: str
    why: str
    draft: dict[str, Any]
    changes: Changes
    checks: tuple[Check, ...]
    risks: tuple[Risk, ...]
    assumptions: tuple[Assumption, ...]
    tasks: tuple[Task, ...]
    understanding: Understanding | None
    usage: Usage
    broken: bool
    apply: bool
    tainted: bool = False
    resume: Repair | None = None


def make_proposal(memory: Memory, draft: Draft, checks: list[Check], usage: Usage, *, complete: bool) -> Proposal:
    """The proposal that a draft has become. Not `complete`: the turn was cut short, so it never applies itself."""
    changes = Changes(draft.name, draft.base, draft.files)
    risks = tuple(find_risks(changes))
    reasons = list(dict.fromkeys(batch.why for batch in draft.batches if batch.why))
    broken = failed(checks)
    beyond_doubt = (
        complete
        and all(check.status == "passed" for check in checks)
        and not risks
        and not memory.tainted
        and memory.understanding is not None
        and memory.understanding.enough
    )
    return Proposal(
        workflow=draft.name,
        title=one_line(memory.goal or (reasons[0] if reasons else "A change"), 120),
        why="\n".join(one_line(reason, 300) for reason in reasons),
        draft=draft.to_json(),
        changes=changes,
        checks=tuple(checks),
        risks=risks,
        assumptions=tuple(memory.assumptions),
        tasks=tuple(memory.tasks),
        understanding=memory.understanding,
        usage=usage,
        broken=broken,
        apply=memory.mode == "auto" and beyond_doubt,
        tainted=memory.tainted,
        resume=memory.repair,
    )
