"""Golden conversations: a start folder, words, scripted turns of the model, and what must have come of it.

`RONDO_GOLDEN=write` writes what came into the files; whoever does that reads the difference and answers for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import Conversation

from core.assistant.events import Answer, Noted, Question, ToolEnded, TurnEnd
from core.assistant.memory import Repair
from core.assistant.proposal import Proposal
from core.assistant.repair import FailedRun
from core.assistant.session import RunData, SessionLimits
from core.assistant.workbench import ClassExample, DryRun
from core.definition.version import version_hash

CASES = sorted((Path(__file__).parent / "golden").glob("*.json"))
WRITE = os.environ.get("RONDO_GOLDEN") == "write"


def test_there_are_at_least_thirty_golden_conversations() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_golden_conversation(path: Path) -> None:
    case, found, ending = await outcome_of_case(path, Conversation)
    if WRITE:
        for step, outcome in zip(case["steps"], found, strict=True):
            step["expect"] = outcome
        case["end"] = ending
        _write(path, case)
    assert [step["expect"] for step in case["steps"]] == found
    assert case["end"] == ending


async def outcome_of_case(
    path: Path, make: Callable[..., Conversation]
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """A case, what came of each of its steps, and how it ended."""
    case = _read(path)
    conversation = make(case["start"], workflow=case["workflow"], limits=SessionLimits(**case.get("limits", {})))
    conversation.memory.mode = case.get("mode", "propose")
    _set_desk(conversation, case.get("desk", {}))
    found = []
    for step in case["steps"]:
        found.append(await _play(conversation, step))
        assert not conversation.gateway.replies, "the script has replies that the model was not asked for"
    files = {name: content.decode() for name, content in conversation.desk.present.items()}
    ending = {"changed": _changed(case["start"], files), "hash": version_hash(conversation.desk.present)}
    return case, found, ending


def _read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


def _write(path: Path, case: dict[str, Any]) -> None:
    path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _set_desk(conversation: Conversation, given: dict[str, Any]) -> None:
    desk = conversation.desk
    desk.known_examples = [ClassExample(**example) for example in given.get("examples", ())]
    if "dry_run" in given:
        run = given["dry_run"]
        desk.run = DryRun(**{**run, "steps": tuple(run.get("steps", ()))})


async def _play(conversation: Conversation, step: dict[str, Any]) -> dict[str, Any]:
    """One step of a case: what a person does, and what came of it."""
    conversation.events.clear()
    conversation.script(*step.get("model", ()))
    session, memory, desk = conversation.session, conversation.memory, conversation.desk
    if "mode" in step:
        memory.mode = step["mode"]
    end: TurnEnd | None = None
    if "say" in step:
        data = [RunData(**piece) for piece in step.get("data", ())]
        end = await session.send(step["say"], data)
    elif "answer" in step:
        end = await session.answer(_answers(memory.questions, step["answer"]))
    elif "revise" in step:
        end = await session.revise(step["revise"])
    elif "repair" in step:
        given = step["repair"]
        end = await session.repair(FailedRun(**{**given, "resume": Repair(**given["resume"])}))
    elif "accept" in step:
        proposal = conversation.last_proposal
        assert proposal is not None and not proposal.broken
        accept = step["accept"]
        files = proposal.changes.files(None if accept == "all" else _group_ids(proposal, accept))
        desk.present = dict(files)
        memory.decided("applied", "" if accept == "all" else f"only {', '.join(accept)}")
    elif "reject" in step:
        memory.decided("rejected", step["reject"])
    elif "write" in step:
        desk.present |= {name: text.encode() for name, text in step["write"].items()}
    elif "replace" in step:
        for name, (old, new) in step["replace"].items():
            assert old in desk.present[name].decode()
            desk.present[name] = desk.present[name].replace(old.encode(), new.encode())
    elif "back_to" in step:
        assert memory.back_to(step["back_to"])
    if end is None:
        return {}
    if end.proposal is not None:
        conversation.last_proposal = end.proposal
        if end.proposal.apply:
            desk.present = dict(end.proposal.changes.files(None))
            memory.decided("applied")
    return _outcome(conversation, end)


def _answers(questions: list[Question], given: list[Any]) -> list[Answer]:
    """Answers by position: a label, {"text": ...}, or null for a skipped one."""
    assert len(questions) == len(given)
    answers = []
    for question, answer in zip(questions, given, strict=True):
        if isinstance(answer, str):
            assert answer in [option.label for option in question.options]
            answers.append(Answer(question.id, (answer,)))
        elif answer is not None:
            answers.append(Answer(question.id, text=answer["text"]))
    return answers


def _outcome(conversation: Conversation, end: TurnEnd) -> dict[str, Any]:
    ended = conversation.told(ToolEnded)
    outcome: dict[str, Any] = {"status": end.status, "tools": [f"{'!' * event.failed}{event.name}" for event in ended]}
    refusals = [event.summary for event in ended if event.failed]
    notes = [event.text for event in conversation.told(Noted)]
    more = {
        "refusals": refusals,
        "questions": [question.text for question in end.questions],
        "notes": notes,
        "error": end.error.type_name if end.error else "",
        "tainted": conversation.memory.tainted,
    }
    outcome |= {key: value for key, value in more.items() if value}
    understanding = conversation.memory.understanding
    if understanding is not None:
        outcome["understood"] = understanding.score
        outcome |= {"facts": list(understanding.facts)} if understanding.facts else {}
    if end.proposal is not None:
        outcome["proposal"] = _shown(end.proposal)
    return outcome


def _shown(proposal: Proposal) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "title": proposal.title,
        "groups": [
            [group.title]
            + [f"{line.sign} {line.what} {line.target}" for line in group.graph]
            + [f"{line.sign} code {line.name}" for line in group.code]
            for group in proposal.changes.groups
        ],
        "checks": [f"{check.name} {check.status}" for check in proposal.checks if check.status != "passed"],
        "risks": [f"{risk.kind}: {risk.what}" for risk in proposal.risks],
        "assumptions": [assumption.text for assumption in proposal.assumptions],
        "broken": proposal.broken,
        "apply": proposal.apply,
        "tainted": proposal.tainted,
        "resume": proposal.resume.node if proposal.resume else "",
        "result": version_hash(proposal.changes.after),
    }
    return {key: value for key, value in shown.items() if value}


def _group_ids(proposal: Proposal, accept: list[str]) -> set[str]:
    """Ids of the groups with these titles, so that a case says in words what is accepted."""
    by_title = {group.title: group.id for group in proposal.changes.groups}
    return {by_title[title] for title in accept}


def _changed(start: str | None, files: dict[str, str]) -> list[str]:
    from scripted import start_files

    before = {name: content.decode() for name, content in start_files(start).items()}
    return sorted(name for name in before.keys() | files.keys() if before.get(name) != files.get(name))
