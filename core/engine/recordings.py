"""What a run called and was answered, as a JSON document: written from a run, and what another is answered from."""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from core.engine.repeats import INTERRUPTED
from core.engine.transfer_document import open_document
from core.errors import TransferProblem
from core.identifiers import new_run_id
from core.link.model_types import ExportedCalls
from core.store.call_operations import CallCost
from core.store.operations import CopyRecording, InsertCall, Operation, Ref
from core.store.records import CallRecord, RunRecord
from core.store.store import Store
from core.version import VERSION

FORMAT = "rondo.calls"
FORMAT_VERSION = 1
SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes of a recording that is read."""
CALLS_AT_ONCE = 200


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class RecordedCall(_Struct):
    """One call; `error` is what it failed with, then there is no reply."""

    kind: str
    node: str
    visit: int
    nth: int
    hash: str
    title: str = ""
    model: str = ""
    role: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float | None = None
    request: Any = None
    reply: Any = None
    error: dict[str, Any] | None = None


class Recording(_Struct):
    """All calls of a run, in the order in which they were made."""

    format: str
    format_version: int
    rondo: str
    run_id: str
    workflow: str
    calls: list[RecordedCall]


async def write_recording(store: Store, run: RunRecord, folder: Path) -> ExportedCalls:
    """Write the calls of a run into a new file of the folder."""
    path = folder / f"{run.id}-{new_run_id()[-12:]}.calls.json"
    file = await asyncio.to_thread(_create, path)
    count = 0
    try:
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "rondo": VERSION, "run_id": run.id}
        await asyncio.to_thread(
            file.write,
            orjson.dumps({**head, "workflow": run.workflow})[:-1] + b',"calls":[',
        )
        for number in await store.run_tree(run.number):
            async for row in _calls_of(store, number):
                document = await _document(store, row)
                await asyncio.to_thread(file.write, (b",\n" if count else b"\n") + document)
                count += 1
        await asyncio.to_thread(file.write, b"\n]}\n")
        await asyncio.to_thread(file.close)
    except BaseException:
        file.close()
        path.unlink(missing_ok=True)
        raise
    return ExportedCalls(run_id=run.id, workflow=run.workflow, path=str(path), bytes=path.stat().st_size, calls=count)


async def _calls_of(store: Store, run: int) -> AsyncIterator[CallRecord]:
    after = 0
    while rows := await store.calls(run=run, after=after, limit=CALLS_AT_ONCE):
        after = rows[-1].number
        for row in rows:
            if is_recorded(row):
                yield row


def is_recorded(row: CallRecord) -> bool:
    """True for a call that came to something: nobody knows what one came to that was interrupted."""
    failed = row.status == "failed" and json.loads(row.error or "{}").get("type") != INTERRUPTED
    return failed or row.status in ("done", "replayed")


async def _document(store: Store, row: CallRecord) -> bytes:
    request, reply = await store.call_content(row.number)
    return orjson.dumps(
        {
            "kind": row.kind,
            "node": row.node,
            "visit": row.visit,
            "nth": row.nth,
            "hash": row.hash,
            "title": row.title,
            "model": row.model,
            "role": row.role,
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "cache_read_tokens": row.cache_read_tokens,
            "cost": row.cost,
            "request": orjson.Fragment(request),
            "reply": orjson.Fragment(reply) if reply else None,
            "error": json.loads(row.error) if row.error else None,
        }
    )


def _create(path: Path) -> Any:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


# Answering from one ------------------------------------------------------------------------------------------------


def read_recording(path: Path) -> Recording:
    """A recording from its file; raises UsageError and TransferProblem. Blocks."""
    with open_document(path) as file:
        text = file.read(SIZE_LIMIT + 1)
    if len(text) > SIZE_LIMIT:
        raise _no_recording(path, f"It is larger than {SIZE_LIMIT} bytes.")
    try:
        recording = msgspec.json.decode(text, type=Recording)
    except (ValueError, RecursionError) as error:
        raise _no_recording(path, f"{error}.") from error
    if recording.format != FORMAT or recording.format_version > FORMAT_VERSION:
        known = f"This Rondo knows {FORMAT} up to {FORMAT_VERSION}."
        raise _no_recording(path, f"Its format is {recording.format} {recording.format_version}. {known}")
    return recording


def rows_of(recording: Recording, run: Ref, now: float) -> list[Operation]:
    """What keeps a recording with the run that is answered from it. May take a while."""
    return [
        InsertCall(
            kind=call.kind,
            status="recorded",
            key="",
            nth=call.nth,
            hash=call.hash,
            started_at=now,
            ended_at=now,
            request=zlib.compress(orjson.dumps(call.request)),
            reply=zlib.compress(orjson.dumps(call.reply)) if call.error is None else b"",
            run=run,
            node=call.node,
            visit=call.visit,
            model=call.model,
            role=call.role,
            title=call.title,
            used=CallCost(call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cost),
            error=json.dumps(call.error, ensure_ascii=False) if call.error is not None else None,
        )
        for call in recording.calls
    ]


def copy_of(source: RunRecord, run: Ref) -> Operation:
    """The same from the calls of a run of this workspace, so that it may be pruned."""
    return CopyRecording(source.number, run, INTERRUPTED)


def inherited_by(parent: RunRecord, run: Ref) -> Operation:
    """The same for a subflow of a run that is answered from a recording."""
    return CopyRecording(parent.number, run, inherited=True)


def _no_recording(path: Path, cause: str) -> TransferProblem:
    return TransferProblem(
        f"{path} is no recording of calls.",
        cause=cause,
        next_step="Name a file that `rondo run NAME --record FILE` wrote.",
    )
