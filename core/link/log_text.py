"""Log lines as plain text, as they are copied and written into files."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TextIO

from core.errors import EnvironmentProblem, UsageError
from core.link.types import LogLine


def log_text(line: LogLine) -> str:
    """One line: `2026-01-02 05:41:07.120 INFO    fetch#2  what was said`, in the time of the reader's place."""
    at = datetime.fromtimestamp(line.at).isoformat(sep=" ", timespec="milliseconds")
    where = line.node + (f"#{line.visit}" if line.visit > 1 and line.node else "")
    return f"{at} {line.level:<7} {where:<14} {line.text}".rstrip()


def open_new(path: Path) -> TextIO:
    """A new text file for the person alone; blocking. Raises UsageError where there is one, EnvironmentProblem."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError(
            f"{path} is there already.", cause="Nothing was written over it.", next_step="Choose another name."
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} can't be written.", cause=error.strerror or str(error), next_step="Choose another folder."
        ) from error
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def write_lines(file: TextIO, lines: list[LogLine]) -> None:
    """Add lines to a file; blocking. Raises EnvironmentProblem where there is no room."""
    try:
        file.writelines(f"{log_text(line)}\n" for line in lines)
    except OSError as error:
        raise EnvironmentProblem(
            f"{file.name} could not be written to its end.", cause=error.strerror or str(error), next_step="Make room."
        ) from error
