"""A conversation without a person: what `TaskOrchestrator.create_workflow` and `update_workflow` do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from core.errors import EngineStopping, ProposalProblem, RondoError, UnknownWorkflow, UsageError
from core.link.api import EngineApi
from core.link.chat_types import (
    AnswerQuestions,
    ChatEntry,
    ChatPage,
    ChatQuery,
    Decide,
    ProposalView,
    QuestionAnswer,
    SendMessage,
)


async def make_by_words(
    engine: EngineApi, name: str, words: str, tools: Sequence[str], *, update: bool, consent: bool
) -> None:
    """Have the assistant make or change a workflow, and apply what it proposes.

    Its questions are skipped: it decides, and writes down what it assumes. With `consent` what reaches further than
    before is applied too. Raises UsageError, UnknownWorkflow, ConsentNeeded, and the families of models and proposals.
    """
    await _check(engine, name, update=update)
    events = engine.events()
    message = SendMessage(command_id=_id(), text=words, workflow=name, tools=list(tools))
    chat = (await engine.send_message(message)).chat_id
    while True:
        page = await engine.read_chat(ChatQuery(chat_id=chat, limit=50))
        while page.chat.busy:
            async for batch in events:
                if batch:
                    break
            else:
                raise EngineStopping(
                    "The engine ended while the assistant was working.", next_step="Call again; nothing was applied."
                )
            page = await engine.read_chat(ChatQuery(chat_id=chat, limit=50))
        asked = _open_questions(page)
        if asked is None:
            break
        skipped = [QuestionAnswer(id=question.id) for question in asked.questions or ()]
        await engine.answer_questions(
            AnswerQuestions(command_id=_id(), chat_id=chat, number=asked.number, answers=skipped)
        )
    _raise_error(page)
    if page.chat.open_proposal is None:
        raise ProposalProblem(
            f"The assistant proposed nothing for {name}.",
            cause=_last_words(page) or "It said nothing.",
            next_step="Say more exactly what is wanted.",
        )
    proposal = await engine.get_proposal(page.chat.open_proposal)
    await _apply(engine, proposal, consent)


async def _check(engine: EngineApi, name: str, *, update: bool) -> None:
    there = any(row.name == name for row in await engine.list_workflows())
    if there and not update:
        raise UsageError(
            f"There is a workflow {name!r} already.",
            cause="Nothing is made over it.",
            next_step="Change it with update_workflow, or choose another name.",
        )
    if update and not there:
        raise UnknownWorkflow(
            f"There is no workflow {name!r}.",
            cause="There is nothing to change.",
            next_step="Make it with create_workflow.",
        )
    problem = (await engine.models_status()).problem
    if problem is not None:
        document = {"type": problem.type, "message": problem.message, "cause": problem.cause}
        raise RondoError.from_dict({**document, "next_step": problem.next_step})


async def _apply(engine: EngineApi, proposal: ProposalView, consent: bool) -> None:
    allowed = [risk.id for risk in proposal.risks] if consent else []
    await engine.decide_proposal(
        Decide(command_id=_id(), proposal_id=proposal.proposal_id, decision="accept", consent=allowed)
    )


def _shown(page: ChatPage) -> list[ChatEntry]:
    return [entry for entry in page.entries if not entry.replaced and entry.kind != "note"]


def _open_questions(page: ChatPage) -> ChatEntry | None:
    shown = _shown(page)
    return shown[-1] if shown and shown[-1].kind == "questions" and shown[-1].answers is None else None


def _raise_error(page: ChatPage) -> None:
    shown = _shown(page)
    if shown and shown[-1].error is not None:
        error = shown[-1].error
        document = {"type": error.type, "message": error.message, "cause": error.cause, "next_step": error.next_step}
        raise RondoError.from_dict(document)


def _last_words(page: ChatPage) -> str:
    return next((entry.text for entry in reversed(_shown(page)) if entry.kind == "model" and entry.text), "")


def _id() -> str:
    return uuid.uuid4().hex
