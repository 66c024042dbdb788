"""Failures of node code as they are shown to a person."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import Any

from core.flow.failure import describe_error
from core.flow.journal import Failure
from core.flow.packages import missing_package
from core.runner.wire import TEXT_LIMIT


def failure_document(failure: Failure) -> dict[str, Any]:
    """A failure as it goes over the wire: text that is text, of a bearable length."""
    return {
        "type": _clean(failure.type, 200),
        "message": _clean(failure.message, TEXT_LIMIT),
        "traceback": _clean(failure.traceback, TEXT_LIMIT),
        "cause": _clean(failure.cause, TEXT_LIMIT),
        "next_step": _clean(failure.next_step, TEXT_LIMIT),
    }


def import_failure(error: BaseException, folder: str, modules: Iterable[str]) -> Failure:
    """Why the workflow's code could not be imported; `modules` are the names of its own top-level modules."""
    trace = trimmed_traceback(error, folder)
    place = _place(error, folder)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, place, list(modules), trace)
    if isinstance(error, SyntaxError):
        return Failure(
            type="NodeImportError",
            message=f"{_short(error.filename or 'nodes.py', folder)}, line {error.lineno}: {error.msg}",
            traceback=trace,
            cause="The file is not valid Python.",
            next_step="Mend that line and start the run again.",
        )
    if isinstance(error, SystemExit):
        cause = "The code calls sys.exit at its top level, outside of any class."
        hint = "Take the call out, or put it under `if __name__ == '__main__':`."
    elif isinstance(error, ImportError) and "relative import" in str(error):
        cause = "nodes.py is a module of its own, not part of a package."
        hint = "Write `import helpers` in place of `from . import helpers`."
    else:
        cause = "The code at the top level of the file raised it while it was imported."
        hint = "Read the traceback, mend the file and start the run again."
    return Failure(
        type="NodeImportError",
        message=f"The workflow's code can't be imported{place}: {describe_error(error)}",
        traceback=trace,
        cause=cause,
        next_step=hint,
    )


def _missing_module(name: str, place: str, modules: list[str], trace: str) -> Failure:
    top = name.partition(".")[0]
    close = difflib.get_close_matches(top, modules, n=1)
    if top in modules:
        cause, hint = f"The workflow has {top}, but nothing of that name below it.", "Check the name and the file."
    elif close:
        cause, hint = f"The workflow's own modules are: {', '.join(sorted(modules))}.", f"Did you mean {close[0]}?"
    else:
        cause, hint = missing_package(name)
    return Failure("NodeImportError", f"The module {name} is not there{place}.", trace, cause, hint)


def trimmed_traceback(error: BaseException, folder: str) -> str:
    """The traceback from the first frame of the workflow's own files on, without the importer's frames."""
    report = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [report]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        frames = [frame for frame in part.stack if not frame.filename.startswith("<frozen importlib")]
        first = next((index for index, frame in enumerate(frames) if frame.filename.startswith(folder)), len(frames))
        part.stack = traceback.StackSummary.from_list(frames[first:])
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]
    return "".join(report.format())


def trimmed_stack(frame: FrameType, folder: str) -> str:
    """Where a thread stands, from the first frame of the workflow's own files on."""
    frames = list(traceback.extract_stack(frame))
    first = next((index for index, entry in enumerate(frames) if entry.filename.startswith(folder)), 0)
    return "".join(["Where it stands:\n", *traceback.format_list(frames[first:])])


def _place(error: BaseException, folder: str) -> str:
    """Where in the workflow's files it happened: " (nodes.py, line 3)"."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
    return f" ({_short(frames[-1].filename, folder)}, line {frames[-1].lineno})" if frames else ""


def _short(filename: str, folder: str) -> str:
    return filename.removeprefix(folder.rstrip("/") + "/")


def _clean(text: str, limit: int) -> str:
    text = text.encode(errors="replace").decode().replace("\0", "")
    return text if len(text) <= limit else f"{text[: limit // 2]}\n…\n{text[-limit // 2 :]}"
