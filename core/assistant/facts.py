"""What can be counted about a request, whatever a model says of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from core.assistant.marking import one_line
from core.assistant.memory import Memory
from core.assistant.understanding import Fact
from core.definition.load import LoadedWorkflow
from core.definition.text import did_you_mean

REFERENCE = re.compile(r"(?<![\w@.])@([A-Za-z_][\w-]*)")
"""`@fetch` in the person's words."""

_FEW_WORDS = 4
_OPEN_SLOT = 0.5
_UNKNOWN_TOOL = 0.4
_UNKNOWN_NODE = 0.3
_ERROR = 0.15
_WARNING = 0.05
_FAILED_CHECK = 0.15
_SKIPPED = 0.1
_ROUND = 0.05
_TOO_SHORT = 0.3


def facts_about(
    memory: Memory, words: str, base: LoadedWorkflow, known_tools: Collection[str], known_names: Collection[str] = ()
) -> Iterator[Fact]:
    """Everything that lowers the understanding of a request; `known_names` are references that lead somewhere."""
    for slot in memory.slots_open[:5]:
        yield Fact("completeness", _OPEN_SLOT, f"not known yet: {one_line(slot, 60)}")
    for tool in memory.tools_named:
        if tool not in known_tools:
            hint = did_you_mean(tool, known_tools)
            yield Fact(
                "feasibility", _UNKNOWN_TOOL, f"there is no tool {one_line(tool, 40)!r}{f' ({hint})' if hint else ''}"
            )
    nodes = set(base.graph.nodes) if base.graph is not None else set()
    for name in dict.fromkeys(REFERENCE.findall(words)):
        if name not in nodes and name not in known_names and base.files:
            yield Fact("clarity", _UNKNOWN_NODE, f"@{name} is no node of the workflow")
    if base.files:
        if base.errors:
            yield Fact("feasibility", _ERROR, f"the workflow has {_count(len(base.errors), 'error')}")
        warnings = sum(finding.severity == "warning" for finding in base.findings)
        if warnings:
            yield Fact("feasibility", _WARNING, f"the workflow has {_count(warnings, 'warning')}")
    elif len(words.split()) < _FEW_WORDS and not memory.turn.answered:
        yield Fact("specificity", _TOO_SHORT, "the task is said in very few words")
    turn = memory.turn
    if turn.checks_failed:
        yield Fact("feasibility", turn.checks_failed * _FAILED_CHECK, f"checks failed {_times(turn.checks_failed)}")
    if turn.skipped:
        yield Fact("specificity", turn.skipped * _SKIPPED, f"{_count(turn.skipped, 'question')} left to the assistant")
    if turn.rounds > 1:
        yield Fact("clarity", (turn.rounds - 1) * _ROUND, f"questions were asked {_times(turn.rounds)}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
