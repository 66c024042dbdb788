"""Writing one run into a document that stands alone: its whole history, also what it shares with other runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from core.engine.transfer_document import FORMAT, FORMAT_VERSION
from core.link.retention_types import ExportedRun
from core.store.records import CallRecord, LineRecord, RequestRow, RunRecord
from core.store.store import Store
from core.store.transfer import WholeStep
from core.version import VERSION

LOGS_AT_ONCE = 1_000
CALLS_AT_ONCE = 200


class Exporter:
    """Writes one run; slices are read from the store and written in a thread, so that nothing is held for long."""

    def __init__(self, store: Store, record: RunRecord, path: Path, now: float) -> None:
        self._store = store
        self._record = record
        self._path = path
        self._now = now
        self._steps = 0

    async def write(self) -> ExportedRun:
        """Write the document to the path, which must not be there yet. What is written is on the disk."""
        lines = await self._store.lines(self._record.number)
        lasts = await self._store.step_totals([line.line for line in lines])
        file = await asyncio.to_thread(_create, self._path)
        try:
            await self._write(file, lines, lasts)
            await asyncio.to_thread(_finish, file)
        except BaseException:
            file.close()
            self._path.unlink(missing_ok=True)
            raise
        return ExportedRun(
            run_id=self._record.id,
            workflow=self._record.workflow,
            path=str(self._path),
            bytes=self._path.stat().st_size,
            lines=len(lines),
            steps=self._steps,
        )

    async def _write(self, file: BinaryIO, lines: list[LineRecord], lasts: dict[int, int]) -> None:
        numbers = {line.line: number for number, line in enumerate(lines, start=1)}
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "rondo": VERSION, "exported_at": self._now}
        run = await self._run(numbers)
        await asyncio.to_thread(file.write, orjson.dumps(head)[:-1] + b",\n" + b'"run":' + run + b",\n")
        await self._section(file, "versions", self._versions(lines))
        await self._section(file, "lines", _one([[_line(line, numbers) for line in lines]]))
        await self._section(file, "steps", self._all_steps(lines, lasts, numbers))
        await self._section(file, "attempts", self._attempts(lines, lasts, numbers))
        await self._section(file, "requests", self._requests(lines, numbers))
        await self._section(file, "logs", self._logs(numbers))
        await self._section(file, "calls", self._calls(numbers))
        await asyncio.to_thread(file.write, b'"end":true}\n')

    async def _section(self, file: BinaryIO, name: str, slices: AsyncIterator[list[dict[str, Any]]]) -> None:
        """Write a list, each row on a line of its own."""
        first = True
        await asyncio.to_thread(file.write, f'"{name}":['.encode())
        async for rows in slices:
            if rows:
                await asyncio.to_thread(_write_rows, file, rows, first)
                first = False
        await asyncio.to_thread(file.write, b"\n],\n")

    async def _run(self, numbers: dict[int, int]) -> bytes:
        record = self._record
        inputs = record.inputs.encode() or await self._store.large_inputs(record.number)
        document = {
            "id": record.id,
            "workflow": record.workflow,
            "version": record.version,
            "status": record.status,
            "line": numbers[record.line or 0],
            "until": record.until,
            "source": record.source,
            "inputs": orjson.Fragment(inputs),
            "presets": orjson.Fragment(record.presets),
            "priority": record.priority,
            "created_at": record.created_at,
            "started_at": record.started_at,
            "ended_at": record.ended_at,
            "node": record.node,
            "error": _raw(record.error),
            "logs_dropped": record.logs_dropped,
            "replay": record.replay,
        }
        return await asyncio.to_thread(orjson.dumps, document)

    async def _versions(self, lines: list[LineRecord]) -> AsyncIterator[list[dict[str, Any]]]:
        for hash in sorted({line.version for line in lines} | {self._record.version}):
            version = await self._store.version(hash)
            if version is not None:
                files = [_file(path, content) for path, content in sorted(version.files.items())]
                graph = orjson.Fragment(version.graph)
                yield [{"hash": hash, "created_at": version.created_at, "graph": graph, "files": files}]

    async def _all_steps(
        self, lines: list[LineRecord], lasts: dict[int, int], numbers: dict[int, int]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        for line in lines:
            async for steps in self._store.whole_steps(line.line, _first(line, numbers), lasts[line.line]):
                self._steps += sum(step.row.seq > 0 for step in steps)
                yield [_step(step, numbers[line.line]) for step in steps]

    async def _attempts(
        self, lines: list[LineRecord], lasts: dict[int, int], numbers: dict[int, int]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        for line in lines:
            rows = await self._store.attempts(line.line, _first(line, numbers), lasts[line.line] + 1)
            yield [
                {
                    "line": numbers[line.line],
                    "before_seq": row.before_seq,
                    "node": row.node,
                    "visit": row.visit,
                    "attempt": row.attempt,
                    "started_at": row.started_at,
                    "ended_at": row.ended_at,
                    "error": orjson.Fragment(row.error),
                }
                for row in rows
            ]

    async def _requests(self, lines: list[LineRecord], numbers: dict[int, int]) -> AsyncIterator[list[dict[str, Any]]]:
        first = lines[0]
        if first.parent_line is not None and first.parent_line not in numbers:
            yield [_request(row, 1) for row in await self._requests_before(first)]
        yield [_request(row, numbers[row.line]) for row in await self._store.requests(self._record.number)]

    async def _requests_before(self, fork: LineRecord) -> list[RequestRow]:
        """What was answered in that part of the history which stands in other runs."""
        found: list[RequestRow] = []
        visits: dict[str, int] = {}
        for step in await self._store.steps(fork.line, 0, fork.parent_seq or 0):
            visits[step.node] = max(visits.get(step.node, 0), step.visit)
        line: int | None = fork.parent_line
        seen: set[tuple[str, int, str, int]] = set()
        while line is not None:
            for row in await self._store.requests(line=line, status="answered"):
                key = (row.node, row.visit, row.request_id, row.nth)
                if row.visit <= visits.get(row.node, 0) and key not in seen:
                    seen.add(key)
                    found.append(row)
            line = (await self._store.line_by_number(line)).parent_line
        return sorted(found, key=lambda row: row.opened_at)

    async def _logs(self, numbers: dict[int, int]) -> AsyncIterator[list[dict[str, Any]]]:
        after, last = 0, await self._store.last_log_row(self._record.number)
        while after < last:
            rows, _ = await self._store.logs(self._record.number, after=after, limit=LOGS_AT_ONCE)
            rows = [row for row in rows if row.row <= last]
            if not rows:
                return
            after = rows[-1].row
            yield [
                {
                    "line": numbers.get(row.line, 1),
                    "at": row.at,
                    "level": row.level,
                    "stream": row.stream,
                    "node": row.node,
                    "visit": row.visit,
                    "attempt": row.attempt,
                    "text": row.text,
                }
                for row in rows
            ]

    async def _calls(self, numbers: dict[int, int]) -> AsyncIterator[list[dict[str, Any]]]:
        for status in (None, "recorded"):
            after = 0
            while rows := await self._store.calls(
                run=self._record.number, status=status, after=after, limit=CALLS_AT_ONCE
            ):
                after = rows[-1].number
                for row in rows:
                    yield [_call(row, numbers, *await self._store.call_content(row.number))]


async def _one(slices: Iterable[list[dict[str, Any]]]) -> AsyncIterator[list[dict[str, Any]]]:
    for rows in slices:
        yield rows


def _first(line: LineRecord, numbers: dict[int, int]) -> int:
    """The first step that the document has of a line: all of them, where its parent is another run's."""
    return (line.parent_seq or 0) + 1 if line.parent_line in numbers else 0


def _line(line: LineRecord, numbers: dict[int, int]) -> dict[str, Any]:
    inside = line.parent_line in numbers
    return {
        "number": numbers[line.line],
        "parent": numbers[line.parent_line] if inside and line.parent_line is not None else None,
        "parent_step": line.parent_seq if inside else None,
        "version": line.version,
        "status": line.status,
        "created_at": line.created_at,
        "ended_at": line.ended_at,
        "error": _raw(line.error),
    }


def _step(step: WholeStep, line: int) -> dict[str, Any]:
    row = step.row
    return {
        "line": line,
        "seq": row.seq,
        "node": row.node,
        "visit": row.visit,
        "attempt": row.attempt,
        "next": row.next,
        "routing": _raw(row.routing or None),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "changed": row.changed,
        "delta": orjson.Fragment(step.delta),
        "values": [orjson.Fragment(value) for value in step.values],
        "own": orjson.Fragment(step.own) if step.own else None,
    }


def _request(row: RequestRow, line: int) -> dict[str, Any]:
    return {
        "line": line,
        "node": row.node,
        "visit": row.visit,
        "request_id": row.request_id,
        "nth": row.nth,
        "kind": row.kind,
        "hash": row.hash,
        "input_type": row.input_type,
        "prompt": row.prompt,
        "options": orjson.Fragment(row.options),
        "status": row.status,
        "opened_at": row.opened_at,
        "answered_at": row.answered_at,
        "answered_by": row.answered_by,
        "answer": _raw(row.answer),
        "problem": row.problem,
        "due_at": row.due_at,
    }


def _call(row: CallRecord, numbers: dict[int, int], request: bytes, reply: bytes) -> dict[str, Any]:
    return {
        "line": numbers.get(row.line) if row.line is not None else None,
        "kind": row.kind,
        "status": row.status,
        "key": row.key,
        "nth": row.nth,
        "hash": row.hash,
        "node": row.node,
        "visit": row.visit,
        "model": row.model,
        "role": row.role,
        "title": row.title,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cache_read_tokens": row.cache_read_tokens,
        "cost": row.cost,
        "request": orjson.Fragment(request),
        "reply": orjson.Fragment(reply) if reply else None,
        "error": _raw(row.error),
        "spent": bool(row.spent) and row.status != "recorded",
    }


def _file(path: str, content: bytes) -> dict[str, Any]:
    try:
        return {"path": path, "text": content.decode()}
    except UnicodeDecodeError:
        return {"path": path, "base64": base64.b64encode(content).decode()}


def _raw(text: str | None) -> orjson.Fragment | None:
    """A JSON text as it is; one that holds line ends would not stay on its line."""
    if text is None:
        return None
    return orjson.Fragment(text if "\n" not in text else json.dumps(json.loads(text), ensure_ascii=False))


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _write_rows(file: BinaryIO, rows: list[dict[str, Any]], first: bool) -> None:
    for row in rows:
        file.write(b"\n" if first else b",\n")
        file.write(orjson.dumps(row))
        first = False


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
