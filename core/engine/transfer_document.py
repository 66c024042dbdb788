"""The portable document of one run: its shapes, and reading it row by row.

It is one JSON object. Rondo writes each row of its lists on a line of its own, so that a long one is read without being
held in memory as a whole; the same document written in another way can be read too, where it is small.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from core.errors import RondoError, TransferProblem, UsageError

FORMAT = "rondo.run"
FORMAT_VERSION = 2
SECTIONS = ("versions", "lines", "steps", "attempts", "requests", "logs", "calls")
"""The lists of a document, in this order; format 1 ends before `calls`."""
WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes of a document that was written in another way: it is read at once."""
ROW_LIMIT = 1024 * 1024 * 1024


NULL = msgspec.Raw(b"null")


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class Head(_Struct):
    format: str
    format_version: int
    rondo: str
    exported_at: float


class RunDocument(_Struct):
    """The run; `line` is the number of its present line, counted from 1."""

    id: str
    workflow: str
    version: str
    status: str
    line: int
    until: str
    source: str
    inputs: dict[str, Any]
    presets: list[tuple[str, Any]]
    priority: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    node: str | None
    error: dict[str, Any] | None
    logs_dropped: int
    replay: str = ""


class FileDocument(_Struct):
    """A file of a version: as text, or in base64 where it is none."""

    path: str
    text: str | None = None
    base64: bytes | None = None


class VersionDocument(_Struct):
    """A version; `graph` is for readers: an import reads it from the files."""

    hash: str
    created_at: float
    graph: dict[str, Any]
    files: list[FileDocument]


class LineDocument(_Struct):
    """One history; `parent` is the number of the line it goes on from, after that line's step `parent_step`."""

    number: int
    parent: int | None
    parent_step: int | None
    version: str
    status: str
    created_at: float
    ended_at: float | None
    error: dict[str, Any] | None


class StepDocument(_Struct):
    """One completed visit; `delta` are the operations, `values` the large values that they name by their place."""

    line: int
    seq: int
    node: str
    visit: int
    attempt: int
    next: str | None
    routing: dict[str, Any] | None
    started_at: float
    ended_at: float
    changed: int
    delta: msgspec.Raw
    values: list[msgspec.Raw]
    own: msgspec.Raw = NULL


class AttemptDocument(_Struct):
    line: int
    before_seq: int
    node: str
    visit: int
    attempt: int
    started_at: float
    ended_at: float
    error: dict[str, Any]


class RequestDocument(_Struct):
    line: int
    node: str
    visit: int
    request_id: str
    nth: int
    kind: str
    hash: str
    input_type: str
    prompt: str | None
    options: Any
    status: str
    opened_at: float
    answered_at: float | None
    answered_by: str | None
    answer: Any
    problem: str
    due_at: float | None


class LogDocument(_Struct):
    line: int
    at: float
    level: int
    stream: str
    node: str
    visit: int
    attempt: int
    text: str


class CallDocument(_Struct):
    """A call, without secrets; `line` is null for what a replay is answered from."""

    line: int | None
    kind: str
    status: str
    key: str
    nth: int
    hash: str
    node: str
    visit: int
    model: str
    role: str
    title: str
    started_at: float
    ended_at: float | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost: float | None
    request: msgspec.Raw
    reply: msgspec.Raw
    error: dict[str, Any] | None
    spent: bool


ROWS: dict[str, type[Any]] = {
    "run": RunDocument,
    "versions": VersionDocument,
    "lines": LineDocument,
    "steps": StepDocument,
    "attempts": AttemptDocument,
    "requests": RequestDocument,
    "logs": LogDocument,
    "calls": CallDocument,
}
_DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in ROWS.items()}
_NOT_DECODABLE = (ValueError, RecursionError)


class _Whole(_Struct):
    run: msgspec.Raw
    versions: list[msgspec.Raw]
    lines: list[msgspec.Raw]
    steps: list[msgspec.Raw]
    attempts: list[msgspec.Raw]
    requests: list[msgspec.Raw]
    logs: list[msgspec.Raw]
    calls: list[msgspec.Raw] = []


Row = tuple[str, str, Any]
"""(section, place in the file in words, the row)."""


def open_document(path: Path) -> BinaryIO:
    """The open file; raises UsageError where there is no such file, or it is none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(
            f"{path} can't be read.", cause=f"{error.strerror or error}.", next_step="Name a file that you may read."
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is not a file.", next_step="Name a file that `rondo export` wrote.")
    return os.fdopen(descriptor, "rb")


def read_document(file: BinaryIO) -> Iterator[Row]:
    """Every row of a document from its beginning, decoded; first the run. Raises TransferProblem with the place."""
    file.seek(0)
    first = file.readline(4096)
    try:
        head = msgspec.json.decode(first.rstrip(b",\r\n") + b"}", type=Head)
    except _NOT_DECODABLE:
        yield from _read_whole(file)
        return
    _check_head(head)
    yield from _read_lines(file)


def _check_head(head: Head) -> None:
    if head.format != FORMAT:
        raise TransferProblem(
            "This is not an exported run.",
            cause=f"Its format is {head.format!r}, not {FORMAT!r}.",
            next_step="Name a file that `rondo export` wrote.",
        )
    if head.format_version > FORMAT_VERSION:
        raise TransferProblem(
            f"This run was exported by a newer Rondo ({head.rondo}).",
            cause=f"The file has format {head.format_version}; this Rondo knows {FORMAT_VERSION}.",
            next_step=f"Import it with Rondo {head.rondo} or newer.",
        )


def _read_lines(file: BinaryIO) -> Iterator[Row]:
    number, section = 1, None
    waiting = list(SECTIONS)
    while text := file.readline(ROW_LIMIT):
        number += 1
        place = f"line {number}"
        if not text.endswith(b"\n"):
            raise _damaged(place, "the line is cut off")
        text = text.strip()
        if section is None:
            if text.startswith(b'"run":'):
                yield "run", place, _decode("run", place, text.removeprefix(b'"run":').rstrip(b","))
            elif waiting and text == f'"{waiting[0]}":['.encode():
                section = waiting.pop(0)
            elif text == b'"end":true}' and waiting in ([], ["calls"]):
                if file.readline(2).strip():
                    raise _damaged(place, "something follows after the end")
                return
            else:
                raise _damaged(place, "it is not what should stand there")
        elif text == b"],":
            section = None
        else:
            yield section, place, _decode(section, place, text.removesuffix(b","))
    raise _damaged(f"line {number}", "the file ends here, before its end")


def _read_whole(file: BinaryIO) -> Iterator[Row]:
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    if size > WHOLE_LIMIT:
        raise TransferProblem(
            "This file can't be read as an exported run.",
            cause=f"It is not laid out as Rondo writes it, and with {size} bytes too large to be read at once.",
            next_step="Import the file just as `rondo export` wrote it.",
        )
    text = file.read()
    try:
        head = msgspec.json.decode(text, type=Head)
    except _NOT_DECODABLE as error:
        raise TransferProblem(
            "This is not an exported run.",
            cause=f"It is no JSON document of that format: {error}.",
            next_step="Name a file that `rondo export` wrote.",
        ) from error
    _check_head(head)
    try:
        whole = msgspec.json.decode(text, type=_Whole)
    except _NOT_DECODABLE as error:
        raise _damaged("the document", str(error)) from error
    yield "run", "run", _decode("run", "run", whole.run)
    for section in SECTIONS:
        for index, row in enumerate(getattr(whole, section)):
            place = f"{section}[{index}]"
            yield section, place, _decode(section, place, row)


def _decode(section: str, place: str, text: bytes | msgspec.Raw) -> Any:
    try:
        return _DECODERS[section].decode(text)
    except _NOT_DECODABLE as error:
        raise _damaged(f"{place}, in {section}", str(error)) from error


def _damaged(place: str, cause: str) -> RondoError:
    return damaged(place, cause)


def damaged(place: str, cause: str) -> TransferProblem:
    """The file is not whole, or not what Rondo wrote."""
    return TransferProblem(
        f"The file is damaged: {place}.",
        cause=f"{cause[:300]}. Nothing was imported.",
        next_step="Export the run again, or copy the file again.",
    )
