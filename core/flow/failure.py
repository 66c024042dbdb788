"""Failures of node code, as they are kept and shown."""

from __future__ import annotations

import traceback
from pathlib import Path

from core.errors import RondoError
from core.flow.journal import Failure
from core.flow.packages import missing_package
from core.redaction import cleaned

TEXT_LIMIT = 32_000
"""Characters of a message or traceback; of longer ones the middle is left out."""

_PACKAGE = Path(__file__).resolve().parents[1]
_OWN_FOLDERS = tuple(f"{_PACKAGE / part}/" for part in ("sdk", "flow", "runner", "grapheteria"))

_PYTHON = f"{Path(traceback.__file__).parent}/"


def describe_failure(error: BaseException) -> Failure:
    """What a person needs to know of an error in node code; the traceback starts at the frames of their own code."""
    report = traceback.TracebackException.from_exception(error)
    place = _trim(report)
    cause = f"Raised in {place}." if place else ""
    next_step = "Read the traceback and mend the node, or let the assistant propose how: rondo fix RUN, f in the app."
    if isinstance(error, ModuleNotFoundError) and error.name:
        cause, next_step = missing_package(error.name)
    if isinstance(error, RondoError):
        cause, next_step = error.cause or cause, error.next_step or next_step
    return Failure(
        type=type(error).__name__,
        message=_clean(_message(error)),
        traceback=_clean("".join(report.format())),
        cause=_clean(cause),
        next_step=_clean(next_step),
    )


def describe_error(error: BaseException) -> str:
    """An error in one line: `KeyError: 'n'`."""
    message = _clean(_message(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def place_of(error: BaseException) -> str:
    """Where the traceback of an error ends in code that is neither ours nor Python's own: nodes.py, line 3, in f."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_OWN_FOLDERS, _PYTHON)) and not frame.filename.startswith("<")
    ]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name}" if frames else ""


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:
        # The class of the exception is a person's code too.
        return f"<its text can't be made: {type(problem).__name__}>"


def _trim(report: traceback.TracebackException) -> str:
    """Leave our own frames out of a traceback and of those it comes from; return the place of the last frame."""
    waiting: list[traceback.TracebackException | None] = [report]
    seen: set[int] = set()
    place = ""
    while waiting:
        part = waiting.pop(0)
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        frames = [frame for frame in part.stack if not frame.filename.startswith(_OWN_FOLDERS)]
        part.stack = traceback.StackSummary.from_list(frames)
        if frames and not place:
            place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name}"
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]
    return place


def _clean(text: str) -> str:
    """Text that can be encoded, holds no secret and is of a bearable length."""
    text = cleaned(text.encode("utf-8", "backslashreplace").decode())
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT // 2]}\n…\n{text[-TEXT_LIMIT // 2 :]}"
