"""What is taken for granted because nobody said it.

It stands as texts under `assumptions` in the workflow's graph, so that it stays visible and can be edited.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.assistant.draft import Draft
from core.assistant.events import Answer, Assumption, Question
from core.assistant.memory import Memory, answer_text

KEY = "assumptions"


def stored_in(document: Mapping[str, Any]) -> list[Assumption]:
    """Those that a graph's document has."""
    stored = document.get(KEY)
    texts = [text for text in stored if isinstance(text, str)] if isinstance(stored, list) else []
    return [Assumption(f"a{position}", text) for position, text in enumerate(texts, 1)]


def gathered(memory: Memory, document: Mapping[str, Any]) -> list[Assumption]:
    """Those that hold for a turn. While something is being changed the conversation knows best, else the graph does."""
    if memory.draft is not None or memory.turn.calls:
        return list(memory.assumptions)
    known = stored_in(document)
    for assumption in memory.assumptions:
        if all(assumption.text != other.text for other in known):
            known.append(Assumption(next_id(known), assumption.text, assumption.question))
    return known


def assume(known: list[Assumption], text: str, assumption_id: str | None = None) -> None:
    """Add an assumption, or say one that is there in other words."""
    for position, assumption in enumerate(known):
        if assumption.id == assumption_id or assumption.text == text:
            known[position] = Assumption(assumption.id, text, assumption.question)
            return
    known.append(Assumption(next_id(known), text))


def write(known: Sequence[Assumption], draft: Draft, document: Mapping[str, Any]) -> None:
    """Write them into a draft's graph, which now is `document`."""
    texts = [assumption.text for assumption in known]
    if texts != [assumption.text for assumption in stored_in(document)]:
        draft.apply_graph(draft.rev, [{"op": "set_settings", "set": {KEY: texts or None}}])


def next_id(known: Collection[Assumption]) -> str:
    """An id that none of them has."""
    taken = {assumption.id for assumption in known}
    return next(name for number in range(1, len(taken) + 2) if (name := f"a{number}") not in taken)


def take_answers(memory: Memory, answers: Sequence[Answer], said: str) -> str:
    """Close the open questions and say to the model how; each that was skipped becomes an assumption."""
    questions, memory.questions = memory.questions, []
    memory.turn.gate_open = True
    if said:
        memory.turn.answered += 1
        memory.turn.left_open = False
        return f"The person did not choose and wrote: {said}"
    given = {answer.id: answer for answer in answers if not answer.skipped}
    memory.turn.left_open = not given
    return "\n".join(_answered(memory, question, given.get(question.id)) for question in questions)


def _answered(memory: Memory, question: Question, answer: Answer | None) -> str:
    if answer is not None:
        memory.turn.answered += 1
        return answer_text(question, answer)
    memory.turn.skipped += 1
    assumption = Assumption(next_id(memory.assumptions), f"{question.text} Left to the assistant.", question.text)
    memory.assumptions.append(assumption)
    return (
        f"{question.text} -> skipped: decide yourself, and say what you assume with set_plan, assumptions "
        f'[{{"id": "{assumption.id}", "text": ...}}].'
    )
