"""A failed run as the first words of a conversation that repairs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.assistant.marking import one_line, state_sketch
from core.assistant.memory import Repair

TRACEBACK_CAP = 4_000
LOG_CAP = 2_000
SOURCE_CAP = 12_000
ATTEMPTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FailedRun:
    """Why a run failed. Everything in it is redacted before it comes here; `state` is the one before the failed node.

    `attempts` are the messages of the failed attempts, in order; `source` is the class of the node as the run had it.
    """

    resume: Repair
    class_name: str
    error: str
    traceback: str = ""
    source: str = ""
    source_changed: bool = False
    """The workflow was edited since the run took its version."""
    state: Mapping[str, Any] = field(default_factory=dict)
    attempts: Sequence[str] = ()
    log: str = ""


def repair_words(failure: FailedRun) -> tuple[str, list[tuple[str, str]]]:
    """The words for the model, and the data that goes with them, each with its title."""
    run = failure.resume
    words = [
        f"The run {one_line(run.run_id, 60)} failed in the node {one_line(run.node, 80)!r} (class "
        f"{one_line(failure.class_name, 80)}). Find out why and propose the smallest change that repairs it. If the "
        "cause is not in the workflow, say so and change nothing.",
    ]
    if failure.source_changed:
        words.append("The workflow was edited after that run began: read the class as it is now first.")
    data = [("error", failure.error)]
    if failure.traceback:
        data.append(("traceback", _end(failure.traceback, TRACEBACK_CAP)))
    if failure.source:
        data.append((f"source of {failure.class_name}", failure.source[:SOURCE_CAP]))
    data.append(("state before the node", state_sketch(failure.state)))
    if len(failure.attempts) > 1:
        shown = [one_line(message, 200) for message in failure.attempts[-ATTEMPTS_SHOWN:]]
        data.append((f"{len(failure.attempts)} attempts", "\n".join(shown)))
    if failure.log:
        data.append(("end of the log", _end(failure.log, LOG_CAP)))
    return "\n".join(words), data


def _end(text: str, cap: int) -> str:
    """The end of a text, where errors say what they are."""
    return text if len(text) <= cap else f"[...]\n{text[-cap:]}"
