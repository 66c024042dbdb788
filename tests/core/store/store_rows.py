"""Rows for the store's tests: each with what a test doesn't care about filled in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import orjson

from core.store.operations import InsertAttempt, InsertLogs, InsertRequest, InsertRun, InsertStep, blob_hash
from core.store.store import Store

NOON = 1_700_000_000.0
_ids = itertools.count(1)


def run_id(number: int) -> str:
    """An id whose endings differ from run to run."""
    return f"018f0000-0000-7000-8000-{(number * 2_654_435_761) % 16**12:012x}"


def new_run(id: str | None = None, **fields: Any) -> InsertRun:
    """A queued run of the workflow triage."""
    given = {
        "workflow": "triage",
        "version": "v1",
        "status": "queued",
        "until": "end",
        "source": "test",
        "inputs": "{}",
        "presets": "[]",
        "priority": 0,
        "created_at": NOON,
    }
    return InsertRun(id=id or run_id(next(_ids)), **{**given, **fields})


def step(line: Any, seq: int, *operations: list[Any], node: str = "work", values: tuple[Any, ...] = (), **fields: Any):
    """A step that makes these changes; `values` are its large values."""
    blobs = tuple((blob_hash(data), data) for data in (orjson.dumps(value) for value in values))
    given = {
        "visit": seq,
        "attempt": 1,
        "next": "work",
        "routing": "",
        "started_at": NOON + seq,
        "ended_at": NOON + seq + 0.5,
        "changed": len(operations),
        "blobs": blobs,
    }
    delta = orjson.dumps(list(operations))
    return InsertStep(line=line, seq=seq, node=node if seq else "", delta=delta, **{**given, **fields})


def log_lines(run: Any, line: Any, first: int, texts: list[str], **fields: Any) -> InsertLogs:
    """Log lines numbered from `first`."""
    given = {"at": NOON, "level": 20, "stream": "stdout", "node": "work", "visit": 1, "attempt": 1, **fields}
    return InsertLogs(run, [(first + number, line, *given.values(), text) for number, text in enumerate(texts)])


def request(line: Any, run: Any, request_id: str = "name", **fields: Any) -> InsertRequest:
    """An open question of the node work."""
    given = {
        "node": "work",
        "visit": 1,
        "nth": 0,
        "kind": "input",
        "hash": "h1",
        "input_type": "text",
        "prompt": "Your name?",
        "options": "null",
        "opened_at": NOON,
    }
    return InsertRequest(line=line, run=run, request_id=request_id, **{**given, **fields})


def attempt(line: Any, before_seq: int, number: int = 1) -> InsertAttempt:
    """A failed attempt of the node work."""
    return InsertAttempt(line, before_seq, "work", before_seq, number, NOON, NOON + 1, '{"type": "ValueError"}')


def wait_until(fulfilled: Callable[[], bool]) -> None:
    """Block until something is so; fails after a generous while."""
    end = time.monotonic() + 60
    while not fulfilled():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


async def started(store: Store, **fields: Any) -> tuple[int, int]:
    """The numbers of a new run and its line, with the empty initial state as step 0."""
    operation = new_run(**fields)
    ((run, line),) = await store.commit([operation])
    await store.commit([step(line, 0)])
    return run, line
