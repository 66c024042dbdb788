"""Taking over a run from a document: checked whole before the first write, then written in slices.

Nothing of it is executed. Its code becomes a version that nobody here approved.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import orjson

from core.definition.load import LoadedWorkflow, load_sources
from core.definition.version import COUNT_LIMIT, FILE_LIMIT, listed_path_problem, version_hash
from core.engine.actor import error_document
from core.engine.run_inputs import kept_inputs
from core.engine.transfer_document import (
    AttemptDocument,
    CallDocument,
    LineDocument,
    RequestDocument,
    RunDocument,
    StepDocument,
    VersionDocument,
    damaged,
    read_document,
)
from core.errors import CallInterrupted
from core.flow.delta import SNAPSHOT_BYTES, apply_delta
from core.link.retention_types import ImportedRun
from core.link.types import FINAL, ErrorView, Status
from core.store.call_operations import CallCost, CallStatus
from core.store.operations import InsertCall, InsertLogs, Operation, PutVersion
from core.store.records import StepRow
from core.store.transfer import FinishImport, ImportStep, Reserved

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WORKFLOW_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]{1,200}")
STATUSES = FINAL | {"queued", "running", "waiting_input", "waiting_timer", "paused", "blocked"}
CALL_STATUSES = frozenset({"running", "done", "failed", "replayed", "recorded"})
REQUEST_STATUSES = frozenset({"open", "answered", "stale", "withdrawn"})
SLICE_BYTES = 1024 * 1024
SLICE_ROWS = 200


class Import:
    """One document on its way in. `check` and `slices` block: call them in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.run: RunDocument
        self.versions: dict[str, tuple[VersionDocument, LoadedWorkflow]] = {}
        self.lines: list[LineDocument] = []
        self.steps = 0
        self._attempts: list[AttemptDocument] = []
        self._requests: list[RequestDocument] = []
        self._seqs: dict[int, tuple[int, int]] = {}
        self._snapshots: dict[tuple[int, int], bytes] = {}

    def result(self, run_id: str) -> ImportedRun:
        """What the import comes to, under that id."""
        return ImportedRun(
            run_id=run_id,
            original_id=self.run.id,
            workflow=self.run.workflow,
            version=self.run.version,
            status=cast(Status, self.run.status if self.run.status in FINAL else "cancelled"),
            original_status=cast(Status, self.run.status),
            lines=len(self.lines),
            steps=self.steps,
        )

    # Checking -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Read the whole document and raise TransferProblem, with the place, for anything that is not right."""
        states = _States(self.lines)
        for section, place, row in read_document(self._file):
            problem = self._problem(section, row)
            if problem:
                raise damaged(f"{place}, in {section}", problem)
            if section == "steps":
                self._check_step(place, row, states)
        self._check_whole()

    def _problem(self, section: str, row: Any) -> str:
        """What is wrong with a row by itself, or the empty text; keeps what the import needs of it."""
        match section:
            case "run":
                self.run = row
                return self._run_problem(row)
            case "versions":
                return self._version_problem(row)
            case "lines":
                return self._line_problem(row)
            case "attempts":
                self._attempts.append(row)
            case "requests":
                self._requests.append(row)
                if row.status not in REQUEST_STATUSES:
                    return f"{row.status!r} is no status of a request"
            case "calls":
                if row.status not in CALL_STATUSES:
                    return f"{row.status!r} is no status of a call"
                if row.line is None:
                    return ""
        if row.line not in range(1, len(self.lines) + 1):
            return f"there is no line {row.line}"
        return ""

    def _run_problem(self, run: RunDocument) -> str:
        if not RUN_ID.fullmatch(run.id):
            return f"{run.id!r} is no id of a run"
        if not WORKFLOW_NAME.fullmatch(run.workflow):
            return f"{run.workflow!r} is no name of a workflow"
        return "" if run.status in STATUSES else f"{run.status!r} is no status of a run"

    def _version_problem(self, version: VersionDocument) -> str:
        files: dict[str, bytes] = {}
        for file in version.files:
            content = file.text.encode() if file.text is not None else file.base64
            reason = listed_path_problem(file.path)
            if reason or content is None or len(content) > FILE_LIMIT or file.path in files:
                return f"the file {file.path!r} {reason or 'has no content, too much, or is there twice'}"
            files[file.path] = content
        if len(files) > COUNT_LIMIT:
            return f"more than {COUNT_LIMIT} files"
        # The name of a version is what was approved: it must be that of just these files.
        if version_hash(files) != version.hash:
            return "the files are not those of the version's hash"
        loaded = load_sources(self.run.workflow, files)
        if loaded.graph is None:
            return "its files hold no graph"
        self.versions[version.hash] = (version, loaded)
        return ""

    def _line_problem(self, line: LineDocument) -> str:
        if line.number != len(self.lines) + 1:
            return "lines are not in order"
        if line.status not in STATUSES or line.version not in self.versions:
            return f"its status is {line.status!r}, its version {line.version[:12]!r}: one of them is not known here"
        if (line.parent is None) != (line.parent_step is None) or (line.parent is None and line.number > 1):
            return "it does not say what it goes on from"
        if line.parent is not None and not (1 <= line.parent < line.number and (line.parent_step or 0) >= 0):
            return f"it can't go on from step {line.parent_step} of line {line.parent}"
        self.lines.append(line)
        return ""

    def _check_step(self, place: str, step: StepDocument, states: _States) -> None:
        line = self.lines[step.line - 1]
        first, last = self._seqs.get(step.line, (0, -1 if line.parent is None else line.parent_step or 0))
        if step.seq != last + 1:
            raise damaged(f"{place}, in steps", f"step {step.seq} of line {step.line} follows step {last}")
        try:
            states.apply(step)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            problem = f"the delta of step {step.seq} can't be applied: {type(error).__name__}: {error}"
            raise damaged(f"{place}, in steps", problem) from error
        snapshot = states.snapshot_due()
        if snapshot is not None:
            self._snapshots[step.line, step.seq] = snapshot
        self._seqs[step.line] = (first, step.seq)
        self.steps += step.seq > 0

    def _check_whole(self) -> None:
        if not self.lines or not 1 <= self.run.line <= len(self.lines):
            raise damaged("the end", "the run's present line is not among its lines")
        for line in self.lines:
            if line.parent is None and line.number not in self._seqs:
                raise damaged("the end", f"line {line.number} has no steps, not even its initial state")
            if line.parent is not None:
                last = self._seqs.get(line.parent, (0, self.lines[line.parent - 1].parent_step or 0))[1]
                if (line.parent_step or 0) > last:
                    raise damaged("the end", f"line {line.number} goes on from a step that line {line.parent} lacks")
        live = [
            (row.line, row.node, row.visit, row.request_id, row.nth)
            for row in self._requests
            if row.status in ("open", "answered")
        ]
        tries = [(row.line, row.before_seq, row.node, row.visit, row.attempt) for row in self._attempts]
        if len(set(live)) != len(live) or len(set(tries)) != len(tries):
            raise damaged("the end", "a request or a failed attempt is there twice")

    # Writing ------------------------------------------------------------------------------------------------------

    def slices(self, reserved: Reserved) -> Iterator[list[Operation]]:
        """What is written before the run is there: steps, logs and calls, in groups that are quick to commit."""
        operations: list[Operation] = []
        size, log_row = 0, 0
        for section, place, row in read_document(self._file):
            if section == "steps":
                operations.append(self._step(row, reserved, place))
                size += len(bytes(row.delta)) + sum(len(bytes(value)) for value in row.values)
            elif section == "logs":
                log_row += 1
                line = reserved.first_line + row.line - 1
                facts = (row.at, row.level, row.stream, row.node, row.visit, row.attempt, row.text)
                operations.append(InsertLogs(reserved.run, [(log_row, line, *facts)]))
                size += len(row.text)
            elif section == "calls":
                operations.append(_call(row, reserved))
                size += len(bytes(row.request)) + len(bytes(row.reply))
            if len(operations) >= SLICE_ROWS or size > SLICE_BYTES:
                yield operations
                operations, size = [], 0
        yield operations

    def _step(self, step: StepDocument, reserved: Reserved, place: str) -> ImportStep:
        routing = json.dumps(step.routing, ensure_ascii=False) if step.routing is not None else ""
        row = StepRow(
            line=reserved.first_line + step.line - 1,
            seq=step.seq,
            node=step.node,
            visit=step.visit,
            attempt=step.attempt,
            next=step.next,
            routing=routing,
            started_at=step.started_at,
            ended_at=step.ended_at,
            changed=step.changed,
        )
        # Written anew, so that a document that was laid out by another program gives the same bytes.
        values = tuple(orjson.dumps(orjson.loads(bytes(value))) for value in step.values)
        own = _json_text(step.own)
        delta = orjson.dumps(orjson.loads(bytes(step.delta)))
        return ImportStep(row, delta, values, own, self._snapshots.get((step.line, step.seq)))

    def finish(self, reserved: Reserved, run_id: str, source: str, now: float) -> list[Operation]:
        """The last group, which makes it a run."""
        puts: list[Operation] = [
            PutVersion(
                version.hash,
                self.run.workflow,
                json.dumps(loaded.graph.to_dict(), ensure_ascii=False) if loaded.graph is not None else "{}",
                loaded.files,
                version.created_at,
                imported=True,
            )
            for version, loaded in self.versions.values()
        ]
        run = self.run
        inputs, large = kept_inputs(run.inputs)
        ended_now = run.status not in FINAL
        error = run.error
        if ended_now:
            error = json.loads(error_document(_imported_error(run.status)))
        columns = {
            "workflow": run.workflow,
            "version": run.version,
            "status": "cancelled" if ended_now else run.status,
            "line": reserved.first_line + run.line - 1,
            "until": run.until,
            "source": source,
            "inputs": inputs,
            "presets": json.dumps(run.presets, ensure_ascii=False),
            "priority": run.priority,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "ended_at": run.ended_at if not ended_now else now,
            "node": run.node,
            "error": json.dumps(error, ensure_ascii=False) if error is not None else None,
            "logs_dropped": run.logs_dropped,
            "replay": run.replay,
        }
        lines = tuple(self._line(line, reserved, now) for line in self.lines)
        attempts = tuple(_attempt(row, reserved) for row in self._attempts)
        requests = tuple(_request(row, reserved, now) for row in self._requests)
        return [*puts, FinishImport(reserved, run_id, columns, large, lines, attempts, requests)]

    def _line(self, line: LineDocument, reserved: Reserved, now: float) -> tuple[Any, ...]:
        ended_now = line.status not in FINAL
        error = json.dumps(line.error, ensure_ascii=False) if line.error is not None else None
        if ended_now:
            error = error_document(_imported_error(line.status))
        return (
            reserved.first_line + line.number - 1,
            reserved.run,
            reserved.first_line + line.parent - 1 if line.parent is not None else None,
            line.parent_step,
            line.version,
            "cancelled" if ended_now else line.status,
            line.created_at,
            now if ended_now else line.ended_at,
            error,
        )


class _States:
    """The state along each line, for checking that every delta applies; kept only where another line begins."""

    def __init__(self, lines: list[LineDocument]) -> None:
        self._lines = lines
        self._line = 0
        self._state: dict[str, Any] = {}
        self._bytes = 0
        self._needed: dict[tuple[int, int], bytes] = {}
        self._wanted: set[tuple[int, int]] | None = None

    def apply(self, step: StepDocument) -> None:
        """Apply a step; raises what a delta that does not fit raises."""
        if self._wanted is None:
            self._wanted = {
                self._stand(line.parent, line.parent_step or 0) for line in self._lines if line.parent is not None
            }
        if step.line != self._line:
            self._begin(step.line)
        values = [bytes(value) for value in step.values]
        apply_delta(self._state, bytes(step.delta), values)
        self._bytes += len(bytes(step.delta)) + sum(map(len, values))
        if (step.line, step.seq) in self._wanted:
            self._needed[step.line, step.seq] = orjson.dumps(self._state)

    def _begin(self, number: int) -> None:
        line = self._lines[number - 1]
        self._line, self._bytes, self._state = number, 0, {}
        if line.parent is not None:
            self._state = orjson.loads(self._needed[self._stand(line.parent, line.parent_step or 0)])

    def _stand(self, number: int, seq: int) -> tuple[int, int]:
        """The line that holds this step of a line's history."""
        line = self._lines[number - 1]
        while line.parent is not None and seq <= (line.parent_step or 0):
            line = self._lines[line.parent - 1]
        return line.number, seq

    def snapshot_due(self) -> bytes | None:
        """The whole state, where there are enough deltas since the last one."""
        if self._bytes < SNAPSHOT_BYTES:
            return None
        text = orjson.dumps(self._state)
        if self._bytes <= len(text):
            return None
        self._bytes = 0
        return text


def _json_text(raw: Any) -> bytes:
    """The JSON text as this program writes it; empty for null."""
    value = orjson.loads(bytes(raw))
    return orjson.dumps(value) if value is not None else b""


def _call(row: CallDocument, reserved: Reserved) -> InsertCall:
    """A call's row; one that was under way has come to nothing here."""
    status, error, reply = row.status, row.error, _json_text(row.reply)
    if status == "running":
        status = "failed"
        error = CallInterrupted("The run was exported while this call was under way.").to_dict()
    return InsertCall(
        kind=row.kind,
        status=cast(CallStatus, status),
        key=row.key,
        nth=row.nth,
        hash=row.hash,
        started_at=row.started_at,
        ended_at=row.ended_at,
        # Written anew, so that a document that was laid out by another program gives the same bytes.
        request=zlib.compress(orjson.dumps(orjson.loads(bytes(row.request)))),
        reply=zlib.compress(reply) if reply else b"",
        run=reserved.run,
        line=reserved.first_line + row.line - 1 if row.line is not None else None,
        node=row.node,
        visit=row.visit,
        model=row.model,
        role=row.role,
        title=row.title,
        used=CallCost(row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cost),
        error=json.dumps(error, ensure_ascii=False) if error is not None else None,
        spent=int(row.spent),
    )


def _imported_error(status: str) -> ErrorView:
    return ErrorView(
        type="Imported",
        message=f"The run was imported; it was {status} where it was exported.",
        cause="An imported run does not go on by itself.",
        next_step="Go on from its last step: rondo retry RUN",
    )


def _attempt(row: AttemptDocument, reserved: Reserved) -> tuple[Any, ...]:
    line = reserved.first_line + row.line - 1
    error = json.dumps(row.error, ensure_ascii=False)
    return line, row.before_seq, row.node, row.visit, row.attempt, row.started_at, row.ended_at, error


def _request(row: RequestDocument, reserved: Reserved, now: float) -> tuple[Any, ...]:
    is_open = row.status == "open"
    return (
        reserved.first_line + row.line - 1,
        reserved.run,
        row.node,
        row.visit,
        row.request_id,
        row.nth,
        row.kind,
        row.hash,
        row.input_type,
        row.prompt,
        json.dumps(row.options, ensure_ascii=False),
        "withdrawn" if is_open else row.status,
        row.opened_at,
        now if is_open else row.answered_at,
        row.answered_by,
        json.dumps(row.answer, ensure_ascii=False) if row.answer is not None or row.status == "answered" else None,
        row.problem,
        row.due_at,
    )
